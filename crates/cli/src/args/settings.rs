//! The configuration that the command line, the environment and a file make together.

use hoist::{Config, Reference, Result};

use super::{Args, Command, GcArgs, PullArgs, ServeArgs};

impl Args {
    /// The configuration: the file's, overridden by the environment and then by the command line. Keys that
    /// would contradict a flag are removed.
    pub(crate) fn config(&self) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::load_with_env(path)?,
            None => Config::from_env()?,
        };
        if let Some(root) = &self.root {
            config = config.with_root(root);
        }
        if self.allow_network_file_system {
            config = config.with_network_file_system();
        }
        if let Some(platform) = &self.platform {
            config = config.with_platform(platform.parse()?);
        }
        if self.offline {
            config.remote.enabled = None;
            if config.local.path.is_none() {
                config.cache.enabled = None; // only the store can answer
            }
            config = config.with_offline();
        }
        if let Command::Logout { .. } = &self.command {
            // It asks no registry, so `offline` does not apply.
            (config.offline, config.remote.enabled) = (false, None);
        }
        if let Command::Gc(GcArgs { max_size: Some(size), .. }) = &self.command {
            config = config.with_max_size(size.as_u64());
        }
        if let Command::Pull(PullArgs { policy: Some(policy), .. }) = &self.command {
            config.cache.enabled = None;
            config = config.with_policy(*policy);
        }
        if let Command::Serve(ServeArgs { listen, default_registry }) = &self.command {
            config = listen.iter().fold(config, |config, address| config.with_listen(*address));
            config = default_registry.iter().fold(config, Config::with_default_registry);
        }
        for reference in self.command.plain_http().iter().filter_map(|text| text.parse::<Reference>().ok()) {
            config = config.with_remote_options(|options| options.with_plain_http(reference.registry()));
        }
        Ok(config)
    }
}
