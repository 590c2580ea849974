//! An initial seeder against peers that take, keep, pass on, or do none of it.

use super::{HOLD_UP, LOOK_AFTER, Listener, PATIENCE, Spread, UNMOVED, UNSHARED};
use crate::engine::PeerKey;
use crate::engine::rng::Rng;
use bt_metainfo::{Layout, PieceIndex};
use bt_wire::Bitfield;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

const MIB: u32 = 1 << 20;
const A: PeerKey = PeerKey(1);
const B: PeerKey = PeerKey(2);
const C: PeerKey = PeerKey(3);

/// What is revealed, and that is what is found in the plain way.
fn reveal(
    spread: &mut Spread,
    now: Instant,
    listeners: &[Listener<'_>],
    availability: u32,
) -> Vec<(PeerKey, PieceIndex)> {
    let mut plain = spread.clone();
    let expected = plain.reveal_plainly(now, listeners, |_| availability);
    let rates = listeners.iter().map(|listener| listener.rate).sum();
    let look = |key| listeners.iter().find(|one| one.key == key).copied();
    let told = spread.reveal(now, rates, look, |_| availability);
    assert_eq!(told, expected);
    assert!(spread.is_like(&plain));
    told
}

/// Peers that have nothing and hear of pieces of 1 MiB.
struct Class {
    spread: Spread,
    now: Instant,
    pieces: u32,
    peers: Vec<(PeerKey, f64)>,
    interested: bool,
}

impl Class {
    fn new(pieces: u32, peers: &[PeerKey]) -> Self {
        let now = Instant::now();
        let total = u64::from(pieces) * u64::from(MIB);
        let layout = Layout::new(MIB, [(total, false)]).expect("a layout");
        let mut spread = Spread::new(&Arc::new(layout), &mut Rng::new(1));
        for peer in peers {
            spread.joined(now, *peer);
        }
        Self {
            spread,
            now,
            pieces,
            peers: peers.iter().map(|peer| (*peer, 0.0)).collect(),
            interested: true,
        }
    }

    fn reveal(&mut self) -> Vec<(PeerKey, PieceIndex)> {
        let has = Bitfield::new(self.pieces);
        let listeners: Vec<_> = self
            .peers
            .iter()
            .map(|&(key, rate)| Listener {
                key,
                has: &has,
                interested: self.interested,
                rate,
            })
            .collect();
        reveal(&mut self.spread, self.now, &listeners, 0)
    }

    /// All of `piece` is asked for by `peer` and leaves.
    fn send(&mut self, (peer, piece): (PeerKey, PieceIndex)) {
        self.spread.serving(self.now, peer, piece, MIB);
        self.spread.sent(self.now, peer, u64::from(MIB));
    }
}

#[test]
fn peers_are_shown_different_pieces_few_at_a_time_and_in_turn() {
    let mut class = Class::new(20, &[A, B, C]);
    let first = class.reveal();
    let keys: Vec<_> = first.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [A, B], "two pieces are on their way, the third waits");
    assert_ne!(first[0].1, first[1].1);
    assert!(class.reveal().is_empty(), "nothing more until one has left");
    class.send(first[0]);
    let next = class.reveal();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].0, C, "who has waited longest is next");
}

#[test]
fn a_fast_line_carries_more_at_once() {
    let mut class = Class::new(200, &[A, B, C]);
    for peer in &mut class.peers {
        peer.1 = 8.0 * f64::from(MIB);
    }
    // 24 MiB/s in all: 8 MiB are on their way at any time.
    assert_eq!(class.reveal().len(), 8);
}

#[test]
fn a_peer_that_takes_nothing_does_not_hold_up_the_others() {
    let mut class = Class::new(20, &[A, B, C]);
    class.reveal();
    assert!(class.reveal().is_empty());
    class.now += HOLD_UP;
    let late = class.reveal();
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!(late[0].0, C);
}

