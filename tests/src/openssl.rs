//! Certificates as people make them: with the commands that they find in instructions.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A directory of keys and certificates, `NAME.key` and `NAME.crt`, made by `openssl`.
#[derive(Debug)]
pub struct Openssl(TempDir);

impl Openssl {
    /// An empty one.
    ///
    /// # Panics
    ///
    /// If no directory can be made.
    #[must_use]
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory can be made"))
    }

    /// `openssl req -x509`, as Docker's documentation has it: a certificate that signs itself, with `CA:TRUE`.
    pub fn by_itself(&self, name: &str, more: &[&str]) -> &Self {
        let (key, crt) = (self.key(name), self.crt(name));
        let usual = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "30", "-subj"];
        self.run(
            &[&usual[..], &[&format!("/CN={name}"), "-keyout", &text(&key), "-out", &text(&crt)], more]
                .concat(),
        )
    }

    /// `openssl x509 -req -signkey`: an authority of X.509 version 1, as many in-house ones are.
    pub fn version_1(&self, name: &str) -> &Self {
        let (csr, key) = (self.request(name, &["rsa:2048"]), text(&self.key(name)));
        let out = text(&self.crt(name));
        self.run(&["x509", "-req", "-in", &csr, "-signkey", &key, "-days", "30", "-out", &out])
    }

    /// A certificate that `authority` signs, with these extensions: of version 1 if there are none. `key` is a kind of
    /// key, as `-newkey` takes it.
    ///
    /// # Panics
    ///
    /// If `openssl` fails, or is not installed.
    pub fn signed_by(&self, authority: &str, name: &str, key: &[&str], extensions: &str) -> &Self {
        let (csr, out) = (self.request(name, key), text(&self.crt(name)));
        let (ca, ca_key) = (text(&self.crt(authority)), text(&self.key(authority)));
        let file = self.0.path().join(format!("{name}.ext"));
        std::fs::write(&file, extensions).expect("extensions can be written");
        let extensions =
            if extensions.is_empty() { vec![] } else { vec!["-extfile".to_owned(), text(&file)] };
        let usual = ["x509", "-req", "-in", &csr, "-CA", &ca, "-CAkey", &ca_key, "-CAcreateserial"];
        let more = extensions.iter().map(String::as_str).collect::<Vec<_>>();
        self.run(&[&usual[..], &["-sha256", "-days", "30", "-out", &out], &more].concat())
    }

    /// Where this certificate is.
    #[must_use]
    pub fn crt(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.crt"))
    }

    /// Where its key is.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.key"))
    }

    fn request(&self, name: &str, key: &[&str]) -> String {
        let (csr, out) = (text(&self.0.path().join(format!("{name}.csr"))), text(&self.key(name)));
        let subject = format!("/CN={name}");
        let usual = ["-nodes", "-subj", &subject, "-keyout", &out, "-out", &csr];
        self.run(&[&["req", "-new", "-newkey"], key, &usual].concat());
        csr
    }

    fn run(&self, arguments: &[&str]) -> &Self {
        let output = Command::new("openssl").args(arguments).output();
        let output = output.expect("openssl runs; if it is missing: apt-get install openssl");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        self
    }
}

impl Default for Openssl {
    fn default() -> Self {
        Self::new()
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
