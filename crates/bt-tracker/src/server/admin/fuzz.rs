//! Requests of operators for the fuzzer: nobody without the token changes or learns anything, and what is shown can be read
//! by the programs that it is for. And attempts to log in, against a plain list of failures.

#![allow(
    clippy::disallowed_methods,
    reason = "a tracker has to begin at some time"
)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::runtime::{Builder, Runtime};

use super::super::access::Access;
use super::super::logins::{Logins, Verdict};
use super::super::token::Token;
use super::super::tracker::Tracker;
use super::{Admin, Config, Source, router};
use crate::limits::LOGINS_PER_MINUTE;

const TOKEN: &str = "token-of-the-operator";

/// Bytes of a reply, at most; there are few users and torrents.
const MAX_REPLY: usize = 1 << 20;

/// Requests of one input: more find nothing that fewer do not.
const MAX_REQUESTS: usize = 16;

/// Lines: users up to an empty one, as the list has them, then requests such as `+PUT /users?name=x`. The sign before them
/// says who asks: `+` has the token, `-` a wrong one, others have none.
pub(in super::super) fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (users, requests) = text.split_once("\n\n").unwrap_or(("", &text));
    let mut tracker = Tracker::new(&Config::default(), Instant::now())
        .expect("the default configuration is fine");
    let token = Token::new(TOKEN, "admin-token", "too short").expect("it is long enough");
    tracker.admin_token = Some(token);
    if !users.is_empty() {
        tracker.access = Access::of_users(users);
    }
    let tracker = Arc::new(tracker);
    let admin = Arc::new(Admin {
        tracker: Arc::clone(&tracker),
        torrents: None,
    });
    let service = TowerToHyperService::new(router(admin));
    for line in requests.lines().take(MAX_REQUESTS) {
        let mut signs = line.chars();
        let authorization = match signs.next() {
            Some('+') => Some(format!("Bearer {TOKEN}")),
            Some('-') => Some(format!("Bearer {}", &TOKEN[1..])),
            _ => None,
        };
        let Some(mut request) = request(signs.as_str(), authorization.as_deref()) else {
            continue;
        };
        // All at one address: who guesses does not shut the operator out.
        let source = Source([10, 0, 0, 1].into());
        request.extensions_mut().insert(source);
        let before = tracker.swarms.totals();
        let path = request.uri().path().to_owned();
        let has_token = line.starts_with('+');
        let (status, kind, body) = RUNTIME.with(|runtime| {
            runtime.block_on(async {
                let reply = service.call(request).await.expect("a router answers");
                let kind = reply.headers().get("content-type").cloned();
                let status = reply.status();
                let body = to_bytes(reply.into_body(), MAX_REPLY).await;
                (status, kind, body.expect("it is short"))
            })
        });
        let body = std::str::from_utf8(&body).expect("it is text");
        let kind = kind.as_ref().and_then(|kind| kind.to_str().ok());
        check_form(kind.unwrap_or_default(), body);
        assert_eq!(tracker.stats.panics.get(), 0, "{line:?} met a bug");
        let is_refused = matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS
        );
        assert!(!has_token || !is_refused, "{line:?} was shut out");
        if !has_token {
            assert_eq!(
                before,
                tracker.swarms.totals(),
                "{line:?} changed something"
            );
            let keys = tracker.access.accounts().map(|all| all.accounts(0));
            // Other keys may be words of the page.
            let is_told = |account: &super::super::Account| {
                account.key.starts_with("key-of-") && body.contains(&account.key)
            };
            let told = keys.into_iter().flatten().find(is_told);
            assert!(
                told.is_none_or(|told| path.contains(&told.key)),
                "{line:?} got a key"
            );
        } else if status == StatusCode::OK && path.starts_with("/torrents/") {
            let hash = path
                .strip_prefix("/torrents/")
                .and_then(|hash| hash.parse().ok());
            let is_known = hash.is_some_and(|hash| tracker.swarms.scrape(&hash).is_some());
            let is_escaped = path.contains('%');
            assert!(
                is_escaped || is_known == body.contains("was_registered"),
                "{line:?}: {body}"
            );
        }
    }
}

std::thread_local! {
    /// Handlers wait for a disk on threads of their own.
    static RUNTIME: Runtime = Builder::new_current_thread().build().expect("a runtime");
}

/// `METHOD TARGET`, and a form that is asked for behind it.
fn request(line: &str, authorization: Option<&str>) -> Option<Request<Body>> {
    let mut words = line.split(' ');
    let mut request = Request::builder().method(words.next()?).uri(words.next()?);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    if let Some(accept) = words.next() {
        request = request.header("accept", accept);
    }
    request.body(Body::empty()).ok()
}