#[test]
fn what_a_silent_peer_was_shown_is_for_others_again() {
    let mut class = Class::new(2, &[A, B, C]);
    let first = class.reveal();
    assert_eq!(first.len(), 2);
    // One asks for its piece and never reads it, the other does not even ask.
    class.spread.serving(class.now, first[0].0, first[0].1, MIB);
    class.now += PATIENCE;
    let again = class.reveal();
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0].0, C);
    class.send(again[0]);
    let rest = class.reveal();
    assert_eq!(rest.len(), 1, "C gets the other as well: {rest:?}");
    assert_eq!(rest[0].0, C);
    class.send(first[0]);
    assert!(
        !class.spread.roll.get(first[0].0).unwrap().deaf,
        "it reads after all"
    );
}

#[test]
fn a_peer_that_wants_only_some_pieces_is_shown_them_in_time() {
    let mut class = Class::new(60, &[A, B]);
    let mut rounds = 0;
    // A wants the last piece and nothing else, B takes nothing at all.
    while !class.spread.is_shown(A, PieceIndex(59)) {
        class.reveal();
        class.now += PATIENCE;
        rounds += 1;
        assert!(rounds < 10, "seven doublings are enough for sixty pieces");
    }
    class.send((A, PieceIndex(59)));
    assert!(!class.spread.roll.get(A).unwrap().deaf);
    assert!(!class.spread.fresh.contains(&PieceIndex(59)));
}

/// Forty-eight seconds went by until a leecher of one small file was shown it.
#[test]
fn a_peer_that_is_not_interested_is_soon_shown_all_there_is() {
    let mut class = Class::new(2000, &[A]);
    class.interested = false;
    let mut rounds = 0;
    let all = |spread: &Spread| spread.roll.get(A).unwrap().shown.is_full();
    while !all(&class.spread) {
        class.reveal();
        class.now += UNMOVED;
        rounds += 1;
        assert!(
            rounds <= 6,
            "{}",
            class.spread.roll.get(A).unwrap().shown.count_ones()
        );
    }
    class.send((A, PieceIndex(7)));
    fresh_is_a_set(&class.spread);
    assert_eq!(
        class.spread.fresh.len(),
        1999,
        "the others are for whoever comes"
    );
}

/// Most of what it was shown it had already, and eight seconds went by before it was shown what it lacked.
#[test]
fn a_peer_that_lacks_one_piece_is_shown_that_piece() {
    let mut class = Class::new(200, &[A, B]);
    let mut has = Bitfield::full(200);
    has.clear(PieceIndex(7));
    class.spread.introduced(class.now, A, &has);
    let listener = Listener {
        key: A,
        has: &has,
        interested: true,
        rate: 0.0,
    };
    let shown = reveal(&mut class.spread, class.now, &[listener], 1);
    assert_eq!(shown, [(A, PieceIndex(7))]);
    fresh_is_a_set(&class.spread);
    // It may keep what it has for itself, or not have it: B is shown that all the same, without a pause.
    class.spread.introduced(class.now, B, &Bitfield::new(200));
    class.peers = vec![(B, 0.0)];
    for _ in 0..100 {
        let told = class.reveal();
        assert!(!told.is_empty());
        told.into_iter().for_each(|told| class.send(told));
        class.spread.roll.change(B, |pupil| pupil.unshared.clear());
    }
    class.spread.left(A, &has, |_| 0);
    fresh_is_a_set(&class.spread);
}

/// Its bytes counted as under way for ever, and it was never shown anything again.
#[test]
fn what_a_peer_cancels_is_not_under_way_to_it() {
    let mut class = Class::new(20, &[A]);
    let (_, piece) = class.reveal()[0];
    class.spread.serving(class.now, A, piece, MIB);
    assert_eq!(class.spread.roll.get(A).unwrap().unshared, [piece]);
    class.spread.canceled(A, &Bitfield::new(20), piece, MIB);
    let pupil = class.spread.roll.get(A).unwrap();
    assert!(pupil.queued == 0 && pupil.unshared.is_empty());
    assert_eq!(
        (pupil.pending[0].piece, pupil.pending[0].left),
        (piece, MIB)
    );
    class.now += PATIENCE;
    class.reveal();
    class.now += PATIENCE;
    assert!(!class.reveal().is_empty(), "it is offered others");
}

