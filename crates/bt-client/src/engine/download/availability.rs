//! How many peers have each piece, and the pieces still to be started in the order of rarity, class by class of
//! priority.
//!
//! Peers that have everything are counted once for all pieces, so a seed that comes or goes costs O(1). All other
//! changes of one piece cost O(1): the order is one vector cut into buckets of equal availability, and a piece moves
//! to the next bucket by one swap. Ties are broken at random. It must not know which peer has what.

use bt_metainfo::PieceIndex;

use crate::engine::Priority;
use crate::engine::rng::Rng;

const NOT_LISTED: u32 = u32::MAX;

/// See the module.
#[derive(Debug)]
pub(crate) struct Availability {
    /// Peers that have the piece, not counting those in `seeds`.
    counts: Vec<u32>,
    /// `holders[c]` = pieces that `c` peers have, not counting those in `seeds`; never shrinks.
    holders: Vec<u32>,
    /// Peers that have every piece.
    seeds: u32,
    /// The listed pieces of each class, the most urgent class first.
    classes: [Class; 3],
    /// Of each piece, the place of its class in `classes`; empty while all are normal.
    ranks: Vec<u8>,
    /// Where a piece stands in the order of its class, or `NOT_LISTED`.
    position: Vec<u32>,
}

/// Pieces of one priority.
#[derive(Debug, Default)]
struct Class {
    /// Rarest first.
    order: Vec<u32>,
    /// `ends[c]` = end in `order` of the bucket of pieces with count `c`; never shrinks.
    ends: Vec<u32>,
    /// No piece before this one is listed.
    first: u32,
}

impl Class {
    fn swap(&mut self, position: &mut [u32], a: u32, b: u32) {
        self.order.swap(a as usize, b as usize);
        position[self.order[a as usize] as usize] = a;
        position[self.order[b as usize] as usize] = b;
    }

    fn ensure_bucket(&mut self, count: u32) {
        while self.ends.len() <= count as usize {
            let end =
                u32::try_from(self.order.len()).expect("a torrent has fewer than 2^32 pieces");
            self.ends.push(end);
        }
    }

    /// Swaps a piece that `count` peers have with a random one of its bucket, so that the order of events is not the
    /// order of picks.
    fn scatter(&mut self, position: &mut [u32], piece: u32, count: u32, rng: &mut Rng) {
        let count = count as usize;
        let start = if count == 0 { 0 } else { self.ends[count - 1] };
        let width = self.ends[count] - start;
        let offset = u32::try_from(rng.below(width as usize)).unwrap_or(0);
        let here = position[piece as usize];
        self.swap(position, here, start + offset);
    }
}

