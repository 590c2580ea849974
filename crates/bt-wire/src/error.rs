//! What went wrong with a peer: whose fault it is, what it sent, and where.
//!
//! Knows nothing of what the owner does about it (close, ban, try again later).

use bt_metainfo::{BlockRef, InfoHash, PieceIndex};

use crate::PeerId;

/// Why a connection cannot go on. After one, the connection stays silent and is to be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not what the protocol's syntax allows.
    #[error("malformed bytes from the peer: {0}")]
    Malformed(#[from] Malformed),
    /// The bytes are well formed but break a rule of the protocol.
    #[error("the peer broke the protocol: {0}")]
    Misbehaved(#[from] Misbehaved),
    /// The peer did not do in time what it had to.
    #[error("the peer timed out: {0}")]
    TimedOut(#[from] TimedOut),
}

/// Bytes that no peer of ours should produce.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The first bytes are not the length 19 and `BitTorrent protocol` (BEP 3).
    ///
    /// It is an encrypted peer, another protocol, or noise.
    #[error("handshake byte {offset}: this is not the BitTorrent protocol")]
    NotBitTorrent {
        /// The first byte that differs.
        offset: usize,
    },
    /// A length prefix is above what any message may have.
    #[error("a message of {length} bytes; the limit is {limit}")]
    MessageTooLong {
        /// The length prefix.
        length: u32,
        /// [`limits::MAX_MESSAGE`](crate::limits::MAX_MESSAGE).
        limit: u32,
    },
    /// A message has a length that its kind cannot have.
    #[error("message \"{message}\" with {length} bytes of payload; expected {expected}")]
    WrongLength {
        /// The name of the message.
        message: &'static str,
        /// Bytes after the message id.
        length: u32,
        /// What would have been right.
        expected: &'static str,
    },
    /// The payload of an extension message that we offered is not as its BEP says.
    #[error("extension message \"{extension}\": {reason}")]
    Extension {
        /// The name in the dictionary `m` of BEP 10.
        extension: &'static str,
        /// What is wrong with it, and where.
        reason: String,
    },
}

/// Well-formed messages that the protocol forbids at this point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaved {
    /// The handshake answers with another torrent than the one we asked for.
    #[error("it serves info-hash {found} instead of {expected}")]
    WrongInfoHash {
        /// Ours.
        expected: InfoHash,
        /// The peer's.
        found: InfoHash,
    },
    /// The peer is not the one that the tracker named.
    #[error("its peer id is {found} instead of {expected}")]
    WrongPeerId {
        /// The one the owner expects.
        expected: PeerId,
        /// The one in the handshake.
        found: PeerId,
    },
    /// The peer presents our own peer id: we are talking to ourselves.
    #[error("it has our own peer id, so this is a connection to ourselves")]
    Ourselves,
    /// A piece index is not below the piece count.
    #[error("message \"{message}\" names piece {index} of a torrent of {count} pieces")]
    PieceOutOfRange {
        /// The name of the message.
        message: &'static str,
        /// The index sent.
        index: PieceIndex,
        /// Pieces in the torrent.
        count: u32,
    },
    /// A bitfield is not as long as the piece count asks for.
    #[error("a bitfield of {found} bytes for {count} pieces; expected {expected}")]
    BitfieldLength {
        /// Bytes sent.
        found: usize,
        /// Bytes due.
        expected: usize,
        /// Pieces in the torrent.
        count: u32,
    },
    /// Bits beyond the last piece are set.
    #[error("a bitfield with spare bits set after its {count} pieces")]
    SpareBits {
        /// Pieces in the torrent.
        count: u32,
    },
    /// "Have all" or "have none" after a message it has to precede, or a second one; a bitfield only
    /// while the piece count is unknown.
    #[error("message \"{message}\" after the start of the connection")]
    LateAvailability {
        /// The name of the message.
        message: &'static str,
    },
    /// A message of BEP 6 although one of the two sides does not speak it.
    #[error("message \"{message}\" although the fast extension is not negotiated")]
    FastNotNegotiated {
        /// The name of the message.
        message: &'static str,
    },
    /// A block longer than any we ask for.
    #[error("a block of {length} bytes; the limit is {limit}")]
    BlockTooLong {
        /// Bytes of data.
        length: u32,
        /// [`limits::MAX_BLOCK`](crate::limits::MAX_BLOCK).
        limit: u32,
    },
    /// A piece message without data.
    #[error("an empty block at piece {piece} +{begin}")]
    EmptyBlock {
        /// The piece named.
        piece: PieceIndex,
        /// The offset named.
        begin: u32,
    },
    /// A block that ends beyond 4 GiB of its piece.
    #[error("a block whose end overflows: {0}")]
    BlockOverflow(BlockRef),
    /// A block although the torrent's pieces are not known yet, so that none was asked for.
    #[error("a block before the torrent's metadata is known: {0}")]
    UnexpectedBlock(BlockRef),
    /// Too many requests that name no block of the torrent.
    #[error("{count} invalid requests, the last one for {last}")]
    InvalidRequests {
        /// How many there were.
        count: u32,
        /// The last of them.
        last: BlockRef,
    },
    /// Too many cancels for requests that do not wait for an answer.
    #[error(
        "more cancels for nothing than {at_once} at once and {per_second} a second, the last one for {last}"
    )]
    VainCancels {
        /// [`limits::MAX_VAIN_CANCELS`](crate::limits::MAX_VAIN_CANCELS).
        at_once: u32,
        /// [`limits::VAIN_CANCELS_PER_SECOND`](crate::limits::VAIN_CANCELS_PER_SECOND).
        per_second: u32,
        /// The last of them.
        last: BlockRef,
    },
    /// The messages that wait for the peer to read them are more than it may owe.
    #[error("it does not read: {queued} bytes wait for it; the limit is {limit}")]
    DoesNotRead {
        /// Bytes that wait.
        queued: usize,
        /// [`limits::MAX_CONTROL_BYTES`](crate::limits::MAX_CONTROL_BYTES).
        limit: usize,
    },
}

/// What did not happen in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimedOut {
    /// The 68-byte handshake is not complete.
    #[error("no complete handshake")]
    Handshake,
    /// The first message, which the negotiated extensions make due, did not come.
    #[error("no message after the handshake")]
    FirstMessage,
    /// Nothing at all came for longer than two keep-alives.
    #[error("silence")]
    Silence,
}
