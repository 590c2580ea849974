//! The store against the naive model of `model.rs`, and the promises of `mod.rs` one by one.

#![expect(
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "tests start at the present moment and count to small numbers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_wire::PeerId;
use proptest::prelude::*;

use super::model::{Step, TTL, announce, config, expire_all, info_hash, run, v6};
use super::*;
use crate::announce::{AnnounceRequest, Event};

fn named(answer: &Answer) -> Vec<String> {
    let mut named: Vec<_> = answer.peers().map(|peer| peer.addr.to_string()).collect();
    named.sort();
    named
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = prop_oneof![
        6 => Just(Event::None),
        3 => Just(Event::Started),
        2 => Just(Event::Completed),
        3 => Just(Event::Stopped),
        2 => Just(Event::Paused),
    ];
    let peer = (any::<bool>(), 0u8..60, 0u16..4).prop_map(|(v4, host, port)| {
        let ip = if v4 {
            IpAddr::from([10, host / 20, 0, host])
        } else {
            v6(host)
        };
        // One in four has no port.
        SocketAddr::new(
            ip,
            if port == 0 && host % 4 == 0 {
                0
            } else {
                7000 + port
            },
        )
    });
    let announce = (
        0u8..4,
        peer,
        0u64..3,
        event,
        0u32..80,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(torrent, peer, left, event, wanted, own, id)| Step::Announce {
                torrent,
                peer,
                left,
                event,
                wanted,
                own,
                id,
            },
        );
    let step = prop_oneof![
        60 => announce,
        3 => (1u64..200).prop_map(Step::Pass),
        2 => Just(Step::ExpireAll),
        1 => (0u8..4).prop_map(Step::Register),
        1 => (0u8..4).prop_map(Step::Unregister),
        1 => (0u8..4).prop_map(Step::Remove),
        1 => Just(Step::Reload),
    ];
    prop::collection::vec(step, 0..400)
}

/// A store to which these announces have come, and when it is then.
fn told(config: &Config, steps: &[Step]) -> (Swarms, Instant) {
    let mut now = Instant::now();
    let swarms = Swarms::new(config.clone(), now);
    let mut answer = Answer::default();
    for step in steps {
        match step {
            Step::Announce {
                torrent,
                peer,
                left,
                event,
                ..
            } => swarms
                .enter(
                    now,
                    &announce(*torrent, &peer.to_string(), *left, *event),
                    &mut answer,
                )
                .unwrap(),
            Step::Pass(seconds) => {
                now += Duration::from_secs(*seconds);
                // As often as an owner does, so that no old stamp looks fresh; some that have expired stay.
                if seconds % 2 == 0 {
                    expire_all(&swarms, now, 1_000);
                }
            }
            _ => {}
        }
    }
    (swarms, now)
}

fn snapshot(swarms: &Swarms, now: Instant) -> Vec<u8> {
    let mut bytes = Vec::new();
    (0..swarms.snapshot_parts()).for_each(|part| swarms.snapshot(part, now, &mut bytes));
    bytes
}

/// Completions and peers of each torrent.
type Seen = BTreeMap<InfoHash, (u32, BTreeMap<SocketAddr, (Role, Duration)>)>;

fn seen(swarms: &Swarms, now: Instant) -> Seen {
    let mut seen = Seen::new();
    swarms.each_swarm(now, |swarm| {
        let peers = swarm.members.iter();
        let peers = peers.map(|member| (member.peer, (member.role, member.silent)));
        let peers: BTreeMap<_, _> = peers.collect();
        assert_eq!(peers.len(), swarm.members.len(), "a peer is there twice");
        let before = seen.insert(swarm.info_hash, (swarm.counts.completed, peers));
        assert!(before.is_none(), "a torrent is there twice");
    });
    seen
}

