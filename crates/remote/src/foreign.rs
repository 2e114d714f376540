//! Foreign layers: those that a registry may not distribute, and that are fetched from where the manifest says
//! ([descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md), `urls`).
//!
//! Whoever wrote the manifest chose those addresses. So the registry is asked first, as Docker does; the others
//! only where that is allowed, with no credentials (CVE-2020-15157), and never on this machine or its network
//! (go-containerregistry#2293).

mod rules;

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hoist_core::{Descriptor, Error, ErrorKind, Event, Events, Result, Source};
use hoist_store::{Claim, Ingest, Staging};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};

use crate::pace::Pace;
use crate::retry::Retry;
use crate::tls;
use crate::transport::Limits;
use rules::{Refused, Rules};

const MAX_REDIRECTS: usize = 5; // content networks need one or two

/// Where foreign layers may come from; by default from nowhere but the registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForeignLayers {
    rules: Arc<Rules>,
    limits: Limits,
    /// Made at the first use.
    client: Arc<OnceLock<Client>>,
}

/// How a layer is to be fetched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    pub(crate) retries: usize,
    /// How long a connection may bring nothing, or next to nothing.
    pub(crate) stall_timeout: Duration,
    pub(crate) events: &'a Events,
}

impl ForeignLayers {
    /// The same from these hosts, as `host` or `host:port`, wherever they are; and with `*` from all that are public.
    #[must_use]
    pub(crate) fn allowing(&self, hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { rules: Arc::new(Rules::of(hosts)), ..self.clone() }.anew()
    }

    /// The same within these limits.
    #[must_use]
    pub(crate) fn within(&self, limits: Limits) -> Self {
        Self { limits, ..self.clone() }.anew()
    }

    fn anew(self) -> Self {
        Self { client: Arc::default(), ..self }
    }

    /// Brings a layer that the registry does not have, as `missing` says, from one of its addresses.
    pub(crate) async fn bring(
        &self,
        staging: &Staging,
        blob: &Descriptor,
        missing: Error,
        manner: Manner<'_>,
    ) -> Result<()> {
        let digest = &blob.digest;
        let doing = format!("the layer {digest} is a foreign one, which the registry does not have");
        if !self.rules.allow_any() {
            let hosts = rules::hosts(&blob.urls).join(", ");
            let help = format!("to have it from elsewhere, allow that with `foreign-layers`: {hosts}");
            return Err(missing.context(doing).with_help(help));
        }
        let mut last = missing;
        for address in &blob.urls {
            match self.bring_from(staging, blob, address, manner).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::debug!(%digest, error = error.report(), "a foreign layer is not to be had here");
                    last = error;
                }
            }
        }
        Err(last.context(doing))
    }

    /// Tries one address, again where that may help.
    async fn bring_from(
        &self,
        staging: &Staging,
        blob: &Descriptor,
        address: &str,
        manner: Manner<'_>,
    ) -> Result<()> {
        let url = self.rules.admit(address)?;
        let mut retry = Retry::new(manner.retries);
        loop {
            let Claim::Fetch(ingest) = staging.claim(blob).await? else { return Ok(()) };
            let resumed = ingest.is_resumed();
            match self.transfer(ingest, blob, &url, manner).await {
                Ok(()) => {
                    manner.events.emit(|| Event::BlobVerified { digest: blob.digest.clone() });
                    return Ok(());
                }
                // What an earlier pull had left may be what is wrong; it is gone now.
                Err(error) if resumed && *error.kind() == ErrorKind::DigestMismatch => {}
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn transfer(&self, ingest: Ingest, blob: &Descriptor, url: &Url, manner: Manner<'_>) -> Result<()> {
        let fetching = format!("fetching the layer {} from {}", blob.digest, rules::name(url));
        let answer =
            self.client()?.get(url.clone()).send().await.map_err(|cause| failed(&fetching, cause))?;
        let mut answer = check(answer, &fetching)?;
        if let Some(length) = answer.content_length() {
            blob.expect_size(length)?;
        }
        let mut pace = Pace::new(manner.stall_timeout);
        let mut offset = 0;
        loop {
            let chunk = pace.chunk(&mut answer).await.ok_or_else(|| silent(&fetching))?;
            let chunk = chunk.map_err(|cause| failed(&fetching, cause))?;
            let Some(bytes) = chunk else { return ingest.commit().await };
            let part = offset..offset + bytes.len() as u64;
            if part.end > blob.size {
                blob.expect_size(part.end)?;
            }
            let new = ingest.missing().iter().map(|gap| overlap(gap, &part)).sum();
            ingest.write(offset, bytes).await?;
            let from = || Source::Registry(rules::name(url).into());
            manner.events.emit(|| Event::BlobProgress {
                digest: blob.digest.clone(),
                bytes: new,
                from: from(),
            });
            offset = part.end;
        }
    }

    /// A client that has no credentials, no proxy (it would look names up, and not we), and no way to addresses
    /// that are not admitted.
    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let (names, redirects) = (self.rules.clone(), self.rules.clone());
        let client = Client::builder()
            .connect_timeout(self.limits.connect)
            .read_timeout(self.limits.response)
            .referer(false)
            .no_proxy()
            .dns_resolver(rules::Names(names))
            .redirect(Policy::custom(move |attempt| follow(&redirects, attempt)))
            .tls_backend_preconfigured(tls::config()?)
            .build()
            .map_err(|cause| failed("setting up a client for foreign layers", cause))?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Each address on the way is admitted as the first was.
fn follow(rules: &Rules, attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let from_tls = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(Refused("it redirected too often".into()));
    }
    if from_tls && attempt.url().scheme() != "https" {
        return attempt.error(Refused("it redirected from https to http".into()));
    }
    match rules.admit_url(attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(refused) => attempt.error(refused),
    }
}

/// Nothing but the whole will do, and a host that wants credentials gets none.
fn check(answer: Response, fetching: &str) -> Result<Response> {
    let status = answer.status();
    let (kind, help) = match status {
        StatusCode::OK => return Ok(answer),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (ErrorKind::Forbidden, "that host is shown no credentials; have the registry keep the layer")
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            (ErrorKind::NotFound, "have the registry keep the layer, or use a newer image")
        }
        s if s.is_server_error() || s == StatusCode::TOO_MANY_REQUESTS => {
            (ErrorKind::Unavailable, "try again later")
        }
        _ => (ErrorKind::Unsupported, "have the registry keep the layer"),
    };
    Err(Error::new(kind, format!("{fetching} was answered with {status}")).with_help(help))
}

/// An error of the connection, without the address: it can have a secret in it. One that we refused is told from
/// trouble that may pass.
fn failed(fetching: &str, cause: reqwest::Error) -> Error {
    let cause = cause.without_url();
    let chain = || std::iter::successors(Some(&cause as &dyn std::error::Error), |&error| error.source());
    let refused = chain().find_map(|error| error.downcast_ref::<Refused>());
    if let Some(refused) = refused {
        return refused.to_error().context(format!("{fetching} is not allowed"));
    }
    let root = chain().last().map_or_else(String::new, ToString::to_string);
    Error::new(ErrorKind::Unavailable, format!("{fetching} failed"))
        .with_source(io::Error::other(root))
        .with_help("try again later")
}

fn silent(fetching: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{fetching} failed: it was silent"))
        .with_help("try again later")
}

fn overlap(gap: &Range<u64>, part: &Range<u64>) -> u64 {
    gap.end.min(part.end).saturating_sub(gap.start.max(part.start))
}
