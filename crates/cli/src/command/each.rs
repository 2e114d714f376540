//! The same work for several references.

use std::process::ExitCode;

use futures_util::stream::{FuturesOrdered, StreamExt};
use hoist::Result;
use tokio::sync::Semaphore;

use crate::{exit, output};

/// Does the same work for each reference, `at_once` of them in parallel, and continues after a failure. Prints
/// the results in the order of the references. The exit code is that of the first failure in this order.
pub(super) async fn each<T>(
    references: &[String],
    at_once: usize,
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
        let printed = outcome.and_then(&print).inspect_err(output::error);
        if let Err(error) = printed
            && code == ExitCode::SUCCESS
        {
            code = exit::code(error.kind());
        }
    }
    Ok(code)
}
