//! A seed and a downloader exchange a torrent's blocks over two pipes in memory.
//!
//! Shows the loop that every owner of a `Connection` has: read, take events, write, mind the time.

#![expect(clippy::print_stdout, reason = "an example talks to people")]

use std::collections::BTreeMap;
use std::time::Instant;

use bt_metainfo::{BLOCK_SIZE, BlockRef, InfoHash, PieceIndex};
use bt_wire::{
    Bitfield, Config, Connection, Error, Event, IncomingConfig, Message, PeerId, Transmit,
};
use bytes::{Bytes, BytesMut};

const PIECES: u32 = 8;
const PIECE_LENGTH: u32 = 4 * BLOCK_SIZE;

/// The content that the seed has: byte `n` of the torrent is `n % 251`.
fn content(block: BlockRef) -> Bytes {
    let start = block.piece.0 * PIECE_LENGTH + block.begin;
    (start..start + block.length)
        .map(|n| u8::try_from(n % 251).unwrap_or_default())
        .collect()
}

fn config(seed: u64) -> Config {
    let torrent = InfoHash::from([0x42; 20]);
    Config::new(torrent, PeerId::generate("-BT0100-", seed), Some(PIECES))
}

/// One side: a connection and what its socket has read.
struct Peer {
    connection: Connection,
    inbox: BytesMut,
}

impl Peer {
    /// Everything this side has to write now. A real owner writes a block from its file.
    fn write(&mut self, wire: &mut BytesMut) {
        while let Some(transmit) = self.connection.poll_transmit() {
            match transmit {
                Transmit::Control(bytes) => wire.extend_from_slice(&bytes),
                Transmit::Block { header, block } => {
                    wire.extend_from_slice(&header);
                    wire.extend_from_slice(&content(block));
                }
            }
        }
    }

    /// Reads as much as the connection wants, as from a socket.
    fn read(&mut self, now: Instant, wire: &mut BytesMut) -> Result<(), Error> {
        while !wire.is_empty() {
            let spare = self.inbox.capacity() - self.inbox.len();
            let wanted = self.connection.wanted(self.inbox.len(), spare);
            self.inbox.reserve(wanted);
            self.inbox
                .extend_from_slice(&wire.split_to(wanted.min(wire.len())));
            self.connection.received(now, &mut self.inbox)?;
        }
        Ok(())
    }
}

fn seed(peer: &mut Peer, now: Instant) -> Result<(), Error> {
    while let Some(event) = peer.connection.poll_event() {
        match event {
            Event::InfoHash { info_hash, .. } if info_hash == config(1).info_hash => {
                peer.connection.accept(now, config(1));
                peer.connection.received(now, &mut peer.inbox)?;
            }
            Event::Handshake(_) => {
                peer.connection.announce_pieces(&Bitfield::full(PIECES));
            }
            Event::Message(Message::Interested) => {
                peer.connection.send(Message::Unchoke);
            }
            Event::Message(Message::Request(block)) => {
                peer.connection.send_block(block);
            }
            _ => {}
        }
    }
    Ok(())
}

fn download(peer: &mut Peer, blocks: &mut BTreeMap<BlockRef, Bytes>) {
    while let Some(event) = peer.connection.poll_event() {
        match event {
            Event::Handshake(handshake) => {
                println!("connected to {}", handshake.peer_id.client_name());
                peer.connection.announce_pieces(&Bitfield::new(PIECES));
            }
            Event::Message(Message::HaveAll) => {
                peer.connection.send(Message::Interested);
            }
            Event::Message(Message::Unchoke) => {
                for piece in (0..PIECES).map(PieceIndex) {
                    for n in 0..PIECE_LENGTH / BLOCK_SIZE {
                        let block = BlockRef::new(piece, n * BLOCK_SIZE, BLOCK_SIZE);
                        peer.connection.send(Message::Request(block));
                    }
                }
            }
            Event::Message(Message::Piece { block, data }) => {
                blocks.insert(block, data);
            }
            _ => {}
        }
    }
}

fn main() -> Result<(), Error> {
    let now = Instant::now();
    let inbox = || BytesMut::with_capacity(256 * 1024);
    let mut seeder = Peer {
        connection: Connection::incoming(IncomingConfig::default(), now),
        inbox: inbox(),
    };
    let mut leecher = Peer {
        connection: Connection::outgoing(config(2), now),
        inbox: inbox(),
    };
    let mut blocks = BTreeMap::new();
    let wanted = PIECES * PIECE_LENGTH / BLOCK_SIZE;
    let mut wire = BytesMut::new();
    while blocks.len() < wanted as usize {
        leecher.write(&mut wire);
        seeder.read(now, &mut wire)?;
        seed(&mut seeder, now)?;
        seeder.write(&mut wire);
        leecher.read(now, &mut wire)?;
        download(&mut leecher, &mut blocks);
    }
    assert!(blocks.iter().all(|(block, data)| *data == content(*block)));
    let stats = leecher.connection.stats();
    println!(
        "{} blocks, {} bytes of data, {} bytes of protocol",
        blocks.len(),
        stats.payload_received,
        stats.protocol_received
    );
    Ok(())
}
