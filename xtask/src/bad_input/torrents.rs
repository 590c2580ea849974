//! Torrent files: broken in one place each, odd but usable, or at a limit.

use super::make::{Dict, Random, int, kinds, list, string};
use super::{Cases, names, trees};

/// The info dictionary of one file of 5 bytes.
pub(super) fn single() -> Dict {
    Dict::default()
        .set("length", int(5))
        .set("name", string("file.txt"))
        .set("piece length", int(16_384))
        .set("pieces", string([b'h'; 20]))
}

/// The info dictionary of a directory with these encoded files, one piece.
pub(super) fn multi(files: &[Vec<u8>]) -> Dict {
    single()
        .without("length")
        .set("name", string("dir"))
        .set("files", list(files))
}

pub(super) fn file(length: i128, path: &[&[u8]]) -> Dict {
    let names: Vec<_> = path.iter().map(string).collect();
    Dict::default()
        .set("length", int(length))
        .set("path", list(&names))
}

pub(super) fn around(info: Dict) -> Vec<u8> {
    Dict::default().set("info", info.bytes()).bytes()
}

pub(super) fn fill(cases: &mut Cases) {
    outside(cases);
    keys(cases);
    numbers(cases);
    files(cases);
    names::fill(cases);
    trees::fill(cases);
    extras(cases);
    changes(cases);
}

fn outside(cases: &mut Cases) {
    cases.because("a torrent is one dictionary with an info dictionary in it");
    for (name, bytes, words) in [
        ("empty", b"".as_slice(), "not a torrent: byte 0"),
        ("text", b"hello world", "not a torrent: byte 0"),
        (
            "web-page",
            b"<!DOCTYPE html><html>404</html>",
            "byte 0: expected a value, found \"<\"",
        ),
        (
            "json",
            b"{\"info\":{}}",
            "byte 0: expected a value, found \"{\"",
        ),
        (
            "magnet",
            b"magnet:?xt=urn:btih:x",
            "byte 0: expected a value, found \"m\"",
        ),
        (
            "gzip",
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
            "not a torrent: byte 0",
        ),
        ("zip", b"PK\x03\x04", "not a torrent: byte 0"),
        ("zeros", &[0; 512], "not a torrent: byte 0"),
        ("only-d", b"d", "byte 1: the input ends inside a value"),
        (
            "root-int",
            b"i1e",
            "expected a dictionary, found an integer",
        ),
        ("root-list", b"le", "expected a dictionary, found a list"),
        (
            "root-string",
            b"4:info",
            "expected a dictionary, found a string",
        ),
        ("no-info", b"d8:announce3:abce", "key \"info\": missing"),
        ("empty-dict", b"de", "key \"info\": missing"),
        ("info-upper-case", b"d4:INFOdee", "key \"info\": missing"),
        ("info-with-nul", b"d5:info\0dee", "key \"info\": missing"),
    ] {
        cases.bad(name, bytes, words);
    }
    for (name, found, value) in kinds() {
        if name != "dict" {
            let bytes = Dict::default().set("info", value).bytes();
            cases.bad(
                &format!("info-{name}"),
                bytes,
                &format!("key \"info\": expected a dictionary, found {found}"),
            );
        }
    }
    let two = [b"d4:info".to_vec(), single().bytes(), b"4:infodee".to_vec()].concat();
    cases.because("two readers that take different ones see different torrents");
    cases.bad("two-infos", two, "key \"info\" appears twice");
    cases.because("real torrents have bytes after them");
    cases.odd(
        "newline-after",
        [around(single()), b"\n".to_vec()].concat(),
        "1 bytes follow the torrent",
    );
}

fn keys(cases: &mut Cases) {
    cases.because("name, piece length, pieces and length are what a torrent is made of");
    for (key, expected) in [
        ("name", "a string"),
        ("piece length", "an integer"),
        ("pieces", "a string"),
        ("length", "an integer"),
    ] {
        let name = key.replace(' ', "-");
        if key != "length" {
            cases.bad(
                &format!("no-{name}"),
                around(single().without(key)),
                &format!("key \"{key}\": missing"),
            );
        }
        for (kind, found, value) in kinds() {
            if found != expected {
                let words = format!("key \"{key}\": expected {expected}, found {found}");
                cases.bad(
                    &format!("{name}-{kind}"),
                    around(single().set(key, value)),
                    &words,
                );
            }
        }
    }
    cases.bad(
        "no-length-no-files",
        around(single().without("length")),
        "info",
    );
    for (kind, found, value) in kinds() {
        if kind != "list" {
            let words = format!("key \"files\": expected a list, found {found}");
            cases.bad(
                &format!("files-{kind}"),
                around(multi(&[]).set("files", value)),
                &words,
            );
        }
    }
}

