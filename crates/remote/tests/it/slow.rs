//! Answers that come a byte at a time: each comes before a time limit for reading ends, and the last in a year. They
//! are given up for their pace, whatever they are.

use std::time::Duration;

use hoist_core::ErrorKind;
use hoist_remote::RemoteRegistry;
use hoist_testkit::Image;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::setup::{Setup, begin_answer, fails, pull};

const LENGTH: u64 = 4 << 20; // what a document may have
const LIMIT: Duration = Duration::from_secs(1);

/// A server whose every answer begins at once, and then brings so many bytes in ten milliseconds.
struct Slow {
    host: String,
}

impl Slow {
    /// With this status; and requests without a token are asked for one, if there is to be one.
    async fn start(status: &'static str, wants_token: bool, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let realm = format!("http://{host}/token");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, status, wants_token.then(|| realm.clone()), bytes));
            }
        });
        Self { host }
    }

    fn reference(&self) -> String {
        format!("{}/demo:v1", self.host)
    }
}

async fn serve(
    mut stream: TcpStream,
    status: &str,
    realm: Option<String>,
    bytes: usize,
) -> std::io::Result<()> {
    if !begin_answer(&mut stream, status, realm, LENGTH).await? {
        return Ok(());
    }
    loop {
        stream.write_all(&vec![b' '; bytes]).await?;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn registry(setup: &Setup) -> RemoteRegistry {
    setup.registry().with_options(|options| options.with_retries(0).with_response_timeout(LIMIT))
}

#[tokio::test]
async fn a_document_that_trickles_is_given_up() {
    let (setup, server) = (Setup::new().await, Slow::start("200 OK", false, 1).await);
    let registry = registry(&setup);
    fails(&registry, &server.reference(), ErrorKind::Unavailable, &["too slowly", "try again later"]).await;
    let error = registry.resolve_remote(&server.reference()).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{}", error.report());
    let error = registry.tags(&format!("{}/demo", server.host)).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{}", error.report());
}

/// Fast enough for a blob, it would have come in twenty seconds.
#[tokio::test]
async fn a_document_that_takes_ten_time_limits_is_given_up() {
    let (setup, server) = (Setup::new().await, Slow::start("200 OK", false, 2 << 10).await);
    let registry =
        registry(&setup).with_options(|options| options.with_response_timeout(Duration::from_millis(300)));
    fails(&registry, &server.reference(), ErrorKind::Unavailable, &["try again later"]).await;
}

#[tokio::test]
async fn a_mirror_whose_manifests_trickle_is_passed_over() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let server = Slow::start("200 OK", false, 1).await;
    // Long enough for the origin, and for one byte a hundred times.
    let registry =
        registry(&setup).with_options(|options| options.with_response_timeout(Duration::from_secs(2)));
    let mirror = format!("http://{}", server.host);
    pull(&registry.with_options(|options| options.with_mirror(setup.mock.host(), mirror)), &reference).await;
}

#[tokio::test]
async fn a_token_that_trickles_is_given_up() {
    let (setup, server) = (Setup::new().await, Slow::start("200 OK", true, 1).await);
    fails(&registry(&setup), &server.reference(), ErrorKind::Unavailable, &["token", "too slowly"]).await;
}

#[tokio::test]
async fn an_error_that_trickles_is_told_without_what_it_says() {
    let (setup, server) = (Setup::new().await, Slow::start("404 Not Found", false, 1).await);
    fails(&registry(&setup), &server.reference(), ErrorKind::NotFound, &["404"]).await;
}
