//! What the owner wants to tell the peer, and the order in which it leaves.
//!
//! Messages leave before blocks, and what may not be said is not said. Knows nothing of the bytes
//! of a block.

use bt_metainfo::BlockRef;
use bytes::{Bytes, BytesMut};

use super::{Connection, Transmit};
use crate::bitfield::Bitfield;
use crate::ext;
use crate::message::{Message, PIECE_HEADER_LEN};

impl Connection {
    /// Queues a message and tells whether it will be sent.
    ///
    /// It is not if the connection is not open, if the message needs an extension that is not
    /// negotiated, if it says nothing new (a second choke), or if it is too late for it (a bitfield
    /// after other messages). [`Message::Choke`] and [`Message::Reject`] do what
    /// [`choke`](Self::choke) and [`reject`](Self::reject) do. A [`Message::Piece`] is never sent
    /// from here, since its data would have to be copied: see [`send_block`](Self::send_block).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the message is the owner's to give away"
    )]
    pub fn send(&mut self, message: Message) -> bool {
        match &message {
            _ if !self.is_open() => false,
            Message::Choke => {
                let changes = !self.rules.choking;
                self.choke();
                changes
            }
            Message::Reject(block) => self.reject(*block),
            message => {
                let permitted = self.rules.permit(message);
                if permitted {
                    self.outbox.encode(message);
                    self.expect(message);
                }
                permitted
            }
        }
    }

    /// Queues our extension handshake (BEP 10); `false` if the peer does not speak the protocol.
    ///
    /// The first goes right after [`Event::Handshake`](super::Event::Handshake); later ones carry changes. Messages of
    /// extensions that no handshake of ours offers are skipped on arrival.
    pub fn send_extension_handshake(&mut self, handshake: &ext::Handshake) -> bool {
        let payload = Bytes::from(handshake.encode());
        let sent = self.send(Message::Extended { id: 0, payload });
        if sent {
            for (offered, id) in self.offered.iter_mut().zip(handshake.ids) {
                *offered = id.map_or(*offered, |id| id != 0);
            }
        }
        sent
    }

    /// Queues a message of an extension, under the peer's number for it; `false` if the peer does
    /// not speak the extension.
    pub fn send_extension(&mut self, message: &ext::Message) -> bool {
        let Some(id) = self.peer_ids.get(message.ext()) else {
            return false;
        };
        let mut payload = BytesMut::new();
        message.encode(&mut payload);
        self.send(Message::Extended {
            id,
            payload: payload.freeze(),
        })
    }

    /// Sends the first message: which pieces we have. Chooses the shortest legal form.
    ///
    /// With the fast extension that is always a message, "have all" or "have none" where it fits
    /// (BEP 6); without it, an empty bitfield is left out (BEP 3). Gives `false` if other messages
    /// went before.
    pub fn announce_pieces(&mut self, have: &Bitfield) -> bool {
        let message = match self.supports_fast() {
            true if have.is_full() => Message::HaveAll,
            true if have.is_empty() => Message::HaveNone,
            false if have.is_empty() => return self.is_open(),
            _ => Message::Bitfield(Bytes::copy_from_slice(have.as_bytes())),
        };
        self.send(message)
    }

    /// Chokes the peer and gives the requests that are thereby over, so that the owner can stop
    /// fetching them.
    ///
    /// All requests that wait are over, handed to [`send_block`](Self::send_block) or not, except
    /// for pieces that we allowed the peer to fetch while choked. With the fast extension each is
    /// rejected on the wire, after the choke. Does nothing if the peer is choked already.
    pub fn choke(&mut self) -> Vec<BlockRef> {
        if !self.is_open() || !self.rules.permit(&Message::Choke) {
            return Vec::new();
        }
        self.outbox.encode(&Message::Choke);
        let rules = &self.rules;
        let over = self
            .requests
            .drain(|block| !rules.is_allowed_fast(block.piece));
        if self.supports_fast() {
            for block in &over {
                self.outbox.encode(&Message::Reject(*block));
            }
        }
        over
    }

    /// Queues the block that answers a waiting request; `false` if none waits for it any more.
    ///
    /// `poll_transmit` hands it out after all messages queued before or after. The owner keeps the
    /// data, or the knowledge of where it is, until then.
    pub fn send_block(&mut self, block: BlockRef) -> bool {
        self.is_open() && self.requests.enqueue(block)
    }

    /// Takes a block back that [`send_block`](Self::send_block) queued and that was not handed out
    /// yet, as if the peer had cancelled it; `false` if there is none.
    pub fn cancel(&mut self, block: BlockRef) -> bool {
        let removed = self.is_open() && self.requests.unqueue(block);
        if removed {
            self.refuse_on_wire(block);
        }
        removed
    }

    /// Answers a waiting request with no, whether or not its block is queued; `false` if none waits.
    pub fn reject(&mut self, block: BlockRef) -> bool {
        let removed = self.is_open() && self.requests.answer(block);
        if removed {
            self.refuse_on_wire(block);
        }
        removed
    }

    /// What to write next, in this order: messages before blocks.
    ///
    /// Call it when the transport can take more: what is handed out can no longer be cancelled.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.error.is_some() {
            return None;
        }
        if let Some(bytes) = self.poll_messages() {
            return Some(Transmit::Control(bytes));
        }
        let block = self.requests.next_queued()?;
        self.stats.protocol_sent += PIECE_HEADER_LEN as u64;
        self.stats.payload_sent += u64::from(block.length);
        self.clock.sent();
        Some(Transmit::Block {
            header: Message::piece_header(block),
            block,
        })
    }

    /// The messages that are due, without blocks: for a transport that holds blocks back, for a rate limit or a disk.
    /// They may leave before blocks that were handed out earlier and are not on their way yet.
    pub fn poll_messages(&mut self) -> Option<Bytes> {
        if self.error.is_some() {
            return None;
        }
        let bytes = self.outbox.take()?;
        self.stats.protocol_sent += bytes.len() as u64;
        self.clock.sent();
        Some(bytes)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) has a block to hand out, once no message is due.
    pub fn has_blocks(&self) -> bool {
        self.error.is_none() && self.requests.has_queued()
    }

    /// Notes what a message of ours means for the blocks that are due.
    fn expect(&mut self, message: &Message) {
        match message {
            Message::Request(_) => self.blocks_due = self.blocks_due.saturating_add(1),
            // With the fast extension the answer tells.
            Message::Cancel(_) if !self.supports_fast() => self.block_settled(),
            _ => {}
        }
    }

    pub(super) fn block_settled(&mut self) {
        self.blocks_due = self.blocks_due.saturating_sub(1);
    }

    pub(super) fn refuse_on_wire(&mut self, block: BlockRef) {
        if self.supports_fast() {
            self.outbox.encode(&Message::Reject(block));
        }
    }
}
