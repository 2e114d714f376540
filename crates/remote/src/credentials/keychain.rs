//! What users have stored with `docker login`, `podman login` or `hoist login`, looked up when it is needed.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoist_core::{Error, Result};
use hoist_store::blocking;
use tokio::time::Instant;

use super::docker_config::DockerConfig;
use super::helper::Helper;
use super::places::{Place, places};
use super::{Account, Credentials};

/// How long a helper may take: some ask a cloud for a token, others ask the user.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);
/// For how long a helper that has nothing, or fails, is not asked again: all who wait for it are told the same, but
/// who logs in meanwhile need not wait.
const HELPER_REST: Duration = Duration::from_secs(5);

/// Docker's name for Docker Hub, which helpers know it by.
pub(crate) const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";

/// The credentials that are stored on this machine, for docker, podman and hoist alike.
///
/// Nothing is read before a registry asks who is there, and then it is read as it is at that time. What
/// `REGISTRY_AUTH_FILE` names is the only file, where that is set. Else these are searched, and the first that has
/// something for the registry is taken:
///
/// 1. `DOCKER_AUTH_CONFIG`, the content of such a file
/// 2. `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json`
/// 3. `$XDG_RUNTIME_DIR/containers/auth.json`, or `/run/containers/$UID/auth.json`
/// 4. `$XDG_CONFIG_HOME/containers/auth.json`, or `~/.config/containers/auth.json`
/// 5. `~/.dockercfg`
///
/// In each, a credential helper that is named for the registry (`credHelpers`) or for all (`credsStore`) is asked
/// first; then `auths` counts, with the longest key that fits: `host/team/demo`, `host/team`, `host`.
/// A place that cannot be read, or a helper that fails, does not keep an image from being pulled that anybody
/// may pull; for one that is refused, the error says so.
#[derive(Clone)]
pub struct Keychain(Arc<Inner>);

struct Inner {
    environment: Box<Variables>,
    helper_timeout: Duration,
    answers: Mutex<HashMap<(String, String), Arc<Answer>>>,
}

type Variables = dyn Fn(&str) -> Option<OsString> + Send + Sync;

/// What a helper has said of one server. It is locked while the helper is asked.
type Answer = tokio::sync::Mutex<Option<(Instant, Result<Option<Credentials>>)>>;

/// What was found for an account.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The credentials, and the name of what they are from.
    pub(crate) credentials: Option<(Credentials, String)>,
    /// What could not be asked.
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

    /// Ends a credential helper that takes longer than this; 30 s by default.
    #[must_use]
    pub fn with_helper_timeout(self, helper_timeout: Duration) -> Self {
        let variables = self.0;
        let environment = Box::new(move |name: &str| (variables.environment)(name));
        Self(Arc::new(Inner { environment, helper_timeout, answers: Mutex::default() }))
    }

    /// Looks up an account. `refused` was no good: a helper that has said it before is asked again.
    pub(crate) async fn find(&self, account: &Account, refused: Option<&Credentials>) -> Found {
        let mut found = Found::default();
        for (place, config) in self.read_places().await {
            let credentials = match config {
                Ok(None) => continue,
                Ok(Some(config)) => self.find_in(&place, &config, account, refused, &mut found).await,
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

    async fn read_places(&self) -> Vec<(Place, Result<Option<DockerConfig>>)> {
        let keychain = self.clone();
        let read = move || {
            let environment = &*keychain.0.environment;
            let read = |place: Place| {
                let config = place.read(&environment);
                (place, config)
            };
            Ok(places(&environment).into_iter().map(read).collect())
        };
        blocking(read).await.unwrap_or_default()
    }

    async fn find_in(
        &self,
        place: &Place,
        config: &DockerConfig,
        account: &Account,
        refused: Option<&Credentials>,
        found: &mut Found,
    ) -> Result<Option<(Credentials, String)>> {
        if let Some(name) = config.helper(account) {
            match self.ask_helper(name, account, refused).await {
                Ok(None) => {}
                Ok(credentials) => return Ok(credentials),
                Err(trouble) => found.troubles.push(trouble.context(format!("{place} names a helper"))),
            }
        }
        let filed = config.credentials(account).map_err(|wrong| place.wrong(&wrong))?;
        Ok(filed.map(|credentials| (credentials, place.to_string())))
    }

    async fn ask_helper(
        &self,
        name: &str,
        account: &Account,
        refused: Option<&Credentials>,
    ) -> Result<Option<(Credentials, String)>> {
        let helper = self.helper(name)?;
        for server in servers(account) {
            if let Some(credentials) = self.ask_once(&helper, server, refused).await? {
                return Ok(Some((credentials, helper.name().to_owned())));
            }
        }
        Ok(None)
    }

    /// What a helper says of one server, which all who need it wait for together.
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

    /// Finds a helper by the name that a file has for it.
    pub(crate) fn helper(&self, name: &str) -> Result<Helper> {
        Helper::find(name, (self.0.environment)("PATH").as_deref(), self.0.helper_timeout)
    }

    /// Forgets what helpers have said.
    pub(crate) fn forget(&self) {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn environment(&self) -> &Variables {
        &*self.0.environment
    }
}

/// What helpers know a host as: docker's have a name of their own for Docker Hub, and podman's have not.
pub(crate) fn servers(account: &Account) -> impl Iterator<Item = &str> {
    let hub = (account.host == "docker.io").then_some(DOCKER_HUB_SERVER);
    hub.into_iter().chain(std::iter::once(account.host.as_str()))
}

impl fmt::Debug for Keychain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keychain").finish_non_exhaustive()
    }
}
