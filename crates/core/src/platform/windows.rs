//! Versions of Windows: an image runs on hosts whose kernel has its interface.
//!
//! The rules are those of containerd
//! ([platform_windows_compat.go](https://github.com/containerd/platforms/blob/main/platform_windows_compat.go)), which
//! has them from
//! [Microsoft](https://learn.microsoft.com/en-us/virtualization/windowscontainers/deploy-containers/version-compatibility).

/// Windows Server 2022: from here on, hosts run the images of this release and of all between.
const STABLE_SINCE: u16 = 20348;

/// The `10.0.17763.6293` of an image: major, minor, build and revision, newer ones being larger.
pub(super) type Version = (u8, u8, u16, u32);

/// Reads a version of three or four numbers.
pub(super) fn parse(text: &str) -> Option<Version> {
    let mut parts = text.splitn(4, '.');
    let (major, minor, build) = (parts.next()?, parts.next()?, parts.next()?);
    let revision = parts.next().and_then(|revision| revision.parse().ok()).unwrap_or(0);
    Some((major.parse().ok()?, minor.parse().ok()?, build.parse().ok()?, revision))
}

/// Whether an image of this version runs on a host of that. The revision does not matter.
pub(super) fn runs(host: Version, image: Version) -> bool {
    let (oldest, newest) = if host.2 < STABLE_SINCE { (host.2, host.2) } else { (STABLE_SINCE, host.2) };
    (host.0, host.1) == (image.0, image.1) && (oldest..=newest).contains(&image.2)
}
