//! TLS in front of a server that has none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Certified};

/// Passes on what comes over TLS; dropped, it listens no longer.
#[derive(Debug)]
pub struct TlsFront {
    address: &'static str,
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl TlsFront {
    /// Listens on a free port of `127.0.0.1`, with this certificate, for those whose certificate is of
    /// `clients`, or for all. Passes on to `target`, as `host:port`.
    ///
    /// # Panics
    ///
    /// If there is no free port, or the certificate is no good.
    pub async fn start(certified: &Certified, clients: Option<&Authority>, target: &str) -> Self {
        Self::start_at("127.0.0.1", certified, clients, target).await
    }

    /// As [`start`](Self::start), on another address of this machine.
    ///
    /// # Panics
    ///
    /// If there is no free port, or the certificate is no good.
    pub async fn start_at(
        address: &'static str,
        certified: &Certified,
        clients: Option<&Authority>,
        target: &str,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(config(certified, clients)));
        let listener = TcpListener::bind((address, 0)).await.expect("there is a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let target = target.to_owned();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                let (acceptor, target) = (acceptor.clone(), target.clone());
                tokio::spawn(async move {
                    client.set_nodelay(true)?;
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(target).await?;
                    server.set_nodelay(true)?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, port, connections, task }
    }

    /// Where it is: `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }

    /// How many connections it has taken so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The port alone, for who gets there by another name.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn config(certified: &Certified, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the default versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der()).expect("an authority's certificate");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("there is an authority"))
        }
    };
    builder.with_single_cert(vec![certified.der()], certified.key_der()).expect("a certificate and its key")
}
