//! Refusals and overload: each is told for what it is, and tried again only where that can help.

use std::time::Duration;

use hoist_core::{ErrorKind, ImageRegistry};
use hoist_testkit::{Fault, Image, MockRegistry, On};

use crate::setup::{Setup, fails, refused};

#[tokio::test]
async fn a_refusal_is_told_for_what_it_is_and_not_tried_again() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for (status, kind, help) in [
        (404, ErrorKind::NotFound, "check the name and the tag"),
        (401, ErrorKind::Unauthorized, "credentials"),
        (403, ErrorKind::Forbidden, "other credentials"),
        (412, ErrorKind::Forbidden, "a rule of the registry"),
        (451, ErrorKind::Forbidden, "a rule of the registry"),
        (400, ErrorKind::Unsupported, "the registry refuses the request"),
    ] {
        setup.mock.fail_next(1, On::Manifests, Fault::Status(status));
        let said = "as the test wants it";
        setup.fails(&reference, kind, &[&status.to_string(), "the manifest v1", said, help]).await;
    }
    assert_eq!(setup.mock.counts().manifest_gets, 6);
}

/// Words are found in other forms than the spec's, and pages tell what they come from.
#[tokio::test]
async fn what_a_refusal_says_is_shown_in_whatever_form_it_is_said() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for (status, body, kind, words) in [
        (
            403,
            r#"{"errors":[{"code":403,"message":"quota used up"}]}"#,
            ErrorKind::Forbidden,
            "quota used up",
        ),
        (403, r#"{"error":"denied","error_description":"plan ended"}"#, ErrorKind::Forbidden, "plan ended"),
        (403, r#"{"details":"no such user"}"#, ErrorKind::Forbidden, "no such user"),
        (400, "<html>hello</html>", ErrorKind::Unsupported, "is this the address of a registry?"),
        (400, "Client sent an HTTP request to an HTTPS server.", ErrorKind::Tls, "it speaks TLS"),
        (
            400,
            "<center>The plain HTTP request was sent to HTTPS port</center>",
            ErrorKind::Tls,
            "leave out `plain-http`",
        ),
        (
            400,
            "<center>No required SSL certificate was sent</center>",
            ErrorKind::Tls,
            "a client certificate",
        ),
    ] {
        setup.mock.fail_next(1, On::Manifests, Fault::Said(status, body.to_owned()));
        setup.fails(&reference, kind, &[&status.to_string(), words]).await;
    }
}

#[tokio::test]
async fn what_an_index_names_and_the_registry_lost_is_no_wrong_tag() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    for digest in [image.digest(), &image.layers()[0].digest] {
        let pinned = format!("{}/demo@{}", setup.mock.host(), image.digest());
        setup.mock.fail_next(1, On::Digest(digest.clone()), Fault::Status(404));
        let report = refused(&setup.registry(), &pinned).await.report();
        assert!(report.contains("push the image again") && !report.contains("the tag"), "{report}");
    }
    setup.pull(&reference).await;
}

/// Such as a registry's storage. Its path and query hold secrets.
#[tokio::test]
async fn the_server_that_a_registry_redirects_to_is_named_and_the_advice_is_about_it() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let storage = MockRegistry::start().await;
    setup.mock.fail(On::Blobs, Fault::Redirect(storage.url()));
    for (status, kind) in
        [(401, ErrorKind::Unauthorized), (403, ErrorKind::Forbidden), (404, ErrorKind::NotFound)]
    {
        storage.repair();
        storage.fail(On::Blobs, Fault::Status(status));
        let error = refused(&setup.registry(), &reference).await;
        let report = error.report();
        assert_eq!(*error.kind(), kind, "{report}");
        let names = format!("{}, where {} redirects to,", storage.host(), setup.mock.host());
        assert!(report.contains(&names) && report.contains("storage"), "{report}");
        assert!(!report.contains("hoist login") && !report.contains("the tag"), "{report}");
    }
    let gone = closed_address();
    setup.mock.repair();
    setup.mock.fail(On::Blobs, Fault::Redirect(format!("http://{gone}")));
    let registry = setup.registry().with_options(|options| options.with_retries(0));
    fails(&registry, &reference, ErrorKind::Unavailable, &[&format!("redirects to {gone}")]).await;
}

