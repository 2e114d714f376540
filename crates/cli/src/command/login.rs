//! Logging in to a registry, and out of it.

use std::fs::File;
use std::io::{IsTerminal, Read, Write, stderr, stdin};
use std::process::ExitCode;

use hoist::{Config, Credentials, Error, ErrorKind, FoundIn, Hoist, Result, StoredIn};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::LoginArgs;
use crate::output;

const MAX_PASSWORD: u64 = 1 << 20; // some tokens have tens of kilobytes

/// Checks the credentials with the registry, stores them, and prints where. Warns if a pull will not find them
/// there.
pub(super) async fn login(hoist: &Hoist, config: &Config, json: bool, args: LoginArgs) -> Result<ExitCode> {
    let registry = &args.registry;
    let mut login = hoist.login().map_err(|error| error.context(format!("cannot log in to {registry}")))?;
    if args.plain_http {
        login = login.with_plain_http(registry);
    }
    let user = match args.username {
        Some(user) => user,
        None => ask_user(registry)?,
    };
    let password = if args.password_stdin { read_password()? } else { ask_password(&user, registry)? };
    if user.is_empty() || password.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidConfig,
            format!("cannot log in to {registry}: the username or the password is empty"),
        ));
    }
    let stored = login.login(registry, &Credentials::basic(user, password.as_str())).await?;
    output::result(json, &json!({"registry": registry, "stored": stored.to_string()}), || {
        let how = match &stored {
            StoredIn::Helper(_) => "kept by",
            _ => "stored, not encrypted, in",
        };
        format!("logged in to {registry}; the password is {how} {stored}").into_bytes()
    })?;
    let found = login.source(registry).await?;
    if let Some(reason) = why_unused(&stored, found.as_ref(), config) {
        _ = writeln!(stderr(), "hoist: pulls do not use this login: {reason}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Removes the credentials that a login stored. Succeeds if there were none.
pub(super) async fn logout(hoist: &Hoist, json: bool, registry: &str) -> Result<ExitCode> {
    let login = hoist.login()?;
    let removed = login.logout(registry).await?;
    output::result(json, &json!({"registry": registry, "removed": removed}), || {
        let what = if removed { "logged out of" } else { "there was no login to" };
        format!("{what} {registry}").into_bytes()
    })?;
    if let Some(left) = login.source(registry).await? {
        let left = place(&left);
        _ = writeln!(stderr(), "hoist: credentials for {registry} are still in {left}, and are used");
    }
    Ok(ExitCode::SUCCESS)
}

/// The reason why a pull does not use the credentials that were just stored, if any.
fn why_unused(stored: &StoredIn, found: Option<&FoundIn>, config: &Config) -> Option<String> {
    match found {
        // A credential helper may give no answer now, and one later.
        None if config.remote.keychain.unwrap_or(true) => None,
        None => Some("`remote.keychain` is false".to_owned()),
        Some(FoundIn::Keychain(place)) if *place == stored.to_string() => None,
        Some(others) => Some(format!("others are in {}, which goes before it", place(others))),
    }
}

fn place(found: &FoundIn) -> String {
    match found {
        FoundIn::Given => "`remote.credentials` of the configuration".to_owned(),
        other => other.to_string(),
    }
}

fn ask_user(registry: &str) -> Result<String> {
    if !stdin().is_terminal() {
        return Err(Error::new(ErrorKind::InvalidConfig, "cannot ask for the username without a terminal")
            .with_help("give it with --username"));
    }
    _ = write!(stderr(), "Username for {registry}: ");
    let mut line = String::new();
    stdin().read_line(&mut line).map_err(|cause| Error::io("cannot read the username", cause))?;
    Ok(line.trim().to_owned())
}

fn ask_password(user: &str, registry: &str) -> Result<Zeroizing<String>> {
    let failed = |cause| {
        Error::new(ErrorKind::InvalidConfig, "cannot ask for the password without a terminal")
            .with_source(cause)
            .with_help("give it with --password-stdin")
    };
    let prompt = format!("Password for {user} at {registry}: ");
    let _quiet = Quiet::new(); // rpassword turns the echo off as well, but only after its prompt
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(failed)
}

/// Turns off the terminal's echo for as long as this lives.
struct Quiet(Option<(File, Termios)>);

impl Quiet {
    /// Turns off the echo of this process's terminal, if it has one.
    fn new() -> Self {
        let quiet = || {
            let terminal = File::open("/dev/tty").ok()?;
            let before = tcgetattr(&terminal).ok()?;
            let mut quiet = before.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&terminal, OptionalActions::Now, &quiet).ok()?;
            Some((terminal, before))
        };
        Self(quiet())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.0 {
            _ = tcsetattr(terminal, OptionalActions::Now, before);
        }
    }
}

/// Reads all of stdin, without the trailing line break.
fn read_password() -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let read = stdin().take(MAX_PASSWORD).read_to_string(&mut text);
    read.map_err(|cause| Error::io("cannot read the password", cause))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}
