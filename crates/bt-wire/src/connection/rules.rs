//! What is negotiated, who chokes whom, and which messages are legal now, in both directions.
//!
//! Knows nothing of bytes, queues or time.

use bt_metainfo::{BlockRef, PieceIndex};

use crate::bitfield::byte_len;
use crate::error::Misbehaved;
use crate::handshake::Reserved;
use crate::limits;
use crate::message::{Message, id, name_of};

/// Where one direction is with telling its pieces.
///
/// A bitfield, "have all" or "have none" goes before every other message of BEP 3 and 6 and only
/// once. Messages of the extension protocol and the DHT port may precede it: clients that start
/// from a magnet cannot send a bitfield before the metadata is there, and send it then. A bitfield
/// of the peer may also come later, as an update: aria2 sends one where it is shorter than the many
/// "have" messages that it stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Opening {
    /// Neither told nor too late.
    #[default]
    Start,
    /// Told, or too late for it.
    Over,
}

impl Opening {
    /// Goes on by one message; `false` if that message had to come earlier.
    fn step(&mut self, id: u8) -> bool {
        let legal = !is_availability(id) || *self == Self::Start;
        if !matches!(id, id::EXTENDED | id::PORT) {
            *self = Self::Over;
        }
        legal
    }
}

/// Both sides' state as BEP 3 and BEP 6 define it.
#[derive(Debug)]
pub(super) struct Rules {
    /// What both handshakes offer.
    pub(super) negotiated: Reserved,
    /// `None` until the metadata is known.
    pub(super) piece_count: Option<u32>,
    /// We choke the peer.
    pub(super) choking: bool,
    /// We are interested in the peer.
    pub(super) interested: bool,
    /// The peer chokes us.
    pub(super) peer_choking: bool,
    /// The peer is interested in us.
    pub(super) peer_interested: bool,
    ours: Opening,
    theirs: Opening,
    /// What we allow the peer to fetch while choked; at most [`limits::MAX_ALLOWED_FAST`].
    allowed_fast: Vec<PieceIndex>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            negotiated: Reserved::NONE,
            piece_count: None,
            choking: true,
            interested: false,
            peer_choking: true,
            peer_interested: false,
            ours: Opening::Start,
            theirs: Opening::Start,
            allowed_fast: Vec::new(),
        }
    }
}

impl Rules {
    /// Whether we may send this now and whether it says anything new; if so, notes that we do.
    pub(super) fn permit(&mut self, message: &Message) -> bool {
        let fast = self.negotiated.supports_fast();
        let permitted = match message {
            Message::KeepAlive | Message::Unknown { .. } => return true,
            Message::Choke => !self.choking,
            Message::Unchoke => self.choking,
            Message::Interested => !self.interested,
            Message::NotInterested => self.interested,
            Message::HaveAll | Message::HaveNone => fast && self.ours == Opening::Start,
            Message::Bitfield(_) => self.ours == Opening::Start,
            Message::Suggest(_) | Message::Reject(_) => fast,
            Message::AllowedFast(piece) => fast && self.allow_fast(*piece),
            Message::Extended { .. } => self.negotiated.supports_extended(),
            // The connection queues blocks elsewhere, so that their data is not copied.
            Message::Piece { .. } => false,
            Message::Have(_) | Message::Request(_) | Message::Cancel(_) | Message::Port(_) => true,
        };
        if permitted {
            match message {
                Message::Choke | Message::Unchoke => self.choking = !self.choking,
                Message::Interested | Message::NotInterested => self.interested = !self.interested,
                _ => {}
            }
            self.ours.step(message.wire_id().unwrap_or(id::EXTENDED));
        }
        permitted
    }

    pub(super) fn is_allowed_fast(&self, piece: PieceIndex) -> bool {
        self.allowed_fast.contains(&piece)
    }

    fn allow_fast(&mut self, piece: PieceIndex) -> bool {
        let new =
            self.allowed_fast.len() < limits::MAX_ALLOWED_FAST && !self.is_allowed_fast(piece);
        if new {
            self.allowed_fast.push(piece);
        }
        new
    }

    /// Checks what the first five bytes of a message tell, and notes that it arrives.
    ///
    /// To be called once for each message of the peer that this crate knows.
    pub(super) fn arriving(&mut self, id: u8, length: u32) -> Result<(), Misbehaved> {
        let message = name_of(id);
        if is_fast(id) && !self.negotiated.supports_fast() {
            return Err(Misbehaved::FastNotNegotiated { message });
        }
        let update = id == id::BITFIELD && self.piece_count.is_some();
        if !self.theirs.step(id) && !update {
            return Err(Misbehaved::LateAvailability { message });
        }
        match (id, self.piece_count) {
            (id::PIECE, _) => {
                let (length, limit) = (length.saturating_sub(8), limits::MAX_BLOCK);
                if length > limit {
                    return Err(Misbehaved::BlockTooLong { length, limit });
                }
            }
            (id::BITFIELD, Some(count)) => {
                let found = usize::try_from(length).unwrap_or(usize::MAX);
                let expected = byte_len(count);
                if found != expected {
                    return Err(Misbehaved::BitfieldLength {
                        found,
                        expected,
                        count,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks an index that has to be one of the torrent's, as far as that is known.
    pub(super) fn check_piece(
        &self,
        message: &'static str,
        index: PieceIndex,
    ) -> Result<(), Misbehaved> {
        let count = self.piece_count.unwrap_or(limits::MAX_PIECES);
        if index.0 < count {
            return Ok(());
        }
        Err(Misbehaved::PieceOutOfRange {
            message,
            index,
            count,
        })
    }

    /// Checks a block that the peer sends; [`arriving`](Self::arriving) has checked its length.
    pub(super) fn check_block(&self, block: BlockRef) -> Result<(), Misbehaved> {
        if block.length == 0 {
            return Err(Misbehaved::EmptyBlock {
                piece: block.piece,
                begin: block.begin,
            });
        }
        if block.begin.checked_add(block.length).is_none() {
            return Err(Misbehaved::BlockOverflow(block));
        }
        if self.piece_count.is_none() {
            return Err(Misbehaved::UnexpectedBlock(block));
        }
        self.check_piece("piece", block.piece)
    }

    /// Whether a request names something that could be a block of the torrent.
    pub(super) fn is_request_valid(&self, block: BlockRef) -> bool {
        (1..=limits::MAX_BLOCK).contains(&block.length)
            && block.begin.checked_add(block.length).is_some()
            && self.piece_count.is_some_and(|count| block.piece.0 < count)
    }
}

fn is_availability(id: u8) -> bool {
    matches!(id, id::BITFIELD | id::HAVE_ALL | id::HAVE_NONE)
}

fn is_fast(id: u8) -> bool {
    matches!(
        id,
        id::SUGGEST | id::HAVE_ALL | id::HAVE_NONE | id::REJECT | id::ALLOWED_FAST
    )
}
