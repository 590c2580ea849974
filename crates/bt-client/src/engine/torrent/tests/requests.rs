//! What is asked of whom, what it costs to find out, and what is given to choked peers.

use std::time::Duration;

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_wire::{Bitfield, Message};

use super::{BLOCKS, PIECES, Rig};
use crate::engine::{Command, Input, Output, PieceVerdict, Priority};
use crate::limits::{GIFT_COPIES, NEEDS_NO_GIFT, SNUB_AFTER};

fn requests(said: &[Output]) -> usize {
    let is_request = |output: &&Output| matches!(output, Output::Send(_, Message::Request(_)));
    said.iter().filter(is_request).count()
}

/// Each of them searched for blocks, and ten thousand of them in one read held the lock for seconds.
#[test]
fn nothing_is_asked_before_all_of_a_read_was_looked_at() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    rig.tell(Input::Message(peer, Message::HaveNone));
    rig.tell(Input::Message(peer, Message::Unchoke));
    for piece in 0..PIECES {
        rig.tell(Input::Message(peer, Message::Have(PieceIndex(piece))));
    }
    assert_eq!(requests(&rig.said()), 0);
    rig.tell(Input::Flush(peer));
    assert!(requests(&rig.said()) > 0);
}

#[test]
fn blocks_that_a_peer_rejects_are_asked_of_others_at_the_end_of_the_read() {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(3));
    let mut rig = Rig::with(have, |_| {});
    let peer = rig.willing_seed(1);
    let asked = rig.requests_to(peer);
    assert_eq!(asked.len(), BLOCKS as usize);
    let other = rig.willing_seed(2);
    assert!(rig.requests_to(other).is_empty(), "all of it is under way");
    for block in &asked {
        rig.tell(Input::Message(peer, Message::Reject(*block)));
    }
    assert_eq!(requests(&rig.said()), 0);
    rig.tell(Input::Flush(peer));
    assert_eq!(rig.requests_to(other).len(), BLOCKS as usize);
}

#[test]
fn a_request_that_a_peer_passes_over_is_asked_of_another() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let lost = rig.requests_to(peer)[0];
    let other = rig.willing_seed(2);
    rig.said();
    let mut again = None;
    for second in (0..60).step_by(2) {
        // Both answer a block now and then, and one of them never that one.
        for key in [peer, other] {
            let asked = &rig.torrent.peers[&key].in_flight;
            let next = asked.iter().find(|flying| flying.block != lost);
            if let Some(block) = next.map(|flying| flying.block) {
                rig.block(key, block);
            }
            rig.tell(Input::Flush(key));
        }
        rig.wait(Duration::from_secs(2));
        if rig.requests_to(other).contains(&lost) {
            again = Some(second);
            break;
        }
    }
    let again = again.expect("it is asked of the other");
    assert!(again <= 2 * SNUB_AFTER.as_secs(), "after {again} s");
    assert!(
        !rig.torrent.peers[&peer].snubbing,
        "it answers, and is no snubber"
    );
}

#[test]
fn a_choked_peer_gets_its_gift_a_few_times_and_no_more() {
    let mut rig = Rig::with(Bitfield::full(PIECES), |config| config.upload_slots = 1);
    let first = rig.join(9, true).unwrap();
    rig.hear(first, Message::HaveNone);
    rig.hear(first, Message::Interested);
    let peer = rig.join(1, true).unwrap();
    assert!(
        !rig.said_to(peer)
            .iter()
            .any(|message| matches!(message, Message::AllowedFast(_))),
        "it may have plenty"
    );
    rig.hear(peer, Message::HaveNone);
    let granted = rig
        .said_to(peer)
        .into_iter()
        .find_map(|message| match message {
            Message::AllowedFast(piece) => Some(piece),
            _ => None,
        });
    let block = rig.layout.block(granted.expect("a gift"), 0);
    let gift = rig.torrent.peers[&peer].gift;
    assert_eq!(gift % GIFT_COPIES, 0);
    let mut served = 0;
    for _ in 0..2 * gift / u64::from(BLOCK_SIZE) {
        rig.tell(Input::Message(peer, Message::Request(block)));
        served += rig
            .said()
            .iter()
            .filter(|output| matches!(output, Output::Serve(..)))
            .count() as u64;
    }
    assert_eq!(served, gift / u64::from(BLOCK_SIZE));
}

