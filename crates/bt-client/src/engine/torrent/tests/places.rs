//! Who gets a place, who keeps it, and whom we dial again.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bt_metainfo::PieceIndex;
use bt_wire::{Bitfield, Message, PeerId};

use super::{PIECES, Rig};
use crate::engine::{
    CloseReason, Command, Direction, Families, Input, Output, PeerInfo, PeerKey, Priority, Refusal,
    Source, State,
};
use crate::limits::{
    DIAL_BACKOFF, HOST_IS_FULL, MAX_HALF_OPEN, MAX_PEERS_PER_IP, OPTIMISTIC_ROUND, UPLOAD_SLOTS,
    USELESS_AFTER, WAITED_FOR,
};

fn addr(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], port))
}

fn info(last: u8, port: u16, direction: Direction) -> PeerInfo {
    PeerInfo {
        addr: addr(last, port),
        id: PeerId::from([last; 20]),
        direction,
        fast: true,
    }
}

fn dials(rig: &mut Rig) -> Vec<SocketAddr> {
    let said = rig.said().into_iter();
    let dials = said.filter_map(|output| match output {
        Output::Dial(addr) => Some(addr),
        _ => None,
    });
    dials.collect()
}

fn useless(said: &[Output]) -> Vec<PeerKey> {
    let closed = said.iter().filter_map(|output| match output {
        Output::Close(key, CloseReason::Useless) => Some(*key),
        _ => None,
    });
    closed.collect()
}

#[test]
fn a_newcomer_takes_the_place_of_whoever_was_of_no_use_for_longest() {
    let mut rig = Rig::with(Bitfield::full(PIECES), |config| config.max_peers = 3);
    let peers: Vec<PeerKey> = (1..=3).map(|n| rig.join(n, true).unwrap()).collect();
    rig.wait(USELESS_AFTER - Duration::from_secs(1));
    assert_eq!(rig.join(4, true), Err(Refusal::Full), "not yet");
    rig.tell(Input::Uploaded(peers[0], 1));
    rig.wait(Duration::from_secs(1));
    rig.said();
    rig.join(4, true).unwrap();
    assert_eq!(useless(&rig.said()), [peers[1]]);
    rig.join(5, true).unwrap();
    assert_eq!(useless(&rig.said()), [peers[2]]);
    assert_eq!(rig.join(6, true), Err(Refusal::Full), "the rest is of use");
    rig.torrent.audit().unwrap();
}

/// A seed that had not unchoked us for five minutes made room for a caller that had nothing.
#[test]
fn who_has_what_we_want_and_who_waits_for_a_turn_keeps_its_place() {
    let mut leech = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = 2);
    let seed = leech.join(1, true).unwrap();
    leech.hear(seed, Message::HaveAll);
    let poor = leech.join(2, true).unwrap();
    leech.hear(poor, Message::HaveNone);
    leech.wait(USELESS_AFTER);
    leech.said();
    leech.join(3, true).unwrap();
    assert_eq!(useless(&leech.said()), [poor]);
    leech.wait(WAITED_FOR - USELESS_AFTER);
    leech.join(4, true).unwrap();
    assert_eq!(
        useless(&leech.said()),
        [seed],
        "it only says that it has something"
    );

    let mut rig = Rig::with(Bitfield::full(PIECES), |config| {
        (config.max_peers, config.upload_slots) = (3, 1);
    });
    let peers: Vec<PeerKey> = (1..=3).map(|n| rig.join(n, true).unwrap()).collect();
    for peer in &peers[..2] {
        rig.hear(*peer, Message::HaveNone);
        rig.hear(*peer, Message::Interested);
    }
    // One has the slot, one waits, and the third wants nothing.
    rig.wait(USELESS_AFTER);
    rig.said();
    let waits = |key: &&PeerKey| {
        let peer = &rig.torrent.peers[*key];
        peer.peer_interested && peer.am_choking
    };
    let waiting: Vec<PeerKey> = peers.iter().filter(waits).copied().collect();
    assert_eq!(waiting.len(), 1);
    rig.join(4, true).unwrap();
    let _ = rig.join(5, true);
    assert!(!useless(&rig.said()).is_empty());
    assert!(
        rig.torrent.peers.contains_key(&waiting[0]),
        "its turn comes"
    );
}

