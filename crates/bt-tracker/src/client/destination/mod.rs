//! A URL taken apart: whom to connect to and what to ask for.
//!
//! Host and port are read by the `url` crate, as browsers read them. Path and query are taken from
//! the text as it stands, because trackers compare keys byte for byte; only bytes that no request
//! line can hold are escaped.

use std::fmt::Write as _;
use std::net::IpAddr;

use data_encoding::BASE64;
use url::{Host, Url};

use super::Error;
use crate::limits::MAX_URL;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
    Udp,
}

#[derive(Clone, Debug)]
pub(super) struct Destination {
    pub(super) scheme: Scheme,
    pub(super) host: Name,
    pub(super) port: u16,
    /// For the request line: begins with `/`.
    pub(super) path_and_query: String,
    /// For BEP 41: path and query as they stand in the URL, empty when there are none.
    pub(super) url_data: String,
    /// For the `Host` header.
    pub(super) authority: String,
    /// For the `Authorization` header.
    pub(super) basic: Option<String>,
    url: Url,
}

/// A host as the URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Domain(String),
    Ip(IpAddr),
}

impl Destination {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        // An announce URL of the longest kind plus our own parameters.
        if text.len() > 2 * MAX_URL {
            return Err(invalid(format!("more than {} bytes", 2 * MAX_URL)));
        }
        let (scheme_text, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("it has no scheme and host"))?;
        let scheme = match scheme_text.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "udp" => Scheme::Udp,
            _ => {
                return Err(Error::Scheme {
                    scheme: scheme_text.chars().take(20).collect(),
                });
            }
        };
        let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, raw) = rest.split_at(authority_end);
        if authority.is_empty() {
            return Err(invalid("it has no host"));
        }
        // Names that only look like others are a way to take users to the wrong tracker.
        if !authority.is_ascii() {
            return Err(invalid("the host name is not ASCII"));
        }
        // The `url` crate reads hosts of `udp` URLs as opaque text; as `http` they are parsed.
        let as_web = if scheme == Scheme::Https {
            "https"
        } else {
            "http"
        };
        let url = Url::parse(&format!("{as_web}://{rest}"))
            .map_err(|error| invalid(error.to_string()))?;
        let host = match url.host() {
            Some(Host::Domain(domain)) => Name::Domain(domain.to_owned()),
            Some(Host::Ipv4(ip)) => Name::Ip(ip.into()),
            Some(Host::Ipv6(ip)) => Name::Ip(ip.into()),
            None => return Err(invalid("it has no host")),
        };
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or_else(|| invalid("port 0 cannot be connected to"))?;
        let host_text = url.host_str().unwrap_or_default();
        let authority = match url.port() {
            Some(port) => format!("{host_text}:{port}"),
            None => host_text.to_owned(),
        };
        let raw = raw.split('#').next().unwrap_or_default();
        Ok(Self {
            scheme,
            host,
            port,
            path_and_query: request_target(raw),
            url_data: if raw == "/" {
                String::new()
            } else {
                raw.to_owned()
            },
            authority,
            basic: basic_credentials(&url),
            url,
        })
    }

    /// The destination of a redirect from here.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, Error> {
        let refused = |what: &str| Error::Redirect {
            what: what.to_owned(),
        };
        // Absolute URLs keep their bytes, like every other URL.
        let next = if has_scheme(location.trim()) {
            Self::parse(location)
        } else {
            let joined = self
                .url
                .join(location)
                .map_err(|_| refused("its location is no URL"))?;
            Self::parse(joined.as_str())
        };
        let next = match next {
            Ok(next) => next,
            Err(Error::Scheme { scheme }) => {
                return Err(refused(&format!("its scheme is {scheme:?}")));
            }
            Err(_) => return Err(refused("its location is no URL")),
        };
        match (self.scheme, next.scheme) {
            (_, Scheme::Udp) => Err(refused("its scheme is \"udp\"")),
            (Scheme::Https, Scheme::Http) => Err(refused("it leads from https to http")),
            _ => Ok(next),
        }
    }

    pub(super) fn host_text(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

/// Whether a text begins with a scheme and an authority (RFC 3986, section 3). The query of a relative reference may hold
/// a URL as well.
fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(is_allowed)
    })
}

fn invalid(what: impl Into<String>) -> Error {
    Error::Url { what: what.into() }
}

/// Escapes what an HTTP request line cannot hold and leaves everything else alone.
fn request_target(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() + 1);
    if !raw.starts_with('/') {
        out.push('/');
    }
    for byte in raw.bytes() {
        match byte {
            0..=b' ' | 0x7F.. | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => {
                write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
            }
            byte => out.push(char::from(byte)),
        }
    }
    out
}

/// User and password of the URL (RFC 7617).
fn basic_credentials(url: &Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = unescape(url.username());
    pair.push(b':');
    pair.extend(unescape(url.password().unwrap_or_default()));
    Some(format!("Basic {}", BASE64.encode(&pair)))
}

fn unescape(text: &str) -> Vec<u8> {
    url::form_urlencoded::parse(text.replace('+', "%2B").replace('&', "%26").as_bytes())
        .next()
        .map(|(name, _)| name.into_owned().into_bytes())
        .unwrap_or_default()
}

/// A URL and, on the next line, the location of a redirect, for the fuzzer: a path stays on its host, nobody is led away
/// from TLS, and nothing but HTTP is followed.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (url, location) = text.split_once('\n').unwrap_or((&text, "/"));
    let Ok(from) = Destination::parse(url) else {
        return;
    };
    assert!(from.path_and_query.starts_with('/') && from.port != 0);
    if from.scheme == Scheme::Udp {
        return;
    }
    let second = location.as_bytes().get(1);
    let is_path = location.starts_with('/')
        && !matches!(second, Some(b'/' | b'\\'))
        && location.bytes().all(|byte| byte.is_ascii_graphic());
    // Escaped, it may become longer than the longest URL.
    let is_short = 3 * text.len() < MAX_URL;
    match from.redirected(location) {
        Ok(next) => {
            assert_ne!(next.scheme, Scheme::Udp, "{text}");
            assert!(
                from.scheme != Scheme::Https || next.scheme == Scheme::Https,
                "{text}"
            );
            assert!(
                !is_path || (next.host == from.host && next.port == from.port),
                "{text}"
            );
        }
        Err(error) => assert!(!is_path || !is_short, "{text}: {error}"),
    }
}

#[cfg(test)]
mod tests;
