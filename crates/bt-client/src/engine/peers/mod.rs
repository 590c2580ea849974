//! The peers of one torrent: those connected, those we might dial, whom to trust, how fast each is.

mod candidates;
mod peer;
mod rate;
mod trust;

pub(crate) use candidates::Candidates;
pub use candidates::Source;
pub use peer::{Direction, PeerInfo};
pub(crate) use peer::{InFlight, Peer};
pub use rate::{RateMeter, TokenBucket};
pub use trust::BlockDigest;
pub(crate) use trust::Trust;
