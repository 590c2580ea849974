//! A hash table of positions in a dense array: open addressing, linear probing, four bytes a slot.
//!
//! It stores no keys. The owner says whether the item at a position is the one sought and what an
//! item's hash is; hashes are keyed, so that a stranger cannot choose keys that collide. Used for
//! the torrents of a shard and for the peers of a large torrent.

/// A free slot. No position reaches it, since positions have [`POSITION_BITS`] bits.
const FREE: u32 = u32::MAX;

/// Bits of a slot that hold a position; the others hold a part of the hash, which spares nearly
/// all looks at items that are not the one sought.
const POSITION_BITS: u32 = 24;

const POSITION_MASK: u32 = (1 << POSITION_BITS) - 1;

/// Positions must stay below this.
pub(super) const MAX_POSITIONS: u32 = POSITION_MASK;

const MIN_SLOTS: usize = 8;

/// See the head of this file. At most four fifths of the slots are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Empty, or a power of two in length with at least one free slot.
    slots: Box<[u32]>,
    taken: usize,
}

impl Index {
    /// The position whose item has this hash and satisfies `is_it`.
    pub(super) fn find(&self, hash: u64, mut is_it: impl FnMut(usize) -> bool) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let tag = tag(hash);
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == FREE {
                return None;
            }
            if slot & !POSITION_MASK == tag && is_it(position(slot)) {
                return Some(position(slot));
            }
            at = self.after(at);
        }
    }

    /// The slot that [`Index::find`] looks at first.
    pub(super) fn first_slot(&self, hash: u64) -> Option<&u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots.get(self.home(hash))
    }

    /// Adds an item that is not there yet. `hash_of` gives the hash of the item at a position; it
    /// is asked when the table grows.
    pub(super) fn insert(&mut self, hash: u64, position: usize, hash_of: impl FnMut(usize) -> u64) {
        debug_assert!(position < MAX_POSITIONS as usize, "positions have 24 bits");
        if (self.taken + 1) * 5 > self.slots.len() * 4 {
            self.resize((self.slots.len() * 2).max(MIN_SLOTS), hash_of);
        }
        self.place(hash, position);
        self.taken += 1;
    }

    /// Takes out the item with this hash at this position.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        position: usize,
        mut hash_of: impl FnMut(usize) -> u64,
    ) {
        let Some(mut hole) = self.slot_of(hash, position) else {
            debug_assert!(false, "only items that are there are removed");
            return;
        };
        // Items after the hole move into it unless that would put them before their home.
        let mut at = hole;
        loop {
            at = self.after(at);
            let slot = self.slots[at];
            if slot == FREE {
                break;
            }
            let home = self.home(hash_of(slot as usize & POSITION_MASK as usize));
            let mask = self.slots.len() - 1;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = FREE;
        self.taken -= 1;
    }

    /// Says that the item with this hash has moved from one position to another.
    pub(super) fn relocate(&mut self, hash: u64, from: usize, to: usize) {
        if let Some(at) = self.slot_of(hash, from) {
            self.slots[at] = entry(hash, to);
        } else {
            debug_assert!(false, "only items that are there move");
        }
    }

    /// Says that two items have exchanged their positions.
    pub(super) fn exchange(&mut self, (hash_a, a): (u64, usize), (hash_b, b): (u64, usize)) {
        if let (Some(at_a), Some(at_b)) = (self.slot_of(hash_a, a), self.slot_of(hash_b, b)) {
            self.slots[at_a] = entry(hash_a, b);
            self.slots[at_b] = entry(hash_b, a);
        } else {
            debug_assert!(false, "only items that are there change places");
        }
    }

    /// Gives memory back when less than a fifth of the slots are taken.
    pub(super) fn shrink(&mut self, hash_of: impl FnMut(usize) -> u64) {
        if self.slots.len() > MIN_SLOTS && self.taken * 5 < self.slots.len() {
            let wanted = (self.taken * 2).next_power_of_two().max(MIN_SLOTS);
            self.resize(wanted, hash_of);
        }
    }

    fn resize(&mut self, slots: usize, mut hash_of: impl FnMut(usize) -> u64) {
        let old = std::mem::replace(&mut self.slots, vec![FREE; slots].into_boxed_slice());
        for slot in old {
            if slot != FREE {
                self.place(hash_of(position(slot)), position(slot));
            }
        }
    }

    fn place(&mut self, hash: u64, position: usize) {
        let mut at = self.home(hash);
        while self.slots[at] != FREE {
            at = self.after(at);
        }
        self.slots[at] = entry(hash, position);
    }

    fn slot_of(&self, hash: u64, position: usize) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let sought = entry(hash, position);
        let mut at = self.home(hash);
        while self.slots[at] != FREE {
            if self.slots[at] == sought {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the mask keeps it in range"
    )]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }
}

fn position(slot: u32) -> usize {
    (slot & POSITION_MASK) as usize
}

/// The part of the hash that a slot keeps. The highest tag is not used, so that no entry equals
/// [`FREE`].
fn tag(hash: u64) -> u32 {
    let byte = u32::from(hash.to_be_bytes()[0]);
    byte.min(0xfe) << POSITION_BITS
}

#[expect(clippy::cast_possible_truncation, reason = "positions have 24 bits")]
fn entry(hash: u64, position: usize) -> u32 {
    tag(hash) | (position as u32 & POSITION_MASK)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Few distinct hashes, so that items collide all the time.
    fn hash(key: u16) -> u64 {
        u64::from(key % 13).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(key & 1) << 60
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_map(operations in prop::collection::vec((0u8..4, 0u16..200), 0..600)) {
            let mut items: Vec<u16> = Vec::new();
            let mut index = Index::default();
            let mut model = BTreeMap::new();
            for (operation, key) in operations {
                let found = index.find(hash(key), |at| items[at] == key);
                prop_assert_eq!(found.is_some(), model.contains_key(&key));
                match (operation, found) {
                    (0 | 1, None) => {
                        items.push(key);
                        index.insert(hash(key), items.len() - 1, |at| hash(items[at]));
                        model.insert(key, ());
                    }
                    (2, Some(at)) => {
                        index.remove(hash(key), at, |at| hash(items[at]));
                        let last = items.len() - 1;
                        if at != last {
                            index.relocate(hash(items[last]), last, at);
                        }
                        items.swap_remove(at);
                        model.remove(&key);
                        index.shrink(|at| hash(items[at]));
                    }
                    (3, Some(at)) => {
                        let other = items.len() / 2;
                        if other != at {
                            index.exchange((hash(key), at), (hash(items[other]), other));
                            items.swap(at, other);
                        }
                    }
                    _ => {}
                }
                for (at, &key) in items.iter().enumerate() {
                    prop_assert_eq!(index.find(hash(key), |p| items[p] == key), Some(at));
                }
            }
        }
    }
}