fn numbers(cases: &mut Cases) {
    cases.because("limit MAX_PIECE_LENGTH; a piece length of 0 divides by zero");
    let range =
        |found: &str| format!("a piece length of {found} bytes is not between 1 and 67108864");
    let piece = |length: i128| around(single().set("piece length", int(length)));
    cases.bad("piece-length-0", piece(0), &range("0"));
    cases.bad(
        "piece-length-above",
        piece((64 << 20) + 1),
        &range("67108865"),
    );
    cases.bad("piece-length-u32", piece(1 << 32), &range("4294967296"));
    cases.bad(
        "piece-length-i64",
        piece(i128::from(i64::MAX)),
        &range("9223372036854775807"),
    );
    cases.bad(
        "piece-length-minus",
        piece(-1),
        "key \"piece length\": the integer is out of range",
    );
    cases.bad(
        "piece-length-i64-min",
        piece(i128::from(i64::MIN)),
        "the integer is out of range",
    );
    cases.good("piece-length-64-mib", piece(64 << 20));
    cases.odd("piece-length-5", piece(5), "piece length");
    cases.because("limits MAX_TOTAL_LENGTH and MAX_PIECES");
    let length = |length: i128| around(single().set("length", int(length)));
    cases.bad(
        "length-minus",
        length(-1),
        "key \"length\": the integer is out of range",
    );
    cases.bad(
        "length-i64-min",
        length(i128::from(i64::MIN)),
        "the integer is out of range",
    );
    cases.bad(
        "length-above-2-50",
        length((1 << 50) + 1),
        "the files together have more than 1125899906842624 bytes",
    );
    cases.bad(
        "length-i64-max",
        length(i128::from(i64::MAX)),
        "the files together have more than",
    );
    cases.bad(
        "pieces-above-2-21",
        length((16_384 << 21) + 1),
        "2097153 pieces are more than the 2097152 allowed",
    );
    cases.bad(
        "pieces-too-few",
        length(16_385),
        "has 1 hashes, but the files need 2",
    );
    cases.because("pieces are hashes of 20 bytes, one for each piece");
    for count in [1_usize, 19, 21, 39, 41] {
        let bytes = around(single().set("pieces", string(vec![b'h'; count])));
        cases.bad(
            &format!("pieces-of-{count}"),
            bytes,
            &format!("\"pieces\" has {count} bytes, which is not a multiple of 20"),
        );
    }
    for count in [0_usize, 2, 3, 50] {
        let bytes = around(single().set("pieces", string(vec![b'h'; count * 20])));
        cases.bad(
            &format!("pieces-{count}-hashes"),
            bytes,
            &format!("\"pieces\" has {count} hashes, but the files need 1"),
        );
    }
}

fn files(cases: &mut Cases) {
    cases.because("each file has a length and a path of strings");
    let second = |file: Vec<u8>| around(multi(&[file_of(1), file]));
    for (kind, found, value) in kinds() {
        if kind != "dict" {
            cases.bad(
                &format!("file-{kind}"),
                second(value),
                &format!("expected a dictionary, found {found}"),
            );
        }
    }
    let plain = || file(1, &[b"b"]);
    cases.bad(
        "file-no-length",
        second(plain().without("length").bytes()),
        "key \"length\": missing",
    );
    cases.bad(
        "file-no-path",
        second(plain().without("path").bytes()),
        "key \"path\": missing",
    );
    for (kind, found, value) in kinds() {
        if kind != "int" {
            cases.bad(
                &format!("file-length-{kind}"),
                second(plain().set("length", value.clone()).bytes()),
                &format!("key \"length\": expected an integer, found {found}"),
            );
        }
        if kind != "list" {
            cases.bad(
                &format!("file-path-{kind}"),
                second(plain().set("path", value.clone()).bytes()),
                &format!("key \"path\": expected a list, found {found}"),
            );
        }
        if kind != "string" {
            cases.bad(
                &format!("file-name-{kind}"),
                second(plain().set("path", list(&[value])).bytes()),
                &format!("key \"path\": expected a string, found {found}"),
            );
        }
    }
    cases.bad(
        "file-length-minus",
        second(file(-1, &[b"b"]).bytes()),
        "the integer is out of range",
    );
    cases.because("sums of lengths are checked, not wrapped");
    let half = i128::from(i64::MAX) / 2 + 1;
    cases.bad(
        "file-lengths-overflow",
        around(multi(&[
            file(half, &[b"a"]).bytes(),
            file(half, &[b"b"]).bytes(),
            file(half, &[b"c"]).bytes(),
            file(half, &[b"d"]).bytes(),
        ])),
        "the files together have more than",
    );
    cases.because("a torrent needs a file");
    cases.bad(
        "files-empty",
        around(multi(&[]).set("pieces", string(""))),
        "no files",
    );
}

