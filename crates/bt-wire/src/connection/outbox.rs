//! Messages that wait to be written, already as bytes.
//!
//! Knows nothing of blocks, which wait elsewhere so that they can be cancelled.

use bytes::{Bytes, BytesMut};

use crate::limits;
use crate::message::Message;

/// Bytes in the order in which they leave.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Never grows beyond [`limits::MAX_CONTROL_BYTES`] plus one message.
    bytes: BytesMut,
    /// Something was left out: what leaves from now on would be half of the truth.
    incomplete: bool,
}

impl Outbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.is_over() {
            self.incomplete = true;
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Over the limit nothing is added: the connection is about to be closed for it.
    pub(super) fn encode(&mut self, message: &Message) {
        if self.is_over() {
            self.incomplete = true;
        } else {
            message.encode(&mut self.bytes);
        }
    }

    /// Everything that waits, as one write.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        (!self.bytes.is_empty()).then(|| self.bytes.split().freeze())
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether more waits than a peer that reads lets pile up, or did once so that messages are missing.
    pub(super) fn is_over(&self) -> bool {
        self.incomplete || self.bytes.len() > limits::MAX_CONTROL_BYTES
    }
}
