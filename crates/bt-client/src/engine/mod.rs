//! The brain of the client: everything that is decided about one torrent, and nothing that is done about it.
//!
//! A [`Torrent`] takes what happened ([`Input`]) and `now`, and says what to do next ([`Output`]). Whoever has news
//! locks it, hands them in, takes the outputs, unlocks, and performs them; the simulator does the same without a lock.
//!
//! This room knows no socket, file, task, clock or random source: `now` and a seed come in. Equal inputs give equal
//! outputs, so nothing here may iterate over a map whose order depends on the process.
//!
//! Unstable before 1.0: it is public so that others can drive it, as the simulator does.

// Tests have to begin at some instant; the code under test never asks for one.
#![cfg_attr(not(test), deny(clippy::disallowed_methods, clippy::disallowed_types))]

use std::fmt;

mod download;
mod input;
mod output;
mod peers;
mod priority;
mod rng;
#[cfg(test)]
mod tests;
mod torrent;
mod trouble;
mod upload;

pub use input::{Command, Input, PieceVerdict};
pub use output::{CloseReason, Notice, Output, Outputs};
pub use peers::{BlockDigest, Direction, Families, PeerInfo, RateMeter, Source, TokenBucket};
pub use priority::Priority;
pub use torrent::{Config, PeerStatus, Refusal, Status, Torrent};
pub use trouble::{Trouble, TroubleKind};

/// The deciding parts one by one, for bodies of the fuzz driver.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod parts {
    pub(crate) use super::download::{Ask, Availability, Pieces, Pipeline, Received, next_blocks};
    pub(crate) use super::peers::{Candidates, Crowd, Ended, Suspects, Trust, Vacancy, host_of};
    pub(crate) use super::rng::Rng;
    pub(crate) use super::upload::{ChokeCandidate, Choker, Listener, Spread};
}

/// Names one connected peer of one torrent; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u32);

impl fmt::Display for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What a torrent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// What is on the disk is being hashed; no peers yet.
    Checking,
    /// Wanted pieces are missing.
    Downloading,
    /// Every piece is here.
    Seeding,
    /// Every wanted piece is here, others were not chosen.
    Finished,
    /// Wanted pieces are missing and the disk has no room for them. It serves what it has and goes on by itself.
    DiskFull,
    /// The user stopped it; it keeps what it has and has no peers.
    Paused,
    /// The disk failed; the notice said how.
    Failed,
    /// It has left the session.
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checking => "checking",
            Self::Downloading => "downloading",
            Self::Seeding => "seeding",
            Self::Finished => "finished",
            Self::DiskFull => "disk full",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        })
    }
}
