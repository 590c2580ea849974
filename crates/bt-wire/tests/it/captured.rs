//! The first bytes of other clients: handshake, extension handshake, bitfield.
//!
//! Their order differs from client to client, and all of it has to be understood.

use std::time::Instant;

use bt_metainfo::InfoHash;
use bt_wire::{Bitfield, Config, Connection, Event, IncomingConfig, Message, PeerId, ext};
use bytes::{BufMut, BytesMut};

const PIECES: u32 = 12;

struct Opening {
    reserved: [u8; 8],
    peer_id: &'static [u8; 20],
    /// Without their length prefixes.
    messages: &'static [&'static [u8]],
    client_by_id: &'static str,
    client_by_name: &'static str,
    pieces: u32,
}

const OPENINGS: &[Opening] = &[
    Opening {
        reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x05],
        peer_id: b"-LT2110-r!~w0oiK2(x9",
        messages: &[
            b"\x14\0d12:complete_agoi5e1:md11:lt_donthavei7e11:upload_onlyi3e6:ut_pexi1ee4:reqqi2000e1:v16:libtorrent/2.1.16:yourip4:\x7f\0\0\x01e",
            b"\x0e",
            b"\x09\x1a\xe1",
            b"\x11\0\0\0\x03",
        ],
        client_by_id: "libtorrent 2.1.1",
        client_by_name: "libtorrent/2.1.1",
        pieces: 12,
    },
    Opening {
        reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x05],
        peer_id: b"-TR3000-h2v9a0k3zq17",
        messages: &[
            b"\x14\0d1:ei1e1:md11:ut_metadatai3ee13:metadata_sizei541e1:pi51413e4:reqqi512e1:v17:Transmission 3.00e",
            b"\x05\xf0\x10",
            b"\x02",
        ],
        client_by_id: "Transmission 3.0.0",
        client_by_name: "Transmission 3.00",
        pieces: 5,
    },
    Opening {
        reserved: [0, 0, 0, 0, 0, 0x10, 0, 0x05],
        peer_id: b"A2-1-36-0-\x8d\x02\xfe\x10\x00\x99\x7a\x41\xc3\x55",
        messages: &[
            b"\x14\0d1:ei1e1:md11:ut_metadatai9e6:ut_pexi8ee1:pi6881e1:v12:aria2/1.36.0e",
            b"\x0f",
            b"",
        ],
        client_by_id: "aria2 1.36.0",
        client_by_name: "aria2/1.36.0",
        pieces: 0,
    },
    Opening {
        reserved: [0, 0, 0, 0, 0, 0x10, 0, 0],
        peer_id: b"-rQ0001-\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c",
        messages: &[
            b"\x14\0d1:md6:ut_pexi1eee",
            b"\x05\xff\xf0",
            b"\x01",
            b"\x02",
        ],
        client_by_id: "rqbit 0.0.0.1",
        client_by_name: "",
        pieces: 12,
    },
    Opening {
        reserved: [0; 8],
        peer_id: b"-TO0042-8f3a9c01b7de",
        messages: &[b"\x05\x80\0"],
        client_by_id: "ttorrent 0.0.4.2",
        client_by_name: "",
        pieces: 1,
    },
];

fn stream(opening: &Opening) -> BytesMut {
    let mut stream = BytesMut::from(&b"\x13BitTorrent protocol"[..]);
    stream.extend_from_slice(&opening.reserved);
    stream.extend_from_slice(&[0xcd; 20]);
    stream.extend_from_slice(opening.peer_id);
    for message in opening.messages {
        stream.put_u32(u32::try_from(message.len()).expect("they are short"));
        stream.put_slice(message);
    }
    stream
}

#[test]
fn openings_of_other_clients_are_understood() {
    for opening in OPENINGS {
        let client = opening.client_by_id;
        let now = Instant::now();
        let mut connection = Connection::incoming(IncomingConfig::default(), now);
        let mut buf = stream(opening);
        connection.received(now, &mut buf).unwrap();
        let Some(Event::InfoHash { info_hash, .. }) = connection.poll_event() else {
            panic!("{client}: no info-hash")
        };
        assert_eq!(info_hash, InfoHash::from([0xcd; 20]));
        let ours = PeerId::generate("-BT0100-", 1);
        assert!(connection.accept(now, Config::new(info_hash, ours, Some(PIECES))));
        connection.send_extension_handshake(&ext::Handshake::offering(ext::Ext::ALL));
        connection
            .received(now, &mut buf)
            .unwrap_or_else(|error| panic!("{client}: {error}"));
        assert!(buf.is_empty(), "{client}: {buf:?}");

        let mut pieces = Bitfield::new(PIECES);
        let mut name = String::new();
        while let Some(event) = connection.poll_event() {
            match event {
                Event::Handshake(peer) => assert_eq!(peer.peer_id.client_name(), client),
                Event::Message(Message::HaveAll) => pieces = Bitfield::full(PIECES),
                Event::Message(Message::Bitfield(payload)) => {
                    pieces = Bitfield::from_wire(PIECES, &payload).unwrap();
                }
                Event::ExtensionHandshake(handshake) => name = handshake.client.unwrap_or_default(),
                _ => {}
            }
        }
        assert_eq!(pieces.count_ones(), opening.pieces, "{client}");
        assert_eq!(name, opening.client_by_name, "{client}");
        assert_eq!(connection.stats().unknown_messages, 0, "{client}");
        assert_eq!(connection.stats().ignored_messages, 0, "{client}");
    }
}
