//! Replies that no tracker should send, each with the words that a person gets to read.

use bt_tracker::udp::{self, Family};
use bt_tracker::{ReplyError, http};

/// Bodies of HTTP replies to an announce.
const ANNOUNCE_BODIES: &[(&[u8], &str)] = &[
    (b"", "the reply is not bencoded: byte 0:"),
    (b"\xff\xfe", "the reply is not bencoded: byte 0:"),
    (
        b"<!DOCTYPE html><html>404</html>",
        "the reply is not bencoded: byte 0:",
    ),
    (b"{\"peers\":[]}", "the reply is not bencoded: byte 0:"),
    (b"d", "the reply is not bencoded: byte 1:"),
    (b"d8:interval", "the reply is not bencoded: byte 11:"),
    (b"d8:intervali1800e", "the reply is not bencoded: byte 17:"),
    (
        b"d8:intervali1800e5:peers",
        "the reply is not bencoded: byte 24:",
    ),
    (
        b"d8:intervali1800e5:peers12:short",
        "the reply is not bencoded: byte 24:",
    ),
    (
        b"d8:intervali1800e5:peers99999999999999999999:xe",
        "the reply is not bencoded: byte 24:",
    ),
    (
        b"d8:intervali1800e5:peers-6:xe",
        "the reply is not bencoded: byte 24:",
    ),
    (
        b"d8:intervali-0e5:peers0:e",
        "the reply is not bencoded: byte 11:",
    ),
    (
        b"d8:intervali01800e5:peers0:e",
        "the reply is not bencoded: byte 11:",
    ),
    (
        b"d8:intervali9223372036854775808e5:peers0:e",
        "the reply is not bencoded: byte 11:",
    ),
    (
        b"d8:intervalie5:peers0:e",
        "the reply is not bencoded: byte 11:",
    ),
    (b"di8e8:intervale", "the reply is not bencoded: byte 1:"),
    (b"d8:intervale", "the reply is not bencoded: byte 11:"),
    (
        b"lllllllllllllllllllll",
        "the reply is not bencoded: byte 10:",
    ),
    (
        b"i1800e",
        "the reply is malformed: it is an integer, not a dictionary",
    ),
    (
        b"4:fine",
        "the reply is malformed: it is a string, not a dictionary",
    ),
    (
        b"ld8:intervali1800eee",
        "the reply is malformed: it is a list, not a dictionary",
    ),
    (
        b"de",
        "the reply is malformed: neither \"interval\" nor \"peers\" nor \"failure reason\" is there",
    ),
    (
        b"d5:filesdee",
        "the reply is malformed: neither \"interval\" nor \"peers\" nor \"failure reason\" is there",
    ),
    (
        b"d8:interval4:18005:peers0:e",
        "the reply is malformed: \"interval\" is a string, it must be an integer",
    ),
    (
        b"d8:intervalle5:peers0:e",
        "the reply is malformed: \"interval\" is a list, it must be an integer",
    ),
    (
        b"d8:intervali5e12:min interval1:55:peers0:e",
        "the reply is malformed: \"min interval\" is a string, it must be an integer",
    ),
    (
        b"d8:intervali5e5:peersi7ee",
        "the reply is malformed: \"peers\" is an integer, it must be a string or a list",
    ),
    (
        b"d8:intervali5e5:peersdee",
        "the reply is malformed: \"peers\" is a dictionary, it must be a string or a list",
    ),
    (
        b"d8:intervali5e6:peers6i7ee",
        "the reply is malformed: \"peers6\" is an integer, it must be a string or a list",
    ),
    (
        b"d8:intervali5e10:tracker idi7ee",
        "the reply is malformed: \"tracker id\" is an integer, it must be a string",
    ),
    (
        b"d11:external ip3:1238:intervali5ee",
        "the reply is malformed: \"external ip\" has 3 bytes, it must have 4 or 16",
    ),
    (
        b"d14:failure reason12:unregisterede",
        "the tracker refused: unregistered",
    ),
    (
        b"d14:failure reason0:e",
        "the tracker refused: no reason given",
    ),
    (
        b"d14:failure reasonlee",
        "the tracker refused: no reason given",
    ),
    (
        b"d14:failure reason4:busy8:intervali5e5:peers0:8:retry in1:1e",
        "the tracker refused: busy (retry in 1 minute)",
    ),
    (
        b"d14:failure reason4:gone8:retry in5:nevere",
        "the tracker refused: gone (never retry)",
    ),
];

