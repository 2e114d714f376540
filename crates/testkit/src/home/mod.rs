//! A user's home directory of a test's own: docker's credentials, and credential helpers that keep more.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a credential helper runs. It needs a shell, and the programs of every system.
const FAKE: &str = include_str!("docker-credential-fake");

/// A home directory, removed when this is dropped.
#[derive(Debug)]
pub struct Home(TempDir);

/// A fake of a docker credential helper, in a home. It keeps what it is given in files beside itself, and can be told
/// to fail or to hang.
#[derive(Debug, Clone)]
pub struct Helper(PathBuf);

impl Home {
    /// An empty one.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a directory is made")]
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory can be made"))
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Docker's file.
    #[must_use]
    pub fn docker_config(&self) -> PathBuf {
        self.path().join(".docker/config.json")
    }

    /// Writes a file, with the directories that it is in.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.path().join(name), text);
    }

    /// Writes docker's file.
    pub fn write_docker_config(&self, text: &str) {
        self.write(".docker/config.json", text);
    }

    /// Installs a helper: `docker-credential-NAME`.
    #[must_use]
    pub fn helper(&self, name: &str) -> Helper {
        let directory = self.path().join("helpers").join(name);
        fs::create_dir_all(&directory).expect("the home can be written");
        write_program(&directory.join(format!("docker-credential-{name}")), FAKE);
        Helper(directory)
    }

    /// The variables that lead here: `HOME`, and `PATH` with the helpers that there are.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, OsString)> {
        let helpers = fs::read_dir(self.path().join("helpers")).into_iter().flatten();
        let helpers = helpers.map(|helper| helper.expect("the home can be read").path());
        let path = std::env::join_paths(helpers.chain(["/usr/bin".into(), "/bin".into()]));
        vec![
            ("HOME".to_owned(), self.path().into()),
            ("PATH".to_owned(), path.expect("temporary paths have no colon")),
            // Else it would be a directory of the machine's.
            ("XDG_RUNTIME_DIR".to_owned(), self.path().join("run").into()),
        ]
    }

    /// The same as a function, for a keychain.
    pub fn lookup(&self) -> impl Fn(&str) -> Option<OsString> + Send + Sync + 'static {
        let variables = self.variables();
        move |name| variables.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    }
}

impl Helper {
    /// Has it keep this answer for a server.
    pub fn keep(&self, server: &str, answer: &str) {
        self.write(&format!("kept-{}", server.replace(['/', ':'], "_")), answer);
    }

    /// Has it keep credentials for a server.
    pub fn keep_login(&self, server: &str, user: &str, secret: &str) {
        let answer = format!(r#"{{"ServerURL":"{server}","Username":"{user}","Secret":"{secret}"}}"#);
        self.keep(server, &answer);
    }

    /// What it keeps for a server.
    #[must_use]
    pub fn kept(&self, server: &str) -> Option<String> {
        fs::read_to_string(self.0.join(format!("kept-{}", server.replace(['/', ':'], "_")))).ok()
    }

    /// Has it say this, and fail.
    pub fn fail(&self, says: &str) {
        self.write("says", says);
    }

    /// Has it hang.
    pub fn hang(&self) {
        self.write("hangs", "");
    }

    /// What it was asked so far, as lines: `get ghcr.io`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let asked = fs::read_to_string(self.0.join("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    }

    fn write(&self, name: &str, text: &str) {
        write(&self.0.join(name), text);
    }
}

fn write(path: &Path, text: &str) {
    let directory = path.parent().expect("a file is in a directory");
    fs::create_dir_all(directory).expect("the home can be written");
    fs::write(path, text).expect("the home can be written");
}

/// Writes a program from a process of its own. If this process wrote the file, a child that another test starts at that
/// moment would inherit it open for writing, and Linux would refuse to run it ("Text file busy").
fn write_program(path: &Path, text: &str) {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", r#"cat >"$0" && chmod 0755 "$0""#]).arg(path).stdin(Stdio::piped());
    let mut shell = shell.spawn().expect("there is a shell");
    let mut input = shell.stdin.take().expect("its input is piped");
    input.write_all(text.as_bytes()).expect("the shell reads");
    drop(input);
    assert!(shell.wait().expect("the shell runs").success(), "{} can be written", path.display());
}
