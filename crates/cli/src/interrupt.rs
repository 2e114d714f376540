//! Ctrl-C: drops the running work, as an error would, and cleans up before the command ends.

use std::process::ExitCode;
use std::time::Duration;

use hoist::{Result, Store};
use tokio::signal::ctrl_c;
use tokio::time::timeout;

use crate::exit;

/// Runs this work to its end, or drops it on Ctrl-C and tells the user.
pub(crate) async fn or_done(
    work: impl Future<Output = Result<ExitCode>>,
    tell: impl FnOnce(),
) -> Result<ExitCode> {
    tokio::select! {
        biased;
        done = work => done,
        () = interrupted() => {
            tell();
            Ok(ExitCode::from(exit::INTERRUPTED))
        }
    }
}

/// Waits until the store has cleaned up after dropped work, for at most `longest`, or until Ctrl-C.
pub(crate) async fn clean_up(store: &Store, longest: Duration) {
    tokio::select! {
        biased;
        _ = timeout(longest, store.idle()) => {}
        () = interrupted() => {}
    }
}

/// Returns on the next Ctrl-C. If the process cannot wait for one, the system ends the command on Ctrl-C
/// itself.
async fn interrupted() {
    if ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
