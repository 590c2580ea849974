//! Bytes of a connection for the fuzzer: however they are cut, the same replies come out of the same tracker.

#![allow(
    clippy::disallowed_methods,
    reason = "a tracker has to begin at some time"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use bt_metainfo::Metainfo;

use super::super::access::Access;
use super::super::tracker::Tracker;
use super::super::{Config, Secret};
use super::Http;
use super::crowd::Crowd;
use super::detour::Detour;
use super::session::{CONTINUE, Flow, Session};

/// A torrent whose name has everything that a page, a path and a header could trip over.
const TORRENT: &[u8] =
    "d4:infod6:lengthi5e4:name18:<a>\"%41&\u{e9}/\u{202e}\r\n:b12:piece lengthi16384e\
    6:pieces20:aaaaaaaaaaaaaaaaaaaaee"
        .as_bytes();

/// Where uploads go: below what is no directory, so that none ever lies on a disk.
const NOWHERE: &str = "/dev/null/torrents";

const UPLOAD_TOKEN: &str = "token-of-uploads";

/// Users whose keys strangers may have seen, and one whose key nobody has.
const USERS: &str = "key-of-ann ann\nkey-of-bob bob@x.y\n";
const SECRET_USER: &str = "kept-to-itself-Zq7 eve\n";
const SECRET_KEY: &[u8] = b"kept-to-itself-Zq7";

/// An open tracker without torrents of its own, behind proxies.
pub(in super::super) fn open(bytes: &[u8]) {
    let cuts = [bytes.len().max(1), 1, 7, 1000];
    let replies = cuts.map(|step| replies(&open_server(), bytes, step));
    assert!(
        replies.windows(2).all(|pair| pair[0] == pair[1]),
        "cuts change the replies"
    );
}

/// A closed tracker with users, a torrent on offer, and uploads for whoever has the token.
///
/// # Panics
/// If cuts change the replies, if a key that was not told is in one, if an announce of a user is counted without being
/// on its account, or if the torrent on offer is another one after it.
pub(in super::super) fn publisher(bytes: &[u8]) {
    let metainfo = torrent();
    let cuts = [bytes.len().max(1), 1, 7];
    let all = cuts.map(|step| {
        let http = closed_server(metainfo);
        let sent = replies(&http, bytes, step);
        let tracker = &http.tracker;
        let accounts = tracker.access.accounts().expect("it has users");
        let accounts = accounts.accounts(0);
        let accounted: u64 = accounts
            .iter()
            .map(|one| one.announces + one.unaccounted)
            .sum();
        assert_eq!(
            accounted,
            tracker.stats.http.announces.get(),
            "{accounts:?}"
        );
        assert_eq!(tracker.swarms.totals().torrents, 2, "it is closed");
        assert_eq!(
            tracker.publisher.catalog().iter().count(),
            1,
            "nothing can be uploaded"
        );
        let offered = replies(&http, request().as_bytes(), usize::MAX);
        assert!(
            offered.ends_with(&metainfo.to_bytes()),
            "the torrent is as it was"
        );
        sent
    });
    assert!(
        all.windows(2).all(|pair| pair[0] == pair[1]),
        "cuts change the replies"
    );
    let replies = &all[0];
    assert!(
        !replies
            .windows(SECRET_KEY.len())
            .any(|part| part == SECRET_KEY),
        "a key is told"
    );
    assert!(
        !replies.starts_with(b"HTTP/1.1 201"),
        "nothing can be uploaded"
    );
}

