//! What went wrong in ttorrent, held against one torrent of ours.

use std::time::Duration;

use bt_metainfo::PieceIndex;
use bt_wire::{Bitfield, Message};

use super::{PIECES, Rig};
use crate::engine::Output;

/// There both sides closed as soon as neither was interested, and met again at the next announce.
#[test]
fn two_peers_that_want_nothing_of_each_other_stay_connected() {
    let mut half = Bitfield::new(PIECES);
    for piece in 0..PIECES / 2 {
        half.set(PieceIndex(piece));
    }
    let mut rig = Rig::with(half.clone(), |_| {});
    let peer = rig.join(2, true).unwrap();
    rig.hear(peer, Message::Bitfield(half.as_bytes().to_vec().into()));
    rig.hear(peer, Message::NotInterested);
    rig.said();
    rig.wait(Duration::from_secs(30 * 60));
    let closed = rig
        .said()
        .into_iter()
        .any(|output| matches!(output, Output::Close(..)));
    assert!(!closed);
    // The moment one has something the other lacks, they trade without meeting anew.
    rig.hear(peer, Message::Have(PieceIndex(PIECES - 1)));
    let said = rig.said_to(peer);
    assert!(said.contains(&Message::Interested), "{said:?}");
}
