//! Broken torrents by hand: each is refused with a message that names what and where.

use bt_bencode::OwnedValue;
use bt_metainfo::limits::{MAX_FILE_BYTES, MAX_FILES, MAX_PIECE_LENGTH, MAX_PIECES, MAX_TOKENS};
use bt_metainfo::{Info, Metainfo};

use crate::fixtures;
use crate::torrents::{Dict, bytes, list, multi, plain, single, strings, torrent};

/// A torrent and a part of the message it must give.
pub(crate) type Case = (Vec<u8>, &'static str);

pub(crate) fn around(info: Dict) -> Vec<u8> {
    bytes(torrent(info))
}

fn not_bencode() -> Vec<Case> {
    let whole = around(single());
    let cut = |length: usize| whole[..length].to_vec();
    vec![
        (vec![], "not a torrent: byte 0"),
        (
            b"<!DOCTYPE html><html>".to_vec(),
            "byte 0: expected a value, found \"<\"",
        ),
        (
            b"magnet:?xt=urn:btih:x".to_vec(),
            "byte 0: expected a value, found \"m\"",
        ),
        (
            b"\xef\xbb\xbfd4:infodee".to_vec(),
            "byte 0: expected a value",
        ),
        (
            b"i5e".to_vec(),
            "byte 0: expected a dictionary, found an integer",
        ),
        (b"4:info".to_vec(), "expected a dictionary, found a string"),
        (b"le".to_vec(), "expected a dictionary, found a list"),
        (cut(1), "byte 1"),
        (cut(20), "not a torrent: byte"),
        (cut(whole.len() - 1), "the input ends inside a value"),
        (cut(whole.len() - 10), "a string of 20 bytes, but only"),
        (
            b"d4:infodi1e1:aee".to_vec(),
            "a dictionary key must be a string",
        ),
        (b"d4:infod6:lengthi-0eee".to_vec(), "byte 16: negative zero"),
        (b"d4:infod6:lengthi05eee".to_vec(), "leading zero"),
        (
            b"d4:infod6:lengthi99999999999999999999eee".to_vec(),
            "does not fit 64 bits",
        ),
        (b"d4:infod6:lengthiee".to_vec(), "without digits"),
        (b"d04:infodee".to_vec(), "leading zero"),
        (
            b"d99999999999:infodee".to_vec(),
            "a string of 99999999999 bytes",
        ),
        (b"d4:info".to_vec(), "not a torrent"),
        (
            [b"d1:a".to_vec(), b"l".repeat(200), b"e".repeat(201)].concat(),
            "nested deeper than",
        ),
        (
            [b"d1:al".to_vec(), b"le".repeat(1_500_001), b"ee".to_vec()].concat(),
            "more than 3000000 tokens",
        ),
        (
            vec![b'd'; MAX_FILE_BYTES + 1],
            "the torrent has 10000001 bytes, more than the 10000000 allowed",
        ),
    ]
}

fn outside() -> Vec<Case> {
    let root = |value: OwnedValue| bytes(Dict::default().set("info", value));
    let two = [
        b"d4:infod6:lengthi5e4:name1:a12:piece lengthi1e6:pieces0:e".to_vec(),
        b"4:infodee".to_vec(),
    ]
    .concat();
    vec![
        (b"de".to_vec(), "torrent: byte 0: key \"info\": missing"),
        (b"d8:announce3:abce".to_vec(), "key \"info\": missing"),
        (b"d4:Infodee".to_vec(), "key \"info\": missing"),
        (
            root(5.into()),
            "torrent: byte 7: key \"info\": expected a dictionary, found an integer",
        ),
        (
            root("x".into()),
            "key \"info\": expected a dictionary, found a string",
        ),
        (
            root(list([])),
            "key \"info\": expected a dictionary, found a list",
        ),
        (two, "byte 63: key \"info\" appears twice"),
    ]
}

fn inside() -> Vec<Case> {
    let changed = |key: &str, value: OwnedValue| around(single().set(key, value));
    vec![
        (around(Dict::default()), "info: byte"),
        (around(single().without("name")), "key \"name\": missing"),
        (
            changed("name", 5.into()),
            "key \"name\": expected a string, found an integer",
        ),
        (
            changed("name", strings(&[b"a"])),
            "key \"name\": expected a string, found a list",
        ),
        (
            around(single().without("piece length")),
            "info: byte 45: key \"piece length\": missing",
        ),
        (
            changed("piece length", "16384".into()),
            "key \"piece length\": expected an integer, found a string",
        ),
        (
            changed("piece length", 0.into()),
            "a piece length of 0 bytes is not between 1 and 67108864",
        ),
        (
            changed("piece length", (-1).into()),
            "key \"piece length\": the integer is out of range",
        ),
        (
            changed("piece length", i64::from(MAX_PIECE_LENGTH + 1).into()),
            "a piece length of 67108865 bytes",
        ),
        (
            changed("piece length", i64::from(u32::MAX).into()),
            "a piece length of 4294967295 bytes",
        ),
        (
            changed("piece length", (1_i64 << 32).into()),
            "a piece length of 4294967296 bytes",
        ),
        (
            changed("piece length", i64::MAX.into()),
            "a piece length of 9223372036854775807 bytes",
        ),
        (
            around(single().without("pieces")),
            "key \"pieces\": missing",
        ),
        (
            changed("pieces", 5.into()),
            "key \"pieces\": expected a string, found an integer",
        ),
        (
            changed("pieces", list([])),
            "key \"pieces\": expected a string, found a list",
        ),
        (
            changed("pieces", vec![0; 19].into()),
            "\"pieces\" has 19 bytes, which is not a multiple of 20",
        ),
        (
            changed("pieces", vec![0; 21].into()),
            "\"pieces\" has 21 bytes",
        ),
        (
            changed("pieces", "".into()),
            "\"pieces\" has 0 hashes, but the files need 1",
        ),
        (
            changed("pieces", vec![0; 40].into()),
            "\"pieces\" has 2 hashes, but the files need 1",
        ),
        (
            around(single().without("length")),
            "info: byte 45: key \"length\": missing",
        ),
        (changed("length", "5".into()), "info: byte"),
        (
            changed("length", (-1).into()),
            "key \"length\": the integer is out of range",
        ),
        (
            changed("length", i64::MIN.into()),
            "key \"length\": the integer is out of range",
        ),
        (
            changed("length", i64::MAX.into()),
            "the files together have more than 1125899906842624 bytes",
        ),
        (
            changed("length", (1_i64 << 50).into()),
            "68719476736 pieces are more than the 2097152 allowed",
        ),
        (
            changed("length", 16_385.into()),
            "has 1 hashes, but the files need 2",
        ),
        (
            changed("length", 0.into()),
            "has 1 hashes, but the files need 0",
        ),
        (
            around(
                single()
                    .set("piece length", 1)
                    .set("length", i64::from(MAX_PIECES) + 1),
            ),
            "2097153 pieces are more than the 2097152 allowed",
        ),
        // The Merkle torrents of BEP 30 have a root instead of pieces.
        (
            around(single().without("pieces").set("root hash", vec![0; 20])),
            "key \"pieces\": missing",
        ),
    ]
}

fn files() -> Vec<Case> {
    let one = |file: Dict| around(multi(vec![plain(5, "a"), file]).set("pieces", vec![0; 20]));
    let half = 1_i64 << 62;
    vec![
        (
            around(single().set("files", "x")),
            "info: byte 53: key \"files\": expected a list, found a string",
        ),
        (
            around(single().set("files", Dict::default())),
            "key \"files\": expected a list, found a dictionary",
        ),
        (around(multi(vec![])), "the torrent has no files"),
        (
            around(multi(vec![plain(5, "a").set("attr", "p")])),
            "the torrent has no files",
        ),
        (
            around(multi(vec![]).set("files", strings(&[b"a"]))),
            "info.files[0]: byte 54: expected a dictionary, found a string",
        ),
        (one(plain(1, "b").without("length")), "info.files[1]: byte"),
        (
            one(plain(1, "b").without("length")),
            "key \"length\": missing",
        ),
        (
            one(plain(1, "b").set("length", "x")),
            "info.files[1]: byte 87: key \"length\": expected an integer, found a string",
        ),
        (
            one(plain(-1, "b")),
            "info.files[1]: byte 87: key \"length\": the integer is out of range",
        ),
        (
            one(plain(1, "b").without("path")),
            "info.files[1]: byte 78: key \"path\": missing",
        ),
        (
            one(plain(1, "b").set("path", "b")),
            "key \"path\": expected a list, found a string",
        ),
        (
            one(plain(1, "b").set("path", list([5.into()]))),
            "key \"path\": expected a string, found an integer",
        ),
        (
            one(plain(1, "b").set("path", list([list([])]))),
            "key \"path\": expected a string, found a list",
        ),
        (
            one(plain(1, "b")
                .without("path")
                .set("path.utf-8", list([5.into()]))),
            "key \"path\": missing",
        ),
        (one(plain(half, "b")), "the files together have more than"),
        (
            around(
                multi(vec![
                    plain(half, "a"),
                    plain(half, "b"),
                    plain(half, "c"),
                    plain(half, "d"),
                ])
                .set("pieces", ""),
            ),
            "the files together have more than 1125899906842624 bytes",
        ),
        (
            one(plain(20_000, "b")),
            "has 1 hashes, but the files need 2",
        ),
    ]
}

/// Each case must be refused with its part of a message, and all messages must be fit to print.
pub(crate) fn check(cases: &[Case]) {
    let mut wrong = Vec::new();
    for (torrent, fragment) in cases {
        let shown = String::from_utf8_lossy(&torrent[..torrent.len().min(300)]).into_owned();
        match Metainfo::parse(torrent) {
            Ok(_) => wrong.push(format!("{shown}\n  is accepted, wanted: {fragment}")),
            Err(error) => {
                let message = error.to_string();
                if !message.contains(fragment) {
                    wrong.push(format!(
                        "{shown}\n  says:   {message}\n  wanted: {fragment}"
                    ));
                }
                assert!(
                    message.len() < 400 && !message.contains(char::is_control),
                    "{message}"
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bytes_that_are_no_torrent() {
    check(&not_bencode());
    check(&outside());
}

#[test]
fn info_dictionaries_that_say_too_little_or_too_much() {
    let cases = inside();
    assert!(cases.len() > 25);
    check(&cases);
}

#[test]
fn file_lists_that_hold_something_else() {
    check(&files());
}

#[test]
fn what_follows_an_info_dictionary_from_a_peer_is_refused() {
    let info = bytes(single());
    assert!(Info::parse(&info).is_ok());
    let message = Info::parse(&[&info[..], b"xy"].concat())
        .unwrap_err()
        .to_string();
    assert_eq!(
        message,
        format!("byte {}: 2 bytes follow the info dictionary", info.len())
    );
    assert!(
        Info::parse(b"le")
            .unwrap_err()
            .to_string()
            .contains("expected a dictionary")
    );
}

#[test]
fn truncations_and_bit_flips_of_real_torrents_never_panic() {
    for (name, ..) in fixtures::ALL {
        let (whole, _) = fixtures::load(name);
        for length in 0..whole.len() {
            assert!(
                Metainfo::parse(&whole[..length]).is_err(),
                "{name} cut at {length}"
            );
        }
        let mut changed = whole.clone();
        for i in 0..whole.len() {
            for bit in [1, 2, 4, 8, 16, 32, 64, 128] {
                changed[i] ^= bit;
                let _ = Metainfo::parse(&changed).map(|torrent| torrent.magnet().to_string());
                changed[i] = whole[i];
            }
        }
    }
}

#[test]
fn the_number_of_files_ends_at_its_limit() {
    let torrent = |count: usize| {
        let files = b"d6:lengthi0e4:pathl1:aee".repeat(count);
        [
            &b"d4:infod5:filesl"[..],
            &files,
            b"e4:name1:a12:piece lengthi16384e6:pieces0:ee",
        ]
        .concat()
    };
    let options = bt_metainfo::ParseOptions::default().max_file_bytes(100 << 20);
    let most = options.parse(&torrent(MAX_FILES)).unwrap();
    assert_eq!(most.info().files().len(), MAX_FILES);
    assert_eq!(
        most.info().files()[MAX_FILES - 1].path.as_str(),
        "a (1000000)"
    );
    let message = options
        .parse(&torrent(MAX_FILES + 1))
        .unwrap_err()
        .to_string();
    assert!(message.contains("more than 1000000 files"), "{message}");
}

#[test]
fn a_torrent_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let of = |size: usize| {
        let head = b"d4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:".as_slice();
        let filled = |filler: usize| {
            let key = format!("e1:z{filler}:").into_bytes();
            [head, &[7; 20], &key, &vec![b'.'; filler], b"e"].concat()
        };
        // The length of the filler has seven digits here and there.
        let bytes = filled(size - filled(1_000_000).len() + 1_000_000);
        assert_eq!(bytes.len(), size);
        Metainfo::parse(&bytes)
    };
    assert!(of(MAX_FILE_BYTES).is_ok());
    let error = of(MAX_FILE_BYTES + 1).unwrap_err().to_string();
    assert!(error.contains("more than the 10000000 allowed"), "{error}");
}

#[test]
fn a_torrent_of_as_many_items_as_are_allowed_is_read_and_one_more_is_not() {
    let filled = |items: usize| {
        let head = b"d4:infod6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:".as_slice();
        [head, &[7; 20], b"e1:zl", &b"0:".repeat(items), b"ee"].concat()
    };
    // What is around the filler is items as well: counted by the least limit that it passes.
    let passes = |max_tokens: &usize| {
        let limits = bt_bencode::Limits {
            max_tokens: *max_tokens,
            ..bt_bencode::Limits::default()
        };
        let options = bt_bencode::Options::strict().limits(limits);
        options.parse(&filled(0)).is_ok()
    };
    let around = (0..100).find(passes).expect("it is small");
    let most = filled(MAX_TOKENS - around);
    assert!(most.len() < MAX_FILE_BYTES);
    assert!(Metainfo::parse(&most).is_ok(), "at the limit");
    let error = Metainfo::parse(&filled(MAX_TOKENS + 1 - around)).unwrap_err();
    assert!(error.to_string().contains("3000000"), "{error}");
}
