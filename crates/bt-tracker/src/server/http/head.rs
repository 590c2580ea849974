//! The head of a request: what the server reads of it, and what is wrong with it.
//!
//! Pure. Knows nothing of trackers.

use std::mem::MaybeUninit;

use super::Status;
use crate::limits::{MAX_REQUEST_FIELDS, MAX_REQUEST_HEADERS, MAX_REQUEST_LINE};

/// Bytes of a head.
const MAX_HEAD: usize = MAX_REQUEST_LINE + MAX_REQUEST_FIELDS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Post,
    Put,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head<'a> {
    pub(super) method: Method,
    /// Without the query, and never with a host before it.
    pub(super) path: &'a str,
    /// Without the question mark; empty when there is none.
    pub(super) query: &'a str,
    pub(super) keep_alive: bool,
    /// The client only keeps a connection that we promise to keep.
    pub(super) is_http_10: bool,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    /// The client holds its body back until it is asked for it (RFC 9110, section 10.1.1).
    pub(super) expects_continue: bool,
    pub(super) wants_json: bool,
    /// The key of a client that wants to speak WebSocket from here on.
    #[cfg(feature = "websocket")]
    pub(super) websocket_key: Option<&'a [u8]>,
    pub(super) authorization: Option<&'a [u8]>,
    /// The last header in which proxies name the client.
    pub(super) forwarded_for: Option<&'a [u8]>,
    /// How many of them there are; [`all_named`] has the others.
    pub(super) forwarded_lines: usize,
}