/// Four such "failures" in a minute, and nobody was left to be dialed.
#[test]
fn an_address_that_is_put_off_is_dialed_later_and_not_forgotten() {
    let mut rig = Rig::leech();
    rig.tell(Input::Candidates(Source::Tracker, vec![addr(50, 6881)]));
    for _ in 0..20 {
        rig.wait(DIAL_BACKOFF + Duration::from_secs(1));
        assert_eq!(dials(&mut rig), [addr(50, 6881)]);
        rig.tell(Input::DialPutOff(addr(50, 6881)));
        assert_eq!(dials(&mut rig), [], "not at once");
    }
}

/// Ten thousand seeding torrents in a full session must cost next to nothing.
#[test]
fn who_needs_nobody_asks_a_full_session_less_and_less_often() {
    let mut rig = Rig::seed();
    let addrs: Vec<SocketAddr> = (1..=100).map(|n| addr(n, 6881)).collect();
    rig.tell(Input::Candidates(Source::Tracker, addrs));
    let mut asked = dials(&mut rig);
    let (mut rounds, mut all) = (0, 0);
    for _ in 0..3_600 {
        all += asked.len();
        rounds += usize::from(!asked.is_empty());
        for one in asked {
            rig.tell(Input::DialPutOff(one));
        }
        rig.wait(Duration::from_secs(1));
        asked = dials(&mut rig);
    }
    assert!((10..=20).contains(&rounds), "{rounds} rounds in an hour");
    assert!(all <= rounds * MAX_HALF_OPEN, "{all} dials");
    // When there is room again, it is as before.
    let asked = loop {
        rig.wait(Duration::from_secs(1));
        let asked = dials(&mut rig);
        if !asked.is_empty() {
            break asked;
        }
    };
    rig.torrent
        .open(rig.now, info(1, 6881, Direction::Outgoing), &mut rig.said)
        .unwrap();
    rig.tell(Input::DialPutOff(asked[1]));
    rig.wait(DIAL_BACKOFF + Duration::from_secs(1));
    assert!(!dials(&mut rig).is_empty());
}

/// A finished torrent that lacks something again must not wait for minutes because it was in no hurry before.
#[test]
fn whoever_begins_to_need_peers_asks_at_once() {
    let mut rig = Rig::seed();
    let addrs: Vec<SocketAddr> = (1..=50).map(|n| addr(n, 6881)).collect();
    rig.tell(Input::Candidates(Source::Tracker, addrs));
    for _ in 0..6 {
        for one in dials(&mut rig) {
            rig.tell(Input::DialPutOff(one));
        }
        rig.wait(Duration::from_secs(320));
    }
    for one in dials(&mut rig) {
        rig.tell(Input::DialPutOff(one));
    }
    rig.wait(DIAL_BACKOFF * 2);
    assert_eq!(dials(&mut rig), [], "it is in no hurry");
    rig.tell(Input::Lost(vec![PieceIndex(0)]));
    assert!(!dials(&mut rig).is_empty(), "now it is");
    // And an address that the user names is tried at once, whatever the others wait for.
    let mut rig = Rig::seed();
    rig.tell(Input::Candidates(Source::Tracker, vec![addr(1, 6881)]));
    rig.tell(Input::DialPutOff(addr(1, 6881)));
    rig.said();
    rig.tell(Input::Candidates(Source::User, vec![addr(2, 6881)]));
    assert_eq!(dials(&mut rig), [addr(2, 6881)]);
}