/// One that asked for the same block many times and took it back as often seemed to lack far more than there is.
#[test]
fn a_peer_lacks_no_more_of_a_piece_than_there_is() {
    let mut class = Class::new(20, &[A]);
    let (_, piece) = class.reveal()[0];
    for _ in 0..3 {
        class.spread.serving(class.now, A, piece, MIB);
    }
    let none = Bitfield::new(20);
    for _ in 0..3 {
        class.spread.canceled(A, &none, piece, MIB);
    }
    assert_eq!(class.spread.roll.get(A).unwrap().pending[0].left, MIB);
}

/// It was waited for that it asked again, and it was shown nothing else meanwhile.
#[test]
fn a_peer_that_cancels_what_it_has_or_nothing_is_shown_more() {
    let mut class = Class::new(20, &[A]);
    let (_, piece) = class.reveal()[0];
    class.spread.serving(class.now, A, piece, MIB);
    let mut has = Bitfield::new(20);
    class.spread.canceled(A, &has, piece, 0);
    assert!(class.spread.roll.get(A).unwrap().pending.is_empty());
    has.set(piece);
    class.spread.has(class.now, A, piece, 1);
    class.spread.canceled(A, &has, piece, MIB);
    let pupil = class.spread.roll.get(A).unwrap();
    assert!(pupil.queued == 0 && pupil.pending.is_empty());
    assert_eq!(class.reveal().len(), 1);
}

#[test]
fn a_peer_that_keeps_what_it_takes_comes_last_but_is_not_left_without() {
    let mut class = Class::new(60, &[A, B]);
    let mut shown = [0, 0];
    for round in 0..40 {
        for (peer, piece) in class.reveal() {
            class.send((peer, piece));
            shown[usize::from(peer == B)] += 1;
            if peer == B {
                // B passes everything on, A nothing.
                class.spread.has(class.now, A, piece, 2);
            }
        }
        if round == 10 {
            assert!(shown[0] <= UNSHARED && shown[1] > 0, "{shown:?}");
        }
    }
    assert!(class.reveal().is_empty(), "everything is out: {shown:?}");
}

#[test]
fn a_lone_peer_is_shown_as_much_as_fills_its_link() {
    let mut class = Class::new(200, &[A]);
    assert_eq!(class.reveal().len(), 4);
    class.peers[0].1 = 5.0 * f64::from(MIB);
    assert_eq!(class.reveal().len(), 6, "two seconds of its rate in all");
    let mut small = Class::new(40, &[A]);
    assert_eq!(small.reveal().len(), 2, "the rest may be for others");
}

#[test]
fn a_peer_that_has_seen_everything_is_not_looked_at_again() {
    let mut class = Class::new(3, &[A]);
    for _ in 0..3 {
        let told = class.reveal();
        assert_eq!(told.len(), 1);
        class.send(told[0]);
    }
    assert!(class.reveal().is_empty());
    assert!(class.spread.roll.get(A).unwrap().exhausted);
}

#[test]
fn what_only_a_departed_peer_was_given_is_given_again() {
    let mut class = Class::new(2, &[A, B]);
    let first = class.reveal();
    assert_eq!(first.len(), 2);
    class.spread.left(A, &Bitfield::new(2), |_| 0);
    class.peers.retain(|(key, _)| *key != A);
    class.spread.joined(class.now, C);
    class.peers.push((C, 0.0));
    assert_eq!(class.reveal(), [(C, first[0].1)]);
}

