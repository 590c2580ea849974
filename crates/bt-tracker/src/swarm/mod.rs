//! The pure swarm store: who is in which torrent, and whom to tell about whom.
//!
//! [`Swarms`] is the whole tracker without its transports. It must not know how an announce
//! arrived, what time it is or where randomness comes from: `now` and the seed are arguments. The
//! server calls it from many threads; each call locks one shard for a few hundred nanoseconds.
//!
//! **Who is who.** A peer is its endpoint: address and port, separately in each address family.
//! The address is the one the transport has proven (a TCP handshake, a UDP connection id), so
//! nobody can touch an entry that is not theirs, and `key` and `peer_id` are not needed to tell
//! peers apart. A new peer id at a known endpoint is the same entry, updated: programs restart. A
//! client that moves to another address is a new entry; its old one expires. A client that
//! announces over both families counts once in each.
//!
//! **What it costs.** A torrent takes 48 bytes plus about 8 for its place in the table, and its
//! first two IPv4 peers live in those. In larger torrents an IPv4 peer takes 8 bytes and an IPv6
//! peer 20, plus 5 to 10 for its place in a table once there are more than 32, plus slack of a
//! quarter at most. Peer ids cost 20 more and are kept only for transports that can return them.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod answer;
mod census;
mod config;
mod group;
mod hearsay;
mod index;
mod list;
mod locality;
#[cfg(any(test, feature = "fuzz"))]
mod model;
mod open;
mod per_ip;
mod prefetch;
mod random;
mod select;
mod shard;
mod snapshot;
mod stamp;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod tiny;
mod torrent;
mod visit;
mod warm;

pub use answer::{Answer, Counts, Refusal, Stored};
pub use census::{Member, Role, Swarm};
pub use config::{
    Config, DEFAULT_MAX_NUMWANT, DEFAULT_NUMWANT, DEFAULT_PEER_TTL, Limits, MAX_PEERS_PER_TORRENT,
    MAX_SHARDS,
};
pub use locality::{Locality, LocalityError, Network};
pub use snapshot::SnapshotError;
pub use store::{Announce, Expired, Families, Swarms, Totals};
pub use warm::Expected;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use model::fuzz;
