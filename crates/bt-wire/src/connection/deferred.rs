//! What a peer announces before we know how many pieces there are: kept, and checked later.
//!
//! Only for torrents that start from a magnet. Knows nothing of what the pieces are.

use bt_metainfo::PieceIndex;
use bytes::Bytes;

use super::Event;
use crate::bitfield::{Bitfield, byte_len};
use crate::error::Misbehaved;
use crate::ext::{self, Ext};
use crate::limits;
use crate::message::Message;

/// Announcements without a piece count.
///
/// Bounded by [`limits::MAX_PIECES`] bits and [`limits::MAX_ALLOWED_FAST`] indices.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    /// The bits of `bitfield` and `have`, high bit first, as long as the highest of them needs.
    bits: Vec<u8>,
    /// How long the bitfield was, if there was one.
    bitfield: Option<usize>,
    /// "Have all" came.
    all: bool,
    /// "Have none" came.
    none: bool,
    /// The highest index of a `have`.
    highest: Option<PieceIndex>,
    /// What the peer lets us fetch while choked.
    allowed_fast: Vec<PieceIndex>,
    /// What the peer lost again.
    lost: Vec<PieceIndex>,
}

impl Deferred {
    /// Copies the payload, since it may have to be kept for minutes and would pin a large buffer.
    pub(super) fn bitfield(&mut self, payload: &[u8]) {
        self.bits = payload.to_vec();
        self.bitfield = Some(payload.len());
    }

    pub(super) fn have_all(&mut self) {
        self.all = true;
    }

    pub(super) fn have_none(&mut self) {
        self.none = true;
    }

    /// `index` is below [`limits::MAX_PIECES`].
    pub(super) fn have(&mut self, index: PieceIndex) {
        self.highest = self.highest.max(Some(index));
        let needed = byte_len(index.0.saturating_add(1)).min(byte_len(limits::MAX_PIECES));
        if self.bits.len() < needed {
            self.bits.resize(needed, 0);
        }
        let byte = usize::try_from(index.0 / 8).unwrap_or(usize::MAX);
        if let Some(byte) = self.bits.get_mut(byte) {
            *byte |= 0x80 >> (index.0 % 8);
        }
    }

    /// `false` if too many are kept already.
    pub(super) fn allow_fast(&mut self, index: PieceIndex) -> bool {
        let fits = self.allowed_fast.len() < limits::MAX_ALLOWED_FAST;
        if fits {
            self.allowed_fast.push(index);
        }
        fits
    }

    /// `false` if too many are kept already. A later `have` does not undo it: to be told twice that
    /// a piece is there is better than to ask for one that is not.
    pub(super) fn lose(&mut self, index: PieceIndex) -> bool {
        let fits = self.lost.len() < limits::MAX_ALLOWED_FAST;
        if fits {
            self.lost.push(index);
        }
        fits
    }

    /// What was announced, now that there are `count` pieces: at most one message that tells the
    /// pieces, then those that are gone again, then those that may be fetched while choked.
    pub(super) fn resolve(mut self, count: u32) -> Result<Vec<Event>, Misbehaved> {
        let expected = byte_len(count);
        if let Some(found) = self.bitfield.filter(|found| *found != expected) {
            return Err(Misbehaved::BitfieldLength {
                found,
                expected,
                count,
            });
        }
        if let Some(index) = self.highest.filter(|index| index.0 >= count) {
            return Err(Misbehaved::PieceOutOfRange {
                message: "have",
                index,
                count,
            });
        }
        let mut events = Vec::new();
        if self.all {
            events.push(Event::Message(Message::HaveAll));
        } else if !self.bits.is_empty() {
            self.bits.resize(expected, 0);
            let bits = Bitfield::from_wire(count, &self.bits)?;
            let payload = Bytes::copy_from_slice(bits.as_bytes());
            events.push(Event::Message(Message::Bitfield(payload)));
        } else if self.none {
            events.push(Event::Message(Message::HaveNone));
        }
        for index in self.lost {
            if index.0 >= count {
                let message = Ext::DontHave.name();
                return Err(Misbehaved::PieceOutOfRange {
                    message,
                    index,
                    count,
                });
            }
            events.push(Event::Extension(ext::Message::DontHave(ext::DontHave(
                index,
            ))));
        }
        let useful = self
            .allowed_fast
            .into_iter()
            .filter(|index| index.0 < count);
        events.extend(useful.map(|index| Event::Message(Message::AllowedFast(index))));
        Ok(events)
    }
}