impl Availability {
    /// All of `pieces` pieces are listed as normal, in random order, with no peer having any.
    pub(crate) fn new(pieces: u32, rng: &mut Rng) -> Self {
        let mut order: Vec<u32> = (0..pieces).collect();
        rng.shuffle(&mut order);
        let mut position = vec![0; pieces as usize];
        for (at, &piece) in (0u32..).zip(&order) {
            position[piece as usize] = at;
        }
        let mut classes: [Class; 3] = Default::default();
        classes[Priority::Normal.rank()] = Class {
            order,
            ends: vec![pieces],
            first: 0,
        };
        Self {
            counts: vec![0; pieces as usize],
            holders: vec![pieces],
            seeds: 0,
            classes,
            ranks: Vec::new(),
            position,
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
        self.moved(count, count + 1);
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
        self.moved(count, count - 1);
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
        let class = &mut self.classes[rank(&self.ranks, piece)];
        // Carry it over the end of each higher bucket; the last of them ends at the end of the vector.
        for count in self.counts[at] as usize..class.ends.len() {
            let last = class.ends[count] - 1;
            let here = self.position[at];
            class.swap(&mut self.position, here, last);
            class.ends[count] = last;
        }
        class.order.pop();
        self.position[at] = NOT_LISTED;
    }

    /// Puts `piece` back on the list.
    pub(crate) fn list(&mut self, piece: PieceIndex, rng: &mut Rng) {
        let at = piece.0 as usize;
        if self.position[at] != NOT_LISTED {
            return;
        }
        let class = &mut self.classes[rank(&self.ranks, piece)];
        class.ensure_bucket(self.counts[at]);
        class.first = class.first.min(piece.0);
        self.position[at] =
            u32::try_from(class.order.len()).expect("a torrent has fewer than 2^32 pieces");
        class.order.push(piece.0);
        for count in (self.counts[at] as usize..class.ends.len()).rev() {
            let end = class.ends[count];
            let here = self.position[at];
            class.swap(&mut self.position, here, end);
            class.ends[count] = end + 1;
        }
        class.scatter(&mut self.position, piece.0, self.counts[at], rng);
    }

    /// The class in which `piece`, which is not listed now, will be listed.
    pub(crate) fn set_priority(&mut self, piece: PieceIndex, priority: Priority) {
        debug_assert!(!self.is_listed(piece), "the orders would not know it again");
        if self.ranks.is_empty() && priority != Priority::Normal {
            let normal = u8::try_from(Priority::Normal.rank()).unwrap_or(0);
            self.ranks = vec![normal; self.counts.len()];
        }
        if let Some(place) = self.ranks.get_mut(piece.0 as usize) {
            *place = u8::try_from(priority.rank()).unwrap_or(0);
        }
    }

    /// Whether `piece` is on the list.
    pub(crate) fn is_listed(&self, piece: PieceIndex) -> bool {
        self.position
            .get(piece.0 as usize)
            .is_some_and(|&at| at != NOT_LISTED)
    }

    /// Listed pieces, the most urgent class first and in it the rarest.
    #[cfg(test)]
    pub(crate) fn rarest_first(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        Priority::WANTED
            .into_iter()
            .flat_map(|class| self.of_class(class))
            .map(|piece| PieceIndex(*piece))
    }

    /// Listed pieces of one class, rarest first.
    pub(crate) fn of_class(&self, class: Priority) -> &[u32] {
        &self.classes[class.rank()].order
    }

    /// The same without those that nobody but seeds has: a peer that is no seed has none of them.
    pub(crate) fn of_class_with_peers(&self, class: Priority) -> &[u32] {
        let class = &self.classes[class.rank()];
        let first = class.ends.first().map_or(0, |end| *end as usize);
        &class.order[first..]
    }

    /// The `n`-th listed piece of a class, modulo their number.
    pub(crate) fn listed_at(&self, class: Priority, n: usize) -> Option<PieceIndex> {
        let order = &self.classes[class.rank()].order;
        (!order.is_empty()).then(|| PieceIndex(order[n % order.len()]))
    }

    /// The listed pieces of one class in the order of their numbers. To find the first one costs what it takes to walk
    /// there from where it was last time.
    pub(crate) fn in_sequence(&mut self, class: Priority) -> impl Iterator<Item = PieceIndex> + '_ {
        let place = class.rank();
        let count = u32::try_from(self.position.len()).unwrap_or(u32::MAX);
        let (ranks, position) = (&self.ranks, &self.position);
        let is_of_it = move |piece: &u32| {
            position[*piece as usize] != NOT_LISTED && rank(ranks, PieceIndex(*piece)) == place
        };
        let first = &mut self.classes[place].first;
        *first = (*first..count).find(is_of_it).unwrap_or(count);
        (*first..count).filter(is_of_it).map(PieceIndex)
    }

    /// How many pieces of a class are listed.
    pub(crate) fn listed(&self, class: Priority) -> usize {
        self.classes[class.rank()].order.len()
    }

    /// Whether no piece that is wanted is listed.
    pub(crate) fn is_nothing_listed(&self) -> bool {
        Priority::WANTED
            .iter()
            .all(|class| self.listed(*class) == 0)
    }

    /// Full copies that the connected peers have together: the least availability of any piece.
    pub(crate) fn distributed_copies(&self) -> u32 {
        let least = self.holders.iter().position(|pieces| *pieces > 0);
        least.map_or(0, |least| {
            u32::try_from(least).unwrap_or(u32::MAX) + self.seeds
        })
    }

    /// A piece that `from` peers had is one that `to` peers have.
    fn moved(&mut self, from: u32, to: u32) {
        let (from, to) = (from as usize, to as usize);
        if self.holders.len() <= to {
            self.holders.resize(to + 1, 0);
        }
        self.holders[from] -= 1;
        self.holders[to] += 1;
    }

    /// Whether every listed piece stands in its class, in the bucket of its count, where `position` says.
    pub(crate) fn audit(&self) -> Result<(), String> {
        let mut standing = 0;
        for (place, class) in self.classes.iter().enumerate() {
            if !class.ends.is_sorted()
                || class.ends.last().map_or(0, |end| *end as usize) != class.order.len()
            {
                return Err(format!(
                    "ends of buckets {:?} of {} pieces",
                    class.ends,
                    class.order.len()
                ));
            }
            for (at, &piece) in (0u32..).zip(&class.order) {
                let bucket = class.ends.partition_point(|end| *end <= at);
                let count = self.counts[piece as usize] as usize;
                if bucket != count || self.position[piece as usize] != at {
                    return Err(format!(
                        "piece {piece} stands at {at} in bucket {bucket}, and {count} peers have it"
                    ));
                }
                if piece < class.first {
                    return Err(format!(
                        "piece {piece} is listed, and the first one is said to be {}",
                        class.first
                    ));
                }
                if rank(&self.ranks, PieceIndex(piece)) != place {
                    return Err(format!(
                        "piece {piece} stands in class {place}, which is not its own"
                    ));
                }
            }
            standing += class.order.len();
        }
        for (holders, pieces) in (0u32..).zip(&self.holders) {
            let counted = self.counts.iter().filter(|count| **count == holders);
            if counted.count() != *pieces as usize {
                return Err(format!(
                    "{pieces} pieces are booked as held by {holders} peers"
                ));
            }
        }
        let listed = self.position.iter().filter(|at| **at != NOT_LISTED);
        if listed.count() != standing {
            return Err(format!(
                "{standing} pieces stand in the orders, and others are listed"
            ));
        }
        Ok(())
    }