/// Everything that is sent for these bytes, which come in parts of `step`.
fn replies(http: &Http, bytes: &[u8], step: usize) -> Vec<u8> {
    let mut session = Session::new(IpAddr::from([192, 0, 2, 1]));
    let now = Instant::now();
    let mut sent = Vec::new();
    for part in bytes.chunks(step) {
        let mut part = part;
        while !part.is_empty() {
            let space = session.space();
            let count = space.len().min(part.len());
            space[..count].copy_from_slice(&part[..count]);
            session.received(count);
            part = &part[count..];
            loop {
                let flow = session.advance(now, http);
                // Only a client whose body has not come is asked for it, which the cuts decide.
                let asked = session.out.strip_suffix(CONTINUE);
                sent.extend_from_slice(asked.unwrap_or(&session.out));
                sent.extend_from_slice(&session.tail);
                session.sent();
                let flow = match (flow, session.detour.take()) {
                    (Flow::Detour, Some(Detour::Upload(mut upload))) => {
                        upload.carry_out_here(&http.tracker, &mut sent);
                        upload.flow()
                    }
                    (flow, _) => flow,
                };
                match flow {
                    Flow::Read => break,
                    Flow::Again => {}
                    // A new protocol ends it for these purposes.
                    Flow::Close | Flow::Detour => return sent,
                }
            }
        }
    }
    sent
}

fn torrent() -> &'static Metainfo {
    static TORRENT_FILE: OnceLock<Metainfo> = OnceLock::new();
    TORRENT_FILE.get_or_init(|| Metainfo::parse(TORRENT).expect("it is a torrent"))
}

/// A request for the torrent on offer.
fn request() -> &'static str {
    static REQUEST: OnceLock<String> = OnceLock::new();
    REQUEST.get_or_init(|| {
        let http = closed_server(torrent());
        let catalog = http.tracker.publisher.catalog();
        let (file, _) = catalog.iter().next().expect("one is offered");
        let file = super::super::publisher::escaped(file);
        format!("GET /torrents/{file} HTTP/1.1\r\n\r\n")
    })
}

pub(super) fn open_server() -> Http {
    let config = Config {
        default_numwant: 0,
        max_numwant: 0,
        // The client itself is a proxy, and so are others of its network.
        trusted_proxies: vec!["192.0.2.0/24".parse().expect("a network")],
        ..Config::default()
    };
    let tracker = Tracker::new(&config, Instant::now()).expect("the default configuration is fine");
    server(tracker, config.proxy_header.into())
}

fn closed_server(metainfo: &Metainfo) -> Http {
    let config = Config {
        default_numwant: 0,
        max_numwant: 0,
        torrents: Some(PathBuf::from(NOWHERE)),
        upload_token: Some(Secret::new(UPLOAD_TOKEN)),
        ..Config::default()
    };
    let mut tracker = Tracker::new(&config, Instant::now()).expect("the configuration is fine");
    tracker.access = Access::of_users(&format!("{USERS}{SECRET_USER}"));
    tracker.publisher.publish(metainfo, &tracker.swarms);
    tracker.swarms.register([1; 20].into());
    server(tracker, "".into())
}

fn server(tracker: Tracker, proxy_header: Box<str>) -> Http {
    Http {
        tracker: Arc::new(tracker),
        proxy_header,
        crowd: Crowd::new(Instant::now(), 1, 1),
        complained: Mutex::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_and_the_torrent_can_be_reached() {
        let http = closed_server(torrent());
        let announce = format!(
            "GET /key-of-ann/announce?info_hash={}&peer_id=-XX0001-000000000001&port=7000&left=0 HTTP/1.1\r\n\r\n",
            "%01".repeat(20)
        );
        let reply = replies(&http, announce.as_bytes(), 9);
        let text = String::from_utf8_lossy(&reply);
        assert!(text.contains("8:interval"), "{text}");
        let upload = format!(
            "PUT /torrents/x.torrent HTTP/1.1\r\nAuthorization: Bearer {UPLOAD_TOKEN}\r\nContent-Length: {}\r\n\r\n",
            TORRENT.len()
        );
        let upload = [upload.as_bytes(), TORRENT].concat();
        let text = String::from_utf8_lossy(&replies(&http, &upload, 9)).into_owned();
        assert!(text.starts_with("HTTP/1.1 500"), "{text}");
        publisher(&upload);
    }
}
