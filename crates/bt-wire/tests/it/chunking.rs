//! A stream means the same however it is cut: the same events, the same error.

use std::time::Instant;

use bt_metainfo::{BlockRef, InfoHash, PieceIndex};
use bt_wire::{Config, Connection, Error, Event, Handshake, Message, PeerId, Reserved};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use crate::roundtrip;

const PIECES: u32 = 64;

/// What a stream does to an outgoing connection.
fn run<'a>(
    now: Instant,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Option<Error>, BytesMut) {
    let torrent = InfoHash::from([1; 20]);
    let config = Config::new(torrent, PeerId::generate("-BT0100-", 1), Some(PIECES));
    let mut connection = Connection::outgoing(config, now);
    let mut buf = BytesMut::new();
    let mut events = Vec::new();
    let mut error = None;
    for chunk in chunks {
        buf.extend_from_slice(chunk);
        error = connection.received(now, &mut buf).err();
        events.extend(std::iter::from_fn(|| connection.poll_event()));
        if error.is_some() {
            break;
        }
    }
    (events, error, buf)
}

fn stream(messages: &[Message]) -> BytesMut {
    let peer = Handshake {
        reserved: Reserved::NONE.with_fast().with_extended(),
        info_hash: InfoHash::from([1; 20]),
        peer_id: PeerId::generate("-ZZ0100-", 2),
    };
    let mut wire = BytesMut::from(&peer.encode()[..]);
    messages
        .iter()
        .for_each(|message| message.encode(&mut wire));
    wire
}

/// Cuts `bytes` where the numbers say.
fn cut<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (chunk, rest) = bytes.split_at((*size).min(bytes.len()));
        chunks.push(chunk);
        bytes = rest;
    }
    chunks
}

/// A message that is legal whenever the fast extension is negotiated and the start is over.
fn legal_message() -> impl Strategy<Value = Message> {
    let piece = (0..PIECES).prop_map(PieceIndex);
    let block = (0..PIECES, 0..8_u32)
        .prop_map(|(piece, n)| BlockRef::new(PieceIndex(piece), n << 14, 1 << 14));
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        piece.clone().prop_map(Message::Have),
        piece.clone().prop_map(Message::Suggest),
        piece.prop_map(Message::AllowedFast),
        block.clone().prop_map(Message::Request),
        block.clone().prop_map(Message::Reject),
        block.prop_map(|block| Message::Piece {
            block,
            data: vec![9; 1 << 14].into()
        }),
        any::<u16>().prop_map(Message::Port),
        Just(Message::Extended {
            id: 0,
            payload: Bytes::from_static(b"d1:v3:abce")
        }),
        Just(Message::Unknown {
            id: 77,
            payload: vec![1; 3000].into()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn legal_streams(
        messages in prop::collection::vec(legal_message(), 0..20),
        sizes in prop::collection::vec(1..40_000_usize, 1..6),
    ) {
        let now = Instant::now();
        let wire = stream(&messages);
        let (whole, error, left) = run(now, [&wire[..]]);
        prop_assert_eq!(error, None);
        prop_assert!(left.is_empty());
        let quiet = messages.iter().filter(|message| {
            matches!(message, Message::KeepAlive | Message::Unknown { .. })
        });
        prop_assert_eq!(whole.len(), 1 + messages.len() - quiet.count());
        let (chunked, error, left) = run(now, cut(&wire, &sizes));
        prop_assert_eq!((chunked, error, left.len()), (whole, None, 0));
    }

    #[test]
    fn any_messages_and_a_rest(
        messages in prop::collection::vec(roundtrip::message(), 0..8),
        rest in prop::collection::vec(any::<u8>(), 0..40),
        sizes in prop::collection::vec(1..100_usize, 1..6),
    ) {
        let now = Instant::now();
        let mut wire = stream(&messages);
        wire.extend_from_slice(&rest);
        let (whole, error, left) = run(now, [&wire[..]]);
        let (chunked, chunked_error, chunked_left) = run(now, cut(&wire, &sizes));
        prop_assert_eq!(&whole, &chunked);
        prop_assert_eq!(&error, &chunked_error);
        if error.is_none() {
            prop_assert_eq!(left, chunked_left);
        }
    }
}

#[test]
fn every_single_cut_of_a_real_start() {
    let now = Instant::now();
    let wire = stream(&[
        Message::Extended {
            id: 0,
            payload: Bytes::from_static(b"d1:md11:lt_donthavei7eee"),
        },
        Message::Bitfield(vec![0xff; 8].into()),
        Message::Unchoke,
        Message::Unknown {
            id: 30,
            payload: vec![0; 100].into(),
        },
        Message::Piece {
            block: BlockRef::new(PieceIndex(3), 0, 200),
            data: vec![5; 200].into(),
        },
        Message::KeepAlive,
        Message::Have(PieceIndex(63)),
    ]);
    let (whole, error, _) = run(now, [&wire[..]]);
    assert_eq!((whole.len(), error), (6, None));
    for at in 0..=wire.len() {
        let (first, second) = wire.split_at(at);
        assert_eq!(run(now, [first, second]).0, whole, "cut at {at}");
    }
    assert_eq!(run(now, wire.chunks(1)).0, whole);
}
