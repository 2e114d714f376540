//! What the environment may say in place of a file.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use hoist_core::Result;

use super::{CacheConfig, Config, NamePattern, invalid, values};

/// The variable that names the file.
const CONFIG: &str = "HOIST_CONFIG";

/// A variable, and how its key is set.
type Variable = (&'static str, fn(&mut Config, &OsStr) -> Result<()>);

/// The variable of a key is called as the key is, in upper case, with `_` for what parts its words.
const VARIABLES: &[Variable] = &[
    ("HOIST_ROOT", |config, value| path(value).map(|path| config.root = path)),
    ("HOIST_PLATFORM", |config, value| text(value)?.parse().map(|it| config.platform = Some(it))),
    ("HOIST_DURABILITY", |config, value| {
        values::parse_durability(text(value)?).map(|it| config.durability = it)
    }),
    ("HOIST_MAX_SIZE", |config, value| values::parse_size(text(value)?).map(|it| config.max_size = Some(it))),
    ("HOIST_ACCESS_GROUP", |config, value| number(value).map(|it| config.access_group = Some(it))),
    ("HOIST_ALLOW_NETWORK_FILE_SYSTEM", |config, value| {
        flag(value).map(|it| config.allow_network_file_system = it)
    }),
    ("HOIST_OFFLINE", offline),
    ("HOIST_MAX_PULLS", |config, value| number(value).map(|it| config.max_pulls = Some(it))),
    ("HOIST_OBSERVE", |config, value| flag(value).map(|it| config.observe = it)),
    ("HOIST_REMOTE_ENABLED", |config, value| flag(value).map(|it| config.remote.enabled = Some(it))),
    ("HOIST_REMOTE_CLIENT", |config, value| text(value)?.parse().map(|it| config.remote.client = Some(it))),
    ("HOIST_REMOTE_CONNECTIONS", |config, value| {
        number(value).map(|it| config.remote.options.connections = Some(it))
    }),
    ("HOIST_REMOTE_STALL_TIMEOUT", |config, value| {
        duration(value).map(|it| config.remote.options.stall_timeout = Some(it))
    }),
    ("HOIST_REMOTE_RETRIES", |config, value| {
        number(value).map(|it| config.remote.options.retries = Some(it))
    }),
    ("HOIST_REMOTE_CONNECT_TIMEOUT", |config, value| {
        duration(value).map(|it| config.remote.options.connect_timeout = Some(it))
    }),
    ("HOIST_REMOTE_ANSWER_TIMEOUT", |config, value| {
        duration(value).map(|it| config.remote.options.answer_timeout = Some(it))
    }),
    ("HOIST_REMOTE_RESPONSE_TIMEOUT", |config, value| {
        duration(value).map(|it| config.remote.options.response_timeout = Some(it))
    }),
    ("HOIST_REMOTE_HOSTS_DIR", |config, value| {
        config.remote.options.hosts_dir = Some(std::env::split_paths(value).collect());
        Ok(())
    }),
    ("HOIST_REMOTE_KEYCHAIN", |config, value| flag(value).map(|it| config.remote.keychain = Some(it))),
    ("HOIST_REMOTE_PLAIN_HTTP", |config, value| list(value).map(|it| config.remote.options.plain_http = it)),
    ("HOIST_REMOTE_FOREIGN_LAYERS", |config, value| {
        list(value).map(|it| config.remote.options.foreign_layers = it)
    }),
    ("HOIST_LOCAL_PATH", |config, value| path(value).map(|it| config.local.path = Some(it))),
    ("HOIST_LOCAL_REPOSITORY", |config, value| {
        text(value)?.parse().map(|it| config.local.repository = Some(it))
    }),
    ("HOIST_LOCAL_WRITABLE", |config, value| flag(value).map(|it| config.local.writable = it)),
    ("HOIST_LOCAL_IMMUTABLE", |config, value| flag(value).map(|it| config.local.immutable = it)),
    ("HOIST_CACHE_ENABLED", cache),
    ("HOIST_CACHE_POLICY", |config, value| text(value)?.parse().map(|it| config.cache.policy = Some(it))),
    ("HOIST_CACHE_SERVE_STALE", |config, value| flag(value).map(|it| config.cache.serve_stale = it)),
    ("HOIST_CACHE_REMEMBER_NOT_FOUND", |config, value| {
        duration(value).map(|it| config.cache.remember_not_found = Some(it))
    }),
    ("HOIST_ADMISSION_ALLOW", |config, value| patterns(value).map(|it| config.admission.allow = Some(it))),
    ("HOIST_ADMISSION_DENY", |config, value| patterns(value).map(|it| config.admission.deny = it)),
    ("HOIST_ADMISSION_REQUIRE_DIGEST", |config, value| {
        patterns(value).map(|it| config.admission.require_digest = it)
    }),
    ("HOIST_SERVE_LISTEN", |config, value| address(value).map(|it| config.serve.listen = it)),
    ("HOIST_SERVE_DEFAULT_REGISTRY", |config, value| {
        text(value).map(|it| config.serve.default_registry = Some(it.to_owned()))
    }),
    ("HOIST_SERVE_SHARE", |config, value| patterns(value).map(|it| config.serve.share = Some(it))),
    ("HOIST_SERVE_SHARE_PRIVATE", |config, value| patterns(value).map(|it| config.serve.share_private = it)),
    ("HOIST_SERVE_NAMES", |config, value| list(value).map(|it| config.serve.names = it)),
    ("HOIST_SERVE_MAX_CONNECTIONS", |config, value| {
        number(value).map(|it| config.serve.max_connections = Some(it))
    }),
];

impl Config {
    /// The configuration of this process: the file that `HOIST_CONFIG` names, where it names one, with what the
    /// other variables say [in its place](Self::with_env).
    ///
    /// Fails with [`InvalidConfig`](hoist_core::ErrorKind::InvalidConfig), and names the file and the key, or the
    /// variable.
    pub fn from_env() -> Result<Self> {
        match std::env::var_os(CONFIG).filter(|path| !path.is_empty()) {
            Some(path) => Self::load_with_env(path),
            None => Self::default().with_env(),
        }
    }

    /// Takes from the environment what it says: `HOIST_ROOT` goes before `root`, `HOIST_REMOTE_RETRIES` before
    /// `retries` in `[remote]`, and so on. A variable that is empty says nothing.
    ///
    /// Fails with [`InvalidConfig`](hoist_core::ErrorKind::InvalidConfig), and names the variable.
    pub fn with_env(self) -> Result<Self> {
        self.with_variables(|name| std::env::var_os(name))
    }

    /// As [`with_env`](Self::with_env), with this in place of the environment.
    ///
    /// ```
    /// let variables = |name: &str| (name == "HOIST_ROOT").then(|| "/srv/store".into());
    /// let config = hoist::Config::default().with_variables(variables)?;
    /// assert_eq!(config.root, std::path::Path::new("/srv/store"));
    /// # Ok::<(), hoist::Error>(())
    /// ```
    pub fn with_variables(mut self, lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        for (name, set) in VARIABLES {
            if let Some(value) = lookup(name).filter(|value| !value.is_empty()) {
                set(&mut self, &value).map_err(|error| {
                    invalid(format!("the environment variable `{name}` cannot be used")).with_source(error)
                })?;
            }
        }
        self.check().map_err(|error| error.context("the environment does not fit the configuration"))?;
        Ok(self)
    }
}

/// Goes before what a file says of asking registries, as any variable goes before the file.
fn offline(config: &mut Config, value: &OsStr) -> Result<()> {
    config.offline = flag(value)?;
    if config.offline {
        config.remote.enabled = None;
    }
    Ok(())
}

/// One that does not answer has nothing of what a file says of how.
fn cache(config: &mut Config, value: &OsStr) -> Result<()> {
    let enabled = flag(value)?;
    if !enabled {
        config.cache = CacheConfig::default();
    }
    config.cache.enabled = Some(enabled);
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "as the other kinds of values are read")]
fn path(value: &OsStr) -> Result<PathBuf> {
    Ok(Path::new(value).to_owned())
}

fn text(value: &OsStr) -> Result<&str> {
    value.to_str().ok_or_else(|| invalid("it is not UTF-8"))
}

fn flag(value: &OsStr) -> Result<bool> {
    match text(value)? {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        other => Err(invalid(format!("{other:?} is neither true nor false"))),
    }
}

fn number<T: FromStr>(value: &OsStr) -> Result<T> {
    let text = text(value)?;
    text.parse().map_err(|_| invalid(format!("{text:?} is not a number that this can be")))
}

fn address(value: &OsStr) -> Result<SocketAddr> {
    let text = text(value)?;
    text.parse().map_err(|_| values::unreadable(text, "an address with a port", "127.0.0.1:5000"))
}

fn duration(value: &OsStr) -> Result<Duration> {
    hoist_core::duration::parse(text(value)?)
}

/// Values with commas between them.
fn list(value: &OsStr) -> Result<Vec<String>> {
    let values = text(value)?.split(',').map(str::trim);
    Ok(values.filter(|value| !value.is_empty()).map(str::to_owned).collect())
}

fn patterns(value: &OsStr) -> Result<Vec<NamePattern>> {
    list(value)?.iter().map(|pattern| pattern.parse()).collect()
}
