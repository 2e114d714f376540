//! What a server says of its refusal, in whatever form it says it.

use serde_json::Value;

const MAX_EXPLANATION: usize = 300; // characters of it in an error

/// Where servers put words that are not in the form of the spec: token servers (RFC 6749, section 5.2; Docker's, which says
/// `details`), gateways and storage.
const ELSEWHERE: [&str; 5] = ["error_description", "details", "message", "detail", "error"];

/// What stands in the pages of servers that were spoken to without TLS: nginx's, and those written in Go.
const WANTS_TLS: [&str; 2] = ["plain HTTP request was sent to HTTPS port", "HTTP request to an HTTPS server"];

/// What stands in the page of nginx, if it wants a client certificate.
const WANTS_CERTIFICATE: [&str; 2] = ["No required SSL certificate was sent", "The SSL certificate error"];

/// The words in an error's body. `None`: there are none that can be read. An error cleans its texts itself.
pub(super) fn explain(body: &[u8]) -> Option<String> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let listed = errors(&document).iter().filter_map(say).collect::<Vec<_>>().join("; ");
    let words = if listed.is_empty() { say_elsewhere(&document)? } else { listed };
    Some(words.chars().take(MAX_EXPLANATION).collect())
}

/// Whether the body is an error in the form of the distribution spec
/// ([distribution-spec](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#error-codes)).
pub(super) fn is_of_registry(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|document: Value| !errors(&document).is_empty())
}

/// Whether an error in the form of the spec has this code.
pub(super) fn has_code(body: &[u8], code: &str) -> bool {
    let document: Value = serde_json::from_slice(body).unwrap_or_default();
    errors(&document).iter().any(|item| item["code"] == code)
}

/// Whether the server wants to be spoken to with TLS.
pub(super) fn wants_tls(body: &[u8]) -> bool {
    contains(body, &WANTS_TLS)
}

/// Whether the server wants a client certificate, or another one.
pub(super) fn wants_certificate(body: &[u8]) -> bool {
    contains(body, &WANTS_CERTIFICATE)
}

fn contains(body: &[u8], texts: &[&str]) -> bool {
    let body = String::from_utf8_lossy(body);
    texts.iter().any(|text| body.contains(text))
}

fn errors(document: &Value) -> &[Value] {
    document["errors"].as_array().map_or(&[], Vec::as_slice)
}

/// The message of one error, or else its details, or its code.
fn say(item: &Value) -> Option<String> {
    let words = ["message", "detail", "code"].iter().find_map(|key| text(&item[key]));
    words.or_else(|| text(item))
}

fn say_elsewhere(document: &Value) -> Option<String> {
    ELSEWHERE.iter().find_map(|key| text(&document[key]).or_else(|| text(&document[key]["message"])))
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_whatever_form_they_are() {
        for (body, words) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"no"},{"code":"UNKNOWN","message":""}]}"#,
                "no; UNKNOWN",
            ),
            (r#"{"errors":[{"code":412,"message":"too old"}]}"#, "too old"),
            (r#"{"errors":[{"code":412}]}"#, "412"),
            (r#"{"errors":[{"code":null,"message":null,"detail":"gone"}]}"#, "gone"),
            (r#"{"errors":["plain"]}"#, "plain"),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#, "expired"),
            (r#"{"error":{"code":7,"message":"nested"}}"#, "nested"),
            (r#"{"details":"incorrect username or password"}"#, "incorrect username or password"),
            (r#"{"errors":null,"message":"Not Found"}"#, "Not Found"),
        ] {
            assert_eq!(explain(body.as_bytes()).as_deref(), Some(words), "{body}");
        }
        for body in ["", "<html>", "[]", "{}", r#"{"errors":[{}]}"#, r#"{"errors":7}"#, r#"{"message":" "}"#]
        {
            assert_eq!(explain(body.as_bytes()), None, "{body}");
        }
        assert_eq!(
            explain(format!(r#"{{"message":"{}"}}"#, "x".repeat(1000)).as_bytes()).unwrap().len(),
            300
        );
    }
}
