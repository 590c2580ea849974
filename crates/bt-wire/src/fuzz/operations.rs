//! Connections driven by a list of operations, in both roles.
//!
//! Knows the promises of [`Connection`] and holds it to them; nothing else.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bt_metainfo::{BlockRef, InfoHash, PieceIndex};
use bytes::BytesMut;

use crate::ext::{self, Ext};
use crate::testing::start;
use crate::{
    Bitfield, Config, Connection, Error, Event, Handshake, IncomingConfig, Message, PeerId,
    Reserved, Transmit, frame, limits,
};

const PIECES: u32 = 100;

/// The first byte chooses the role and what is negotiated, every other group of bytes is one
/// operation on a connection: bytes from the peer, wishes of the owner, time.
///
/// Checked: every request has at most one answer, and exactly one at the end with the fast
/// extension; blocks are only for requests; nothing leaves after an error; counters and limits hold.
pub fn connection(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else {
        return;
    };
    let mut driver = Driver::new(*choice);
    while let Some((operation, tail)) = rest.split_first() {
        rest = tail;
        driver.step(*operation, &mut rest);
        if driver.error.is_some() {
            break;
        }
    }
    driver.finish();
}

/// The first byte chooses as in [`connection`], the second seeds the cuts, the rest comes from the
/// peer: whole, and cut into chunks. Events, counters and the verdict are the same.
pub fn chunking(data: &[u8]) {
    let Some((&[choice, seed], stream)) = data.split_first_chunk::<2>() else {
        return;
    };
    let mut whole = Driver::new(choice);
    whole.feed(stream);
    let mut cut = Driver::new(choice);
    let mut rest = stream;
    let mut state = u32::from(seed);
    while !rest.is_empty() && cut.error.is_none() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Mostly short chunks, where cuts hurt most.
        let wish = if state & 0x100 == 0 {
            state >> 30
        } else {
            state >> 22
        };
        let (chunk, tail) = rest.split_at((wish as usize + 1).min(rest.len()));
        cut.feed(chunk);
        rest = tail;
    }
    assert_eq!(whole.error, cut.error);
    assert_eq!(whole.events, cut.events);
    // An error ends the writing as well, at a time that depends on the cuts.
    if whole.error.is_none() {
        assert_eq!(whole.written, cut.written);
        assert_eq!(whole.connection.stats(), cut.connection.stats());
    }
}

/// A connection and what its owner knows about it.
struct Driver {
    connection: Connection,
    /// Set while an incoming connection waits to be accepted.
    accept: Option<Config>,
    now: Instant,
    buffer: BytesMut,
    events: Vec<Event>,
    /// What was handed out, blocks by their header only.
    written: Vec<u8>,
    /// How much of `written` has been looked at.
    audited: usize,
    /// Requests without an answer so far.
    open: BTreeMap<BlockRef, u32>,
    error: Option<Error>,
}

impl Driver {
    fn new(choice: u8) -> Self {
        let now = start();
        let torrent = InfoHash::from([7; 20]);
        let peer_reserved = match choice & 6 {
            0 => Reserved::NONE,
            2 => Reserved::NONE.with_fast(),
            4 => Reserved::NONE.with_extended(),
            _ => Reserved::NONE.with_fast().with_extended(),
        };
        let mut config = Config::new(torrent, PeerId::generate("-BT0100-", 1), Some(PIECES));
        if choice & 8 != 0 {
            config.piece_count = None;
        }
        if choice & 16 != 0 {
            config.max_requests = 4;
        }
        let (connection, accept) = if choice & 1 == 0 {
            (Connection::outgoing(config, now), None)
        } else {
            (
                Connection::incoming(IncomingConfig::default(), now),
                Some(config),
            )
        };
        let mut driver = Self {
            connection,
            accept,
            now,
            buffer: BytesMut::new(),
            events: Vec::new(),
            written: Vec::new(),
            audited: HANDSHAKE,
            open: BTreeMap::new(),
            error: None,
        };
        if choice & 32 == 0 {
            let peer_id = PeerId::generate("-ZZ0100-", 2);
            let handshake = Handshake {
                reserved: peer_reserved,
                info_hash: torrent,
                peer_id,
            };
            driver.feed(&handshake.encode());
            driver
                .connection
                .send_extension_handshake(&ext::Handshake::offering(Ext::ALL));
        }
        driver.drain();
        driver
    }

