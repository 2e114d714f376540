//! Stores credentials at a login and removes them at a logout, in docker's file and format.

use std::fmt;
use std::fs::{DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hoist_core::{CredentialKind, Credentials, Error, ErrorKind, Result};
use hoist_store::blocking;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::Serialize;
use serde_json::{Map, Value, json};
use zeroize::{Zeroize, Zeroizing};

use super::auth_files::{AuthFile, login_file, read_file};
use super::docker_config::{DockerConfig, Wrong, is_key, without_mark};
use super::keychain::{DOCKER_HUB_SERVER, servers};
use super::{CredentialKey, Keychain};

/// Where a login was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoredIn {
    /// In this file, which only its owner may read, and which is not encrypted.
    File(PathBuf),
    /// By this credential helper.
    Helper(String),
}

impl fmt::Display for StoredIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Helper(name) => name.fmt(f),
        }
    }
}

impl Keychain {
    /// Stores the credentials for a host, in place of earlier ones.
    pub(crate) async fn store(&self, host: &CredentialKey, credentials: &Credentials) -> Result<StoredIn> {
        let path = self.login_file()?;
        let helper = self.helper_of(&path, host).await?;
        let entry = match &helper {
            Some(name) => {
                let helper = self.helper(name)?;
                helper.store(key(host), credentials).await?;
                json!({}) // as docker does: programs that list logins read it
            }
            None => entry(credentials),
        };
        let stored = match helper {
            Some(name) => StoredIn::Helper(format!("docker-credential-{name}")),
            None => StoredIn::File(path.clone()),
        };
        let host = host.clone();
        let put = move |auths: &mut Map<String, Value>| {
            replace(auths, &host, Some(entry));
        };
        blocking(move || edit(&path, put)).await?;
        self.forget();
        Ok(stored)
    }

    /// Forgets the credentials for a host, where [`store`](Self::store) would put them. `false`: there were none.
    pub(crate) async fn erase(&self, host: &CredentialKey) -> Result<bool> {
        let path = self.login_file()?;
        let mut erased = false;
        if let Some(name) = self.helper_of(&path, host).await? {
            let helper = self.helper(&name)?;
            for server in servers(host) {
                if helper.get(server).await?.is_some() {
                    helper.erase(server).await?;
                    erased = true;
                }
            }
        }
        let host = host.clone();
        let filed = move || {
            let mut filed = false;
            // A missing file need not be created.
            if read_file(&path)?.is_some() {
                edit(&path, |auths| filed = replace(auths, &host, None))?;
            }
            Ok(filed)
        };
        erased |= blocking(filed).await?;
        self.forget();
        Ok(erased)
    }

    fn login_file(&self) -> Result<PathBuf> {
        login_file(&self.environment()).ok_or_else(|| {
            Error::new(ErrorKind::InvalidConfig, "there is no place for a login: HOME is not set")
                .with_help("set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE")
        })
    }

    async fn helper_of(&self, path: &Path, host: &CredentialKey) -> Result<Option<String>> {
        let (file, host) = (AuthFile::File(path.to_owned()), host.clone());
        // A file's content does not depend on the environment.
        let helper = move || {
            let config = file.read(&|_| None)?.unwrap_or_default();
            config.helper(&host).map_err(|what| file.wrong(&what))
        };
        blocking(helper).await
    }
}

/// The key that docker files a host under.
fn key(host: &CredentialKey) -> &str {
    if host.host == "docker.io" { DOCKER_HUB_SERVER } else { &host.host }
}

fn entry(credentials: &Credentials) -> Value {
    let (user, secret) = (credentials.user(), credentials.secret());
    let encode =
        |password: &str| BASE64_STANDARD.encode(Zeroizing::new(format!("{user}:{password}")).as_bytes());
    match credentials.kind() {
        CredentialKind::Password => json!({"auth": encode(secret.expose())}),
        CredentialKind::IdentityToken => json!({"auth": encode(""), "identitytoken": secret.expose()}),
        CredentialKind::RegistryToken => json!({"registrytoken": secret.expose()}),
    }
}

/// Removes all entries of a host, in any spelling, and adds this one. Says whether there was any.
fn replace(auths: &mut Map<String, Value>, host: &CredentialKey, entry: Option<Value>) -> bool {
    let before = auths.len();
    auths.retain(|key, _| !DockerConfig::is_key_of(key, host));
    let was_there = auths.len() < before;
    if let Some(entry) = entry {
        auths.insert(key(host).to_owned(), entry);
    }
    was_there
}

/// Changes the `auths` of such a file and nothing else of it, atomically.
fn edit(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    let failed = |cause| Error::new(ErrorKind::InvalidConfig, doing()).with_source(cause);
    let wrong = |what: &str| AuthFile::File(path.to_owned()).wrong(what);
    // A symbolic link stays one: its target is replaced.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    // Logins at the same time wait for each other; the lock ends with the file's handle.
    let lock = File::open(directory).and_then(|dir| dir.lock().map(|()| dir)).map_err(failed)?;
    let (mut config, mut auths) = match read_file(&path)? {
        Some(text) => parts(&text).map_err(|what| wrong(&what))?,
        None => Default::default(),
    };
    change(&mut auths);
    config.insert("auths".to_owned(), auths.into());
    let config = Value::Object(config);
    let written = write(&path, directory, &config).map_err(failed);
    wipe(config);
    written?;
    lock.sync_all().map_err(failed)
}

/// The members of an object.
type Members = Map<String, Value>;

/// A file's parts without its `auths`, and the `auths`. It is read as a pull will read it.
fn parts(text: &[u8]) -> std::result::Result<(Members, Members), Wrong> {
    DockerConfig::parse(text)?;
    let mut documents = serde_json::Deserializer::from_slice(without_mark(text)).into_iter();
    let Parts(parts) = documents.next().unwrap_or(Ok(Parts::default())).map_err(|_| "it".to_owned())?;
    let (mut config, mut auths) = (Members::new(), Members::new());
    for (key, value) in parts {
        match value {
            value if !is_key(&key, "auths") => drop(config.insert(key, value)),
            Value::Object(entries) => auths.extend(entries),
            Value::Null => {}
            _ => return Err("`auths`".to_owned()),
        }
    }
    Ok((config, auths))
}

/// The members of an object, with those that are there twice.
#[derive(Default)]
struct Parts(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Parts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> std::result::Result<Parts, E> {
                Ok(Parts::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<Parts, A::Error> {
                let mut parts = Vec::new();
                while let Some(part) = entries.next_entry()? {
                    parts.push(part);
                }
                Ok(Parts(parts))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// Overwrites all texts of a document: many are secrets.
fn wipe(document: Value) {
    match document {
        Value::String(mut text) => text.zeroize(),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(entries) => entries.into_iter().for_each(|(_, value)| wipe(value)),
        _ => {}
    }
}

/// Puts a new file in the place of the old one, readable by its owner only.
fn write(path: &Path, directory: &Path, config: &Value) -> std::io::Result<()> {
    let mut text = Zeroizing::new(Vec::new());
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t"); // as docker writes it
    config.serialize(&mut serde_json::Serializer::with_formatter(&mut *text, tabs))?;
    text.push(b'\n');
    let mut prefix = path.file_name().unwrap_or_default().to_owned();
    prefix.push(".hoist-");
    let mut new = tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    new.write_all(&text)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}
