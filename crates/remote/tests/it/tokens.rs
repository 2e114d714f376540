//! Credentials and tokens: asked for when they must be, shown to nobody else, and to be seen nowhere.

use hoist_core::{ErrorKind, Event, Events, ImageRegistry};
use hoist_remote::Credentials;
use hoist_testkit::{Auth, Fault, Image, Layer, On, Tokens};

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
            assert!(setup.mock.requests().len() <= 3, "{:?}", setup.mock.requests());
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
    let registry = setup
        .registry_as_me()
        .with_options(|options| options.with_retries(0).with_connections(8.try_into().unwrap()))
        .with_events(Events::to(expire));
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

#[tokio::test]
async fn a_token_is_taken_whatever_the_server_calls_it_and_whether_it_says_how_long_it_lasts() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for tokens in [
        Tokens::default().named("token"),
        Tokens::default().named("access_token"),
        Tokens::default().with_lifetime(None),
        Tokens::default().with_lifetime(Some(0)),
    ] {
        setup.mock.require(Auth::AnonymousToken);
        setup.mock.hand_out(tokens);
        setup.mock.forget_requests();
        setup.pull(&reference).await;
        assert_eq!(setup.mock.counts().token_requests, 1);
    }
}

/// One that does not say how long it lasts is good for 60 seconds.
#[tokio::test]
async fn a_token_that_is_about_to_end_is_replaced_before_it_is_refused() {
    for (lifetime, soon, later) in [(None, 45, 10), (Some(300), 285, 10), (Some(10), 45, 10)] {
        let (setup, reference) = Setup::with(Image::sample(1)).await;
        setup.mock.require(Auth::token("me", SECRET));
        setup.mock.hand_out(Tokens::default().with_lifetime(lifetime));
        let registry = setup.registry_as_me();
        pull(&registry, &reference).await;

        time_passes(soon).await;
        pull(&registry, &reference).await;
        assert_eq!(setup.mock.counts().token_requests, 1, "it is still good");

        time_passes(later).await;
        setup.mock.forget_requests();
        pull(&registry, &reference).await;
        assert_eq!(setup.mock.counts().token_requests, 1, "it is not any more");
        assert!(setup.mock.requests().iter().all(|seen| seen.status != 401), "{:?}", setup.mock.requests());
    }
}

/// Makes hoist's clock go on, while nothing is under way.
async fn time_passes(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_that_cannot_be_replaced_in_time_is_used_to_its_end() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::AnonymousToken);
    let registry = setup.registry().with_options(|options| options.with_retries(0));
    pull(&registry, &reference).await;
    time_passes(295).await;
    setup.mock.fail(On::Tokens, Fault::Status(503));
    pull(&registry, &reference).await;
    time_passes(10).await;
    let error = registry.pull(&reference).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable, "{}", error.report());
}

#[tokio::test]
async fn the_next_token_is_got_with_the_refresh_token_and_not_with_the_password() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.hand_out(Tokens::default().with_refresh_tokens());
    let registry = setup.registry_as_me();
    pull(&registry, &reference).await;
    for _ in 0..2 {
        setup.mock.expire_tokens();
        setup.mock.forget_requests();
        pull(&registry, &reference).await;
        let tokens: Vec<_> = setup.mock.requests().into_iter().filter(|seen| seen.path == "/token").collect();
        assert_eq!(tokens.len(), 1);
        assert_eq!((tokens[0].method.as_str(), tokens[0].authorization.as_deref()), ("POST", None));
    }
    setup.mock.require(Auth::token("me", SECRET)); // which forgets the refresh tokens as well
    pull(&registry, &reference).await;
}

#[tokio::test]
async fn a_token_server_that_takes_post_only_is_posted_the_password() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    for status in [404, 405] {
        setup.mock.require(Auth::token("me", SECRET));
        setup.mock.hand_out(Tokens::default().refusing("GET", status));
        pull(&setup.registry_as_me(), &reference).await;
    }
}

