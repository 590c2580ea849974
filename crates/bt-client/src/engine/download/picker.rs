//! The choice of blocks: the most urgent class first, and in it finish what is started, then rarest first, the first
//! pieces at random (BEP 3).
//!
//! It sees one peer through [`Ask`] and must not know connections, time, or other peers.

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::Bitfield;

use super::{Availability, Pieces};
use crate::engine::Priority;
use crate::engine::rng::Rng;

/// Below this many pieces of our own, the next one is chosen at random: a random piece comes sooner than a rare one,
/// and having any piece is what lets us trade.
const RANDOM_FIRST: u32 = 4;

/// What the picker needs to know of the peer that is to be asked.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// What it has.
    pub(crate) has: &'a Bitfield,
    /// It chokes us: only these pieces may be asked for (BEP 6, allowed fast).
    pub(crate) only: Option<&'a [PieceIndex]>,
    /// Pieces it would rather send (BEP 6, suggest).
    pub(crate) suggested: &'a [PieceIndex],
    /// The piece whose blocks it was asked for last; updated.
    pub(crate) current: &'a mut Option<PieceIndex>,
    /// In the order of the pieces instead of by rarity.
    pub(crate) sequential: bool,
    /// Pieces that wait for a peer like it and are asked for before all others.
    pub(crate) first: &'a [PieceIndex],
    /// Pieces that are for others alone; each may be named several times.
    pub(crate) barred: &'a [PieceIndex],
    /// How many listed pieces it has: without any there is nothing to search for.
    pub(crate) open: u32,
    /// Where pieces are noted that were started.
    pub(crate) started: &'a mut Vec<PieceIndex>,
}

impl Ask<'_> {
    fn may(&self, piece: PieceIndex) -> bool {
        self.has.get(piece)
            && self.only.is_none_or(|only| only.contains(&piece))
            && !self.barred.contains(&piece)
    }

    /// Whether it may have a listed piece for us. A search costs as much as there are listed pieces, so it must not be
    /// made in vain by every message of a peer.
    fn has_open(&self, availability: &Availability) -> bool {
        // One that it has passed over several requests of is named as often.
        let is_first = |at: usize, piece| !self.barred[..at].contains(piece);
        let barred = self.barred.iter().enumerate().filter(|(at, piece)| {
            availability.is_listed(**piece) && self.has.get(**piece) && is_first(*at, piece)
        });
        let barred = barred.count();
        self.open as usize > barred + self.started.len()
    }
}

/// Appends up to `count` blocks to ask for; marks them requested.
pub(crate) fn next_blocks(
    pieces: &mut Pieces,
    availability: &mut Availability,
    ask: &mut Ask<'_>,
    count: usize,
    rng: &mut Rng,
    out: &mut Vec<BlockRef>,
) {
    let end = out.len() + count;
    while out.len() < end {
        if let Some(piece) = *ask.current {
            if ask.may(piece)
                && let Some(block) = pieces.take_missing(piece)
            {
                out.push(block);
                continue;
            }
            *ask.current = None;
        }
        *ask.current = first_piece(pieces, availability, ask);
        for &class in pieces.classes() {
            if ask.current.is_none() {
                *ask.current = started_piece(pieces, ask, class)
                    .or_else(|| new_piece(pieces, availability, ask, class, rng));
            }
        }
        if ask.current.is_none() {
            return;
        }
    }
}

/// A piece that comes before all others; it is started if it is not under way.
fn first_piece(
    pieces: &mut Pieces,
    availability: &mut Availability,
    ask: &mut Ask<'_>,
) -> Option<PieceIndex> {
    let is_open = |piece: &PieceIndex| match pieces.partial(*piece) {
        Some(partial) => partial.missing() > 0,
        None => availability.is_listed(*piece),
    };
    let first = ask.first.iter().copied();
    let piece = first.filter(|piece| ask.may(*piece)).find(is_open)?;
    if pieces.partial(piece).is_none() {
        start(pieces, availability, ask, piece);
    }
    Some(piece)
}