proptest! {
    #[test]
    fn an_open_store_agrees_with_the_model(steps in steps(), budget in 1u32..50) {
        run(Instant::now(), &config(), &steps, budget);
    }

    #[test]
    fn a_closed_store_agrees_with_the_model(steps in steps(), budget in 1u32..50) {
        run(Instant::now(), &Config { closed: true, ..config() }, &steps, budget);
    }

    #[test]
    fn a_store_with_localities_agrees_with_the_model(steps in steps(), budget in 1u32..50) {
        let networks = [("10.0.0.0/16", "a"), ("10.1.0.0/16", "b"), ("2001:db8::/48", "a")];
        let networks = networks.map(|(net, name)| (net.parse().unwrap(), name.to_owned()));
        let locality = Locality::named(networks).unwrap();
        run(Instant::now(), &Config { locality: locality.clone(), ..config() }, &steps, budget);
        let locality = locality.by_prefix(16, 48);
        run(Instant::now(), &Config { locality, ..config() }, &steps, budget);
    }

    #[test]
    fn a_store_that_was_told_what_comes_answers_as_one_that_was_not(
        steps in steps(), batch in 1usize..20,
    ) {
        let now = Instant::now();
        let [told, plain] = [(); 2].map(|()| Swarms::new(config(), now));
        let (mut expected, mut answers) = (Expected::default(), [(); 2].map(|()| Answer::default()));
        let announces: Vec<_> = steps.iter().filter_map(|step| match step {
            Step::Announce { torrent, peer, left, event, wanted, .. } => Some(Announce {
                wanted: *wanted,
                ..announce(*torrent, &peer.to_string(), *left, *event)
            }),
            _ => None,
        }).collect();
        for batch in announces.chunks(batch) {
            batch.iter().for_each(|a| told.expect(&a.info_hash, &mut expected));
            told.warm(&mut expected);
            for a in batch {
                let results = [&told, &plain].into_iter().zip(&mut answers);
                let results: Vec<_> = results.map(|(s, out)| s.enter(now, a, out)).collect();
                prop_assert_eq!(results[0], results[1]);
                let [told, plain] = &answers;
                prop_assert_eq!((&told.v4, &told.v6, told.counts, told.stored),
                    (&plain.v4, &plain.v6, plain.counts, plain.stored));
            }
        }
        prop_assert_eq!(told.totals(), plain.totals());
    }

    #[test]
    fn what_comes_back_from_a_snapshot_is_what_was_there_and_is_still_fresh(
        steps in steps(), away in 0u64..300, ttl in prop_oneof![Just(100), Just(256), Just(2_700)],
    ) {
        let (before, now) = told(&Config { peer_ttl: Duration::from_secs(ttl), ..config() }, &steps);
        let bytes = snapshot(&before, now);
        // Another process, whose clock began at another time, with other shards.
        let (now, old) = (now + Duration::from_secs(away), Duration::from_secs(away));
        let other = Config { shards: 1, key: [9; 16], ..before.config.clone() };
        let after = Swarms::new(other, now - Duration::from_millis(1_234_567));
        let count = after.restore(now, old, &bytes);
        let (was, is) = (seen(&before, now - old), seen(&after, now));
        let mut expected = was.clone();
        // Ages are written in whole seconds.
        let lasts = |silent: Duration| silent.as_secs() + away <= ttl;
        expected.retain(|_, (_, peers)| {
            peers.retain(|_, (_, silent)| lasts(*silent));
            !peers.is_empty()
        });
        let all: usize = expected.values().map(|(_, peers)| peers.len()).sum();
        prop_assert_eq!(count, Ok(all as u64));
        prop_assert!(is.keys().eq(expected.keys()), "{:?} of {:?}", is.keys(), expected.keys());
        for (hash, (completed, peers)) in &is {
            let (had, known) = &expected[hash];
            prop_assert_eq!(completed, had);
            prop_assert!(peers.keys().eq(known.keys()), "{:?} of {:?}", peers.keys(), known.keys());
            for (peer, (role, silent)) in peers {
                let (was, before) = known[peer];
                prop_assert_eq!(*role, was);
                let due = before + old;
                let slack = Duration::from_secs(1) + after.tick_length();
                prop_assert!(*silent <= due && *silent + slack > due, "{:?} of {:?}", silent, due);
            }
        }
        prop_assert_eq!(after.totals().peers_v4 + after.totals().peers_v6, all as u64);
        // Who was counted as completed is not counted again.
        let mut answer = Answer::default();
        for (hash, (_, peers)) in &is {
            for peer in peers.keys() {
                let again = Announce {
                    info_hash: *hash,
                    ..announce(0, &peer.to_string(), 0, Event::Completed)
                };
                let counted = [&before, &after].map(|swarms| {
                    swarms.enter(now, &again, &mut answer).map(|()| answer.counts.completed)
                });
                prop_assert_eq!(counted[0], counted[1], "{}", peer);
            }
        }
    }

    #[test]
    fn a_snapshot_that_is_cut_gives_the_torrents_before_the_cut_and_nothing_of_others(
        steps in steps(), cut in any::<prop::sample::Index>(),
    ) {
        let (before, now) = told(&config(), &steps);
        let bytes = snapshot(&before, now);
        let (mut ends, mut whole) = (vec![0], 0);
        before.each_swarm(now, |swarm| {
            let v6 = swarm.members.iter().filter(|member| member.peer.is_ipv6()).count();
            whole += 32 + 11 * (swarm.members.len() - v6) + 23 * v6;
            ends.push(whole);
        });
        prop_assert_eq!(whole, bytes.len());
        let restored = |bytes: &[u8]| {
            let fresh = Swarms::new(config(), now);
            let result = fresh.restore(now, Duration::ZERO, bytes);
            (result, seen(&fresh, now))
        };
        let (_, all) = restored(&bytes);
        let cut = cut.index(bytes.len() + 1);
        let (result, left) = restored(&bytes[..cut]);
        match result {
            Ok(_) => prop_assert!(ends.contains(&cut)),
            Err(error) => {
                prop_assert_eq!(error, SnapshotError::Truncated(cut));
                prop_assert!(!ends.contains(&cut));
            }
        }
        let (mut complete, mut at) = (BTreeSet::new(), 1);
        before.each_swarm(now, |swarm| {
            complete.extend((ends[at] <= cut).then_some(swarm.info_hash));
            at += 1;
        });
        let mut expected = all;
        expected.retain(|hash, _| complete.contains(hash));
        prop_assert_eq!(left, expected);
    }

    #[test]
    fn no_bytes_make_a_restore_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let now = Instant::now();
        let _ = Swarms::new(config(), now).restore(now, Duration::ZERO, &bytes);
    }
}

