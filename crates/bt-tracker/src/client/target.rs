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
pub(super) struct Target {
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

impl Target {
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

    /// The target of a redirect from here.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, Error> {
        let refused = |what: &str| Error::Redirect {
            what: what.to_owned(),
        };
        // Absolute URLs keep their bytes, like every other URL.
        let next = if location.contains("://") {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16, path: &str) {
        let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((target.host_text(), target.port), (host, port), "{text}");
        assert_eq!(target.path_and_query, path, "{text}");
    }

    #[test]
    fn host_port_and_path_are_found() {
        check("http://t.example/announce", "t.example", 80, "/announce");
        check(
            "HTTPS://T.Example:8443/a?b=c#d",
            "t.example",
            8443,
            "/a?b=c",
        );
        check(
            "http://[2001:db8::1]:6969/announce",
            "[2001:db8::1]",
            6969,
            "/announce",
        );
        check("http://t.example?x=1", "t.example", 80, "/?x=1");
        check("udp://t.example:80/announce", "t.example", 80, "/announce");
        check("udp://t.example", "t.example", 80, "/");
        check("udp://10.0.0.1:6969", "10.0.0.1", 6969, "/");
        check("  http://t.example/a \n", "t.example", 80, "/a");
    }

    #[test]
    fn path_and_query_keep_their_bytes() {
        let path = "/%7euser//k/../announce?key=A%2b+%zz&x='[1]'~!$*;,";
        check(&format!("http://t.example{path}"), "t.example", 80, path);
        check(
            "http://t.example/a b?c=\"ü\"",
            "t.example",
            80,
            "/a%20b?c=%22%C3%BC%22",
        );
        check("http://t.example\\a", "t.example", 80, "/%5Ca");
        assert_eq!(
            Target::parse("udp://t:1/dir?a=b&c=d").unwrap().url_data,
            "/dir?a=b&c=d"
        );
        assert_eq!(Target::parse("udp://t:1?a=b").unwrap().url_data, "?a=b");
        assert_eq!(Target::parse("udp://t:1/").unwrap().url_data, "");
    }

    #[test]
    fn the_host_header_names_only_unusual_ports() {
        for (text, authority) in [
            ("http://t.example:80/", "t.example"),
            ("https://t.example:443/", "t.example"),
            ("http://t.example:443/", "t.example:443"),
            ("http://[::1]:6969/", "[::1]:6969"),
            ("http://user:pw@t.example:81/", "t.example:81"),
        ] {
            assert_eq!(Target::parse(text).unwrap().authority, authority);
        }
    }

    #[test]
    fn credentials_become_a_header() {
        for (text, expected) in [
            ("http://t.example/", None),
            (
                "http://Aladdin:open%20sesame@t.example/",
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("http://a+b@t.example/", Some("Basic YStiOg==")),
        ] {
            assert_eq!(
                Target::parse(text).unwrap().basic.as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn urls_that_cannot_be_used_say_why() {
        let long = format!("http://t.example/{}", "x".repeat(2 * MAX_URL));
        for (text, message) in [
            ("", "invalid URL: it has no scheme and host"),
            (
                "t.example/announce",
                "invalid URL: it has no scheme and host",
            ),
            ("wss://t.example/", "scheme \"wss\" is not supported here"),
            ("dht://", "scheme \"dht\" is not supported here"),
            ("http://", "invalid URL: it has no host"),
            (
                "http:///announce",
                "invalid URL: it has no host",
            ),
            (
                "http://t.example:0/",
                "invalid URL: port 0 cannot be connected to",
            ),
            ("udp://t.example:99999", "invalid URL: invalid port number"),
            ("http://[::1/", "invalid URL: invalid IPv6 address"),
            (
                "http://tr\u{430}cker.example/",
                "invalid URL: the host name is not ASCII",
            ),
            (&long, "invalid URL: more than 4096 bytes"),
        ] {
            let error = Target::parse(text)
                .map(|target| target.authority)
                .unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
        }
    }

    #[test]
    fn redirects_stay_on_the_web_and_never_lose_tls() {
        let from = |text: &str| Target::parse(text).unwrap();
        let next = from("http://a.example/x/announce?k=1")
            .redirected("other?y=2")
            .unwrap();
        assert_eq!(
            (next.authority.as_str(), next.path_and_query.as_str()),
            ("a.example", "/x/other?y=2")
        );
        let next = from("http://a.example/x")
            .redirected("https://b.example/%7e?q")
            .unwrap();
        assert_eq!(
            (next.scheme, next.path_and_query.as_str()),
            (Scheme::Https, "/%7e?q")
        );
        for (url, location, message) in [
            (
                "https://a/",
                "http://a/",
                "redirect refused: it leads from https to http",
            ),
            (
                "http://a/",
                "udp://a/",
                "redirect refused: its scheme is \"udp\"",
            ),
            (
                "http://a/",
                "file:///etc/passwd",
                "redirect refused: its scheme is \"file\"",
            ),
            (
                "http://a/",
                "http://:0",
                "redirect refused: its location is no URL",
            ),
        ] {
            let error = from(url)
                .redirected(location)
                .map(|target| target.authority)
                .unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
