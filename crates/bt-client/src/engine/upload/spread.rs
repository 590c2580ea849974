//! Spreading by an initial seeder (super-seeding, BEP 16): each piece is shown to one peer, which then shows it on.
//!
//! We pretend to have nothing and reveal pieces one by one, different ones to different peers, so that close to one
//! copy leaves us before the swarm holds one. A peer gets its next piece when it has one of its own shown to others,
//! and has a few ahead so that its pipeline never runs dry. A peer that is alone is shown many more ahead: there is
//! nobody to spread to, yet others may come. It must not know connections.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bt_metainfo::PieceIndex;
use bt_wire::Bitfield;

use crate::engine::PeerKey;
use crate::engine::rng::Rng;

/// Pieces revealed to a peer that it does not have yet, at least. One: what is revealed ahead is fetched side by side, and
/// the sooner one piece is whole the sooner it is passed on; fast peers are given a second's worth anyway.
const AHEAD: usize = 1;

/// Pieces a peer may hold that nobody else has shown, before it gets no more. A peer that keeps what it takes must not
/// drain us; one that is merely slow to pass it on must not stall.
const UNSHARED: usize = 16;

/// A peer to which nothing could be revealed, and that got nothing new for this long, is given pieces again that others
/// have been given: without it, a swarm whose members do not connect to each other would stall.
const PATIENCE: Duration = Duration::from_secs(4);

#[derive(Debug)]
struct Pupil {
    /// Revealed to this peer.
    shown: Bitfield,
    /// Revealed, and the peer has yet to fetch it.
    pending: Vec<Pending>,
    /// The peer has it, or has it on its way, and nobody else has shown it.
    unshared: Vec<PieceIndex>,
    /// When it last got a piece from anyone.
    progress: Instant,
    /// It has or was shown every piece: both only grow, so there is nothing to look for any more.
    exhausted: bool,
}

/// A piece that was revealed, and how many of its bytes have been queued.
#[derive(Debug)]
struct Pending {
    piece: PieceIndex,
    served: u32,
}

impl Pupil {
    fn took(&mut self, piece: PieceIndex) {
        let at = self
            .pending
            .iter()
            .position(|pending| pending.piece == piece);
        if let Some(at) = at {
            self.pending.swap_remove(at);
            self.unshared.push(piece);
        }
    }