/// Whether a program that takes this kind of text understands it.
fn check_form(kind: &str, body: &str) {
    if kind.starts_with("application/json") {
        let parsed = serde_json::from_str::<serde_json::Value>(body);
        assert!(parsed.is_ok(), "{body}");
    } else if kind.contains("version=0.0.4") {
        for line in body.lines() {
            assert!(is_metric(line), "{line:?}");
        }
    }
}

/// A line of the text format of Prometheus, as far as it is used here.
fn is_metric(line: &str) -> bool {
    if let Some(comment) = line.strip_prefix("# TYPE ") {
        return comment.ends_with(" counter") || comment.ends_with(" gauge");
    }
    let Some((name, value)) = line.rsplit_once(' ') else {
        return false;
    };
    let (name, labels) = name.split_once('{').unwrap_or((name, "user=\"\"}"));
    let label = labels
        .strip_prefix("user=\"")
        .and_then(|rest| rest.strip_suffix("\"}"));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_name)
        && value.parse::<u64>().is_ok()
        && label.is_some_and(|label| !label.contains(['"', '\\', '\n', '{']))
}

/// How much later it is, in milliseconds. Nothing happens at one time with another.
const PAUSES: [u64; 8] = [0, 0, 1, 11_999, 12_000, 59_999, 60_000, 120_000];

const MINUTE: Duration = Duration::from_secs(60);

/// Sources that are remembered: few, so that they have to make room.
const SOURCES: usize = 6;

/// The failures of each source, the oldest first.
type Failures = BTreeMap<u32, Vec<Instant>>;

/// Two bytes are attempts of a source to log in, or of many that fail.
///
/// # Panics
/// If a source is let in, refused or not looked at other than the list of failures of the last minute says; if more
/// sources are remembered than may be; or if one is forgotten that failed after another.
pub(in super::super) fn logins(data: &[u8]) {
    let mut logins = Logins::new(SOURCES);
    let mut now = Instant::now();
    let mut book = Failures::new();
    let mut strangers = 0;
    for &[what, how] in data.as_chunks().0 {
        now += Duration::from_millis(PAUSES[usize::from(how >> 5)]);
        let (attempts, are_strangers) = match what & 7 {
            0 | 1 => (usize::from(how & 7), true),
            _ => (usize::from(how & 7), false),
        };
        for _ in 0..attempts {
            now += Duration::from_nanos(1);
            let (source, number) = if are_strangers {
                strangers += 1;
                let ip = Ipv4Addr::from_bits(0x0a00_0000 + strangers);
                (ip.into(), 16 + strangers)
            } else {
                source(what >> 5)
            };
            let is_right = !are_strangers && what & 16 == 0;
            let expected = expected(&mut book, number, is_right, now);
            let verdict = logins.judge(source, is_right, now);
            assert_eq!(verdict, expected, "{source}");
        }
        assert!(logins.sources() <= SOURCES);
    }
}

/// What comes of an attempt by the list of failures.
fn expected(book: &mut Failures, source: u32, is_right: bool, now: Instant) -> Verdict {
    let is_recent = |failure: &Instant| now - *failure < MINUTE;
    let failures = book.get(&source).map(Vec::as_slice).unwrap_or_default();
    let recent: Vec<Instant> = failures.iter().copied().filter(is_recent).collect();
    if is_right {
        return Verdict::Welcome;
    }
    if recent.len() == LOGINS_PER_MINUTE {
        return Verdict::Wait(MINUTE - (now - recent[0]));
    }
    if book.len() == SOURCES && !book.contains_key(&source) {
        book.retain(|_, failures| failures.last().is_some_and(is_recent));
        let last = book
            .iter()
            .min_by_key(|(_, failures)| failures.last().copied());
        if let Some(quietest) = last.map(|(source, _)| *source)
            && book.len() == SOURCES
        {
            book.remove(&quietest);
        }
    }
    book.insert(source, [recent, vec![now]].concat());
    Verdict::Wrong
}

/// Addresses, two of which are of one line, and two are the same one.
fn source(number: u8) -> (IpAddr, u32) {
    match number {
        0 | 1 => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()].into(), 0),
        2 | 3 => {
            let ip = Ipv4Addr::new(192, 0, 2, 2);
            let forms = [IpAddr::from(ip), ip.to_ipv6_mapped().into()];
            (forms[usize::from(number & 1)], 2)
        }
        _ => ([192, 0, 2, number].into(), number.into()),
    }
}