/// Docker Hub, GHCR and others ask for what docker would push as well.
#[tokio::test]
async fn a_token_is_for_what_the_challenge_names_and_never_for_more_than_to_pull() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::AnonymousToken);
    let own = "repository:demo:pull";
    for (asked, expected) in [
        (r#",scope="repository:demo:pull,push,delete""#, vec![own]),
        (r#",scope="registry:catalog:*""#, vec![own]),
        ("", vec![own]),
        (r#",scope="repository:other:pull repository:demo:pull""#, vec![own, "repository:other:pull"]),
    ] {
        setup.mock.forget_requests();
        setup
            .mock
            .challenge(&[&format!("Bearer realm=\"{}/token\",service=\"mock\"{asked}", setup.mock.url())]);
        setup.force_pull(&reference).await;
        let token = setup.mock.requests().into_iter().find(|seen| seen.path == "/token").unwrap();
        assert_eq!(token.scopes, expected, "{asked}");
    }
}

#[tokio::test]
async fn of_several_challenges_in_one_header_or_in_many_the_known_one_is_answered() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let realm = format!("Bearer realm=\"{}/token\"", setup.mock.url());
    let bearer = format!("{realm},service=\"a, b\",scope=\"repository:demo:pull,push\"");
    for challenges in [
        &[&*format!("Negotiate, Basic realm=\"x, y\", {bearer}")][..],
        &[&format!("{bearer}, Basic realm=\"x\"")],
        &["Basic realm=\"x\"", &bearer],
        &[&bearer, "Negotiate", "Digest realm=\"x\", nonce=\"y\""],
    ] {
        setup.mock.require(Auth::token("me", SECRET));
        setup.mock.challenge(challenges);
        let registry = setup.registry_as_me();
        registry.force_pull(&reference).await.unwrap_or_else(|error| panic!("{}", error.report()));
    }
}

/// docker/hub-feedback#2530: `/v2/` may say what the 401 of an image does not.
#[tokio::test]
async fn a_401_without_a_challenge_is_explained_by_the_api_or_is_unauthorized() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.challenge(&[]);
    pull(&setup.registry_as_me(), &reference).await;
    assert!(setup.mock.requests().iter().any(|seen| seen.path == "/v2/"));

    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.fail(On::Everything, Fault::Status(401));
    fails(&setup.registry_as_me(), &reference, ErrorKind::Unauthorized, &["401"]).await;
    assert!(setup.mock.requests().iter().all(|seen| seen.authorization.is_none()));
}

/// devcontainers/cli#515: GHCR's token server, or the registry itself, answers 403 to credentials that have ended.
#[tokio::test]
async fn a_public_image_is_pulled_though_the_credentials_are_stale() {
    for late in [false, true] {
        let (setup, reference) = Setup::with(many_layers()).await;
        setup.mock.require(Auth::public_token("me", "other", late));
        pull(&setup.registry_as_me(), &reference).await;
        assert!(setup.mock.counts().token_requests <= 2, "with them, and once without");
        let manifests = setup.mock.requests().into_iter().filter(|seen| seen.status == 403).count();
        assert_eq!(manifests, 1, "they were shown once");
    }
}

#[tokio::test]
async fn a_403_that_is_meant_is_forbidden_and_the_credentials_are_not_forgotten() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("me", SECRET));
    let registry = setup.registry_as_me();
    setup.mock.fail(On::Manifests, Fault::Status(403));
    fails(&registry, &reference, ErrorKind::Forbidden, &["403"]).await;
    setup.mock.repair();
    setup.mock.forget_requests();
    pull(&registry, &reference).await;
    assert_eq!(setup.mock.counts().token_requests, 0, "the token is still good");
}

/// NVIDIA/enroot#278.
#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_a_long_pull_is_replaced_once_and_the_pull_goes_on() {
    let image = many_layers();
    let (setup, reference) = Setup::with(&image).await;
    setup.mock.require(Auth::token("me", SECRET));
    let mock = setup.mock.clone();
    let last = image.layers().last().unwrap().digest.clone();
    let expire = move |event| {
        if let Event::BlobProgress { .. } = event
            && mock.counts().blob_gets == 2
        {
            mock.expire_tokens();
        }
    };
    let registry = setup
        .registry_as_me()
        .with_options(|options| options.with_retries(0).with_connections(1.try_into().unwrap()))
        .with_events(Events::to(expire));
    pull(&registry, &reference).await;
    assert_eq!(setup.mock.counts().token_requests, 2);
    assert!(setup.has(&last));
}

