//! The images that are pulled, made from a seed: layers that nobody can compress any further.

use std::fmt;

use clap::ValueEnum;
use hoist_testkit::{Image, Layer, push};

use crate::failure::{Doing, Result};

/// What a random byte becomes in gzip: fast compression codes 144 values of 256 in 8 bits, and the others in 9.
const BYTES_IN_GZIP: (usize, usize) = (135, 128);

/// An image of one shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// 5 layers of 1 MiB
    Small,
    /// 8 layers of 1 to 40 MiB, 90 MiB in all
    Typical,
    /// 60 layers of 1 MiB
    Many,
    /// One layer of 700 MiB and 6 of 50 MiB
    Big,
}

impl Kind {
    /// The sizes of its layers in MiB.
    fn layers(self) -> Vec<usize> {
        match self {
            Self::Small => vec![1; 5],
            Self::Typical => vec![29, 40, 1, 2, 3, 4, 5, 6],
            Self::Many => vec![1; 60],
            Self::Big => vec![700, 50, 50, 50, 50, 50, 50],
        }
    }

    /// Makes the image. This needs three times its largest layer in memory, and takes seconds for the big one.
    fn make(self, seed: u64) -> Image {
        let layers = self.layers().into_iter().enumerate().map(|(n, mebibytes)| {
            // Real gzip: there are clients that compress what does not begin as it does.
            let (more, bytes) = BYTES_IN_GZIP;
            Layer::random((mebibytes << 20) / more * bytes, (seed << 16) + ((self as u64) << 8) + n as u64)
                .gzipped()
        });
        Image::builder().layers(layers).build()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "small",
            Self::Typical => "typical",
            Self::Many => "many",
            Self::Big => "big",
        })
    }
}

/// An image that the registry has.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) kind: Kind,
    /// Its repository and tag: what follows the registry's host in a reference.
    pub(crate) name: String,
    /// The sizes of all its blobs.
    pub(crate) bytes: u64,
}

/// Makes an image, and pushes it to the registry at `host`.
pub(crate) async fn publish(kind: Kind, seed: u64, host: &str) -> Result<Published> {
    eprintln!("making the image {kind}");
    let made = tokio::task::spawn_blocking(move || kind.make(seed));
    let image = made.await.doing(format_args!("making the image {kind}"))?;
    let bytes = image.blobs().map(|blob| blob.bytes.len() as u64).sum();
    let repository = format!("bench/{kind}");
    push(host, &repository, "v1", image).await;
    Ok(Published { kind, name: format!("{repository}:v1"), bytes })
}
