//! Connections: their number and their time are bounded, and a stop lets answers end.

use std::time::Duration;

use hoist_serve::{Limits, ServeOptions};
use hoist_testkit::{Image, Layer};
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::setup::{Served, Setup, layer};

/// Larger than what the kernel buffers for a client that does not read.
const LARGE: usize = 32 << 20;

async fn ask_for(served: &Served, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The number of bytes until the server closes the connection.
async fn rest(mut stream: TcpStream) -> usize {
    let mut all = Vec::new();
    _ = stream.read_to_end(&mut all).await;
    all.len()
}

async fn large() -> (Setup, String) {
    let image = Image::builder().layer(Layer::random(LARGE, 3)).build();
    let setup = Setup::with(image.clone()).await;
    (setup, format!("/v2/demo/blobs/{}", layer(&image)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_running_answer_end() {
    let (setup, path) = large().await;
    let served = setup.serve().await;
    let mut stream = ask_for(&served, &path).await;
    let mut first = [0; 1000];
    stream.read_exact(&mut first).await.unwrap();
    let idle = TcpStream::connect(served.address).await.unwrap();
    served.stopper.stop();
    let left = rest(stream).await;
    assert!(left > LARGE - 1000, "{left} of {LARGE}");
    drop(idle);
    served.running.await.unwrap();
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_dropped() {
    let (setup, path) = large().await;
    let limits = Limits::default().with_stall(Duration::from_millis(200));
    let served = setup.serve_with(ServeOptions::default(), limits).await;
    let stream = ask_for(&served, &path).await;
    // Only when the server has given it up does a stop end.
    served.stopper.stop();
    served.running.await.unwrap();
    let got = rest(stream).await;
    assert!(got < LARGE, "{got}");
}

#[tokio::test]
async fn a_client_that_sends_no_request_is_dropped() {
    let setup = Setup::with(Image::sample(1)).await;
    let limits = Limits::default().with_headers(Duration::from_millis(100));
    let served = setup.serve_with(ServeOptions::default(), limits).await;
    for sent in ["", "GET /v2/ HTTP/1.1\r\nHost: 127", "GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"] {
        served.raw(sent.as_bytes()).await; // returns when the server closes
    }
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_gives_way() {
    let setup = Setup::with(Image::sample(1)).await;
    let limits = Limits::default().with_connections(3);
    let served = setup.serve_with(ServeOptions::default(), limits).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        // Answered, so it was accepted, and is idle now.
        let request = format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", served.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(stream.read(&mut [0; 1000]).await.unwrap() > 0);
        idle.push(stream);
    }
    assert_eq!(served.status("/v2/").await, StatusCode::OK);
    assert_eq!(idle[0].read(&mut [0; 1000]).await.unwrap(), 0, "the first one is closed");
}
