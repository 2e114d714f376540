//! The images of the store for other programs: `hoist serve`.

use std::process::ExitCode;

use hoist::Result;

use super::Context;

/// Serves until a signal, and lets the running answers end then.
#[cfg(feature = "serve")]
pub(super) async fn serve(context: &Context<'_>) -> Result<ExitCode> {
    use crate::output;

    let server = context.hoist.server(&context.config.serve).await?;
    let mut signals = Signals::new()?;
    let address = server.address();
    let line = serde_json::json!({"listen": address});
    output::result(context.json, &line, || format!("http://{address}").into_bytes())?;
    let (withheld, all) = server.withheld().await?;
    if withheld > 0 {
        output::note(&format!(
            "hoist: {withheld} of {all} images are not served: they came with credentials, are not shared, or were \
             pulled by an older hoist"
        ));
    }
    let stopper = server.stopper();
    let mut running = std::pin::pin!(server.run());
    tokio::select! {
        () = &mut running => return Ok(ExitCode::SUCCESS),
        () = signals.next() => stopper.stop(),
    }
    // A second signal does not wait for the answers.
    tokio::select! {
        () = running => {}
        () = signals.next() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C, and the signal by which a service manager stops a process.
#[cfg(feature = "serve")]
struct Signals([tokio::signal::unix::Signal; 2]);

#[cfg(feature = "serve")]
impl Signals {
    fn new() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let failed = |cause| hoist::Error::io("cannot wait for signals", cause);
        let of = |kind| signal(kind).map_err(failed);
        Ok(Self([of(SignalKind::terminate())?, of(SignalKind::interrupt())?]))
    }

    async fn next(&mut self) {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Fails: this build lacks the feature.
#[cfg(not(feature = "serve"))]
#[expect(clippy::unused_async, reason = "the command is asynchronous where it exists")]
pub(super) async fn serve(_: &Context<'_>) -> Result<ExitCode> {
    Err(missing())
}

/// What to do where this build lacks the feature.
#[cfg(not(feature = "serve"))]
pub(super) fn missing() -> hoist::Error {
    let message = "this build of hoist does not serve images";
    hoist::Error::new(hoist::ErrorKind::Unsupported, message)
        .with_help("install it with `cargo install --path crates/cli --features serve`")
}
