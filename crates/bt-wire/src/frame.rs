//! Where one message ends and the next begins: length prefixes (BEP 3).
//!
//! Keeps nothing between calls: all there is to know stands at the front of the buffer. Knows
//! nothing of the handshake or of what messages mean.

use bytes::{Buf, BytesMut};

use crate::codec::u32_at;
use crate::error::Malformed;
use crate::limits;
use crate::message::{self, Message};

/// The bytes of a whole piece message with a full block.
pub(crate) const BLOCK_MESSAGE_LEN: usize = message::PIECE_HEADER_LEN + 16 * 1024;

/// What stands at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// Too few bytes to tell.
    Unknown,
    /// A keep-alive: four zero bytes.
    KeepAlive,
    /// The first five bytes of a message, perhaps more.
    Message {
        /// Its id.
        id: u8,
        /// Bytes after the id; allowed for this id.
        length: u32,
    },
}

/// Looks at the front of `buf`, which is at a message boundary.
///
/// # Errors
///
/// If the length is more than any message may have, or more or less than this one may.
pub(crate) fn front(buf: &[u8]) -> Result<Front, Malformed> {
    let Some(prefix) = u32_at(buf, 0) else {
        return Ok(Front::Unknown);
    };
    if prefix == 0 {
        return Ok(Front::KeepAlive);
    }
    if prefix > limits::MAX_MESSAGE {
        return Err(Malformed::MessageTooLong {
            length: prefix,
            limit: limits::MAX_MESSAGE,
        });
    }
    let Some(id) = buf.get(4).copied() else {
        return Ok(Front::Unknown);
    };
    let length = prefix.saturating_sub(1);
    message::check_length(id, length)?;
    Ok(Front::Message { id, length })
}

/// Takes one whole message off the front of `buf`, or leaves `buf` alone and gives `None`.
///
/// The payload is a slice of the same memory. For whoever needs the messages without the rules of
/// a [`Connection`](crate::Connection): captures, simulators, other transports.
///
/// # Errors
///
/// [`Malformed`] as soon as the length of a message is seen to be wrong; `buf` is then unchanged.
pub fn decode(buf: &mut BytesMut) -> Result<Option<Message>, Malformed> {
    match front(buf)? {
        Front::Unknown => Ok(None),
        Front::KeepAlive => {
            buf.advance(4);
            Ok(Some(Message::KeepAlive))
        }
        Front::Message { id, length } => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(message::take(buf, id, length))
        }
    }
}

/// How many bytes to read next so that the buffer ends where a message ends.
///
/// `front` is the length of the message at the front, prefix included, if known; `buffered` how
/// many bytes of it are there; `spare` the room after them; `block_due` whether a block may come
/// next. After the message at the front, whole blocks are assumed to follow. Above `spare` if not
/// even that message fits.
pub(crate) fn wanted(
    front: Option<usize>,
    buffered: usize,
    spare: usize,
    block_due: bool,
) -> usize {
    if front.is_none() && !block_due {
        return spare.max(1);
    }
    let first = front.unwrap_or(BLOCK_MESSAGE_LEN).saturating_sub(buffered);
    let rest = spare.saturating_sub(first);
    if block_due {
        first + rest / BLOCK_MESSAGE_LEN * BLOCK_MESSAGE_LEN
    } else {
        first + rest
    }
}
