//! Everything that a torrent can want done.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bt_metainfo::{BlockRef, PieceIndex};
use bt_tracker::schedule::Announce;
use bt_wire::{Message, ext};

use super::{PeerKey, State, Trouble};

/// One thing to do. Their order matters only among those for the same peer.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Queue a message to a peer.
    Send(PeerKey, Message),
    /// Queue a message of an extension (BEP 10) to a peer, if it speaks that extension.
    Extend(PeerKey, ext::Message),
    /// Queue a block of ours to a peer.
    Serve(PeerKey, BlockRef),
    /// Close the connection; [`super::Input::PeerClosed`] is not expected for it any more.
    Close(PeerKey, CloseReason),
    /// Connect to an address; the answer is a peer, or [`super::Input::DialFailed`].
    Dial(SocketAddr),
    /// Tell a tracker about us; the answer is [`super::Input::Announced`], or
    /// [`super::Input::Withdrawn`].
    Announce {
        /// What to tell to which.
        announce: Announce,
        /// How many addresses we would like.
        numwant: u32,
    },
    /// The disk should add block digests to its next verdict on this piece.
    Watch(PieceIndex),
    /// The disk should drop the blocks of all incomplete pieces.
    Forget,
    /// The disk should drop the blocks of this piece, unless all of them are here.
    ForgetPiece(PieceIndex),
    /// Find out how much room there is; the answer is [`super::Input::Room`].
    LookForRoom,
    /// Something for people and programs to know.
    Notice(Notice),
}

/// Where a torrent's outputs are collected.
pub type Outputs = Vec<Output>;

/// News about a torrent for its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// It does something else now.
    State(State),
    /// A piece verified and is written.
    Piece(PieceIndex),
    /// A piece did not verify.
    PieceFailed(PieceIndex),
    /// Every wanted piece is here. Never said if all were here at the start; said again only after pieces were lost, or
    /// others chosen, and those have come as well.
    Completed,
    /// An address was banned: it sent this much that was proved bad.
    Banned(IpAddr),
    /// A tracker (its URL) said something for the user to read.
    TrackerWarning(String, String),
    /// An announce to a tracker (its URL) came to nothing, for this reason.
    TrackerFailed(String, String),
    /// There is no room on the disk. The torrent goes on when there is.
    DiskFull(Trouble),
    /// The disk failed.
    Failed(Trouble),
}

/// Why we close a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// It sent data that was proved bad.
    Banned,
    /// Both sides have everything.
    BothSeeds,
    /// The torrent is paused, stopped, or failed.
    Leaving,
    /// It broke the protocol; the text says how.
    Misbehaved(String),
    /// The same peer is connected twice.
    Duplicate,
    /// It neither gave nor took anything for minutes, and another peer is to have its place.
    Useless,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Banned => f.write_str("it sent bad data"),
            Self::BothSeeds => f.write_str("neither side lacks what the other has"),
            Self::Leaving => f.write_str("we leave the swarm"),
            Self::Misbehaved(how) => write!(f, "it broke the protocol: {how}"),
            Self::Useless => f.write_str("it has been of no use, and others need its place"),
            Self::Duplicate => f.write_str("the peer is connected already"),
        }
    }
}
