//! Pushing to a real registry, for the tests that want one
//! ([distribution-spec, Push](https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#push)).

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response, Url};

use crate::image::{Blob, Publishable};

/// Pushes over plain HTTP, without credentials, and returns the full reference. `host` is a name or
/// address with its port.
///
/// Panics if the registry refuses anything.
pub async fn push(host: &str, repository: &str, tag: &str, what: impl Into<Publishable>) -> String {
    let what = what.into();
    let target = Target { client: plain_client(), root: format!("http://{host}/v2/{repository}") };
    for blob in what.blobs() {
        target.put_blob(blob).await;
    }
    for document in what.documents() {
        target.put_document(document, &document.digest.to_string()).await;
    }
    target.put_document(what.document(), tag).await;
    format!("{host}/{repository}:{tag}")
}

struct Target {
    client: Client,
    root: String,
}

impl Target {
    async fn put_blob(&self, blob: &Blob) {
        let session = self.client.post(format!("{}/blobs/uploads/", self.root));
        let begun = accepted(session.send().await);
        let location =
            begun.headers().get(LOCATION).expect("a Location").to_str().expect("an ASCII Location");
        let mut upload: Url = begun.url().join(location).expect("a Location that is a URL");
        upload.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let finish = self.client.put(upload).header(CONTENT_TYPE, "application/octet-stream");
        accepted(finish.body(blob.bytes.clone()).send().await);
    }

    async fn put_document(&self, document: &Blob, name: &str) {
        let put = self.client.put(format!("{}/manifests/{name}", self.root));
        let put = put.header(CONTENT_TYPE, &document.media_type).body(document.bytes.clone());
        accepted(put.send().await);
    }
}

#[track_caller]
fn accepted(response: reqwest::Result<Response>) -> Response {
    response.and_then(Response::error_for_status).expect("the registry takes what is pushed")
}

/// An HTTP client for tests that look at a registry themselves. It uses no proxy and trusts no certificate,
/// and needs no TLS provider installed for the whole process.
pub fn plain_client() -> Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows the default versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client without options")
}
