//! Bodies within limits, compressed or not.

use std::io::Read as _;
use std::net::SocketAddr;

use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderValue;

use super::Error;
use super::http::http_error;
use crate::limits::MAX_GZIP_RATIO;

/// Collects a body of at most `limit` bytes.
pub(super) async fn collect(
    mut body: Incoming,
    addr: SocketAddr,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let too_large = || Error::TooLarge { limit };
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| http_error(&error, addr))?;
        if let Some(data) = frame.data_ref() {
            if data.len() > limit - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

/// Undoes `Content-Encoding`. What comes out has at most `limit` bytes and is at most
/// [`MAX_GZIP_RATIO`] times as large as what went in.
pub(super) fn decompress(
    encoding: Option<&HeaderValue>,
    body: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, Error> {
    let encoding = encoding
        .map_or(&b""[..], HeaderValue::as_bytes)
        .trim_ascii();
    if encoding.is_empty() || encoding.eq_ignore_ascii_case(b"identity") {
        return Ok(body);
    }
    if !encoding.eq_ignore_ascii_case(b"gzip") && !encoding.eq_ignore_ascii_case(b"x-gzip") {
        let name: String = String::from_utf8_lossy(encoding).chars().take(40).collect();
        return Err(Error::Encoding {
            what: format!("encoding {name:?} is unknown"),
        });
    }
    let limit = limit.min(body.len().saturating_mul(MAX_GZIP_RATIO));
    let mut out = Vec::new();
    let reading = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    GzDecoder::new(body.as_slice())
        .take(reading)
        .read_to_end(&mut out)
        .map_err(|error| Error::Encoding {
            what: error.to_string(),
        })?;
    if out.len() > limit {
        return Err(Error::TooLarge { limit });
    }
    Ok(out)
}

/// A packed body for the fuzzer: whatever it claims, no more comes out than is allowed.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(data: &[u8]) {
    const LIMIT: usize = 64 * 1024;
    let gzip = HeaderValue::from_static("gzip");
    if let Ok(unpacked) = decompress(Some(&gzip), data.to_vec(), LIMIT) {
        assert!(unpacked.len() <= LIMIT.min(data.len() * MAX_GZIP_RATIO));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn encoded(name: &'static str, body: Vec<u8>, limit: usize) -> Result<Vec<u8>, String> {
        let value = HeaderValue::from_static(name);
        decompress(Some(&value), body, limit).map_err(|error| error.to_string())
    }

    #[test]
    fn gzip_and_identity_are_understood() {
        assert_eq!(decompress(None, b"x".to_vec(), 9).unwrap(), b"x");
        assert_eq!(encoded("identity", b"x".to_vec(), 9).unwrap(), b"x");
        assert_eq!(encoded("GZIP", gzip(b"hello"), 5).unwrap(), b"hello");
        assert_eq!(encoded("x-gzip", gzip(b""), 5).unwrap(), b"");
    }

    #[test]
    fn bombs_end_at_the_limit() {
        let bomb = gzip(&vec![0; 1_000_000]);
        assert!(bomb.len() < 2_000);
        let limit = bomb.len() * MAX_GZIP_RATIO;
        let message = format!("the response is larger than {limit} bytes");
        assert_eq!(encoded("gzip", bomb, 10_000_000), Err(message));
        let random: Vec<u8> = (0..5_000u32)
            .map(|n| crate::seed::mix(n.into()).to_le_bytes()[0])
            .collect();
        assert_eq!(encoded("gzip", gzip(&random), 5_000).unwrap(), random);
        let message = "the response is larger than 4999 bytes".to_owned();
        assert_eq!(encoded("gzip", gzip(&random), 4_999), Err(message));
    }

    #[test]
    fn what_is_not_gzip_says_so() {
        let mut cut = gzip(b"hello hello hello");
        cut.truncate(cut.len() - 6);
        for (name, body, message) in [
            ("br", b"x".to_vec(), "encoding \"br\" is unknown"),
            (
                "gzip",
                b"plain text, no gzip".to_vec(),
                "invalid gzip header",
            ),
            ("gzip", Vec::new(), "unexpected end of file"),
            ("gzip", cut, "unexpected end of file"),
        ] {
            let message = format!("the response cannot be decompressed: {message}");
            assert_eq!(encoded(name, body, 99), Err(message));
        }
    }
}
