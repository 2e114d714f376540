//! Root file systems of images: `hoist rootfs`.

use std::process::ExitCode;

use hoist::Result;

use super::Context;
use crate::args::RootFsArgs;

/// Makes a root file system of an image, and prints its path.
#[cfg(feature = "rootfs")]
pub(super) async fn rootfs(context: &Context<'_>, args: RootFsArgs) -> Result<ExitCode> {
    use std::os::unix::ffi::OsStrExt;

    use crate::{interrupt, output};

    let options = options(&args)?;
    let make = async {
        let root = match &args.output {
            Some(path) => context.hoist.write_root_fs(&args.reference, &options, path).await?,
            None => context.hoist.root_fs(&args.reference, &options).await?,
        };
        let path = std::path::absolute(&root.path).unwrap_or(root.path);
        let mut value =
            serde_json::json!({"format": options.format.as_str(), "image": root.image, "path": path});
        if let Some(verity) = root.verity {
            let (hash, offset) = (&verity.root_hash, verity.hash_offset);
            output::note(&format!("root hash: {hash}\nhash offset: {offset}"));
            value["verity"] =
                serde_json::json!({"root_hash": hash, "hash_offset": offset, "salt": verity.salt});
        }
        output::result(context.json, &value, || path.as_os_str().as_bytes().to_vec())?;
        Ok(ExitCode::SUCCESS)
    };
    let interrupted = || output::note("hoist: interrupted: the image's bytes that arrived are kept");
    interrupt::or_done(make, interrupted).await
}

#[cfg(feature = "rootfs")]
fn options(args: &RootFsArgs) -> Result<hoist::RootFsOptions> {
    use crate::args::RootFsFormat;

    let mut options = match args.format {
        RootFsFormat::Erofs => hoist::RootFsOptions::erofs(),
        RootFsFormat::Ext4 => hoist::RootFsOptions::ext4(),
        RootFsFormat::Dir => hoist::RootFsOptions::directory(),
    };
    if let Some(size) = args.size {
        options = options.with_size(size.as_u64());
    }
    if args.verity {
        options = options.with_verity();
    }
    for file in &args.added {
        options = options.with_added(file.parse()?);
    }
    Ok(options)
}

/// Fails: this build lacks the feature.
#[cfg(not(feature = "rootfs"))]
#[expect(clippy::unused_async, reason = "the command is asynchronous where it exists")]
pub(super) async fn rootfs(_: &Context<'_>, _: RootFsArgs) -> Result<ExitCode> {
    Err(missing())
}

/// What to do where this build lacks the feature.
#[cfg(not(feature = "rootfs"))]
pub(super) fn missing() -> hoist::Error {
    let message = "this build of hoist makes no root file systems";
    hoist::Error::new(hoist::ErrorKind::Unsupported, message)
        .with_help("install it with `cargo install --path crates/cli --features rootfs`")
}
