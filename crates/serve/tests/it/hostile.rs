//! Requests that nobody means well with.

use hoist_serve::{Limits, ServeOptions};
use hoist_testkit::Image;
use reqwest::{Method, StatusCode};

use crate::setup::{Setup, layer};

fn status(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{text:?}"))
}

#[tokio::test]
async fn nothing_outside_is_reached_by_any_path() {
    let image = Image::sample(1);
    let setup = Setup::with(image.clone()).await;
    let (served, digest) = (setup.serve().await, layer(&image));
    for path in [
        format!("/v2/../../../etc/passwd/blobs/{digest}"),
        "/v2/demo/blobs/../../../../store.json".to_owned(),
        "/../../etc/passwd".to_owned(),
        "/v2/demo/manifests/../../../names".to_owned(),
        "/v2/demo/manifests/%2e%2e%2f%2e%2e".to_owned(),
        "/v2/demo/manifests/v1%00".to_owned(),
        "/v2/demo/manifests/v1%0d%0aX-Evil:%201".to_owned(),
        "/v2/demo/tags/list?last=%00&n=99999999999999999999".to_owned(),
        "/v2/demo/manifests/v1?ns=169.254.169.254".to_owned(),
        "/v2/demo/manifests/v1?ns=[::1]:22".to_owned(),
        "//v2//demo//manifests//v1".to_owned(),
        format!("/v2/{}", "a/".repeat(20_000)),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", served.address);
        let answer = served.raw(request.as_bytes()).await;
        assert!((400..500).contains(&status(&answer)), "{path}: {}", String::from_utf8_lossy(&answer));
        assert!(!String::from_utf8_lossy(&answer).contains("root:"));
    }
}

#[tokio::test]
async fn no_method_changes_anything() {
    let image = Image::sample(1);
    let setup = Setup::with(image.clone()).await;
    let served = setup.serve().await;
    let digest = layer(&image);
    for (method, path) in [
        (Method::POST, "/v2/demo/blobs/uploads/".to_owned()),
        (Method::PUT, "/v2/demo/manifests/v2".to_owned()),
        (Method::PATCH, "/v2/demo/blobs/uploads/1".to_owned()),
        (Method::DELETE, format!("/v2/demo/blobs/{digest}")),
        (Method::DELETE, "/v2/demo/manifests/v1".to_owned()),
        (Method::OPTIONS, "/v2/".to_owned()),
        (Method::TRACE, "/v2/".to_owned()),
        (Method::from_bytes(b"BREW").unwrap(), "/v2/".to_owned()),
    ] {
        let answer = served.ask(method.clone(), &path, &[]).await;
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(answer.headers()["allow"], "GET, HEAD");
        let body = answer.text().await.unwrap();
        assert!(method == Method::HEAD || body.contains(r#""code":"UNSUPPORTED""#), "{body}");
    }
    assert_eq!(served.blob(digest).await, StatusCode::OK);
}

#[tokio::test]
async fn a_page_that_has_its_name_lead_here_is_refused() {
    let setup = Setup::with(Image::sample(1)).await;
    let served = setup.serve_with(ServeOptions::default().with_host("registry.lan"), Limits::default()).await;
    let port = served.address.port();
    for (host, expected) in [
        ("evil.example".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        ("127.0.0.1.evil.example".to_owned(), 421),
        ("10.0.0.1".to_owned(), 421),
        ("[::1]".to_owned(), 421),
        (String::new(), 421),
        (format!("127.0.0.1:{port}"), 200),
        ("127.0.0.1".to_owned(), 200),
        (format!("localhost:{port}"), 200),
        ("registry.lan:443".to_owned(), 200),
        ("REGISTRY.lan".to_owned(), 200),
    ] {
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(&served.raw(request.as_bytes()).await), expected, "{host:?}");
    }
}

#[tokio::test]
async fn odd_bytes_end_the_connection_and_not_the_server() {
    let setup = Setup::with(Image::sample(1)).await;
    let served = setup.serve().await;
    let giant = format!("GET /v2/ HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("GET /v2/ HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(500));
    for request in [
        giant.as_bytes(),
        many.as_bytes(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v2/ HTTP/9.9\r\n\r\n",
        b"GET\0/v2/ HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let answer = served.raw(request).await;
        assert!(answer.is_empty() || status(&answer) >= 400, "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(served.status("/v2/").await, StatusCode::OK);
}
