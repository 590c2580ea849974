//! Encoding and decoding are inverse, for every message and list.

use std::net::SocketAddr;

use bt_metainfo::{BlockRef, InfoHash, PieceIndex};
use bt_wire::ext::{self, Ext};
use bt_wire::{Bitfield, Handshake, Message, PeerId, Reserved, compact, frame, limits};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

/// Ids that stand for a message of this crate.
const KNOWN: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 20];

fn piece() -> impl Strategy<Value = PieceIndex> {
    any::<u32>().prop_map(PieceIndex)
}

fn block() -> impl Strategy<Value = BlockRef> {
    (piece(), any::<u32>(), any::<u32>())
        .prop_map(|(piece, begin, length)| BlockRef::new(piece, begin, length))
}

fn payload(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..max).prop_map(Bytes::from)
}

/// Any message; used by the chunking test too.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    let unknown = any::<u8>().prop_filter("an id without a message", |id| !KNOWN.contains(id));
    prop_oneof![
        Just(Message::KeepAlive),
        Just(Message::Choke),
        Just(Message::Unchoke),
        Just(Message::Interested),
        Just(Message::NotInterested),
        piece().prop_map(Message::Have),
        payload(300).prop_map(Message::Bitfield),
        block().prop_map(Message::Request),
        (piece(), any::<u32>(), payload(2000)).prop_map(|(piece, begin, data)| {
            let length = u32::try_from(data.len()).expect("it is short");
            Message::Piece {
                block: BlockRef::new(piece, begin, length),
                data,
            }
        }),
        block().prop_map(Message::Cancel),
        any::<u16>().prop_map(Message::Port),
        piece().prop_map(Message::Suggest),
        Just(Message::HaveAll),
        Just(Message::HaveNone),
        block().prop_map(Message::Reject),
        piece().prop_map(Message::AllowedFast),
        (any::<u8>(), payload(300)).prop_map(|(id, payload)| Message::Extended { id, payload }),
        (unknown, payload(300)).prop_map(|(id, payload)| Message::Unknown { id, payload }),
    ]
}

