//! The same work for several references.

use std::process::ExitCode;

use futures_util::stream::{FuturesOrdered, StreamExt};
use hoist::Result;
use tokio::sync::Semaphore;

use crate::progress::Progress;
use crate::{exit, output};

/// Does the same work for each reference, `at_once` of them in parallel, and continues after a failure. Prints
/// the results in the order of the references. The exit code is that of the first failure in this order.
pub(super) async fn each<T>(
    references: &[String],
    at_once: usize,
    progress: Option<&Progress>,
    work: impl AsyncFn(&str) -> Result<T>,
    print: impl Fn(T) -> Result<()>,
) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let turns = Semaphore::new(at_once.min(references.len()));
    let in_turn = async |reference: &String| {
        let _turn = turns.acquire().await;
        work(reference).await
    };
    let mut outcomes: FuturesOrdered<_> = references.iter().map(in_turn).collect();
    while let Some(outcome) = outcomes.next().await {
        let printed = beside(progress, || outcome.and_then(&print).inspect_err(output::error));
        if let Err(error) = printed
            && code == ExitCode::SUCCESS
        {
            code = exit::code(error.kind());
        }
    }
    if let Some(progress) = progress {
        progress.clear(); // failed downloads have left their bars
    }
    Ok(code)
}

/// Prints without disturbing the progress bars.
fn beside<T>(progress: Option<&Progress>, print: impl FnOnce() -> T) -> T {
    match progress {
        Some(progress) => progress.beside(print),
        None => print(),
    }
}