/// Reads a head. Returns it with its length, `None` when it has not all come yet, or the status
/// of the refusal, after which the connection cannot be used any more. `forwarded` is the header in
/// which proxies name the client.
pub(super) fn parse<'a>(
    bytes: &'a [u8],
    forwarded: &str,
) -> Result<Option<(Head<'a>, usize)>, Status> {
    let within = bytes.get(..MAX_HEAD).unwrap_or(bytes);
    // Nearly every head is shorter than either bound, and nothing is counted in it.
    let bounds = (bytes.len() > MAX_REQUEST_FIELDS).then(|| bounds(within));
    if bounds.is_some_and(|(line, _)| line > MAX_REQUEST_LINE) {
        return Err(Status::HeadTooLarge);
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_REQUEST_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(within, &mut headers) {
        Ok(httparse::Status::Complete(length))
            if bounds.is_some_and(|(line, _)| length - line > MAX_REQUEST_FIELDS) =>
        {
            Err(Status::HeadTooLarge)
        }
        Ok(httparse::Status::Complete(length)) => Ok(Some((head(&request, forwarded)?, length))),
        Ok(httparse::Status::Partial)
            if bounds.is_some_and(|(_, rest)| rest >= MAX_REQUEST_FIELDS) =>
        {
            Err(Status::HeadTooLarge)
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Status::HeadTooLarge),
        Err(_) => Err(Status::BadRequest),
    }
}

/// The bytes of the request line, as far as it has come, and of what has come after it.
fn bounds(bytes: &[u8]) -> (usize, usize) {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let line = end.map_or(bytes.len(), |end| end + 1);
    (line, bytes.len() - line)
}

fn head<'a>(request: &httparse::Request<'_, 'a>, forwarded: &str) -> Result<Head<'a>, Status> {
    let method = match request.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        Some("POST") => Method::Post,
        Some("PUT") => Method::Put,
        _ => return Err(Status::MethodNotAllowed),
    };
    let target = request.path.unwrap_or_default();
    let target = match target.strip_prefix("http://") {
        // Proxies send the whole URL.
        Some(rest) => rest
            .find('/')
            .and_then(|slash| rest.get(slash..))
            .unwrap_or("/"),
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_http_10 = request.version == Some(0);
    let mut head = Head {
        method,
        path,
        query,
        keep_alive: !is_http_10,
        is_http_10,
        content_length: None,
        chunked: false,
        expects_continue: false,
        wants_json: false,
        #[cfg(feature = "websocket")]
        websocket_key: None,
        authorization: None,
        forwarded_for: None,
        forwarded_lines: 0,
    };
    #[cfg(feature = "websocket")]
    let mut upgrades = false;
    for header in request.headers.iter() {
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        if named(forwarded) {
            head.forwarded_for = Some(header.value);
            head.forwarded_lines += 1;
        }
        match header.name.len() {
            6 if named("accept") => head.wants_json = contains(header.value, b"application/json"),
            6 if named("expect") => {
                head.expects_continue = header.value.eq_ignore_ascii_case(b"100-continue");
            }
            #[cfg(feature = "websocket")]
            7 if named("upgrade") => upgrades = contains(header.value, b"websocket"),
            10 if named("connection") => {
                if contains(header.value, b"close") {
                    head.keep_alive = false;
                } else if contains(header.value, b"keep-alive") {
                    head.keep_alive = true;
                }
            }
            13 if named("authorization") => head.authorization = Some(header.value),
            14 if named("content-length") => {
                let length = content_length(header.value).ok_or(Status::BadRequest)?;
                if head
                    .content_length
                    .replace(length)
                    .is_some_and(|before| before != length)
                {
                    return Err(Status::BadRequest);
                }
            }
            17 if named("transfer-encoding") => head.chunked = true,
            #[cfg(feature = "websocket")]
            17 if named("sec-websocket-key") => head.websocket_key = Some(header.value),
            _ => {}
        }
    }
    #[cfg(feature = "websocket")]
    {
        head.websocket_key = head.websocket_key.filter(|_| upgrades);
    }
    // A body that two readers would measure differently is how requests are smuggled past proxies.
    if head.chunked && head.content_length.is_some() {
        return Err(Status::BadRequest);
    }
    Ok(head)
}

/// Digits and nothing else: a sign would be read differently by others (RFC 9110, section 8.6).
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The values of all header lines of this name in a whole head, in their order.
pub(super) fn all_named<'a>(head: &'a [u8], name: &str) -> Vec<&'a [u8]> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_REQUEST_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut headers) {
        Ok(httparse::Status::Complete(_)) => {
            let headers = request.headers.iter();
            let named = headers.filter(|header| header.name.eq_ignore_ascii_case(name));
            named.map(|header| header.value).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a header value contains the word, in either case.
fn contains(value: &[u8], word: &[u8]) -> bool {
    value
        .windows(word.len())
        .any(|window| window.eq_ignore_ascii_case(word))
}

/// The head of a request for the fuzzer: a part of it gets the same verdict or none yet, and what is found lies in it.
#[cfg(any(test, feature = "fuzz"))]
pub(in crate::server) fn fuzz(data: &[u8]) {
    const FORWARDED: &str = "x-forwarded-for";
    let verdict = parse(data, FORWARDED);
    if let Ok(Some((head, length))) = &verdict {
        assert!(*length <= data.len().min(MAX_HEAD));
        assert!(data.get(..*length).is_some_and(|all| all.ends_with(b"\n")));
        assert!(!head.path.contains(['?', ' ', '\n']) && !head.query.contains([' ', '\n']));
        assert!(!(head.chunked && head.content_length.is_some()));
        let named = all_named(data.get(..*length).unwrap_or_default(), FORWARDED);
        assert_eq!(named.len(), head.forwarded_lines);
        assert_eq!(named.last().copied(), head.forwarded_for);
        // What comes behind it is another request.
        let alone = parse(data.get(..*length).unwrap_or_default(), FORWARDED);
        assert_eq!(alone, verdict);
    }
    let step = data.len() / 16 + 1;
    for end in (0..data.len()).step_by(step) {
        let early = parse(data.get(..end).unwrap_or_default(), FORWARDED);
        match (&early, &verdict) {
            // What is wrong with a part may be something else than what is wrong behind it.
            (Ok(None), _) | (Err(_), Err(_)) => {}
            _ => assert_eq!(early, verdict, "{end} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Option<(Head<'_>, usize)>, Status> {
        super::parse(bytes, "X-Forwarded-For")
    }

    fn whole(text: &str) -> Head<'_> {
        let (head, length) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(length, text.len());
        head
    }

    #[test]
    fn path_and_query_are_apart_and_a_host_is_dropped() {
        let head = whole("GET /announce?a=1&b=?2 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!((head.path, head.query), ("/announce", "a=1&b=?2"));
        let head = whole("GET http://tracker:1/scrape?a HTTP/1.1\r\n\r\n");
        assert_eq!((head.path, head.query), ("/scrape", "a"));
        assert_eq!(whole("GET http://tracker HTTP/1.1\r\n\r\n").path, "/");
    }

    #[test]
    fn connections_are_kept_as_the_versions_say() {
        assert!(whole("GET / HTTP/1.1\r\n\r\n").keep_alive);
        assert!(!whole("GET / HTTP/1.1\r\nconnection: Close\r\n\r\n").keep_alive);
        assert!(!whole("GET / HTTP/1.0\r\n\r\n").keep_alive);
        assert!(whole("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    }

    #[test]
    fn a_head_that_has_not_all_come_is_waited_for_up_to_the_limit() {
        let text = "GET /announce HTTP/1.1\r\nHost: x\r\n\r\n";
        for cut in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let long = |length: usize| {
            let start = "GET / HTTP/1.1\r\nX: ";
            format!("{start}{}\r\n\r\n", "a".repeat(length - start.len() - 4))
        };
        let line = "GET / HTTP/1.1\r\n".len();
        assert!(
            parse(long(line + MAX_REQUEST_FIELDS).as_bytes())
                .unwrap()
                .is_some()
        );
        assert_eq!(
            parse(long(line + MAX_REQUEST_FIELDS + 1).as_bytes()),
            Err(Status::HeadTooLarge)
        );
        assert_eq!(parse(&[b'a'; MAX_REQUEST_LINE]), Ok(None));
        assert_eq!(
            parse(&[b'a'; MAX_REQUEST_LINE + 1]),
            Err(Status::HeadTooLarge)
        );
        let hashes = format!("info_hash={}&", "%aa".repeat(20)).repeat(74);
        let scrape = format!("GET /scrape?{hashes} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(whole(&scrape).query, hashes);
        let many = |lines| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(lines));
        let (most, more) = (many(MAX_REQUEST_HEADERS), many(MAX_REQUEST_HEADERS + 1));
        assert!(parse(most.as_bytes()).unwrap().is_some());
        assert_eq!(parse(more.as_bytes()), Err(Status::HeadTooLarge));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bad in [
            "\0",
            "GET\r\n\r\n",
            "GET / HTTP/3.0\r\n\r\n",
            "GET / HTTP/1.1\r\n: x\r\n\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err(Status::BadRequest), "{bad:?}");
        }
        let refused = |text: &str| parse(text.as_bytes()).unwrap_err();
        assert_eq!(
            refused("DELETE / HTTP/1.1\r\n\r\n"),
            Status::MethodNotAllowed
        );
        let post = "POST / HTTP/1.1\r\nContent-Length: ";
        for length in [
            "-1",
            "+5",
            "",
            "1 1",
            "1x",
            "99999999999999999999",
            "1\r\nContent-Length: 2",
        ] {
            assert_eq!(
                refused(&format!("{post}{length}\r\n\r\n")),
                Status::BadRequest
            );
        }
        let both = "1\r\nTransfer-Encoding: chunked";
        assert_eq!(
            refused(&format!("{post}{both}\r\n\r\n")),
            Status::BadRequest
        );
    }
}
