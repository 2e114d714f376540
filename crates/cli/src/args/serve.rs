//! Arguments of `serve`.

use std::net::SocketAddr;

/// Where to serve, and what.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen at; port 0 picks one [env: HOIST_SERVE_LISTEN] [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// Registry of the names that do not say theirs [env: HOIST_SERVE_DEFAULT_REGISTRY] [default: docker.io]
    #[arg(long, value_name = "HOST")]
    pub(crate) default_registry: Option<String>,
}