    /// It has got all that it was shown and nothing new from anyone for a while.
    fn is_stuck(&self, now: Instant) -> bool {
        self.pending.is_empty() && now.saturating_duration_since(self.progress) >= PATIENCE
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Spread {
    pieces: u32,
    /// To how many peers each piece has been revealed.
    reveals: Vec<u16>,
    /// Pieces revealed to nobody, in random order; taken from the end.
    fresh: Vec<PieceIndex>,
    pupils: BTreeMap<PeerKey, Pupil>,
}

impl Spread {
    pub(crate) fn new(pieces: u32, rng: &mut Rng) -> Self {
        let mut fresh: Vec<PieceIndex> = (0..pieces).map(PieceIndex).collect();
        rng.shuffle(&mut fresh);
        Self {
            pieces,
            reveals: vec![0; pieces as usize],
            fresh,
            pupils: BTreeMap::new(),
        }
    }

    pub(crate) fn joined(&mut self, now: Instant, peer: PeerKey) {
        let pupil = Pupil {
            shown: Bitfield::new(self.pieces),
            pending: Vec::new(),
            unshared: Vec::new(),
            progress: now,
            exhausted: false,
        };
        self.pupils.insert(peer, pupil);
    }

    /// `peer` is gone: what only it was given has to be given to another.
    pub(crate) fn left(&mut self, peer: PeerKey, availability: impl Fn(PieceIndex) -> u32) {
        let Some(pupil) = self.pupils.remove(&peer) else {
            return;
        };
        for piece in pupil.shown.iter_ones() {
            let reveals = &mut self.reveals[piece.0 as usize];
            *reveals = reveals.saturating_sub(1);
            if *reveals == 0 && availability(piece) == 0 {
                self.fresh.push(piece);
            }
        }
    }

    /// `peer` says that it has `piece`.
    pub(crate) fn has(
        &mut self,
        now: Instant,
        peer: PeerKey,
        piece: PieceIndex,
        availability: u32,
    ) {
        if let Some(pupil) = self.pupils.get_mut(&peer) {
            pupil.progress = now;
            pupil.took(piece);
        }
        if availability > 1 {
            for pupil in self.pupils.values_mut() {
                pupil.unshared.retain(|unshared| *unshared != piece);
            }
        }
    }

    /// `bytes` of `piece`, which has `size`, are queued for `peer`. A piece that is on its way as a whole counts as
    /// taken: some clients tell only much later what they have, and must not be kept waiting for that.
    pub(crate) fn serving(&mut self, peer: PeerKey, piece: PieceIndex, bytes: u32, size: u32) {
        let Some(pupil) = self.pupils.get_mut(&peer) else {
            return;
        };
        let Some(pending) = pupil
            .pending
            .iter_mut()
            .find(|pending| pending.piece == piece)
        else {
            return;
        };
        pending.served = pending.served.saturating_add(bytes);
        if pending.served >= size {
            pupil.took(piece);
        }
    }

    /// Whether `peer` was shown `piece`, so that it may ask for it.
    pub(crate) fn is_shown(&self, peer: PeerKey, piece: PieceIndex) -> bool {
        self.pupils
            .get(&peer)
            .is_some_and(|pupil| pupil.shown.get(piece))
    }

    /// Pieces to reveal to `peer` now, so that `ahead` (or `alone_ahead`, while it is the only peer) are revealed that it
    /// does not have. `has` is what it has, `availability` how many peers (not we) have a piece.
    pub(crate) fn reveal(
        &mut self,
        now: Instant,
        peer: PeerKey,
        has: &Bitfield,
        ahead: usize,
        alone_ahead: usize,
        availability: impl Fn(PieceIndex) -> u32,
    ) -> Vec<PieceIndex> {
        let alone = self.pupils.len() == 1;
        let Some(pupil) = self.pupils.get_mut(&peer) else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let ahead = if alone { alone_ahead } else { ahead.max(AHEAD) };
        while !pupil.exhausted
            && pupil.pending.len() < ahead
            && (alone || pupil.unshared.len() < UNSHARED)
        {
            let lacking = |piece: &PieceIndex| !has.get(*piece) && !pupil.shown.get(*piece);
            let piece = match self.fresh.iter().rposition(lacking) {
                Some(at) => Some(self.fresh.swap_remove(at)),
                // Nothing is fresh: the piece that the fewest have and the fewest were given.
                None if alone || pupil.is_stuck(now) => {
                    let rarest = (0..self.pieces)
                        .map(PieceIndex)
                        .filter(lacking)
                        .min_by_key(|p| (availability(*p), self.reveals[p.0 as usize]));
                    pupil.exhausted = rarest.is_none();
                    rarest
                }
                None => None,
            };
            let Some(piece) = piece else { break };
            pupil.shown.set(piece);
            pupil.pending.push(Pending { piece, served: 0 });
            self.reveals[piece.0 as usize] += 1;
            out.push(piece);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, Spread};
    use crate::engine::PeerKey;
    use crate::engine::rng::Rng;
    use bt_metainfo::PieceIndex;
    use bt_wire::Bitfield;
    use std::time::Instant;

    const A: PeerKey = PeerKey(1);
    const B: PeerKey = PeerKey(2);

    #[test]
    fn two_peers_are_shown_different_pieces_until_all_are_out() {
        let now = Instant::now();
        let mut spread = Spread::new(20, &mut Rng::new(1));
        spread.joined(now, A);
        spread.joined(now, B);
        let none = Bitfield::new(20);
        let a = spread.reveal(now, A, &none, 2, 50, |_| 0);
        let b = spread.reveal(now, B, &none, 2, 50, |_| 0);
        assert_eq!((a.len(), b.len()), (2, 2));
        assert!(a.iter().all(|piece| !b.contains(piece)));
        assert!(
            spread.reveal(now, A, &none, 2, 50, |_| 0).is_empty(),
            "nothing more until it has one"
        );
        spread.has(now, A, a[0], 1);
        assert_eq!(spread.reveal(now, A, &none, 2, 50, |_| 0).len(), 1);
    }

    #[test]
    fn a_lone_peer_is_shown_as_much_as_fills_its_link() {
        let now = Instant::now();
        let mut spread = Spread::new(20, &mut Rng::new(1));
        spread.joined(now, A);
        assert_eq!(
            spread
                .reveal(now, A, &Bitfield::new(20), 2, 50, |_| 0)
                .len(),
            20
        );
    }

    #[test]
    fn what_only_a_departed_peer_was_given_is_given_again() {
        let now = Instant::now();
        let mut spread = Spread::new(6, &mut Rng::new(1));
        spread.joined(now, A);
        spread.joined(now, B);
        let none = Bitfield::new(6);
        let a = spread.reveal(now, A, &none, 2, 50, |_| 0);
        spread.left(A, |_| 0);
        let b = spread.reveal(now, B, &none, 2, 50, |_| 0);
        assert!(a.iter().all(|piece| b.contains(piece)), "{a:?} {b:?}");
    }

    #[test]
    fn a_peer_that_waits_in_vain_is_given_what_others_were_given() {
        let now = Instant::now();
        let mut spread = Spread::new(2, &mut Rng::new(1));
        spread.joined(now, A);
        spread.joined(now, B);
        let none = Bitfield::new(2);
        assert_eq!(spread.reveal(now, A, &none, 2, 50, |_| 0).len(), 2);
        assert!(spread.reveal(now, B, &none, 2, 50, |_| 0).is_empty());
        let later = spread.reveal(now + PATIENCE, B, &none, 2, 50, |_| 0);
        assert!(!later.is_empty());
        assert!(spread.is_shown(B, later[0]) && !spread.is_shown(B, PieceIndex(9)));
    }
}
