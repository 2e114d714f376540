//! Serves the images of a store to other programs, as a registry that can be pulled from.

use std::net::SocketAddr;

use hoist_core::{Error, ErrorKind, Reference, Result};
use hoist_store::Store;

use crate::config::{NamePattern, ServeConfig};
use crate::hoist::Hoist;

pub use hoist_serve::{Limits, ServeOptions, ServedStore, Server, Stopper, router};

impl ServedStore for Hoist {
    fn store(&self) -> &Store {
        Self::store(self)
    }
}

impl Hoist {
    /// Listens as this configuration says, for programs that pull the images of the store. [`Server::run`] then serves.
    ///
    /// ```no_run
    /// # async fn run() -> hoist::Result<()> {
    /// use hoist::{Config, Hoist};
    ///
    /// let config = Config::load("/etc/hoist.toml")?;
    /// let server = hoist::open(&config)?.server(&config.serve).await?;
    /// println!("listening at {}", server.address());
    /// server.run().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Fails with [`InvalidConfig`](ErrorKind::InvalidConfig) if the address is not on loopback, and the configuration
    /// does not say what is shared; and as [`Server::bind`] does.
    pub async fn server(&self, config: &ServeConfig) -> Result<Server> {
        let server = Server::bind(config.listen, self, options(config)?).await?;
        Ok(match config.max_connections {
            Some(limit) => server.with_limits(Limits::default().with_connections(limit.get())),
            None => server,
        })
    }
}

fn options(config: &ServeConfig) -> Result<ServeOptions> {
    let mut options = config.names.iter().fold(ServeOptions::default(), ServeOptions::with_host);
    if let Some(registry) = &config.default_registry {
        options = options.with_default_registry(registry);
    }
    match &config.share {
        Some(patterns) => options = options.with_share(any_of(patterns)),
        None if !config.listen.ip().is_loopback() => return Err(is_open(config.listen)),
        None => {}
    }
    Ok(options.with_share_private(any_of(&config.share_private)))
}

fn any_of(patterns: &[NamePattern]) -> impl Fn(&Reference) -> bool + Send + Sync + 'static {
    let patterns = patterns.to_vec();
    move |name| patterns.iter().any(|pattern| pattern.matches(name))
}

fn is_open(address: SocketAddr) -> Error {
    let message =
        format!("other hosts can reach {address}, and `serve.share` does not say what they may have");
    Error::new(ErrorKind::InvalidConfig, message)
        .with_help("set `share` in [serve] to the registries that are shared, or listen at 127.0.0.1")
}
