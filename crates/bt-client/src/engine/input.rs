//! Everything that can happen to a torrent.

use std::net::SocketAddr;

use bt_metainfo::PieceIndex;
use bt_tracker::AnnounceResponse;
use bt_tracker::schedule::Problem;
use bt_wire::{Bitfield, Message, ext};

use super::{BlockDigest, PeerKey, Priority, Source, Trouble};

/// One piece of news for [`super::Torrent::handle`].
///
/// Blocks are not among them: they come through [`super::Torrent::block`], whose answer says what to do with the bytes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A connection is gone, for whatever reason.
    PeerClosed(PeerKey),
    /// A peer sent a message other than a block.
    Message(PeerKey, Message),
    /// The peer's extension handshake (BEP 10) says how many requests it queues, if it says so.
    PeerQueues(PeerKey, u32),
    /// The peer's extension handshake (BEP 10) says on which port it listens.
    PeerListens(PeerKey, u16),
    /// A peer sent a message of an extension (BEP 10).
    Extension(PeerKey, ext::Message),
    /// All that a peer sent in one read has been handed in: time to ask it for more.
    Flush(PeerKey),
    /// This many bytes of blocks were handed to the kernel for a peer.
    Uploaded(PeerKey, u64),
    /// The disk has hashed a piece whose blocks were complete.
    PieceChecked(PieceIndex, PieceVerdict),
    /// The content on the disk has been hashed: these pieces are good.
    Checked(Bitfield),
    /// What [`super::Notice::Completed`] told of is on the disk to stay: trackers may hear of it.
    CompletionIsSafe,
    /// Addresses to try.
    Candidates(Source, Vec<SocketAddr>),
    /// A dial that we asked for did not end in a peer.
    DialFailed(SocketAddr),
    /// A dial that we asked for led to ourselves: whoever answered has our peer id.
    DialedOurselves(SocketAddr),
    /// The session has as many peers as it may have: this address is to be dialed later.
    DialPutOff(SocketAddr),
    /// The session has no place for a caller of this torrent: whoever is of no use makes room for the next one.
    Crowded,
    /// A tracker answered, or did not.
    Announced(String, Result<AnnounceResponse, Problem>),
    /// An announce was not made: the torrent stopped or was paused before its turn came.
    Withdrawn(String),
    /// The disk cannot go on, for now or until somebody looks after it.
    StorageFailed(Trouble),
    /// So many bytes are free on the disk; the answer to [`super::Output::LookForRoom`].
    Room(u64),
    /// These pieces are not on the disk, or no longer as they were.
    Lost(Vec<PieceIndex>),
    /// How much each piece is wanted; pieces behind the end of the list are normal.
    Prioritize(Vec<Priority>),
    /// What the limits of the session leave for this torrent, which is not alone in it.
    Limits {
        /// See [`super::Config::upload_slots`].
        upload_slots: usize,
        /// See [`super::Config::down_rate`].
        down_rate: Option<u64>,
    },
    /// What the owner wants.
    Command(Command),
    /// No peer is read from at the moment, since memory is full of what the disk has not written. To be said before
    /// [`Input::Timeout`], as long as it is so.
    HeldUp,
    /// [`super::Torrent::poll_timeout`] has come.
    Timeout,
}

/// The disk's verdict on a piece.
#[derive(Debug)]
pub enum PieceVerdict {
    /// It verified and is written.
    Good {
        /// Of its blocks in order, if they had been asked for.
        digests: Vec<BlockDigest>,
    },
    /// Its hash is wrong; nothing of it is kept.
    Bad {
        /// Of its blocks in order.
        digests: Vec<BlockDigest>,
    },
}

/// What the owner of a torrent wants.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Leave the swarm, keep what is here.
    Pause,
    /// Join again.
    Resume,
    /// Forget what is here: everyone is sent away until [`Input::Checked`] comes again.
    Recheck,
    /// Announce now, as far as the trackers allow.
    Reannounce,
    /// Leave for good: announce `stopped`, close every peer.
    Stop,
}
