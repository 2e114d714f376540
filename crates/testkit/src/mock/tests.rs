//! The mocked registry serves what was published, and breaks as it is told to.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use reqwest::{Method, Response, StatusCode};
use tokio::task::coop;

use super::*;
use crate::{Image, ImageIndex, plain_client};

/// A registry with one image, `demo:v1`.
async fn with_an_image() -> (MockRegistry, Image) {
    let (mock, image) = (MockRegistry::start().await, Image::sample(1));
    mock.publish("demo", "v1", &image);
    (mock, image)
}

async fn ask(
    mock: &MockRegistry,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> reqwest::Result<Response> {
    let request = plain_client().request(method, format!("{}{path}", mock.url()));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await
}

async fn get(mock: &MockRegistry, path: &str) -> Response {
    ask(mock, Method::GET, path, &[]).await.unwrap()
}

async fn status(mock: &MockRegistry, path: &str) -> u16 {
    get(mock, path).await.status().as_u16()
}

fn blob(image: &Image) -> String {
    format!("/v2/demo/blobs/{}", image.layers()[1].digest)
}

const MANIFEST: &str = "/v2/demo/manifests/v1";

#[tokio::test]
async fn what_was_published_is_served() {
    let mock = MockRegistry::start().await;
    let index = ImageIndex::sample(1);
    let reference = mock.publish("team/demo", "v1", &index);
    assert_eq!(reference, format!("{}/team/demo:v1", mock.host()));

    let served = get(&mock, "/v2/team/demo/manifests/v1").await;
    assert_eq!(served.headers()["docker-content-digest"], index.digest().to_string());
    assert_eq!(served.headers()["content-type"], index.document().media_type);
    assert_eq!(served.bytes().await.unwrap(), index.document().bytes);
    for image in index.images() {
        let served = get(&mock, &format!("/v2/team/demo/manifests/{}", image.digest())).await;
        assert_eq!(served.bytes().await.unwrap(), image.manifest().bytes);
        for blob in image.blobs() {
            let served = get(&mock, &format!("/v2/team/demo/blobs/{}", blob.digest)).await;
            assert_eq!(served.bytes().await.unwrap(), blob.bytes);
            assert_eq!(mock.bytes_served(&blob.digest), blob.bytes.len() as u64);
        }
    }
    assert_eq!(status(&mock, "/v2/team/demo/manifests/v2").await, 404);
    assert_eq!(status(&mock, "/v2/demo/manifests/v1").await, 404);
}

#[tokio::test]
async fn a_head_is_a_get_without_a_body() {
    let (mock, image) = with_an_image().await;
    let head = ask(&mock, Method::HEAD, MANIFEST, &[]).await.unwrap();
    assert_eq!(head.headers()["content-length"], image.manifest().bytes.len().to_string());
    assert_eq!(head.headers()["docker-content-digest"], image.digest().to_string());
    assert_eq!(mock.counts(), Counts { manifest_heads: 1, ..Counts::default() });
    assert_eq!(mock.bytes_served(image.digest()), 0);
}

#[tokio::test]
async fn a_range_is_served_as_a_part() {
    let (mock, image) = with_an_image().await;
    let bytes = &image.layers()[1].bytes;
    let part = ask(&mock, Method::GET, &blob(&image), &[("range", "bytes=10-19")]).await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", bytes.len()));
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(10..20));
    let behind = ask(&mock, Method::GET, &blob(&image), &[("range", "bytes=999999-")]).await.unwrap();
    assert_eq!(behind.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn a_fault_lasts_as_long_as_it_was_told_to() {
    let (mock, image) = with_an_image().await;
    mock.fail_next(2, On::Blobs, Fault::Status(503));
    assert_eq!(status(&mock, MANIFEST).await, 200, "not concerned");
    for expected in [503, 503, 200] {
        assert_eq!(status(&mock, &blob(&image)).await, expected);
    }
    mock.fail(On::Manifests, Fault::TooManyRequests("7".into()));
    let refused = get(&mock, MANIFEST).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    mock.repair();
    assert_eq!(status(&mock, MANIFEST).await, 200);
}

#[tokio::test]
async fn a_body_that_is_cut_short_is_an_error_to_its_reader() {
    let (mock, image) = with_an_image().await;
    mock.fail_next(1, On::Digest(image.layers()[1].digest.clone()), Fault::CutShort);
    let mut cut = get(&mock, &blob(&image)).await;
    assert_eq!(cut.content_length(), Some(image.layers()[1].bytes.len() as u64), "the whole was promised");
    let mut received = 0;
    let end = loop {
        match cut.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            end => break end,
        }
    };
    assert!(end.is_err(), "the end came too early");
    assert_eq!(received, image.layers()[1].bytes.len() / 2);
    assert_eq!(get(&mock, &blob(&image)).await.bytes().await.unwrap(), image.layers()[1].bytes);
}

#[tokio::test]
async fn wrong_bits_ranges_and_headers_are_as_told() {
    let (mock, image) = with_an_image().await;
    mock.fail_next(1, On::Blobs, Fault::FlippedBit);
    assert_ne!(get(&mock, &blob(&image)).await.bytes().await.unwrap(), image.layers()[1].bytes);
    mock.fail_next(1, On::Blobs, Fault::WrongRange);
    let wrong = ask(&mock, Method::GET, &blob(&image), &[("range", "bytes=0-9")]).await.unwrap();
    assert!(wrong.headers()["content-range"].to_str().unwrap().starts_with("bytes 1-9/"));
    mock.fail_next(1, On::Blobs, Fault::ShortRange);
    let short = ask(&mock, Method::GET, &blob(&image), &[("range", "bytes=0-9")]).await.unwrap();
    assert!(short.headers()["content-range"].to_str().unwrap().starts_with("bytes 0-4/"));
    mock.fail_next(1, On::Blobs, Fault::RangesIgnored);
    let whole = ask(&mock, Method::GET, &blob(&image), &[("range", "bytes=0-9")]).await.unwrap();
    assert_eq!(whole.status(), StatusCode::OK);
    mock.fail_next(1, On::Manifests, Fault::NoDigestHeader);
    assert!(!get(&mock, MANIFEST).await.headers().contains_key("docker-content-digest"));
    mock.fail_next(1, On::Manifests, Fault::HeadRefused);
    assert_eq!(status(&mock, MANIFEST).await, 200, "a GET is not a HEAD");
    assert_eq!(ask(&mock, Method::HEAD, MANIFEST, &[]).await.unwrap().status(), 405);
    mock.fail_next(1, On::Manifests, Fault::login_page());
    assert!(get(&mock, MANIFEST).await.text().await.unwrap().starts_with("<html>"));
    for fault in [Fault::HangUp, Fault::HangUpInHead] {
        mock.fail_next(1, On::Manifests, fault);
        assert!(ask(&mock, Method::GET, MANIFEST, &[]).await.is_err());
    }
    mock.fail_next(1, On::Manifests, Fault::Challenge("Basic realm=\"x\"".into()));
    assert_eq!(get(&mock, MANIFEST).await.headers()["www-authenticate"], "Basic realm=\"x\"");
}

#[tokio::test]
async fn faults_of_one_request_add_up() {
    let (mock, image) = with_an_image().await;
    mock.fail(On::Manifests, Fault::login_page());
    mock.fail(On::Manifests, Fault::DigestHeader(image.digest().to_string()));
    let served = get(&mock, MANIFEST).await;
    assert_eq!(served.headers()["docker-content-digest"], image.digest().to_string());
    assert!(served.text().await.unwrap().starts_with("<html>"));
}

#[tokio::test]
async fn a_redirect_leads_to_another_registry() {
    let (mock, image) = with_an_image().await;
    let (other, _) = with_an_image().await;
    mock.fail(On::Blobs, Fault::Redirect(other.url()));
    let served = get(&mock, &blob(&image)).await;
    assert_eq!(served.bytes().await.unwrap(), image.layers()[1].bytes);
    assert_eq!(other.counts().blob_gets, 1);
}

#[tokio::test]
async fn a_password_is_asked_for_and_checked() {
    let (mock, _) = with_an_image().await;
    mock.require(Auth::basic("user", "secret"));
    assert!(get(&mock, MANIFEST).await.headers()["www-authenticate"].to_str().unwrap().starts_with("Basic "));
    for (password, expected) in [("wrong", 401), ("secret", 200)] {
        let request = plain_client().get(format!("{}{MANIFEST}", mock.url()));
        let answer = request.basic_auth("user", Some(password)).send().await.unwrap();
        assert_eq!(answer.status(), expected);
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_own_repository_until_it_expires() {
    let (mock, image) = with_an_image().await;
    mock.publish("other", "v1", &image);
    mock.require(Auth::token("user", "secret"));
    let challenge = get(&mock, MANIFEST).await.headers()["www-authenticate"].to_str().unwrap().to_owned();
    let realm = format!("{}/token", mock.url());
    let expected = format!("Bearer realm=\"{realm}\",service=\"mock\",scope=\"repository:demo:pull\"");
    assert_eq!(challenge, expected);

    let ask_for_token = || plain_client().get(format!("{realm}?service=mock&scope=repository:demo:pull"));
    assert_eq!(ask_for_token().send().await.unwrap().status(), 401);
    let granted = ask_for_token().basic_auth("user", Some("secret")).send().await.unwrap();
    let granted: serde_json::Value = serde_json::from_slice(&granted.bytes().await.unwrap()).unwrap();
    let bearer = format!("Bearer {}", granted["token"].as_str().unwrap());
    let authorized = async |path| {
        ask(&mock, Method::GET, path, &[("authorization", &bearer)]).await.unwrap().status().as_u16()
    };
    assert_eq!(authorized(MANIFEST).await, 200);
    assert_eq!(authorized("/v2/other/manifests/v1").await, 401, "a token for another repository");
    mock.expire_tokens();
    assert_eq!(authorized(MANIFEST).await, 401);
    assert_eq!(mock.counts().token_requests, 2);
}

#[tokio::test]
async fn while_it_is_down_connections_are_refused_and_then_all_is_as_before() {
    let (mock, _) = with_an_image().await;
    let host = mock.host();
    for _ in 0..2 {
        mock.go_down().await;
        assert!(ask(&mock, Method::GET, MANIFEST, &[]).await.unwrap_err().is_connect());
        mock.go_up().await;
        assert_eq!(status(&mock, MANIFEST).await, 200);
    }
    assert_eq!(mock.host(), host);
}

#[tokio::test]
async fn a_connection_breaks_when_the_registry_goes_down() {
    let (mock, image) = with_an_image().await;
    let gate = mock.hold_blobs(10);
    let held = tokio::spawn({
        let (mock, path) = (mock.clone(), blob(&image));
        async move { get(&mock, &path).await.bytes().await }
    });
    gate.until_held(1).await;
    mock.go_down().await;
    held.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn a_blob_is_held_until_the_gate_is_released() {
    let (mock, image) = with_an_image().await;
    let gate = mock.hold_blobs(100);
    let mut held = get(&mock, &blob(&image)).await;
    let mut received = 0;
    while received < 100 {
        received += held.chunk().await.unwrap().unwrap().len();
    }
    gate.until_held(1).await;
    assert_eq!(received, 100);
    drop(gate);
    while let Some(chunk) = held.chunk().await.unwrap() {
        received += chunk.len();
    }
    assert_eq!(received, image.layers()[1].bytes.len());
}

#[tokio::test]
async fn a_mock_of_a_test_goes_before_the_registry() {
    let (mock, _) = with_an_image().await;
    let teapot = Mock::given(wiremock::matchers::path(MANIFEST)).respond_with(ResponseTemplate::new(418));
    teapot.mount(mock.server()).await;
    assert_eq!(status(&mock, MANIFEST).await, 418);
    assert_eq!(status(&mock, "/v2/").await, 200);
}

#[tokio::test]
async fn other_bytes_are_served_under_the_digest_that_they_replace() {
    let (mock, image) = with_an_image().await;
    mock.replace(image.digest(), "something else");
    let served = get(&mock, MANIFEST).await;
    assert_eq!(served.headers()["docker-content-digest"], image.digest().to_string());
    assert_eq!(served.text().await.unwrap(), "something else");
    mock.repair();
    assert_eq!(get(&mock, MANIFEST).await.bytes().await.unwrap(), image.manifest().bytes);
}

#[tokio::test]
async fn tokens_are_handed_out_as_it_is_told() {
    let (mock, _) = with_an_image().await;
    mock.require(Auth::token("me", "secret"));
    mock.hand_out(Tokens::default().named("access_token").with_lifetime(None).with_identity("mine"));
    let post = async |body: &'static str| {
        let request = plain_client().post(format!("{}/token", mock.url())).body(body);
        request.send().await.unwrap()
    };
    let answer = post("grant_type=refresh_token&refresh_token=mine&scope=repository:demo:pull").await;
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    let names: Vec<_> = answer.as_object().unwrap().keys().collect();
    assert_eq!(names, ["access_token"]);
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let let_in = ask(&mock, Method::GET, MANIFEST, &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(let_in.status(), StatusCode::OK);
    assert_eq!(post("grant_type=refresh_token&refresh_token=other").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(post("grant_type=password&username=me&password=secret").await.status(), StatusCode::OK);
    mock.hand_out(Tokens::default().refusing("POST", 405));
    assert_eq!(post("").await.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn credentials_that_are_no_good_are_refused_where_none_are_needed() {
    let (mock, _) = with_an_image().await;
    for late in [false, true] {
        mock.require(Auth::public_token("me", "secret", late));
        let token = async |headers: &[(&str, &str)]| {
            ask(&mock, Method::GET, "/token?scope=repository:demo:pull", headers).await.unwrap()
        };
        assert_eq!(token(&[]).await.status(), StatusCode::OK);
        let stale = token(&[("authorization", "Basic eDp5")]).await;
        assert_eq!(stale.status(), if late { StatusCode::OK } else { StatusCode::FORBIDDEN });
        if late {
            let stale: serde_json::Value = serde_json::from_slice(&stale.bytes().await.unwrap()).unwrap();
            let bearer = format!("Bearer {}", stale["token"].as_str().unwrap());
            let refused = ask(&mock, Method::GET, MANIFEST, &[("authorization", &bearer)]).await.unwrap();
            assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        }
    }
}

#[tokio::test]
async fn a_challenge_is_in_the_words_that_it_is_told_but_at_the_api() {
    let (mock, _) = with_an_image().await;
    mock.require(Auth::AnonymousToken);
    mock.challenge(&["One", "Two"]);
    let headers = get(&mock, MANIFEST).await.headers().clone();
    assert_eq!(headers.get_all("www-authenticate").iter().collect::<Vec<_>>(), ["One", "Two"]);
    let headers = get(&mock, "/v2/").await.headers().clone();
    assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Bearer realm="));
}

#[tokio::test]
async fn it_ends_in_a_task_that_has_had_its_turn() {
    let mut mock = Some(with_an_image().await.0);
    poll_fn(|context| {
        while coop::has_budget_remaining() {
            _ = pin!(coop::consume_budget()).poll(context);
        }
        drop(mock.take());
        Poll::Ready(())
    })
    .await;
}
