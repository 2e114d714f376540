//! Pulling images: `hoist pull`.

use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use hoist::{ImageRegistry, PulledImage, Result};

use super::Context;
use super::each::each;
use crate::args::PullArgs;
use crate::output::human;
use crate::progress::Progress;
use crate::{interrupt, output};

/// How many images to pull at once by default: as many as docker does with layers.
const PULLS: usize = 3;

/// Pulls images, and prints the path of each image's layout.
pub(super) async fn pull(context: &Context<'_>, args: PullArgs) -> Result<ExitCode> {
    let Context { hoist, config, json, progress, .. } = *context;
    let at_once = config.max_pulls.map_or(PULLS, NonZeroUsize::get);
    let pull = async |reference: &str| {
        if args.force { hoist.force_pull(reference).await } else { hoist.pull(reference).await }
    };
    let print =
        |image: PulledImage| output::result(json, &image, || image.path.as_os_str().as_bytes().to_vec());
    let interrupted = || output::note(&interrupted(progress.map_or(0, Progress::fetched)));
    interrupt::or_done(each(&args.references, at_once, pull, print), interrupted).await
}

/// What to tell a user who has interrupted a pull, after this many bytes.
fn interrupted(fetched: u64) -> String {
    let kept = match fetched {
        0 => "whatever has arrived is kept".to_owned(),
        bytes => format!("the {} that arrived are kept", human::size(bytes)),
    };
    format!("hoist: interrupted: {kept}, and the next pull continues from there")
}
