//! Bytes of peers: handshakes, streams after them, and dictionaries of the extension protocol.
//!
//! A stream's name begins with who we are when it comes: `dialing-` (BEP 6 and BEP 10 negotiated,
//! 20 pieces), `plain-` (neither), `magnet-` (piece count unknown until the end of the stream).

use super::Cases;
use super::make::{Dict, Random, int, kinds, list, string};

/// Messages without payload, by number.
const BARE: [(u8, &str); 4] = [
    (0, "choke"),
    (1, "unchoke"),
    (2, "interested"),
    (3, "not interested"),
];
/// Messages of a fixed length, by number.
const FIXED: [(u8, &str, u32); 8] = [
    (4, "have", 4),
    (6, "request", 12),
    (8, "cancel", 12),
    (9, "port", 2),
    (13, "suggest", 4),
    (16, "reject", 12),
    (17, "allowed fast", 4),
    (14, "have all", 0),
];

fn message(id: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 1).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[id], payload].concat()
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect()
}

pub(super) fn streams(cases: &mut Cases) {
    lengths(cases);
    indices(cases);
    availability(cases);
    without_fast(cases);
    fine(cases);
}

fn lengths(cases: &mut Cases) {
    cases.because("limit MAX_MESSAGE: a longer message is refused by its length prefix alone");
    for length in [
        0x0010_0001_u32,
        0x0100_0000,
        i32::MAX.unsigned_abs(),
        0x8000_0000,
        u32::MAX,
    ] {
        let name = format!("dialing-message-of-{length}");
        cases.bad(
            &name,
            length.to_be_bytes(),
            &format!("a message of {length} bytes; the limit is 1048576"),
        );
    }
    cases.bad(
        "dialing-http-reply",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "a message of 1213486160 bytes",
    );
    cases.because("BEP 3 and BEP 6: each message has one length");
    for (id, name) in BARE {
        for extra in [1_usize, 4, 300] {
            let file = format!("dialing-{}-with-{extra}", name.replace(' ', "-"));
            let expected =
                format!("message \"{name}\" with {extra} bytes of payload; expected none");
            cases.bad(&file, message(id, &vec![0; extra]), &expected);
        }
    }
    for (id, name, right) in FIXED {
        for length in [0, 1, right.saturating_sub(1), right + 1, right + 4, 1_000] {
            if length == right || (right == 2 && length == 1 && id != 9) {
                continue;
            }
            let file = format!("dialing-{}-with-{length}", name.replace(' ', "-"));
            let expected = match right {
                0 => format!("message \"{name}\" with {length} bytes of payload; expected none"),
                _ => format!("message \"{name}\" with {length} bytes of payload; expected {right}"),
            };
            if cases.list.iter().all(|case| case.name != file) {
                cases.bad(&file, message(id, &vec![0; length as usize]), &expected);
            }
        }
    }
    for length in [0_usize, 1, 7] {
        let expected =
            format!("message \"piece\" with {length} bytes of payload; expected 8 and the data");
        cases.bad(
            &format!("dialing-piece-with-{length}"),
            message(7, &vec![0; length]),
            &expected,
        );
    }
    cases.because("limit MAX_BLOCK: blocks are at most 16 KiB");
    cases.bad(
        "dialing-block-of-16385",
        16_394_u32
            .to_be_bytes()
            .into_iter()
            .chain([7])
            .collect::<Vec<_>>(),
        "a block of 16385 bytes; the limit is 16384",
    );
    cases.bad(
        "dialing-block-of-1-mib",
        [&0x0010_0000_u32.to_be_bytes()[..], &[7]].concat(),
        "a block of 1048567 bytes; the limit is 16384",
    );
    cases
        .because("limits of the extension protocol: the length is judged before the payload comes");
    cases.bad(
        "dialing-extended-empty",
        message(20, &[]),
        "message \"extended\" with 0 bytes of payload",
    );
    cases.bad(
        "dialing-extended-512-kib",
        [&524_290_u32.to_be_bytes()[..], &[20]].concat(),
        "message \"extended\" with 524289 bytes of payload",
    );
    cases.bad(
        "dialing-extension-handshake-64-kib",
        [&65_539_u32.to_be_bytes()[..], &[20, 0]].concat(),
        "65537 bytes; the limit is 65536",
    );
}