/// Whoever came next waited four seconds for it: it had been given to somebody, who was gone.
#[test]
fn what_nobody_has_any_more_is_given_again_at_once() {
    let mut class = Class::new(1, &[A, B]);
    let (first, piece) = class.reveal()[0];
    class.send((first, piece));
    class.spread.has(class.now, first, piece, 1);
    let (second, mut has) = (if first == A { B } else { A }, Bitfield::new(1));
    has.set(piece);
    class.spread.has(class.now, second, piece, 2);
    class.spread.left(first, &has, |_| 1);
    assert!(!class.spread.is_fresh.get(piece), "another has it");
    class.spread.joined(class.now, C);
    class.peers = vec![(second, 0.0), (C, 0.0)];
    class.spread.lost(second, piece, 0);
    assert_eq!(class.spread.fresh, [piece]);
    class.spread.has(class.now, second, piece, 1);
    class.spread.left(second, &has, |_| 0);
    fresh_is_a_set(&class.spread);
    class.peers = vec![(C, 0.0)];
    assert_eq!(class.reveal(), [(C, piece)]);
}

#[test]
fn a_peer_that_waits_in_vain_is_given_what_others_were_given() {
    let mut class = Class::new(2, &[A, B]);
    for told in class.reveal() {
        class.send(told);
    }
    assert!(class.reveal().is_empty(), "everything is out");
    class.now += PATIENCE;
    let later = class.reveal();
    assert_eq!(later.len(), 2, "{later:?}");
    for (peer, piece) in later {
        assert!(class.spread.is_shown(peer, piece));
    }
    assert!(!class.spread.is_shown(B, PieceIndex(9)));
}

/// Everything that is fresh, each piece once.
fn fresh_is_a_set(spread: &Spread) {
    let set: BTreeSet<PieceIndex> = spread.fresh.iter().copied().collect();
    assert_eq!(set.len(), spread.fresh.len(), "a piece is fresh twice");
    let bits: BTreeSet<PieceIndex> = spread.is_fresh.iter_ones().collect();
    assert_eq!(set, bits);
}

/// What was taken back once was taken back again when the peer left, and each piece then went out to several as fresh.
#[test]
fn peers_that_come_take_nothing_and_go_leave_everything_fresh_once() {
    let mut class = Class::new(20, &[A, B]);
    for round in 0..6 {
        for _ in 0..8 {
            class.reveal();
            class.now += PATIENCE;
            fresh_is_a_set(&class.spread);
        }
        for (key, _) in class.peers.clone() {
            class.spread.left(key, &Bitfield::new(20), |_| 0);
            class.spread.joined(class.now, key);
            fresh_is_a_set(&class.spread);
        }
        assert_eq!(class.spread.fresh.len(), 20, "round {round}");
        assert!(class.spread.reveals.iter().all(|reveals| *reveals == 0));
    }
}

#[test]
fn a_piece_that_was_taken_back_and_is_fetched_after_all_is_given() {
    let mut class = Class::new(20, &[A, B]);
    let (_, piece) = class.reveal()[0];
    class.now += PATIENCE;
    class.reveal();
    assert!(class.spread.fresh.contains(&piece));
    class.send((A, piece));
    assert!(!class.spread.fresh.contains(&piece));
    assert_eq!(class.spread.reveals[piece.0 as usize], 1);
    class.spread.left(A, &Bitfield::new(20), |_| 0);
    assert!(class.spread.fresh.contains(&piece), "only A had it");
    fresh_is_a_set(&class.spread);
}

/// It was looked at with every request and every block that left: with two hundred peers, half of a core.
#[test]
fn what_to_reveal_is_looked_at_when_something_changed_and_not_for_each_block() {
    let mut class = Class::new(20, &[A, B, C]);
    let first = class.reveal();
    assert!(!class.spread.is_due());
    let (peer, piece) = first[0];
    class.spread.serving(class.now, peer, piece, MIB / 2);
    class.spread.sent(class.now, peer, 16 * 1024);
    assert!(
        !class.spread.is_due(),
        "the piece is not yet asked for as a whole"
    );
    class.spread.serving(class.now, peer, piece, MIB / 2);
    assert!(class.spread.is_due());
    class.reveal();
    class.spread.sent(class.now, peer, LOOK_AFTER);
    assert!(class.spread.is_due());
}
