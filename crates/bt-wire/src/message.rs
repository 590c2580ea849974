//! Every message of the peer protocol after the handshake: its bytes, both ways (BEP 3, 5, 6, 10).
//!
//! Knows nothing of what is allowed when, or of pieces that a torrent has.

use std::fmt;

use bt_metainfo::{BlockRef, PieceIndex};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::codec::{block_at, piece_at, u16_at};
use crate::error::Malformed;
use crate::limits;

/// The numbers that stand for the messages on the wire (BEP 4, "Reserved Message IDs").
pub(crate) mod id {
    pub(crate) const CHOKE: u8 = 0;
    pub(crate) const UNCHOKE: u8 = 1;
    pub(crate) const INTERESTED: u8 = 2;
    pub(crate) const NOT_INTERESTED: u8 = 3;
    pub(crate) const HAVE: u8 = 4;
    pub(crate) const BITFIELD: u8 = 5;
    pub(crate) const REQUEST: u8 = 6;
    pub(crate) const PIECE: u8 = 7;
    pub(crate) const CANCEL: u8 = 8;
    pub(crate) const PORT: u8 = 9;
    pub(crate) const SUGGEST: u8 = 13;
    pub(crate) const HAVE_ALL: u8 = 14;
    pub(crate) const HAVE_NONE: u8 = 15;
    pub(crate) const REJECT: u8 = 16;
    pub(crate) const ALLOWED_FAST: u8 = 17;
    pub(crate) const EXTENDED: u8 = 20;
}

/// The bytes of a piece message before its data: length prefix, id, piece, offset.
pub const PIECE_HEADER_LEN: usize = 13;

/// One message. Payloads are slices of the buffer the bytes were received into.
#[derive(Clone, PartialEq, Eq)]
pub enum Message {
    /// No message at all, only a sign of life (BEP 3): a length prefix of zero.
    KeepAlive,
    /// The sender will not answer requests now (BEP 3).
    Choke,
    /// The sender answers requests from now on (BEP 3).
    Unchoke,
    /// The sender would ask for something if it were not choked (BEP 3).
    Interested,
    /// The sender has no use for what the receiver has (BEP 3).
    NotInterested,
    /// The sender has one more piece (BEP 3).
    Have(PieceIndex),
    /// The pieces the sender has, as bits (BEP 3); [`Bitfield`](crate::Bitfield) reads them.
    Bitfield(Bytes),
    /// Please send this block (BEP 3).
    Request(BlockRef),
    /// Here is a block (BEP 3). `block.length` is the length of `data`.
    Piece {
        /// Where the block belongs.
        block: BlockRef,
        /// Its bytes.
        data: Bytes,
    },
    /// The block is no longer needed (BEP 3).
    Cancel(BlockRef),
    /// The UDP port of the sender's DHT node (BEP 5).
    Port(u16),
    /// The sender can give this piece cheaply (BEP 6).
    Suggest(PieceIndex),
    /// The sender has all pieces (BEP 6).
    HaveAll,
    /// The sender has no piece (BEP 6).
    HaveNone,
    /// The block that was asked for will not come (BEP 6).
    Reject(BlockRef),
    /// The piece may be asked for even while choked (BEP 6).
    AllowedFast(PieceIndex),
    /// A message of the extension protocol (BEP 10); id 0 is its handshake.
    Extended {
        /// The receiver's number for the extension.
        id: u8,
        /// The bytes after that number.
        payload: Bytes,
    },
    /// A message that this crate does not know. It is never an error.
    Unknown {
        /// Its id.
        id: u8,
        /// The bytes after the id.
        payload: Bytes,
    },
}

