//! `hoist-bench`: hoist and other clients pull the same images over the same networks, in turn, and what each
//! of them took is printed as tables in Markdown.
//!
//! Nothing but this machine is involved: the registry is Debian's `docker-registry` on a loopback port, and the
//! networks are a proxy of our own. `--help` has the options.

#![allow(clippy::cast_precision_loss, reason = "no number here is measured to 53 bits")]

mod args;
mod containerd;
mod course;
mod cut;
mod failure;
mod floor;
mod images;
mod inside;
mod machine;
mod measure;
mod networks;
mod oci_client;
mod pace;
mod peers;
mod process;
mod proxy;
mod scale;
mod server;
mod table;
mod warm;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Args;
use crate::failure::{Doing, Failure, Result};

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.inside {
        Some(command) => inside::run(command),
        None => measure_all(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hoist-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(args: &Args) -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build().doing("starting threads")?;
    let outcome = runtime.block_on(async {
        // What is dropped on the way out stops its process, or deletes its directory.
        tokio::select! {
            outcome = course::run(args) => outcome,
            stopped = stop() => Err(stopped),
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Returns when somebody wants the program to end.
async fn stop() -> Failure {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = kinds.map(signal) else {
        return Failure::new("cannot listen for signals");
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Failure::new("stopped; all that it started is stopped, and its files are deleted")
}
