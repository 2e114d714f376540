//! What is served, and under which names.

use std::fmt;
use std::sync::Arc;

use hoist_core::Reference;
use hoist_store::Store;

/// The registry of names that do not say one: what docker asks its mirrors for.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Something with a store whose images can be served: a store itself, or a stack over one.
pub trait ServedStore {
    /// The store. Images that its [policies](Store::with_admission) do not admit are not served.
    fn store(&self) -> &Store;
}

impl ServedStore for Store {
    fn store(&self) -> &Store {
        self
    }
}

/// Tells which repositories something holds for.
type Scope = Arc<dyn Fn(&Reference) -> bool + Send + Sync>;

/// What is served, and to whom.
///
/// By default, everything is served that came into the store without credentials, or was loaded from a file. A digest is
/// served if a name in a shared repository leads to it, and if the store has a [note](hoist_store::Arrival) that its
/// bytes came in by a shared repository. The name in a request does not matter for that.
#[derive(Clone)]
#[must_use]
pub struct ServeOptions {
    pub(crate) default_registry: String,
    pub(crate) hosts: Vec<String>,
    pub(crate) share: Scope,
    pub(crate) share_private: Scope,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            default_registry: DEFAULT_REGISTRY.to_owned(),
            hosts: Vec::new(),
            share: Arc::new(|_| true),
            share_private: Arc::new(|_| false),
        }
    }
}

impl ServeOptions {
    /// Looks for names that do not say their registry in this one. By default it is `docker.io`.
    pub fn with_default_registry(self, registry: impl Into<String>) -> Self {
        Self { default_registry: registry.into(), ..self }
    }

    /// Also answers requests whose `Host` header is this name or address, with any port. Without that, requests have to
    /// be for the address that they arrive at, so that a web page cannot have a browser ask under another name.
    pub fn with_host(mut self, name: impl Into<String>) -> Self {
        self.hosts.push(name.into());
        self
    }

    /// Shares only the repositories for which `is_shared` is true. It is called for names with a tag or a digest.
    pub fn with_share(self, is_shared: impl Fn(&Reference) -> bool + Send + Sync + 'static) -> Self {
        Self { share: Arc::new(is_shared), ..self }
    }

    /// Of these repositories, also shares what came with credentials. Everybody who can connect can then have it.
    pub fn with_share_private(self, is_shared: impl Fn(&Reference) -> bool + Send + Sync + 'static) -> Self {
        Self { share_private: Arc::new(is_shared), ..self }
    }
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeOptions")
            .field("default_registry", &self.default_registry)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}