#[test]
fn in_a_crowded_session_whoever_is_of_no_use_leaves() {
    let mut rig = Rig::seed();
    let idle = rig.join(1, true).unwrap();
    rig.wait(USELESS_AFTER);
    rig.join(2, true).unwrap();
    rig.said();
    rig.tell(Input::Crowded);
    assert_eq!(useless(&rig.said()), [idle]);
    rig.tell(Input::Crowded);
    assert_eq!(useless(&rig.said()), [], "the other has just come");
}

/// One owner can have all of a public network, and would have all of the places.
#[test]
fn one_public_network_has_a_tenth_of_the_places() {
    let mut rig = Rig::with(Bitfield::full(PIECES), |config| config.max_peers = 50);
    let mut join = |ip: [u8; 4], last: u8| {
        let mut info = info(last, 6881, Direction::Incoming);
        info.addr = SocketAddr::from((ip, 6881));
        rig.torrent.open(rig.now, info, &mut rig.said)
    };
    for n in 1..=5 {
        join([203, 0, 113, n], n).unwrap();
    }
    assert_eq!(join([203, 0, 113, 6], 6), Err(Refusal::Full));
    join([203, 0, 112, 6], 6).unwrap();
    for n in 10..=30 {
        join([10, 0, 0, n], n).unwrap();
    }
}

#[test]
fn a_leecher_among_peers_without_anything_for_it_looks_for_others() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = 8);
    let peers: Vec<PeerKey> = (1..=8).map(|n| rig.join(n, true).unwrap()).collect();
    for peer in &peers {
        rig.hear(*peer, Message::HaveNone);
    }
    rig.tell(Input::Candidates(Source::Tracker, vec![addr(50, 6881)]));
    rig.wait(USELESS_AFTER - Duration::from_secs(2));
    assert!(dials(&mut rig).is_empty(), "they have just come");
    rig.wait(Duration::from_secs(4));
    assert_eq!(dials(&mut rig), [addr(50, 6881)]);
    assert_eq!(rig.torrent.status(rig.now).peers, 7, "one has gone for it");
}

#[test]
fn a_swarm_in_which_somebody_has_something_for_us_is_left_as_it_is() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = 8);
    for n in 1..=8 {
        let peer = rig.join(n, true).unwrap();
        rig.hear(
            peer,
            if n == 1 {
                Message::HaveAll
            } else {
                Message::HaveNone
            },
        );
    }
    rig.tell(Input::Candidates(Source::Tracker, vec![addr(50, 6881)]));
    rig.wait(USELESS_AFTER * 3);
    assert!(useless(&rig.said()).is_empty());
    assert_eq!(rig.torrent.status(rig.now).peers, 8);
}

#[test]
fn a_peer_that_came_to_us_is_not_dialed_where_it_listens() {
    for learned in ["it says so", "it has said so", "we dial it once"] {
        // The greater id's connections stay, so it is the one that the peer opened.
        let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
            config.peer_id = PeerId::from([0; 20]);
        });
        let listens = addr(1, 6881);
        let peer = rig
            .torrent
            .open(rig.now, info(1, 40_000, Direction::Incoming), &mut rig.said)
            .unwrap();
        if learned == "it says so" {
            rig.torrent.candidates.add(listens, Source::Tracker);
            rig.tell(Input::PeerListens(peer, 6881));
            rig.wait(Duration::from_secs(60));
            assert_eq!(dials(&mut rig), []);
        } else if learned == "it has said so" {
            // A seed that is there before the others hears of them from its tracker minutes after they have called.
            rig.tell(Input::PeerListens(peer, 6881));
            rig.wait(Duration::from_secs(60));
            rig.tell(Input::Candidates(Source::Tracker, vec![listens]));
            assert_eq!(dials(&mut rig), []);
        } else {
            rig.tell(Input::Candidates(Source::Tracker, vec![listens]));
            assert_eq!(dials(&mut rig), [listens]);
            let again = info(1, 6881, Direction::Outgoing);
            let opened = rig.torrent.open(rig.now, again, &mut rig.said);
            assert_eq!(opened, Err(Refusal::Duplicate));
        }
        rig.wait(Duration::from_secs(3600));
        assert_eq!(dials(&mut rig), [], "{learned}");
        rig.tell(Input::PeerClosed(peer));
        rig.wait(DIAL_BACKOFF + Duration::from_secs(1));
        assert_eq!(dials(&mut rig), [listens], "{learned}");
    }
}