#[test]
fn seeds_are_not_named_to_seeds_nor_to_partial_seeds() {
    let now = Instant::now();
    let swarms = Swarms::new(config(), now);
    let mut answer = Answer::default();
    let mut ask = |peer, left, event| {
        swarms
            .enter(now, &announce(1, peer, left, event), &mut answer)
            .unwrap();
        (named(&answer), answer.counts)
    };
    ask("10.0.0.1:1", 0, Event::Started);
    assert_eq!(ask("10.0.0.2:1", 0, Event::Started).0, [""; 0]);
    assert_eq!(ask("10.0.0.3:1", 9, Event::Paused).0, [""; 0]);
    let (peers, counts) = ask("10.0.0.4:1", 9, Event::Started);
    assert_eq!(peers, ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]);
    assert_eq!(
        counts,
        Counts {
            seeds: 2,
            downloaders: 1,
            partial: 1,
            completed: 0
        }
    );
    assert_eq!((counts.complete(), counts.incomplete()), (2, 2));
    assert_eq!(ask("10.0.0.1:1", 0, Event::None).0, ["10.0.0.4:1"]);
}

#[test]
fn a_completion_of_a_peer_that_lacks_bytes_does_not_count() {
    let now = Instant::now();
    let swarms = Swarms::new(config(), now);
    let mut answer = Answer::default();
    let mut ask = |peer, left, event| {
        let counts = swarms.enter(now, &announce(1, peer, left, event), &mut answer);
        counts
            .map(|()| (answer.counts.completed, answer.counts.downloaders))
            .unwrap()
    };
    assert_eq!(ask("10.0.0.1:1", 1, Event::Completed), (0, 1));
    assert_eq!(ask("10.0.0.1:1", u64::MAX, Event::Completed), (0, 1));
    // It still counts once it is true.
    assert_eq!(ask("10.0.0.1:1", 0, Event::Completed), (1, 0));
    assert_eq!(ask("10.0.0.1:1", 0, Event::Completed), (1, 0));
}

