//! CVE-2023-25153: answers that do not end. They are given up early, so that memory stays flat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hoist_core::ErrorKind;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{Setup, begin_answer, fails};

const GIGABYTE: u64 = 1 << 30;
/// What may be under way in sockets and buffers beyond what is read.
const UNDER_WAY: u64 = 64 << 20;

/// A server whose every answer has a gigabyte, and how much of those it got rid of.
struct Endless {
    host: String,
    sent: Arc<AtomicU64>,
}

impl Endless {
    /// With this status; and requests without a token are asked for one, if there is to be one.
    async fn start(status: &'static str, wants_token: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let sent = Arc::new(AtomicU64::new(0));
        let realm = format!("http://{host}/token");
        let counter = sent.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, status, wants_token.then(|| realm.clone()), counter.clone()));
            }
        });
        Self { host, sent }
    }

    fn assert_flat(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        assert!(sent < UNDER_WAY, "{sent} bytes were taken in");
    }
}

async fn serve(
    mut stream: TcpStream,
    status: &str,
    realm: Option<String>,
    sent: Arc<AtomicU64>,
) -> std::io::Result<()> {
    if !begin_answer(&mut stream, status, realm, GIGABYTE).await? {
        return Ok(());
    }
    let spaces = vec![b' '; 64 << 10];
    for _ in 0..GIGABYTE / spaces.len() as u64 {
        stream.write_all(&spaces).await?;
        sent.fetch_add(spaces.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test]
async fn a_manifest_of_a_gigabyte_is_refused_with_flat_memory() {
    let (setup, server) = (Setup::new().await, Endless::start("200 OK", false).await);
    let reference = format!("{}/demo:v1", server.host);
    fails(&setup.registry(), &reference, ErrorKind::TooLarge, &["4194304 bytes"]).await;
    let error = setup.registry().resolve_remote(&reference).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TooLarge);
    let error = setup.registry().tags(&format!("{}/demo", server.host)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::TooLarge);
    server.assert_flat();
}

#[tokio::test]
async fn an_error_of_a_gigabyte_is_told_with_flat_memory() {
    for (status, kind) in
        [("500 Internal Server Error", ErrorKind::Unavailable), ("404 Not Found", ErrorKind::NotFound)]
    {
        let (setup, server) = (Setup::new().await, Endless::start(status, false).await);
        let reference = format!("{}/demo:v1", server.host);
        fails(&setup.registry(), &reference, kind, &[&status[..3]]).await;
        server.assert_flat();
    }
}

#[tokio::test]
async fn a_token_of_a_gigabyte_is_refused_with_flat_memory() {
    let (setup, server) = (Setup::new().await, Endless::start("200 OK", true).await);
    let reference = format!("{}/demo:v1", server.host);
    fails(&setup.registry_as_me(), &reference, ErrorKind::TooLarge, &["bytes"]).await;
    server.assert_flat();
}