fn indices(cases: &mut Cases) {
    cases.because("a piece index is below the piece count");
    for index in [20_u32, 21, 1 << 21, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        let refused = |name: &str| {
            format!("message \"{name}\" names piece {index} of a torrent of 20 pieces")
        };
        cases.bad(
            &format!("dialing-have-{index}"),
            message(4, &words(&[index])),
            &refused("have"),
        );
        cases.bad(
            &format!("plain-have-{index}"),
            message(4, &words(&[index])),
            &refused("have"),
        );
        let block = [words(&[index, 0]), vec![1]].concat();
        cases.bad(
            &format!("dialing-piece-{index}"),
            message(7, &block),
            &refused("piece"),
        );
    }
    cases.bad(
        "magnet-have-2097152",
        message(4, &words(&[1 << 21])),
        "names piece 2097152 of a torrent of 2097152 pieces",
    );
    cases.bad(
        "magnet-have-20",
        message(4, &words(&[20])),
        "names piece 20 of a torrent of 20 pieces",
    );
    cases.because("a block has bytes, and its end fits 32 bits");
    cases.bad(
        "dialing-block-empty",
        message(7, &words(&[3, 16_384])),
        "an empty block at piece 3 +16384",
    );
    cases.bad(
        "dialing-block-overflow",
        message(7, &[words(&[0, u32::MAX]), vec![1]].concat()),
        "a block whose end overflows",
    );
    cases.bad(
        "magnet-block",
        message(7, &[words(&[0, 0]), vec![1]].concat()),
        "a block before the torrent's metadata is known",
    );
}

fn availability(cases: &mut Cases) {
    cases.because("a bitfield has one bit for each piece and zeros after them");
    for length in [0_usize, 1, 2, 4, 5, 100] {
        let expected = format!("a bitfield of {length} bytes for 20 pieces; expected 3");
        cases.bad(
            &format!("dialing-bitfield-of-{length}"),
            message(5, &vec![0; length]),
            &expected,
        );
        cases.bad(
            &format!("magnet-bitfield-of-{length}"),
            message(5, &vec![0; length]),
            &expected,
        );
    }
    for (number, last) in [0x01_u8, 0x02, 0x04, 0x08, 0x0f].into_iter().enumerate() {
        cases.bad(
            &format!("dialing-spare-bit-{number}"),
            message(5, &[0xff, 0xff, last]),
            "a bitfield with spare bits set after its 20 pieces",
        );
    }
    cases.bad(
        "magnet-spare-bits",
        message(5, &[0xff; 3]),
        "a bitfield with spare bits set",
    );
    cases.because("BEP 6: have all and have none come first and once");
    for (file, id, name) in [
        ("have-all", 14_u8, "have all"),
        ("have-none", 15, "have none"),
    ] {
        let expected = format!("message \"{name}\" after the start of the connection");
        for (before, first) in [
            ("unchoke", 1_u8),
            ("interested", 2),
            ("have-all", 14),
            ("have-none", 15),
        ] {
            let stream = [message(first, &[]), message(id, &[])].concat();
            cases.bad(&format!("dialing-{file}-after-{before}"), stream, &expected);
        }
    }
}

fn without_fast(cases: &mut Cases) {
    cases.because("BEP 6: its messages need its bit in both handshakes");
    for (file, id, length, name) in [
        ("suggest", 13_u8, 4_usize, "suggest"),
        ("have-all", 14, 0, "have all"),
        ("have-none", 15, 0, "have none"),
        ("reject", 16, 12, "reject"),
        ("allowed-fast", 17, 4, "allowed fast"),
    ] {
        let expected = format!("message \"{name}\" although the fast extension is not negotiated");
        cases.bad(
            &format!("plain-{file}"),
            message(id, &vec![0; length]),
            &expected,
        );
    }
}

fn fine(cases: &mut Cases) {
    cases.because("what a good peer may send");
    cases.good("dialing-keep-alives", [0_u8; 400]);
    cases.good("dialing-full-bitfield", message(5, &[0xff, 0xff, 0xf0]));
    cases.good("dialing-empty-bitfield", message(5, &[0; 3]));
    cases.good("dialing-have-last", message(4, &words(&[19])));
    cases.good("magnet-have-then-known", message(4, &words(&[19])));
    cases.good("dialing-choke-storm", message(0, &[]).repeat(300));
    cases.good(
        "dialing-cancel-of-nothing",
        message(8, &words(&[0, 0, 16_384])),
    );
    cases.good("dialing-port", message(9, &[0x1a, 0xe1]));
    cases.because("unknown messages are skipped");
    for id in [10_u8, 11, 12, 18, 19, 21, 22, 99, 255] {
        cases.good(&format!("dialing-unknown-{id}"), message(id, &[7; 33]));
    }
    cases.because("half a message is no error yet");
    cases.good("dialing-half-a-message", [0_u8, 0, 0, 5, 4, 0]);
    cases.good("dialing-half-a-length", [0_u8, 0]);
}

