//! A gate: what reaches it waits until it is released, so that a test decides what happens first.

use std::sync::Arc;

use tokio::sync::watch;

/// Holds whatever comes to its [`Turnstile`] until it is released or dropped.
#[derive(Debug)]
#[must_use = "a gate that is dropped holds nobody"]
pub struct Gate(Arc<Shared>);

/// The other side of a [`Gate`]: where those wait that it holds.
#[derive(Debug, Clone)]
pub struct Turnstile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_open: watch::Sender<bool>,
    arrived: watch::Sender<usize>,
}

impl Gate {
    /// A closed gate and its turnstile.
    pub fn closed() -> (Self, Turnstile) {
        let shared = Arc::new(Shared { is_open: watch::Sender::new(false), arrived: watch::Sender::new(0) });
        (Self(Arc::clone(&shared)), Turnstile(shared))
    }

    /// Waits until so many have arrived at the turnstile.
    pub async fn until_held(&self, count: usize) {
        let mut arrived = self.0.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= count).await.expect("the sender is ours");
    }

    /// How many have arrived at the turnstile so far.
    pub fn held(&self) -> usize {
        *self.0.arrived.borrow()
    }

    /// Lets all pass, those who wait and those to come.
    pub fn release(&self) {
        self.0.is_open.send_replace(true);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.release();
    }
}

impl Turnstile {
    /// Waits for the gate to be released.
    pub async fn pass(&self) {
        let mut is_open = self.0.is_open.subscribe();
        self.0.arrived.send_modify(|arrived| *arrived += 1);
        is_open.wait_for(|is_open| *is_open).await.expect("the sender is ours");
    }
}
