//! Foreign layers: a registry may not distribute them, and the manifest has addresses to fetch them from
//! ([descriptor](https://github.com/opencontainers/image-spec/blob/v1.1.0/descriptor.md), `urls`).
//!
//! The manifest's author chose those addresses. So hoist asks the registry first, as Docker does, and the addresses
//! only if the user allows them, without credentials (CVE-2020-15157), and never on this machine or its network
//! (go-containerregistry#2293).

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::{fmt, io};

use futures_util::StreamExt;
use hoist_core::{Descriptor, Error, ErrorKind, RemoteOptions, Result, Source};
use hoist_fetch::{BlobBody, BlobSource, SourceError, SourceId, Sources, Tier};
use reqwest::header::RANGE;
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};

use super::foreign_rules::{self as rules, Refused, Rules};
use crate::http::{Limits, content_range};
use crate::tls;

const MAX_REDIRECTS: usize = 5; // content networks need one or two

/// The hosts that foreign layers may come from, beside the registry; by default none.
#[derive(Debug, Clone, Default)]
pub(crate) struct ForeignLayers {
    rules: Arc<Rules>,
    limits: Limits,
    /// Made at the first use.
    client: Arc<OnceLock<Client>>,
}

impl ForeignLayers {
    pub(crate) fn new(options: &RemoteOptions) -> Self {
        let rules = Arc::new(Rules::of(&options.foreign_layers));
        Self { rules, limits: Limits::new(options), client: Arc::default() }
    }

    /// The sources of a blob: these hosts, and the manifest's addresses, if any are allowed.
    pub(crate) fn sources(&self, blob: &Descriptor, hosts: Sources) -> Sources {
        if !self.rules.allow_any() {
            return hosts;
        }
        blob.urls.iter().enumerate().fold(hosts, |sources, (place, address)| {
            sources.with(Tier::Foreign(place), Arc::new(Address::new(self, address)))
        })
    }

    /// Adds to the error for a missing blob that it is a foreign layer, with advice.
    pub(crate) fn explain_missing(&self, blob: &Descriptor, missing: Error) -> Error {
        if blob.urls.is_empty() || self.rules.allow_any() {
            return missing;
        }
        let hosts = rules::hosts(&blob.urls).join(", ");
        let help = format!("to have it from elsewhere, allow that with `foreign-layers`: {hosts}");
        missing.context(is_foreign(blob)).with_help(help)
    }

    /// A client without credentials, and without a proxy, which would resolve names in our place. It connects only to
    /// admitted addresses.
    fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let (names, redirects) = (self.rules.clone(), self.rules.clone());
        let client = Client::builder()
            .connect_timeout(self.limits.connect)
            .read_timeout(self.limits.answer)
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

/// Each redirect has to be admitted as the first address was.
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

/// An address of a foreign layer.
struct Address {
    layers: ForeignLayers,
    url: String,
    /// Its host, without parts that could be secret.
    host: String,
    id: SourceId,
}

impl Address {
    fn new(layers: &ForeignLayers, address: &str) -> Self {
        let host = Url::parse(address).map_or_else(|_| "an address".to_owned(), |url| rules::name(&url));
        let id = SourceId::new(format!("foreign {host}"));
        Self { layers: layers.clone(), url: address.to_owned(), host, id }
    }

    async fn get(&self, blob: &Descriptor, range: Option<Range<u64>>) -> Result<BlobBody> {
        let url = self.layers.rules.admit(&self.url)?;
        let fetching = format!("fetching the layer {} from {}", blob.digest, self.host);
        let mut request = self.layers.client()?.get(url);
        if let Some(range) = &range {
            request = request.header(RANGE, content_range::header(range));
        }
        let answer = request.send().await.map_err(|cause| failed(&fetching, cause))?;
        let answer = check(answer, &fetching)?;
        let first = if answer.status() == StatusCode::PARTIAL_CONTENT {
            content_range::first_byte(&answer)
        } else {
            Some(0)
        };
        let Some(start) = first else {
            let message = format!("{fetching} failed: the answer does not say which part it is");
            return Err(Error::new(ErrorKind::Malformed, message));
        };
        let length = answer.content_length();
        let failed = move |cause| SourceError::from(failed(&fetching, cause));
        Ok(BlobBody::new(start, length, answer.bytes_stream().map(move |part| part.map_err(&failed))))
    }
}

#[async_trait::async_trait]
impl BlobSource for Address {
    fn id(&self) -> &SourceId {
        &self.id
    }

    fn told_as(&self) -> Source {
        Source::Registry(self.host.as_str().into())
    }

    async fn open(
        &self,
        blob: &Descriptor,
        range: Option<Range<u64>>,
    ) -> std::result::Result<BlobBody, SourceError> {
        self.get(blob, range).await.map_err(|error| error.context(is_foreign(blob)).into())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

fn is_foreign(blob: &Descriptor) -> String {
    format!("the layer {} is a foreign one, which the registry does not have", blob.digest)
}

/// Fails unless the status is a success. A host that asks for credentials gets none.
fn check(answer: Response, fetching: &str) -> Result<Response> {
    let status = answer.status();
    let (kind, help) = match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok(answer),
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

/// An error of the connection, without the address, which may hold a secret. A refused address gets an error of its
/// own, since a retry would not help.
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
