//! Programs that keep credentials: `docker-credential-NAME get`, `store` and `erase`
//! ([docker's credential helper protocol](https://github.com/docker/docker-credential-helpers)).

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use hoist_core::{CredentialKind, Credentials, Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use super::credential_key::normalized;
use super::docker_config::Json;
const MAX_ANSWER: u64 = 1 << 20; // tokens of some registries reach tens of kilobytes
const MAX_COMPLAINT: usize = 200; // characters of a failed helper's output that an error shows

/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

/// The messages of a helper that has no credentials, which is no failure.
const NOTHING: [&str; 3] = ["credentials not found", "no credentials server URL", "no credentials username"];

/// A helper that is installed.
#[derive(Debug)]
pub(crate) struct Helper {
    /// `docker-credential-NAME`.
    name: String,
    program: PathBuf,
    limit: Duration,
}

/// How a helper ended that could be run.
enum Outcome {
    Done(Zeroizing<Vec<u8>>),
    Nothing,
}

impl Helper {
    /// Finds a helper in the absolute directories of `PATH`: a relative one could lead to a stranger's program.
    ///
    /// A name that could be a path is refused (CVE-2025-15558).
    pub(crate) fn find(name: &str, path: Option<&OsStr>, limit: Duration) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(is_plain) {
            let message = format!("{name:?} is not the name of a credential helper");
            return Err(Error::new(ErrorKind::InvalidConfig, message)
                .with_help("write it as in docker-credential-NAME, with no directory"));
        }
        let name = format!("docker-credential-{name}");
        let directories = std::env::split_paths(path.unwrap_or_default()).filter(|dir| dir.is_absolute());
        let program = directories.map(|dir| dir.join(&name)).find(|program| {
            program.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        });
        let program = program.ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfig, format!("the credential helper {name} is not installed"))
                .with_help("install it, or take it out of the file that names it")
        })?;
        Ok(Self { name, program, limit })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The credentials that it keeps for this server.
    pub(crate) async fn get(&self, server: &str) -> Result<Option<Credentials>> {
        let Outcome::Done(answer) = self.run("get", server.as_bytes()).await? else { return Ok(None) };
        // The cause is left out: it could quote the secret.
        let wrong = || self.failed("answered what is no credentials");
        let mut members =
            Json::parse(&answer).ok().and_then(|answer| answer.members().ok()).ok_or_else(wrong)?;
        let mut take = |key| Json::take(&mut members, key).text().map_err(|_| wrong());
        let of = take("ServerURL")?;
        if !of.is_empty() && normalized(of.expose()) != normalized(server) {
            return Err(self.failed("answered with another registry's credentials"));
        }
        let (user, secret) = (take("Username")?.expose().to_owned(), take("Secret")?);
        Ok(match user.as_str() {
            _ if secret.is_empty() => None,
            TOKEN_USER => Some(Credentials::identity_token(secret)),
            _ => Some(Credentials::basic(user, secret)),
        })
    }

    /// Makes it keep these for this server.
    pub(crate) async fn store(&self, server: &str, credentials: &Credentials) -> Result<()> {
        let user = match credentials.kind() {
            CredentialKind::IdentityToken => TOKEN_USER,
            _ => credentials.user(),
        };
        let text = |text: &str| Zeroizing::new(serde_json::Value::from(text).to_string());
        let (server, user, secret) = (text(server), text(user), text(credentials.secret().expose()));
        let entry = Zeroizing::new(format!(
            "{{\"ServerURL\":{},\"Username\":{},\"Secret\":{}}}\n",
            *server, *user, *secret
        ));
        self.run("store", entry.as_bytes()).await.map(drop)
    }

    /// Makes it forget its credentials for this server.
    pub(crate) async fn erase(&self, server: &str) -> Result<()> {
        self.run("erase", server.as_bytes()).await.map(drop)
    }

    /// Runs it to its end, and kills it when its time is up.
    async fn run(&self, command: &str, input: &[u8]) -> Result<Outcome> {
        tracing::debug!(helper = self.name, command, "asking a credential helper");
        let child = Command::new(&self.program)
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // it could hold a secret
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = child.map_err(|cause| self.failed("cannot be run").with_source(cause))?;
        let mut group = Group(child.id());
        let talked = tokio::time::timeout(self.limit, talk(child, input)).await;
        let Ok(talked) = talked else {
            return Err(self.failed(&format!("did not answer in {:?}, and was ended", self.limit)));
        };
        let (succeeded, output) = talked.map_err(|cause| self.failed("broke off").with_source(cause))?;
        group.0 = None;
        if output.len() as u64 > MAX_ANSWER {
            return Err(self.failed("answered without end"));
        }
        match complaint(&output) {
            _ if succeeded => Ok(Outcome::Done(output)),
            Some(said) if NOTHING.iter().any(|nothing| said.contains(nothing)) => Ok(Outcome::Nothing),
            Some(said) => Err(self.failed(&format!("failed, and said: {said}"))),
            None => Err(self.failed("failed")),
        }
    }

    fn failed(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unauthorized, format!("the credential helper {} {what}", self.name))
            .with_help(format!("see what is wrong with `{} list`", self.name))
    }
}

/// Writes the input, reads the output, and waits for the end. Says whether the helper succeeded.
async fn talk(mut child: Child, input: &[u8]) -> std::io::Result<(bool, Zeroizing<Vec<u8>>)> {
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read all of it may know enough.
        _ = stdin.write_all(input).await;
    }
    let mut output = Zeroizing::new(Vec::new());
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_ANSWER + 1).read_to_end(&mut output).await?;
    }
    Ok((child.wait().await?.success(), output))
}

/// The first line of a failed helper's output, unless it looks like a secret.
fn complaint(output: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(output).ok()?.lines().find(|line| !line.trim().is_empty())?;
    let clean: String = line.trim().chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT).collect();
    Some(clean).filter(|line| !line.contains(['{', '"', '=']))
}

/// A helper and its child processes. Dropping this kills them.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(leader) = leader {
            _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