#[test]
fn a_closed_store_never_forgets_a_registered_torrent_that_is_idle() {
    let now = Instant::now();
    let swarms = Swarms::new(
        Config {
            closed: true,
            ..config()
        },
        now,
    );
    swarms.register(info_hash(1));
    let mut answer = Answer::default();
    let unknown = swarms.enter(
        now,
        &announce(2, "10.0.0.1:1", 0, Event::Started),
        &mut answer,
    );
    assert_eq!(unknown, Err(Refusal::Unregistered));
    swarms
        .enter(
            now,
            &announce(1, "10.0.0.1:1", 0, Event::Started),
            &mut answer,
        )
        .unwrap();
    for hours in 1..100 {
        expire_all(&swarms, now + Duration::from_secs(hours * 3600), 10);
    }
    assert_eq!(swarms.scrape(&info_hash(1)), Some(Counts::default()));
    let later = now + Duration::from_secs(500_000);
    assert!(
        swarms
            .enter(
                later,
                &announce(1, "10.0.0.1:1", 0, Event::None),
                &mut answer
            )
            .is_ok()
    );
}

#[test]
fn a_full_torrent_stays_at_its_limit_and_a_newcomer_is_answered() {
    let now = Instant::now();
    let limits = Limits {
        peers_per_torrent: 40,
        ..Limits::default()
    };
    let swarms = Swarms::new(Config { limits, ..config() }, now);
    let mut answer = Answer::default();
    for n in 0..200 {
        let when = now + Duration::from_secs(n);
        let peer = format!("10.0.{}.{}:1", n / 100, n % 100);
        swarms
            .enter(when, &announce(1, &peer, 1, Event::Started), &mut answer)
            .unwrap();
        assert_eq!(answer.counts.downloaders, 40.min(n as u32 + 1));
        assert!(n == 0 || !answer.is_empty());
    }
    // Those that were heard lately are the ones that stayed.
    let stayed = (160..200).filter(|n| {
        let peer = format!("10.0.{}.{}:1", n / 100, n % 100);
        let again = announce(1, &peer, 1, Event::None);
        swarms
            .enter(now + Duration::from_secs(200), &again, &mut answer)
            .unwrap();
        answer.stored == Stored::Updated
    });
    assert!(stayed.count() >= 20);
}

#[test]
fn as_many_torrents_are_kept_as_may_be_and_registered_ones_do_not_count() {
    let now = Instant::now();
    let limits = Limits {
        torrents: 10,
        ..Limits::default()
    };
    let swarms = Swarms::new(
        Config {
            limits,
            shards: 1,
            ..config()
        },
        now,
    );
    swarms.register(info_hash(200));
    let mut answer = Answer::default();
    for n in 0..100 {
        let many = if n == 5 { 20 } else { 1 };
        for host in 0..many {
            let peer = format!("10.0.0.{host}:1");
            swarms
                .enter(now, &announce(n, &peer, 1, Event::Started), &mut answer)
                .unwrap();
        }
    }
    let totals = swarms.totals();
    assert_eq!(
        (totals.torrents, totals.registered, totals.evicted),
        (11, 1, 90)
    );
    assert!(
        swarms.scrape(&info_hash(200)).is_some(),
        "a registered torrent makes no room"
    );
    assert!(
        swarms.scrape(&info_hash(5)).is_some(),
        "the largest torrent makes no room"
    );
}

