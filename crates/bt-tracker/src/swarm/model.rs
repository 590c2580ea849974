//! A naive model of the store, and steps that drive both at once: for properties and for the fuzzer.
//!
//! It says in the slow way what the store must say. It must not know how the store does it.

#![allow(
    clippy::cast_possible_truncation,
    reason = "a story counts to small numbers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_wire::PeerId;

use super::{Announce, Answer, Config, Counts, Families, Locality, Swarms};
use crate::announce::Event;

pub(super) const TTL: Duration = Duration::from_secs(256);

pub(super) fn info_hash(n: u8) -> InfoHash {
    InfoHash::from([n; 20])
}

pub(super) fn config() -> Config {
    Config {
        peer_ttl: TTL,
        shards: 4,
        key: [7; 16],
        seed: 1,
        ..Config::default()
    }
}

pub(super) fn announce(torrent: u8, peer: &str, left: u64, event: Event) -> Announce {
    Announce {
        info_hash: info_hash(torrent),
        peer: peer.parse().expect("an address"),
        peer_id: None,
        left,
        event,
        wanted: 50,
        families: Families::Both,
        with_ids: false,
    }
}

/// What a store is, written down as plainly as possible.
#[derive(Default)]
struct Model {
    torrents: BTreeMap<u8, ModelTorrent>,
}

#[derive(Default, Clone)]
struct ModelTorrent {
    registered: bool,
    completed: u32,
    peers: BTreeMap<SocketAddr, ModelPeer>,
}

#[derive(Clone)]
struct ModelPeer {
    heard: Instant,
    kind: u8,
    completed: bool,
}

impl Model {
    fn announce(&mut self, now: Instant, a: &Announce, torrent: u8, closed: bool) -> bool {
        let keeps = a.event != Event::Stopped && a.peer.port() != 0;
        if !self.torrents.contains_key(&torrent) && (closed || !keeps) {
            return !closed;
        }
        let swarm = self.torrents.entry(torrent).or_default();
        if a.event == Event::Stopped {
            swarm.peers.remove(&a.peer);
        } else if keeps {
            let before = swarm.peers.get(&a.peer).is_some_and(|peer| peer.completed);
            let completed = before || a.event == Event::Completed && a.left == 0;
            swarm.completed += u32::from(completed && !before);
            let peer = ModelPeer {
                heard: now,
                kind: kind(a),
                completed,
            };
            swarm.peers.insert(a.peer, peer);
        }
        true
    }

    fn expire(&mut self, now: Instant) {
        for swarm in self.torrents.values_mut() {
            swarm.peers.retain(|_, peer| now - peer.heard <= TTL);
        }
        self.torrents
            .retain(|_, swarm| swarm.registered || !swarm.peers.is_empty());
    }

    fn counts(&self, torrent: u8) -> Option<Counts> {
        let swarm = self.torrents.get(&torrent)?;
        let mut counts = Counts {
            completed: swarm.completed,
            ..Counts::default()
        };
        for peer in swarm.peers.values() {
            match peer.kind {
                0 => counts.downloaders += 1,
                1 => counts.partial += 1,
                _ => counts.seeds += 1,
            }
        }
        Some(counts)
    }

    /// Whom an answer may name, and how many of them it must.
    fn nameable(&self, a: &Announce, torrent: u8) -> BTreeSet<SocketAddr> {
        let Some(swarm) = self.torrents.get(&torrent) else {
            return BTreeSet::new();
        };
        let useful = |peer: &ModelPeer| kind(a) == 0 || peer.kind == 0;
        let family =
            |addr: &SocketAddr| a.families == Families::Both || addr.is_ipv4() == a.peer.is_ipv4();
        let peers = swarm
            .peers
            .iter()
            .filter(|(addr, peer)| useful(peer) && family(addr));
        peers
            .map(|(addr, _)| *addr)
            .filter(|addr| *addr != a.peer)
            .collect()
    }
}

