//! The command, watched: its system calls, and what it does when one of them fails.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::call::Call;
use crate::command::{Output, hoist_binary, output};

/// No string of a trace is cut off: the data of a file is written in shorter pieces than this.
const LONGEST_STRING: &str = "4194304";

/// How a command is to be watched by Debian's `strace`.
#[derive(Debug, Clone)]
#[must_use]
pub struct Strace {
    options: Vec<String>,
}

impl Strace {
    /// Writes down these calls, as `strace -e trace=` takes them, of all threads.
    pub fn of(calls: &str) -> Self {
        let always = ["-f", "--seccomp-bpf", "-qq", "-xx", "-s", LONGEST_STRING];
        Self { options: always.map(str::to_owned).into() }.with(&["-e", &format!("trace={calls}")])
    }

    /// Writes down what each file descriptor is open on as well.
    pub fn with_paths(self) -> Self {
        self.with(&["-y"])
    }

    /// Answers the `nth` call of this name with an error, in each thread that makes as many.
    pub fn failing(self, call: &str, error: &str, nth: usize) -> Self {
        self.with(&["-e", &format!("inject={call}:error={error}:when={nth}")])
    }

    /// Runs `hoist` as [`hoist`](crate::hoist) does; its calls come with what it did.
    ///
    /// # Panics
    ///
    /// If `strace` is not installed, saying so.
    pub fn hoist(&self, root: &Path, arguments: &[&str]) -> (Output, Vec<Call>) {
        let dir = TempDir::new().expect("a temporary directory can be made");
        let log = dir.path().join("trace");
        let mut command = Command::new("strace");
        command.args(&self.options).arg("-o").arg(&log).arg(hoist_binary()).args(arguments);
        command.env_clear().env("HOIST_ROOT", root);
        let output = output(&mut command, "strace");
        let trace = fs::read_to_string(log).unwrap_or_else(|_| panic!("no trace: {}", output.stderr));
        (output, Call::read_all(&trace))
    }

    fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().copied().map(str::to_owned));
        self
    }
}
