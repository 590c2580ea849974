//! Bytes of a connection for the fuzzer: however they are cut, the same replies come out of the same tracker. And what
//! happens to many connections: who makes room for whom is judged by a plain list.

#![allow(
    clippy::disallowed_methods,
    reason = "a tracker has to begin at some time"
)]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bt_metainfo::Metainfo;
use tokio_util::sync::CancellationToken;

use super::super::access::Access;
use super::super::tracker::Tracker;
use super::super::{Config, Secret};
use super::Http;
use super::crowd::{Crowd, Seat};
use super::detour::Detour;
use super::session::{CONTINUE, Flow, Session};
use crate::limits::{
    ASKING_GRACE, BROWSER_PATIENCE, EVICTED_PART, FILE_EVICTION_PAUSE, FILE_EVICTIONS,
};

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

/// Connections that may be kept, in all and of one source: few, so that there is none left soon, or so many that several
/// make room at once.
const HOUSES: [(usize, usize); 4] = [(3, 2), (6, 6), (8, 3), (70, 66)];

/// How much later it is, in milliseconds.
const PAUSES: [u64; 8] = [0, 1, 20, 49, 50, 1_999, 2_000, 60_000];

/// Two bytes are one thing that happens to connections; the first byte says how many there may be.
///
/// # Panics
/// If there are more than there may be, in all or of one source; if one is sent away without need, in the middle of what
/// it does, or although another was idle for longer; if nobody is let in although somebody could make room; or if in the
/// end, with everybody gone, a place is still taken.
pub(in super::super) fn crowd(data: &[u8]) {
    let (&first, steps) = data.split_first().unwrap_or((&0, &[]));
    let (most, most_of_source) = HOUSES[usize::from(first & 3)];
    let epoch = Instant::now();
    let mut house = House {
        crowd: Crowd::new(epoch, most, most_of_source),
        most,
        most_of_source,
        stop: CancellationToken::new(),
        epoch,
        now: 0,
        guests: Vec::new(),
        spared: None,
    };
    for &[what, how] in steps.as_chunks().0 {
        house.step(what, how);
        house.check();
    }
    house.guests.clear();
    for _ in 0..most {
        assert!(house.enter(0), "a place is still taken");
    }
    let is_evicted = |guest: &Guest| guest.seat.is_evicted();
    assert!(
        !house.guests.iter().any(is_evicted),
        "places are still taken"
    );
}

struct House {
    crowd: Arc<Crowd>,
    most: usize,
    most_of_source: usize,
    stop: CancellationToken,
    epoch: Instant,
    /// Milliseconds since the epoch.
    now: u64,
    guests: Vec<Guest>,
    /// When some were last sent away for the system's sake.
    spared: Option<u64>,
}

/// What the list says of a connection.
struct Guest {
    seat: Seat,
    /// Zero is a proxy.
    source: u8,
    /// Since when it does nothing; `None` while it must not be sent away.
    idle_since: Option<u64>,
    asks_since: Option<u64>,
    is_browser: bool,
    evicted: bool,
}

impl Guest {
    /// How long it has been idle, if it may be sent away.
    fn idle(&self, now: u64) -> Option<u64> {
        let idle = now - self.idle_since.filter(|_| !self.evicted)?;
        Some(if self.is_browser {
            idle / BROWSER_PATIENCE
        } else {
            idle
        })
    }

    /// The same if no request is coming to it, or one that takes long.
    fn idle_without_request(&self, now: u64) -> Option<u64> {
        let asks = self
            .asks_since
            .map(|since| Duration::from_millis(now - since));
        self.idle(now)
            .filter(|_| asks.is_none_or(|asks| asks >= ASKING_GRACE))
    }
}

impl House {
    fn step(&mut self, what: u8, how: u8) {
        let (number, now) = (usize::from(how) % self.guests.len().max(1), self.now);
        let at = self.epoch + Duration::from_millis(now);
        match what & 7 {
            0 | 1 => {
                for _ in 0..=how >> 3 {
                    self.now += u64::from(what >> 3 & 1);
                    self.enter(how & 7);
                }
            }
            2 => self.now += PAUSES[usize::from(how & 7)],
            3 => self.spare_files(),
            4 if number < self.guests.len() => drop(self.guests.remove(number)),
            _ => {
                let Some(guest) = self.guests.get_mut(number) else {
                    return;
                };
                match what >> 3 & 7 {
                    0 | 1 => {
                        guest.seat.is_busy();
                        guest.idle_since = None;
                    }
                    2 | 3 => {
                        guest.seat.is_idle_since(at);
                        guest.idle_since = Some(now);
                    }
                    4 | 5 => {
                        guest.seat.asks_since(at);
                        guest.asks_since = Some(now);
                    }
                    6 => {
                        guest.seat.asks_nothing();
                        guest.asks_since = None;
                    }
                    _ => {
                        #[cfg(feature = "websocket")]
                        {
                            guest.seat.is_browser_since(at);
                            (guest.is_browser, guest.idle_since) = (true, Some(now));
                        }
                    }
                }
            }
        }
    }