fn kind(a: &Announce) -> u8 {
    match a.event {
        _ if a.left == 0 => 2,
        Event::Paused => 1,
        _ => 0,
    }
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Announce {
        torrent: u8,
        peer: SocketAddr,
        left: u64,
        event: Event,
        wanted: u32,
        own: bool,
        id: bool,
    },
    Pass(u64),
    ExpireAll,
    Register(u8),
    Unregister(u8),
    Remove(u8),
    Reload,
}

pub(super) fn v6(host: u8) -> IpAddr {
    IpAddr::from([
        0x20,
        1,
        0xd,
        0xb8,
        0,
        host / 20,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        host,
    ])
}

pub(super) fn expire_all(swarms: &Swarms, now: Instant, budget: u32) {
    // The first round may begin in the middle of the store.
    for _ in 0..2 {
        while !swarms.expire(now, budget).round_done {}
    }
}

pub(super) fn run(mut now: Instant, config: &Config, steps: &[Step], budget: u32) {
    let mut swarms = Swarms::new(config.clone(), now);
    let mut model = Model::default();
    let mut answer = Answer::default();
    for step in steps {
        match step.clone() {
            Step::Announce {
                torrent,
                peer,
                left,
                event,
                wanted,
                own,
                id,
            } => {
                let families = if own { Families::Own } else { Families::Both };
                let peer_id = id.then(|| PeerId::from([peer.port() as u8; 20]));
                let a = Announce {
                    wanted,
                    families,
                    peer_id,
                    with_ids: id,
                    ..announce(torrent, &peer.to_string(), left, event)
                };
                let accepted = swarms.enter(now, &a, &mut answer).is_ok();
                assert_eq!(accepted, model.announce(now, &a, torrent, config.closed));
                if accepted {
                    check_answer(&answer, &a, &model, torrent);
                }
            }
            Step::Pass(seconds) => now += Duration::from_secs(seconds),
            Step::ExpireAll => {
                // Stamps are rounded to 256ths of the time-to-live, which here are seconds.
                expire_all(&swarms, now, budget);
                model.expire(now);
            }
            Step::Register(n) => {
                swarms.register(info_hash(n));
                model.torrents.entry(n).or_default().registered = true;
            }
            Step::Unregister(n) => {
                let was = swarms.unregister(info_hash(n));
                let known = model.torrents.get_mut(&n);
                assert_eq!(was, known.as_ref().is_some_and(|t| t.registered));
                if let Some(known) = known {
                    known.registered = false;
                }
                if was && config.closed {
                    model.torrents.remove(&n);
                }
            }
            Step::Remove(n) => {
                let known = model.torrents.remove(&n).is_some();
                assert_eq!(swarms.remove(&info_hash(n)), known);
            }
            Step::Reload => {
                expire_all(&swarms, now, budget);
                model.expire(now);
                swarms = reload(&swarms, &model, config, now);
            }
        }
        check_totals(&swarms, &model);
    }
    now += TTL * 2;
    expire_all(&swarms, now, budget);
    model.expire(now);
    check_totals(&swarms, &model);
}

fn reload(swarms: &Swarms, model: &Model, config: &Config, now: Instant) -> Swarms {
    let fresh = Swarms::new(config.clone(), now - Duration::from_secs(1000));
    for (n, torrent) in &model.torrents {
        if torrent.registered {
            fresh.register(info_hash(*n));
        }
    }
    let mut bytes = Vec::new();
    for part in 0..swarms.snapshot_parts() {
        swarms.snapshot(part, now, &mut bytes);
    }
    let peers = fresh.restore(now, Duration::ZERO, &bytes);
    let expected: usize = model
        .torrents
        .values()
        .map(|torrent| torrent.peers.len())
        .sum();
    assert_eq!(peers, Ok(expected as u64));
    fresh
}

