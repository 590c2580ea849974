//! The BitTorrent peer protocol without input or output (BEP 3, 4, 5, 6, 7, 10, 20, 21, 23, 54).
//!
//! A [`Connection`] is one peer after its transport is up. It is given bytes and the time, and
//! gives back events, bytes to write, and the time at which it wants to be called again. It opens
//! no socket, reads no file, knows no clock and draws no random number, so that the same code
//! serves TCP, uTP, a browser's data channel, a simulation and a fuzzer.
//!
//! The data of a block reaches the owner without being copied: the owner reads from its socket
//! into a `BytesMut`, and the data in the event is a slice of the same memory.
//!
//! ```
//! use bt_wire::{Bitfield, Config, Connection, Event, IncomingConfig, Message, PeerId, Transmit};
//! use bytes::{BufMut, BytesMut};
//! # use bt_metainfo::{BlockRef, InfoHash, PieceIndex};
//! # let now = std::time::Instant::now();
//! # let (torrent, pieces) = (InfoHash::from([7; 20]), 4);
//! # let me = |seed| Config::new(torrent, PeerId::generate("-BT0100-", seed), Some(pieces));
//!
//! /// Writes what `from` has to say into what `to` has read.
//! fn carry(from: &mut Connection, to: &mut BytesMut) {
//!     while let Some(transmit) = from.poll_transmit() {
//!         match transmit {
//!             Transmit::Control(bytes) => to.put(bytes),
//!             Transmit::Block { header, block } => {
//!                 to.put_slice(&header);
//!                 to.put_bytes(b'x', block.length as usize); // from a file, in real life
//!             }
//!         }
//!     }
//! }
//!
//! let mut leech = Connection::outgoing(me(1), now);
//! let mut seed = Connection::incoming(IncomingConfig::default(), now);
//! let (mut leech_in, mut seed_in) = (BytesMut::new(), BytesMut::new());
//! let mut received = Vec::new();
//! while received.is_empty() {
//!     carry(&mut leech, &mut seed_in);
//!     seed.received(now, &mut seed_in)?;
//!     while let Some(event) = seed.poll_event() {
//!         match event {
//!             Event::InfoHash { info_hash, .. } if info_hash == torrent => {
//!                 seed.accept(now, me(2));
//!                 seed.received(now, &mut seed_in)?;
//!             }
//!             Event::Handshake(_) => {
//!                 seed.announce_pieces(&Bitfield::full(pieces));
//!                 seed.send(Message::Unchoke);
//!             }
//!             Event::Message(Message::Request(block)) => assert!(seed.send_block(block)),
//!             _ => {}
//!         }
//!     }
//!     carry(&mut seed, &mut leech_in);
//!     leech.received(now, &mut leech_in)?;
//!     while let Some(event) = leech.poll_event() {
//!         match event {
//!             Event::Handshake(_) => {
//!                 leech.announce_pieces(&Bitfield::new(pieces));
//!                 leech.send(Message::Interested);
//!             }
//!             Event::Message(Message::Unchoke) => {
//!                 let block = BlockRef::new(PieceIndex(3), 0, 16 * 1024);
//!                 leech.send(Message::Request(block));
//!             }
//!             Event::Message(Message::Piece { data, .. }) => received.push(data),
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!(received, [vec![b'x'; 16 * 1024]]);
//! # Ok::<(), bt_wire::Error>(())
//! ```
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | none (default) | everything for production |
//! | `testing` | `testing`: two connections over memory, with chunking and time under control |
//! | `fuzz` | `fuzz`: bodies for a fuzzing driver; implies `testing` |

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod allowed_fast;
mod bitfield;
mod codec;
pub mod compact;
mod connection;
mod error;
pub mod ext;
pub mod frame;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod handshake;
pub mod limits;
mod message;
mod peer_id;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use allowed_fast::allowed_fast_set;
pub use bitfield::{Bitfield, Pieces};
pub use connection::{
    Config, Connection, Event, IncomingConfig, Refusal, Stats, Timeouts, Transmit,
};
pub use error::{Error, Malformed, Misbehaved, TimedOut};
pub use handshake::{HANDSHAKE_HEAD_LEN, HANDSHAKE_LEN, Handshake, Reserved};
pub use message::{Message, PIECE_HEADER_LEN};
pub use peer_id::PeerId;

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
