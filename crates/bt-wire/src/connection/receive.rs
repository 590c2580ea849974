//! From bytes to events: the handshake, then message after message.
//!
//! The only place that takes bytes off the owner's buffer. Payloads are split off it, not copied.

use bt_metainfo::{BlockRef, PieceIndex};
use bytes::{Buf, BytesMut};

use super::{Connection, Event, Phase, Refusal};
use crate::bitfield::Bitfield;
use crate::codec::array_at;
use crate::error::{Error, Malformed, Misbehaved};
use crate::ext::{self, Ext};
use crate::frame::{self, Front};
use crate::handshake::{HANDSHAKE_HEAD_LEN, HANDSHAKE_LEN, Handshake};
use crate::limits;
use crate::message::{self, Message, id};
use crate::peer_id::PeerId;

/// The bytes of a peer id, the last part of a handshake.
const PEER_ID_LEN: usize = HANDSHAKE_LEN - HANDSHAKE_HEAD_LEN;

impl Connection {
    /// Takes what can be taken off the front of `buf`.
    pub(super) fn consume(&mut self, buf: &mut BytesMut) -> Result<(), Error> {
        loop {
            let progress = match self.phase {
                Phase::Head => self.read_head(buf)?,
                Phase::Undecided { .. } => false,
                Phase::PeerId {
                    reserved,
                    info_hash,
                } => {
                    let Some(peer_id) = array_at::<PEER_ID_LEN>(buf, 0) else {
                        return Ok(());
                    };
                    buf.advance(PEER_ID_LEN);
                    let peer_id = PeerId::from(peer_id);
                    self.open(Handshake {
                        reserved,
                        info_hash,
                        peer_id,
                    })?;
                    true
                }
                Phase::Open => self.read_message(buf)?,
            };
            if !progress {
                return Ok(());
            }
        }
    }

    /// Reads all of a handshake but the peer id.
    fn read_head(&mut self, buf: &mut BytesMut) -> Result<bool, Error> {
        let Some((reserved, info_hash)) = Handshake::decode_head(buf)? else {
            return Ok(false);
        };
        buf.advance(HANDSHAKE_HEAD_LEN);
        self.front = Some(PEER_ID_LEN);
        match &self.config {
            Some(config) if config.info_hash != info_hash => {
                let expected = config.info_hash;
                Err(Misbehaved::WrongInfoHash {
                    expected,
                    found: info_hash,
                }
                .into())
            }
            Some(_) => {
                self.phase = Phase::PeerId {
                    reserved,
                    info_hash,
                };
                Ok(true)
            }
            None => {
                self.phase = Phase::Undecided {
                    reserved,
                    info_hash,
                };
                self.events.push_back(Event::InfoHash {
                    info_hash,
                    reserved,
                });
                Ok(false)
            }
        }
    }

    /// Both handshakes are known.
    fn open(&mut self, peer: Handshake) -> Result<(), Error> {
        if let Some(config) = &self.config {
            if peer.peer_id == config.peer_id {
                return Err(Misbehaved::Ourselves.into());
            }
            if let Some(expected) = config.expected_peer_id.filter(|id| *id != peer.peer_id) {
                return Err(Misbehaved::WrongPeerId {
                    expected,
                    found: peer.peer_id,
                }
                .into());
            }
            self.rules.negotiated = config.reserved.and(peer.reserved);
        }
        self.stats.protocol_received += HANDSHAKE_LEN as u64;
        self.peer = Some(peer);
        self.phase = Phase::Open;
        self.front = None;
        self.clock
            .opened(self.supports_fast() || self.supports_extended());
        self.events.push_back(Event::Handshake(peer));
        Ok(())
    }

