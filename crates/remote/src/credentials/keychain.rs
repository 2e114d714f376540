//! The credentials that `docker login`, `podman login` and `hoist login` have stored, looked up when they are needed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoist_core::{Credentials, Error, Result};
use hoist_store::blocking;
use tokio::time::Instant;

use super::CredentialKey;
use super::auth_files::{AuthFile, auth_files};
use super::docker_config::DockerConfig;
use super::helper::Helper;

/// The time that a helper may take: some ask a cloud for a token, others ask the user.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the answer of a helper that has no credentials, or fails, stands. All requests that wait for the helper
/// share it, and a login in the meantime soon counts.
const HELPER_REST: Duration = Duration::from_secs(5);

/// Docker's name for Docker Hub, which its helpers use.
pub(crate) const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// The credentials that are stored on this machine, for docker, podman and hoist alike.
///
/// Nothing is read until a registry asks for credentials; each time it does, the files are read again. If
/// `REGISTRY_AUTH_FILE` is set, it names the only file. Otherwise these places are searched, and the first with an
/// entry for the registry counts:
///
/// 1. `DOCKER_AUTH_CONFIG`, the content of such a file
/// 2. `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`
/// 3. `$XDG_RUNTIME_DIR/containers/auth.json`, or `/run/containers/$UID/auth.json`
/// 4. `$XDG_CONFIG_HOME/containers/auth.json`, or `~/.config/containers/auth.json`
/// 5. `~/.dockercfg`
///
/// In each place, the credential helper for the registry (`credHelpers`) or for all registries (`credsStore`) is asked
/// first; then `auths` counts, with the longest key that fits: `host/team/demo`, `host/team`, `host`.
/// An unreadable file or a failing helper does not stop the pull of a public image. If the registry refuses a pull, the
/// error names them.
#[derive(Clone)]
pub struct Keychain(Arc<Inner>);

struct Inner {
    environment: Box<Variables>,
    helper_timeout: Duration,
    answers: Mutex<HashMap<(String, String), Arc<Answer>>>,
}

type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// A helper's answer for one server. It is locked while the helper is asked.
type Answer = tokio::sync::Mutex<Option<(Instant, Result<Option<Credentials>>)>>;

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The credentials, and the name of the place that had them.
    pub(crate) credentials: Option<(Credentials, String)>,
    /// The places that could not be read, and the helpers that failed.
    pub(crate) troubles: Vec<Error>,
}

impl Keychain {
    /// The stored credentials of the user that this process runs as.
    pub fn from_environment() -> Self {
        Self::with_variables(|name| std::env::var_os(name))
    }

    /// The stored credentials that these variables lead to, in place of the process's own: `HOME`, `PATH` for the
    /// helpers, and those named [above](Self).
    pub fn with_variables(variables: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static) -> Self {
        let environment = Box::new(move |name: &str| variables(name).filter(|value| !value.is_empty()));
        Self(Arc::new(Inner { environment, helper_timeout: HELPER_TIMEOUT, answers: Mutex::default() }))
    }

    /// Kills a credential helper that takes longer than this; 30 s by default.
    #[must_use]
    pub fn with_helper_timeout(self, helper_timeout: Duration) -> Self {
        let variables = self.0;
        let environment = Box::new(move |name: &str| (variables.environment)(name));
        Self(Arc::new(Inner { environment, helper_timeout, answers: Mutex::default() }))
    }

    /// Looks up credentials. If the registry `refused` some, a helper that gave those is asked again.
    pub(crate) async fn find(&self, key: &CredentialKey, refused: Option<&Credentials>) -> Found {
        let mut found = Found::default();
        for (file, config) in self.read_files().await {
            let credentials = match config {
                Ok(None) => continue,
                Ok(Some(config)) => self.find_in(&file, &config, key, refused, &mut found).await,
                Err(trouble) => Err(trouble),
            };
            match credentials {
                Ok(None) => {}
                Ok(credentials) => return Found { credentials, ..found },
                Err(trouble) => found.troubles.push(trouble),
            }
        }
        found
    }

    async fn read_files(&self) -> Vec<(AuthFile, Result<Option<DockerConfig>>)> {
        let keychain = self.clone();
        let read = move || {
            let environment = &*keychain.0.environment;
            let read = |file: AuthFile| {
                let config = file.read(&environment);
                (file, config)
            };
            Ok(auth_files(&environment).into_iter().map(read).collect())
        };
        blocking(read).await.unwrap_or_default()
    }

    async fn find_in(
        &self,
        file: &AuthFile,
        config: &DockerConfig,
        key: &CredentialKey,
        refused: Option<&Credentials>,
        found: &mut Found,
    ) -> Result<Option<(Credentials, String)>> {
        match config.helper(key) {
            Ok(Some(name)) => match self.ask_helper(&name, key, refused).await {
                Ok(None) => {}
                Ok(credentials) => return Ok(credentials),
                Err(trouble) => found.troubles.push(trouble.context(format!("{file} names a helper"))),
            },
            Ok(None) => {}
            Err(wrong) => found.troubles.push(file.wrong(&wrong)),
        }
        let filed = config.credentials(key).map_err(|wrong| file.wrong(&wrong))?;
        Ok(filed.map(|credentials| (credentials, file.to_string())))
    }

    async fn ask_helper(
        &self,
        name: &str,
        key: &CredentialKey,
        refused: Option<&Credentials>,
    ) -> Result<Option<(Credentials, String)>> {
        let helper = self.helper(name)?;
        for server in servers(key) {
            if let Some(credentials) = self.ask_once(&helper, server, refused).await? {
                return Ok(Some((credentials, helper.name().to_owned())));
            }
        }
        Ok(None)
    }

    /// A helper's answer for one server. Requests that need it at the same time share it.
    async fn ask_once(
        &self,
        helper: &Helper,
        server: &str,
        refused: Option<&Credentials>,
    ) -> Result<Option<Credentials>> {
        let key = (helper.name().to_owned(), server.to_owned());
        let answer =
            self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default().clone();
        let mut answer = answer.lock().await;
        if let Some((asked, said)) = &*answer {
            let holds = match said {
                Ok(Some(credentials)) => Some(credentials) != refused,
                _ => asked.elapsed() < HELPER_REST,
            };
            if holds {
                return said.clone();
            }
        }
        let said = helper.get(server).await;
        *answer = Some((Instant::now(), said.clone()));
        said
    }

    /// Finds a helper by its name in a file.
    pub(crate) fn helper(&self, name: &str) -> Result<Helper> {
        Helper::find(name, (self.0.environment)("PATH").as_deref(), self.0.helper_timeout)
    }

    /// Forgets the helpers' answers.
    pub(crate) fn forget(&self) {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn environment(&self) -> &Variables {
        &*self.0.environment
    }
}

/// The names that helpers use for a host: docker's have one of their own for Docker Hub, podman's have not.
pub(crate) fn servers(key: &CredentialKey) -> impl Iterator<Item = &str> {
    let hub = (key.host == "docker.io").then_some(DOCKER_HUB_SERVER);
    hub.into_iter().chain(std::iter::once(key.host.as_str()))
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}