#[test]
fn a_peer_that_has_enough_gets_no_gift() {
    for (has, expected) in [(NEEDS_NO_GIFT - 1, true), (NEEDS_NO_GIFT, false)] {
        let mut rig = Rig::seed();
        let peer = rig.join(1, true).unwrap();
        let mut bits = Bitfield::new(40);
        for piece in 0..has {
            bits.set(PieceIndex(piece));
        }
        rig.torrent.peers.get_mut(&peer).unwrap().has = bits;
        rig.said();
        rig.torrent.grant(peer, &mut rig.said);
        let gifts = rig.said_to(peer).len();
        assert_eq!(gifts > 0, expected, "{has} pieces");
    }
}

#[test]
fn a_peer_with_nothing_to_offer_is_not_searched_for_it() {
    let mut rig = Rig::leech();
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::HaveNone);
    rig.hear(peer, Message::Unchoke);
    assert_eq!(rig.torrent.peers[&peer].open, 0);
    rig.hear(peer, Message::Have(PieceIndex(4)));
    let asked = rig.requests_to(peer);
    assert!(asked.iter().all(|block: &BlockRef| block.piece.0 == 4));
    assert_eq!(asked.len(), BLOCKS as usize);
    assert_eq!(rig.torrent.peers[&peer].open, 0, "it is under way");
    // What is given up is open again, for all that have it.
    let other = rig.join(2, true).unwrap();
    rig.hear(other, Message::HaveAll);
    let before = rig.torrent.peers[&other].open;
    rig.tell(Input::PeerClosed(peer));
    assert_eq!(rig.torrent.peers[&other].open, before + 1);
}

/// A disk that stood for a quarter of a minute made a snubber of everyone.
#[test]
fn while_we_do_not_read_nobody_is_silent_and_a_slow_disk_is_no_excuse() {
    let canceled = |rig: &mut Rig| {
        let is_cancel = |output: &Output| matches!(output, Output::Send(_, Message::Cancel(_)));
        rig.said().iter().any(is_cancel)
    };
    let second = Duration::from_secs(1);
    for something_comes in [false, true] {
        let mut rig = Rig::leech();
        let peer = rig.willing_seed(1);
        let other = rig.willing_seed(2);
        rig.said();
        let mut rounds = 0;
        while rounds < 60 && !canceled(&mut rig) {
            rounds += 1;
            rig.now += second;
            if something_comes {
                rig.block(other, BlockRef::new(PieceIndex(PIECES - 1), 0, BLOCK_SIZE));
            }
            rig.tell(Input::HeldUp);
            rig.tell(Input::Timeout);
        }
        if something_comes {
            assert!(rounds < 20, "{rounds} s");
            continue;
        }
        assert_eq!(rounds, 60);
        rig.wait(SNUB_AFTER - second);
        assert!(!canceled(&mut rig), "it has as much time as ever");
        rig.wait(second * 2);
        assert!(
            canceled(&mut rig),
            "{peer} keeps us waiting, and it is not we"
        );
    }
}