    /// Bytes from the peer.
    fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        loop {
            if let Err(error) = self.connection.received(self.now, &mut self.buffer) {
                self.error = Some(error);
            }
            let asked = self.drain();
            match self.accept.take() {
                Some(config) if asked => {
                    assert!(self.connection.accept(self.now, config));
                }
                accept => {
                    self.accept = accept;
                    return;
                }
            }
        }
    }

    /// Takes events and bytes; whether the connection asks to be accepted.
    fn drain(&mut self) -> bool {
        let mut asked = false;
        while let Some(event) = self.connection.poll_event() {
            match &event {
                Event::InfoHash { .. } => asked = true,
                Event::Message(Message::Request(block)) | Event::Refused { block, .. } => {
                    *self.open.entry(*block).or_default() += 1;
                }
                Event::Message(Message::Piece { block, data }) => {
                    assert_eq!(usize::try_from(block.length), Ok(data.len()));
                    assert!((1..=limits::MAX_BLOCK).contains(&block.length));
                }
                Event::Message(Message::Bitfield(payload)) => {
                    assert!(Bitfield::from_wire(PIECES, payload).is_ok());
                }
                Event::Message(Message::Have(piece)) => assert!(piece.0 < PIECES),
                _ => {}
            }
            self.events.push(event);
        }
        while let Some(transmit) = self.connection.poll_transmit() {
            assert_eq!(self.error, None, "nothing leaves after an error");
            match transmit {
                Transmit::Control(bytes) => self.written.extend_from_slice(&bytes),
                Transmit::Block { header, block } => {
                    self.answered(block);
                    assert_eq!(header, Message::piece_header(block));
                }
            }
        }
        self.audit();
        assert!(self.connection.waiting_requests() <= limits::MAX_INCOMING_REQUESTS);
        assert!(self.connection.queued_bytes() <= limits::MAX_CONTROL_BYTES + 1024 * 1024);
        assert!(self.connection.wanted(self.buffer.len(), 1000) > 0);
        asked
    }

    /// Looks at the messages written since last time for answers.
    fn audit(&mut self) {
        let Some(new) = self.written.get(self.audited..) else {
            return;
        };
        let mut new = BytesMut::from(new);
        while let Some(message) = frame::decode(&mut new).expect("we write legal messages") {
            if let Message::Reject(block) = message {
                self.answered(block);
            }
        }
        assert!(new.is_empty(), "we write whole messages");
        self.audited = self.written.len();
    }

    fn answered(&mut self, block: BlockRef) {
        let open = self
            .open
            .get_mut(&block)
            .expect("only what was asked for is answered");
        *open = open.checked_sub(1).expect("nothing is answered twice");
    }

    /// One operation; takes its arguments off `rest`.
    fn step(&mut self, operation: u8, rest: &mut &[u8]) {
        let argument = take(rest);
        let block = block(argument);
        let piece = PieceIndex(argument.into());
        let connection = &mut self.connection;
        match operation % 20 {
            0..=2 => {
                let length = usize::from(argument).min(rest.len());
                let (bytes, tail) = rest.split_at(length);
                *rest = tail;
                return self.feed(bytes);
            }
            3..=6 => return self.feed_message(operation, argument),
            7 => {
                connection.send(Message::Unchoke);
            }
            8 => {
                connection.choke();
            }
            9 | 10 => {
                connection.send_block(block);
            }
            11 => {
                connection.reject(block);
            }
            12 => {
                connection.cancel(block);
            }
            13 => {
                connection.send(Message::AllowedFast(piece));
            }
            14 => {
                connection.announce_pieces(&Bitfield::full(PIECES));
            }
            15 => {
                connection.send(Message::Request(block));
            }
            16 => {
                self.now += Duration::from_secs(argument.into());
                self.error = connection.handle_timeout(self.now).err();
            }
            17 => self.error = connection.set_piece_count(PIECES).err(),
            18 => {
                let message = ext::Message::DontHave(ext::DontHave(piece));
                connection.send_extension(&message);
            }
            // Leaves events and bytes where they are for a while.
            _ => return,
        }
        if argument & 1 == 0 {
            self.drain();
        }
    }

    /// A well-formed message from the peer.
    fn feed_message(&mut self, operation: u8, argument: u8) {
        let block = block(argument);
        let message = match (operation % 20, argument >> 6) {
            (3 | 4, _) => Message::Request(block),
            (5, _) => Message::Cancel(block),
            (_, 0) => Message::Have(block.piece),
            (_, 1) => Message::Interested,
            (_, 2) => Message::AllowedFast(block.piece),
            _ => Message::Unknown {
                id: argument,
                payload: vec![argument; 9].into(),
            },
        };
        let mut bytes = BytesMut::new();
        // Behind half a message it would only be part of that one.
        if self.buffer.is_empty() {
            message.encode(&mut bytes);
        }
        self.feed(&bytes);
    }

    /// Answers what is open and checks that the account is even.
    fn finish(mut self) {
        self.drain();
        let blocks: Vec<BlockRef> = self.open.keys().copied().collect();
        for block in blocks {
            while self.connection.reject(block) {}
        }
        self.drain();
        if self.error.is_none() && self.connection.supports_fast() {
            let open: Vec<_> = self.open.iter().filter(|(_, count)| **count > 0).collect();
            assert!(open.is_empty(), "never answered: {open:?}");
            assert_eq!(self.connection.waiting_requests(), 0);
        }
        let deadline = self.connection.poll_timeout();
        assert_eq!(
            deadline.is_none(),
            self.error.is_some(),
            "a deadline unless it is over"
        );
    }
}

/// Our handshake, which precedes the messages in what is written.
const HANDSHAKE: usize = crate::HANDSHAKE_LEN;

fn take(rest: &mut &[u8]) -> u8 {
    rest.split_off_first().copied().unwrap_or_default()
}

/// One of a few blocks, so that operations meet each other; some are not valid.
fn block(argument: u8) -> BlockRef {
    let length = match argument & 15 {
        15 => 0,
        14 => 16 * 1024 + 1,
        _ => 16 * 1024,
    };
    BlockRef::new(PieceIndex(u32::from(argument & 7) * 16), 0, length)
}
