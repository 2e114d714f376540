//! The relay in front of the server: it cuts bodies short, holds them back, and can be gone for a while.
//!
//! It has a thread of its own, so that a test may block the one that it runs on.

use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_buf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::gate::Turnstile;
use super::{Shared, lock};

/// Orders to the relay, which the server gives as headers of its answers. They go no further.
pub(super) const CUT: &str = "x-relay-cut";
pub(super) const HOLD: &str = "x-relay-hold";
pub(super) const HANG_UP: &str = "x-relay-hang-up";

const BACKLOG: u32 = 1024;

/// A handle on the relay, which ends when this is dropped.
pub(super) struct Front {
    address: SocketAddr,
    commands: mpsc::UnboundedSender<Command>,
    /// Bound, but never listened on: keeps the port from others while the relay is down.
    _reserved: TcpSocket,
}

/// To be up or down, and where to say that it is done.
type Command = (bool, oneshot::Sender<()>);

impl Front {
    /// Starts relaying to this server.
    pub(super) async fn start(server: SocketAddr, state: Shared) -> Self {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = reserved.local_addr().expect("a bound socket has an address");
        let (commands, inbox) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.expect("a runtime").block_on(Relay { address, server, state }.run(inbox));
        });
        let front = Self { address, commands, _reserved: reserved };
        front.go(true).await;
        front
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes up or down; returns when that is so.
    pub(super) async fn go(&self, up: bool) {
        let (done, is_done) = oneshot::channel();
        self.commands.send((up, done)).expect("the relay lives as long as its handle");
        is_done.await.expect("the relay answers");
    }
}

/// A socket on this address, which several may be bound to and one may listen on.
fn bind(address: SocketAddr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

#[derive(Clone)]
struct Relay {
    address: SocketAddr,
    server: SocketAddr,
    state: Shared,
}

impl Relay {
    async fn run(self, mut inbox: mpsc::UnboundedReceiver<Command>) {
        let mut listener = None;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                command = inbox.recv() => {
                    let Some((up, done)) = command else { return };
                    listener = up.then(|| bind(self.address).and_then(|s| s.listen(BACKLOG)).expect("our port"));
                    if !up {
                        connections.shutdown().await;
                    }
                    let _ = done.send(()); // whoever asked may be gone
                }
                Some(client) = accept(listener.as_ref()) => {
                    connections.spawn(self.clone().serve(client));
                }
                Some(_) = connections.join_next() => {} // how it ended, the client knows
            }
        }
    }

    /// Relays one connection, request by request, until either side has had enough.
    async fn serve(self, client: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        let server = TcpStream::connect(self.server).await?;
        server.set_nodelay(true)?;
        let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
        while let Some(request) = Head::read(&mut client).await? {
            server.write_all(request.text.as_bytes()).await?;
            forward(&mut client, &mut server, request.body_len()).await?;
            let response = Head::read(&mut server).await?.ok_or_else(broken)?;
            let has_body = !request.text.starts_with("HEAD ");
            let body_len = if has_body { response.body_len() } else { 0 };
            self.respond(response, body_len, &mut server, &mut client).await?;
        }
        Ok(())
    }

    /// Sends a response on, as it was ordered to be.
    async fn respond(
        &self,
        mut head: Head,
        len: u64,
        server: &mut BufReader<TcpStream>,
        client: &mut BufReader<TcpStream>,
    ) -> Result<()> {
        let (cut, hold, hang_up) = (head.take(CUT), head.take(HOLD), head.take(HANG_UP));
        if let Some(after) = hang_up {
            let sent = usize::try_from(after).unwrap_or(usize::MAX).min(head.text.len());
            client.write_all(&head.text.as_bytes()[..sent]).await?;
            client.flush().await?;
            return Err(broken());
        }
        client.write_all(head.text.as_bytes()).await?;
        let end = cut.map_or(len, |cut| cut.min(len));
        let pause = hold.filter(|hold| *hold < end);
        forward(server, client, pause.unwrap_or(end)).await?;
        if let Some(pause) = pause {
            if let Some(turnstile) = self.turnstile() {
                turnstile.pass().await;
            }
            forward(server, client, end - pause).await?;
        }
        if end < len { Err(broken()) } else { Ok(()) }
    }

    fn turnstile(&self) -> Option<Turnstile> {
        lock(&self.state).hold.as_ref().map(|hold| hold.turnstile.clone())
    }
}

/// The next connection; `None` where nobody listens.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    let listener = listener?;
    loop {
        if let Ok((client, _)) = listener.accept().await {
            return Some(client);
        }
    }
}

async fn forward(from: &mut BufReader<TcpStream>, to: &mut BufReader<TcpStream>, len: u64) -> Result<()> {
    if copy_buf(&mut from.take(len), to).await? < len {
        return Err(broken());
    }
    to.flush().await
}

fn broken() -> Error {
    std::io::ErrorKind::ConnectionAborted.into()
}

/// The head of a request or response: all up to the empty line, which is the last.
struct Head {
    text: String,
}

impl Head {
    /// Reads a head; `None` where the connection ends before it.
    async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Option<Self>> {
        let mut text = String::new();
        while !text.ends_with("\r\n\r\n") {
            if from.read_line(&mut text).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(Self { text }))
    }

    fn body_len(&self) -> u64 {
        self.value("content-length").unwrap_or(0)
    }

    fn value(&self, name: &str) -> Option<u64> {
        self.text.lines().find_map(|line| value_of(line, name))
    }

    /// Removes a header, and returns its value.
    fn take(&mut self, name: &str) -> Option<u64> {
        let value = self.value(name)?;
        self.text = self.text.split_inclusive("\r\n").filter(|line| value_of(line, name).is_none()).collect();
        Some(value)
    }
}

/// The value of a line that is this header.
fn value_of(line: &str, name: &str) -> Option<u64> {
    let (key, value) = line.split_once(':')?;
    value.trim().parse().ok().filter(|_| key.eq_ignore_ascii_case(name))
}
