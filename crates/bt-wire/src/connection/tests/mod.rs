//! Both ends of a connection at work, mostly as a pair over memory.

use bt_metainfo::{BlockRef, InfoHash, PieceIndex};
use bytes::BytesMut;

use super::{Config, Connection, Event, IncomingConfig, Refusal, Transmit};
use crate::handshake::{Handshake, Reserved};
use crate::message::Message;
use crate::peer_id::PeerId;
use crate::testing::{End, Pair, start};

mod answers;
mod buffers;
mod deadlines;
mod extensions;
mod legality;
mod magnet;
mod opening;

const PIECES: u32 = 20;

fn info_hash() -> InfoHash {
    InfoHash::from([0xaa; 20])
}

fn config(seed: u64) -> Config {
    Config::new(
        info_hash(),
        PeerId::generate("-BT0100-", seed),
        Some(PIECES),
    )
}

/// As `config`, but speaking only what BEP 3 says.
fn plain(seed: u64) -> Config {
    Config {
        reserved: Reserved::NONE,
        ..config(seed)
    }
}

fn pair() -> Pair {
    Pair::connected(config(1), config(2), start())
}

fn plain_pair() -> Pair {
    Pair::connected(plain(1), plain(2), start())
}

fn block(piece: u32, begin: u32) -> BlockRef {
    BlockRef::new(PieceIndex(piece), begin, 16 * 1024)
}

fn bytes(messages: &[Message]) -> BytesMut {
    let mut out = BytesMut::new();
    messages.iter().for_each(|message| message.encode(&mut out));
    out
}

/// What the messages on a wire are, blocks and all.
fn messages(end: &mut End) -> Vec<Message> {
    let mut wire = BytesMut::from(&end.transmit()[..]);
    let mut messages = Vec::new();
    while let Some(message) = crate::frame::decode(&mut wire).unwrap() {
        messages.push(message);
    }
    assert!(wire.is_empty(), "half a message");
    messages
}

/// The messages among the events.
fn heard(end: &mut End) -> Vec<Message> {
    let events = end.take_events().into_iter();
    let messages = events.filter_map(|event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    });
    messages.collect()
}
