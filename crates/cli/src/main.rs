//! The `hoist` command: results on stdout, everything else on stderr, an exit code for each kind of error.

mod args;
mod exit;
mod inspect;
mod interrupt;
mod login;
mod lookup;
mod output;
mod progress;
mod run;
mod upkeep;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Args;

fn main() -> ExitCode {
    let args = Args::parse();
    start_log(args.verbose);
    match run::run(args) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            exit::code(error.kind())
        }
    }
}

/// Log lines go to stderr: warnings, and with `-v` more. `HOIST_LOG` says exactly what, by module.
fn start_log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let default = format!(
        "hoist={level},hoist_cache={level},hoist_local={level},hoist_remote={level},hoist_store={level}"
    );
    let filter = EnvFilter::try_from_env("HOIST_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = std::io::stderr;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_target(false);
    log.without_time().with_ansi(stderr().is_terminal()).init();
}
