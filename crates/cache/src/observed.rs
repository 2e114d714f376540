//! Observation: the calls of a registry as spans, metrics and events.

use std::fmt;
use std::time::Instant;

use hoist_core::{Error, Events, ImageRegistry, Platform, PulledImage, Reference, Result};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::metrics::{CANCELLED, OK, count_pull};

/// A registry whose calls are seen from outside, best around a whole stack: `observed(cached(remote))`.
///
/// - Each call is a [`tracing`] span, `pull` or `remove` say, whose fields have OpenTelemetry's names:
///   `container.image.name`, `container.image.tags`, `oci.manifest.digest`, and `error.type` where it fails
///   ([semantic conventions](https://opentelemetry.io/docs/specs/semconv/registry/attributes/container/)).
/// - The feature `metrics` counts each pull by its result, and its time, with the crate `metrics`. `counted` has the
///   metrics of the other parts.
/// - [Events](Self::with_events) begin and end here, once for each call, whatever is within.
#[derive(Debug)]
pub struct Observed<R> {
    inner: R,
    platform: Platform,
    events: Events,
}

impl<R> Observed<R> {
    /// Shows what this registry does.
    pub fn new(inner: R) -> Self {
        Self { inner, platform: Platform::host(), events: Events::default() }
    }

    /// Reports pulls as those of this platform, which must be the inner registry's; the host's by default.
    #[must_use]
    pub fn with_platform(self, platform: Platform) -> Self {
        Self { platform, ..self }
    }

    /// Reports the beginning and the end of each pull. The inner registries report the rest: they have to be
    /// given [`events.within()`](Events::within).
    #[must_use]
    pub fn with_events(self, events: Events) -> Self {
        Self { events, ..self }
    }

    /// The registry within.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// The registry within, unseen.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// Follows a pull to its end.
    async fn watch(
        &self,
        method: &'static str,
        span: Span,
        reference: &str,
        pull: impl Future<Output = Result<PulledImage>>,
    ) -> Result<PulledImage> {
        let parsed = reference.parse::<Reference>().ok();
        if let Some(reference) = &parsed {
            describe(&span, reference);
        }
        let ending = Ending { method, began: Instant::now(), result: CANCELLED };
        let within = span.clone();
        let pull = async move {
            let outcome = pull.instrument(within).await;
            record(&span, &outcome);
            ending.with(&outcome);
            outcome
        };
        match parsed {
            Some(reference) => self.events.for_pull(&reference, &self.platform).follow(pull).await,
            None => pull.await,
        }
    }
}

/// The span of a call of this name. A tracing span's name is a literal, hence the macro.
macro_rules! span {
    ($name:literal) => {
        tracing::info_span!(
            $name,
            otel.kind = "internal",
            otel.status_code = Empty,
            container.image.name = Empty,
            container.image.tags = Empty,
            oci.manifest.digest = Empty,
            error.r#type = Empty,
        )
    };
}

/// Notes what a call is about.
fn describe(span: &Span, reference: &Reference) {
    span.record("container.image.name", reference.name());
    if let Some(tag) = reference.tag() {
        span.record("container.image.tags", tag);
    }
    if let Some(digest) = reference.digest() {
        span.record("oci.manifest.digest", digest.to_string());
    }
}

/// Notes what came of a pull.
fn record(span: &Span, outcome: &Result<PulledImage>) {
    match outcome {
        Ok(image) => _ = span.record("oci.manifest.digest", &image.digest),
        Err(error) => record_error(span, error),
    }
}

fn record_error(span: &Span, error: &Error) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error.kind().as_str());
}

/// A pull's time and result, which are counted when this is dropped, however the pull ended.
struct Ending {
    method: &'static str,
    began: Instant,
    result: &'static str,
}

impl Ending {
    fn with(mut self, outcome: &Result<PulledImage>) {
        self.result = outcome.as_ref().map_or_else(|error| error.kind().as_str(), |_| OK);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        count_pull(self.method, self.result, self.began.elapsed());
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait::async_trait]
impl<R: ImageRegistry> ImageRegistry for Observed<R> {
    async fn pull(&self, reference: &str) -> Result<PulledImage> {
        self.watch("pull", span!("pull"), reference, self.inner.pull(reference)).await
    }

    async fn force_pull(&self, reference: &str) -> Result<PulledImage> {
        self.watch("force_pull", span!("force_pull"), reference, self.inner.force_pull(reference)).await
    }

    async fn is_cached(&self, reference: &str) -> bool {
        self.inner.is_cached(reference).instrument(named(span!("is_cached"), reference)).await
    }

    async fn remove(&self, reference: &str) -> Result<bool> {
        within(named(span!("remove"), reference), self.inner.remove(reference)).await
    }

    async fn list_cached(&self) -> Result<Vec<String>> {
        within(span!("list_cached"), self.inner.list_cached()).await
    }
}

/// Follows any other call to its end.
async fn within<T>(span: Span, call: impl Future<Output = Result<T>>) -> Result<T> {
    let outcome = call.instrument(span.clone()).await;
    outcome.inspect_err(|error| record_error(&span, error))
}

/// The span, with what it is about.
fn named(span: Span, reference: &str) -> Span {
    if let Ok(reference) = reference.parse() {
        describe(&span, &reference);
    }
    span
}

impl<R: fmt::Display> fmt::Display for Observed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "observed({})", self.inner)
    }
}