#[test]
fn what_nobody_asked_for_is_not_told_to_trackers_and_what_is_thrown_away_was_of_no_use() {
    let mut rig = Rig::leech();
    let peer = rig.willing_seed(1);
    let asked = rig.requests_to(peer)[0];
    let bytes = u64::from(asked.length);
    assert!(rig.block(peer, asked));
    assert!(!rig.block(peer, asked), "once is enough");
    let status = rig.torrent.status(rig.now);
    assert_eq!((status.downloaded, status.wasted), (bytes, bytes));
    assert_eq!(rig.torrent.totals(), (0, bytes));
    let mut few = vec![Priority::Normal; PIECES as usize];
    few[asked.piece.0 as usize] = Priority::Skip;
    rig.tell(Input::Prioritize(few));
    let status = rig.torrent.status(rig.now);
    assert_eq!((status.downloaded, status.wasted), (0, 2 * bytes));
    let next = rig.requests_to(peer)[0];
    let more = u64::from(next.length);
    assert!(rig.block(peer, next));
    rig.tell(Input::Command(Command::Pause));
    let status = rig.torrent.status(rig.now);
    assert_eq!((status.downloaded, status.wasted), (0, 2 * bytes + more));
    assert_eq!(
        rig.torrent.totals(),
        (0, bytes + more),
        "it came all the same"
    );
}

#[test]
fn a_reject_of_what_was_called_off_is_none_of_what_was_asked_for_again() {
    let mut rig = Rig::leech();
    let nothing = vec![Priority::Skip; PIECES as usize];
    let mut one = nothing.clone();
    one[0] = Priority::Normal;
    rig.tell(Input::Prioritize(one.clone()));
    // No seed: it would be left as soon as nothing is wanted.
    let peer = rig.join(1, true).unwrap();
    rig.hear(peer, Message::Have(PieceIndex(0)));
    rig.hear(peer, Message::Unchoke);
    let first = rig.requests_to(peer);
    rig.tell(Input::Prioritize(nothing));
    rig.tell(Input::Prioritize(one));
    let again = rig.requests_to(peer);
    let block = *again.iter().find(|block| first.contains(block)).unwrap();
    let waiting = |rig: &Rig| rig.torrent.peer_statuses(rig.now)[0].requests as usize;
    assert_eq!(waiting(&rig), again.len());
    rig.hear(peer, Message::Reject(block));
    assert_eq!(waiting(&rig), again.len());
    rig.hear(peer, Message::Reject(block));
    assert_eq!(waiting(&rig), again.len() - 1);
}

/// One that has only just come is asked for what ten others do not send, block by block.
/// `word` is what these say meanwhile.
fn time_beside_silent_peers(before: Duration, word: Option<&Message>) -> Duration {
    let mut have = Bitfield::full(PIECES);
    have.clear(PieceIndex(3));
    have.clear(PieceIndex(4));
    let mut rig = Rig::with(have, |_| {});
    let silent: Vec<_> = (1..=10).map(|last| rig.willing_seed(last)).collect();
    rig.wait(before);
    let good = rig.willing_seed(11);
    let begun = rig.now;
    while rig.torrent.pieces.left() > 0 {
        for block in rig.requests_to(good) {
            rig.block(good, block);
            rig.tell(Input::Flush(good));
        }
        for piece in [PieceIndex(3), PieceIndex(4)] {
            if rig.torrent.pieces.partial(piece).is_some()
                && !rig.torrent.pieces.is_incomplete(piece)
            {
                rig.tell(Input::PieceChecked(
                    piece,
                    PieceVerdict::Good {
                        digests: Vec::new(),
                    },
                ));
            }
        }
        for &peer in &silent {
            if let Some(word) = word {
                rig.hear(peer, word.clone());
            }
        }
        rig.wait(Duration::from_millis(100));
        assert!(rig.now < begun + 4 * SNUB_AFTER, "it is never asked");
    }
    rig.now - begun
}

#[test]
fn peers_that_never_answer_do_not_keep_blocks_from_one_that_does() {
    // They are still hoped for; nobody has given them up; they have just been given up, and again.
    for (before, most) in [(0, 9), (10, 2), (16, 2), (31, 2)] {
        for word in [None, Some(Message::Unchoke)] {
            let took = time_beside_silent_peers(Duration::from_secs(before), word.as_ref());
            let bound = Duration::from_secs(most);
            assert!(took < bound, "{took:?} after {before} s, {word:?}");
        }
    }
}