pub(super) fn handshakes(cases: &mut Cases) {
    let good = [
        &[19][..],
        b"BitTorrent protocol",
        &[0; 8],
        &[0xaa; 20],
        b"-ZZ0100-abcdefghijkl",
    ]
    .concat();
    cases.because("BEP 3: a handshake opens with 19 and the name of the protocol");
    let mut random = Random::new(11);
    for at in [0_usize, 1, 2, 5, 9, 11, 12, 15, 19] {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << random.below(8);
        let expected = format!("handshake byte {at}: this is not the BitTorrent protocol");
        cases.bad(&format!("changed-at-{at:02}"), bytes, &expected);
    }
    for (name, bytes) in [
        ("http", b"GET /announce HTTP/1.1\r\n".as_slice()),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("ssh", b"SSH-2.0-OpenSSH_9.2\r\n"),
        ("socks5", b"\x05\x01\x00"),
        ("zeros", &[0; 68]),
        ("ones", &[0xff; 68]),
        ("length-18", b"\x12BitTorrent protoco"),
        ("length-255", b"\xffBitTorrent protocol"),
    ] {
        cases.bad(
            name,
            bytes,
            "handshake byte 0: this is not the BitTorrent protocol",
        );
    }
    cases.bad(
        "lower-case",
        b"\x13bittorrent protocol".as_slice(),
        "handshake byte 1: this is not",
    );
    cases.bad(
        "upper-case-p",
        b"\x13BitTorrent Protocol".as_slice(),
        "handshake byte 12: this is not",
    );
    cases.because("until 68 bytes are there a right beginning is no error");
    for length in [0_usize, 1, 19, 20, 28, 48, 67] {
        cases.good(&format!("first-{length:02}"), &good[..length]);
    }
    cases.because("reserved bits that nobody defined mean nothing");
    cases.good("whole", good.clone());
    let mut reserved = good.clone();
    reserved[20..28].fill(0xff);
    cases.good("all-reserved-bits", reserved);
    let mut zeros = good;
    zeros[48..].fill(0);
    cases.good("peer-id-of-zeros", zeros);
}

pub(super) fn extension_handshakes(cases: &mut Cases) {
    cases.because("BEP 10: the payload is a dictionary");
    for (name, kind, value) in kinds() {
        if name != "dict" {
            cases.bad(
                &format!("a-{name}"),
                value,
                kind.trim_start_matches("an ").trim_start_matches("a "),
            );
        }
    }
    cases
        .bad("nothing", "", "byte 0")
        .bad("text", "hello", "byte 0")
        .bad("cut", "d1:md", "byte 5");
    cases.because("limits of depth and tokens");
    let deep =
        |depth: usize| [b"d1:x".to_vec(), b"l".repeat(depth), b"e".repeat(depth + 1)].concat();
    cases
        .good("depth-10", deep(9))
        .bad("depth-11", deep(10), "deeper than 10");
    let many = |count: usize| [b"d1:xl".to_vec(), b"le".repeat(count), b"ee".to_vec()].concat();
    cases.good("tokens-2000", many(997)).bad(
        "tokens-above-2000",
        many(1_200),
        "more than 2000 tokens",
    );
    cases.because("a value of the wrong type or out of range counts as absent");
    for key in [
        "m",
        "v",
        "p",
        "reqq",
        "yourip",
        "ipv4",
        "ipv6",
        "metadata_size",
        "upload_only",
        "complete_ago",
    ] {
        for (name, _, value) in kinds() {
            cases.good(
                &format!("{key}-{name}"),
                Dict::default().set(key, value).bytes(),
            );
        }
    }
    for (name, number) in [
        ("minus-one", -1_i128),
        ("zero", 0),
        ("u32", 1 << 32),
        ("i64", i128::from(i64::MAX)),
    ] {
        for key in ["p", "reqq", "metadata_size"] {
            cases.good(
                &format!("{key}-{name}"),
                Dict::default().set(key, int(number)).bytes(),
            );
        }
        let ids = Dict::default().set("ut_metadata", int(number)).bytes();
        cases.good(&format!("id-{name}"), Dict::default().set("m", ids).bytes());
    }
    cases.good(
        "client-name-of-60000",
        Dict::default().set("v", string(vec![b'x'; 60_000])).bytes(),
    );
    cases.good(
        "client-name-not-utf8",
        Dict::default().set("v", string([0xff; 8])).bytes(),
    );
    cases.good(
        "yourip-5-bytes",
        Dict::default().set("yourip", string([1; 5])).bytes(),
    );
    cases.good("bytes-after", b"de\x01\x02".as_slice());
    cases.good(
        "m-of-lists",
        Dict::default()
            .set("m", Dict::default().set("ut_pex", list(&[])).bytes())
            .bytes(),
    );
}
