//! Credentials and tokens: asked for when they must be, shown to nobody else, and to be seen nowhere.

use hoist_core::{ErrorKind, Event, Events};
use hoist_testkit::{Auth, Fault, Image, Layer, On};

use crate::setup::{SECRET, Setup, assert_no_secret, fails, pull};

fn many_layers() -> Image {
    Image::builder().layers((0..8).map(|seed| Layer::random(1000, seed))).build()
}

#[tokio::test]
async fn one_token_is_enough_for_an_image() {
    let (setup, reference) = Setup::with(many_layers()).await;
    for (auth, registry) in
        [(Auth::AnonymousToken, setup.registry()), (Auth::token("me", SECRET), setup.registry_as_me())]
    {
        setup.mock.require(auth);
        setup.mock.forget_requests();
        pull(&registry, &reference).await;
        assert_eq!(setup.mock.counts().token_requests, 1);
    }
}

#[tokio::test]
async fn credentials_are_not_shown_before_they_are_asked_for() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    pull(&setup.registry_as_me(), &reference).await;
    assert!(setup.mock.requests().iter().all(|seen| seen.authorization.is_none()));
}

#[tokio::test]
async fn without_good_credentials_a_pull_is_unauthorized() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for auth in [Auth::basic("you", "other"), Auth::token("you", "other")] {
        setup.mock.require(auth);
        for registry in [setup.registry(), setup.registry_as_me()] {
            setup.mock.forget_requests();
            fails(&registry, &reference, ErrorKind::Unauthorized, &["401", "credentials"]).await;
            assert!(setup.mock.requests().len() <= 2, "{:?}", setup.mock.requests());
        }
    }
}

#[tokio::test]
async fn when_the_token_expires_all_blobs_share_a_new_one() {
    let (setup, reference) = Setup::with(many_layers()).await;
    setup.mock.require(Auth::token("me", SECRET));
    let mock = setup.mock.clone();
    let expire = move |event| {
        if let Event::Resolved { .. } = event {
            mock.expire_tokens();
        }
    };
    let registry = setup.registry_as_me().with_retries(0).with_connections(8).with_events(Events::to(expire));
    pull(&registry, &reference).await;
    assert_eq!(setup.mock.counts().token_requests, 2, "the first, and the new one");
}

#[tokio::test]
async fn a_token_that_is_never_good_is_not_asked_for_without_end() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::AnonymousToken);
    let challenge = format!("Bearer realm=\"{}/token\",service=\"mock\"", setup.mock.url());
    setup.mock.fail(On::Manifests, Fault::Challenge(challenge));
    setup.fails(&reference, ErrorKind::Unauthorized, &["401"]).await;
    assert_eq!(setup.mock.counts().token_requests, 1);
}

#[tokio::test]
async fn a_token_server_that_cannot_be_trusted_is_sent_nothing() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for realm in ["http://169.254.169.254/token", "http://auth.example.com/token", "file:///etc/passwd"] {
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::Challenge(format!("Bearer realm=\"{realm}\"")));
        let words = ["the token server", "no credentials were sent"];
        fails(&setup.registry_as_me(), &reference, ErrorKind::Unauthorized, &words).await;
    }
}

#[tokio::test]
async fn a_challenge_that_nobody_knows_is_unauthorized() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let challenges = ["", "Negotiate", "Digest realm=\"x\", nonce=\"y\"", "Bearer", "Bearer realm=\"\""];
    for challenge in challenges {
        setup.mock.repair();
        setup.mock.fail(On::Manifests, Fault::Challenge(challenge.to_owned()));
        fails(&setup.registry_as_me(), &reference, ErrorKind::Unauthorized, &[]).await;
    }
    assert_eq!(setup.mock.requests().len(), challenges.len(), "and it is answered with nothing");
}

#[tokio::test]
async fn a_token_server_in_trouble_is_asked_again() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for trouble in [Fault::Status(503), Fault::HangUp, Fault::CutShort] {
        setup.mock.require(Auth::AnonymousToken);
        setup.mock.fail_next(1, On::Tokens, trouble);
        setup.pull(&reference).await;
    }
}

/// `NotFound` is said of images only: whoever has another place to ask would go there.
#[tokio::test]
async fn a_token_server_that_is_none_is_not_an_image_that_is_missing() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("me", SECRET));
    for (fault, word) in [
        (Fault::Status(404), "404"),
        (Fault::login_page(), "no token"),
        (Fault::Document("application/json".into(), "{}".into()), "no token"),
    ] {
        setup.mock.repair();
        setup.mock.fail(On::Tokens, fault);
        fails(&setup.registry_as_me(), &reference, ErrorKind::Unauthorized, &["token", word]).await;
    }
}

#[tokio::test]
async fn no_secret_is_to_be_seen_of_a_registry_in_use() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for auth in [Auth::basic("me", SECRET), Auth::token("me", SECRET)] {
        setup.mock.require(auth);
        let registry = setup.registry_as_me();
        pull(&registry, &reference).await;
        assert_no_secret(&format!("{registry:?} {registry:#?} {registry}"));
    }
}
