//! Answers of a registry, and what the relay has to do to them.

use bytes::Bytes;
use wiremock::ResponseTemplate;

use super::front;

/// An answer, before it is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) content_type: String,
    pub(super) body: Bytes,
    /// Break the connection after so many bytes of the body.
    pub(super) cut: Option<u64>,
    /// Break the connection after so many bytes of the head.
    pub(super) hang_up: Option<u64>,
    /// Wait at the gate after so many bytes of the body.
    pub(super) hold: Option<u64>,
}

impl Answer {
    /// A success with this body.
    pub(super) fn ok(content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type: content_type.to_owned(), body: body.into(), ..Self::default() }
    }

    /// This status, with a page.
    pub(super) fn said(status: u16, body: String) -> Self {
        Self { status, ..Self::ok("text/html", body) }
    }

    /// A refusal, with the body that the distribution spec wants of one.
    pub(super) fn error(status: u16) -> Self {
        let code = match status {
            401 => "UNAUTHORIZED",
            403 => "DENIED",
            404 => "NAME_UNKNOWN",
            429 => "TOOMANYREQUESTS",
            _ => "UNKNOWN",
        };
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"as the test wants it"}}]}}"#);
        Self { status, ..Self::ok("application/json", body) }
    }

    /// The same with one more header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same without these headers.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    /// How many bytes of the body leave the house.
    pub(super) fn bytes_sent(&self) -> u64 {
        let len = self.body.len() as u64;
        if self.hang_up.is_some() { 0 } else { self.cut.map_or(len, |cut| cut.min(len)) }
    }

    pub(super) fn into_template(self) -> ResponseTemplate {
        let orders = [(front::CUT, self.cut), (front::HOLD, self.hold), (front::HANG_UP, self.hang_up)];
        let template =
            ResponseTemplate::new(self.status).set_body_raw(self.body.to_vec(), &self.content_type);
        let template =
            self.headers.into_iter().fold(template, |t, (name, value)| t.append_header(name, value));
        orders.into_iter().fold(template, |template, (order, value)| match value {
            Some(value) => template.append_header(order, value.to_string()),
            None => template,
        })
    }
}