#[tokio::test]
async fn a_token_is_shared_by_all_that_pull_from_one_repository() {
    let (setup, _) = Setup::with(many_layers()).await;
    setup.mock.require(Auth::token("me", SECRET));
    let references: Vec<_> =
        (0..4u64).map(|n| setup.mock.publish("demo", &format!("v{n}"), Image::sample(n))).collect();
    let registry = setup.registry_as_me();
    let pulls = references.iter().map(|reference| pull(&registry, reference));
    futures_util::future::join_all(pulls).await;
    assert_eq!(setup.mock.counts().token_requests, 1);
}

/// oras-project/oras-dotnet#423.
#[tokio::test]
async fn a_realm_may_be_relative_to_the_registry() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.challenge(&["Bearer realm=\"/token\",service=\"mock\""]);
    pull(&setup.registry_as_me(), &reference).await;
}

/// A `POST` has the credentials in its body, which a redirect would take along.
#[tokio::test]
async fn a_token_server_that_redirects_elsewhere_takes_no_credentials_there() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let elsewhere = hoist_testkit::MockRegistry::start().await;
    elsewhere.require(Auth::AnonymousToken);
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.fail(On::Tokens, Fault::Redirect(elsewhere.url()));
    let registry = |credentials| {
        setup.registry().with_options(|options| options.with_credentials(setup.mock.host(), credentials))
    };

    let posts = registry(Credentials::identity_token(SECRET));
    fails(&posts, &reference, ErrorKind::Unsupported, &["token", "redirected to another server"]).await;
    assert_eq!(elsewhere.requests(), []);

    let gets = registry(Credentials::basic("me", SECRET));
    fails(&gets, &reference, ErrorKind::Unauthorized, &["401"]).await;
    assert!(elsewhere.requests().iter().all(|seen| seen.authorization.is_none()));
}

/// To another of its own addresses, with all that it was posted.
#[tokio::test]
async fn a_token_server_may_redirect_a_post_to_itself() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.hand_out(Tokens::default().with_identity(SECRET));
    setup.mock.fail_next(1, On::Tokens, Fault::Redirect(String::new()));
    let credentials = Credentials::identity_token(SECRET);
    pull(
        &setup.registry().with_options(|options| options.with_credentials(setup.mock.host(), credentials)),
        &reference,
    )
    .await;
    let requests = setup.mock.requests();
    let posted: Vec<_> = requests.iter().filter(|seen| seen.path == "/token").collect();
    assert_eq!(posted.len(), 2);
    assert!(posted.iter().all(|seen| seen.method == "POST" && seen.form == posted[0].form), "{posted:?}");
}

/// Neither with the first redirect, nor with one to another of its own addresses.
#[tokio::test]
async fn who_a_token_server_redirects_to_is_never_shown_the_password() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    let elsewhere = hoist_testkit::MockRegistry::start().await;
    elsewhere.require(Auth::AnonymousToken);
    elsewhere.fail_next(1, On::Tokens, Fault::Redirect(String::new()));
    setup.mock.require(Auth::token("me", SECRET));
    setup.mock.fail(On::Tokens, Fault::Redirect(elsewhere.url()));
    fails(&setup.registry_as_me(), &reference, ErrorKind::Unauthorized, &["401"]).await;
    assert!(elsewhere.counts().token_requests >= 2);
    assert!(elsewhere.requests().iter().all(|seen| seen.authorization.is_none()));
}

/// CVE-2023-25153, for tokens.
#[tokio::test]
async fn a_token_without_end_is_refused() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::AnonymousToken);
    let endless = format!("{{\"token\":\"{}\"}}", "x".repeat(2 << 20));
    setup.mock.fail(On::Tokens, Fault::Document("application/json".into(), endless));
    setup.fails(&reference, ErrorKind::TooLarge, &["more than"]).await;
}

/// What cannot stand in a header must not make another header.
#[tokio::test]
async fn a_token_that_cannot_stand_in_a_header_is_no_token() {
    let (setup, reference) = Setup::with(Image::sample(1)).await;
    setup.mock.require(Auth::AnonymousToken);
    let split = r#"{"token":"x\r\nX-Injected: canary"}"#;
    setup.mock.fail(On::Tokens, Fault::Document("application/json".into(), split.into()));
    setup.fails(&reference, ErrorKind::Unauthorized, &[]).await;
}