proptest! {
    #[test]
    fn messages(messages in prop::collection::vec(message(), 0..20)) {
        let mut wire = BytesMut::new();
        messages.iter().for_each(|message| message.encode(&mut wire));
        let mut decoded = Vec::new();
        while let Some(message) = frame::decode(&mut wire).unwrap() {
            decoded.push(message);
        }
        prop_assert!(wire.is_empty());
        prop_assert_eq!(decoded, messages);
    }

    #[test]
    fn a_piece_header_is_the_start_of_a_piece_message(
        piece in piece(), begin: u32, data in payload(2000)
    ) {
        let block = BlockRef::new(piece, begin, u32::try_from(data.len()).unwrap());
        let mut wire = BytesMut::new();
        Message::Piece { block, data: data.clone() }.encode(&mut wire);
        prop_assert_eq!(&wire[..13], Message::piece_header(block));
        prop_assert_eq!(&wire[13..], data);
    }

    #[test]
    fn handshakes(reserved: [u8; 8], info_hash: [u8; 20], peer_id: [u8; 20]) {
        let handshake = Handshake {
            reserved: Reserved::from_bytes(reserved),
            info_hash: InfoHash::from(info_hash),
            peer_id: PeerId::from(peer_id),
        };
        prop_assert_eq!(Handshake::decode(&handshake.encode()), Ok(Some(handshake)));
    }

    #[test]
    fn compact_lists(v4: Vec<([u8; 4], u16)>, v6: Vec<([u8; 16], u16)>) {
        let v4: Vec<SocketAddr> = v4.into_iter().map(SocketAddr::from).collect();
        let v6: Vec<SocketAddr> = v6.into_iter().map(SocketAddr::from).collect();
        let mut wire = Vec::new();
        v4.iter().for_each(|addr| compact::encode(*addr, &mut wire));
        prop_assert_eq!(compact::decode_v4(&wire).collect::<Vec<_>>(), v4);
        wire.clear();
        v6.iter().for_each(|addr| compact::encode(*addr, &mut wire));
        prop_assert_eq!(compact::decode_v6(&wire).collect::<Vec<_>>(), v6);
    }

    #[test]
    fn bitfields(bits in prop::collection::vec(any::<bool>(), 0..400)) {
        let len = u32::try_from(bits.len()).unwrap();
        let ones: Vec<_> =
            (0..len).zip(&bits).filter(|(_, bit)| **bit).map(|(i, _)| PieceIndex(i)).collect();
        let mut field = Bitfield::new(len);
        ones.iter().for_each(|piece| assert!(field.set(*piece)));
        let back = Bitfield::from_wire(len, field.as_bytes()).unwrap();
        prop_assert_eq!(&back, &field);
        prop_assert_eq!(back.iter_ones().collect::<Vec<_>>(), ones);
    }

    #[test]
    fn differences(a in prop::collection::vec(any::<u8>(), 30), b in prop::collection::vec(any::<u8>(), 30)) {
        let (a, b) = (Bitfield::from_wire(240, &a).unwrap(), Bitfield::from_wire(240, &b).unwrap());
        let expected: Vec<_> = a.iter_ones().filter(|piece| !b.get(*piece)).collect();
        prop_assert_eq!(a.has_more_than(&b), !expected.is_empty());
        prop_assert_eq!(a.iter_and_not(&b).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn extension_handshakes(
        ids in prop::array::uniform2(any::<Option<u8>>()),
        client in prop::option::of("[ -~]{1,60}"),
        port in prop::option::of(1..=u16::MAX),
        max_requests in prop::option::of(1..=u32::MAX),
        your_ip: Option<std::net::IpAddr>,
        ipv4: Option<std::net::Ipv4Addr>,
        ipv6: Option<std::net::Ipv6Addr>,
        metadata_size in prop::option::of(1..=u32::MAX),
        flags: (Option<bool>, Option<bool>),
        complete_ago: Option<u32>,
    ) {
        let handshake = ext::Handshake {
            ids, client, port, max_requests, your_ip, ipv4, ipv6, metadata_size,
            upload_only: flags.0, encryption: flags.1, complete_ago,
        };
        let bytes = handshake.encode();
        prop_assert!(bt_bencode::parse(&bytes).is_ok(), "canonical");
        prop_assert_eq!(ext::Handshake::decode(&bytes), Ok(handshake));
    }

    #[test]
    fn extension_messages(piece in piece(), flag: bool) {
        let messages = [
            ext::Message::DontHave(ext::DontHave(piece)),
            ext::Message::UploadOnly(ext::UploadOnly(flag)),
        ];
        prop_assert_eq!(messages.len(), Ext::COUNT, "one of each");
        for message in messages {
            let mut wire = BytesMut::new();
            message.encode(&mut wire);
            prop_assert_eq!(ext::Message::decode(message.ext(), &wire), Ok(message));
        }
    }
}

#[test]
fn every_message_has_a_name_of_its_own() {
    let block = BlockRef::new(PieceIndex(0), 0, 0);
    let all = [
        Message::KeepAlive,
        Message::Choke,
        Message::Unchoke,
        Message::Interested,
        Message::NotInterested,
        Message::Have(PieceIndex(0)),
        Message::Bitfield(Bytes::new()),
        Message::Request(block),
        Message::Piece {
            block,
            data: Bytes::new(),
        },
        Message::Cancel(block),
        Message::Port(0),
        Message::Suggest(PieceIndex(0)),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(block),
        Message::AllowedFast(PieceIndex(0)),
        Message::Extended {
            id: 0,
            payload: Bytes::new(),
        },
        Message::Unknown {
            id: 99,
            payload: Bytes::new(),
        },
    ];
    let mut names: Vec<_> = all.iter().map(Message::name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
}

#[test]
fn the_longest_message_is_read_and_one_byte_more_is_not() {
    let longest = usize::try_from(limits::MAX_MESSAGE).unwrap() - 1;
    for (length, fits) in [(longest, true), (longest + 1, false)] {
        let message = Message::Unknown {
            id: 99,
            payload: vec![0; length].into(),
        };
        let mut wire = BytesMut::new();
        message.encode(&mut wire);
        assert_eq!(frame::decode(&mut wire).is_ok(), fits, "{length} bytes");
    }
}