/// One that had waited two minutes for a seed with few slots went to the end of the queue: the seed had heard of its
/// address and dialed it, and the connection that the greater id opens is the one that stays.
#[test]
fn a_peer_whose_connection_is_replaced_waits_no_longer_for_its_turn() {
    let mut rig = Rig::with(Bitfield::full(PIECES), |config| config.upload_slots = 1);
    let meet = |rig: &mut Rig, last, direction| {
        let info = info(last, 6881, direction);
        let peer = rig.torrent.open(rig.now, info, &mut rig.said).unwrap();
        rig.hear(peer, Message::HaveNone);
        rig.hear(peer, Message::Interested);
        rig.wait(Duration::from_secs(1));
        peer
    };
    let unchoked = |rig: &mut Rig, time| {
        rig.said();
        rig.wait(time);
        let said = rig.said().into_iter();
        let keys = said.filter_map(|output| match output {
            Output::Send(key, Message::Unchoke) => Some(key),
            _ => None,
        });
        keys.collect::<Vec<PeerKey>>()
    };
    // Ours is 50.
    for last in [1, 2, 3] {
        meet(&mut rig, last, Direction::Incoming);
    }
    let again = meet(&mut rig, 2, Direction::Outgoing);
    assert_eq!(unchoked(&mut rig, OPTIMISTIC_ROUND), [again], "before 3");
    // Its turn is not kept that way, or whoever calls again and again would have it for ever.
    let mut greater = Rig::with(Bitfield::full(PIECES), |config| {
        (config.upload_slots, config.peer_id) = (1, PeerId::from([0; 20]));
    });
    meet(&mut greater, 1, Direction::Outgoing);
    let waits = meet(&mut greater, 2, Direction::Incoming);
    meet(&mut greater, 1, Direction::Incoming);
    assert!(!greater.torrent.peers[&waits].am_choking);
    assert_eq!(unchoked(&mut greater, OPTIMISTIC_ROUND / 2), []);
}

#[test]
fn a_peer_that_sends_us_away_at_once_is_dialed_less_and_less_often() {
    let mut rig = Rig::leech();
    rig.tell(Input::Candidates(Source::Tracker, vec![addr(1, 6881)]));
    let mut count = 0;
    for _ in 0..1800 {
        for _ in dials(&mut rig) {
            count += 1;
            let met = info(1, 6881, Direction::Outgoing);
            let peer = rig.torrent.open(rig.now, met, &mut rig.said).unwrap();
            rig.tell(Input::PeerClosed(peer));
        }
        rig.wait(Duration::from_secs(1));
    }
    assert!((5..12).contains(&count), "{count} times in half an hour");
}

#[test]
fn a_public_network_of_ipv6_counts_as_one_host() {
    let mut rig = Rig::leech();
    let mut join = |n: u16, network: u16| {
        let ip = [0x2001, 0xdb8, 0, network, 0, 0, 0, n];
        let mut id = [7; 20];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let info = PeerInfo {
            addr: SocketAddr::from((ip, 6881)),
            id: PeerId::from(id),
            direction: Direction::Incoming,
            fast: true,
        };
        rig.torrent.open(rig.now, info, &mut rig.said).map(|_| ())
    };
    for n in 0..u16::try_from(MAX_PEERS_PER_IP).unwrap() {
        assert_eq!(join(n, 1), Ok(()));
    }
    assert_eq!(join(100, 1), Err(Refusal::Full));
    assert_eq!(join(101, 2), Ok(()));
}

