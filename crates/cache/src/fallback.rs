//! A second registry for what the first does not have.

use std::error::Error as StdError;
use std::fmt;
use std::iter::successors;

use hoist_core::{Error, ErrorKind, ImageRegistry, PulledImage, Result};

/// Two registries, of which the second is asked where the first says [`NotFound`](ErrorKind::NotFound) or
/// [`Unavailable`](ErrorKind::Unavailable).
///
/// Not so where it says anything else: that credentials are wrong, or that content is not what it should be,
/// needs attention, and must not be covered up by another source.
///
/// ```
/// use hoist_cache::Fallback;
/// use hoist_core::ImageRegistry;
///
/// /// First the directory, then the registry of the house, then the one of the world.
/// fn chain(a: impl ImageRegistry, b: impl ImageRegistry, c: impl ImageRegistry) -> impl ImageRegistry {
///     Fallback::new(a, Fallback::new(b, c))
/// }
/// ```
///
/// More than two are nested, the rest within the second: `Fallback::new(a, Fallback::new(b, c))` is shown as
/// `fallback(a, b, c)`. Where all fail, the error has what each said: [`Tried`].
///
/// An image is cached if any registry has it; [`remove`](ImageRegistry::remove) removes it from all.
#[derive(Debug, Clone)]
pub struct Fallback<A, B> {
    first: A,
    second: B,
}

impl<A, B> Fallback<A, B> {
    /// Asks `first`, and then `second`.
    pub fn new(first: A, second: B) -> Self {
        Self { first, second }
    }

    /// The two registries.
    pub fn get_ref(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }

    /// The two registries, on their own again.
    pub fn into_inner(self) -> (A, B) {
        (self.first, self.second)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<A: ImageRegistry, B: ImageRegistry> ImageRegistry for Fallback<A, B> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        match self.first.pull(reference).await {
            Err(first) if passes(&first) => {
                self.second.pull(reference).await.map_err(|second| all(reference, first, second))
            }
            outcome => outcome,
        }
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        match self.first.force_pull(reference).await {
            Err(first) if passes(&first) => {
                self.second.force_pull(reference).await.map_err(|second| all(reference, first, second))
            }
            outcome => outcome,
        }
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.first.is_cached(reference).await || self.second.is_cached(reference).await
    }

    /// Removes the image from both. That one of them cannot remove anything does not matter where the other
    /// did.
    async fn remove(&self, reference: &str) -> Result<bool> {
        let cannot =
            |outcome: &Result<bool>| matches!(outcome, Err(e) if *e.kind() == ErrorKind::Unsupported);
        let (first, second) = (self.first.remove(reference).await, self.second.remove(reference).await);
        match (first, second) {
            (first, Ok(true)) if cannot(&first) => Ok(true),
            (Ok(true), second) if cannot(&second) => Ok(true),
            (first, second) => {
                let first = first?;
                Ok(second? || first)
            }
        }
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        let mut references = self.first.list_cached().await?;
        references.extend(self.second.list_cached().await?);
        references.sort();
        references.dedup();
        Ok(references)
    }
}

/// Whether the next registry is asked after this error.
fn passes(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unavailable)
}

/// What all of the registries said that were asked, in this order: the source of the error of a [`Fallback`].
#[derive(Debug, Clone)]
pub struct Tried(Vec<Error>);

impl Tried {
    /// The error of each.
    pub fn errors(&self) -> &[Error] {
        &self.0
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in (1..).zip(&self.0) {
            let parted = if number == 1 { "" } else { "; " };
            write!(f, "{parted}({number}) {}", story(error))?;
        }
        Ok(())
    }
}

impl StdError for Tried {}

/// What all said. The last one's kind is that of all; but where one could not be reached, and none has it, that one
/// still might.
fn all(reference: &str, first: Error, rest: Error) -> Error {
    let kind = match (first.kind(), rest.kind()) {
        (ErrorKind::Unavailable, ErrorKind::NotFound) => ErrorKind::Unavailable,
        (_, kind) => kind.clone(),
    };
    let help = rest.help().or(first.help()).map(str::to_owned);
    let rest = match rest.source().and_then(|cause| cause.downcast_ref::<Tried>()) {
        Some(Tried(errors)) => errors.clone(),
        None => vec![rest],
    };
    let tried = Tried(std::iter::once(first).chain(rest).collect());
    let message = format!("cannot pull {reference} from any of {} sources", tried.0.len());
    let error = Error::new(kind, message).with_source(tried);
    match help {
        Some(help) => error.with_help(help),
        None => error,
    }
}

/// Why an error came about, in one line: its causes, or itself where it has none. What was being done is the
/// same for all registries, and is said once.
fn story(error: &Error) -> String {
    let causes: Vec<_> =
        successors(error.source(), |&cause| cause.source()).map(ToString::to_string).collect();
    if causes.is_empty() { error.to_string() } else { causes.join(": ") }
}

/// `fallback(a, b)`; in the alternate form, which is how one shows another within it, `a, b`.
impl<A: fmt::Display, B: fmt::Display> fmt::Display for Fallback<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return write!(f, "{:#}, {:#}", self.first, self.second);
        }
        write!(f, "fallback({:#}, {:#})", self.first, self.second)
    }
}
