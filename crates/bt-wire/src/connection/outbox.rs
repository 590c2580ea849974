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
}

impl Outbox {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if !self.is_over() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Over the limit nothing is added: the connection is about to be closed for it.
    pub(super) fn encode(&mut self, message: &Message) {
        if !self.is_over() {
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

    /// Whether more waits than a peer that reads lets pile up.
    pub(super) fn is_over(&self) -> bool {
        self.bytes.len() > limits::MAX_CONTROL_BYTES
    }
}
