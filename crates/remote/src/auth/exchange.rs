//! The exchange of a request, the registry's challenges to it, and our answers.

use std::time::Instant;

use hoist_core::Result;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Response, StatusCode, Url};

use super::{Auth, Presented, Refusal};
use crate::hosts::Endpoint;
use crate::http::{Outgoing, Transport};

/// The number of 401s that one request answers: the first with the known credentials, the second with newer ones of a
/// helper.
const MAX_ANSWERS: usize = 2;

/// A request to a registry.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: &'a HeaderMap,
    /// Its purpose, for errors: "asking ghcr.io for the manifest v1".
    pub(crate) doing: String,
}

impl Request<'_> {
    async fn send(&self, presented: &Presented) -> Result<Response> {
        self.send_to(&self.method, self.url, presented).await
    }

    async fn send_to(&self, method: &Method, url: &Url, presented: &Presented) -> Result<Response> {
        let Self { transport, endpoint, headers, .. } = self;
        tracing::debug!(registry = endpoint.registry, %method, path = url.path(), "asking");
        // The headers of the host's file are for the host alone, and so are credentials.
        let mut private = endpoint.host.headers().clone();
        if let Some(value) = presented.header() {
            private.insert(AUTHORIZATION, value.clone());
            if presented.is_of_credentials {
                endpoint.has_shown_credentials();
            }
        }
        let asked = Instant::now();
        let outgoing = Outgoing::new(method.clone(), url.clone(), (*headers).clone(), private);
        // The future is large, and in the middle of every pull.
        let answer = Box::pin(outgoing.send(&transport.client)).await;
        let answer = answer.map_err(|cause| transport.failed(&self.doing, cause))?;
        endpoint.host.answered_after(asked.elapsed());
        Ok(answer)
    }

    /// Whether the registry itself answered, and not a server that it redirected to.
    fn is_own(&self, response: &Response) -> bool {
        response.url().origin() == self.url.origin()
    }

    /// Whether the registry itself answered as if this were not there, or as if nobody might see it.
    fn is_hidden(&self, response: &Response) -> bool {
        let hides = matches!(response.status(), StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
        hides && self.is_own(response)
    }

    /// The challenge of `/v2/`, if nobody may ask there.
    pub(super) async fn base_refusal(&self, presented: &Presented) -> Result<Option<Refusal>> {
        let ping = self.send_to(&Method::GET, &self.endpoint.ping(), presented).await?;
        let asks = ping.status() == StatusCode::UNAUTHORIZED && self.is_own(&ping);
        Ok(asks.then(|| Refusal::of(&ping)))
    }

    /// The challenge of a 401. If it has none, `/v2/` may have one: docker asks there first.
    async fn refusal(&self, response: &Response, presented: &Presented) -> Result<Refusal> {
        let refusal = Refusal::of(response);
        if !refusal.is_silent || presented.header().is_some() {
            return Ok(refusal);
        }
        Ok(self.base_refusal(presented).await?.unwrap_or(refusal))
    }
}

impl Auth {
    /// Sends a request, and answers the registry's challenges until it serves or refuses the request.
    ///
    /// A server that the registry redirected to gets no answer (CVE-2026-49349), and its 403 says nothing about our
    /// credentials.
    pub(crate) async fn exchange(&self, request: &Request<'_>) -> Result<Response> {
        let mut presented = self.present(request).await?;
        let mut response = request.send(&presented).await?;
        for _ in 0..MAX_ANSWERS {
            if response.status() != StatusCode::UNAUTHORIZED || !request.is_own(&response) {
                break;
            }
            let refusal = request.refusal(&response, &presented).await?;
            let Some(answer) = self.answer(request, &refusal, &presented).await? else { break };
            presented = answer;
            response = request.send(&presented).await?;
        }
        if request.is_hidden(&response)
            && presented.header().is_none()
            && let Some(answer) = self.introduce(request, &presented).await?
        {
            presented = answer;
            response = request.send(&presented).await?;
        }
        if response.status() == StatusCode::FORBIDDEN
            && request.is_own(&response)
            && let Some(answer) = self.newer(request, &presented).await
        {
            presented = answer;
            response = request.send(&presented).await?;
        }
        if response.status() == StatusCode::FORBIDDEN && request.is_own(&response) {
            let as_nobody = self.exchange_as_nobody(request, &presented).await?;
            return Ok(as_nobody.unwrap_or(response));
        }
        Ok(response)
    }

    /// Repeats a request without the refused credentials. `None`: that did not help.
    async fn exchange_as_nobody(
        &self,
        request: &Request<'_>,
        presented: &Presented,
    ) -> Result<Option<Response>> {
        let Some(nobody) = self.without_credentials(request, presented).await else { return Ok(None) };
        let response = request.send(&nobody).await?;
        let is_refused = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        self.was_without(request.endpoint, nobody, !is_refused).await;
        Ok(Some(response).filter(|_| !is_refused))
    }
}
