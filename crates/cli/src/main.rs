//! The `hoist` command: prints results on stdout and everything else on stderr, with an exit code for each kind
//! of error.

mod args;
mod command;
mod exit;
mod interrupt;
mod output;
mod progress;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::Args;
use crate::output::screen::Log;
use crate::output::style;

/// How many bytes the heap may keep for later buffers: several times the data that waits for the disk.
const KEPT_BY_THE_HEAP: usize = 16 << 20;

fn main() -> ExitCode {
    keep_the_heap();
    let args = Args::parse();
    start_log(args.verbose);
    match command::run(args) {
        Ok(code) => code,
        Err(error) => {
            output::error(&error);
            exit::code(error.kind())
        }
    }
}

/// Makes glibc keep the memory of freed buffers. By default, glibc returns the end of the heap to the system as
/// soon as 128 KiB of it are free. Each buffer of a connection is then mapped and cleared again, which costs
/// 3,000 page faults for an image of 90 MiB. The threshold follows the largest block that was freed
/// (mallopt(3), `M_MMAP_THRESHOLD`). This block is never touched, so it costs only two system calls.
fn keep_the_heap() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(KEPT_BY_THE_HEAP)));
}

/// Writes log lines to stderr: warnings, and more with `-v`. `HOIST_LOG` sets the level of each module.
fn start_log(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    // As a prefix, it covers every crate of hoist: `hoist_store`, `hoist_remote` and so on.
    let default = format!("hoist={level}");
    let filter = EnvFilter::try_from_env("HOIST_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Log).with_target(false);
    log.without_time().with_ansi(style::on_stderr()).init();
}
