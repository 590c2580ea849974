//! One HTTP connection without its socket: bytes that came go in, bytes to send come out.
//!
//! Knows when a request is whole, and how long the connection may live on. What is answered is
//! decided in `route.rs`.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::super::tracker::{Scratch, Tracker};
use super::detour::{self, Detour};
use super::head::{self, Method};
use super::route::{self, Reply};
use super::{Http, Status};
use crate::limits::{MAX_KEPT_BUFFER, MAX_REQUEST_BODY, MAX_TORRENT_FILE};

/// Bytes of replies that are gathered before they are sent, for clients that send many requests
/// at once.
const MAX_GATHERED: usize = 64 * 1024;

/// Bytes of a body that are waited for at once, so that a length alone takes no memory.
const BODY_STEP: usize = 64 * 1024;

/// Bytes that are waited for at first. Nearly every head is shorter.
const FIRST_READ: usize = 1024;

/// What a client that asked for it waits for before it sends its body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Bytes of a buffer for requests that are kept between two of them.
const KEPT_READ: usize = 4 * 1024;

/// What the owner of the socket has to do after the replies have been sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Read more.
    Read,
    /// Call [`Session::advance`] again, after others had their turn: more requests have come already.
    Again,
    /// Close the connection.
    Close,
    /// Carry out the [`Session::detour`], then call [`Session::advance`] again.
    Detour,
}

#[derive(Debug)]
pub(super) struct Session {
    source: IpAddr,
    /// `[0, filled)` has come and is not consumed.
    buffer: Vec<u8>,
    filled: usize,
    /// What is to be sent.
    pub(super) out: Vec<u8>,
    /// What is to be sent after it: a body that is too large to be copied.
    pub(super) tail: Bytes,
    body: Vec<u8>,
    scratch: Scratch,
    /// What the last request needs besides an answer, with [`Flow::Detour`].
    pub(super) detour: Option<Detour>,
    /// The body of an upload has begun to come: it may take longer than other requests.
    pub(super) awaits_upload: bool,
    /// The client of the request that is coming has been told to send its body.
    told_to_continue: bool,
}

impl Session {
    pub(super) fn new(source: IpAddr) -> Self {
        Self {
            source: source.to_canonical(),
            buffer: Vec::new(),
            filled: 0,
            out: Vec::new(),
            tail: Bytes::new(),
            body: Vec::new(),
            scratch: Scratch::default(),
            detour: None,
            awaits_upload: false,
            told_to_continue: false,
        }
    }

    /// Begins a new connection with the buffers of an old one.
    pub(super) fn renew(&mut self, source: IpAddr) {
        self.source = source.to_canonical();
        self.filled = 0;
        if self.buffer.len() > MAX_KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        self.sent();
        self.detour = None;
        self.awaits_upload = false;
        self.told_to_continue = false;
    }

    /// A session of its own with what has come so far.
    pub(super) fn split(&mut self) -> Self {
        let came = self.buffer.get(..self.filled).unwrap_or_default();
        Self {
            buffer: came.to_vec(),
            filled: came.len(),
            out: self.out.clone(),
            tail: std::mem::take(&mut self.tail),
            detour: self.detour.take(),
            awaits_upload: self.awaits_upload,
            told_to_continue: self.told_to_continue,
            ..Self::new(self.source)
        }
    }

    /// Whether a request has begun to come.
    pub(super) fn is_within_request(&self) -> bool {
        self.filled > 0
    }

    /// Bytes of a request that have come.
    pub(super) fn come(&self) -> usize {
        self.filled
    }