impl Message {
    /// Its name in the words of the BEPs, for logs and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Self::KeepAlive => "keep-alive",
            _ => self.wire_id().map_or("keep-alive", name_of),
        }
    }

    /// Appends the message, its length prefix included.
    ///
    /// The caller keeps payloads below [`limits::MAX_MESSAGE`]; every receiver refuses longer ones.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::KeepAlive => out.put_u32(0),
            Self::Choke | Self::Unchoke | Self::Interested | Self::NotInterested => {
                self.head(0, out);
            }
            Self::HaveAll | Self::HaveNone => self.head(0, out),
            Self::Have(piece) | Self::Suggest(piece) | Self::AllowedFast(piece) => {
                self.head(4, out);
                out.put_u32(piece.0);
            }
            Self::Request(block) | Self::Cancel(block) | Self::Reject(block) => {
                self.head(12, out);
                out.put_u32(block.piece.0);
                out.put_u32(block.begin);
                out.put_u32(block.length);
            }
            Self::Port(port) => {
                self.head(2, out);
                out.put_u16(*port);
            }
            Self::Piece { block, data } => {
                self.head(8 + data.len(), out);
                out.put_u32(block.piece.0);
                out.put_u32(block.begin);
                out.extend_from_slice(data);
            }
            Self::Bitfield(payload) | Self::Unknown { payload, .. } => {
                self.head(payload.len(), out);
                out.extend_from_slice(payload);
            }
            Self::Extended { id, payload } => {
                self.head(1 + payload.len(), out);
                out.put_u8(*id);
                out.extend_from_slice(payload);
            }
        }
    }

    /// The bytes that go before the data of a block, so that the data need not be copied behind
    /// them: length prefix, id, piece and offset.
    pub fn piece_header(block: BlockRef) -> [u8; PIECE_HEADER_LEN] {
        let length = block.length.saturating_add(9).to_be_bytes();
        let piece = block.piece.0.to_be_bytes();
        let begin = block.begin.to_be_bytes();
        let [a, b, c, d] = length;
        let [e, f, g, h] = piece;
        let [i, j, k, l] = begin;
        [a, b, c, d, id::PIECE, e, f, g, h, i, j, k, l]
    }

    /// Its id on the wire; a keep-alive has none.
    pub(crate) fn wire_id(&self) -> Option<u8> {
        Some(match self {
            Self::KeepAlive => return None,
            Self::Choke => id::CHOKE,
            Self::Unchoke => id::UNCHOKE,
            Self::Interested => id::INTERESTED,
            Self::NotInterested => id::NOT_INTERESTED,
            Self::Have(_) => id::HAVE,
            Self::Bitfield(_) => id::BITFIELD,
            Self::Request(_) => id::REQUEST,
            Self::Piece { .. } => id::PIECE,
            Self::Cancel(_) => id::CANCEL,
            Self::Port(_) => id::PORT,
            Self::Suggest(_) => id::SUGGEST,
            Self::HaveAll => id::HAVE_ALL,
            Self::HaveNone => id::HAVE_NONE,
            Self::Reject(_) => id::REJECT,
            Self::AllowedFast(_) => id::ALLOWED_FAST,
            Self::Extended { .. } => id::EXTENDED,
            Self::Unknown { id, .. } => *id,
        })
    }

    /// Appends the length prefix and the id of a message with `payload` further bytes.
    fn head(&self, payload: usize, out: &mut BytesMut) {
        let length = u32::try_from(payload).unwrap_or(u32::MAX).saturating_add(1);
        out.reserve(payload.saturating_add(5));
        out.put_u32(length);
        out.put_u8(self.wire_id().unwrap_or_default());
    }
}

/// Its name and its numbers, and of a payload the start: safe and short enough for a log.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::KeepAlive
            | Self::Choke
            | Self::Unchoke
            | Self::Interested
            | Self::NotInterested
            | Self::HaveAll
            | Self::HaveNone => Ok(()),
            Self::Have(piece) | Self::Suggest(piece) | Self::AllowedFast(piece) => {
                write!(f, " {piece}")
            }
            Self::Request(block) | Self::Cancel(block) | Self::Reject(block) => {
                write!(f, " {block}")
            }
            Self::Port(port) => write!(f, " {port}"),
            Self::Bitfield(payload) => write_start(f, payload),
            Self::Piece { block, data } => {
                write!(f, " {block}")?;
                write_start(f, data)
            }
            Self::Extended { id, payload } | Self::Unknown { id, payload } => {
                write!(f, " {id}")?;
                write_start(f, payload)
            }
        }
    }
}

/// The first bytes of a payload, escaped.
fn write_start(f: &mut fmt::Formatter<'_>, payload: &[u8]) -> fmt::Result {
    const SHOWN: usize = 32;
    let start = payload.get(..SHOWN).unwrap_or(payload);
    write!(f, " \"{}\"", start.escape_ascii())?;
    if payload.len() > SHOWN {
        write!(f, "… {} bytes", payload.len())?;
    }
    Ok(())
}

/// The name of the message with this id, in the words of the BEPs.
pub(crate) fn name_of(id: u8) -> &'static str {
    match id {
        id::CHOKE => "choke",
        id::UNCHOKE => "unchoke",
        id::INTERESTED => "interested",
        id::NOT_INTERESTED => "not interested",
        id::HAVE => "have",
        id::BITFIELD => "bitfield",
        id::REQUEST => "request",
        id::PIECE => "piece",
        id::CANCEL => "cancel",
        id::PORT => "port",
        id::SUGGEST => "suggest",
        id::HAVE_ALL => "have all",
        id::HAVE_NONE => "have none",
        id::REJECT => "reject",
        id::ALLOWED_FAST => "allowed fast",
        id::EXTENDED => "extended",
        _ => "unknown",
    }
}

