//! A proxy that leads everything to one server, whatever it is asked for, and remembers that.

use std::io::{Error, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A running proxy; dropped, it listens no longer.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    asked: Asked,
    task: JoinHandle<()>,
}

type Asked = Arc<Mutex<Vec<String>>>;

impl Proxy {
    /// An HTTP proxy. It wants this `Proxy-Authorization`, if any.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn http(target: &str, authorization: Option<&'static str>) -> Self {
        let target = target.to_owned();
        Self::start(move |client, asked| http(client, target.clone(), authorization, asked)).await
    }

    /// A SOCKS5 proxy ([RFC 1928](https://www.rfc-editor.org/rfc/rfc1928)). It wants this user and password
    /// (RFC 1929), if any.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn socks5(target: &str, user: Option<(&'static str, &'static str)>) -> Self {
        let target = target.to_owned();
        Self::start(move |client, asked| socks5(client, target.clone(), user, asked)).await
    }

    async fn start<F>(serve: impl Fn(TcpStream, Asked) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let asked = Asked::default();
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&seen)));
            }
        });
        Self { address, asked, task }
    }

    /// Where it is: `127.0.0.1:port`.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What it was asked for by each connection: the first line of HTTP, or where to by SOCKS.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(asked: &Asked, what: String) {
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

async fn http(
    client: TcpStream,
    target: String,
    authorization: Option<&'static str>,
    asked: Asked,
) -> Result<()> {
    let mut client = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if client.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let first = head.lines().next().unwrap_or_default().to_owned();
    let is_tunnel = first.starts_with("CONNECT ");
    note(&asked, first);
    let shown = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("proxy-authorization").then_some(value)
    });
    if authorization.is_some() && shown != authorization {
        let refusal =
            "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"x\"\r\n";
        client.write_all(format!("{refusal}content-length: 0\r\n\r\n").as_bytes()).await?;
        return client.flush().await;
    }
    let mut server = TcpStream::connect(target).await?;
    if is_tunnel {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        client.flush().await?;
    } else {
        server.write_all(head.as_bytes()).await?;
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn socks5(
    mut client: TcpStream,
    target: String,
    user: Option<(&'static str, &'static str)>,
    asked: Asked,
) -> Result<()> {
    const NO_AUTHENTICATION: u8 = 0;
    const PASSWORD: u8 = 2;
    const NONE_OF_THOSE: u8 = 0xff;
    const BY_NAME: u8 = 3;
    let [_version, count] = read(&mut client).await?;
    let mut methods = vec![0; count.into()];
    client.read_exact(&mut methods).await?;
    let method = if user.is_some() { PASSWORD } else { NO_AUTHENTICATION };
    let method = if methods.contains(&method) { method } else { NONE_OF_THOSE };
    client.write_all(&[5, method]).await?;
    if let Some((user, password)) = user.filter(|_| method == PASSWORD) {
        let [_version] = read(&mut client).await?;
        let is_right = text(&mut client).await? == user && text(&mut client).await? == password;
        client.write_all(&[1, u8::from(!is_right)]).await?;
    }
    let [_version, _command, _reserved, kind] = read(&mut client).await?;
    let host = match kind {
        BY_NAME => text(&mut client).await?,
        1 => format!("{:?}", read::<4>(&mut client).await?),
        _ => return Err(Error::other("an address of no known kind")),
    };
    let port = u16::from_be_bytes(read(&mut client).await?);
    note(&asked, format!("{host}:{port}"));
    let mut server = TcpStream::connect(target).await?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn read<const N: usize>(from: &mut TcpStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// A text with its length before it.
async fn text(from: &mut TcpStream) -> Result<String> {
    let [len] = read(from).await?;
    let mut bytes = vec![0; len.into()];
    from.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