#[test]
fn a_torrent_that_has_left_the_session_does_not_come_back() {
    let mut rig = Rig::leech();
    rig.tell(Input::Command(Command::Stop));
    for command in [
        Command::Pause,
        Command::Resume,
        Command::Recheck,
        Command::Resume,
    ] {
        rig.tell(Input::Command(command));
        assert_eq!(rig.torrent.state(), State::Stopped);
    }
    rig.tell(Input::Candidates(Source::User, vec![addr(9, 6881)]));
    rig.wait(Duration::from_secs(60));
    assert!(dials(&mut rig).is_empty());
}

/// A caller learns that it called itself; whoever names the address again is not heeded, and neither is one whose family
/// cannot be dialed.
#[test]
fn our_own_addresses_and_those_that_cannot_be_dialed_are_not_dialed_again() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
        config.families = Families::Ipv4;
    });
    let v6: SocketAddr = "[2001:db8::1]:6881".parse().unwrap();
    let (told, met) = (addr(1, 6881), addr(2, 6881));
    for round in 0..3 {
        rig.tell(Input::Candidates(Source::User, vec![v6, told, met]));
        if round == 0 {
            let mut dialed = dials(&mut rig);
            dialed.sort_unstable();
            assert_eq!(dialed, [told, met]);
            rig.tell(Input::DialedOurselves(told));
            let us = PeerInfo {
                id: rig.torrent.peer_id(),
                ..info(2, 6881, Direction::Outgoing)
            };
            let opened = rig.torrent.open(rig.now, us, &mut rig.said);
            assert_eq!(opened, Err(Refusal::Ourselves));
        }
        rig.wait(Duration::from_secs(600));
        assert_eq!(dials(&mut rig), []);
    }
}

/// They were connected, shaken hands with and hung up on every ten seconds.
#[test]
fn addresses_of_a_host_that_has_its_share_are_left_alone_until_one_leaves() {
    let mut rig = Rig::leech();
    let at = |port| SocketAddr::from(([203, 0, 113, 5], port));
    let share = u16::try_from(MAX_PEERS_PER_IP).unwrap();
    rig.tell(Input::Candidates(
        Source::Tracker,
        (1..=10).map(at).collect(),
    ));
    let dialed = dials(&mut rig);
    assert_eq!(dialed.len(), usize::from(share));
    let open = |rig: &mut Rig, addr: SocketAddr| {
        let info = PeerInfo {
            addr,
            id: PeerId::from([u8::try_from(addr.port()).unwrap(); 20]),
            direction: Direction::Outgoing,
            fast: true,
        };
        rig.torrent.open(rig.now, info, &mut rig.said)
    };
    let peers: Vec<_> = dialed
        .iter()
        .map(|addr| open(&mut rig, *addr).unwrap())
        .collect();
    rig.wait(Duration::from_secs(1_800));
    assert_eq!(dials(&mut rig), []);
    rig.tell(Input::PeerClosed(peers[0]));
    rig.wait(HOST_IS_FULL);
    assert_eq!(
        dials(&mut rig).len(),
        1,
        "somebody of that host has its turn"
    );
}

/// It was let in by nobody but dialed all the same, every ten seconds: somebody else took the last place meanwhile.
#[test]
fn who_found_us_full_is_dialed_less_and_less_often() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = 1);
    rig.tell(Input::Candidates(Source::Tracker, vec![addr(1, 6881)]));
    let mut count = 0;
    for _ in 0..1_800 {
        for _ in dials(&mut rig) {
            count += 1;
            let rival = rig.join(2, true).unwrap();
            let met = info(1, 6881, Direction::Outgoing);
            let opened = rig.torrent.open(rig.now, met, &mut rig.said);
            assert_eq!(opened, Err(Refusal::Full));
            rig.tell(Input::PeerClosed(rival));
        }
        rig.wait(Duration::from_secs(1));
    }
    assert!((5..12).contains(&count), "{count} times in half an hour");
}

