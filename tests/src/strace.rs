//! The command, watched: its system calls, and what it does when one of them fails.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

use crate::call::Call;
use crate::command::{Output, finished, hoist_binary};

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

    /// Answers every call of this name with an error.
    pub fn always_failing(self, call: &str, error: &str) -> Self {
        self.with(&["-e", &format!("inject={call}:error={error}")])
    }

    /// Overwrites the beginning of what every call of this name answers in the memory that its `nth` argument points to.
    pub fn always_poking(self, call: &str, nth: usize, bytes: &[u8]) -> Self {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        self.with(&["-e", &format!("inject={call}:poke_exit=@arg{nth}={hex}")])
    }

    /// Runs `hoist` as [`hoist`](crate::hoist) does; its calls come with what it did.
    ///
    /// # Panics
    ///
    /// If `strace` is not installed, saying so.
    pub fn hoist(&self, root: &Path, arguments: &[&str]) -> (Output, Vec<Call>) {
        let (output, calls) = self.hoist_while(root, arguments, |_| true);
        (output.expect("nobody killed it"), calls)
    }

    /// The same, but kills the command where a call was made to fail that should not have been. `None`: that
    /// was so.
    ///
    /// # Panics
    ///
    /// If `strace` is not installed, saying so.
    pub fn hoist_while(
        &self,
        root: &Path,
        arguments: &[&str],
        may_fail: impl Fn(&Call) -> bool + Send,
    ) -> (Option<Output>, Vec<Call>) {
        // The trace comes by a pipe, to be looked at while the command runs. A pipe that is the standard
        // input can be opened by a path; the command reads nothing from there.
        let (trace, to_trace) = std::io::pipe().expect("a pipe can be made");
        let mut command = Command::new("strace");
        command.args(&self.options).args(["-o", "/proc/self/fd/0"]).arg(hoist_binary()).args(arguments);
        command.env_clear().env("HOIST_ROOT", root).stdin(to_trace);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|cause| panic!("cannot run strace: {cause}; install it"));
        drop(command); // else the trace had no end
        thread::scope(|scope| {
            let trace = scope.spawn(|| read(trace, may_fail));
            let output = child.wait_with_output().expect("what was started ends");
            (finished(&output), Call::read_all(&trace.join().expect("the trace is understood")))
        })
    }

    fn with(mut self, options: &[&str]) -> Self {
        self.options.extend(options.iter().copied().map(str::to_owned));
        self
    }
}

/// Reads a trace to its end, and kills the command after a call that may not fail was made to.
fn read(trace: impl Read, may_fail: impl Fn(&Call) -> bool) -> String {
    let (mut text, mut trace) = (String::new(), BufReader::new(trace));
    while trace.read_line(&mut text).expect("a trace can be read") > 0 {
        if !text.ends_with("(INJECTED)\n") {
            continue;
        }
        if let Some(call) = Call::read_all(&text).iter().find(|call| call.is_injected && !may_fail(call)) {
            let thread = Pid::from_raw(call.thread.cast_signed()).expect("a thread has a number");
            _ = kill_process(thread, Signal::KILL); // it may have ended by itself
        }
    }
    text
}
