//! Bytes out: messages and blocks in the order of the connection, many of them by one call to the socket.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bt_wire::Transmit;
use bytes::{Buf, Bytes};

use super::Guest;
use super::batch::{self, Fetched, Filled, Part};
use super::link::Ended;
use crate::limits::{MAX_SEND_BATCH, MIN_SEND_BATCH};

/// Payload that one turn of a peer may send before others get theirs.
const TURN: u64 = 1024 * 1024;

/// Content that a disk thread reads at once for a peer whose next block is not in memory.
const FETCH: usize = 256 * 1024;

/// Why nothing more is written now.
#[derive(Debug)]
pub(super) enum Blocked {
    /// There is nothing to write.
    Idle,
    /// The kernel's buffer is full.
    Full,
    /// The next block is being fetched from the disk; the mailbox wakes us.
    Cold,
    /// The rate limit holds us back until then.
    Limited(Instant),
    /// The turn is over; there is more.
    Turn,
}

impl Blocked {
    /// When to try again without any other reason.
    pub(super) fn until(&self, now: Instant) -> Instant {
        match self {
            Self::Limited(until) => *until,
            Self::Idle | Self::Full | Self::Cold | Self::Turn => now + Duration::from_secs(3600),
        }
    }
}

/// What is on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Taken from the connection, not yet given to the kernel.
    parts: VecDeque<Part>,
    /// The end of a batch that the kernel did not take.
    tail: Bytes,
    /// Content in the tail.
    tail_payload: usize,
    /// How much the kernel is likely to take at once: what is read for it in vain has to be kept.
    appetite: usize,
    fetch: Fetch,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            parts: VecDeque::new(),
            tail: Bytes::new(),
            tail_payload: 0,
            appetite: MIN_SEND_BATCH,
            fetch: Fetch::None,
        }
    }
}

/// Content that had to be fetched for the first part.
#[derive(Debug)]
enum Fetch {
    None,
    /// A disk thread leaves it in the cell and wakes us.
    UnderWay(Arc<Mutex<Option<Fetched>>>),
    Done(Fetched),
}

impl Outgoing {
    /// A batch was made of the first parts.
    fn filled(&mut self, filled: &Filled) {
        self.parts.drain(..filled.parts);
        if filled.payload > 0 {
            // Messages alone leave the block that something is fetched for where it was.
            self.fetch = Fetch::None;
        }
    }
}

impl Guest {
    /// Writes until there is nothing to write or something holds us back.
    pub(super) fn transmit(&mut self) -> Result<Blocked, Ended> {
        let mut sent = 0;
        let result = self.write_batches(&mut sent);
        if sent > 0 {
            self.tools.limits.sent((self.tools.now)(), sent);
            self.host.uploaded(self.key, sent);
        }
        match result {
            Err(Ended::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                Ok(Blocked::Full)
            }
            result => result,
        }
    }

    fn write_batches(&mut self, sent: &mut u64) -> Result<Blocked, Ended> {
        loop {
            self.write_tail(sent)?;
            if *sent >= self.tools.limits.up_turn(TURN) {
                return Ok(Blocked::Turn);
            }
            self.take_messages();
            let held_back = self.holds_blocks_back();
            let payload = match held_back {
                Some(_) => 0,
                None => self.tools.limits.up_turn(TURN).saturating_sub(*sent),
            };
            let room = self.take_parts(usize::try_from(payload).unwrap_or(usize::MAX));
            if room == 0 {
                return Ok(held_back.unwrap_or(Blocked::Idle));
            }
            let filled = batch::with_scratch(room, |buffer| self.write_batch(buffer, sent))?;
            if filled.parts == 0 {
                self.fetch();
            }
        }
    }

    /// Why no block may leave now, if one wants to.
    fn holds_blocks_back(&mut self) -> Option<Blocked> {
        let is_wanted =
            |part: Option<&Part>| part.is_some_and(|part| matches!(part, Part::Block { .. }));
        if !is_wanted(self.link.outgoing.parts.back()) && !self.link.connection.has_blocks() {
            return None;
        }
        if !self.is_fetched() {
            return Some(Blocked::Cold);
        }
        let now = (self.tools.now)();
        let wait = self.tools.limits.up_wait(now)?;
        Some(Blocked::Limited(now + wait))
    }

    /// Moves the messages that are due before the blocks that have not left: what holds blocks back, the disk or the
    /// rate limit, must not delay our own requests.
    fn take_messages(&mut self) {
        if let Some(bytes) = self.link.connection.poll_messages() {
            let parts = &mut self.link.outgoing.parts;
            let is_message = |part: &&Part| matches!(part, Part::Control(_));
            let at = parts.iter().take_while(is_message).count();
            parts.insert(at, Part::Control(bytes));
        }
    }

    /// Moves one more message or block from the connection to the parts.
    fn take_part(&mut self) -> bool {
        let part = match self.link.connection.poll_transmit() {
            None => return false,
            Some(Transmit::Control(bytes)) => Part::Control(bytes),
            Some(Transmit::Block { header, block }) => Part::Block {
                header,
                start: self.host.content().block_start(block),
                length: block.length as usize,
            },
        };
        self.link.outgoing.parts.push_back(part);
        true
    }

