//! Replies of trackers: bodies of HTTP (`announce-`, `scrape-`) and packets of UDP (`connect-`,
//! `announce-`, `scrape-` of one torrent).

use super::Cases;
use super::make::{Dict, Random, int, kinds, list, string};

fn reply() -> Dict {
    Dict::default()
        .set("interval", int(1_800))
        .set("peers", string([10, 0, 0, 1, 0x1a, 0xe1]))
}

pub(super) fn http_replies(cases: &mut Cases) {
    cases.because("a reply is one bencoded dictionary");
    for (name, body) in [
        ("empty", b"".as_slice()),
        ("web-page", b"<!DOCTYPE html><html>404</html>"),
        ("json", b"{\"peers\":[]}"),
        ("text", b"tracker is down"),
        ("gzip-not-unpacked", b"\x1f\x8b\x08\x00"),
        ("leading-newline", b"\nd8:intervali1800ee"),
        ("byte-order-mark", b"\xef\xbb\xbfd8:intervali1800ee"),
    ] {
        cases.bad(
            &format!("announce-{name}"),
            body,
            "the reply is not bencoded: byte 0:",
        );
        cases.bad(
            &format!("scrape-{name}"),
            body,
            "the reply is not bencoded: byte 0:",
        );
    }
    for (name, found, value) in kinds() {
        if name != "dict" {
            let words = format!("the reply is malformed: it is {found}, not a dictionary");
            cases.bad(&format!("announce-root-{name}"), value.clone(), &words);
            cases.bad(&format!("scrape-root-{name}"), value, &words);
        }
    }
    cases.bad(
        "announce-nothing-known",
        "d1:xi1ee",
        "neither \"interval\" nor \"peers\" nor \"failure reason\" is there",
    );
    cases.bad(
        "scrape-nothing-known",
        "d1:xi1ee",
        "neither \"files\" nor \"failure reason\" is there",
    );
    reply_keys(cases);
    refusals(cases);
    odd_replies(cases);
}

fn reply_keys(cases: &mut Cases) {
    cases.because("a key has its type");
    for (key, fits, expected) in [
        ("interval", &["int"][..], "it must be an integer"),
        ("min interval", &["int"], "it must be an integer"),
        (
            "peers",
            &["string", "list"],
            "it must be a string or a list",
        ),
        (
            "peers6",
            &["string", "list"],
            "it must be a string or a list",
        ),
        ("tracker id", &["string"], "it must be a string"),
    ] {
        for (kind, found, value) in kinds() {
            if !fits.contains(&kind) {
                let words = format!("\"{key}\" is {found}, {expected}");
                cases.bad(
                    &format!("announce-{}-{kind}", key.replace(' ', "-")),
                    reply().set(key, value).bytes(),
                    &words,
                );
            }
        }
    }
    for count in [0_usize, 3, 5, 15, 17] {
        let words = format!("\"external ip\" has {count} bytes, it must have 4 or 16");
        cases.bad(
            &format!("announce-external-ip-{count}"),
            reply().set("external ip", string(vec![1; count])).bytes(),
            &words,
        );
    }
    for (kind, found, value) in kinds() {
        if kind != "dict" {
            let words = format!("\"files\" is {found}, it must be a dictionary");
            cases.bad(
                &format!("scrape-files-{kind}"),
                Dict::default().set("files", value).bytes(),
                &words,
            );
        }
    }
}

fn refusals(cases: &mut Cases) {
    cases.because("a refusal is told in the tracker's words");
    cases.bad(
        "announce-refused",
        "d14:failure reason4:gonee",
        "the tracker refused: gone",
    );
    cases.bad(
        "announce-refused-silently",
        "d14:failure reason0:e",
        "the tracker refused: no reason given",
    );
    cases.bad(
        "announce-refused-with-list",
        "d14:failure reasonlee",
        "the tracker refused: no reason given",
    );
    cases.bad(
        "announce-refused-for-ever",
        "d14:failure reason4:gone8:retry in5:nevere",
        "(never retry)",
    );
    cases.bad(
        "scrape-refused",
        "d14:failure reason2:noe",
        "the tracker refused: no",
    );
    cases.because("limit MAX_REPLY_DEPTH");
    let deep = |depth: usize| {
        Dict::default()
            .set("interval", int(1))
            .set("x", [b"l".repeat(depth), b"e".repeat(depth)].concat())
            .bytes()
    };
    cases.good("announce-depth-10", deep(9)).bad(
        "announce-depth-11",
        deep(10),
        "nested deeper than 10",
    );
}

