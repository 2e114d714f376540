//! When the next registry is asked, and what is said when none has an answer.

use std::error::Error as _;
use std::fmt;

use hoist_cache::{Fallback, Tried};
use hoist_core::{Error, ErrorKind, ImageRegistry, PulledImage, Result};

/// A registry that always says the same: `Ok` with its name, or this error.
struct Says {
    name: &'static str,
    outcome: Result<bool>,
}

impl Says {
    fn image(&self) -> Result<PulledImage> {
        let outcome = self.outcome.clone();
        outcome.map(|_| PulledImage {
            path: self.name.into(),
            digest: String::new(),
            reference: String::new(),
        })
    }
}

fn has(name: &'static str) -> Says {
    Says { name, outcome: Ok(true) }
}

fn lacks(name: &'static str) -> Says {
    Says { name, outcome: Ok(false) }
}

fn fails(name: &'static str, kind: ErrorKind) -> Says {
    Says { name, outcome: Err(Error::new(kind, format!("{name} failed"))) }
}

#[async_trait::async_trait]
impl ImageRegistry for Says {
    async fn pull(&self, _: &str) -> Result<PulledImage> {
        self.image()
    }

    async fn force_pull(&self, _: &str) -> Result<PulledImage> {
        self.image()
    }

    async fn is_cached(&self, _: &str) -> bool {
        self.outcome.clone().unwrap_or_default()
    }

    async fn remove(&self, _: &str) -> Result<bool> {
        self.outcome.clone()
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        Ok(vec!["shared".to_owned(), self.name.to_owned()])
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[tokio::test]
async fn the_second_is_asked_only_for_what_the_first_does_not_have() {
    for (kind, asked) in [
        (ErrorKind::NotFound, true),
        (ErrorKind::Unavailable, true),
        (ErrorKind::Unauthorized, false),
        (ErrorKind::DigestMismatch, false),
        (ErrorKind::Storage, false),
    ] {
        let fallback = Fallback::new(fails("a", kind.clone()), has("b"));
        for answer in [fallback.pull("demo").await, fallback.force_pull("demo").await] {
            match answer {
                Ok(image) => assert!(asked && image.path.ends_with("b"), "{kind:?}"),
                Err(error) => assert!(!asked && *error.kind() == kind, "{kind:?}"),
            }
        }
    }
    let image = Fallback::new(has("a"), has("b")).pull("demo").await.unwrap();
    assert!(image.path.ends_with("a"));
}

#[tokio::test]
async fn an_error_has_what_each_said() {
    let fallback = Fallback::new(
        fails("a", ErrorKind::NotFound),
        Fallback::new(fails("b", ErrorKind::Unavailable), fails("c", ErrorKind::Unauthorized)),
    );
    for error in [fallback.pull("demo").await.unwrap_err(), fallback.force_pull("demo").await.unwrap_err()] {
        assert_eq!(*error.kind(), ErrorKind::Unauthorized);
        assert_eq!(
            error.report(),
            "cannot pull demo from any of 3 sources: (1) a failed; (2) b failed; (3) c failed"
        );
        let tried = error.source().and_then(|cause| cause.downcast_ref::<Tried>()).unwrap();
        let kinds: Vec<_> = tried.errors().iter().map(Error::kind).collect();
        assert_eq!(kinds, [&ErrorKind::NotFound, &ErrorKind::Unavailable, &ErrorKind::Unauthorized]);
    }
}

#[tokio::test]
async fn an_error_repeats_nothing_and_keeps_the_advice() {
    let low =
        |name| Error::new(ErrorKind::NotFound, format!("{name} has no such tag")).with_help("check the tag");
    let says = |name| Says { name, outcome: Err(low(name).context("cannot pull demo")) };
    let error = Fallback::new(says("a"), says("b")).pull("demo").await.unwrap_err();
    assert_eq!(
        error.report(),
        "cannot pull demo from any of 2 sources: (1) a has no such tag; (2) b has no such tag; check the tag"
    );
}

#[tokio::test]
async fn not_found_is_said_only_where_both_could_be_asked() {
    let fallback = Fallback::new(fails("a", ErrorKind::Unavailable), fails("b", ErrorKind::NotFound));
    assert_eq!(*fallback.pull("demo").await.unwrap_err().kind(), ErrorKind::Unavailable);
    let fallback = Fallback::new(fails("a", ErrorKind::NotFound), fails("b", ErrorKind::NotFound));
    assert_eq!(*fallback.pull("demo").await.unwrap_err().kind(), ErrorKind::NotFound);
    let rest = Fallback::new(fails("b", ErrorKind::Unavailable), fails("c", ErrorKind::NotFound));
    let fallback = Fallback::new(fails("a", ErrorKind::NotFound), rest);
    assert_eq!(*fallback.pull("demo").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_removal_counts_where_one_of_them_could() {
    let read_only = || fails("a", ErrorKind::Unsupported);
    assert!(Fallback::new(read_only(), has("b")).remove("demo").await.unwrap());
    assert!(Fallback::new(has("b"), read_only()).remove("demo").await.unwrap());
    assert!(Fallback::new(lacks("a"), has("b")).remove("demo").await.unwrap());
    assert!(!Fallback::new(lacks("a"), lacks("b")).remove("demo").await.unwrap());
    assert!(Fallback::new(read_only(), lacks("b")).remove("demo").await.is_err());
    assert!(Fallback::new(fails("a", ErrorKind::Storage), has("b")).remove("demo").await.is_err());
    assert!(Fallback::new(has("a"), fails("b", ErrorKind::Storage)).remove("demo").await.is_err());
}

#[tokio::test]
async fn what_is_cached_is_what_either_has() {
    let fallback = Fallback::new(lacks("b"), has("a"));
    assert!(fallback.is_cached("demo").await);
    assert!(Fallback::new(has("a"), lacks("b")).is_cached("demo").await);
    assert!(!Fallback::new(lacks("a"), lacks("b")).is_cached("demo").await);
    assert_eq!(fallback.list_cached().await.unwrap(), ["a", "b", "shared"]);
    assert_eq!(fallback.to_string(), "fallback(b, a)");
    let boxed: Box<dyn fmt::Display> = Box::new(Fallback::new(has("b"), has("c")));
    let chain = format!("fallback({:#})", Fallback::new(has("a"), has("b")));
    assert_eq!(chain, "fallback(a, b)");
    assert_eq!(Fallback::new(has("a"), Fallback::new(has("b"), has("c"))).to_string(), "fallback(a, b, c)");
    assert_eq!(boxed.to_string(), "fallback(b, c)");
}
