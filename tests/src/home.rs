//! A user's home directory of a test's own, with credentials in it and helpers that keep more.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A home directory; dropped, it is gone.
#[derive(Debug)]
pub struct Home(TempDir);

/// A credential helper in a home: `tests/helpers/docker-credential-fake` by another name, in a directory of its own.
#[derive(Debug, Clone)]
pub struct Helper(PathBuf);

impl Home {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// If the temporary directory cannot be written.
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
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        write(&self.path().join(name), text);
    }

    /// Writes docker's file.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn write_docker_config(&self, text: &str) {
        self.write(".docker/config.json", text);
    }

    /// Installs a helper: `docker-credential-NAME`.
    ///
    /// # Panics
    ///
    /// If it cannot be linked to.
    #[must_use]
    pub fn helper(&self, name: &str) -> Helper {
        let directory = self.path().join("helpers").join(name);
        fs::create_dir_all(&directory).expect("the home can be written");
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("helpers/docker-credential-fake");
        let link = directory.join(format!("docker-credential-{name}"));
        symlink(fake, link).expect("the helper can be linked to");
        Helper(directory)
    }

    /// The variables that lead here: `HOME`, and `PATH` with the helpers that there are.
    ///
    /// # Panics
    ///
    /// If the home cannot be read.
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
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn keep(&self, server: &str, answer: &str) {
        self.write(&format!("kept-{}", server.replace(['/', ':'], "_")), answer);
    }

    /// Has it keep credentials for a server.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
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
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn fail(&self, says: &str) {
        self.write("says", says);
    }

    /// Has it hang.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
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