    /// Takes one message off `buf`, or the next part of one that is skipped.
    fn read_message(&mut self, buf: &mut BytesMut) -> Result<bool, Error> {
        if self.skip > 0 {
            let skipped = self.skip.min(buf.len());
            buf.advance(skipped);
            self.skip -= skipped;
            self.stats.protocol_received += skipped as u64;
            return Ok(self.skip == 0);
        }
        // A message whose head was seen and that is not complete yet needs no second look.
        if self.front.is_some_and(|whole| buf.len() < whole) {
            return Ok(false);
        }
        let seen = self.front.take().is_some();
        let (id, length) = match frame::front(buf)? {
            Front::Unknown => return Ok(false),
            Front::KeepAlive => {
                buf.advance(4);
                self.stats.protocol_received += 4;
                return Ok(true);
            }
            Front::Message { id, length } => (id, length),
        };
        let Some(wanted) = self.is_wanted(buf, id, length)? else {
            return Ok(false);
        };
        self.clock.first_message();
        if !wanted {
            buf.advance(5);
            self.stats.protocol_received += 5;
            self.stats.unknown_messages += 1;
            self.skip = to_usize(length);
            return Ok(true);
        }
        if !seen {
            self.rules.arriving(id, length)?;
        }
        let whole = to_usize(length).saturating_add(5);
        if buf.len() < whole {
            self.front = Some(whole);
            return Ok(false);
        }
        let Some(message) = message::take(buf, id, to_usize(length)) else {
            // `front` has checked the length, so this cannot happen.
            let message = message::name_of(id);
            return Err(Malformed::WrongLength {
                message,
                length,
                expected: "more",
            }
            .into());
        };
        self.stats.protocol_received += whole as u64;
        self.handle(message)?;
        Ok(true)
    }

    /// Whether a message is read at all; `None` if more bytes are needed to tell. The others are
    /// skipped as they come and counted, never an error.
    fn is_wanted(&self, buf: &[u8], id: u8, length: u32) -> Result<Option<bool>, Malformed> {
        if id != id::EXTENDED || !self.supports_extended() {
            return Ok(Some(message::is_known(id) && id != id::EXTENDED));
        }
        let Some(number) = buf.get(5).copied() else {
            return Ok(None);
        };
        let (extension, limit) = match Ext::from_id(number) {
            None if number == 0 => ("handshake", limits::MAX_EXTENSION_HANDSHAKE),
            Some(ext) if self.offers(ext) => (ext.name(), ext.max_len()),
            _ => return Ok(Some(false)),
        };
        let payload = to_usize(length).saturating_sub(1);
        if payload > limit {
            let reason = format!("{payload} bytes; the limit is {limit}");
            return Err(Malformed::Extension { extension, reason });
        }
        Ok(Some(true))
    }

    fn offers(&self, ext: Ext) -> bool {
        Ext::ALL
            .iter()
            .zip(self.offered)
            .any(|(known, offered)| *known == ext && offered)
    }

    /// Applies the rules to a whole message and turns it into an event.
    fn handle(&mut self, message: Message) -> Result<(), Error> {
        match &message {
            Message::Choke => {
                self.rules.peer_choking = true;
                if !self.supports_fast() {
                    self.blocks_due = 0;
                }
            }
            Message::Unchoke => self.rules.peer_choking = false,
            Message::Interested => self.rules.peer_interested = true,
            Message::NotInterested => self.rules.peer_interested = false,
            Message::Have(piece) => {
                self.rules.check_piece("have", *piece)?;
                if self.rules.piece_count.is_none() {
                    self.deferred.have(*piece);
                    return Ok(());
                }
            }
            Message::Bitfield(payload) => match self.rules.piece_count {
                Some(count) => {
                    Bitfield::from_wire(count, payload)?;
                }
                None => {
                    self.deferred.bitfield(payload);
                    return Ok(());
                }
            },
            Message::HaveAll if self.rules.piece_count.is_none() => {
                self.deferred.have_all();
                return Ok(());
            }
            Message::HaveNone if self.rules.piece_count.is_none() => {
                self.deferred.have_none();
                return Ok(());
            }
            Message::Request(block) => return self.handle_request(*block),
            Message::Piece { block, .. } => {
                self.rules.check_block(*block)?;
                self.block_settled();
                self.stats.payload_received += u64::from(block.length);
                self.stats.protocol_received -= u64::from(block.length);
            }
            Message::Cancel(block) => {
                if !self.requests.answer(*block) {
                    // The block left already: it is the answer (BEP 6).
                    self.stats.ignored_messages += 1;
                    return self.put_up_with_cancel(*block);
                }
                self.refuse_on_wire(*block);
            }
            Message::Suggest(piece) | Message::AllowedFast(piece) => {
                if !self.is_advice_useful(*piece, matches!(message, Message::AllowedFast(_))) {
                    return Ok(());
                }
            }
            Message::Reject(_) => self.block_settled(),
            Message::Extended { id, payload } => return self.handle_extended(*id, payload),
            Message::HaveAll
            | Message::HaveNone
            | Message::KeepAlive
            | Message::Port(_)
            | Message::Unknown { .. } => {}
        }
        self.events.push_back(Event::Message(message));
        Ok(())
    }

