//! One message cut into runs of whole blocks, with the padding that ends it.
//!
//! It must not know which function hashes the blocks: SHA-1 and SHA-256 cut and pad alike (FIPS
//! 180-4, section 5.1.1).

use std::slice;

/// What both functions hash at a time.
pub(super) type Block = [u8; BLOCK];

/// Bytes of a [`Block`].
pub(super) const BLOCK: usize = 64;

/// Bytes of the message length that ends the last block.
const LENGTH: usize = 8;

/// The part of a message that does not fill a block yet, and how long the message is so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// Gathered bytes. Two blocks, because the padding may need a second one.
    bytes: [Block; 2],
    /// Bytes gathered in `bytes[0]`; `filled < 64`, and 0 while `ready > 0`.
    filled: usize,
    /// Blocks of `bytes` that wait to be hashed; `ready <= 2`.
    ready: usize,
    /// Bytes of the message taken so far. SHA-1 and SHA-256 count modulo 2^61 bytes.
    length: u64,
}

/// One message, or the next part of one, on its way into a lane.
#[derive(Debug)]
pub(super) struct Feed<'a> {
    edge: Edge,
    /// The slice that is being read.
    part: &'a [u8],
    rest: slice::Iter<'a, &'a [u8]>,
    /// Whether the padding is still to come after the last slice.
    closing: bool,
}

impl Edge {
    pub(super) const EMPTY: Self = Self {
        bytes: [[0; BLOCK]; 2],
        filled: 0,
        ready: 0,
        length: 0,
    };

    /// Moves as many bytes as fit from the front of `part` behind the gathered ones.
    fn gather(&mut self, part: &mut &[u8]) {
        let room = &mut self.bytes[0][self.filled..];
        let (taken, left) = part.split_at(room.len().min(part.len()));
        room[..taken.len()].copy_from_slice(taken);
        *part = left;
        self.filled += taken.len();
        if self.filled == BLOCK {
            self.filled = 0;
            self.ready = 1;
        }
    }

    /// Ends the message: a one bit, zeros, and its length in bits as 64 bits.
    fn pad(&mut self) {
        let bytes = self.bytes.as_flattened_mut();
        bytes[self.filled..].fill(0);
        bytes[self.filled] = 0x80;
        self.ready = if self.filled < BLOCK - LENGTH { 1 } else { 2 };
        let end = self.ready * BLOCK;
        let bits = self.length.wrapping_mul(8);
        bytes[end - LENGTH..end].copy_from_slice(&bits.to_be_bytes());
        self.filled = 0;
    }
}

impl<'a> Feed<'a> {
    /// A whole message: `parts` one after the other, then the padding.
    pub(super) fn whole(parts: &'a [&'a [u8]]) -> Self {
        Self::new(Edge::EMPTY, parts, true)
    }

    /// More of a message whose end is not known.
    pub(super) fn more(edge: Edge, parts: &'a [&'a [u8]]) -> Self {
        Self::new(edge, parts, false)
    }

    /// Only the padding of a message that has ended.
    pub(super) fn end(edge: Edge) -> Self {
        Self::new(edge, &[], true)
    }

    fn new(edge: Edge, parts: &'a [&'a [u8]], closing: bool) -> Self {
        Self {
            edge,
            part: &[],
            rest: parts.iter(),
            closing,
        }
    }

    /// Makes [`run`](Self::run) non-empty; false when all blocks have been taken.
    pub(super) fn fill(&mut self) -> bool {
        loop {
            if self.edge.ready > 0 || (self.edge.filled == 0 && self.part.len() >= BLOCK) {
                return true;
            }
            if !self.part.is_empty() {
                self.edge.gather(&mut self.part);
            } else if let Some(part) = self.rest.next() {
                self.part = part;
                self.edge.length = self.edge.length.wrapping_add(part.len() as u64);
            } else if self.closing {
                self.closing = false;
                self.edge.pad();
            } else {
                return false;
            }
        }
    }

    /// The blocks that can be hashed next, as they lie in memory.
    pub(super) fn run(&self) -> &[Block] {
        if self.edge.ready > 0 {
            &self.edge.bytes[..self.edge.ready]
        } else {
            self.part.as_chunks().0
        }
    }

    /// Takes `blocks` off the front of the run.
    pub(super) fn consume(&mut self, blocks: usize) {
        if self.edge.ready > 0 {
            self.edge.bytes.copy_within(blocks.., 0);
            self.edge.ready -= blocks;
        } else {
            self.part = &self.part[blocks * BLOCK..];
        }
    }

    /// What is left over for the next part of the message.
    pub(super) fn into_edge(self) -> Edge {
        self.edge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_message_is_counted_in_64_bits() {
        let long = Edge {
            length: (5 << 32) + 3,
            filled: 3,
            ..Edge::EMPTY
        };
        let mut feed = Feed::end(long);
        assert!(feed.fill());
        let [block] = feed.run() else {
            panic!("one block")
        };
        assert_eq!(block[3], 0x80);
        assert_eq!(block[56..], ((5u64 << 35) + 24).to_be_bytes());
    }

    #[test]
    fn padding_takes_a_second_block_from_56_bytes_on() {
        for (length, blocks) in [(0, 1), (55, 1), (56, 2), (63, 2), (64, 1)] {
            let bytes = vec![1; length];
            let parts = [bytes.as_slice()];
            let mut feed = Feed::whole(&parts);
            if length == 64 {
                assert!(feed.fill());
                feed.consume(1);
            }
            assert!(feed.fill());
            assert_eq!(feed.run().len(), blocks, "{length} bytes");
            feed.consume(blocks);
            assert!(!feed.fill());
        }
    }
}