/// A torrent that has all that is wanted of it kept its seeds, and dialed no leecher in their place.
#[test]
fn who_wants_nothing_more_leaves_seeds_and_finds_them_again_when_it_does() {
    let mut half = Bitfield::new(PIECES);
    (0..PIECES / 2).for_each(|piece| {
        half.set(PieceIndex(piece));
    });
    let mut rig = Rig::with(half, |_| {});
    let seeds = vec![addr(1, 6881), addr(2, 6881)];
    rig.tell(Input::Candidates(Source::Tracker, seeds));
    for n in 0..2 {
        let dialed = dials(&mut rig);
        for seed in dialed {
            let n = if seed == addr(1, 6881) { 1 } else { 2 };
            let peer = info(n, 6881, Direction::Outgoing);
            let peer = rig.torrent.open(rig.now, peer, &mut rig.said).unwrap();
            rig.hear(peer, Message::HaveAll);
        }
        assert_eq!(rig.torrent.status(rig.now).seeds, 2, "round {n}");
        let mut only_half = vec![Priority::Normal; PIECES as usize];
        only_half[PIECES as usize / 2..].fill(Priority::Skip);
        rig.said();
        rig.tell(Input::Prioritize(only_half));
        assert_eq!(rig.torrent.state(), State::Finished);
        assert_eq!(rig.torrent.status(rig.now).seeds, 0);
        rig.wait(Duration::from_secs(600));
        assert_eq!(dials(&mut rig), [], "nobody who has nothing to take");
        // A seed that calls is of no use either.
        let caller = rig.join(9, true).unwrap();
        rig.hear(caller, Message::HaveAll);
        let closed = |output: &Output| matches!(output, Output::Close(key, CloseReason::BothSeeds) if *key == caller);
        assert!(rig.said().iter().any(closed));
        rig.tell(Input::Prioritize(vec![Priority::Normal; PIECES as usize]));
        rig.wait(DIAL_BACKOFF);
    }
}

/// The nineteen that came first kept their slots for ever, although they took nothing either.
#[test]
fn while_nobody_gives_us_anything_every_interested_peer_gets_its_turn() {
    let mut half = Bitfield::new(PIECES);
    half.set(PieceIndex(3));
    let mut rig = Rig::with(half, |_| {});
    let mut waiting = BTreeSet::new();
    for n in 100..150 {
        let peer = rig.join(n, true).unwrap();
        rig.hear(peer, Message::HaveNone);
        rig.hear(peer, Message::Interested);
        waiting.insert(peer);
    }
    rig.wait(OPTIMISTIC_ROUND * 5);
    for output in rig.said() {
        if let Output::Send(peer, Message::Unchoke) = output {
            waiting.remove(&peer);
        }
    }
    assert!(waiting.is_empty(), "these never had a slot: {waiting:?}");
}

#[test]
fn slots_follow_what_the_session_leaves_for_this_torrent() {
    let mut rig = Rig::seed();
    let unchoked = |rig: &Rig| {
        let peers = rig.torrent.peer_statuses(rig.now);
        peers.iter().filter(|peer| !peer.am_choking).count()
    };
    for n in 1..=UPLOAD_SLOTS {
        let peer = rig.join(u8::try_from(n).unwrap(), true).unwrap();
        rig.hear(peer, Message::HaveNone);
        rig.hear(peer, Message::Interested);
    }
    for (slots, expected) in [(UPLOAD_SLOTS, UPLOAD_SLOTS), (4, 4), (0, 1), (7, 7)] {
        rig.tell(Input::Limits {
            upload_slots: slots,
            down_rate: None,
        });
        assert_eq!(unchoked(&rig), expected, "{slots}");
    }
}
