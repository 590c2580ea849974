//! A socket and the wire state on it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bt_wire::{Connection, Event};
use bytes::BytesMut;
use thiserror::Error;
use tokio::io::Interest;

use super::super::stream::Stream;
use super::super::{Buffers, Tools};
use super::transmit::Outgoing;
use crate::engine::{CloseReason, Refusal};
use crate::limits::SMALL_RECEIVE_BUFFER;

/// Bytes that one turn of a peer may read before others get theirs.
const TURN: usize = 1024 * 1024;

/// Why a connection ended.
#[derive(Debug, Error)]
pub(crate) enum Ended {
    #[error("the peer closed the connection")]
    ByPeer,
    #[error("we closed it: {0}")]
    ByUs(CloseReason),
    #[error("we did not let it in: {0}")]
    Refused(#[from] Refusal),
    #[error("it asked for a torrent that is not here")]
    Unknown,
    #[error("{0}")]
    Wire(#[from] bt_wire::Error),
    #[error("{0}")]
    Socket(#[from] io::Error),
    #[error("our own files failed: {0}")]
    Content(#[from] crate::disk::DiskError),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) stream: Stream,
    pub(super) connection: Connection,
    pub(super) addr: SocketAddr,
    pub(super) outgoing: Outgoing,
    buffer: BytesMut,
    /// The last read filled all the room it was given: the peer sends faster than we read.
    hungry: bool,
}

impl Link {
    pub(super) fn new(stream: Stream, connection: Connection, addr: SocketAddr) -> Self {
        Self {
            stream,
            connection,
            addr,
            outgoing: Outgoing::default(),
            buffer: BytesMut::new(),
            hungry: false,
        }
    }

    /// When [`Link::timeout`] is due.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        self.connection.poll_timeout().unwrap_or(now)
    }

    pub(super) fn timeout(&mut self, now: Instant) -> Result<(), Ended> {
        Ok(self.connection.handle_timeout(now)?)
    }

    /// Waits for the socket; for ever without an interest. True when there may be bytes to read.
    pub(super) async fn ready(&self, interest: Option<Interest>) -> io::Result<bool> {
        match interest {
            Some(interest) => {
                let ready = self.stream.ready(interest).await?;
                Ok(interest.is_readable()
                    && (ready.is_readable() || ready.is_read_closed() || ready.is_error()))
            }
            None => std::future::pending().await,
        }
    }

    /// Reads what is there, up to a turn, and appends what it says to `events`. Gives the number of bytes.
    pub(super) fn read(
        &mut self,
        now: Instant,
        tools: &Tools,
        events: &mut Vec<Event>,
    ) -> Result<usize, Ended> {
        let turn = tools.limits.down_turn(TURN);
        let mut total = 0;
        while total < turn {
            self.make_room(&tools.buffers);
            let spare = self.buffer.capacity() - self.buffer.len();
            let wanted = self.connection.wanted(self.buffer.len(), spare);
            // Without a limit a turn may end with what is in the buffer, which costs no extra call.
            let most = if turn < TURN { turn - total } else { spare };
            let wanted = wanted.min(spare).min(most);
            let read = match self.stream.try_read(&mut self.buffer, wanted) {
                Ok(0) => return Err(Ended::ByPeer),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            total += read;
            let result = self.connection.received(now, &mut self.buffer);
            while let Some(event) = self.connection.poll_event() {
                events.push(event);
            }
            result?;
            self.hungry = total > SMALL_RECEIVE_BUFFER || (read == wanted && turn >= TURN);
            if read < wanted {
                break;
            }
        }
        if self.buffer.is_empty() && !self.hungry {
            // An idle peer holds no memory.
            self.buffer = BytesMut::new();
        }
        Ok(total)
    }

    /// Looks again at what is in the buffer: an incoming handshake waits there for our decision.
    pub(super) fn look_again(
        &mut self,
        now: Instant,
        events: &mut Vec<Event>,
    ) -> Result<(), Ended> {
        let result = self.connection.received(now, &mut self.buffer);
        while let Some(event) = self.connection.poll_event() {
            events.push(event);
        }
        Ok(result?)
    }

    /// Room for the message that is arriving, and for at least one block if none is.
    ///
    /// What is left of a buffer that is too small for another block is not used: a block that straddles two buffers
    /// would have to be copied. Only a message that was already under way when a buffer ended is moved.
    fn make_room(&mut self, buffers: &Buffers) {
        let spare = self.buffer.capacity() - self.buffer.len();
        let needed = if self.buffer.is_empty() {
            SMALL_RECEIVE_BUFFER
        } else {
            // With no spare room at all, `wanted` names what the message still lacks.
            self.connection.wanted(self.buffer.len(), 0).max(1)
        };
        if spare >= needed {
            return;
        }
        let mut next = if self.hungry {
            buffers.large()
        } else {
            Buffers::small()
        };
        let rest = self.buffer.split();
        if rest.len() + needed > next.capacity() {
            next = BytesMut::with_capacity(rest.len() + needed);
        }
        next.extend_from_slice(&rest);
        self.buffer = next;
    }
}