/// A piece under way with blocks that nobody has been asked for; the one closest to completion.
fn started_piece(pieces: &Pieces, ask: &Ask<'_>, class: Priority) -> Option<PieceIndex> {
    if pieces.unrequested_blocks() == 0 {
        return None;
    }
    let open = pieces
        .partials()
        .filter(|(piece, partial)| partial.missing() > 0 && ask.may(*piece))
        .filter(|(piece, _)| pieces.priority(*piece) == class);
    open.min_by_key(|(_, partial)| partial.missing())
        .map(|(piece, _)| piece)
}

/// A piece that nobody has been asked for; it is started.
fn new_piece(
    pieces: &mut Pieces,
    availability: &mut Availability,
    ask: &mut Ask<'_>,
    class: Priority,
    rng: &mut Rng,
) -> Option<PieceIndex> {
    let piece = choose_new(pieces, availability, ask, class, rng)?;
    start(pieces, availability, ask, piece);
    Some(piece)
}

fn start(
    pieces: &mut Pieces,
    availability: &mut Availability,
    ask: &mut Ask<'_>,
    piece: PieceIndex,
) {
    availability.unlist(piece);
    pieces.start(piece);
    ask.started.push(piece);
}

fn choose_new(
    pieces: &Pieces,
    availability: &mut Availability,
    ask: &Ask<'_>,
    class: Priority,
    rng: &mut Rng,
) -> Option<PieceIndex> {
    if availability.listed(class) == 0 || !ask.has_open(availability) {
        return None;
    }
    if ask.sequential && ask.only.is_none() {
        return availability
            .in_sequence(class)
            .find(|piece| ask.may(*piece));
    }
    let is_open = |piece: &PieceIndex| {
        ask.may(*piece) && availability.is_listed(*piece) && pieces.priority(*piece) == class
    };
    if let Some(only) = ask.only {
        return only.iter().copied().find(is_open);
    }
    // What no peer has is at the front of the list, which may be most of it.
    let listed = if ask.has.is_full() {
        availability.of_class(class)
    } else {
        availability.of_class_with_peers(class)
    };
    let listed = listed.iter().map(|piece| PieceIndex(*piece));
    let mut candidates = listed.filter(|piece| ask.may(*piece));
    if let Some(piece) = ask.suggested.iter().copied().find(is_open) {
        return Some(piece);
    }
    if pieces.have().count_ones() < RANDOM_FIRST {
        // A few draws, then the list from a random place: uniform enough, and bounded.
        let listed = availability.listed(class);
        let start = rng.below(listed);
        let random = (0..listed).filter_map(|step| availability.listed_at(class, start + step));
        return random
            .take(64)
            .find(|piece| ask.may(*piece))
            .or_else(|| candidates.next());
    }
    candidates.next()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bt_metainfo::{BLOCK_SIZE, Layout, PieceIndex};
    use bt_wire::Bitfield;

    use super::{Ask, next_blocks};
    use crate::engine::download::{Availability, Pieces};
    use crate::engine::rng::Rng;

    /// A peer that had passed over two requests of one piece was asked for nothing else, as long as it had few pieces.
    #[test]
    fn a_piece_that_is_barred_twice_bars_no_other() {
        let rng = &mut Rng::new(1);
        let layout = Layout::new(BLOCK_SIZE, [(2 * u64::from(BLOCK_SIZE), false)]).unwrap();
        let (none, all) = (Bitfield::new(2), Bitfield::full(2));
        let mut pieces = Pieces::new(Arc::new(layout), none, all.clone());
        let mut availability = Availability::new(2, rng);
        availability.seed_joined();
        let mut ask = Ask {
            has: &all,
            only: None,
            suggested: &[],
            current: &mut None,
            sequential: false,
            first: &[],
            barred: &[PieceIndex(0), PieceIndex(0)],
            open: 2,
            started: &mut Vec::new(),
        };
        let mut out = Vec::new();
        next_blocks(&mut pieces, &mut availability, &mut ask, 2, rng, &mut out);
        let asked: Vec<PieceIndex> = out.iter().map(|block| block.piece).collect();
        assert_eq!(asked, [PieceIndex(1)]);
    }
}