pub(super) fn file_of(length: i128) -> Vec<u8> {
    file(length, &[b"a"]).bytes()
}

fn extras(cases: &mut Cases) {
    cases.because(
        "what is not needed to download is left out with a warning when it makes no sense",
    );
    let with = |key: &str, value: Vec<u8>| {
        Dict::default()
            .set("info", single().bytes())
            .set(key, value)
            .bytes()
    };
    for (key, fits) in [
        ("announce", "string"),
        ("announce-list", "list"),
        ("comment", "string"),
        ("created by", "string"),
        ("creation date", "int"),
        ("encoding", "string"),
        ("nodes", "list"),
    ] {
        for (kind, _, value) in kinds() {
            if kind != fits {
                cases.odd(
                    &format!("{}-{kind}", key.replace(' ', "-")),
                    with(key, value),
                    key,
                );
            }
        }
    }
    cases.good("comment-65536", with("comment", string(vec![b'c'; 65_536])));
    cases.odd(
        "comment-65537",
        with("comment", string(vec![b'c'; 65_537])),
        "it is too long",
    );
    for url in [
        "",
        "not a url",
        "http://",
        "\u{1b}[31m",
        "javascript:alert(1)",
    ] {
        let name: String = url.chars().filter(char::is_ascii_alphabetic).collect();
        cases.good(
            &format!("announce-url-{name}"),
            with("announce", string(url)),
        );
    }
    cases.odd(
        "announce-url-2049",
        with("announce", string(vec![b'u'; 2_049])),
        "announce",
    );
    cases.good("nodes-empty", with("nodes", list(&[])));
    cases.odd(
        "nodes-bad-port",
        with("nodes", list(&[list(&[string("h"), int(70_000)])])),
        "nodes",
    );
    cases.odd(
        "nodes-no-port",
        with("nodes", list(&[list(&[string("h")])])),
        "nodes",
    );
    let hundred_and_one: Vec<_> = (0..101)
        .map(|i| list(&[string(format!("h{i}.example")), int(1)]))
        .collect();
    cases.odd("nodes-101", with("nodes", list(&hundred_and_one)), "nodes");
    cases.because(
        "order and duplicates decide nothing but the info-hash, which is of the bytes as they are",
    );
    cases.odd(
        "keys-unsorted",
        [
            b"d4:info".to_vec(),
            single().bytes(),
            b"8:announce8:udp://a/e".to_vec(),
        ]
        .concat(),
        "out of order",
    );
    cases.odd(
        "keys-twice",
        [
            b"d8:announce8:udp://a/8:announce8:udp://b/4:info".to_vec(),
            single().bytes(),
            b"e".to_vec(),
        ]
        .concat(),
        "twice",
    );
}

fn changes(cases: &mut Cases) {
    cases.because("a torrent that ends early is no torrent");
    let whole = around(single());
    let mut random = Random::new(23);
    let mut seen = Vec::new();
    while seen.len() < 12 {
        let at = 1 + random.below(whole.len() - 1);
        if !seen.contains(&at) {
            seen.push(at);
            cases.bad(
                &format!("cut-at-{at:03}"),
                &whole[..at],
                "not a torrent: byte",
            );
        }
    }
    cases.because("a length that says more than there is");
    for (number, claim) in ["99", "1000000000", "4294967295", "9223372036854775807"]
        .into_iter()
        .enumerate()
    {
        let bytes = format!("d4:infod6:pieces{claim}:");
        cases.bad(
            &format!("claims-{number}"),
            bytes,
            &format!("a string of {claim} bytes, but only 0"),
        );
    }
}
