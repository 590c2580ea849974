//! Which pieces someone has: one bit a piece, high bit first, as it travels in `bitfield` (BEP 3).
//!
//! Knows nothing of peers. Bits after the last piece are always zero.

use std::fmt;

use bitvec::order::Msb0;
use bitvec::vec::BitVec;
use bt_metainfo::PieceIndex;

use crate::error::Misbehaved;

/// A set of pieces of a torrent with a fixed number of pieces.
#[derive(Clone, PartialEq, Eq)]
pub struct Bitfield {
    /// Invariant: as long as the piece count, and the unused bits of its last byte are zero.
    bits: BitVec<u8, Msb0>,
    /// Invariant: how many of `bits` are one.
    ones: u32,
}

impl Bitfield {
    /// No piece out of `len`.
    pub fn new(len: u32) -> Self {
        Self {
            bits: BitVec::repeat(false, to_usize(len)),
            ones: 0,
        }
    }

    /// All `len` pieces.
    pub fn full(len: u32) -> Self {
        let mut bits = BitVec::repeat(true, to_usize(len));
        bits.set_uninitialized(false);
        Self { bits, ones: len }
    }

    /// Reads the payload of a `bitfield` message for a torrent of `len` pieces.
    ///
    /// # Errors
    ///
    /// [`Misbehaved::BitfieldLength`] unless there are exactly ⌈`len` / 8⌉ bytes, and
    /// [`Misbehaved::SpareBits`] if a bit after the last piece is set.
    pub fn from_wire(len: u32, payload: &[u8]) -> Result<Self, Misbehaved> {
        let expected = byte_len(len);
        if payload.len() != expected {
            let found = payload.len();
            return Err(Misbehaved::BitfieldLength {
                found,
                expected,
                count: len,
            });
        }
        let spare = expected * 8 - to_usize(len);
        if payload
            .last()
            .is_some_and(|last| last.trailing_zeros() < spare_bits(spare))
        {
            return Err(Misbehaved::SpareBits { count: len });
        }
        let ones = count_ones(payload);
        let mut bits = BitVec::from_slice(payload);
        bits.truncate(to_usize(len));
        Ok(Self { bits, ones })
    }

    /// The payload of a `bitfield` message.
    pub fn as_bytes(&self) -> &[u8] {
        self.bits.as_raw_slice()
    }

    /// How many pieces the torrent has.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "every constructor takes a u32"
    )]
    pub fn len(&self) -> u32 {
        self.bits.len() as u32
    }

    /// Whether the piece is in the set; `false` for an index that the torrent does not have.
    pub fn get(&self, index: PieceIndex) -> bool {
        // Asked for more often than anything else; bits after the last piece are zero.
        let (byte, bit) = place(index);
        let byte = self.bits.as_raw_slice().get(byte);
        byte.is_some_and(|byte| byte & bit != 0)
    }

    /// Adds a piece and tells whether that changed anything; an index out of range does not.
    pub fn set(&mut self, index: PieceIndex) -> bool {
        self.replace(index, true)
    }

    /// Removes a piece and tells whether that changed anything; an index out of range does not.
    pub fn clear(&mut self, index: PieceIndex) -> bool {
        self.replace(index, false)
    }

    /// How many pieces are in the set. Costs nothing.
    pub fn count_ones(&self) -> u32 {
        self.ones
    }

    /// Whether no piece of the torrent is missing; a torrent without pieces is full.
    pub fn is_full(&self) -> bool {
        self.ones == self.len()
    }

    /// Whether no piece is in the set.
    pub fn is_empty(&self) -> bool {
        self.ones == 0
    }

    /// The pieces in the set, in order.
    pub fn iter_ones(&self) -> Pieces<'_> {
        Pieces::new(self.as_bytes(), &[])
    }

    /// The pieces that are in this set and not in `other`, in order.
    ///
    /// Works on 64 pieces at a time. If the sets differ in length, pieces that `other` does not
    /// know count as missing from it.
    pub fn iter_and_not<'a>(&'a self, other: &'a Self) -> Pieces<'a> {
        Pieces::new(self.as_bytes(), other.as_bytes())
    }

    /// Whether [`iter_and_not`](Self::iter_and_not) would yield anything: whether a peer with this
    /// set is of interest to one with `other`.
    pub fn has_more_than(&self, other: &Self) -> bool {
        self.ones > other.ones || self.iter_and_not(other).next().is_some()
    }

    fn replace(&mut self, index: PieceIndex, value: bool) -> bool {
        let (byte, bit) = place(index);
        let is_piece = index.0 < self.len();
        let Some(byte) = self.bits.as_raw_mut_slice().get_mut(byte) else {
            return false;
        };
        if !is_piece || (*byte & bit != 0) == value {
            return false;
        }
        *byte ^= bit;
        match value {
            true => self.ones += 1,
            false => self.ones -= 1,
        }
        true
    }
}

impl fmt::Debug for Bitfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitfield({} of {})", self.ones, self.bits.len())
    }
}

/// The pieces of one set, or of the difference of two.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    these: &'a [u8],
    but_not: &'a [u8],
    /// The bits not yet yielded of the current group of 64 pieces.
    group: u64,
    /// The first piece of the current group.
    base: u32,
    /// The first piece of the group after it.
    next: u32,
}

