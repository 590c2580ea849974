//! Two connections joined by memory, for tests: chunked as the test likes, in the test's own time.
//!
//! Behind the feature `testing`. Knows nothing of torrents: block data is made up from the block's
//! own numbers, so that the receiving side can check it.

use std::time::{Duration, Instant};

use bt_metainfo::BlockRef;
use bytes::{Bytes, BytesMut};

use crate::{Config, Connection, Error, Event, IncomingConfig, Transmit};

/// A time to start from. Tests only ever add to it.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant can be made in no other way"
)]
pub fn start() -> Instant {
    Instant::now()
}

/// The data that [`Pair`] sends for a block: each byte depends on its place in the torrent.
pub fn block_data(block: BlockRef) -> Bytes {
    let seed = block.piece.0.wrapping_mul(0x9e37_79b9);
    let bytes = (0..block.length).map(|offset| {
        let [byte, ..] = seed
            .wrapping_add(block.begin)
            .wrapping_add(offset)
            .to_le_bytes();
        byte
    });
    bytes.collect()
}

/// One end of a [`Pair`].
#[derive(Debug)]
pub struct End {
    /// The connection; tests call it directly.
    pub connection: Connection,
    /// What it did so far that the test has not taken.
    pub events: Vec<Event>,
    /// Why it ended, if it did.
    pub error: Option<Error>,
    /// With what an incoming connection is accepted when it names its torrent.
    accept: Option<Config>,
    /// Bytes on their way to this end.
    wire: BytesMut,
    /// Bytes that arrived and are not consumed.
    buffer: BytesMut,
}

impl End {
    fn new(connection: Connection, accept: Option<Config>) -> Self {
        let (wire, buffer) = (BytesMut::new(), BytesMut::new());
        Self {
            connection,
            events: Vec::new(),
            error: None,
            accept,
            wire,
            buffer,
        }
    }

    /// Takes the events so far.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Everything that is to be written, blocks with their [`block_data`].
    pub fn transmit(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(transmit) = self.connection.poll_transmit() {
            match transmit {
                Transmit::Control(control) => bytes.extend_from_slice(&control),
                Transmit::Block { header, block } => {
                    bytes.extend_from_slice(&header);
                    bytes.extend_from_slice(&block_data(block));
                }
            }
        }
        bytes
    }

    /// Puts bytes on the wire to this end, as if the other side had sent them.
    pub fn inject(&mut self, bytes: &[u8]) {
        self.wire.extend_from_slice(bytes);
    }

    /// Moves up to `chunk` bytes from the wire into the connection; `false` if there are none.
    fn receive(&mut self, now: Instant, chunk: usize) -> bool {
        if self.wire.is_empty() || self.error.is_some() {
            return false;
        }
        let chunk = self.wire.split_to(chunk.clamp(1, self.wire.len()));
        self.buffer.extend_from_slice(&chunk);
        self.process(now);
        true
    }

    fn process(&mut self, now: Instant) {
        let mut result = self.connection.received(now, &mut self.buffer);
        self.collect();
        if let Some(Event::InfoHash { .. }) = self.events.last()
            && let Some(config) = self.accept.take()
        {
            assert!(
                self.connection.accept(now, config),
                "the connection asked to be accepted"
            );
            result = result.and_then(|()| self.connection.received(now, &mut self.buffer));
            self.collect();
        }
        self.error = result.err();
    }

    fn collect(&mut self) {
        while let Some(event) = self.connection.poll_event() {
            self.events.push(event);
        }
    }
}

/// A dialing and a listening connection and the wire between them.
#[derive(Debug)]
pub struct Pair {
    /// The side that dialed.
    pub dialer: End,
    /// The side that was dialed; accepts whatever torrent the dialer names.
    pub listener: End,
    /// The time of both.
    pub now: Instant,
}

impl Pair {
    /// Two ends that have not exchanged a byte.
    pub fn new(dialer: Config, listener: Config, now: Instant) -> Self {
        let incoming = IncomingConfig {
            timeouts: listener.timeouts,
        };
        Self {
            dialer: End::new(Connection::outgoing(dialer, now), None),
            listener: End::new(Connection::incoming(incoming, now), Some(listener)),
            now,
        }
    }

    /// Two ends whose handshakes are done.
    ///
    /// # Panics
    ///
    /// If the configurations do not fit each other.
    pub fn connected(dialer: Config, listener: Config, now: Instant) -> Self {
        let mut pair = Self::new(dialer, listener, now);
        pair.drive();
        assert!(
            pair.dialer.connection.is_open() && pair.listener.connection.is_open(),
            "{pair:?}"
        );
        pair.dialer.events.clear();
        pair.listener.events.clear();
        pair
    }

    /// Carries bytes both ways until both sides are silent.
    pub fn drive(&mut self) {
        self.drive_in_chunks(|| usize::MAX);
    }

    /// Carries bytes both ways in chunks of the given sizes until both sides are silent.
    pub fn drive_in_chunks(&mut self, mut chunk: impl FnMut() -> usize) {
        loop {
            let to_listener = self.dialer.transmit();
            self.listener.inject(&to_listener);
            let to_dialer = self.listener.transmit();
            self.dialer.inject(&to_dialer);
            let moved = self.dialer.receive(self.now, chunk());
            if !self.listener.receive(self.now, chunk()) && !moved {
                return;
            }
        }
    }

    /// Lets time pass for both ends, then carries what they have to say about it.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        for end in [&mut self.dialer, &mut self.listener] {
            if end.error.is_none() {
                end.error = end.connection.handle_timeout(self.now).err();
            }
        }
        self.drive();
    }
}
