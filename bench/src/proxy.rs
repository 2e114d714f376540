//! A network of our own: a proxy that counts, slows down, delays and cuts.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use hoist_testkit::random_bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::cut::{Answers, Requests};
use crate::failure::{Doing, Result};
use crate::networks::Shape;
use crate::pace::{End, Lane, Watch, carry};

/// A running proxy; dropped, it is gone, and so are its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    road: Arc<Road>,
    task: JoinHandle<()>,
}

/// What was counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    /// What came from the registry.
    pub(crate) bytes: u64,
    /// Answers that were cut.
    pub(crate) cuts: u64,
}

#[derive(Debug)]
struct Road {
    upstream: SocketAddr,
    shape: Shape,
    seed: AtomicU64,
    answers: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    cuts: AtomicU64,
}

impl Proxy {
    /// Starts one in front of `upstream`, which listens at this address.
    pub(crate) async fn start(here: Ipv4Addr, upstream: SocketAddr, shape: Shape) -> Result<Self> {
        let doing = "starting the proxy";
        let listener = TcpListener::bind((here, 0)).await.doing(doing)?;
        let address = listener.local_addr().doing(doing)?;
        let zero = || AtomicU64::new(0);
        let (seed, answers, requests, bytes, cuts) = (zero(), zero(), zero(), zero(), zero());
        let road = Arc::new(Road { upstream, shape, seed, answers, requests, bytes, cuts });
        let task = tokio::spawn(accept(listener, road.clone()));
        Ok(Self { address, road, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to count anew. The seed decides which answers will be cut.
    pub(crate) fn begin(&self, seed: u64) {
        self.road.seed.store(seed, Relaxed);
        for count in [&self.road.answers, &self.road.requests, &self.road.bytes, &self.road.cuts] {
            count.store(0, Relaxed);
        }
    }

    /// What was counted since.
    pub(crate) fn counts(&self) -> Counts {
        let Road { requests, bytes, cuts, .. } = &*self.road;
        Counts { requests: requests.load(Relaxed), bytes: bytes.load(Relaxed), cuts: cuts.load(Relaxed) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, road: Arc<Road>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    let road = road.clone();
                    // That a connection broke is its two ends' own business.
                    connections.spawn(async move { _ = road.connect(client).await });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl Road {
    async fn connect(&self, client: TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(self.upstream).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let Shape { rate, delay, .. } = self.shape;
        let bodiless = Mutex::default();
        let up = Up { road: self, bodiless: &bodiless, requests: Requests::default() };
        let down = Down { road: self, bodiless: &bodiless, answers: Answers::default() };
        let up_lane = Lane { rate: None, delay, connecting: delay * 2 };
        let down_lane = Lane { rate, delay, ..Lane::default() };
        let down = async {
            match carry(from_server, to_client, down_lane, down).await? {
                End::Closed => Ok(()),
                End::Cut => Err(std::io::ErrorKind::ConnectionAborted.into()), // ends the other direction too
            }
        };
        tokio::try_join!(carry(from_client, to_server, up_lane, up), down)?;
        Ok(())
    }

    /// Whether the next answer is one of those that are cut.
    fn chooses(&self) -> bool {
        let number = self.answers.fetch_add(1, Relaxed);
        let random = random_bytes(8, (self.seed.load(Relaxed) << 32) + number);
        let random = random.try_into().map_or(0, u64::from_le_bytes) as f64 / u64::MAX as f64;
        self.shape.cut.is_some_and(|part| random < part)
    }
}

/// For each request that waits for its answer, whether that has no body.
type Bodiless = Mutex<VecDeque<bool>>;

struct Up<'a> {
    road: &'a Road,
    bodiless: &'a Bodiless,
    requests: Requests,
}

impl Watch for Up<'_> {
    fn see(&mut self, bytes: &[u8]) -> Option<usize> {
        let found = self.requests.read(bytes);
        self.road.requests.fetch_add(found.len() as u64, Relaxed);
        if self.road.shape.cut.is_some() {
            self.bodiless.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
        }
        None
    }
}

struct Down<'a> {
    road: &'a Road,
    bodiless: &'a Bodiless,
    answers: Answers,
}

impl Watch for Down<'_> {
    fn see(&mut self, bytes: &[u8]) -> Option<usize> {
        let cut = self.road.shape.cut.and_then(|_| {
            let mut bodiless = self.bodiless.lock().unwrap_or_else(PoisonError::into_inner);
            self.answers.read(bytes, &mut bodiless, || self.road.chooses())
        });
        self.road.cuts.fetch_add(u64::from(cut.is_some()), Relaxed);
        self.road.bytes.fetch_add(cut.unwrap_or(bytes.len()) as u64, Relaxed);
        cut
    }
}
