//! What the owner of a store decides once. Knows nothing of flags and files.

use std::time::Duration;

use super::index::MAX_POSITIONS;
use super::locality::Locality;

/// Peers in one torrent, at most: positions in its tables have 24 bits.
pub const MAX_PEERS_PER_TORRENT: u32 = MAX_POSITIONS;

/// Shards, at most. Each costs about 150 bytes.
pub const MAX_SHARDS: u32 = 65_536;

/// Peers named when the asker does not say how many it wants. Clients rarely use more.
pub const DEFAULT_NUMWANT: u32 = 50;

/// Peers named at most. 100 IPv4 peers fit a UDP reply of 620 bytes, which no network cuts.
pub const DEFAULT_MAX_NUMWANT: u32 = 100;

/// Silence after which a peer is forgotten: two regular announces of half an hour, less some.
pub const DEFAULT_PEER_TTL: Duration = Duration::from_secs(45 * 60);

/// Upper bounds on what strangers can make the store keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Torrents in all, registered ones not counted. When there are more, one of the smallest of
    /// a few random ones makes room. Default 8,000,000, which is about 450 MB.
    pub torrents: u32,
    /// Peers in one torrent. When there are more, one of the most silent makes room. Default
    /// 1,000,000; at most [`MAX_PEERS_PER_TORRENT`].
    pub peers_per_torrent: u32,
    /// Entries of one address (one /64 of IPv6) in all torrents together. Further ones are
    /// answered but not named to others. Default none, since it costs about 16 bytes an address
    /// and seedboxes have thousands of torrents.
    pub peers_per_ip: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            torrents: 8_000_000,
            peers_per_torrent: 1_000_000,
            peers_per_ip: None,
        }
    }
}

/// How a store is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// Silence after which a peer is forgotten.
    pub peer_ttl: Duration,
    /// Peers named when the asker does not say.
    pub default_numwant: u32,
    /// Peers named at most.
    pub max_numwant: u32,
    /// Only registered torrents are tracked.
    pub closed: bool,
    /// See [`Limits`].
    pub limits: Limits,
    /// Who is near whom.
    pub locality: Locality,
    /// Parts that are locked on their own, rounded up to a power of two. Default 256.
    pub shards: u32,
    /// The secret of the hash tables: strangers who do not know it cannot make them slow.
    pub key: [u8; 16],
    /// Where the sequence of random choices begins.
    pub seed: u64,
}

impl Default for Config {
    /// Everything as documented, with a key and a seed of zero: give random ones to a store that
    /// strangers reach.
    fn default() -> Self {
        Self {
            peer_ttl: DEFAULT_PEER_TTL,
            default_numwant: DEFAULT_NUMWANT,
            max_numwant: DEFAULT_MAX_NUMWANT,
            closed: false,
            limits: Limits::default(),
            locality: Locality::default(),
            shards: 256,
            key: [0; 16],
            seed: 0,
        }
    }
}
