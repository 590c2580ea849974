//! How many peers have each piece, and the pieces still to be started in the order of rarity.
//!
//! Peers that have everything are counted once for all pieces, so a seed that comes or goes costs O(1). All other
//! changes of one piece cost O(1): the order is one vector cut into buckets of equal availability, and a piece moves
//! to the next bucket by one swap. Ties are broken at random. It must not know which peer has what.

use bt_metainfo::PieceIndex;

use crate::engine::rng::Rng;

const NOT_LISTED: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Availability {
    /// Peers that have the piece, not counting those in `seeds`.
    counts: Vec<u32>,
    /// Peers that have every piece.
    seeds: u32,
    /// Listed pieces, rarest first.
    order: Vec<u32>,
    /// Where a piece stands in `order`, or `NOT_LISTED`.
    position: Vec<u32>,
    /// `ends[c]` = end in `order` of the bucket of pieces with count `c`; never shrinks.
    ends: Vec<u32>,
}

impl Availability {
    /// All of `pieces` pieces are listed, in random order, with no peer having any.
    pub(crate) fn new(pieces: u32, rng: &mut Rng) -> Self {
        let mut order: Vec<u32> = (0..pieces).collect();
        rng.shuffle(&mut order);
        let mut position = vec![0; pieces as usize];
        for (at, &piece) in (0u32..).zip(&order) {
            position[piece as usize] = at;
        }
        Self {
            counts: vec![0; pieces as usize],
            seeds: 0,
            order,
            position,
            ends: vec![pieces],
        }
    }

    /// How many peers have `piece`.
    pub(crate) fn of(&self, piece: PieceIndex) -> u32 {
        self.counts
            .get(piece.0 as usize)
            .map_or(0, |count| count + self.seeds)
    }

    pub(crate) fn seed_joined(&mut self) {
        self.seeds += 1;
    }

    pub(crate) fn seed_left(&mut self) {
        self.seeds = self.seeds.saturating_sub(1);
    }

    /// A peer that is not counted among the seeds got `piece`.
    pub(crate) fn gained(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let at = piece.0 as usize;
        let count = self.counts[at];
        self.counts[at] += 1;
        if self.position[at] != NOT_LISTED {
            self.raise(piece.0, count, rng);
        }
    }

    /// A peer that had `piece` is gone, or has become one of the seeds.
    pub(crate) fn lost(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let at = piece.0 as usize;
        let count = self.counts[at];
        if count == 0 {
            return;
        }
        self.counts[at] -= 1;
        if self.position[at] != NOT_LISTED {
            self.lower(piece.0, count, rng);
        }
    }

    /// Takes `piece` off the list: it has been started, is here, or is not wanted.
    pub(crate) fn unlist(&mut self, piece: PieceIndex) {
        let at = piece.0 as usize;
        if self.position[at] == NOT_LISTED {
            return;
        }
        // Carry it over the end of each higher bucket; the last of them ends at the end of the vector.
        for count in self.counts[at] as usize..self.ends.len() {
            let last = self.ends[count] - 1;
            self.swap(self.position[at], last);
            self.ends[count] = last;
        }
        self.order.pop();
        self.position[at] = NOT_LISTED;
    }

    /// Puts `piece` back on the list.
    pub(crate) fn list(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let at = piece.0 as usize;
        if self.position[at] != NOT_LISTED {
            return;
        }
        self.ensure_bucket(self.counts[at]);
        self.position[at] =
            u32::try_from(self.order.len()).expect("a torrent has fewer than 2^32 pieces");
        self.order.push(piece.0);
        for count in (self.counts[at] as usize..self.ends.len()).rev() {
            let end = self.ends[count];
            self.swap(self.position[at], end);
            self.ends[count] = end + 1;
        }
        self.scatter(piece.0, rng);
    }

    /// Whether `piece` is on the list.
    pub(crate) fn is_listed(&self, piece: PieceIndex) -> bool {
        self.position
            .get(piece.0 as usize)
            .is_some_and(|&at| at != NOT_LISTED)
    }

    /// Listed pieces, rarest first.
    pub(crate) fn rarest_first(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        self.order.iter().map(|&piece| PieceIndex(piece))
    }

