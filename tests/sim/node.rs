//! One client of the simulated swarm: the real engine, its line, its disk, its ends of connections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bt_client::engine::{Notice, PeerKey, TokenBucket, Torrent};
use bt_metainfo::PieceIndex;

use super::disk::Disk;
use super::link::{Line, Uplink};
use super::memory::Held;
use super::plan::{Conduct, Member};
use super::wire::End;

/// See the module.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    pub(crate) engine: Torrent,
    pub(crate) member: Member,
    pub(crate) line: Line,
    pub(crate) online: bool,
    /// Counts restarts: what belongs to an earlier life is void.
    pub(crate) life: u32,
    /// How far its clock is ahead of the world's.
    pub(crate) skew: Duration,
    pub(crate) uplink: Uplink,
    pub(crate) bucket: TokenBucket,
    pub(crate) limit: Option<u64>,
    /// When the downlink is free again.
    pub(crate) down_free: Duration,
    pub(crate) ends: BTreeMap<PeerKey, End>,
    pub(crate) disk: Disk,
    pub(crate) wake: Option<Instant>,
    /// Its session has no place for another peer.
    pub(crate) crowded: bool,
    pub(crate) log: Log,
}

/// What a node did, for the checks.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Blocks handed to its engine, in bytes, in this life.
    pub(crate) received: u64,
    pub(crate) uploaded: u64,
    /// Bytes that went to nodes of its own group.
    pub(crate) uploaded_near: u64,
    /// What left in the last two seconds.
    pub(crate) lately: VecDeque<(Duration, u64)>,
    pub(crate) completed: Option<Duration>,
    pub(crate) completions: u32,
    /// One more completion is to be told: it has begun without something it wants, or has lost it since.
    pub(crate) owes_completed: bool,
    /// A completion was told that may not survive a power cut yet.
    pub(crate) owes_safety: bool,
    /// Its owner was told that it is complete, so that it has to stay so.
    pub(crate) is_safe: bool,
    /// It has announced `completed`, and lost nothing since.
    pub(crate) has_announced: bool,
    /// Complete whenever it began, or began anew after a look at its content.
    pub(crate) complete_at_start: bool,
    /// Of the pieces that it told of, in bytes, in this life.
    pub(crate) fetched: u64,
    pub(crate) banned: BTreeSet<IpAddr>,
    pub(crate) failed_pieces: u32,
    /// Whom trackers named to it.
    pub(crate) named: BTreeSet<SocketAddr>,
    pub(crate) failures: u32,
    /// Bytes that left in earlier lives.
    pub(crate) uploaded_before: u64,
    /// Announces it made, and peers it gave up because they seemed useless, in this life.
    pub(crate) announces: u32,
    pub(crate) given_up: u32,
    /// Nodes that had a turn at it, in this life.
    pub(crate) unchoked: BTreeSet<usize>,
    pub(crate) pieces: BTreeSet<PieceIndex>,
    /// Peers that it was connected to, in this life.
    pub(crate) connections: usize,
    pub(crate) held: Held,
}

impl Log {
    /// Something is missing, or missing again: its completion is yet to be told.
    pub(crate) fn is_unfinished(&mut self) {
        self.completed = None;
        self.owes_completed = true;
        self.is_safe = false;
    }
}

impl Node {
    pub(crate) fn is_honest(&self) -> bool {
        self.member.conduct == Conduct::Honest
    }

    /// No wanted piece is missing.
    pub(crate) fn is_complete(&self) -> bool {
        let have = self.engine.have();
        match self.member.wanted {
            None => have.is_full(),
            Some((from, to)) => (from..to).all(|piece| have.get(PieceIndex(piece))),
        }
    }

    /// The same, of what is on the disk.
    pub(crate) fn is_complete_on_disk(&self) -> bool {
        let have = &self.disk.written;
        let (from, to) = self.member.wanted.unwrap_or((0, have.len()));
        (from..to).all(|piece| have.get(PieceIndex(piece)))
    }

    pub(crate) fn wants(&self, piece: PieceIndex) -> bool {
        self.member
            .wanted
            .is_none_or(|(from, to)| (from..to).contains(&piece.0))
    }

    pub(crate) fn notice(&mut self, now: Duration, notice: &Notice) -> Result<(), String> {
        use bt_client::engine::State;
        match notice {
            Notice::Completed => {
                self.log.completed = Some(now);
                self.log.completions += 1;
                self.log.owes_safety = true;
                if !std::mem::take(&mut self.log.owes_completed) {
                    return Err("`completed` is told twice, or to one that was complete".to_owned());
                }
            }
            Notice::Banned(ip) => {
                self.log.banned.insert(*ip);
            }
            Notice::Piece(piece) if !self.log.pieces.insert(*piece) => {
                return Err(format!("piece {piece} is told twice"));
            }
            Notice::PieceFailed(_) => self.log.failed_pieces += 1,
            Notice::Failed(_) | Notice::DiskFull(_) => self.log.failures += 1,
            Notice::State(State::Paused | State::Stopped | State::Failed) => self.disk.forget(),
            _ => {}
        }
        Ok(())
    }
}
