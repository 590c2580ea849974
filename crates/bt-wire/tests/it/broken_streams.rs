//! What no honest peer sends: the bytes after its handshake, and what our connection says to them.
//!
//! Each row is a stream of a peer that speaks BEP 6 and BEP 10 unless it says `plain`, for a torrent
//! of 20 pieces unless it says `magnet`. Every stream is fed whole and byte by byte.

use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_wire::{Config, Connection, Handshake, IncomingConfig, PeerId, Reserved, ext};
use bytes::BytesMut;

const PIECES: u32 = 20;

/// Who we are when the stream arrives.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Us {
    /// Dialing, extensions on.
    Dialing,
    /// Dialing, extensions off.
    Plain,
    /// Dialing, piece count unknown; it becomes 20 at the end of the stream.
    Magnet,
    /// Dialed; the stream starts with the peer's handshake.
    Dialed,
    /// Dialing; the stream starts with the peer's handshake.
    Answered,
}
use Us::{Answered, Dialed, Dialing, Magnet, Plain};

/// Who we are, the stream in hex (spaces ignored, `*N` repeats the byte before it), the error.
#[rustfmt::skip]
const STREAMS: &[(Us, &str, &str)] = &[
    // Handshakes.
    (Dialed, "00", "malformed bytes from the peer: handshake byte 0: this is not the BitTorrent protocol"),
    (Dialed, "474554202f20485454502f312e31", "handshake byte 0: this is not the BitTorrent protocol"),
    (Dialed, "160301", "handshake byte 0: this is not the BitTorrent protocol"),
    (Dialed, "13 42 69 74 74", "handshake byte 4: this is not the BitTorrent protocol"),
    (Dialed, "14 42697454 6f7272656e7420 70726f746f636f6c", "handshake byte 0: this is not the BitTorrent protocol"),
    (Dialed, "93 42697454", "handshake byte 0: this is not the BitTorrent protocol"),
    (Dialed, "13 426974546f7272656e742070726f746f636f6d", "handshake byte 19: this is not the BitTorrent protocol"),
    (Dialed, "13 426974546f7272656e742050726f746f636f6c", "handshake byte 12: this is not the BitTorrent protocol"),
    (Answered, "13 426974546f7272656e742070726f746f636f6c 00*8 bb*20", "the peer broke the protocol: it serves info-hash bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb instead of aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    (Answered, "13 426974546f7272656e742070726f746f636f6c 00*8 00*20", "it serves info-hash 0000000000000000000000000000000000000000 instead of"),
    (Answered, "13 426974546f7272656e742070726f746f636f6c 00*8 aa*20 2d555330*5", "it has our own peer id, so this is a connection to ourselves"),
    // Length prefixes.
    (Dialing, "ffffffff", "a message of 4294967295 bytes; the limit is 1048576"),
    (Dialing, "80000000 07", "a message of 2147483648 bytes; the limit is 1048576"),
    (Dialing, "00100001", "a message of 1048577 bytes; the limit is 1048576"),
    (Dialing, "00000000*3 7fffffff", "a message of 2147483647 bytes; the limit is 1048576"),
    (Dialing, "474554202f", "a message of 1195725856 bytes; the limit is 1048576"),
    // Messages of the wrong length.
    (Dialing, "00000002 00", "message \"choke\" with 1 bytes of payload; expected none"),
    (Dialing, "00000005 01", "message \"unchoke\" with 4 bytes of payload; expected none"),
    (Dialing, "00000002 02", "message \"interested\" with 1 bytes of payload; expected none"),
    (Dialing, "00010000 03", "message \"not interested\" with 65535 bytes of payload; expected none"),
    (Dialing, "00000001 04", "message \"have\" with 0 bytes of payload; expected 4"),
    (Dialing, "00000004 04", "message \"have\" with 3 bytes of payload; expected 4"),
    (Dialing, "00000006 04", "message \"have\" with 5 bytes of payload; expected 4"),
    (Dialing, "00000001 06", "message \"request\" with 0 bytes of payload; expected 12"),
    (Dialing, "0000000c 06", "message \"request\" with 11 bytes of payload; expected 12"),
    (Dialing, "0000000e 06", "message \"request\" with 13 bytes of payload; expected 12"),
    (Dialing, "00000001 07", "message \"piece\" with 0 bytes of payload; expected 8 and the data"),
    (Dialing, "00000008 07", "message \"piece\" with 7 bytes of payload; expected 8 and the data"),
    (Dialing, "0000000c 08", "message \"cancel\" with 11 bytes of payload; expected 12"),
    (Dialing, "00000011 08", "message \"cancel\" with 16 bytes of payload; expected 12"),
    (Dialing, "00000001 09", "message \"port\" with 0 bytes of payload; expected 2"),
    (Dialing, "00000005 09", "message \"port\" with 4 bytes of payload; expected 2"),
    (Dialing, "00000001 0d", "message \"suggest\" with 0 bytes of payload; expected 4"),
    (Dialing, "00000002 0e", "message \"have all\" with 1 bytes of payload; expected none"),
    (Dialing, "00000004 0f", "message \"have none\" with 3 bytes of payload; expected none"),
    (Dialing, "00000005 10", "message \"reject\" with 4 bytes of payload; expected 12"),
    (Dialing, "00000009 11", "message \"allowed fast\" with 8 bytes of payload; expected 4"),
    (Dialing, "00000001 14", "message \"extended\" with 0 bytes of payload; expected 1 to 524288"),
    (Dialing, "00080002 14", "message \"extended\" with 524289 bytes of payload; expected 1 to 524288"),
    // Bitfields.
    (Dialing, "00000001 05", "a bitfield of 0 bytes for 20 pieces; expected 3"),
    (Dialing, "00000003 05 ffff", "a bitfield of 2 bytes for 20 pieces; expected 3"),
    (Dialing, "00000005 05 fffff000", "a bitfield of 4 bytes for 20 pieces; expected 3"),
    (Dialing, "00040001 05", "a bitfield of 262144 bytes for 20 pieces; expected 3"),
    (Dialing, "00040002 05", "message \"bitfield\" with 262145 bytes of payload; expected at most 262144"),
    (Dialing, "00000004 05 fffff8", "a bitfield with spare bits set after its 20 pieces"),
    (Dialing, "00000004 05 000001", "a bitfield with spare bits set after its 20 pieces"),
    (Dialing, "00000004 05 ffffff", "a bitfield with spare bits set after its 20 pieces"),
    (Dialing, "00000001 0e 00000001 0e", "message \"have all\" after the start of the connection"),
    (Dialing, "00000001 0f 00000001 0e", "message \"have all\" after the start of the connection"),
    (Dialing, "00000001 02 00000001 0f", "message \"have none\" after the start of the connection"),
    // Indices.
    (Dialing, "00000005 04 00000014", "message \"have\" names piece 20 of a torrent of 20 pieces"),
    (Dialing, "00000005 04 00000015", "message \"have\" names piece 21 of a torrent of 20 pieces"),
    (Dialing, "00000005 04 ffffffff", "message \"have\" names piece 4294967295 of a torrent of 20 pieces"),
    (Plain, "00000005 04 80000000", "message \"have\" names piece 2147483648 of a torrent of 20 pieces"),
    // The fast extension without its negotiation.
    (Plain, "00000005 0d 00000000", "message \"suggest\" although the fast extension is not negotiated"),
    (Plain, "00000001 0e", "message \"have all\" although the fast extension is not negotiated"),
    (Plain, "00000001 0f", "message \"have none\" although the fast extension is not negotiated"),
    (Plain, "0000000d 10 00000000 00000000 00004000", "message \"reject\" although the fast extension is not negotiated"),
    (Plain, "00000005 11 00000000", "message \"allowed fast\" although the fast extension is not negotiated"),
    // Blocks.
    (Dialing, "0000400a 07", "a block of 16385 bytes; the limit is 16384"),
    (Dialing, "00100000 07", "a block of 1048567 bytes; the limit is 16384"),
    (Dialing, "00000009 07 00000003 00004000", "an empty block at piece 3 +16384"),
    (Dialing, "0000000a 07 00000014 00000000 ff", "message \"piece\" names piece 20 of a torrent of 20 pieces"),
    (Dialing, "0000000a 07 ffffffff 00000000 ff", "message \"piece\" names piece 4294967295 of a torrent of 20 pieces"),
    (Dialing, "0000000a 07 00000000 ffffffff ff", "a block whose end overflows: piece 0 +4294967295 (1 bytes)"),
    // Extension messages that we offered.
    (Dialing, "00000002 14 07", "malformed bytes from the peer: extension message \"lt_donthave\": 0 bytes; expected 4"),
    (Dialing, "00000005 14 07 000000", "extension message \"lt_donthave\": 3 bytes; expected 4"),
    (Dialing, "00000007 14 07", "extension message \"lt_donthave\": 5 bytes; the limit is 4"),
    (Dialing, "00000006 14 07 00000014", "message \"lt_donthave\" names piece 20 of a torrent of 20 pieces"),
    (Dialing, "00000002 14 03", "extension message \"upload_only\": no payload; expected 1 byte"),
    (Dialing, "00000043 14 03", "extension message \"upload_only\": 65 bytes; the limit is 64"),
    (Dialing, "00010003 14 00", "extension message \"handshake\": 65537 bytes; the limit is 65536"),
    // Torrents whose metadata is not known.
    (Magnet, "00000003 05 ffff", "a bitfield of 2 bytes for 20 pieces; expected 3"),
    (Magnet, "00000001 05", "a bitfield of 0 bytes for 20 pieces; expected 3"),
    (Magnet, "00040002 05", "message \"bitfield\" with 262145 bytes of payload; expected at most 262144"),
    (Magnet, "00000004 05 ffffff", "a bitfield with spare bits set after its 20 pieces"),
    (Magnet, "00000005 04 00000014", "message \"have\" names piece 20 of a torrent of 20 pieces"),
    (Magnet, "00000005 04 00200000", "message \"have\" names piece 2097152 of a torrent of 2097152 pieces"),
    (Magnet, "00000001 0e 00000001 0f", "message \"have none\" after the start of the connection"),
    (Magnet, "00000006 14 07 00000014", "message \"lt_donthave\" names piece 20 of a torrent of 20 pieces"),
    (Magnet, "0000000a 07 00000000 00000000 ff", "a block before the torrent's metadata is known: piece 0 +0 (1 bytes)"),
];

fn us(now: Instant, role: Us) -> Connection {
    let torrent = InfoHash::from([0xaa; 20]);
    let id = PeerId::from(*b"-US0-US0-US0-US0-US0");
    let mut config = Config::new(torrent, id, Some(PIECES));
    if role == Magnet {
        config.piece_count = None;
    }
    if role == Plain {
        config.reserved = Reserved::NONE;
    }
    let mut connection = match role {
        Dialed => Connection::incoming(IncomingConfig::default(), now),
        _ => Connection::outgoing(config, now),
    };
    if !matches!(role, Dialed | Answered) {
        let peer = Handshake {
            reserved: Reserved::NONE.with_fast().with_extended(),
            info_hash: torrent,
            peer_id: PeerId::generate("-ZZ0100-", 2),
        };
        let mut handshake = BytesMut::from(&peer.encode()[..]);
        connection
            .received(now, &mut handshake)
            .expect("the peer's handshake is fine");
        connection.send_extension_handshake(&ext::Handshake::offering(ext::Ext::ALL));
    }
    connection
}

/// What a stream gives, fed in chunks.
pub(crate) fn feed(role: Us, stream: &[u8], chunk: usize) -> String {
    let now = Instant::now();
    let mut connection = us(now, role);
    let mut buf = BytesMut::new();
    for chunk in stream.chunks(chunk) {
        buf.extend_from_slice(chunk);
        if let Err(error) = connection.received(now, &mut buf) {
            return error.to_string();
        }
    }
    let resolved = if role == Magnet {
        connection.set_piece_count(PIECES)
    } else {
        Ok(())
    };
    let error = resolved.and_then(|()| connection.handle_timeout(now + Duration::from_secs(9)));
    error
        .err()
        .map_or_else(String::new, |error| error.to_string())
}

fn unhex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in text.split_whitespace() {
        let (hex, times) = word.split_once('*').unwrap_or((word, "1"));
        let unit: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("the table is in hex"))
            .collect();
        bytes.extend(unit.repeat(times.parse().expect("a count follows a star")));
    }
    bytes
}

#[test]
fn each_broken_stream_gives_its_error() {
    assert!(STREAMS.len() >= 60);
    for (role, stream, expected) in STREAMS {
        let bytes = unhex(stream);
        let whole = feed(*role, &bytes, usize::MAX);
        assert!(whole.contains(expected), "{stream}: {whole}");
        assert_eq!(feed(*role, &bytes, 1), whole, "{stream}, byte by byte");
    }
}

#[test]
fn every_error_names_who_is_at_fault() {
    for (role, stream, _) in STREAMS {
        let error = feed(*role, &unhex(stream), usize::MAX);
        let blamed = error.starts_with("malformed bytes from the peer: ")
            || error.starts_with("the peer broke the protocol: ");
        assert!(blamed, "{error}");
    }
}
