//! Whether an image fits a platform, according to an index or to the image's configuration.

use super::platforms::config_platform;
use super::{Descriptor, Index, Manifest, UnreadableEntry};
use crate::error::{Error, ErrorKind, Result};
use crate::platform::Platform;

impl Index {
    /// Chooses the entry that fits this platform best.
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing), which lists the available platforms, and with the
    /// error of an [unreadable](Index::unreadable) entry if that one fits best, or may do so. If an index has only one entry, and
    /// that entry names no platform, the entry is chosen.
    pub fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        let readable = self.manifests.iter().filter_map(|entry| Some((entry.platform.as_ref()?, Ok(entry))));
        let unreadable =
            self.unreadable.iter().filter_map(|entry| Some((entry.platform.as_ref()?, Err(entry))));
        match platform.choose(readable.chain(unreadable)) {
            Some(Ok(entry)) => self.check_doubts(platform, entry),
            Some(Err(entry)) => Err(entry.error.clone()),
            None => self.lone().ok_or_else(|| self.missing(platform)),
        }
    }

    /// Fails if an entry that cannot be read at all may fit better than this one.
    fn check_doubts<'a>(&self, platform: &Platform, entry: &'a Descriptor) -> Result<&'a Descriptor> {
        let is_best = entry.platform.as_ref().is_some_and(|made_for| platform.is_met_by(made_for));
        match self.unreadable.iter().find(|entry| entry.platform.is_none()) {
            Some(doubt) if !is_best => Err(doubt.error.clone()),
            _ => Ok(entry),
        }
    }

    /// The only entry, if it names no platform.
    fn lone(&self) -> Option<&Descriptor> {
        match (&self.manifests[..], &self.unreadable[..]) {
            ([only], []) if only.platform.is_none() => Some(only),
            _ => None,
        }
    }

    fn missing(&self, platform: &Platform) -> Error {
        let available = self.manifests.iter().filter_map(|entry| entry.platform.clone()).collect();
        let error = platform.missing(available);
        match self.unreadable.first() {
            None => error,
            Some(UnreadableEntry { error: cause, .. }) if self.manifests.is_empty() => cause.clone(),
            Some(UnreadableEntry { error: cause, .. }) => error.with_source(cause.clone()),
        }
    }
}

impl Platform {
    /// The error for an image that is made for these platforms, but not for this one.
    pub fn missing(&self, available: Vec<Self>) -> Error {
        // Attestations and the like are listed as unknown/unknown, which cannot be requested.
        let available: Vec<_> = available.into_iter().filter(|p| p.os != "unknown").collect();
        let names: Vec<_> = available.iter().map(ToString::to_string).collect();
        let there_is = if names.is_empty() { "no platform at all".to_owned() } else { names.join(", ") };
        let kind = ErrorKind::PlatformMissing { available };
        Error::new(kind, format!("the image is not made for {self}, but for {there_is}"))
            .with_help("choose one of those with `platform`")
    }

    /// Checks that an image is made for this platform: by its entry in the index that it was chosen from, or else by
    /// its configuration. Returns the platform that it is made for, as far as it states one.
    ///
    /// `read` reads a blob of the image, from the very files that the image consists of. `None` is a configuration
    /// that is not there, and an error: without it, nothing can be checked. An artifact has no platform.
    ///
    /// Fails with [`PlatformMissing`](ErrorKind::PlatformMissing) if it is made for another platform, with
    /// [`Malformed`](ErrorKind::Malformed) if its configuration cannot be read, and as `read` does.
    pub fn check_image(
        &self,
        entry: &Descriptor,
        manifest: &Manifest,
        read: impl FnOnce(&Descriptor) -> Result<Option<Vec<u8>>>,
    ) -> Result<Option<Self>> {
        if let Some(made_for) = &entry.platform {
            let fits = self.accepts(made_for);
            return if fits { Ok(Some(made_for.clone())) } else { Err(self.missing(vec![made_for.clone()])) };
        }
        if !manifest.is_runnable() {
            return Ok(None);
        }
        let config = read(&manifest.config)?.ok_or_else(|| {
            let digest = &manifest.config.digest;
            let message =
                format!("the image's configuration {digest} is missing, and with it the image's platform");
            Error::new(ErrorKind::Storage, message).with_help("pull the image again")
        })?;
        self.check(&config)?;
        config_platform(&config)
    }
}
