//! Arguments of `pull`.

use hoist::CachePolicy;

/// Images to pull, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct PullArgs {
    /// Images, such as nginx, ghcr.io/org/repo:v1 or name@sha256:...; pulls three at once, or `max-pulls`
    /// of the configuration
    #[arg(required = true, value_name = "REF")]
    pub(crate) references: Vec<String>,

    /// Ask the registry again, and check the stored files byte for byte
    #[arg(long)]
    pub(crate) force: bool,

    /// When to ask the registry about a tag that is stored: missing (never), always, never (not even about
    /// a tag that is not stored), or "newer-than 1h" (if it was last asked more than an hour ago) [env:
    /// HOIST_CACHE_POLICY] [default: missing]
    #[arg(long, value_name = "POLICY", value_parser = policy, conflicts_with = "force")]
    pub(crate) policy: Option<CachePolicy>,

    /// Contact the registries of these images without TLS, as hoist does for loopback names
    #[arg(long)]
    pub(crate) plain_http: bool,
}

fn policy(text: &str) -> Result<CachePolicy, String> {
    text.parse().map_err(|error: hoist::Error| error.report())
}
