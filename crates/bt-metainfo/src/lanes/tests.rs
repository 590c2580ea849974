//! Every kernel against the crates `sha1` and `sha2`, which know nothing of lanes.

use ::sha1::Digest as _;
use proptest::prelude::*;

use super::feed::BLOCK;
use super::schedule::each;
use super::sha1::Sha1;
use super::sha256::Sha256;
use super::{MAX_LANES, Sha1Lanes, sha1_each, sha1_width, sha256_each};

/// What the processor has, each part of it alone, and nothing.
fn all_sha1() -> Vec<Sha1> {
    let Sha1 { narrow, wide } = Sha1::detect();
    let mut all = vec![Sha1 {
        narrow: None,
        wide: None,
    }];
    for sha1 in [
        Sha1 { narrow, wide: None },
        Sha1 { narrow: None, wide },
        Sha1 { narrow, wide },
    ] {
        if sha1.narrow.is_some() || sha1.wide.is_some() {
            all.push(sha1);
        }
    }
    all
}

fn all_sha256() -> Vec<Sha256> {
    vec![Sha256 { narrow: None }, Sha256::detect()]
}

/// Bytes that differ everywhere and between messages.
fn message(seed: usize, length: usize) -> Vec<u8> {
    let mut x = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(length);
    for _ in 0..length {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes.push(x.to_le_bytes()[3]);
    }
    bytes
}

/// Cuts `bytes` into slices of `size`; 0 gives one slice.
fn cut(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    if size == 0 {
        vec![bytes]
    } else {
        bytes.chunks(size).collect()
    }
}

fn check(messages: &[Vec<u8>], sizes: &[usize]) {
    let cut: Vec<Vec<&[u8]>> = messages
        .iter()
        .zip(sizes.iter().cycle())
        .map(|(message, &size)| cut(message, size))
        .collect();
    let inputs: Vec<&[&[u8]]> = cut.iter().map(Vec::as_slice).collect();
    let sha1: Vec<[u8; 20]> = messages
        .iter()
        .map(|m| ::sha1::Sha1::digest(m).into())
        .collect();
    let sha256: Vec<[u8; 32]> = messages
        .iter()
        .map(|m| ::sha2::Sha256::digest(m).into())
        .collect();
    let lengths: Vec<usize> = messages.iter().map(Vec::len).collect();
    for function in all_sha1() {
        assert_eq!(
            each(&function, &inputs),
            sha1,
            "{function:?}, lengths {lengths:?}, cut {sizes:?}"
        );
    }
    for function in all_sha256() {
        assert_eq!(
            each(&function, &inputs),
            sha256,
            "{function:?}, lengths {lengths:?}, cut {sizes:?}"
        );
    }
}

#[test]
fn every_length_up_to_300_in_every_number_of_lanes() {
    for lanes in 1..=MAX_LANES + 1 {
        for length in 0..=300 {
            let messages: Vec<_> = (0..lanes).map(|lane| message(lane, length)).collect();
            check(&messages, &[0]);
        }
    }
}

#[test]
fn neighboring_lengths_side_by_side() {
    for lanes in 2..=MAX_LANES + 3 {
        for first in 0..=300 {
            let messages: Vec<_> = (0..lanes)
                .map(|lane| message(lane, first + lane * 7 % 5))
                .collect();
            check(&messages, &[0, 1, 63, 64, 65]);
        }
    }
}

#[test]
fn lengths_around_block_borders_cut_at_every_odd_place() {
    for blocks in [1, 2, 3, 16, 256] {
        for length in (blocks * BLOCK).saturating_sub(10)..=blocks * BLOCK + 10 {
            let messages: Vec<_> = (0..5).map(|lane| message(lane, length)).collect();
            for size in [1, 3, 7, 55, 56, 57, 63, 64, 65, 127, 128, 129, 1000] {
                check(&messages, &[size, size + 1]);
            }
        }
    }
}

#[test]
fn more_messages_than_lanes_of_very_different_lengths() {
    let messages: Vec<_> = [
        0, 100_000, 1, 64, 65_536, 63, 7, 40_000, 128, 0, 99_999, 16_384, 16_385, 55, 56, 300_000,
        12,
    ]
    .iter()
    .enumerate()
    .map(|(seed, &length)| message(seed, length))
    .collect();
    check(&messages, &[16_384, 0, 1_000, 333]);
}

#[test]
fn no_messages_and_empty_slices() {
    assert_eq!(sha1_each(&[]), Vec::<[u8; 20]>::new());
    assert_eq!(sha256_each(&[]), Vec::<[u8; 32]>::new());
    assert_eq!(
        sha1_each(&[&[b"", b"a", b"", b"bc", b""]]),
        sha1_each(&[&[b"abc"]])
    );
}

#[test]
fn the_digest_of_a_known_message() {
    // FIPS 180-4's example "abc".
    assert_eq!(
        sha1_each(&[&[b"abc"]])[0],
        [
            0xa9, 0x99, 0x3e, 0x36, 0x47, 0x06, 0x81, 0x6a, 0xba, 0x3e, 0x25, 0x71, 0x78, 0x50,
            0xc2, 0x6c, 0x9c, 0xd0, 0xd8, 0x9d,
        ]
    );
    assert_eq!(
        sha256_each(&[&[b"abc"]])[0][..8],
        [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea]
    );
}

#[test]
fn the_width_is_one_that_the_callers_know() {
    assert!([1, 4, MAX_LANES].contains(&sha1_width()));
}

/// A message as parts of any lengths.
fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let length = prop_oneof![0..=3usize, 60..=68usize, 0..=300usize, Just(64), Just(4096)];
    let part = length.prop_flat_map(|length| proptest::collection::vec(any::<u8>(), length));
    proptest::collection::vec(part, 0..6)
}

proptest! {
    #[test]
    fn any_messages_in_any_parts(messages in proptest::collection::vec(parts(), 0..20)) {
        let slices: Vec<Vec<&[u8]>> =
            messages.iter().map(|parts| parts.iter().map(Vec::as_slice).collect()).collect();
        let inputs: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
        let whole: Vec<Vec<u8>> = messages.iter().map(|parts| parts.concat()).collect();
        let sha1: Vec<[u8; 20]> = whole.iter().map(|m| ::sha1::Sha1::digest(m).into()).collect();
        let sha256: Vec<[u8; 32]> = whole.iter().map(|m| ::sha2::Sha256::digest(m).into()).collect();
        for function in all_sha1() {
            prop_assert_eq!(&each(&function, &inputs), &sha1);
        }
        for function in all_sha256() {
            prop_assert_eq!(&each(&function, &inputs), &sha256);
        }
    }

    #[test]
    fn any_parts_as_they_arrive(messages in proptest::collection::vec(parts(), 0..12)) {
        let mut lanes = Sha1Lanes::new(messages.len());
        let rounds = messages.iter().map(Vec::len).max().unwrap_or(0);
        for round in 0..rounds {
            let now: Vec<&[u8]> =
                messages.iter().map(|parts| parts.get(round).map_or(&[][..], Vec::as_slice)).collect();
            lanes.update(&now);
        }
        let expected: Vec<[u8; 20]> =
            messages.iter().map(|parts| ::sha1::Sha1::digest(parts.concat()).into()).collect();
        prop_assert_eq!(lanes.finish(), expected);
    }
}
