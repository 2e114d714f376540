//! Windows versions: an image runs on hosts whose kernel supports its interface.
//!
//! The rules are those of containerd
//! ([platform_windows_compat.go](https://github.com/containerd/platforms/blob/main/platform_windows_compat.go)),
//! which follow
//! [Microsoft](https://learn.microsoft.com/en-us/virtualization/windowscontainers/deploy-containers/version-compatibility).

/// Windows Server 2022: hosts from this release on run images of any release between this one and their own.
const STABLE_SINCE: u16 = 20348;

/// The version of an image, such as `10.0.17763.6293`: major, minor, build and revision. Newer versions compare
/// greater.
pub(super) type Version = (u8, u8, u16, u32);

/// Parses a version of three or four numbers.
pub(super) fn parse(text: &str) -> Option<Version> {
    let mut parts = text.splitn(4, '.');
    let (major, minor, build) = (parts.next()?, parts.next()?, parts.next()?);
    let revision = parts.next().and_then(|revision| revision.parse().ok()).unwrap_or(0);
    Some((major.parse().ok()?, minor.parse().ok()?, build.parse().ok()?, revision))
}

/// Whether an image of this version runs on a host of that version. The revision does not matter.
pub(super) fn runs(host: Version, image: Version) -> bool {
    let (oldest, newest) = if host.2 < STABLE_SINCE { (host.2, host.2) } else { (STABLE_SINCE, host.2) };
    (host.0, host.1) == (image.0, image.1) && (oldest..=newest).contains(&image.2)
}
