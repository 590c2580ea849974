//! Limits of one torrent: at each, and one above.

use std::net::SocketAddr;
use std::time::Duration;

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Bitfield, Message, PeerId};

use super::{BLOCKS, PIECES, Rig};
use crate::engine::{Direction, Input, Output, PeerInfo, Refusal, Source};
use crate::limits::{
    DEFAULT_MAX_PEERS, DEFAULT_PEER_REQQ, LEAST_OF_NETWORK, MAX_CANDIDATES, MAX_ENDGAME_REQUESTS,
    MAX_HALF_OPEN, MAX_NUMWANT, MAX_PEERS_PER_IP, MAX_PEERS_PER_PRIVATE_IP, MAX_VAIN_REQUESTS,
    MAX_WITHHELD, MIN_NUMWANT, NETWORK_SHARE, OUR_REQQ, SNUB_AFTER,
};

/// A peer of its own at this address.
fn join(rig: &mut Rig, ip: [u8; 4], number: u16) -> Result<(), Refusal> {
    let mut id = [7; 20];
    id[..2].copy_from_slice(&number.to_be_bytes());
    let info = PeerInfo {
        addr: SocketAddr::from((ip, 10_000 + number)),
        id: PeerId::from(id),
        direction: Direction::Incoming,
        fast: true,
    };
    let joined = rig.torrent.open(rig.now, info, &mut rig.said);
    rig.torrent.audit().unwrap();
    joined.map(|_| ())
}

#[test]
fn one_address_holds_so_many_connections_and_no_more() {
    for (ip, limit) in [
        ([203, 0, 113, 5], MAX_PEERS_PER_IP),
        ([10, 0, 0, 5], MAX_PEERS_PER_PRIVATE_IP),
        ([127, 0, 0, 1], MAX_PEERS_PER_PRIVATE_IP),
    ] {
        let mut rig = Rig::leech();
        for number in 0..u16::try_from(limit).unwrap() {
            assert_eq!(join(&mut rig, ip, number), Ok(()), "{ip:?} {number}");
        }
        assert_eq!(join(&mut rig, ip, 9_999), Err(Refusal::Full), "{ip:?}");
        assert_eq!(
            join(&mut rig, [198, 51, 100, 1], 9_998),
            Ok(()),
            "another one"
        );
    }
}

#[test]
fn a_torrent_holds_so_many_peers_and_no_more() {
    for limit in [0, 1, DEFAULT_MAX_PEERS] {
        let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = limit);
        for number in 0..u16::try_from(limit).unwrap() {
            let [high, low] = number.to_be_bytes();
            assert_eq!(join(&mut rig, [203, low, high, 1], number), Ok(()));
        }
        assert_eq!(join(&mut rig, [198, 51, 100, 1], 9_999), Err(Refusal::Full));
    }
}

#[test]
fn one_public_network_holds_so_many_peers_of_a_torrent_and_no_more() {
    for max_peers in [LEAST_OF_NETWORK + 1, DEFAULT_MAX_PEERS] {
        let mut rig = Rig::with(Bitfield::new(PIECES), |config| config.max_peers = max_peers);
        let limit = (max_peers / NETWORK_SHARE).max(LEAST_OF_NETWORK);
        for last in 0..u8::try_from(limit).unwrap() {
            let ip = [203, 0, 113, last];
            assert_eq!(join(&mut rig, ip, u16::from(last)), Ok(()), "{ip:?}");
        }
        let above = join(&mut rig, [203, 0, 113, 255], 9_999);
        assert_eq!(above, Err(Refusal::Full), "of {max_peers}");
        let elsewhere = join(&mut rig, [203, 0, 112, 255], 9_998);
        assert_eq!(elsewhere, Ok(()), "of {max_peers}");
    }
}

#[test]
fn dials_under_way_are_bounded_whatever_a_tracker_names() {
    for named in [MAX_HALF_OPEN, MAX_HALF_OPEN + 1, MAX_CANDIDATES + 1] {
        let mut rig = Rig::leech();
        let addrs: Vec<SocketAddr> = (0..u32::try_from(named).unwrap())
            .map(|number| SocketAddr::from(((0x0a00_0000 + number).to_be_bytes(), 6881)))
            .collect();
        rig.tell(Input::Candidates(Source::Tracker, addrs));
        let dials = |rig: &mut Rig| {
            let said = rig.said().into_iter();
            said.filter_map(|output| match output {
                Output::Dial(addr) => Some(addr),
                _ => None,
            })
            .collect::<Vec<_>>()
        };
        let first = dials(&mut rig);
        assert_eq!(first.len(), MAX_HALF_OPEN, "{named} named");
        // One that fails makes room for one more, if there is one.
        rig.tell(Input::DialFailed(first[0]));
        let more = usize::from(named > MAX_HALF_OPEN);
        assert_eq!(dials(&mut rig).len(), more, "{named} named");
    }
}

#[test]
fn a_block_is_asked_of_so_many_at_the_end_and_of_no_more() {
    let limit = usize::from(MAX_ENDGAME_REQUESTS);
    for count in [1, limit - 1, limit, limit + 1, 3 * limit] {
        let mut have = Bitfield::full(PIECES);
        have.clear(PieceIndex(3));
        let mut rig = Rig::with(have, |_| {});
        let peers: Vec<_> = (0..u8::try_from(count).unwrap())
            .map(|last| rig.willing_seed(last + 1))
            .collect();
        // None of them answers, but nobody has been silent for long yet.
        rig.wait(Duration::from_millis(1_500));
        for block in rig.layout.blocks(PieceIndex(3)) {
            let is_asked = |peer| {
                let asked = &rig.torrent.peers[peer].in_flight;
                asked.iter().any(|flying| flying.block == block)
            };
            let asked = peers.iter().filter(|&peer| is_asked(peer)).count();
            assert_eq!(asked, count.min(limit), "{block} of {count} peers");
        }
        assert_eq!(rig.layout.block_count(PieceIndex(3)), BLOCKS);
    }
}

