//! Changes an input a little: the same seed makes the same changes.

use crate::random::Random;
use crate::targets::Shape;
use crate::tree;

/// Bytes at which formats change their mind: digits, brackets of bencode, sign bits.
const NOTABLE_BYTES: [u8; 16] = *b"\0\x01\x04\x14\x7f\x80\xff09:deil- ";

/// Numbers at the edges of types and of the limits in this workspace.
const NOTABLE_NUMBERS: [u64; 18] = [
    0,
    1,
    2,
    19,
    20,
    68,
    0x3fff,
    0x4000,
    0x4001,
    0xffff,
    0x1_0000,
    0x10_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// What a mutation may draw on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Material<'a> {
    pub(crate) shape: Shape,
    /// Words of the format.
    pub(crate) words: &'a [&'a [u8]],
    /// Another input of the corpus.
    pub(crate) other: &'a [u8],
    /// The longest input that makes sense.
    pub(crate) max_len: usize,
}

/// Applies one to sixteen changes to `input`.
pub(crate) fn mutate(input: &mut Vec<u8>, random: &mut Random, material: Material<'_>) {
    let as_tree = matches!(material.shape, Shape::Bencode) && !random.one_in(4);
    if !as_tree || !tree::mutate(input, random, material) {
        let changes = 1_usize << random.below(5);
        for _ in 0..changes {
            change(input, random, material);
        }
    }
    input.truncate(material.max_len);
}

/// One change of the bytes.
pub(crate) fn change(input: &mut Vec<u8>, random: &mut Random, material: Material<'_>) {
    match random.below(16) {
        0 | 1 => flip_bit(input, random),
        2 => set_byte(input, random),
        3 => add_to_byte(input, random),
        4 => insert_bytes(input, random),
        5 => delete_range(input, random),
        6 => duplicate_range(input, random),
        7 => overwrite_with_range(input, random),
        8 => set_big_endian(input, random),
        9 | 10 => change_decimal(input, random),
        11 => splice_tail(input, random, material.other),
        12 => insert_from(input, random, material.other),
        13 => input.truncate(random.below(input.len() + 1)),
        _ => insert_word(input, random, material),
    }
}

/// A decimal number, often at some edge, rarely in a form that is not canonical.
pub(crate) fn number(random: &mut Random) -> String {
    let value = match random.below(3) {
        0 => random.next() % 64,
        _ => random.pick(&NOTABLE_NUMBERS).copied().unwrap_or(0),
    };
    let sign = if random.one_in(8) { "-" } else { "" };
    let zero = if random.one_in(16) { "0" } else { "" };
    format!("{sign}{zero}{value}")
}

/// A range inside the input, not longer than a few dozen bytes most of the time.
fn range(length: usize, random: &mut Random) -> std::ops::Range<usize> {
    let start = random.below(length);
    let longest = length - start;
    let most = if random.one_in(4) {
        longest
    } else {
        longest.min(24)
    };
    start..start + random.below(most + 1)
}

fn flip_bit(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    if let Some(byte) = input.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    let notable = random.pick(&NOTABLE_BYTES).copied().unwrap_or(0);
    let value = if random.one_in(3) {
        random.byte()
    } else {
        notable
    };
    if let Some(byte) = input.get_mut(at) {
        *byte = value;
    }
}

fn add_to_byte(input: &mut [u8], random: &mut Random) {
    let at = random.below(input.len());
    let step = random.byte() % 16 + 1;
    let up = random.one_in(2);
    if let Some(byte) = input.get_mut(at) {
        *byte = if up {
            byte.wrapping_add(step)
        } else {
            byte.wrapping_sub(step)
        };
    }
}

fn insert_bytes(input: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(input.len() + 1);
    let most = if random.one_in(8) { 256 } else { 8 };
    let count = 1 + random.below(most);
    let same = random.one_in(2).then(|| random.byte());
    let fresh: Vec<u8> = (0..count)
        .map(|_| same.unwrap_or_else(|| random.byte()))
        .collect();
    input.splice(at..at, fresh);
}

fn delete_range(input: &mut Vec<u8>, random: &mut Random) {
    let gone = range(input.len(), random);
    input.drain(gone);
}

fn duplicate_range(input: &mut Vec<u8>, random: &mut Random) {
    let copied = input
        .get(range(input.len(), random))
        .unwrap_or_default()
        .to_vec();
    let times = if random.one_in(8) {
        1 + random.below(64)
    } else {
        1
    };
    let at = random.below(input.len() + 1);
    input.splice(at..at, copied.repeat(times));
}

