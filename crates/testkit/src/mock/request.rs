//! Requests to a registry, understood
//! ([distribution-spec, Endpoints](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#endpoints)).

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::RangeInclusive;

use hoist_core::Digest;

/// A request, as far as a registry cares.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) target: Target,
    pub(super) query: HashMap<String, String>,
    pub(super) scopes: Vec<String>,
    /// What a `POST` says, as forms do.
    pub(super) form: Vec<(String, String)>,
    pub(super) range: Option<String>,
    pub(super) authorization: Option<String>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `/v2/`: is there a registry?
    Ping,
    /// The token endpoint.
    Token,
    /// A manifest or index, by tag or digest.
    Manifest { repository: String, selector: String },
    /// A configuration or layer.
    Blob { repository: String, selector: String },
    /// The list of a repository's tags.
    Tags { repository: String },
    /// Nothing that is served.
    Other,
}

impl Asked {
    pub(super) fn of(request: &wiremock::Request) -> Self {
        let header = |name: &str| Some(request.headers.get(name)?.to_str().ok()?.to_owned());
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        let form: Vec<_> = match request.method.as_str() {
            "POST" => form_urlencoded::parse(&request.body).map(owned).collect(),
            _ => Vec::new(),
        };
        let queried = request.url.query_pairs().map(owned);
        let scopes = queried.chain(form.clone()).filter(|(name, _)| name == "scope");
        Self {
            method: request.method.to_string(),
            path: request.url.path().to_owned(),
            target: Target::of(request.url.path()),
            scopes: scopes
                .flat_map(|(_, scope)| scope.split(' ').map(str::to_owned).collect::<Vec<_>>())
                .collect(),
            form,
            query: request.url.query_pairs().into_owned().collect(),
            range: header("range"),
            authorization: header("authorization"),
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// What a form has under this name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The digest that is asked for; none where it is a tag.
    pub(super) fn digest(&self) -> Option<Digest> {
        match &self.target {
            Target::Manifest { selector, .. } | Target::Blob { selector, .. } => selector.parse().ok(),
            _ => None,
        }
    }

    /// The range of bytes that is asked for, of so many that there are; `Err` where there are none of it.
    pub(super) fn range_of(&self, len: u64) -> Option<Result<RangeInclusive<u64>, ()>> {
        let (first, last) = self.range.as_deref()?.strip_prefix("bytes=")?.split_once('-')?;
        let first: u64 = first.parse().ok()?;
        let last = last.parse().unwrap_or(u64::MAX).min(len.saturating_sub(1));
        Some(if first < len && first <= last { Ok(first..=last) } else { Err(()) })
    }
}

impl Target {
    fn of(path: &str) -> Self {
        match path {
            "/v2/" | "/v2" => return Self::Ping,
            super::auth::TOKEN_PATH => return Self::Token,
            _ => {}
        }
        let Some(path) = path.strip_prefix("/v2/") else { return Self::Other };
        if let Some((repository, selector)) = path.rsplit_once("/manifests/") {
            return Self::Manifest { repository: repository.to_owned(), selector: selector.to_owned() };
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Self::Tags { repository: repository.to_owned() };
        }
        match path.rsplit_once("/blobs/") {
            Some((repository, selector)) => {
                Self::Blob { repository: repository.to_owned(), selector: selector.to_owned() }
            }
            None => Self::Other,
        }
    }

    pub(super) fn repository(&self) -> Option<&str> {
        match self {
            Self::Manifest { repository, .. } | Self::Blob { repository, .. } | Self::Tags { repository } => {
                Some(repository)
            }
            _ => None,
        }
    }
}
