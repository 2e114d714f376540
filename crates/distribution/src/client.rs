//! Requests to registries through `oci-client`, with a bound on everything that is read.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use hoist_core::{Descriptor, Digest, Document, Error, ErrorKind, MAX_DOCUMENT, Reference, Result};
use oci_distribution::client::{Client, ClientConfig, ClientProtocol, SizedStream};
use oci_distribution::errors::{DigestError, OciDistributionError};
use oci_distribution::manifest::OciDescriptor;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may stay silent.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a whole document may take.
const DOCUMENT: Duration = Duration::from_mins(5);

/// Makes a client that speaks this protocol.
pub(crate) fn client(protocol: ClientProtocol) -> Result<Client> {
    _ = rustls::crypto::ring::default_provider().install_default(); // the first one installed is used
    let (connect_timeout, read_timeout) = (Some(CONNECT), Some(SILENCE));
    // This proxy does not exist, so a redirect from TLS to plain HTTP fails. A plain client uses no proxy for any
    // host.
    let no_proxy = matches!(protocol, ClientProtocol::Http).then(|| "*,0.0.0.0/0,::/0".to_owned());
    let http_proxy = Some("http://127.0.0.1:0".to_owned());
    let config =
        ClientConfig { protocol, connect_timeout, read_timeout, http_proxy, no_proxy, ..Default::default() };
    // `Client::new` ignores options that it cannot apply.
    let failed = |cause| Error::new(ErrorKind::Tls, "cannot set up TLS").with_source(cause);
    Client::try_from(config).map_err(failed)
}

/// Gets a manifest or an index, by the reference's tag or by this digest.
///
/// `oci-client` reads manifests without bound, but it streams blobs. So this requests a "blob" whose address is a
/// manifest's; making it a URL removes the dots.
pub(crate) async fn document(
    client: &Client,
    reference: &Reference,
    digest: Option<&Digest>,
) -> Result<(Descriptor, Vec<u8>, Document)> {
    let selector = digest.map_or_else(|| reference.selector(), ToString::to_string);
    let (address, what) = (format!("sha256:/../../manifests/{selector}"), format!("the manifest {selector}"));
    let read = async {
        let mut answer = match open(client, reference, &address, &what).await {
            // The status was that of a `HEAD` without `Accept`, for which some registries hide manifests. Ask once
            // more.
            Err(error) if *error.kind() == ErrorKind::NotFound => {
                open(client, reference, &address, &what).await?
            }
            answer => answer?,
        };
        let mut bytes = Vec::new();
        while let Some(piece) = next(&mut answer, &what).await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() as u64 > MAX_DOCUMENT {
                let message = format!("{what} has more than {MAX_DOCUMENT} bytes");
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
        }
        Ok(bytes)
    };
    let late = |_| Error::new(ErrorKind::Unavailable, format!("{what} arrives too slowly"));
    let bytes = tokio::time::timeout(DOCUMENT, read).await.map_err(late)??;
    digest.map_or(Ok(()), |digest| digest.verify(&bytes))?;
    let document = Document::parse(&bytes, None)?;
    let mut descriptor = Descriptor::of(document.media_type(), &bytes);
    descriptor.digest = digest.cloned().unwrap_or(descriptor.digest);
    Ok((descriptor, bytes, document))
}

/// Opens a blob. Errors call it `what`.
pub(crate) async fn open(
    client: &Client,
    reference: &Reference,
    digest: &str,
    what: &str,
) -> Result<SizedStream> {
    let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
    let image = oci_distribution::Reference::with_tag(registry, repository, String::new());
    // `oci-client` reads the body of an error answer without bound, unless the layer has other addresses, which it
    // tries first. This address is invalid, so it fails before it reads.
    let urls = Some(vec![String::new()]);
    let layer = OciDescriptor { digest: digest.to_owned(), urls, ..OciDescriptor::default() };
    match client.pull_blob_stream(&image, &layer).await {
        Err(OciDistributionError::UrlParseError(_)) => match client.blob_exists(&image, digest).await {
            Ok(true) => Err(Error::new(
                ErrorKind::Unavailable,
                format!("the registry answered with an error for {what}"),
            )),
            Ok(false) => Err(Error::new(ErrorKind::NotFound, format!("there is no {what}"))),
            Err(cause) => Err(failure(what, cause)),
        },
        answer => answer.map_err(|cause| failure(what, cause)),
    }
}

/// The next bytes of an answer. The store verifies the digest, not `oci-client`.
pub(crate) async fn next(answer: &mut SizedStream, what: &str) -> Option<Result<Bytes>> {
    match answer.next().await?.map_err(std::io::Error::downcast::<reqwest::Error>) {
        Err(Err(cause)) if cause.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<DigestError>) => {
            None
        }
        Err(Ok(cause)) => Some(Err(failure(what, cause.into()))),
        Err(Err(cause)) => Some(Err(failure(what, cause.into()))),
        Ok(bytes) => Some(Ok(bytes)),
    }
}

/// Makes an error, without URLs in it: they may be signed.
fn failure(what: &str, cause: OciDistributionError) -> Error {
    let OciDistributionError::RequestError(cause) = cause else {
        return Error::new(ErrorKind::Malformed, format!("cannot read {what}")).with_source(cause);
    };
    let (kind, help) = match cause.status().map(|status| status.as_u16()) {
        Some(401) => (ErrorKind::Unauthorized, "this client sends no credentials: leave out `remote.client`"),
        Some(403) => (ErrorKind::Forbidden, "this client sends no credentials: leave out `remote.client`"),
        Some(429) => (ErrorKind::RateLimited { retry_after: None }, "try again later"),
        None if is_tls(&cause) => (ErrorKind::Tls, "install the certificate of the registry's authority"),
        _ => (ErrorKind::Unavailable, "is this the address of a registry, and is it up?"),
    };
    Error::new(kind, format!("cannot get {what}")).with_help(help).with_source(cause.without_url())
}

/// Whether the TLS handshake failed. `io::Error::source` skips the error that it wraps, so this looks inside.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    let within = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
    error.is::<rustls::Error>() || within.is_some_and(|e| is_tls(e)) || error.source().is_some_and(is_tls)
}