fn overwrite_with_range(input: &mut [u8], random: &mut Random) {
    let source = range(input.len(), random);
    let room = input.len() - source.len();
    let to = random.below(room + 1);
    input.copy_within(source, to);
}

fn set_big_endian(input: &mut [u8], random: &mut Random) {
    let value = random.pick(&NOTABLE_NUMBERS).copied().unwrap_or(0);
    let value = value
        .wrapping_add(random.next() % 3)
        .wrapping_sub(1)
        .to_be_bytes();
    let width = [1, 2, 4, 8][random.below(4)];
    let at = random.below(input.len().saturating_sub(width) + 1);
    let digits = value.get(8 - width..).unwrap_or_default();
    if let Some(slot) = input.get_mut(at..at + width) {
        slot.copy_from_slice(digits);
    }
}

/// Replaces a run of decimal digits by a number at some edge.
fn change_decimal(input: &mut Vec<u8>, random: &mut Random) {
    let begin = random.below(input.len());
    let from_here = input.iter().enumerate().skip(begin);
    let Some(start) = from_here
        .clone()
        .find(|(_, b)| b.is_ascii_digit())
        .map(|(at, _)| at)
    else {
        return;
    };
    let run = input
        .iter()
        .skip(start)
        .take_while(|b| b.is_ascii_digit())
        .count();
    let digits = input.get(start..start + run).unwrap_or_default();
    let old: u64 = std::str::from_utf8(digits)
        .ok()
        .and_then(|d| d.parse().ok())
        .unwrap_or(0);
    let new = match random.below(4) {
        0 => old.wrapping_add(1).to_string(),
        1 => old.wrapping_sub(1).to_string(),
        _ => number(random),
    };
    input.splice(start..start + run, new.into_bytes());
}

fn splice_tail(input: &mut Vec<u8>, random: &mut Random, other: &[u8]) {
    input.truncate(random.below(input.len() + 1));
    input.extend(other.iter().skip(random.below(other.len() + 1)));
}

fn insert_from(input: &mut Vec<u8>, random: &mut Random, other: &[u8]) {
    let part = other
        .get(range(other.len(), random))
        .unwrap_or_default()
        .to_vec();
    let at = random.below(input.len() + 1);
    input.splice(at..at, part);
}

fn insert_word(input: &mut Vec<u8>, random: &mut Random, material: Material<'_>) {
    let Some(word) = random.pick(material.words).copied() else {
        return flip_bit(input, random);
    };
    let mut word = word.to_vec();
    if matches!(material.shape, Shape::Bencode) && !random.one_in(4) {
        word = [format!("{}:", word.len()).as_bytes(), &word].concat();
    }
    let at = random.below(input.len() + 1);
    // Half of the time the word takes the place of what is there.
    let covered = if random.one_in(2) {
        word.len().min(input.len() - at)
    } else {
        0
    };
    input.splice(at..at + covered, word);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let material = Material {
            shape: Shape::Bencode,
            words: &[b"info"],
            other: b"i1e",
            max_len: 64,
        };
        let run = |seed| {
            let mut random = Random::new(seed);
            let mut input = b"d3:key5:valuee".to_vec();
            (0..200).for_each(|_| mutate(&mut input, &mut random, material));
            input
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }

    #[test]
    fn every_change_copes_with_every_length() {
        let mut random = Random::new(3);
        for length in 0..40_usize {
            for _ in 0..400 {
                let mut input = vec![b'7'; length];
                let other = vec![b'x'; random.below(40)];
                let shape = if random.one_in(2) {
                    Shape::Bytes
                } else {
                    Shape::Bencode
                };
                let words: &[&[u8]] = &[b"ab"];
                let material = Material {
                    shape,
                    words,
                    other: &other,
                    max_len: 50,
                };
                mutate(&mut input, &mut random, material);
                assert!(input.len() <= 50);
            }
        }
    }

    #[test]
    fn decimals_are_replaced_whole() {
        let mut random = Random::new(1);
        let mut seen_longer = false;
        for _ in 0..100 {
            let mut input = b"i42e".to_vec();
            change_decimal(&mut input, &mut random);
            assert!(input.ends_with(b"e"), "{input:?}");
            seen_longer |= input.len() > 10;
        }
        assert!(seen_longer);
    }
}
