//! The only source of randomness of the library: seeds for peer ids and engines.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that differs from call to call and from process to process. The standard library seeds its hash maps from
/// the system's generator; an empty hash under a fresh seed is as unpredictable as that.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}
