//! Requests, and the redirects that answer them.
//!
//! They are followed here and not by reqwest. reqwest makes each request of a chain from the first one's headers, and
//! leaves out `Authorization` only if an address has another origin than the one before it: a server that a registry
//! redirects to would get the credentials by a second redirect within its own origin.

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use zeroize::Zeroizing;

use super::response::host_of;

const MAX_REDIRECTS: usize = 5; // registries need one or two, to object storage
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// A request, before it is sent. It has no `Debug`: each part of it may hold a secret.
#[derive(Clone)]
pub(crate) struct Outgoing {
    method: Method,
    url: Url,
    /// Headers for every server on the way.
    headers: HeaderMap,
    /// Headers for its own origin only, such as credentials.
    private: HeaderMap,
    /// The credentials of a `POST`.
    form: Option<Zeroizing<String>>,
    /// Whether it follows no redirect to another origin.
    stays: bool,
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Connection(reqwest::Error),
    /// The same, of the server that it was redirected to: its host.
    Elsewhere(String, reqwest::Error),
    /// It was redirected to a place that it does not go to.
    Redirect(&'static str),
}

impl From<reqwest::Error> for Failure {
    fn from(cause: reqwest::Error) -> Self {
        Self::Connection(cause)
    }
}

impl Outgoing {
    /// A request with `headers` for every server on the way, and `private` ones for its own origin only.
    pub(crate) fn new(method: Method, url: Url, headers: HeaderMap, private: HeaderMap) -> Self {
        Self { method, url, headers, private, form: None, stays: false }
    }

    /// A `POST` of a form, which has credentials in it.
    pub(crate) fn post(url: Url, form: Zeroizing<String>) -> Self {
        let outgoing = Self::new(Method::POST, url, HeaderMap::new(), HeaderMap::new());
        Self { form: Some(form), stays: true, ..outgoing }
    }

    /// The same, but redirects to another origin fail.
    pub(crate) fn staying(self) -> Self {
        Self { stays: true, ..self }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Sends it, and follows a few redirects; never from https to http.
    pub(crate) async fn send(mut self, client: &Client) -> Result<Response, Failure> {
        let asked = self.url.origin();
        for _ in 0..=MAX_REDIRECTS {
            let sent = self.request(client).send().await;
            let is_there = self.url.origin() == asked;
            let response = sent.map_err(|cause| {
                if is_there {
                    Failure::Connection(cause)
                } else {
                    Failure::Elsewhere(host_of(&self.url), cause)
                }
            })?;
            match location(&response) {
                Some(next) => self.go_on(response.status(), next)?,
                None => return Ok(response),
            }
        }
        Err(Failure::Redirect("redirected too often"))
    }

    fn request(&self, client: &Client) -> RequestBuilder {
        let mut headers = self.private.clone();
        headers.extend(self.headers.clone());
        let request = client.request(self.method.clone(), self.url.clone()).headers(headers);
        match &self.form {
            Some(form) => request.header(CONTENT_TYPE, FORM).body(form.as_str().to_owned()),
            None => request,
        }
    }

    /// Makes this the request to the redirect's target. The first other origin ends the private headers for good.
    fn go_on(&mut self, status: StatusCode, next: Url) -> Result<(), Failure> {
        match (self.url.scheme(), next.scheme()) {
            (_, "https") | ("http", "http") => {}
            (_, "http") => return Err(Failure::Redirect("redirected from https to http")),
            _ => return Err(Failure::Redirect("redirected to what is no http or https address")),
        }
        if next.origin() != self.url.origin() {
            if self.stays {
                return Err(Failure::Redirect("redirected to another server"));
            }
            self.private.clear();
        }
        let keeps_method = matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
        if self.method == Method::POST && !keeps_method {
            (self.method, self.form) = (Method::GET, None); // as browsers do
        }
        self.url = next;
        Ok(())
    }
}

/// The target of a redirect. `None`: the answer is not one. A name and a password in the address are dropped.
fn location(response: &Response) -> Option<Url> {
    let leads = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    let location = response.headers().get(LOCATION).filter(|_| leads)?;
    let mut next = response.url().join(std::str::from_utf8(location.as_bytes()).ok()?).ok()?;
    _ = next.set_username("");
    _ = next.set_password(None);
    Some(next)
}
