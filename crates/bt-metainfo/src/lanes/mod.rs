//! Hashing several messages at once in one thread.
//!
//! One SHA-1 stream leaves most of a processor idle: every round waits for the round before it.
//! Messages that do not depend on each other, such as the pieces of a torrent, can share the
//! waiting time. This room runs up to [`MAX_LANES`] of them side by side, each in its own *lane*,
//! and gives a lane that has ended the next message.
//!
//! [`sha1_each`] and [`sha256_each`] hash messages that are in memory, each as a list of slices;
//! [`Sha1Lanes`] takes messages as they are read from files. What the processor can do is found out
//! at run time; without the instructions the crates `sha1` and `sha2` do the work, one message
//! after the other, and the results are the same.
//!
//! This room must not know pieces, torrents, files or threads. All `unsafe` code is in
//! `x86/mod.rs`.

mod feed;
mod hasher;
#[cfg(not(target_arch = "x86_64"))]
#[path = "plain.rs"]
mod kernel;
#[cfg(target_arch = "x86_64")]
#[path = "x86/mod.rs"]
mod kernel;
mod schedule;
mod sha1;
mod sha256;
#[cfg(test)]
mod tests;

pub use hasher::Sha1Lanes;

/// How many messages any processor hashes at the same time.
pub const MAX_LANES: usize = 8;

/// How many messages this processor hashes with SHA-1 at the same time: 1, 4 or [`MAX_LANES`].
///
/// Callers that may choose how many messages to offer at once get the highest rate with a multiple
/// of it.
#[must_use]
pub fn sha1_width() -> usize {
    sha1::Sha1::detect().width()
}

/// SHA-1 of each input. An input is a list of slices whose concatenation is hashed.
///
/// ```
/// use bt_metainfo::lanes::sha1_each;
///
/// let digests = sha1_each(&[&[b"a", b"bc"], &[b"abc"], &[]]);
/// assert_eq!(digests[0], digests[1]);
/// assert_eq!(digests[2][..4], [0xda, 0x39, 0xa3, 0xee]);
/// ```
#[must_use]
pub fn sha1_each(inputs: &[&[&[u8]]]) -> Vec<[u8; 20]> {
    schedule::each(&sha1::Sha1::detect(), inputs)
}

/// SHA-256 of each input, for example of the 16 KiB leaves of BEP 52. An input is a list of slices
/// whose concatenation is hashed.
#[must_use]
pub fn sha256_each(inputs: &[&[&[u8]]]) -> Vec<[u8; 32]> {
    schedule::each(&sha256::Sha256::detect(), inputs)
}