    /// Whether a suggested or allowed piece is worth an event now. It is advice, so nonsense is
    /// counted and no more.
    fn is_advice_useful(&mut self, piece: PieceIndex, allowed_fast: bool) -> bool {
        let useful = self.rules.check_piece("advice", piece).is_ok();
        let kept = useful && self.rules.piece_count.is_none() && allowed_fast;
        if !useful || (kept && !self.deferred.allow_fast(piece)) {
            self.stats.ignored_messages += 1;
        }
        useful && self.rules.piece_count.is_some()
    }

    /// Reads a message of the extension protocol.
    fn handle_extended(&mut self, id: u8, payload: &[u8]) -> Result<(), Error> {
        let Some(ext) = Ext::from_id(id) else {
            // A handshake that cannot be read leaves the peer without extensions, which is no
            // reason to lose it.
            match ext::Handshake::decode(payload) {
                Ok(handshake) => {
                    self.peer_ids.update(&handshake);
                    self.events
                        .push_back(Event::ExtensionHandshake(Box::new(handshake)));
                }
                Err(_) => self.stats.ignored_messages += 1,
            }
            return Ok(());
        };
        let message = ext::Message::decode(ext, payload)?;
        if let ext::Message::DontHave(ext::DontHave(piece)) = message {
            self.rules.check_piece(ext.name(), piece)?;
            if self.rules.piece_count.is_none() {
                if !self.deferred.lose(piece) {
                    self.stats.ignored_messages += 1;
                }
                return Ok(());
            }
        }
        self.events.push_back(Event::Extension(message));
        Ok(())
    }

    /// Lets a cancel for a request that does not wait pass, unless there are too many of them.
    fn put_up_with_cancel(&mut self, last: BlockRef) -> Result<(), Error> {
        if self.vain_cancels.take(self.clock.now()) {
            return Ok(());
        }
        let (at_once, per_second) = (limits::MAX_VAIN_CANCELS, limits::VAIN_CANCELS_PER_SECOND);
        Err(Misbehaved::VainCancels {
            at_once,
            per_second,
            last,
        }
        .into())
    }

    /// Takes a request in, or refuses it in the way that BEP 6 or BEP 3 foresees.
    fn handle_request(&mut self, block: BlockRef) -> Result<(), Error> {
        let why = if !self.rules.is_request_valid(block) {
            Refusal::Invalid
        } else if self.rules.choking && !self.rules.is_allowed_fast(block.piece) {
            Refusal::Choked
        } else if !self.requests.ask(block) {
            Refusal::QueueFull
        } else {
            self.events
                .push_back(Event::Message(Message::Request(block)));
            return Ok(());
        };
        if why == Refusal::Invalid {
            self.stats.invalid_requests += 1;
            let count = self.stats.invalid_requests;
            if count > limits::MAX_INVALID_REQUESTS {
                return Err(Misbehaved::InvalidRequests { count, last: block }.into());
            }
        } else {
            self.stats.refused_requests += 1;
        }
        self.refuse_on_wire(block);
        self.events.push_back(Event::Refused { block, why });
        Ok(())
    }
}

/// Lossless wherever this crate can run: lengths were checked against limits before.
fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
