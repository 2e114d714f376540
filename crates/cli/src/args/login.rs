//! Arguments of `login`.

/// A registry, and how to log in to it.
#[derive(Debug, clap::Args)]
pub(crate) struct LoginArgs {
    /// The registry, such as docker.io, ghcr.io or registry.lan:5000
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,

    /// Username; hoist asks for it on a terminal
    #[arg(long, short, value_name = "USER")]
    pub(crate) username: Option<String>,

    /// Read the password or access token from stdin; without this flag, hoist asks for it on a terminal,
    /// without echo
    #[arg(long)]
    pub(crate) password_stdin: bool,

    /// Contact the registry without TLS, as hoist does for loopback names
    #[arg(long)]
    pub(crate) plain_http: bool,
}