#[test]
fn one_address_cannot_fill_the_store() {
    let now = Instant::now();
    let limits = Limits {
        peers_per_ip: Some(3),
        ..Limits::default()
    };
    let swarms = Swarms::new(Config { limits, ..config() }, now);
    let mut answer = Answer::default();
    let mut ask = |torrent, peer: &str, event| {
        swarms
            .enter(now, &announce(torrent, peer, 1, event), &mut answer)
            .unwrap();
        answer.stored
    };
    for port in 1..=3 {
        assert_eq!(
            ask(port, &format!("10.0.0.1:{port}"), Event::Started),
            Stored::New
        );
    }
    assert_eq!(ask(1, "10.0.0.1:9", Event::Started), Stored::OverPerIp);
    assert_eq!(ask(1, "10.0.0.1:1", Event::None), Stored::Updated);
    assert_eq!(ask(1, "10.0.0.2:1", Event::Started), Stored::New);
    assert_eq!(ask(1, "10.0.0.1:1", Event::Stopped), Stored::Removed);
    assert_eq!(ask(1, "10.0.0.1:9", Event::Started), Stored::New);
    // A subscriber's /64 is one address.
    for port in 1..=3 {
        assert_eq!(
            ask(1, &format!("[2001:db8::{port}]:1"), Event::Started),
            Stored::New
        );
    }
    assert_eq!(ask(1, "[2001:db8::9]:1", Event::Started), Stored::OverPerIp);
    assert_eq!(ask(1, "[2001:db8:0:1::9]:1", Event::Started), Stored::New);
    // Expiry gives the room back.
    let later = now + TTL * 2;
    expire_all(&swarms, later, 5);
    let again = announce(9, "10.0.0.1:50", 1, Event::Started);
    swarms.enter(later, &again, &mut answer).unwrap();
    assert_eq!(answer.stored, Stored::New);
}

#[test]
fn most_names_are_near_and_some_are_far() {
    let now = Instant::now();
    let networks = (0..20).map(|rack| {
        (
            format!("10.{rack}.0.0/16").parse().unwrap(),
            format!("rack-{rack}"),
        )
    });
    let locality = Locality::named(networks).unwrap();
    let swarms = Swarms::new(
        Config {
            locality,
            ..config()
        },
        now,
    );
    let mut answer = Answer::default();
    for rack in 0..20 {
        for host in 0..100 {
            let peer = format!("10.{rack}.0.{host}:1");
            swarms
                .enter(now, &announce(1, &peer, 1, Event::Started), &mut answer)
                .unwrap();
        }
    }
    let mut far_racks = BTreeSet::new();
    for _ in 0..20 {
        let again = announce(1, "10.7.0.7:1", 1, Event::None);
        swarms
            .enter(
                now,
                &Announce {
                    wanted: 40,
                    ..again
                },
                &mut answer,
            )
            .unwrap();
        assert_eq!((answer.len(), answer.near), (40, 30));
        let rack = |addr: SocketAddr| addr.ip().to_string().split('.').nth(1).map(str::to_owned);
        let racks: Vec<_> = answer.peers().filter_map(|peer| rack(peer.addr)).collect();
        assert_eq!(racks.iter().filter(|rack| *rack == "7").count(), 30);
        far_racks.extend(racks.into_iter().filter(|rack| rack != "7"));
    }
    assert_eq!(far_racks.len(), 19, "every other rack is reached in time");
    // Whoever has no neighbors gets as many names all the same.
    let alone = announce(1, "192.0.2.1:1", 1, Event::Started);
    swarms.enter(now, &alone, &mut answer).unwrap();
    assert_eq!((answer.len(), answer.near), (50, 0));
}