    /// The `n`-th listed piece, modulo their number.
    pub(crate) fn listed_at(&self, n: usize) -> Option<PieceIndex> {
        (!self.order.is_empty()).then(|| PieceIndex(self.order[n % self.order.len()]))
    }

    pub(crate) fn listed(&self) -> usize {
        self.order.len()
    }

    /// Full copies that the connected peers have together: the least availability of any piece.
    pub(crate) fn distributed_copies(&self) -> u32 {
        self.counts
            .iter()
            .min()
            .map_or(0, |least| least + self.seeds)
    }

    fn raise(&mut self, piece: u32, from: u32, rng: &mut Rng) {
        self.ensure_bucket(from + 1);
        let last = self.ends[from as usize] - 1;
        self.swap(self.position[piece as usize], last);
        self.ends[from as usize] = last;
        self.scatter(piece, rng);
    }

    fn lower(&mut self, piece: u32, from: u32, rng: &mut Rng) {
        let first = self.ends[from as usize - 1];
        self.swap(self.position[piece as usize], first);
        self.ends[from as usize - 1] = first + 1;
        self.scatter(piece, rng);
    }

    /// Swaps `piece` with a random member of its own bucket, so that the order of events is not the order of picks.
    fn scatter(&mut self, piece: u32, rng: &mut Rng) {
        let count = self.counts[piece as usize] as usize;
        let start = if count == 0 { 0 } else { self.ends[count - 1] };
        let width = self.ends[count] - start;
        let offset = u32::try_from(rng.below(width as usize)).unwrap_or(0);
        self.swap(self.position[piece as usize], start + offset);
    }

    fn ensure_bucket(&mut self, count: u32) {
        while self.ends.len() <= count as usize {
            let end =
                u32::try_from(self.order.len()).expect("a torrent has fewer than 2^32 pieces");
            self.ends.push(end);
        }
    }

    fn swap(&mut self, a: u32, b: u32) {
        self.order.swap(a as usize, b as usize);
        self.position[self.order[a as usize] as usize] = a;
        self.position[self.order[b as usize] as usize] = b;
    }
}

#[cfg(test)]
mod tests {
    use bt_metainfo::PieceIndex;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::Availability;
    use crate::engine::rng::Rng;

    #[derive(Debug, Clone)]
    enum Step {
        Gain(u32),
        Lose(u32),
        List(u32),
        Unlist(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u32..20).prop_map(Step::Gain),
            (0u32..20).prop_map(Step::Lose),
            (0u32..20).prop_map(Step::List),
            (0u32..20).prop_map(Step::Unlist),
        ]
    }

    fn check(availability: &Availability, counts: &[u32], listed: &[bool]) {
        let order: Vec<u32> = availability.rarest_first().map(|piece| piece.0).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let expected: Vec<u32> = (0..20).filter(|&piece| listed[piece as usize]).collect();
        assert_eq!(
            sorted, expected,
            "exactly the listed pieces stand in the order"
        );
        let along: Vec<u32> = order.iter().map(|&piece| counts[piece as usize]).collect();
        assert!(along.is_sorted(), "the order is by availability: {along:?}");
    }

    proptest! {
        #[test]
        fn the_order_is_always_by_availability(steps in proptest::collection::vec(step(), 0..200), seed in any::<u64>()) {
            let mut rng = Rng::new(seed);
            let mut availability = Availability::new(20, &mut rng);
            let (mut counts, mut listed) = (vec![0u32; 20], vec![true; 20]);
            for step in steps {
                match step {
                    Step::Gain(piece) => { availability.gained(PieceIndex(piece), &mut rng); counts[piece as usize] += 1; }
                    Step::Lose(piece) => {
                        availability.lost(PieceIndex(piece), &mut rng);
                        counts[piece as usize] = counts[piece as usize].saturating_sub(1);
                    }
                    Step::List(piece) => { availability.list(PieceIndex(piece), &mut rng); listed[piece as usize] = true; }
                    Step::Unlist(piece) => { availability.unlist(PieceIndex(piece)); listed[piece as usize] = false; }
                }
                check(&availability, &counts, &listed);
            }
        }
    }
}
