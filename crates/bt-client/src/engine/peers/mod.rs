//! The peers of one torrent: those connected, those we might dial, whom to trust, how fast each is.

mod candidates;
mod crowd;
mod families;
mod host;
mod peer;
mod rate;
mod suspects;
mod trust;
mod vacancy;

pub use candidates::Source;
pub(crate) use candidates::{Candidates, Ended};
pub(crate) use crowd::Crowd;
pub use families::Families;
pub(crate) use host::{host_of, is_private, network_of, same_host};
pub use peer::{Direction, PeerInfo};
pub(crate) use peer::{InFlight, Peer, Standing};
pub use rate::{RateMeter, TokenBucket};
pub(crate) use suspects::Suspects;
pub use trust::BlockDigest;
pub(crate) use trust::Trust;
pub(crate) use vacancy::Vacancy;