fn check_answer(answer: &Answer, a: &Announce, model: &Model, torrent: u8) {
    assert_eq!(answer.counts, model.counts(torrent).unwrap_or_default());
    let named: Vec<_> = answer.peers().map(|peer| peer.addr).collect();
    let distinct: BTreeSet<_> = named.iter().copied().collect();
    assert_eq!(distinct.len(), named.len());
    let nameable = model.nameable(a, torrent);
    assert!(
        distinct.is_subset(&nameable),
        "{distinct:?} of {nameable:?}"
    );
    let wanted = if a.event == Event::Stopped {
        0
    } else {
        a.wanted as usize
    };
    assert_eq!(named.len(), nameable.len().min(wanted));
    if a.with_ids {
        assert_eq!(answer.ids_v4.len() + answer.ids_v6.len(), named.len());
        for peer in answer.peers() {
            let id = PeerId::from([peer.addr.port() as u8; 20]);
            assert!(peer.id.is_none_or(|known| known == id));
        }
    }
}

fn check_totals(swarms: &Swarms, model: &Model) {
    let totals = swarms.totals();
    assert_eq!(totals.torrents, model.torrents.len() as u64);
    let registered = model.torrents.values().filter(|t| t.registered).count();
    assert_eq!(totals.registered, registered as u64);
    let (mut seeds, mut downloaders, mut all) = (0, 0, 0);
    for n in 0..4 {
        let counts = model.counts(n);
        assert_eq!(swarms.scrape(&info_hash(n)), counts);
        let counts = counts.unwrap_or_default();
        seeds += u64::from(counts.seeds);
        downloaders += u64::from(counts.downloaders);
        all += u64::from(counts.seeds + counts.incomplete());
    }
    assert_eq!((totals.seeds, totals.downloaders), (seeds, downloaders));
    let peers = model.torrents.values().flat_map(|t| t.peers.keys());
    let v6 = peers.filter(|addr| addr.is_ipv6()).count() as u64;
    assert_eq!((totals.peers_v6, totals.peers_v4), (v6, all - v6));
}

/// Steps that the bytes stand for, four each time; the first one chooses the store.
pub(crate) fn fuzz(now: Instant, data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else {
        return;
    };
    let networks = [
        ("10.0.0.0/16", "a"),
        ("10.1.0.0/16", "b"),
        ("2001:db8::/48", "a"),
    ];
    let networks = networks.map(|(net, name)| (net.parse().expect("a network"), name.to_owned()));
    let named = || Locality::named(networks).expect("two names");
    let locality = match first & 6 {
        2 => named(),
        4 => named().by_prefix(16, 48),
        _ => Locality::default(),
    };
    let config = Config {
        closed: first & 1 == 1,
        locality,
        ..config()
    };
    let mut steps = Vec::new();
    let mut unswept = 0;
    for step in rest.as_chunks().0.iter().map(step) {
        if let Step::Pass(seconds) = step {
            unswept += seconds;
        }
        steps.push(step);
        // Owners of a store sweep it several times in a lifetime; after sixteen a stamp looks fresh again, and two more pass
        // at the end.
        if unswept > TTL.as_secs() * 12 {
            steps.push(Step::ExpireAll);
            unswept = 0;
        }
    }
    run(now, &config, &steps, 1 + u32::from(first >> 3));
}

fn step(&[what, host, port, more]: &[u8; 4]) -> Step {
    let torrent = what >> 6;
    match what & 63 {
        0 => Step::Pass(u64::from(host)),
        1 => Step::ExpireAll,
        2 => Step::Register(torrent),
        3 => Step::Unregister(torrent),
        4 => Step::Remove(torrent),
        5 => Step::Reload,
        how => {
            let number = host % 60;
            let ip = if host & 64 == 0 {
                IpAddr::from([10, number / 20, 0, number])
            } else {
                v6(number)
            };
            let events = [
                Event::None,
                Event::Started,
                Event::Completed,
                Event::Stopped,
                Event::Paused,
            ];
            Step::Announce {
                torrent,
                peer: SocketAddr::new(
                    ip,
                    if port & 15 == 0 {
                        0
                    } else {
                        7000 + u16::from(port & 3)
                    },
                ),
                left: u64::from(port >> 6),
                event: events[usize::from(how) % events.len()],
                wanted: u32::from(more >> 2),
                own: more & 1 == 1,
                id: more & 2 == 2,
            }
        }
    }
}
