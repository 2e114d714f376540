//! No secret is to be seen anywhere: a canary is looked for in every log line of every level and crate, in errors, in
//! `Debug` and in events, over all ways to be let in and to be refused (containerd#5453).

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use hoist_core::{Events, ImageRegistry};
use hoist_remote::{Credentials, Keychain, Login, RemoteRegistry};
use hoist_store::{Durability, Store, StoreOptions};
use hoist_testkit::{Auth, Fault, Home, Image, MockRegistry, On, PLATFORM, Tokens};
use tempfile::TempDir;
use tracing_subscriber::fmt::MakeWriter;

const SECRET: &str = "canary";
/// The secret as such, in base64 behind each user that it is shown with, the tokens that it is exchanged for, and the
/// signature in the address of a blob that lies elsewhere.
const SECRETS: [&str; 6] = [SECRET, "bWU6Y2FuYXJ5", "OmNhbmFyeQ", "token-", "refresh-token", "X-Signature"];

/// All that was logged in this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .init();
    log
});

/// A registry to be let in to, or not.
struct Scenario {
    name: &'static str,
    prepare: fn(&MockRegistry, &Home) -> Option<Credentials>,
    is_let_in: bool,
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "basic",
        is_let_in: true,
        prepare: |mock, _| {
            mock.require(Auth::basic("me", SECRET));
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "basic, refused",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::basic("me", "other"));
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "a token",
        is_let_in: true,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.hand_out(Tokens::default().with_refresh_tokens());
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "a token, refused",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", "other"));
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "a posted password",
        is_let_in: true,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.hand_out(Tokens::default().refusing("GET", 405));
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "an identity token",
        is_let_in: true,
        prepare: |mock, _| {
            mock.require(Auth::token("me", "other"));
            mock.hand_out(Tokens::default().with_identity(SECRET));
            Some(Credentials::identity_token(SECRET))
        },
    },
    Scenario {
        name: "an identity token, refused",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", "other"));
            Some(Credentials::identity_token(SECRET))
        },
    },
    Scenario {
        name: "a registry token, refused",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", "other"));
            Some(Credentials::registry_token(SECRET))
        },
    },
    Scenario {
        name: "stale credentials of a public image",
        is_let_in: true,
        prepare: |mock, _| {
            mock.require(Auth::public_token("me", "other", true));
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "a token server with nonsense",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.fail(
                On::Tokens,
                Fault::Document("application/json".into(), r#"{"token": ["canary"]}"#.into()),
            );
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "a token server that breaks off",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.fail(On::Tokens, Fault::HangUp);
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "a token server that redirects",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.fail(On::Tokens, Fault::Redirect("http://127.0.0.1:1".into()));
            Some(Credentials::identity_token(SECRET))
        },
    },
    Scenario {
        name: "a realm with a password in it",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.challenge(&["Bearer realm=\"http://me:canary@auth.example.com/canary?canary\""]);
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "blobs elsewhere",
        is_let_in: false,
        prepare: |mock, _| {
            mock.require(Auth::token("me", SECRET));
            mock.fail(On::Blobs, Fault::Redirect("http://127.0.0.1:1".into()));
            Some(Credentials::basic("me", SECRET))
        },
    },
    Scenario {
        name: "docker's file",
        is_let_in: true,
        prepare: |mock, home| {
            mock.require(Auth::token("me", SECRET));
            home.write_docker_config(&format!(
                r#"{{"auths": {{"{}": {{"auth": "bWU6Y2FuYXJ5"}}}}}}"#,
                mock.host()
            ));
            None
        },
    },
    Scenario {
        name: "a damaged file",
        is_let_in: false,
        prepare: |mock, home| {
            mock.require(Auth::basic("me", SECRET));
            home.write_docker_config(&format!(
                r#"{{"auths": {{"{}": {{"auth": "canary"}}, "x": "canary"}}}}"#,
                mock.host()
            ));
            None
        },
    },
    Scenario {
        name: "a helper",
        is_let_in: true,
        prepare: |mock, home| {
            mock.require(Auth::basic("me", SECRET));
            home.write_docker_config(r#"{"credsStore": "all"}"#);
            home.helper("all").keep_login(&mock.host(), "me", SECRET);
            None
        },
    },
    Scenario {
        name: "a helper that fails",
        is_let_in: false,
        prepare: |mock, home| {
            mock.require(Auth::basic("me", SECRET));
            home.write_docker_config(r#"{"credsStore": "all"}"#);
            home.helper("all").fail(r#"{"ServerURL":"x","Username":"me","Secret":"canary"}"#);
            None
        },
    },
    Scenario {
        name: "a helper that answers nonsense",
        is_let_in: false,
        prepare: |mock, home| {
            mock.require(Auth::basic("me", SECRET));
            home.write_docker_config(r#"{"credsStore": "all"}"#);
            home.helper("all").keep(&mock.host(), r#"{"Username":"me","Secret":{"x":"canary"}}"#);
            None
        },
    },
];

#[tokio::test]
async fn no_secret_is_to_be_seen_however_a_pull_ends() {
    for scenario in SCENARIOS {
        let (mock, home, dir) = (MockRegistry::start().await, Home::new(), TempDir::new().unwrap());
        let reference = mock.publish("demo", "v1", Image::sample(1));
        let credentials = (scenario.prepare)(&mock, &home);
        let seen = Log::default();
        let options = StoreOptions::default().with_durability(Durability::None);
        let mut registry = RemoteRegistry::new(Store::open(dir.path(), options).unwrap())
            .with_platform(PLATFORM.parse().unwrap())
            .with_options(|options| options.with_retries(1))
            .with_keychain(Keychain::with_variables(home.lookup()))
            .with_events(Events::to({
                let seen = seen.clone();
                move |event| note(&seen, &format!("{event:?}"))
            }));
        if let Some(credentials) = credentials {
            registry = registry.with_options(|options| options.with_credentials(mock.host(), credentials));
        }
        LOG.0.lock().unwrap().clear();
        // The second one is shown a token, or makes one with what the first left.
        for _ in 0..2 {
            let pulled = registry.force_pull(&reference).await;
            assert_eq!(pulled.is_ok(), scenario.is_let_in, "{}: {pulled:?}", scenario.name);
            note(&seen, &format!("{pulled:?} {pulled:#?} {registry:?} {registry:#?} {registry}"));
            if let Err(error) = pulled {
                note(&seen, &format!("{error} {}", error.report()));
            }
            mock.expire_tokens();
        }
        let log = LOG.0.lock().unwrap().clone();
        let heard = String::from_utf8_lossy(&log).contains("asking a credential helper");
        assert_eq!(heard, scenario.name.starts_with("a helper"), "{}: it is listened to", scenario.name);
        for text in [log, seen.0.lock().unwrap().clone()] {
            assert_no_secret(scenario.name, &String::from_utf8_lossy(&text));
        }
    }
    a_login_shows_none().await;
}

async fn a_login_shows_none() {
    let (mock, home) = (MockRegistry::start().await, Home::new());
    LOG.0.lock().unwrap().clear();
    let login = Login::new(Keychain::with_variables(home.lookup()));
    let mut seen = format!("{login:?}");
    for right in [SECRET, "other"] {
        for auth in [Auth::token("me", right), Auth::basic("me", right)] {
            mock.require(auth);
            let outcome = login.login(&mock.host(), &Credentials::basic("me", SECRET)).await;
            let report = outcome.as_ref().map_err(hoist_core::Error::report);
            seen = format!("{seen} {outcome:?} {report:?}");
        }
    }
    assert_no_secret("a login", &seen);
    assert_no_secret("a login", &String::from_utf8_lossy(&LOG.0.lock().unwrap()));
}

fn note(seen: &Log, text: &str) {
    seen.0.lock().unwrap().extend_from_slice(text.as_bytes());
}

fn assert_no_secret(scenario: &str, text: &str) {
    // The mocked registry runs in this process too, and its server logs what it is asked.
    for line in text.lines().filter(|line| !line.contains("wiremock")) {
        for secret in SECRETS {
            assert!(!line.contains(secret), "{scenario}: {secret} in {line}");
        }
    }
}
