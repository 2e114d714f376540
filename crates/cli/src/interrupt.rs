//! Ctrl-C: what goes on is dropped as an error would drop it, and put in order before the command ends.

use std::process::ExitCode;
use std::time::Duration;

use hoist::{Result, Store};
use tokio::signal::ctrl_c;
use tokio::time::timeout;

use crate::exit;

/// Does this to its end, or until Ctrl-C: then it is dropped.
pub(crate) async fn or_done(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    tokio::select! {
        biased;
        done = work => done,
        () = interrupted() => Ok(ExitCode::from(exit::INTERRUPTED)),
    }
}

/// Waits until the store has put in order what was dropped: for so long at most, and no longer than until Ctrl-C.
pub(crate) async fn clean_up(store: &Store, longest: Duration) {
    tokio::select! {
        biased;
        _ = timeout(longest, store.idle()) => {}
        () = interrupted() => {}
    }
}

/// Ends with the next Ctrl-C. Where none can be waited for, the system ends the command by itself.
async fn interrupted() {
    if ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
