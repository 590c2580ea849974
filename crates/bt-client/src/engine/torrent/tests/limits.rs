//! Limits of one torrent: at each, and one above.

use std::net::SocketAddr;

use bt_wire::{Bitfield, PeerId};

use super::{PIECES, Rig};
use crate::engine::{Direction, Input, Output, PeerInfo, Refusal, Source};
use crate::limits::{
    DEFAULT_MAX_PEERS, MAX_CANDIDATES, MAX_HALF_OPEN, MAX_PEERS_PER_IP, MAX_PEERS_PER_PRIVATE_IP,
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
