//! Sets of small numbers (pieces, files) that grow as numbers come, and their compact form in a record.
//!
//! It must not know what the numbers mean.

use crate::limits::{MAX_RECORDED_INDEX, MAX_SPAN_BYTES};

/// More empty bytes than this between two numbers cost more than a record of their own.
const WORTHWHILE_GAP: u32 = 24;

/// A set of numbers below [`MAX_RECORDED_INDEX`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexSet {
    /// Invariant: the last word, if there is one, is not zero.
    words: Vec<u64>,
}

impl IndexSet {
    /// Adds a number; numbers that no torrent has are left out.
    pub fn insert(&mut self, index: u32) {
        if index >= MAX_RECORDED_INDEX {
            return;
        }
        let (word, bit) = place(index);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, index: u32) {
        let (word, bit) = place(index);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
        while self.words.last() == Some(&0) {
            self.words.pop();
        }
    }

    /// Whether the number is among them.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// From the smallest up.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        // A set with one high number is mostly empty words.
        let words = (0u32..).zip(&self.words).filter(|(_, word)| **word != 0);
        words.flat_map(|(number, &word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| number * 64 + bit)
        })
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
        let mut set = Self::default();
        for index in indices {
            set.insert(index);
        }
        set
    }
}

fn place(index: u32) -> (usize, u64) {
    ((index / 64) as usize, 1 << (index % 64))
}

/// Numbers near each other: bit `n` of `bits`, lowest first, stands for `first + n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What bit 0 stands for.
    pub first: u32,
    /// One bit a number, at most [`MAX_SPAN_BYTES`] bytes.
    pub bits: Vec<u8>,
}

impl Span {
    /// From the smallest up.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).zip(&self.bits).flat_map(move |(number, &byte)| {
            (0..8)
                .filter(move |bit| byte >> bit & 1 == 1)
                .map(move |bit| self.first + number * 8 + bit)
        })
    }
}

/// The fewest bytes that hold all of `set`.
#[must_use]
pub fn spans(set: &IndexSet) -> Vec<Span> {
    let mut all: Vec<Span> = Vec::new();
    for index in set.iter() {
        let fits = all.last().is_some_and(|span| {
            let byte = (index - span.first) / 8;
            let used = u32::try_from(span.bits.len()).unwrap_or(u32::MAX);
            (byte as usize) < MAX_SPAN_BYTES && byte <= used + WORTHWHILE_GAP
        });
        if !fits {
            all.push(Span {
                first: index,
                bits: Vec::new(),
            });
        }
        if let Some(span) = all.last_mut() {
            let byte = ((index - span.first) / 8) as usize;
            if byte >= span.bits.len() {
                span.bits.resize(byte + 1, 0);
            }
            span.bits[byte] |= 1 << ((index - span.first) % 8);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{IndexSet, spans};
    use crate::limits::{MAX_RECORDED_INDEX, MAX_SPAN_BYTES};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn spans_hold_exactly_the_set(indices in proptest::collection::vec(0u32..3_000_000, 0..300), dense in 0u32..5000) {
            let set: IndexSet = indices.into_iter().chain(0..dense).collect();
            let spans = spans(&set);
            prop_assert!(spans.iter().all(|span| span.bits.len() <= MAX_SPAN_BYTES));
            let back: IndexSet = spans.iter().flat_map(|span| span.iter().collect::<Vec<_>>()).collect();
            prop_assert_eq!(back, set);
        }
    }

    #[test]
    fn a_full_torrent_of_the_largest_kind_takes_a_bit_a_piece() {
        let set: IndexSet = (0..1 << 21).collect();
        assert_eq!(set.len(), 1 << 21);
        let bytes: usize = spans(&set).iter().map(|span| span.bits.len()).sum();
        assert_eq!(bytes, 1 << 18);
    }

    #[test]
    fn a_span_has_so_many_bytes_and_what_is_more_is_another() {
        let most = u32::try_from(MAX_SPAN_BYTES).unwrap() * 8;
        for (numbers, expected) in [
            (most, vec![MAX_SPAN_BYTES]),
            (most + 1, vec![MAX_SPAN_BYTES, 1]),
            (2 * most, vec![MAX_SPAN_BYTES; 2]),
        ] {
            // Wherever they begin, and also where no torrent has more.
            for first in [0, 7, MAX_RECORDED_INDEX - numbers] {
                let set: IndexSet = (first..first + numbers).collect();
                let spans = spans(&set);
                let lengths: Vec<_> = spans.iter().map(|span| span.bits.len()).collect();
                assert_eq!(lengths, expected, "{numbers} from {first}");
                let back = spans
                    .iter()
                    .flat_map(|span| span.iter().collect::<Vec<_>>());
                assert_eq!(back.collect::<IndexSet>(), set);
            }
        }
    }

    #[test]
    fn numbers_at_the_limit_are_kept_and_beyond_it_left_out() {
        let mut set = IndexSet::default();
        set.insert(MAX_RECORDED_INDEX - 1);
        set.insert(MAX_RECORDED_INDEX);
        set.insert(u32::MAX);
        assert_eq!(set.iter().collect::<Vec<_>>(), [MAX_RECORDED_INDEX - 1]);
        set.remove(u32::MAX);
        set.remove(MAX_RECORDED_INDEX - 1);
        assert!(set.is_empty());
        assert_eq!(set, IndexSet::default());
    }
}
