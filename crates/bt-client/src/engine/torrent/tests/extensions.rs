//! Pieces that are gone (BEP 54), and peers that want nothing (BEP 21).

use std::time::Duration;

use bt_metainfo::PieceIndex;
use bt_wire::ext::{DontHave, Message as Extension, UploadOnly};
use bt_wire::{Bitfield, Message};

use super::{PIECES, Rig};
use crate::engine::{CloseReason, Input, Output, PeerKey, Priority};
use crate::limits::{MAX_SEEDS_LOST, MAX_TOLD_AS_LOST};

fn lose(rig: &mut Rig, peer: PeerKey, piece: u32) {
    let message = Extension::DontHave(DontHave(PieceIndex(piece)));
    rig.tell(Input::Extension(peer, message));
    rig.tell(Input::Flush(peer));
}

fn only(rig: &mut Rig, peer: PeerKey, only: bool) {
    rig.tell(Input::Extension(
        peer,
        Extension::UploadOnly(UploadOnly(only)),
    ));
}

fn told(said: Vec<Output>, peer: PeerKey) -> Vec<Extension> {
    let to = |output| match output {
        Output::Extend(key, message) if key == peer => Some(message),
        _ => None,
    };
    said.into_iter().filter_map(to).collect()
}

fn closed<'a>(said: &'a [Output]) -> Vec<&'a CloseReason> {
    let reason = |output: &'a Output| match output {
        Output::Close(_, reason) => Some(reason),
        _ => None,
    };
    said.iter().filter_map(reason).collect()
}

#[test]
fn what_a_peer_has_lost_is_not_asked_of_it_until_it_has_it_again() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, false).unwrap();
    rig.hear(peer, Message::Have(PieceIndex(3)));
    rig.hear(peer, Message::Unchoke);
    let asked = rig.requests_to(peer);
    assert!(!asked.is_empty());
    lose(&mut rig, peer, 3);
    // Nothing under way is left: another is asked for the same blocks at once.
    let other = rig.willing_seed(2);
    rig.wait(Duration::from_secs(1));
    let again = rig.requests_to(other);
    assert!(asked.iter().all(|block| again.contains(block)), "{again:?}");
    // What it never had changes nothing, and neither does a piece that does not exist.
    for piece in [3, 4, PIECES, u32::MAX] {
        lose(&mut rig, peer, piece);
    }
    rig.said();
    rig.hear(peer, Message::Have(PieceIndex(5)));
    assert!(rig.said_to(peer).contains(&Message::Interested));
    lose(&mut rig, peer, 5);
    assert_eq!(rig.said_to(peer), [Message::NotInterested]);
}

#[test]
fn a_seed_that_loses_a_piece_is_none_and_not_for_ever() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    for _ in 0..MAX_SEEDS_LOST {
        lose(&mut rig, peer, 0);
        assert!(!rig.torrent.peers[&peer].is_seed());
        rig.hear(peer, Message::Have(PieceIndex(0)));
        assert!(rig.torrent.peers[&peer].is_seed());
    }
    rig.said();
    lose(&mut rig, peer, 0);
    let said = rig.said();
    assert!(matches!(closed(&said)[..], [CloseReason::Misbehaved(_)]));
    assert!(rig.torrent.peers.is_empty());
}

#[test]
fn peers_hear_of_what_we_have_lost_and_of_no_more_than_the_limit() {
    let mut rig = Rig::seed();
    let peer = rig.join(1, true).unwrap();
    rig.said();
    rig.tell(Input::Lost(vec![PieceIndex(2), PieceIndex(7)]));
    let said = told(rig.said(), peer);
    let gone = |piece| Extension::DontHave(DontHave(PieceIndex(piece)));
    assert_eq!(
        said,
        [gone(2), gone(7), Extension::UploadOnly(UploadOnly(false))]
    );
    rig.tell(Input::Lost(vec![PieceIndex(2)]));
    assert_eq!(told(rig.said(), peer), [], "that is no news");

    let mut out = Vec::new();
    let many: Vec<PieceIndex> = (0..2_000).map(PieceIndex).collect();
    rig.torrent.tell_lost(&many, &mut out);
    assert_eq!(out.len(), MAX_TOLD_AS_LOST);
}

#[test]
fn two_that_want_nothing_part() {
    let mut rig = Rig::seed();
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::Have(PieceIndex(1)));
    only(&mut rig, peer, false);
    assert!(closed(&rig.said()).is_empty());
    only(&mut rig, peer, true);
    assert_eq!(closed(&rig.said()), [&CloseReason::BothSeeds]);
    // Whoever lacks something stays with it.
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    only(&mut rig, peer, true);
    assert!(closed(&rig.said()).is_empty());
}

#[test]
fn peers_hear_when_we_begin_and_cease_to_want_nothing() {
    let mut rig = Rig::with(Bitfield::new(PIECES), |_| {});
    let peer = rig.join(1, true).unwrap();
    rig.said();
    let says = |flag| vec![Extension::UploadOnly(UploadOnly(flag))];
    assert!(!rig.torrent.is_upload_only());
    rig.tell(Input::Prioritize(vec![Priority::Skip; PIECES as usize]));
    assert_eq!(told(rig.said(), peer), says(true));
    assert!(rig.torrent.is_upload_only());
    rig.tell(Input::Prioritize(Vec::new()));
    assert_eq!(told(rig.said(), peer), says(false));
}
