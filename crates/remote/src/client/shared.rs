//! One client for a registry and its clones, until one of them gets other options.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use hoist_core::RemoteOptions;

use super::Client;

/// A client that clones share. Changing one clone gives it a client of its own.
#[derive(Debug, Clone)]
pub(crate) struct SharedClient(Arc<Client>);

impl SharedClient {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Client::new()))
    }

    pub(crate) fn with(&self, options: &RemoteOptions) -> Self {
        Self(Arc::new(self.0.with(options)))
    }
}

impl Deref for SharedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl DerefMut for SharedClient {
    fn deref_mut(&mut self) -> &mut Client {
        Arc::make_mut(&mut self.0)
    }
}
