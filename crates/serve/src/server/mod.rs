//! A server of its own: it listens, bounds connections, and stops without cutting answers off.

mod connections;
mod timed;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hoist_core::{Error, ErrorKind, Result};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::options::{ServeOptions, ServedStore};
use crate::router::{Addresses, Serving};
use connections::{Connection, Connections};
use timed::Timed;

/// How long to wait before the next connection is accepted, where the process has no descriptor left.
const PAUSE: Duration = Duration::from_millis(50);

/// The limits on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Limits {
    /// The maximum number of connections. Another one closes the one that was idle for the longest time. 4,096 by
    /// default.
    pub connections: usize,
    /// How long a client may take for the headers of a request, and be idle before it. 30 s by default.
    pub headers: Duration,
    /// How long a client may take none of an answer's bytes. 30 s by default.
    pub stall: Duration,
    /// How long answers may go on after the server was told to stop. 60 s by default.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            headers: Duration::from_secs(30),
            stall: Duration::from_secs(30),
            stop: Duration::from_mins(1),
        }
    }
}

impl Limits {
    /// Sets the maximum number of connections.
    pub fn with_connections(self, connections: usize) -> Self {
        Self { connections: connections.max(1), ..self }
    }

    /// Sets how long a client may take for the headers of a request, and be idle before it.
    pub fn with_headers(self, headers: Duration) -> Self {
        Self { headers, ..self }
    }

    /// Sets how long a client may take none of an answer's bytes.
    pub fn with_stall(self, stall: Duration) -> Self {
        Self { stall, ..self }
    }

    /// Sets how long answers may go on after the server was told to stop.
    pub fn with_stop(self, stop: Duration) -> Self {
        Self { stop, ..self }
    }
}

/// A server that listens at an address.
#[derive(Debug)]
#[must_use = "nothing is served before `run`"]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    serving: Arc<Serving>,
    limits: Limits,
    stop: watch::Sender<bool>,
}

/// Stops a server.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Accepts no more connections, and closes each one after its answer.
    pub fn stop(&self) {
        self.0.send_replace(true); // `send` would do nothing before `run`
    }
}

impl Server {
    /// Listens at this address. Port 0 picks one.
    ///
    /// Fails with [`Unavailable`](ErrorKind::Unavailable) if the address cannot be had.
    pub async fn bind(address: SocketAddr, served: &impl ServedStore, options: ServeOptions) -> Result<Self> {
        let failed = |cause: std::io::Error| {
            Error::new(ErrorKind::Unavailable, format!("cannot listen at {address}"))
                .with_source(cause)
                .with_help("choose another address or port, or stop the program that has it")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (serving, limits) = (Serving::new(served, options), Limits::default());
        Ok(Self { listener, address, serving, limits, stop: watch::Sender::new(false) })
    }

    /// Sets the limits on connections.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops this server, once it runs.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.stop.clone())
    }

    /// Reads the store, and returns the number of images that will not be served, because the options do not share them,
    /// or nothing says that they are public; and the number of all images.
    pub async fn withheld(&self) -> Result<(usize, usize)> {
        self.serving.catalog().withheld().await
    }

    /// Serves until it is [stopped](Stopper::stop), and all answers have ended.
    pub async fn run(self) {
        let router = self.serving.clone().router();
        let (connections, mut stopped) = (Connections::new(self.limits.connections), self.stop.subscribe());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            match accepted {
                Ok((stream, client)) => {
                    let connection = connections.add();
                    let serve = serve(
                        (stream, client),
                        router.clone(),
                        self.limits,
                        self.stop.subscribe(),
                        connection,
                    );
                    tokio::spawn(serve);
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        drop(self.listener);
        _ = tokio::time::timeout(self.limits.stop, connections.ended()).await;
    }
}

async fn serve(
    (stream, client): (TcpStream, SocketAddr),
    router: Router,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
    connection: Connection,
) {
    let Ok(local) = stream.local_addr() else { return };
    _ = stream.set_nodelay(true);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Addresses { local, client });
        router.call(request)
    });
    let io = TokioIo::new(Timed::new(stream, limits.stall, connection.clone()));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers);
    let mut answering = pin!(http.serve_connection(io, service));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            outcome = answering.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection broke off");
                }
                return;
            }
            _ = stopped.wait_for(|stopped| *stopped), if !is_stopping => {
                is_stopping = true;
                answering.as_mut().graceful_shutdown();
            }
            () = connection.closed() => return,
        }
    }
}