fn odd_replies(cases: &mut Cases) {
    cases.because("odd replies of real trackers are still replies");
    for (name, body) in [
        (
            "no-interval",
            Dict::default().set("peers", string("")).bytes(),
        ),
        ("no-peers", Dict::default().set("interval", int(5)).bytes()),
        ("interval-minus", reply().set("interval", int(-1)).bytes()),
        (
            "interval-i64",
            reply().set("interval", int(i128::from(i64::MAX))).bytes(),
        ),
        ("peers-ragged", reply().set("peers", string([1; 7])).bytes()),
        (
            "peers-list-of-numbers",
            reply().set("peers", list(&[int(1), int(2)])).bytes(),
        ),
        (
            "peer-without-port",
            reply()
                .set(
                    "peers",
                    list(&[Dict::default().set("ip", string("1.2.3.4")).bytes()]),
                )
                .bytes(),
        ),
        (
            "peer-port-0",
            reply().set("peers", string([1, 2, 3, 4, 0, 0])).bytes(),
        ),
        ("peers-unsorted", b"d5:peers0:8:intervali5ee".to_vec()),
        ("bytes-after", [reply().bytes(), b"\r\n".to_vec()].concat()),
        (
            "warning",
            reply()
                .set("warning message", string("\x1b[31mred"))
                .bytes(),
        ),
    ] {
        cases.good(&format!("announce-{name}"), body);
    }
    let whole = reply().bytes();
    cases.because("a reply that ends early is no reply");
    for at in [1_usize, 5, 11, 15, 20, 25, whole.len() - 1] {
        cases.bad(
            &format!("announce-cut-at-{at:02}"),
            &whole[..at],
            "the reply is not bencoded: byte",
        );
    }
}

/// A packet: action, transaction, the rest.
fn packet(action: u32, rest: &[u8]) -> Vec<u8> {
    [&action.to_be_bytes()[..], &5_u32.to_be_bytes(), rest].concat()
}

pub(super) fn udp_replies(cases: &mut Cases) {
    cases.because("BEP 15: each reply has a least size");
    for (name, action, least) in [
        ("connect", 0_u32, 16_usize),
        ("announce", 1, 20),
        ("scrape", 2, 20),
    ] {
        for length in [0_usize, 1, 7] {
            let bytes = &packet(action, &[])[..length];
            cases.bad(
                &format!("{name}-of-{length:02}"),
                bytes,
                &format!("packet of {length} bytes, 8 are needed"),
            );
        }
        for length in [9_usize, 12, least - 1] {
            if name != "announce" || length >= 16 {
                let words = format!("packet of {length} bytes, {least} are needed");
                cases.bad(
                    &format!("{name}-of-{length:02}"),
                    packet(action, &vec![0; length - 8]),
                    &words,
                );
            }
        }
        for other in [0_u32, 1, 2, 4, 255, u32::MAX] {
            if other != action {
                let words = format!("action {other}, expected {action}");
                cases.bad(
                    &format!("{name}-action-{other}"),
                    packet(other, &[0; 12]),
                    &words,
                );
            }
        }
        cases.bad(
            &format!("{name}-refused"),
            packet(3, b"banned"),
            "the tracker refused: banned",
        );
        cases.bad(
            &format!("{name}-refused-silently"),
            packet(3, b""),
            "the tracker refused: no reason given",
        );
        cases.bad(
            &format!("{name}-refused-not-utf8"),
            packet(3, b"\xff"),
            "the tracker refused: \u{fffd}",
        );
    }
    cases.because("whole replies, with ragged ends that some trackers send");
    cases
        .good("connect-whole", packet(0, &[7; 8]))
        .good("connect-longer", packet(0, &[7; 60]));
    let numbers = [0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
    cases.good("announce-no-peers", packet(1, &numbers));
    cases.good(
        "announce-ragged",
        packet(1, &[&numbers[..], &[9; 7]].concat()),
    );
    cases.good("announce-interval-max", packet(1, &[0xff; 12]));
    cases.good(
        "announce-100-peers",
        packet(1, &[&numbers[..], &Random::new(3).bytes(600)].concat()),
    );
    cases
        .good("scrape-whole", packet(2, &numbers))
        .good("scrape-longer", packet(2, &[1; 120]));
}
