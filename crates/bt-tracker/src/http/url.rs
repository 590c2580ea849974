//! Announce URLs as text: adding a query, finding the scrape URL, hiding secrets.
//!
//! The URL's own bytes are kept as they stand in the torrent: private trackers put keys in path
//! and query, and a normalized URL is another URL to them. Whether the URL can be dialed is the
//! client's question.

use super::query::{encode_announce_query, encode_scrape_query};
use crate::{AnnounceRequest, ScrapeRequest};

/// The announce URL with the request's parameters behind its own query.
#[must_use]
pub fn announce_url(tracker: &str, request: &AnnounceRequest) -> String {
    let mut url = open_query(tracker);
    encode_announce_query(request, &mut url);
    url
}

/// The scrape URL with the request's parameters behind its own query.
#[must_use]
pub fn scrape_request_url(scrape: &str, request: &ScrapeRequest) -> String {
    let mut url = open_query(scrape);
    encode_scrape_query(request, &mut url);
    url
}

/// The scrape URL that belongs to an announce URL: the last `/announce` of the path becomes
/// `/scrape` (BEP 48), everything else stays. `None` when the path has none: such a tracker
/// cannot be scraped.
#[must_use]
pub fn scrape_url(tracker: &str) -> Option<String> {
    const ANNOUNCE: &str = "/announce";
    let (start, end) = path_span(tracker);
    let path = tracker.get(start..end)?;
    let at = start + path.rfind(ANNOUNCE)?;
    let mut url = tracker.get(..at)?.to_owned();
    url.push_str("/scrape");
    url.push_str(tracker.get(at + ANNOUNCE.len()..)?);
    Some(url)
}

/// The URL for logs and screens: user, password, query values and path components that look like
/// keys are replaced by `…`.
#[must_use]
pub fn redacted(url: &str) -> String {
    /// Shorter path components are words; passkeys have at least 64 bits.
    const KEY_LENGTH: usize = 16;
    let (start, end) = path_span(url);
    let mut out = String::with_capacity(url.len());
    let origin = url.get(..start).unwrap_or_default();
    match (origin.find("://"), origin.rfind('@')) {
        (Some(scheme_end), Some(at)) if at > scheme_end => {
            out.push_str(origin.get(..scheme_end + 3).unwrap_or_default());
            out.push('…');
            out.push_str(origin.get(at..).unwrap_or_default());
        }
        _ => out.push_str(origin),
    }
    for (n, component) in url
        .get(start..end)
        .unwrap_or_default()
        .split('/')
        .enumerate()
    {
        if n > 0 {
            out.push('/');
        }
        out.push_str(if component.len() >= KEY_LENGTH {
            "…"
        } else {
            component
        });
    }
    let query = url.get(end..).unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    for (n, pair) in query.split(['?', '&']).enumerate().skip(1) {
        out.push(if n == 1 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if name.len() < KEY_LENGTH => {
                out.push_str(name);
                out.push_str("=…");
            }
            _ if pair.is_empty() => {}
            _ => out.push('…'),
        }
    }
    out
}

/// The URL without its fragment, ending where the next parameter can be written.
fn open_query(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let mut open = url.to_owned();
    match url.find('?') {
        None => open.push('?'),
        Some(_) if url.ends_with(['?', '&']) => {}
        Some(_) => open.push('&'),
    }
    open
}

/// Where the path begins and ends, in bytes.
fn path_span(url: &str) -> (usize, usize) {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let authority = url
        .get(..end)
        .and_then(|head| head.find("://"))
        .map_or(0, |at| at + 3);
    let start = url
        .get(authority..end)
        .and_then(|rest| rest.find('/'))
        .map_or(end, |slash| authority + slash);
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_announce_of_the_path_becomes_scrape() {
        for (announce, scrape) in [
            ("http://t.example/announce", Some("http://t.example/scrape")),
            (
                "http://t.example/x/announce",
                Some("http://t.example/x/scrape"),
            ),
            (
                "http://t.example/announce.php",
                Some("http://t.example/scrape.php"),
            ),
            (
                "http://t.example/announce?x2=a/b",
                Some("http://t.example/scrape?x2=a/b"),
            ),
            (
                "http://t.example/announce/k3y",
                Some("http://t.example/scrape/k3y"),
            ),
            (
                "http://t.example/announce/announce",
                Some("http://t.example/announce/scrape"),
            ),
            (
                "http://t.example/k3y/announce#top",
                Some("http://t.example/k3y/scrape#top"),
            ),
            (
                "http://t.example/announce%3fx",
                Some("http://t.example/scrape%3fx"),
            ),
            ("http://t.example/a", None),
            ("http://t.example/x?announce", None),
            ("http://t.example/?x=/announce", None),
            ("http://announce/", None),
            ("http://announce", None),
            ("http://t.example", None),
            ("", None),
        ] {
            assert_eq!(scrape_url(announce).as_deref(), scrape, "{announce}");
        }
    }

    #[test]
    fn the_urls_own_query_is_kept_byte_for_byte() {
        for (url, open) in [
            ("http://t/announce", "http://t/announce?"),
            ("http://t/announce?", "http://t/announce?"),
            (
                "http://t/announce?key=A%2b+%zz",
                "http://t/announce?key=A%2b+%zz&",
            ),
            ("http://t/announce?a=1&", "http://t/announce?a=1&"),
            ("http://t/announce?a=1#part?", "http://t/announce?a=1&"),
            ("http://t/announce#part", "http://t/announce?"),
        ] {
            assert_eq!(open_query(url), open);
        }
    }

    #[test]
    fn secrets_are_hidden() {
        for (url, shown) in [
            (
                "http://t.example:80/announce",
                "http://t.example:80/announce",
            ),
            (
                "http://t.example/0123456789abcdef/announce",
                "http://t.example/…/announce",
            ),
            (
                "https://u:p@t.example/announce",
                "https://…@t.example/announce",
            ),
            (
                "http://t/announce?passkey=x&uid=7#f",
                "http://t/announce?passkey=…&uid=…",
            ),
            ("http://t/announce?0123456789abcdef", "http://t/announce?…"),
            ("udp://t:6969", "udp://t:6969"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(redacted(url), shown);
        }
    }
}
