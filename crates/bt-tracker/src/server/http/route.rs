//! Which path is what, and what is sent back.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Instant;

use bt_metainfo::InfoHash;
use bytes::Bytes;

use super::super::paths::Place;
use super::super::publisher::{self, Catalog, Form, Published};
use super::super::tracker::{Scratch, Tracker, Transport};
use super::head::{Head, Method};
use super::{Status, multi};
use crate::http::{
    PeerForm, decode_announce_query, decode_scrape_query, encode_announce_reply, encode_failure,
    encode_scrape_reply,
};
use crate::limits::MAX_KEPT_BUFFER;
use crate::{Failure, ScrapeResponse};

const TEXT: &str = "text/plain";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TORRENT: &str = "application/x-bittorrent";

const NOSNIFF: &str = "X-Content-Type-Options: nosniff\r\n";

/// What a page may load is nothing: names from outside stand in it.
const PAGE: &str = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
                    X-Content-Type-Options: nosniff\r\n";

/// Where a reply goes, and in what form.
pub(super) struct Reply<'a> {
    pub(super) out: &'a mut Vec<u8>,
    /// Holds the body until its length is known.
    pub(super) body: &'a mut Vec<u8>,
    /// What is sent after `out`, from where it is: a body that is too large to be copied.
    pub(super) tail: &'a mut Bytes,
    pub(super) scratch: &'a mut Scratch,
    pub(super) omit_body: bool,
    pub(super) keep_alive: bool,
    pub(super) is_http_10: bool,
}

/// Whether a request is one of the small ones that come by the thousand; after any other one, the
/// rest of the server gets its turn.
pub(super) fn is_small(head: &Head<'_>, tracker: &Tracker) -> bool {
    head.method != Method::Post && tracker.paths.find(head.path).is_some()
}

/// Appends the reply to a request.
pub(super) fn answer(
    head: &Head<'_>,
    body: &[u8],
    source: IpAddr,
    now: Instant,
    tracker: &Tracker,
    reply: &mut Reply<'_>,
) {
    match (tracker.paths.find(head.path), head.method) {
        (Some(Place::Announce(key)), Method::Get) => {
            announce(head, source, key, now, tracker, reply);
        }
        // No list of announces but one, in the place where it always stands.
        (Some(Place::Announce(key)), Method::Post) if body.trim_ascii().is_empty() => {
            announce(head, source, key, now, tracker, reply);
        }
        (Some(Place::Announce(key)), Method::Post) => {
            multi::announce(body, source, key, now, tracker, reply);
        }
        // To ask for the head of a reply must change nothing, and a reply to an announce is one to
        // a peer that has come in.
        (Some(Place::Announce(_)), Method::Head) | (_, Method::Post | Method::Put) => {
            plain(reply, Status::MethodNotAllowed);
        }
        (Some(Place::Scrape(key)), Method::Get | Method::Head) => {
            scrape(head, key, tracker, reply);
        }
        (None, Method::Get | Method::Head) => match head.path.strip_prefix("/torrents") {
            Some("") => redirect(reply, "/torrents/"),
            Some(rest) => match rest.strip_prefix('/') {
                Some(file) if !file.contains('/') => torrents(head, file, now, tracker, reply),
                _ => plain(reply, Status::NotFound),
            },
            None => plain(reply, Status::NotFound),
        },
    }
}

/// Appends a reply to what is no request; the connection is closed after it.
pub(super) fn refuse(status: Status, out: &mut Vec<u8>) {
    let scratch = &mut Scratch::default();
    let body = &mut Vec::new();
    let mut reply = Reply {
        out,
        body,
        tail: &mut Bytes::new(),
        scratch,
        omit_body: false,
        keep_alive: false,
        is_http_10: false,
    };
    plain(&mut reply, status);
}

fn announce(
    head: &Head<'_>,
    source: IpAddr,
    key: Option<&[u8]>,
    now: Instant,
    tracker: &Tracker,
    reply: &mut Reply<'_>,
) {
    reply.body.clear();
    let request = match decode_announce_query(head.query.as_bytes()) {
        Ok(request) => request,
        Err(error) => {
            tracker.stats.http.malformed.add(1);
            return fail(reply, &Failure::new(error.to_string()));
        }
    };
    match tracker.announce(now, &request, source, key, Transport::Http, reply.scratch) {
        Ok(()) => {
            let form = PeerForm::of(&request);
            encode_announce_reply(&reply.scratch.response, form, reply.body);
            send(reply, Status::Ok, TEXT, "");
        }
        Err(failure) => {
            tracker.stats.http.failures.add(1);
            fail(reply, &failure);
        }
    }
}

fn scrape(head: &Head<'_>, key: Option<&[u8]>, tracker: &Tracker, reply: &mut Reply<'_>) {
    reply.body.clear();
    match decode_scrape_query(head.query.as_bytes()) {
        Ok(request) if request.info_hashes.is_empty() => {
            tracker.stats.http.failures.add(1);
            fail(
                reply,
                &Failure::new("name the torrents with info_hash: there is no full scrape"),
            );
        }
        Ok(request) if request.info_hashes.len() > tracker.max_scrape => {
            tracker.stats.http.failures.add(1);
            fail(reply, &Failure::new(tracker.too_many_to_scrape()));
        }
        Ok(request) => {
            tracker.stats.http.scrapes.add(1);
            let known = |hash: InfoHash| Some((hash, tracker.scrape(&hash, key)?));
            let files: Vec<_> = request.info_hashes.into_iter().filter_map(known).collect();
            encode_scrape_reply(&ScrapeResponse::new(files), reply.body);
            send(reply, Status::Ok, TEXT, "");
        }
        Err(error) => {
            tracker.stats.http.malformed.add(1);
            fail(reply, &Failure::new(error.to_string()));
        }
    }
}

