//! Receive buffers that come back by themselves.
//!
//! Blocks are slices of the buffer they were received in, and a buffer is free again when the last slice is gone. The
//! pool keeps an empty handle on each buffer it gave out and asks it, when the next one is needed, whether it is the
//! only one left. Without a pool every buffer would be fresh memory, which costs the kernel as much as the copy.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;

use crate::limits::{RECEIVE_BUFFER, SMALL_RECEIVE_BUFFER};

/// Handles looked at before a new buffer is made: the oldest are the likeliest to be free.
const PROBES: usize = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct Buffers {
    given: Mutex<VecDeque<BytesMut>>,
    keep: usize,
}

impl Buffers {
    /// Keeps as many buffers as `memory` bytes hold.
    pub(crate) fn new(memory: usize) -> Self {
        Self {
            given: Mutex::default(),
            keep: (memory / RECEIVE_BUFFER).max(4),
        }
    }

    /// A buffer for sixteen blocks.
    pub(crate) fn large(&self) -> BytesMut {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..PROBES.min(given.len()) {
            let Some(mut handle) = given.pop_front() else {
                break;
            };
            if handle.try_reclaim(RECEIVE_BUFFER) {
                return Self::give(&mut given, handle, self.keep);
            }
            given.push_back(handle);
        }
        let fresh = BytesMut::with_capacity(RECEIVE_BUFFER);
        Self::give(&mut given, fresh, self.keep)
    }

    /// A buffer for one block, for peers that send little.
    pub(crate) fn small() -> BytesMut {
        BytesMut::with_capacity(SMALL_RECEIVE_BUFFER)
    }

    fn give(given: &mut VecDeque<BytesMut>, mut buffer: BytesMut, keep: usize) -> BytesMut {
        let handle = buffer.split_to(0);
        if given.len() >= keep {
            given.pop_front();
        }
        given.push_back(handle);
        buffer
    }
}

#[cfg(test)]
mod tests {
    use super::Buffers;
    use crate::limits::RECEIVE_BUFFER;
    use bytes::{BufMut, BytesMut};

    fn fill(buffer: &mut BytesMut) -> usize {
        buffer.put_bytes(1, RECEIVE_BUFFER);
        buffer.as_ptr().addr()
    }

    #[test]
    fn a_buffer_is_used_again_once_its_last_slice_is_gone_and_not_before() {
        let buffers = Buffers::new(8 * RECEIVE_BUFFER);
        let mut first = buffers.large();
        assert!(first.capacity() >= RECEIVE_BUFFER);
        let address = fill(&mut first);
        let slice = first.split_to(100).freeze();
        drop(first);
        let second = fill(&mut buffers.large());
        assert_ne!(second, address, "a slice still points into it");
        drop(slice);
        let mut again = buffers.large();
        let third = fill(&mut again);
        let fourth = fill(&mut buffers.large());
        assert!([third, fourth].contains(&address));
    }
}