    /// Where the next bytes are to be put.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.filled == self.buffer.len() {
            let more = (self.buffer.len() * 2).clamp(FIRST_READ, self.buffer.len() + BODY_STEP);
            self.buffer.resize(more, 0);
        }
        self.buffer.get_mut(self.filled..).unwrap_or_default()
    }

    /// Says how many bytes have been put there.
    pub(super) fn received(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.buffer.len());
    }

    /// Whether there is anything to be sent.
    pub(super) fn has_replies(&self) -> bool {
        !self.out.is_empty() || !self.tail.is_empty()
    }

    /// Says that everything has been sent. What a large reply took is given back.
    pub(super) fn sent(&mut self) {
        self.out.clear();
        self.out.shrink_to(MAX_KEPT_BUFFER);
        self.tail = Bytes::new();
    }

    /// Bytes that requests and replies under way take beyond what a connection may keep. A torrent
    /// file is not among them: all that are sent share one copy.
    pub(super) fn held(&self) -> usize {
        let tail = if self.tail.is_unique() {
            self.tail.len()
        } else {
            0
        };
        let all = self.buffer.capacity() + self.out.capacity() + tail;
        all.saturating_sub(MAX_KEPT_BUFFER)
    }

    /// Throws away what has come and what is to be sent, and says why; the connection has to be
    /// closed after it.
    pub(super) fn refuse(&mut self, status: Status) {
        *self = Self::new(self.source);
        route::refuse(status, &mut self.out);
    }

    /// Answers the requests that have come. What the last call left must have been sent.
    pub(super) fn advance(&mut self, now: Instant, http: &Http) -> Flow {
        let tracker: &Tracker = &http.tracker;
        let mut consumed = 0;
        self.awaits_upload = false;
        let flow = loop {
            let bytes = self.buffer.get(consumed..self.filled).unwrap_or_default();
            if bytes.is_empty() {
                break Flow::Read;
            }
            if self.out.len() >= MAX_GATHERED || !self.tail.is_empty() {
                break Flow::Again;
            }
            let (head, length) = match head::parse(bytes, &http.proxy_header) {
                Ok(Some(parsed)) => parsed,
                Ok(None) => break Flow::Read,
                Err(status) => {
                    tracker.stats.http.malformed.add(1);
                    route::refuse(status, &mut self.out);
                    break Flow::Close;
                }
            };
            if !matches!(head.method, Method::Get | Method::Head) {
                // Before a body is waited for: strangers shall not make us keep one.
                let source = || {
                    let head_bytes = bytes.get(..length).unwrap_or_default();
                    http.source(self.source, &head, head_bytes)
                };
                if let Err(status) = detour::may_upload(&head, source, now, tracker) {
                    route::refuse(status, &mut self.out);
                    break Flow::Close;
                }
            }
            // Whatever the directory may hold may be uploaded.
            let most = if detour::is_upload(&head) {
                MAX_TORRENT_FILE
            } else {
                MAX_REQUEST_BODY
            };
            let body_length = match head.content_length {
                Some(length) if length > most => {
                    route::refuse(Status::BodyTooLarge, &mut self.out);
                    break Flow::Close;
                }
                _ if head.chunked => {
                    route::refuse(Status::LengthRequired, &mut self.out);
                    break Flow::Close;
                }
                Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
                None => 0,
            };
            let Some(end) = length.checked_add(body_length) else {
                break Flow::Close;
            };
            let Some(body) = bytes.get(length..end) else {
                self.awaits_upload = detour::is_upload(&head);
                if head.expects_continue && !head.is_http_10 && !self.told_to_continue {
                    self.told_to_continue = true;
                    self.out.extend_from_slice(CONTINUE);
                }
                break Flow::Read;
            };
            consumed += end;
            self.told_to_continue = false;
            tracker.stats.http.bytes_in.add(end as u64);
            let source = http.source(self.source, &head, bytes.get(..length).unwrap_or_default());
            let before = self.out.len();
            let mut reply = Reply {
                out: &mut self.out,
                body: &mut self.body,
                tail: &mut self.tail,
                scratch: &mut self.scratch,
                omit_body: head.method == Method::Head,
                keep_alive: head.keep_alive,
                is_http_10: head.is_http_10,
            };
            self.detour = detour::needed(&head, body, source, http, &mut reply);
            if self.detour.is_none() {
                route::answer(&head, body, source, now, tracker, &mut reply);
            }
            tracker
                .stats
                .http
                .bytes_out
                .add((self.out.len() - before + self.tail.len()) as u64);
            if self.detour.is_some() {
                break Flow::Detour;
            }
            if !head.keep_alive {
                break Flow::Close;
            }
            if consumed < self.filled && !route::is_small(&head, tracker) {
                break Flow::Again;
            }
        };
        self.consume(consumed);
        self.body.clear();
        self.body.shrink_to(MAX_KEPT_BUFFER);
        flow
    }

    /// What has come after the last request.
    #[cfg(feature = "websocket")]
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        self.buffer.truncate(self.filled);
        self.filled = 0;
        std::mem::take(&mut self.buffer)
    }

    fn consume(&mut self, consumed: usize) {
        if consumed > 0 {
            self.buffer.copy_within(consumed..self.filled, 0);
            self.filled -= consumed;
            if self.filled == 0 && self.buffer.len() > KEPT_READ {
                self.buffer = Vec::new();
            } else if self.buffer.len() > MAX_KEPT_BUFFER && self.filled < self.buffer.len() / 2 {
                self.buffer.truncate(self.filled);
                self.buffer.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{MAX_ANNOUNCES_IN_REQUEST, MAX_PEERS_IN_REPLY};
    use crate::server::Config;

    /// Sends one request of many announces of one torrent. Returns the reply's length.
    fn many(session: &mut Session, http: &Http, announces: usize) -> usize {
        let hash = "%01".repeat(20);
        let body: String = (0..announces)
            .map(|n| {
                let port = 1 + n % 60_000;
                format!("x?info_hash={hash}&peer_id=-XX0001-000000000000&port={port}&left=5\n")
            })
            .collect();
        let length = body.len();
        let request = format!("POST /announce HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        come(session, request.as_bytes());
        assert_eq!(session.advance(Instant::now(), http), Flow::Read);
        session.out.len() + session.tail.len()
    }

    fn come(session: &mut Session, mut rest: &[u8]) {
        while !rest.is_empty() {
            let space = session.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            session.received(count);
            rest = &rest[count..];
        }
    }

    fn http() -> Http {
        let tracker = Tracker::new(&Config::default(), Instant::now()).unwrap();
        Http {
            tracker: std::sync::Arc::new(tracker),
            proxy_header: "".into(),
            crowd: super::super::crowd::Crowd::new(Instant::now(), 1, 1),
            complained: std::sync::Mutex::default(),
        }
    }

    #[test]
    fn others_get_their_turn_after_each_large_answer_and_not_after_each_announce() {
        let (http, now) = (http(), Instant::now());
        let mut session = Session::new(IpAddr::from([192, 0, 2, 1]));
        let scrape = format!(
            "GET /scrape?info_hash={} HTTP/1.1\r\n\r\n",
            "%01".repeat(20)
        );
        come(&mut session, scrape.repeat(20).as_bytes());
        assert_eq!(session.advance(now, &http), Flow::Read);
        for page in [
            "HEAD /torrents/",
            "GET /torrents/index.json",
            "POST /announce",
        ] {
            session.sent();
            let request = format!("{page} HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
            come(&mut session, request.repeat(3).as_bytes());
            let flows = [0; 3].map(|_| {
                session.sent();
                session.advance(now, &http)
            });
            assert_eq!(flows, [Flow::Again, Flow::Again, Flow::Read], "{page}");
        }
    }

    #[test]
    fn what_a_large_request_and_its_reply_took_is_given_back_and_the_reply_is_bounded() {
        let http = http();
        let mut session = Session::new(IpAddr::from([192, 0, 2, 1]));
        let length = many(&mut session, &http, MAX_ANNOUNCES_IN_REQUEST);
        assert!((1024 * 1024..4 * 1024 * 1024).contains(&length), "{length}");
        session.sent();
        let kept = [&session.out, &session.body, &session.buffer].map(Vec::capacity);
        assert!(kept.iter().all(|&kept| kept <= MAX_KEPT_BUFFER), "{kept:?}");
        assert!(session.tail.is_empty());

        let refused = many(&mut session, &http, MAX_ANNOUNCES_IN_REQUEST + 1);
        assert!(refused < 300, "{refused}");
    }

    /// The reply to one request of many announces, each on a line of this body.
    fn post(session: &mut Session, http: &Http, body: &str) -> Vec<u8> {
        let length = body.len();
        let request = format!("POST /announce HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}");
        come(session, request.as_bytes());
        assert_eq!(session.advance(Instant::now(), http), Flow::Read);
        let reply = [&session.out[..], &session.tail].concat();
        session.sent();
        let head = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        reply[head.unwrap() + 4..].to_vec()
    }

    #[test]
    fn peers_are_named_in_a_reply_of_so_many_bytes_and_not_beyond() {
        let http = http();
        let mut session = Session::new(IpAddr::from([192, 0, 2, 1]));
        many(&mut session, &http, 60);
        session.sent();
        let hash = "%01".repeat(20);
        let announce = format!("x?info_hash={hash}&peer_id=-XX0001-000000000000&port=1&left=5\n");
        // What stands around the answers is a list.
        let each = post(&mut session, &http, &announce).len() - 2;
        let nobody = post(
            &mut session,
            &http,
            &announce.replace("left", "numwant=0&left"),
        );
        let named = each - (nobody.len() - 2);
        assert!(named >= 300, "{named}");
        // Lines that make no sense have answers of other lengths, and make up for the rest.
        let senseless = [
            "x",
            "x?info_hash=1",
            &format!("x?info_hash={hash}&peer_id=1"),
        ]
        .map(|line| {
            (
                format!("{line}\n"),
                post(&mut session, &http, line).len() - 2,
            )
        });
        for (before, names) in [(MAX_PEERS_IN_REPLY - 1, true), (MAX_PEERS_IN_REPLY, false)] {
            let announces = before / each - 10;
            let rest = before - 1 - announces * each;
            let counts = (0..100 * 100 * 100_usize).map(|n| [n / 10_000, n / 100 % 100, n % 100]);
            let length = |counts: &[usize; 3]| {
                let pairs = counts.iter().zip(&senseless);
                pairs
                    .map(|(count, (_, length))| count * length)
                    .sum::<usize>()
            };
            let counts = counts.into_iter().find(|counts| length(counts) == rest);
            let counts = counts.expect("the lengths have no divisor in common");
            let lines = counts.iter().zip(&senseless);
            let lines: String = lines
                .map(|(count, (line, _))| line.repeat(*count))
                .collect();
            let body = lines + &announce.repeat(announces);
            let reply = post(&mut session, &http, &body);
            assert_eq!(reply.len(), before + 1, "all name peers");
            let reply = post(&mut session, &http, &(body + &announce));
            let last = if names { each } else { each - named };
            assert_eq!(reply.len(), before + last + 1, "after {before} bytes");
        }
    }
}