/// The address of a server that has ended.
fn closed_address() -> std::net::SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|server| server.local_addr()).unwrap()
}

#[tokio::test]
async fn a_refused_blob_is_named() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    let layer = &image.layers()[0].digest;
    for (status, kind) in [(404, ErrorKind::NotFound), (403, ErrorKind::Forbidden)] {
        setup.mock.fail_next(1, On::Digest(layer.clone()), Fault::Status(status));
        setup.fails(&reference, kind, &[&status.to_string(), &layer.to_string()]).await;
    }
}

#[tokio::test]
async fn a_failing_registry_is_asked_as_often_as_configured() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for (status, retries) in [(500, 0), (502, 1), (503, 2)] {
        setup.mock.forget_requests();
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::Status(status));
        let registry = setup.registry().with_options(|options| options.with_retries(retries));
        let words = [&*status.to_string(), "the manifest v1", "try again later"];
        fails(&registry, &reference, ErrorKind::Unavailable, &words).await;
        assert_eq!(setup.mock.counts().manifest_gets, 1 + retries);
    }
}

#[tokio::test]
async fn trouble_that_passes_is_not_noticed() {
    let image = Image::sample(1);
    let (setup, reference) = Setup::with(&image).await;
    for trouble in [Fault::Status(500), Fault::Status(503), Fault::HangUp, Fault::HangUpInHead] {
        setup.mock.fail_next(1, On::Manifests, trouble.clone());
        for blob in image.blobs() {
            setup.mock.fail_next(1, On::Digest(blob.digest.clone()), trouble.clone());
        }
        setup.pull(&reference).await;
    }
}

#[tokio::test]
async fn a_registry_that_always_hangs_up_is_unavailable() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for fault in [Fault::HangUp, Fault::HangUpInHead] {
        setup.mock.repair();
        setup.mock.fail(On::Everything, fault);
        setup.fails(&reference, ErrorKind::Unavailable, &["the manifest v1", "try again later"]).await;
    }
}

#[tokio::test]
async fn a_rate_limit_that_passes_is_waited_for() {
    const PAST: &str = "Wed, 21 Oct 2015 07:28:00 GMT";
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let limits = ["0", PAST, "soon"].map(|after| Fault::TooManyRequests(after.to_owned()));
    for limit in limits.into_iter().chain([Fault::Status(429)]) {
        setup.mock.forget_requests();
        setup.mock.fail_next(1, On::Manifests, limit);
        setup.registry().force_pull(&reference).await.unwrap();
        assert_eq!(setup.mock.counts().manifest_gets, 2, "asked again, once");
    }
}

#[tokio::test]
async fn a_rate_limit_that_lasts_is_told() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::Status(429));
    let kind = ErrorKind::RateLimited { retry_after: None };
    setup.fails(&reference, kind, &["429", "wait, or use credentials with a higher limit"]).await;
    assert_eq!(setup.mock.counts().manifest_gets, 2, "one retry is configured");
}

#[tokio::test]
async fn a_wait_of_an_hour_is_left_to_the_caller() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let hour = ErrorKind::RateLimited { retry_after: Some(Duration::from_hours(1)) };
    for on in [On::Manifests, On::Blobs] {
        setup.mock.repair();
        setup.mock.fail(on, Fault::TooManyRequests("3600".into()));
        setup.fails(&reference, hour.clone(), &["429", "wait 3600 s"]).await;
    }
    let asked = setup.mock.requests();
    let limited: Vec<_> = asked.iter().filter(|seen| seen.status == 429 && seen.digest.is_none()).collect();
    assert_eq!(limited.len(), 1, "not tried again");
}

#[tokio::test]
async fn a_wait_until_a_date_is_understood() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::TooManyRequests("Fri, 31 Dec 2399 23:59:59 GMT".into()));
    let error = refused(&setup.registry(), &reference).await;
    let ErrorKind::RateLimited { retry_after: Some(wait) } = error.kind() else { panic!("{error:?}") };
    assert!(*wait > Duration::from_hours(24), "{wait:?}");
    assert_eq!(setup.mock.counts().manifest_gets, 1, "not tried again");
}