    /// Whether one more is let in.
    fn enter(&mut self, source: u8) -> bool {
        let address = match source {
            0 => None,
            // Two addresses of one network, and an IPv4 address in both forms.
            1 | 2 => Some(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, source.into()])),
            3 => Some(IpAddr::from([192, 0, 2, 1])),
            4 => Some(IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0xc000, 0x201])),
            _ => Some(IpAddr::from([192, 0, 2, source])),
        };
        let source = match source {
            2 => 1,
            4 => 3,
            source => source,
        };
        let there = |guest: &&Guest| !guest.evicted;
        let all = self.guests.iter().filter(there).count();
        let of_source = self.guests.iter().filter(there);
        let of_source = of_source.filter(|guest| guest.source == source).count();
        let is_full = source != 0 && of_source == self.most_of_source;
        let at = self.epoch + Duration::from_millis(self.now);
        let seat = self.crowd.enter(address, at, &self.stop);
        let is_in = if is_full || all == self.most {
            let now = self.now;
            let may = |guest: &Guest| {
                guest
                    .idle(now)
                    .filter(|_| !is_full || guest.source == source)
            };
            self.have_left(may, |all| all / EVICTED_PART + 1)
        } else {
            self.have_left(|_| None, |_| 0);
            true
        };
        assert_eq!(seat.is_some(), is_in, "of {all}, {of_source} of its source");
        self.guests.extend(seat.map(|seat| Guest {
            seat,
            source,
            idle_since: Some(self.now),
            asks_since: None,
            is_browser: false,
            evicted: false,
        }));
        is_in
    }

    fn spare_files(&mut self) {
        let at = self.epoch + Duration::from_millis(self.now);
        let is_done = self.crowd.spare_files(at);
        let pause = |since: u64| Duration::from_millis(self.now - since);
        if self
            .spared
            .is_some_and(|since| pause(since) < FILE_EVICTION_PAUSE)
        {
            assert!(is_done && !self.have_left(|_| None, |_| 0));
            return;
        }
        let now = self.now;
        self.spared = Some(now);
        let may = |guest: &Guest| guest.idle_without_request(now);
        let part = |all: usize| FILE_EVICTIONS.min(all / EVICTED_PART + 1);
        assert_eq!(is_done, self.have_left(may, part));
    }

    /// Those who had to leave are as many as `number` says of those who `may`, and of these no other was idle for longer.
    /// Returns whether there were any.
    fn have_left(
        &mut self,
        may: impl Fn(&Guest) -> Option<u64>,
        number: impl Fn(usize) -> usize,
    ) -> bool {
        let (mut left, mut stayed) = (Vec::new(), Vec::new());
        for guest in self.guests.iter().filter(|guest| !guest.evicted) {
            let idle = may(guest);
            if guest.seat.is_evicted() {
                left.push(idle.expect("only who may leave has to"));
            } else {
                stayed.extend(idle);
            }
        }
        let could = left.len() + stayed.len();
        assert_eq!(left.len(), number(could).min(could), "of {could}");
        assert!(left.is_empty() || left.iter().min() >= stayed.iter().max());
        for guest in &mut self.guests {
            guest.evicted = guest.seat.is_evicted();
        }
        !left.is_empty()
    }

    fn check(&self) {
        for guest in &self.guests {
            let seat = &guest.seat;
            assert_eq!(seat.is_evicted(), guest.evicted);
            assert_eq!(seat.leave().is_cancelled(), guest.evicted);
        }
        let there = self.guests.iter().filter(|guest| !guest.evicted);
        let sources: Vec<u8> = there.map(|guest| guest.source).collect();
        assert!(sources.len() <= self.most);
        for source in 1..8 {
            let of_source = sources.iter().filter(|one| **one == source).count();
            assert!(of_source <= self.most_of_source);
        }
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