impl<'a> Pieces<'a> {
    fn new(these: &'a [u8], but_not: &'a [u8]) -> Self {
        Self {
            these,
            but_not,
            group: 0,
            base: 0,
            next: 0,
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = PieceIndex;

    fn next(&mut self) -> Option<PieceIndex> {
        while self.group == 0 {
            if self.these.is_empty() {
                return None;
            }
            self.group = take_group(&mut self.these) & !take_group(&mut self.but_not);
            self.base = self.next;
            self.next += 64;
        }
        let offset = self.group.leading_zeros();
        self.group &= !(1 << (63 - offset));
        Some(PieceIndex(self.base + offset))
    }
}

/// The byte of a piece, and its bit in there: the first piece is the high bit.
fn place(index: PieceIndex) -> (usize, u8) {
    (to_usize(index.0 / 8), 0x80 >> (index.0 % 8))
}

/// Takes eight bytes off the front, or fewer filled up with zeros.
fn take_group(bytes: &mut &[u8]) -> u64 {
    if let Some((group, rest)) = bytes.split_first_chunk::<8>() {
        *bytes = rest;
        return u64::from_be_bytes(*group);
    }
    let mut group = [0; 8];
    for (byte, part) in group.iter_mut().zip(*bytes) {
        *byte = *part;
    }
    *bytes = &[];
    u64::from_be_bytes(group)
}

/// Bytes of a bitfield for `len` pieces.
pub(crate) fn byte_len(len: u32) -> usize {
    to_usize(len.div_ceil(8))
}

fn count_ones(bytes: &[u8]) -> u32 {
    bytes
        .chunks(8)
        .map(|mut group| take_group(&mut group).count_ones())
        .sum()
}

fn spare_bits(spare: usize) -> u32 {
    u32::try_from(spare).unwrap_or(u32::MAX)
}

/// Lossless wherever this crate can run: a piece count fits into 32 bits, and so does an address.
fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(indices: &[u32]) -> Vec<PieceIndex> {
        indices.iter().copied().map(PieceIndex).collect()
    }

    #[test]
    fn the_first_piece_is_the_high_bit() {
        let mut have = Bitfield::new(10);
        assert!(have.set(PieceIndex(0)) && have.set(PieceIndex(9)));
        assert!(!have.set(PieceIndex(9)), "it was set already");
        assert_eq!(have.as_bytes(), [0b1000_0000, 0b0100_0000]);
        assert_eq!(have.iter_ones().collect::<Vec<_>>(), pieces(&[0, 9]));
        assert_eq!(have.count_ones(), 2);
        assert!(have.clear(PieceIndex(0)) && !have.clear(PieceIndex(0)));
        assert_eq!(have.as_bytes(), [0, 0b0100_0000]);
    }

    #[test]
    fn indices_out_of_range_are_absent_and_change_nothing() {
        let mut have = Bitfield::full(9);
        for index in [9, 15, 16, u32::MAX] {
            assert!(!have.get(PieceIndex(index)));
            assert!(!have.set(PieceIndex(index)) && !have.clear(PieceIndex(index)));
        }
        assert_eq!(have, Bitfield::full(9));
    }

    #[test]
    fn a_full_set_has_no_spare_bits() {
        for len in 0..70 {
            let full = Bitfield::full(len);
            assert!(full.is_full());
            assert_eq!(full.count_ones(), len);
            assert_eq!(full.iter_ones().count(), len as usize);
            assert_eq!(Bitfield::from_wire(len, full.as_bytes()), Ok(full));
        }
        assert_eq!(Bitfield::full(10).as_bytes(), [0xff, 0b1100_0000]);
    }

    #[test]
    fn a_short_bitfield_is_refused_even_if_only_zeros_are_missing() {
        let error = Bitfield::from_wire(20, &[0xff, 0xff]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a bitfield of 2 bytes for 20 pieces; expected 3"
        );
        assert!(Bitfield::from_wire(20, &[0xff; 4]).is_err());
        assert!(Bitfield::from_wire(0, &[]).is_ok());
        assert!(Bitfield::from_wire(0, &[0]).is_err());
    }

    #[test]
    fn each_spare_bit_is_seen() {
        for len in 1..=16_u32 {
            let bytes = byte_len(len);
            for bit in 0..(len.next_multiple_of(8) - len) {
                let mut payload = vec![0; bytes];
                payload[bytes - 1] = 1 << bit;
                let result = Bitfield::from_wire(len, &payload);
                assert_eq!(result, Err(Misbehaved::SpareBits { count: len }));
            }
        }
    }

    #[test]
    fn a_difference_is_what_one_has_and_the_other_lacks() {
        let mut seed = Bitfield::full(200);
        let mut have = Bitfield::new(200);
        for index in 0..200 {
            if index % 3 != 0 {
                have.set(PieceIndex(index));
            }
        }
        let expected: Vec<_> = (0..200)
            .filter(|index| index % 3 == 0)
            .map(PieceIndex)
            .collect();
        assert_eq!(seed.iter_and_not(&have).collect::<Vec<_>>(), expected);
        assert_eq!(have.iter_and_not(&seed).count(), 0);
        assert!(seed.has_more_than(&have) && !have.has_more_than(&seed));
        seed.clear(PieceIndex(1));
        assert!(have.has_more_than(&seed));
        // A set of another length does not make up pieces.
        assert_eq!(Bitfield::new(5).iter_and_not(&seed).count(), 0);
        assert_eq!(Bitfield::full(5).iter_and_not(&Bitfield::new(0)).count(), 5);
    }
}