/// Bodies of HTTP replies to a scrape.
const SCRAPE_BODIES: &[(&[u8], &str)] = &[
    (
        b"de",
        "the reply is malformed: neither \"files\" nor \"failure reason\" is there",
    ),
    (b"d5:filesle", "the reply is not bencoded: byte 10:"),
    (
        b"d5:fileslee",
        "the reply is malformed: \"files\" is a list, it must be a dictionary",
    ),
    (
        b"d5:filesi7ee",
        "the reply is malformed: \"files\" is an integer, it must be a dictionary",
    ),
    (b"d14:failure reason2:noe", "the tracker refused: no"),
];

/// Packets that answer an announce.
const ANNOUNCE_PACKETS: &[(&[u8], &str)] = &[
    (
        b"",
        "the reply is malformed: packet of 0 bytes, 8 are needed",
    ),
    (
        b"\0\0\0\x01\0\0\0",
        "the reply is malformed: packet of 7 bytes, 8 are needed",
    ),
    (
        b"\0\0\0\x01\0\0\0\x05",
        "the tracker refused: no reason given",
    ),
    (
        b"\0\0\0\x01\0\0\0\x05\0\0\0\x01\0\0\0\x01\0\0\0",
        "the reply is malformed: packet of 19 bytes, 20 are needed",
    ),
    (
        b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0",
        "the reply is malformed: action 0, expected 1",
    ),
    (
        b"\0\0\0\x02\0\0\0\x05",
        "the reply is malformed: action 2, expected 1",
    ),
    (
        b"\xff\xff\xff\xff\0\0\0\x05",
        "the reply is malformed: action 4294967295, expected 1",
    ),
    (
        b"\0\0\0\x03\0\0\0\x05",
        "the tracker refused: no reason given",
    ),
    (
        b"\0\0\0\x03\0\0\0\x05no such torrent\0",
        "the tracker refused: no such torrent",
    ),
    (
        b"\0\0\0\x03\0\0\0\x05\xff\xfe",
        "the tracker refused: \u{fffd}\u{fffd}",
    ),
];

/// Packets that answer a scrape of one torrent.
const SCRAPE_PACKETS: &[(&[u8], &str)] = &[
    (
        b"\0\0\0\x02\0\0\0\x05",
        "the reply is malformed: packet of 8 bytes, 20 are needed",
    ),
    (
        b"\0\0\0\x02\0\0\0\x05\0\0\0\x01\0\0\0\x01\0\0\0",
        "the reply is malformed: packet of 19 bytes, 20 are needed",
    ),
    (
        b"\0\0\0\x01\0\0\0\x05",
        "the reply is malformed: action 1, expected 2",
    ),
    (b"\0\0\0\x03\0\0\0\x05off", "the tracker refused: off"),
];

/// Packets that answer a connect request.
const CONNECT_PACKETS: &[(&[u8], &str)] = &[
    (
        b"\0\0\0\0\0\0\0\x05",
        "the reply is malformed: packet of 8 bytes, 16 are needed",
    ),
    (
        b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0",
        "the reply is malformed: packet of 15 bytes, 16 are needed",
    ),
    (
        b"\0\0\0\x01\0\0\0\x05\0\0\0\0",
        "the reply is malformed: action 1, expected 0",
    ),
    (b"\0\0\0\x03\0\0\0\x05banned", "the tracker refused: banned"),
];

fn check<T: std::fmt::Debug>(
    table: &[(&[u8], &str)],
    decode: impl Fn(&[u8]) -> Result<T, ReplyError>,
) {
    for (input, message) in table {
        let shown = input.escape_ascii().to_string();
        let error = decode(input).expect_err(&shown).to_string();
        // What follows the colon are the words of bt-bencode.
        let place_only = message.ends_with(':');
        let as_expected = error == *message || (place_only && error.starts_with(message));
        assert!(as_expected, "{shown}: {error}, expected {message}");
    }
}

#[test]
fn http_announces() {
    check(ANNOUNCE_BODIES, http::decode_announce_reply);
}

#[test]
fn http_scrapes() {
    check(SCRAPE_BODIES, http::decode_scrape_reply);
}

#[test]
fn udp_announces() {
    check(ANNOUNCE_PACKETS, |packet| {
        udp::decode_announce_reply(packet, Family::V4)
    });
    check(ANNOUNCE_PACKETS, |packet| {
        udp::decode_announce_reply(packet, Family::V6)
    });
}

#[test]
fn udp_scrapes() {
    check(SCRAPE_PACKETS, |packet| {
        udp::decode_scrape_reply(packet, &[[1; 20].into()])
    });
}

#[test]
fn udp_connects() {
    check(CONNECT_PACKETS, udp::decode_connect_reply);
}
