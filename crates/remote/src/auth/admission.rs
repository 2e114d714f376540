//! A request that has to be let in: shown what is asked for, and made again.

use std::time::Instant;

use hoist_core::Result;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};

use super::{Auth, Refusal, Shown};
use crate::hosts::Endpoint;
use crate::http::{Outgoing, Transport};

/// How often one request is answered a 401: with what there is, and once more with what a helper has anew.
const MAX_ANSWERS: usize = 2;

/// What is asked of a registry.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    /// What it is for, for errors: "asking ghcr.io for the manifest v1".
    pub(crate) doing: String,
}

impl Request<'_> {
    async fn send(&self, shown: &Shown) -> Result<Response> {
        self.send_to(&self.method, self.url, shown).await
    }

    async fn send_to(&self, method: &Method, url: &Url, shown: &Shown) -> Result<Response> {
        let Self { transport, endpoint, headers, .. } = self;
        tracing::debug!(registry = endpoint.registry, %method, path = url.path(), "asking");
        // The headers of the host's file are for the host alone, and so are credentials.
        let mut private = endpoint.host.headers().clone();
        if let Some(value) = shown.header() {
            private.insert(AUTHORIZATION, value.clone());
        }
        let asked = Instant::now();
        let outgoing = Outgoing::new(method.clone(), url.clone(), (*headers).clone(), private);
        // The future is large, and in the middle of every pull.
        let answer = Box::pin(outgoing.send(&transport.client)).await;
        let answer = answer.map_err(|cause| transport.failed(&self.doing, cause))?;
        endpoint.host.answered_after(asked.elapsed());
        Ok(answer)
    }

    /// Whether the registry itself answered, and none that it redirected to.
    fn is_own(&self, response: &Response) -> bool {
        response.url().origin() == self.url.origin()
    }

    /// What a 401 asks for. Where it does not say, `/v2/` may, which is where docker asks first.
    async fn refusal(&self, response: &Response, shown: &Shown) -> Result<Refusal> {
        let refusal = Refusal::of(response);
        if !refusal.is_silent || shown.header().is_some() {
            return Ok(refusal);
        }
        let ping = self.send_to(&Method::GET, &self.endpoint.ping(), shown).await?;
        let explains = ping.status() == StatusCode::UNAUTHORIZED && self.is_own(&ping);
        Ok(if explains { Refusal::of(&ping) } else { refusal })
    }
}

impl Auth {
    /// Sends a request until it is let in, or is not.
    ///
    /// Only the registry itself is answered, never one that it redirected to (CVE-2026-49349), of which also a 403
    /// says nothing about credentials.
    pub(crate) async fn admit(&self, request: &Request<'_>) -> Result<Response> {
        let mut shown = self.show(request).await?;
        let mut response = request.send(&shown).await?;
        for _ in 0..MAX_ANSWERS {
            if response.status() != StatusCode::UNAUTHORIZED || !request.is_own(&response) {
                break;
            }
            let refusal = request.refusal(&response, &shown).await?;
            let Some(answer) = self.answer(request, &refusal, &shown).await? else { break };
            shown = answer;
            response = request.send(&shown).await?;
        }
        if response.status() == StatusCode::FORBIDDEN && request.is_own(&response) {
            let as_nobody = self.admit_as_nobody(request, &shown).await?;
            return Ok(as_nobody.unwrap_or(response));
        }
        Ok(response)
    }

    /// Makes a request again without the credentials that were no good. `None`: that is no use.
    async fn admit_as_nobody(&self, request: &Request<'_>, shown: &Shown) -> Result<Option<Response>> {
        let Some(nobody) = self.without_credentials(request, shown).await else { return Ok(None) };
        let response = request.send(&nobody).await?;
        let is_refused = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        self.was_without(request.endpoint, nobody, !is_refused).await;
        Ok(Some(response).filter(|_| !is_refused))
    }
}
