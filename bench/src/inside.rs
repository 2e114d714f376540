//! What this program does where it runs as a process of its own measurements.

use tokio::runtime::Runtime;

use crate::args::Inside;
use crate::failure::{Doing, Result};
use crate::{floor, measure, oci_client, scale, warm};

/// Does it.
pub(crate) fn run(inside: &Inside) -> Result<()> {
    match inside {
        Inside::Scale { images, dir } => runtime()?.block_on(scale::run(dir.as_deref(), images)),
        Inside::Measure { command } => measure::measure_here(command),
        Inside::Floor { reference, destination, connections, synced } => {
            floor::fetch(reference, destination, *connections, *synced)
        }
        Inside::OciClient { reference, destination } => {
            runtime()?.block_on(oci_client::fetch(reference, destination))
        }
        Inside::Warm { reference, root } => runtime()?.block_on(warm::pull_cached(reference, root)),
        Inside::Together { reference, root, count } => {
            runtime()?.block_on(warm::pull_together(reference, root, *count))
        }
    }
}

fn runtime() -> Result<Runtime> {
    Runtime::new().doing("starting threads")
}