#[test]
fn a_block_that_nobody_sends_is_asked_of_so_many_that_never_sent_any() {
    let limit = usize::from(MAX_VAIN_REQUESTS);
    for count in [limit, limit + 1, 2 * limit] {
        let mut have = Bitfield::full(PIECES);
        have.clear(PieceIndex(3));
        let mut rig = Rig::with(have, |_| {});
        let peers: Vec<_> = (0..u8::try_from(count).unwrap())
            .map(|last| rig.willing_seed(last + 1))
            .collect();
        // Three more at a time come to be silent, and none has been given up.
        rig.wait(SNUB_AFTER - Duration::from_secs(1));
        let block = rig.layout.block(PieceIndex(3), 0);
        let is_asked = |peer| {
            let asked = &rig.torrent.peers[peer].in_flight;
            asked.iter().any(|flying| flying.block == block)
        };
        let asked = peers.iter().filter(|&peer| is_asked(peer)).count();
        assert_eq!(asked, limit, "of {count} peers");
    }
}

#[test]
fn whoever_was_asked_as_well_at_the_end_is_told_when_a_block_has_come() {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(3));
    let mut rig = Rig::with(have, |_| {});
    let (one, other) = (rig.willing_seed(1), rig.willing_seed(2));
    rig.wait(SNUB_AFTER / 2);
    let block = rig.layout.block(PieceIndex(3), 0);
    rig.said();
    assert!(rig.block(one, block));
    let cancels: Vec<_> = (rig.said_to(other).into_iter())
        .filter(|message| matches!(message, Message::Cancel(_)))
        .collect();
    assert_eq!(cancels, [Message::Cancel(block)]);
    assert!(!rig.block(other, block), "it was on its way, and is here");
}

#[test]
fn so_many_pieces_that_a_peer_passed_over_are_remembered_and_the_oldest_makes_room() {
    let limit = u32::try_from(MAX_WITHHELD).unwrap();
    for lost in [limit, limit + 1, 2 * limit] {
        let mut rig = Rig::leech();
        let key = rig.join(1, true).unwrap();
        let (now, block) = (rig.now, |n| BlockRef::new(PieceIndex(n), 0, 1));
        let peer = rig.torrent.peers.get_mut(&key).unwrap();
        // More later ones than are passed over, or else it would only be slow.
        (0..2 * lost + 1).for_each(|n| peer.asked(now, block(n)));
        let soon = now + Duration::from_millis(100);
        for n in lost..2 * lost + 1 {
            let latency = peer.arrived(soon, block(n)).unwrap();
            peer.pipeline.received(soon, latency);
        }
        let late = now + SNUB_AFTER;
        assert_eq!(peer.take_lost_requests(late).len(), lost as usize);
        let withheld: Vec<u32> = peer.withheld(late).map(|piece| piece.0).collect();
        let kept: Vec<u32> = (lost - limit..lost).collect();
        assert_eq!(withheld, kept, "{lost} lost");
    }
}

#[test]
fn trackers_are_asked_for_so_many_addresses_and_for_none_without_room() {
    let (least, most) = (MIN_NUMWANT as usize, MAX_NUMWANT as usize);
    for (room, asked) in [
        (0, 0),
        (1, least),
        (least, least),
        (least + 1, least + 1),
        (most, most),
        (most + 1, most),
        (u32::MAX as usize, most),
        (usize::MAX, most),
    ] {
        let mut rig = Rig::with(Bitfield::new(PIECES), |config| {
            config.trackers = vec![vec!["http://t.example/a".into()]];
            config.max_peers = room;
        });
        rig.wait(Duration::from_secs(1));
        let numbers: Vec<usize> = rig
            .said()
            .iter()
            .filter_map(|output| match output {
                Output::Announce { numwant, .. } => Some(*numwant as usize),
                _ => None,
            })
            .collect();
        assert_eq!(numbers, [asked], "room for {room}");
    }
}

#[test]
fn a_peer_that_says_nothing_of_its_queue_is_believed_to_have_the_usual_one() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    assert_eq!(rig.torrent.peers[&peer].reqq, DEFAULT_PEER_REQQ);
    assert_eq!(DEFAULT_PEER_REQQ, 250, "as others have it");
}

#[test]
fn a_peer_is_believed_to_queue_one_request_at_least_and_no_more_than_we_would() {
    for (said, believed) in [
        (0, 1),
        (1, 1),
        (OUR_REQQ, OUR_REQQ),
        (OUR_REQQ + 1, OUR_REQQ),
        (u32::MAX, OUR_REQQ),
    ] {
        let mut rig = Rig::leech();
        let peer = rig.join(1, true).unwrap();
        rig.tell(Input::PeerQueues(peer, said));
        assert_eq!(rig.torrent.peers[&peer].reqq, believed, "{said}");
        // One request at a time is asked of whoever has room for one.
        rig.hear(peer, Message::HaveAll);
        rig.hear(peer, Message::Unchoke);
        let asked = rig.requests_to(peer).len();
        assert!(asked >= 1 && asked <= believed as usize, "{said}: {asked}");
    }
}
