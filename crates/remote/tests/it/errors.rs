//! What a failure says: its kind, the registry's own words made harmless, and each cause once.

use std::error::Error as _;
use std::time::Duration;

use hoist_core::ErrorKind;
use hoist_testkit::{Fault, Image, On};

use crate::setup::{Setup, refused};

/// 200 in the place of an honest status, with an error body (watchtower#2229); and the same with its status.
#[tokio::test]
async fn an_error_in_the_place_of_a_manifest_is_told_for_what_it_is() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for (code, kind, help) in [
        ("TOOMANYREQUESTS", ErrorKind::RateLimited { retry_after: None }, "wait"),
        ("DENIED", ErrorKind::Malformed, "operator"),
    ] {
        setup.mock.repair();
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"not for you"}}]}}"#);
        setup.mock.fail(On::Manifests, Fault::Document("application/json".into(), body));
        setup.fails(&reference, kind, &["the manifest v1", "not for you", help]).await;
    }
}

#[tokio::test]
async fn the_registrys_own_words_are_shown_and_can_do_no_harm() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let nasty =
        r"\u001b[2J\u001b]0;title\u0007no \u202esuch\u202c \u009b31mthing\r\nhoist: all is well\u0000";
    let long = "x".repeat(100_000);
    let body =
        format!(r#"{{"errors":[{{"code":"A","message":"{nasty}"}},{{"code":"B","message":"{long}"}}]}}"#);
    setup.mock.fail(On::Manifests, Fault::Document("application/json".into(), body));
    let error = refused(&setup.registry(), &reference).await;
    let report = error.report();
    assert!(report.contains("no such 31mthing  hoist: all is well"), "{report}");
    assert!(!report.chars().any(|c| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)), "{report:?}");
    assert!(report.len() < 2000, "{}", report.len());
}

#[tokio::test]
async fn what_a_document_calls_itself_can_do_no_harm() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let entry = |os: &str| {
        format!(
            r#"{{"mediaType":"x","digest":"{}","size":2,"platform":{{"os":"{os}","architecture":"amd64"}}}}"#,
            Image::sample(1).digest()
        )
    };
    for body in [
        r#"{"mediaType":"application/\u001b[31mred","blobs":[]}"#.to_owned(),
        format!(r#"{{"manifests":[{},{}]}}"#, entry(r"\u001b[2J\u202eos"), entry(&"y".repeat(1 << 20))),
    ] {
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::Document("application/json".into(), body));
        let report = refused(&setup.registry(), &reference).await.report();
        assert!(!report.chars().any(|c| c.is_control() || c == '\u{202e}'), "{report:?}");
        assert!(report.len() < 10_000, "{}", report.len());
    }
}

#[tokio::test]
async fn a_rate_limit_says_for_how_long() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Manifests, Fault::TooManyRequests("7200".into()));
    let kind = ErrorKind::RateLimited { retry_after: Some(Duration::from_hours(2)) };
    setup.fails(&reference, kind, &["as the test wants it", "wait 7200 s"]).await;
}

#[tokio::test]
async fn each_cause_is_told_once() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.go_down().await;
    let error = refused(&setup.registry(), &reference).await;
    let report = error.report();
    let mut parts: Vec<&str> = report.split(": ").collect();
    let all = parts.len();
    parts.sort_unstable();
    parts.dedup();
    assert_eq!(parts.len(), all, "{report}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        assert_eq!(report.matches(&text).count(), 1, "{text:?} in {report}");
        assert!(
            error.source().is_none_or(|inner| !text.contains(&inner.to_string())),
            "{text:?} repeats its cause"
        );
        cause = error.source();
    }
}