    /// Makes sure that there are parts for a batch. Gives the bytes of those that a batch may hold, which are messages
    /// and at most `payload` bytes of content, but at least one block if any content may leave.
    fn take_parts(&mut self, payload: usize) -> usize {
        let (mut room, mut content, mut index) = (0, 0, 0);
        loop {
            // A block that may not leave stays where it can still be canceled.
            let is_last = index == self.link.outgoing.parts.len();
            if is_last && (payload == 0 || !self.take_part()) {
                return room;
            }
            let part = &self.link.outgoing.parts[index];
            let (size, more) = (part.size(), part.payload());
            let is_over = room + size > self.link.outgoing.appetite && index > 0;
            let is_too_much = more > 0 && content + more > payload && (content > 0 || payload == 0);
            if is_over || is_too_much {
                return room;
            }
            (room, content, index) = (room + size, content + more, index + 1);
        }
    }

    /// Sends what the kernel did not take of the last batch.
    fn write_tail(&mut self, sent: &mut u64) -> Result<(), Ended> {
        let outgoing = &mut self.link.outgoing;
        while !outgoing.tail.is_empty() {
            let written = match self.link.stream.try_write(&outgoing.tail) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                written => written?,
            };
            outgoing.tail.advance(written);
            let payload = written.min(outgoing.tail_payload);
            outgoing.tail_payload -= payload;
            *sent += payload as u64;
        }
        Ok(())
    }

    /// Fills `buffer` with the first parts and sends it. What the kernel does not take becomes the tail.
    fn write_batch(&mut self, buffer: &mut [u8], sent: &mut u64) -> Result<Filled, Ended> {
        let outgoing = &mut self.link.outgoing;
        let fetched = match &outgoing.fetch {
            Fetch::Done(fetched) => Some(fetched),
            Fetch::None | Fetch::UnderWay(_) => None,
        };
        let filled = batch::fill(&outgoing.parts, fetched, self.host.content(), buffer);
        if filled.parts == 0 {
            return Ok(filled);
        }
        outgoing.filled(&filled);
        let bytes = &buffer[..filled.bytes];
        let written = match self.link.stream.try_write(bytes) {
            Ok(written) => written,
            Err(error) if is_for_later(&error) => 0,
            Err(error) => return Err(error.into()),
        };
        let payload = written.min(filled.payload);
        *sent += payload as u64;
        outgoing.appetite = if written == bytes.len() {
            (outgoing.appetite * 2).min(MAX_SEND_BATCH)
        } else {
            written.clamp(MIN_SEND_BATCH, MAX_SEND_BATCH)
        };
        outgoing.tail = Bytes::copy_from_slice(&bytes[written..]);
        outgoing.tail_payload = filled.payload - payload;
        Ok(filled)
    }

    /// Whether nothing is being fetched, or it has come.
    fn is_fetched(&mut self) -> bool {
        let Fetch::UnderWay(cell) = &self.link.outgoing.fetch else {
            return true;
        };
        let fetched = cell.lock().unwrap_or_else(PoisonError::into_inner).take();
        match fetched {
            Some(fetched) => {
                self.link.outgoing.fetch = Fetch::Done(fetched);
                true
            }
            None => false,
        }
    }

    /// The first block is not in memory: has it fetched, with its neighbors that are wanted next.
    fn fetch(&mut self) {
        let mut span: Option<(u64, usize)> = None;
        for part in &self.link.outgoing.parts {
            let Part::Block { start, length, .. } = part else {
                break;
            };
            let (first, so_far) = span.unwrap_or((*start, 0));
            if first + so_far as u64 != *start || so_far + length > FETCH {
                break;
            }
            span = Some((first, so_far + length));
        }
        let Some((start, length)) = span else {
            return;
        };
        let cell = Arc::new(Mutex::new(None));
        self.link.outgoing.fetch = Fetch::UnderWay(Arc::clone(&cell));
        let (host, mailbox) = (Arc::clone(&self.host), Arc::clone(&self.mailbox));
        self.host
            .content()
            .fetch(start, length, move |result| match result {
                Ok(data) => {
                    *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some((start, data));
                    mailbox.wake();
                }
                Err(error) => host.content_failed(error),
            });
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::{Arc, Bytes, Fetch, Filled, Mutex, Outgoing, Part};

    #[test]
    fn a_message_that_leaves_meanwhile_does_not_make_a_block_be_fetched_again() {
        let block = Part::Block {
            header: [0; 13],
            start: 0,
            length: 16384,
        };
        let message = Part::Control(Bytes::from_static(&[0; 5]));
        let mut outgoing = Outgoing {
            parts: [message, block].into(),
            fetch: Fetch::UnderWay(Arc::new(Mutex::new(None))),
            ..Outgoing::default()
        };
        let batch = |bytes, payload| Filled {
            parts: 1,
            bytes,
            payload,
        };
        outgoing.filled(&batch(5, 0));
        assert!(matches!(outgoing.fetch, Fetch::UnderWay(_)) && outgoing.parts.len() == 1);
        outgoing.filled(&batch(13 + 16384, 16384));
        assert!(matches!(outgoing.fetch, Fetch::None) && outgoing.parts.is_empty());
    }
}
