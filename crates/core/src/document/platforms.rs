//! The platform that an index's entry or an image's configuration states. Each part may be absent; a part that cannot
//! be read is an error, since the image could be made for any platform then.

use super::json::{Fields, json_text, malformed};
use crate::error::{Error, Result};
use crate::platform::Platform;

/// The operating system of an entry that names its processor only, as containerd has it on Linux.
const USUAL_OS: &str = "linux";

/// A platform as stated.
pub(super) struct Stated {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    os_version: Option<String>,
    os_features: Vec<String>,
}

impl Stated {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self> {
        let os = fields.text("os")?;
        let is_windows = os.as_ref().is_some_and(|os| os.eq_ignore_ascii_case("windows"));
        Ok(Self {
            architecture: fields.text("architecture")?,
            variant: fields.text("variant")?,
            // Only images of Windows are chosen by it.
            os_version: if is_windows {
                fields.text("os.version")?
            } else {
                fields.text("os.version").ok().flatten()
            },
            os_features: fields.texts("os.features")?,
            os,
        })
    }

    fn with(self, os: &str, architecture: &str) -> Platform {
        Platform {
            os: self.os.unwrap_or_else(|| os.to_owned()),
            architecture: self.architecture.unwrap_or_else(|| architecture.to_owned()),
            variant: self.variant,
            os_version: self.os_version,
            os_features: self.os_features,
        }
    }

    /// The platform of an index's entry. `None`: none is stated.
    ///
    /// Fails with [`Malformed`](crate::ErrorKind::Malformed) if the processor is missing.
    pub(super) fn of_entry(self) -> Result<Option<Platform>> {
        match (&self.os, &self.architecture) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(malformed("its `platform` has no `architecture`")),
            (_, Some(_)) => Ok(Some(self.with(USUAL_OS, ""))),
        }
    }
}

fn of_config(config: &[u8]) -> Result<Stated> {
    let failed = |cause: Error| {
        malformed("the image's configuration cannot be read, and with it the platform that it is made for")
            .with_source(cause)
    };
    let text = json_text(config);
    let fields =
        Fields::read(&text).map_err(|cause| failed(malformed("it is no JSON object").with_source(cause)))?;
    Stated::read(&fields).map_err(failed)
}

/// The platform in an image's configuration. `None`: it is not stated, or not wholly.
///
/// Fails with [`Malformed`](crate::ErrorKind::Malformed) if the configuration cannot be read.
pub fn config_platform(config: &[u8]) -> Result<Option<Platform>> {
    let stated = of_config(config)?;
    let is_whole = stated.os.is_some() && stated.architecture.is_some();
    Ok(is_whole.then(|| stated.with("", "")))
}

impl Platform {
    /// Fails with [`PlatformMissing`](crate::ErrorKind::PlatformMissing) if an image with this configuration is made
    /// for another platform, and with [`Malformed`](crate::ErrorKind::Malformed) if the configuration cannot be read.
    /// What the configuration does not state, the image is not refused for.
    pub fn check(&self, config: &[u8]) -> Result<()> {
        let stated = of_config(config)?;
        let is_silent = stated.architecture.is_none();
        let mut made_for = stated.with(&self.os, &self.architecture);
        if is_silent {
            made_for.variant.clone_from(&self.variant);
        }
        if self.accepts(&made_for) { Ok(()) } else { Err(self.missing(vec![made_for])) }
    }
}