/// Whether this crate knows the message with this id.
pub(crate) fn is_known(id: u8) -> bool {
    name_of(id) != "unknown"
}

/// Checks that a message with this id may have `length` bytes after the id.
///
/// Needs the first five bytes of a message only, so that a wrong length is seen before the payload
/// is waited for.
pub(crate) fn check_length(id: u8, length: u32) -> Result<(), Malformed> {
    let (fits, expected) = match id {
        id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => (length == 0, "none"),
        id::HAVE_ALL | id::HAVE_NONE => (length == 0, "none"),
        id::HAVE | id::SUGGEST | id::ALLOWED_FAST => (length == 4, "4"),
        id::REQUEST | id::CANCEL | id::REJECT => (length == 12, "12"),
        id::PORT => (length == 2, "2"),
        id::PIECE => (length >= 8, "8 and the data"),
        id::BITFIELD => (length <= limits::MAX_PIECES / 8, "at most 262144"),
        id::EXTENDED => ((1..=limits::MAX_EXTENDED).contains(&length), "1 to 524288"),
        _ => (true, "anything"),
    };
    if fits {
        Ok(())
    } else {
        Err(Malformed::WrongLength {
            message: name_of(id),
            length,
            expected,
        })
    }
}

/// Takes a message off the front of `buf`.
///
/// `buf` holds the whole message, `length` bytes after the five of its prefix and id, and
/// [`check_length`] passed. Payloads are split off, not copied. `None` if that is not so.
pub(crate) fn take(buf: &mut BytesMut, id: u8, length: usize) -> Option<Message> {
    let payload = buf.get(5..length.checked_add(5)?)?;
    let fixed = match id {
        id::CHOKE => Message::Choke,
        id::UNCHOKE => Message::Unchoke,
        id::INTERESTED => Message::Interested,
        id::NOT_INTERESTED => Message::NotInterested,
        id::HAVE => Message::Have(piece_at(payload, 0)?),
        id::REQUEST => Message::Request(block_at(payload, 0)?),
        id::CANCEL => Message::Cancel(block_at(payload, 0)?),
        id::PORT => Message::Port(u16_at(payload, 0)?),
        id::SUGGEST => Message::Suggest(piece_at(payload, 0)?),
        id::HAVE_ALL => Message::HaveAll,
        id::HAVE_NONE => Message::HaveNone,
        id::REJECT => Message::Reject(block_at(payload, 0)?),
        id::ALLOWED_FAST => Message::AllowedFast(piece_at(payload, 0)?),
        id::PIECE => {
            let (piece, begin) = (piece_at(payload, 0)?, crate::codec::u32_at(payload, 4)?);
            buf.advance(PIECE_HEADER_LEN);
            let data = buf.split_to(length.checked_sub(8)?).freeze();
            let length = u32::try_from(data.len()).ok()?;
            return Some(Message::Piece {
                block: BlockRef {
                    piece,
                    begin,
                    length,
                },
                data,
            });
        }
        id::EXTENDED => {
            let id = *payload.first()?;
            buf.advance(6);
            let payload = buf.split_to(length.checked_sub(1)?).freeze();
            return Some(Message::Extended { id, payload });
        }
        id::BITFIELD => {
            buf.advance(5);
            return Some(Message::Bitfield(buf.split_to(length).freeze()));
        }
        _ => {
            buf.advance(5);
            return Some(Message::Unknown {
                id,
                payload: buf.split_to(length).freeze(),
            });
        }
    };
    buf.advance(length.checked_add(5)?);
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_shows_is_short_and_escaped() {
        let block = BlockRef::new(PieceIndex(3), 16384, 4);
        let cases = [
            (Message::Unchoke, "unchoke"),
            (Message::Have(PieceIndex(7)), "have 7"),
            (Message::Request(block), "request piece 3 +16384 (4 bytes)"),
            (
                Message::Extended {
                    id: 3,
                    payload: Bytes::from_static(b"\x1b[2Jde"),
                },
                "extended 3 \"\\x1b[2Jde\"",
            ),
            (
                Message::Bitfield(vec![b'x'; 40].into()),
                "bitfield \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"… 40 bytes",
            ),
        ];
        for (message, expected) in cases {
            assert_eq!(format!("{message:?}"), expected);
        }
    }
}
