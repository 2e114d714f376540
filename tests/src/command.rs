//! Running commands, the project's own and the peers'.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hoist_testkit::Home;

/// What a command did.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// What it printed as its result.
    pub stdout: String,
    /// What else it said.
    pub stderr: String,
}

impl Output {
    /// The standard output, without the last line break.
    ///
    /// # Panics
    ///
    /// If the command failed.
    pub fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout.trim_end()
    }
}

/// Runs a peer to its end.
///
/// # Panics
///
/// If it is not installed, saying what to install, or was killed.
pub fn run(program: &str, arguments: &[&str]) -> Output {
    output(Command::new(program).args(arguments).env_remove("HOIST_CONFIG"), program)
}

/// Runs `hoist` on a store of its own, with nothing of this user's configuration.
///
/// # Panics
///
/// If the command was not built: `cargo build -p hoist-cli`.
pub fn hoist(root: &Path, arguments: &[&str]) -> Output {
    hoist_with(&[], root, arguments)
}

/// The same with these environment variables.
///
/// # Panics
///
/// If the command was not built: `cargo build -p hoist-cli`.
pub fn hoist_with(environment: &[(&str, &Path)], root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(hoist_binary());
    command.env_clear().env("HOIST_ROOT", root).envs(environment.iter().copied()).args(arguments);
    output(&mut command, "hoist")
}

/// Runs `hoist` for a user with this home, and feeds it this.
///
/// # Panics
///
/// If the command was not built: `cargo build -p hoist-cli`; or does not run.
pub fn hoist_at_home(home: &Home, variables: &[(&str, &str)], arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(hoist_binary());
    command.env_clear().env("HOIST_ROOT", home.path().join("store")).envs(home.variables());
    command.envs(variables.iter().copied()).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("hoist runs");
    let mut stdin = child.stdin.take().expect("its input is piped");
    // One that does not read it is free to.
    _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    finished(&child.wait_with_output().expect("hoist runs")).expect("hoist was not killed")
}

fn output(command: &mut Command, program: &str) -> Output {
    let output = command.output().unwrap_or_else(|cause| panic!("cannot run {program}: {cause}; install it"));
    finished(&output).unwrap_or_else(|| panic!("{program} was killed"))
}

/// What a command did. `None`: it was killed.
pub(crate) fn finished(output: &std::process::Output) -> Option<Output> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Output { code: output.status.code()?, stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

/// The command of this build: beside the directory of the test that runs.
///
/// # Panics
///
/// If it was not built: `cargo build -p hoist-cli`.
#[must_use]
pub fn hoist_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile = test.parent().and_then(Path::parent).expect("a test is in target/<profile>/deps");
    let path = profile.join("hoist");
    assert!(path.exists(), "{} is missing; build it: cargo build -p hoist-cli", path.display());
    path
}
