//! What an idle peer takes over from one that keeps us waiting.

use std::time::Duration;

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Bitfield, Message};

use super::{BLOCKS, PIECES, Rig};
use crate::engine::download::Pipeline;
use crate::engine::{Input, Output, PeerKey};

/// Two pieces are missing. `slow` was asked for six blocks, `quick` for the other two, and so long ago.
fn two_seeds(waited: Duration) -> (Rig, PeerKey, Vec<BlockRef>, PeerKey) {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(3));
    have.clear(PieceIndex(4));
    let mut rig = Rig::with(have, |_| {});
    let slow = rig.willing_seed(1);
    let of_slow = rig.requests_to(slow);
    assert_eq!(of_slow.len(), 6);
    let quick = rig.willing_seed(2);
    let of_quick = rig.requests_to(quick);
    assert_eq!(of_quick.len(), 2 * BLOCKS as usize - of_slow.len());
    rig.wait(waited);
    rig.said();
    for block in of_quick {
        assert!(rig.block(quick, block));
    }
    (rig, slow, of_slow, quick)
}

/// What was called off at `from`, and what `to` was asked for.
fn moved(said: Vec<Output>, from: PeerKey, to: PeerKey) -> (Vec<BlockRef>, Vec<BlockRef>) {
    let (mut off, mut asked) = (Vec::new(), Vec::new());
    for output in said {
        match output {
            Output::Send(key, Message::Cancel(block)) if key == from => off.push(block),
            Output::Send(key, Message::Request(block)) if key == to => asked.push(block),
            _ => {}
        }
    }
    (off, asked)
}

#[test]
fn an_idle_peer_takes_over_the_end_of_a_long_queue() {
    let (mut rig, slow, of_slow, quick) = two_seeds(Duration::from_millis(500));
    rig.tell(Input::Flush(quick));
    let (off, asked) = moved(rig.said(), slow, quick);
    // The first ones may be on their way.
    let expected: Vec<BlockRef> = of_slow[3..].iter().rev().copied().collect();
    assert_eq!(off, expected, "what would come last comes first");
    assert_eq!(asked, expected, "and each is asked of one peer only");
    // It was on its way after all: once is enough.
    assert!(rig.block(slow, of_slow[5]));
    rig.tell(Input::Flush(slow));
    let (off, _) = moved(rig.said(), quick, slow);
    assert_eq!(off, [of_slow[5]]);
}

/// How far away somebody is shows with the first block; before that, silence says little.
#[test]
fn what_was_asked_a_moment_ago_stays_where_it_is() {
    let (mut rig, slow, _, quick) = two_seeds(Duration::from_millis(499));
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick), (Vec::new(), Vec::new()));
    rig.wait(Duration::from_millis(2));
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick).1.len(), 3);

    // With the first block it does; how fast it is, a moment later.
    let (mut rig, slow, of_slow, quick) = two_seeds(Duration::from_millis(10));
    assert!(rig.block(slow, of_slow[0]));
    rig.wait(Duration::from_millis(99));
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick), (Vec::new(), Vec::new()));
    rig.wait(Duration::from_millis(2));
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick).1, [of_slow[5], of_slow[4]]);
}

#[test]
fn a_peer_that_has_something_to_do_or_answers_nothing_takes_nothing_over() {
    let (mut rig, slow, _, quick) = two_seeds(Duration::from_millis(500));
    rig.torrent.peers.get_mut(&quick).unwrap().snubbing = true;
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick), (Vec::new(), Vec::new()));
    rig.torrent.peers.get_mut(&quick).unwrap().snubbing = false;
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick).1.len(), 3);
    // Now it is busy, and the rest stays with the other.
    rig.wait(Duration::from_millis(200));
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick), (Vec::new(), Vec::new()));
}

/// To look costs as much as there are peers, so that a peer must not make us look with each message.
#[test]
fn after_a_vain_look_nobody_looks_for_a_moment() {
    let (mut rig, _, _, quick) = two_seeds(Duration::from_millis(20));
    let began = rig.now;
    rig.tell(Input::Flush(quick));
    let next = rig.torrent.next_relief.expect("it found nothing");
    assert_eq!(next, began + 2 * Duration::from_micros(5), "for two peers");
    rig.now = next - Duration::from_nanos(1);
    rig.tell(Input::Flush(quick));
    assert_eq!(rig.torrent.next_relief, Some(next));
    rig.now = next;
    rig.tell(Input::Flush(quick));
    assert!(rig.torrent.next_relief > Some(next));
}

/// The last four blocks of a fast peer went to one that needed seconds for them.
#[test]
fn a_peer_takes_over_only_what_it_sends_sooner() {
    let (mut rig, slow, of_slow, quick) = two_seeds(Duration::from_millis(10));
    assert!(rig.block(slow, of_slow[0]));
    rig.wait(Duration::from_millis(110));
    // One block in that time: the fifth one, the last, comes in more than half a second.
    let now = rig.now;
    let pipeline = |rig: &mut Rig, latency| {
        let mut pipeline = Pipeline::new(now);
        pipeline.received(now, Duration::from_millis(latency));
        rig.torrent.peers.get_mut(&quick).unwrap().pipeline = pipeline;
    };
    pipeline(&mut rig, 600);
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick), (Vec::new(), Vec::new()));
    rig.wait(Duration::from_millis(1));
    pipeline(&mut rig, 500);
    rig.tell(Input::Flush(quick));
    assert_eq!(moved(rig.said(), slow, quick).1, [of_slow[5]]);
}

/// Whoever chokes and unchokes us in turn took over more each time.
#[test]
fn who_has_sent_nothing_since_takes_nothing_more_over() {
    let (mut rig, slow, _, quick) = two_seeds(Duration::from_millis(500));
    rig.tell(Input::Flush(quick));
    let (_, asked) = moved(rig.said(), slow, quick);
    assert_eq!(asked.len(), 3);
    // It gives them back, and the other gets them again.
    rig.tell(Input::Message(quick, Message::Choke));
    for block in asked {
        rig.tell(Input::Message(quick, Message::Reject(block)));
    }
    rig.tell(Input::Flush(quick));
    rig.wait(Duration::from_secs(2));
    rig.said();
    rig.hear(quick, Message::Unchoke);
    rig.wait(Duration::from_millis(100));
    assert_eq!(moved(rig.said(), slow, quick).0, Vec::new());
}