#[test]
fn what_the_request_says_of_its_address_is_not_believed() {
    let now = Instant::now();
    let swarms = Swarms::new(config(), now);
    let mut answer = Answer::default();
    let mut request = AnnounceRequest::new(info_hash(1), PeerId::from([1; 20]), 7000);
    request.ip = Some("198.51.100.1".parse().unwrap());
    let source: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
    swarms.announce(now, &request, source, &mut answer).unwrap();
    swarms
        .enter(now, &announce(1, "10.0.0.1:1", 1, Event::None), &mut answer)
        .unwrap();
    assert_eq!(named(&answer), ["192.0.2.1:7000"]);
}

#[test]
fn numwant_is_honored_up_to_the_limit() {
    let swarms = Swarms::new(config(), Instant::now());
    assert_eq!(swarms.wanted(None), DEFAULT_NUMWANT);
    assert_eq!(swarms.wanted(Some(0)), 0);
    assert_eq!(swarms.wanted(Some(7)), 7);
    assert_eq!(swarms.wanted(Some(u32::MAX)), DEFAULT_MAX_NUMWANT);
}

#[test]
fn a_snapshot_that_is_cut_says_so() {
    let now = Instant::now();
    let swarms = Swarms::new(config(), now);
    let mut answer = Answer::default();
    swarms
        .enter(
            now,
            &announce(1, "10.0.0.1:1", 0, Event::Started),
            &mut answer,
        )
        .unwrap();
    let mut bytes = Vec::new();
    (0..4).for_each(|part| swarms.snapshot(part, now, &mut bytes));
    assert_eq!(bytes.len(), 20 + 12 + 11);
    let fresh = Swarms::new(config(), now);
    let cut = fresh.restore(now, Duration::ZERO, &bytes[..40]);
    assert_eq!(cut, Err(SnapshotError::Truncated(40)));
    assert_eq!(
        fresh.restore(now, TTL * 2, &bytes),
        Ok(0),
        "old peers are left out"
    );
    assert_eq!(fresh.restore(now, Duration::ZERO, &bytes), Ok(1));
}

#[test]
fn what_another_tracker_has_heard_expires_when_it_does_there_and_never_undoes_what_is_newer() {
    let start = Instant::now();
    let swarms = Swarms::new(config(), start);
    let mut answer = Answer::default();
    let (old, young) = (TTL - Duration::from_secs(10), Duration::from_secs(20));
    let known = |torrent| {
        swarms
            .scrape(&info_hash(torrent))
            .map(|counts| counts.seeds)
    };
    for peer in ["192.0.2.1:1", "[2001:db8::1]:1"] {
        let seed = announce(1, peer, 0, Event::None);
        assert_eq!(swarms.hear_of(start, old, &seed, &mut answer), Ok(true));
        assert_eq!(
            swarms.hear_of(
                start,
                TTL * 2,
                &announce(2, peer, 0, Event::None),
                &mut answer
            ),
            Ok(false)
        );
        // What was heard earlier, and arrives later, changes nothing.
        swarms
            .hear_of(
                start,
                young,
                &announce(3, peer, 0, Event::None),
                &mut answer,
            )
            .unwrap();
        let late = announce(3, peer, 0, Event::Stopped);
        assert_eq!(swarms.hear_of(start, old, &late, &mut answer), Ok(false));
    }
    assert_eq!((known(1), known(2), known(3)), (Some(2), None, Some(2)));
    expire_all(&swarms, start + Duration::from_secs(15), 1000);
    assert_eq!((known(1), known(3)), (None, Some(2)));
    let late = announce(3, "192.0.2.1:1", 0, Event::Stopped);
    assert_eq!(
        swarms.hear_of(start, Duration::ZERO, &late, &mut answer),
        Ok(true)
    );
    assert_eq!(known(3), Some(1));
    expire_all(&swarms, start + TTL - Duration::from_secs(10), 1000);
    assert_eq!(known(3), None);
}