fn torrents(head: &Head<'_>, file: &str, now: Instant, tracker: &Tracker, reply: &mut Reply<'_>) {
    let index = |form| {
        let Tracker {
            publisher,
            swarms,
            memory,
            ..
        } = tracker;
        publisher.index(form, now, swarms, memory)
    };
    let catalog = tracker.publisher.catalog();
    if let Some(found) = by_hash(file, &catalog) {
        return info(head, file, found, tracker, reply);
    }
    match file {
        "" | "index.json" if tracker.publisher.is_idle() => plain(reply, Status::NotFound),
        "" if !head.wants_json => {
            send_shared(reply, HTML, PAGE, &index(Form::Page));
        }
        "" | "index.json" => {
            send_shared(reply, JSON, NOSNIFF, &index(Form::Json));
        }
        _ => match decoded(file).and_then(|file| catalog.get(&file).cloned()) {
            Some(torrent) => send_shared(reply, TORRENT, NOSNIFF, &torrent.bytes),
            None => plain(reply, Status::NotFound),
        },
    }
}

/// The torrent that a path names by its info-hash: `HASH`, or `HASH.json`.
fn by_hash<'a>(file: &str, catalog: &'a Catalog) -> Option<(&'a str, &'a Published)> {
    let hash = file.strip_suffix(".json").unwrap_or(file);
    let hash: InfoHash = (hash.len() == 40).then(|| hash.parse().ok())??;
    catalog.by_hash(hash)
}

/// What is known of one torrent.
fn info(
    head: &Head<'_>,
    path: &str,
    (file, torrent): (&str, &Published),
    tracker: &Tracker,
    reply: &mut Reply<'_>,
) {
    if head.wants_json || path.ends_with(".json") {
        *reply.body = publisher::info_json(file, torrent, &tracker.swarms);
        send(reply, Status::Ok, JSON, NOSNIFF);
    } else {
        *reply.body = publisher::info_html(file, torrent, &tracker.swarms);
        send(reply, Status::Ok, HTML, PAGE);
    }
}

/// The bytes behind the percent signs of a path, if they are text.
pub(super) fn decoded(path: &str) -> Option<String> {
    let mut bytes = path.bytes();
    let mut text = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        text.push(if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? << 4 | digit()?).ok()?
        } else {
            byte
        });
    }
    String::from_utf8(text).ok()
}

pub(super) fn fail(reply: &mut Reply<'_>, failure: &Failure) {
    reply.body.clear();
    encode_failure(failure, reply.body);
    send(reply, Status::Ok, TEXT, "");
}

pub(super) fn send_text(reply: &mut Reply<'_>) {
    send(reply, Status::Ok, TEXT, "");
}

fn plain(reply: &mut Reply<'_>, status: Status) {
    reply.body.clear();
    reply.body.extend_from_slice(status.line().as_bytes());
    reply.body.push(b'\n');
    let header = match status {
        Status::Unauthorized => "WWW-Authenticate: Bearer\r\n",
        Status::MethodNotAllowed => "Allow: GET, POST\r\n",
        // What is counted is forgotten by then.
        Status::TooManyRequests => "Retry-After: 60\r\n",
        _ => "",
    };
    send(reply, status, TEXT, header);
}

/// Appends what ends HTTP on a connection (RFC 6455, section 4.2.2).
#[cfg(feature = "websocket")]
pub(super) fn upgrade(accept_key: &str, reply: &mut Reply<'_>) {
    write!(
        reply.out,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept_key}\r\n\r\n"
    )
    .expect("writing to a Vec cannot fail");
}

/// Appends an object for programs.
pub(super) fn json_reply(status: Status, json: &[u8], keep_alive: bool, out: &mut Vec<u8>) {
    let scratch = &mut Scratch::default();
    let body = &mut json.to_vec();
    let mut reply = Reply {
        out,
        body,
        tail: &mut Bytes::new(),
        scratch,
        omit_body: false,
        keep_alive,
        is_http_10: false,
    };
    send(&mut reply, status, JSON, NOSNIFF);
}

fn redirect(reply: &mut Reply<'_>, to: &'static str) {
    reply.body.clear();
    let header = format!("Location: {to}\r\n");
    send(reply, Status::MovedPermanently, TEXT, &header);
}

fn send(reply: &mut Reply<'_>, status: Status, content_type: &str, headers: &str) {
    send_head(reply, status, content_type, headers, reply.body.len());
    if reply.omit_body {
        return;
    }
    if reply.body.len() > MAX_KEPT_BUFFER {
        *reply.tail = std::mem::take(reply.body).into();
    } else {
        reply.out.extend_from_slice(reply.body);
    }
}

/// Sends what others are sent as well: a large one is not copied.
fn send_shared(reply: &mut Reply<'_>, content_type: &str, headers: &str, body: &Bytes) {
    send_head(reply, Status::Ok, content_type, headers, body.len());
    match body.len() {
        _ if reply.omit_body => {}
        ..=MAX_KEPT_BUFFER => reply.out.extend_from_slice(body),
        _ => *reply.tail = body.clone(),
    }
}

fn send_head(
    reply: &mut Reply<'_>,
    status: Status,
    content_type: &str,
    headers: &str,
    length: usize,
) {
    let out = &mut *reply.out;
    write!(
        out,
        "HTTP/1.1 {}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{headers}",
        status.line(),
    )
    .expect("writing to a Vec cannot fail");
    if !reply.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if reply.is_http_10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_paths_are_read_and_nonsense_is_no_path() {
        assert_eq!(
            decoded("a%20b%C3%A9.torrent").as_deref(),
            Some("a bé.torrent")
        );
        for bad in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
