//! How many entries each address has in the whole store, when that is limited.
//!
//! An IPv6 address counts with its /64, which one subscriber has to choose from. Knows nothing of
//! torrents.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use siphasher::sip::SipHasher13;

const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct PerIp {
    most: u32,
    key: Key,
    shards: Box<[Mutex<HashMap<u64, u32, Key>>]>,
}

#[derive(Clone, Copy, Debug)]
struct Key(SipHasher13);

impl BuildHasher for Key {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}

impl PerIp {
    pub(super) fn new(most: u32, key: &[u8; 16]) -> Self {
        let key = Key(SipHasher13::new_with_key(key));
        let shards = (0..SHARDS)
            .map(|_| Mutex::new(HashMap::with_hasher(key)))
            .collect();
        Self { most, key, shards }
    }

    /// Counts one more entry, unless the address has as many as it may have.
    pub(super) fn enter<const N: usize>(&self, endpoint: &[u8; N]) -> bool {
        let address = address(endpoint);
        let mut shard = self.shard(address);
        let entries = shard.entry(address).or_default();
        if *entries >= self.most {
            return false;
        }
        *entries += 1;
        true
    }

    pub(super) fn leave<const N: usize>(&self, endpoint: &[u8; N]) {
        let address = address(endpoint);
        let mut shard = self.shard(address);
        match shard.get_mut(&address) {
            Some(entries) if *entries > 1 => *entries -= 1,
            _ => {
                shard.remove(&address);
            }
        }
    }

    fn shard(&self, address: u64) -> MutexGuard<'_, HashMap<u64, u32, Key>> {
        let mut hasher = self.key.build_hasher();
        hasher.write_u64(address);
        let at = usize::try_from(hasher.finish() >> 32).unwrap_or(0) % SHARDS;
        self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// An IPv4 address, or the first half of an IPv6 address; the two cannot be equal, since no peer
/// has an address in `::/96`.
fn address<const N: usize>(endpoint: &[u8; N]) -> u64 {
    let bytes = if N == 6 { 4 } else { 8 };
    endpoint
        .iter()
        .take(bytes)
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}
