//! The programs that hoist gets on with, each by the few commands that are needed of it.
//!
//! `.ci/run interop` installs them, at pinned versions, and runs the tests. `.ci/run test` needs none of them.

use std::path::Path;

use hoist_tests::run;

/// A program that can read image layouts, and copy images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// go-containerregistry's.
    Crane,
    /// The one of the ORAS project.
    Oras,
    /// regclient's.
    Regctl,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Crane, Self::Oras, Self::Regctl];

    /// Reads the image of this digest from a layout, whole, and pushes it to a registry that has no TLS.
    ///
    /// # Panics
    ///
    /// If the program is not installed, or reads anything but an image.
    pub fn push(self, layout: &Path, digest: &str, reference: &str) {
        let path = layout.display().to_string();
        let by_digest = format!("{path}@{digest}");
        match self {
            Self::Crane => run("crane", &["push", &path, reference]),
            Self::Oras => run(
                "oras",
                &["cp", "--no-tty", "--from-oci-layout", "--to-plain-http", &by_digest, reference],
            ),
            Self::Regctl => {
                let host = plain(reference);
                run(
                    "regctl",
                    &["image", "copy", "--host", &host, &format!("ocidir://{by_digest}"), reference],
                )
            }
        }
        .ok();
    }

    /// Copies what has a name in a registry, images of all platforms if there are more, to another name there.
    ///
    /// # Panics
    ///
    /// If the program is not installed, or fails.
    pub fn copy(self, from: &str, to: &str) {
        match self {
            Self::Crane => run("crane", &["copy", from, to]),
            Self::Oras => run("oras", &["cp", "--no-tty", "--from-plain-http", "--to-plain-http", from, to]),
            Self::Regctl => run("regctl", &["image", "copy", "--host", &plain(from), from, to]),
        }
        .ok();
    }

    /// The digest of what has a name in a registry.
    ///
    /// # Panics
    ///
    /// If the program is not installed, or fails.
    #[must_use]
    pub fn digest(self, reference: &str) -> String {
        let output = match self {
            Self::Crane => run("crane", &["digest", reference]),
            Self::Oras => run("oras", &["resolve", "--plain-http", reference]),
            Self::Regctl => run("regctl", &["image", "digest", "--host", &plain(reference), reference]),
        };
        output.ok().to_owned()
    }

    /// Checks what it can of an image in a registry, all of whose layers are gzipped: crane compares each with its digest and its
    /// `diff_id`.
    ///
    /// # Panics
    ///
    /// If something is wrong with the image.
    pub fn validate(self, reference: &str) {
        if self == Self::Crane {
            run("crane", &["validate", "--remote", reference]).ok();
        }
    }
}

/// How regctl is told that a registry has no TLS.
fn plain(reference: &str) -> String {
    let registry = reference.split('/').next().unwrap_or_default();
    format!("reg={registry},tls=disabled")
}
