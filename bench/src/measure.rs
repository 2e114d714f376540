//! What a process takes: wall clock, processor, memory.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

use crate::failure::{Doing, Failure, Result};
use crate::process::Group;

/// A client that takes longer hangs.
const LIMIT: Duration = Duration::from_mins(10);
/// How much of the end of what a client says is kept, in bytes.
const LAST_WORDS: usize = 400;

/// What a process took.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) succeeded: bool,
    /// Seconds from its start to its end.
    pub(crate) wall: f64,
    /// Seconds of processor time, its own and the kernel's for it.
    pub(crate) cpu: f64,
    /// The most memory that it had at a time, in bytes.
    pub(crate) memory: u64,
    /// What it printed as its result.
    pub(crate) stdout: String,
    /// The end of what else it said.
    pub(crate) stderr: String,
}

/// This program, to be run for something else.
pub(crate) fn this_program() -> Result<OsString> {
    Ok(std::env::current_exe().doing("looking for this program's file")?.into())
}

/// Runs a command in `dir` and measures it. It has nothing of this user's hoist configuration.
///
/// A process of this program's stands in between: the kernel gives a process's peak of memory to nobody but
/// its parent, sums it up over all its children, and counts what the parent had before it ran another program.
pub(crate) async fn measure(dir: &Path, command: &[OsString]) -> Result<Sample> {
    let doing = "measuring a command";
    let mut helper = Command::new(this_program()?);
    helper.args(["measure", "--"]).args(command).current_dir(dir);
    helper.env_remove("HOIST_CONFIG").env_remove("HOIST_ROOT").env_remove("HOIST_LOG");
    helper.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut process = Group::start(&mut helper).doing(doing)?;
    let mut stdout = process.child.stdout.take().expect("it is piped");
    let mut report = Vec::new();
    match timeout(LIMIT, stdout.read_to_end(&mut report)).await {
        Ok(read) => read.doing(doing)?,
        Err(_) => return Ok(Sample::hung()),
    };
    if !process.wait().await?.success() {
        return Err(Failure::new(format!("cannot run {}", command[0].display())));
    }
    serde_json::from_slice(&report).doing(doing)
}

impl Sample {
    fn hung() -> Self {
        let stderr = format!("it was not done after {} s", LIMIT.as_secs());
        Self {
            succeeded: false,
            wall: LIMIT.as_secs_f64(),
            cpu: 0.0,
            memory: 0,
            stdout: String::new(),
            stderr,
        }
    }

    /// The last line of what it said.
    pub(crate) fn complaint(&self) -> &str {
        self.stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing")
    }
}

/// The other side of [`measure`]: runs the command, and prints the sample.
pub(crate) fn measure_here(command: &[OsString]) -> Result<()> {
    let mut process = std::process::Command::new(&command[0]);
    process.args(&command[1..]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = command[0].display();
    let begin = Instant::now();
    let mut child = process.spawn().doing(format_args!("starting {program}"))?;
    let stderr = child.stderr.take().expect("it is piped");
    let stderr = std::thread::spawn(move || read_all(stderr));
    let stdout = read_all(child.stdout.take().expect("it is piped"));
    let status = child.wait().doing(format_args!("waiting for {program}"))?;
    let wall = begin.elapsed().as_secs_f64();
    let stderr = stderr.join().unwrap_or_default();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).doing("asking what it took")?;
    let microseconds = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let sample = Sample {
        succeeded: status.success(),
        wall,
        cpu: Duration::from_micros(microseconds.cast_unsigned()).as_secs_f64(),
        memory: usage.max_rss().cast_unsigned() << 10,
        stdout,
        stderr: last_words(&stderr),
    };
    println!("{}", serde_json::to_string(&sample).doing("printing what it took")?);
    Ok(())
}

fn read_all(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    _ = from.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn last_words(text: &str) -> String {
    text[text.ceil_char_boundary(text.len().saturating_sub(LAST_WORDS))..].to_owned()
}
