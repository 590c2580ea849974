//! What a connection tells its owner: events, bytes to write, counters.
//!
//! Plain data. Knows nothing of how it comes about.

use bt_metainfo::{BlockRef, InfoHash};
use bytes::Bytes;

use crate::ext;
use crate::handshake::{Handshake, Reserved};
use crate::message::{Message, PIECE_HEADER_LEN};

/// What the peer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An incoming peer names its torrent. Answer with [`Connection::accept`](super::Connection::accept), or drop the
    /// connection. Nothing more is read until then.
    InfoHash {
        /// The torrent it wants; for version 2 the first 20 bytes of the hash.
        info_hash: InfoHash,
        /// The extensions it offers.
        reserved: Reserved,
    },
    /// The peer's handshake is complete and fits ours. From here on messages can be sent; the
    /// first is to be [`Connection::announce_pieces`](super::Connection::announce_pieces).
    Handshake(Handshake),
    /// The peer sent a legal message.
    ///
    /// Keep-alives and unknown messages are only counted, and [`Message::Extended`] comes as one of
    /// the two variants below. A `Bitfield` passes
    /// [`Bitfield::from_wire`](crate::Bitfield::from_wire); a `Request` waits for [`Connection::send_block`](super::Connection::send_block) or
    /// [`Connection::reject`](super::Connection::reject); a `Cancel` took back a request that was waiting; indices of `Have`,
    /// `Suggest`, `AllowedFast` and `Piece` are below the piece count.
    Message(Message),
    /// The peer tells what it speaks and who it is (BEP 10). May come again with changes.
    ExtensionHandshake(Box<ext::Handshake>),
    /// The peer sent a message of an extension that we offered. A `DontHave` is below the piece
    /// count.
    Extension(ext::Message),
    /// The peer asked for a block and was refused without the owner's doing.
    Refused {
        /// What it asked for.
        block: BlockRef,
        /// Why it does not get it.
        why: Refusal,
    },
}

/// Why a request was refused on arrival: answered by a reject if the fast extension is negotiated
/// (BEP 6), dropped otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It names no block: empty, longer than [`crate::limits::MAX_BLOCK`], past the last piece, or we do
    /// not know the pieces. [`crate::limits::MAX_INVALID_REQUESTS`] of these are fatal.
    Invalid,
    /// We choke the peer and did not allow it this piece. Can happen to an honest peer whose
    /// request crossed our choke.
    Choked,
    /// As many requests as [`Config::max_requests`](super::Config::max_requests) wait already.
    QueueFull,
}

/// What is to be written to the peer next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// These bytes.
    Control(Bytes),
    /// A piece message: the header, then `block.length` bytes of the block's data, which the owner
    /// has or reads. Nothing else may be written between or within them.
    Block {
        /// Length prefix, message id, piece, offset.
        header: [u8; PIECE_HEADER_LEN],
        /// Which data to write after the header.
        block: BlockRef,
    },
}

/// What went over a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of block data received.
    pub payload_received: u64,
    /// Other bytes received: handshake, headers, all other messages.
    pub protocol_received: u64,
    /// Bytes of block data handed out by [`Connection::poll_transmit`](super::Connection::poll_transmit).
    pub payload_sent: u64,
    /// Other bytes handed out.
    pub protocol_sent: u64,
    /// Messages that this crate does not know, or of an extension that is not negotiated; skipped.
    pub unknown_messages: u64,
    /// Advisory messages that made no sense and were skipped: suggested or allowed pieces out of
    /// range, cancels for nothing (too many of which are fatal, see
    /// [`crate::limits::MAX_VAIN_CANCELS`]).
    pub ignored_messages: u64,
    /// Requests that name no block; see [`Refusal::Invalid`].
    pub invalid_requests: u32,
    /// Requests refused because they came while we choke the peer, or were too many.
    pub refused_requests: u64,
}