    fn raise(&mut self, piece: u32, from: u32, rng: &mut Rng) {
        let class = &mut self.classes[rank(&self.ranks, PieceIndex(piece))];
        class.ensure_bucket(from + 1);
        let last = class.ends[from as usize] - 1;
        let here = self.position[piece as usize];
        class.swap(&mut self.position, here, last);
        class.ends[from as usize] = last;
        class.scatter(&mut self.position, piece, from + 1, rng);
    }

    fn lower(&mut self, piece: u32, from: u32, rng: &mut Rng) {
        let class = &mut self.classes[rank(&self.ranks, PieceIndex(piece))];
        let first = class.ends[from as usize - 1];
        let here = self.position[piece as usize];
        class.swap(&mut self.position, here, first);
        class.ends[from as usize - 1] = first + 1;
        class.scatter(&mut self.position, piece, from - 1, rng);
    }
}

fn rank(ranks: &[u8], piece: PieceIndex) -> usize {
    let normal = || Priority::Normal.rank();
    ranks
        .get(piece.0 as usize)
        .map_or_else(normal, |&rank| usize::from(rank))
}

#[cfg(test)]
mod tests {
    use bt_metainfo::PieceIndex;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};

    use super::Availability;
    use crate::engine::Priority;
    use crate::engine::rng::Rng;

    #[derive(Debug, Clone)]
    enum Step {
        Gain(u32),
        Lose(u32),
        List(u32),
        Unlist(u32),
        Prioritize(u32, Priority),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u32..20).prop_map(Step::Gain),
            (0u32..20).prop_map(Step::Lose),
            (0u32..20).prop_map(Step::List),
            (0u32..20).prop_map(Step::Unlist),
            (0u32..20, 0usize..3)
                .prop_map(|(piece, class)| Step::Prioritize(piece, Priority::WANTED[class])),
        ]
    }

    fn check(
        availability: &mut Availability,
        counts: &[u32],
        listed: &[bool],
        classes: &[Priority],
    ) {
        let order: Vec<u32> = availability.rarest_first().map(|piece| piece.0).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let expected: Vec<u32> = (0..20).filter(|&piece| listed[piece as usize]).collect();
        assert_eq!(
            sorted, expected,
            "exactly the listed pieces stand in the order"
        );
        let along: Vec<_> = order
            .iter()
            .map(|&piece| {
                (
                    std::cmp::Reverse(classes[piece as usize]),
                    counts[piece as usize],
                )
            })
            .collect();
        for class in Priority::WANTED {
            let expected = expected.iter().copied();
            let expected = expected.filter(|piece| classes[*piece as usize] == class);
            let sequence = availability.in_sequence(class).map(|piece| piece.0);
            assert!(sequence.eq(expected), "{class:?}");
        }
        assert!(
            along.is_sorted(),
            "the order is by class, then availability: {along:?}"
        );
    }

    proptest! {
        #[test]
        fn the_order_is_always_by_class_and_availability(steps in proptest::collection::vec(step(), 0..200), seed in any::<u64>()) {
            let mut rng = Rng::new(seed);
            let mut availability = Availability::new(20, &mut rng);
            let (mut counts, mut listed) = (vec![0u32; 20], vec![true; 20]);
            let mut classes = vec![Priority::Normal; 20];
            for step in steps {
                match step {
                    Step::Gain(piece) => { availability.gained(PieceIndex(piece), &mut rng); counts[piece as usize] += 1; }
                    Step::Lose(piece) => {
                        availability.lost(PieceIndex(piece), &mut rng);
                        counts[piece as usize] = counts[piece as usize].saturating_sub(1);
                    }
                    Step::List(piece) => { availability.list(PieceIndex(piece), &mut rng); listed[piece as usize] = true; }
                    Step::Unlist(piece) => { availability.unlist(PieceIndex(piece)); listed[piece as usize] = false; }
                    Step::Prioritize(piece, class) => {
                        availability.unlist(PieceIndex(piece));
                        availability.set_priority(PieceIndex(piece), class);
                        (listed[piece as usize], classes[piece as usize]) = (false, class);
                    }
                }
                check(&mut availability, &counts, &listed, &classes);
                availability.audit().unwrap();
            }
        }
    }
}
