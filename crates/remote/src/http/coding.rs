//! Content codings (RFC 9110, section 8.4). hoist asks for content as it is; some proxies compress it all the same.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use hoist_core::{Error, ErrorKind, Result};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};

use super::response::too_large;

/// How the body of an answer is coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Deflate,
    /// It cannot be undone here.
    Other(String),
}

impl Coding {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let named = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        let codings: Vec<_> = named
            .flat_map(|value| value.split(','))
            .map(|coding| coding.trim().to_ascii_lowercase())
            .filter(|coding| !matches!(&**coding, "" | "identity"))
            .collect();
        match codings.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => Self::Identity,
            ["gzip" | "x-gzip"] => Self::Gzip,
            ["deflate"] => Self::Deflate,
            _ => Self::Other(codings.join(", ")),
        }
    }

    /// The content of a body. Fails with [`TooLarge`](ErrorKind::TooLarge) beyond `limit` bytes of it, and with
    /// [`Malformed`](ErrorKind::Malformed) if it is not coded like this, or in a way that cannot be undone here.
    pub(crate) fn decode(&self, body: Vec<u8>, limit: u64) -> Result<Vec<u8>> {
        match self {
            _ if body.is_empty() => Ok(body), // as after `HEAD`
            Self::Identity => Ok(body),
            Self::Gzip => read(MultiGzDecoder::new(&*body), limit),
            Self::Deflate => read(ZlibDecoder::new(&*body), limit),
            Self::Other(coding) => Err(unreadable(coding)),
        }
    }
}

fn read(decoder: impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = decoder.take(limit.saturating_add(1)).read_to_end(&mut content);
    read.map_err(|cause| unreadable("gzip or deflate").with_source(cause))?;
    if content.len() as u64 > limit { Err(too_large(limit)) } else { Ok(content) }
}

fn unreadable(coding: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("the answer is compressed ({coding}), and cannot be read"))
        .with_help("a proxy on the way may compress answers: have it leave them as they are")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    fn coding(values: &[&'static str]) -> Coding {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, reqwest::header::HeaderValue::from_static(value));
        }
        Coding::of(&headers)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_coding_is_read_as_it_is_named() {
        assert_eq!(coding(&[]), Coding::Identity);
        assert_eq!(coding(&["identity, "]), Coding::Identity);
        assert_eq!(coding(&["", " X-GZip"]), Coding::Gzip);
        assert_eq!(coding(&["deflate"]), Coding::Deflate);
        assert_eq!(coding(&["gzip", "br"]), Coding::Other("gzip, br".into()));
    }

    /// A `HEAD` has none.
    #[test]
    fn an_empty_body_has_nothing_to_decompress() {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Other("br".into())] {
            assert_eq!(coding.decode(Vec::new(), 1).unwrap(), b"");
        }
    }

    #[test]
    fn content_is_decompressed_within_its_limit() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"content").unwrap();
        assert_eq!(Coding::Gzip.decode(gzip(b"content"), 7).unwrap(), b"content");
        assert_eq!(Coding::Deflate.decode(zlib.finish().unwrap(), 7).unwrap(), b"content");
        assert_eq!(*Coding::Gzip.decode(gzip(&vec![0; 1 << 20]), 7).unwrap_err().kind(), ErrorKind::TooLarge);
        for (coding, body) in [
            (Coding::Gzip, b"plain".to_vec()),
            (Coding::Other("br".into()), vec![1]),
            (Coding::Deflate, vec![1]),
        ] {
            let error = coding.decode(body, 100).unwrap_err();
            assert!(*error.kind() == ErrorKind::Malformed && error.report().contains("compressed"));
        }
    }
}
