//! Values that break the grammar of bencode (BEP 3), or stand at the edge of it.

use super::Cases;
use super::make::{Dict, Random, int, list, string};

pub(super) fn fill(cases: &mut Cases) {
    numbers(cases);
    strings(cases);
    containers(cases);
    edges(cases);
    cuts(cases);
}

fn numbers(cases: &mut Cases) {
    cases.because("BEP 3: an integer has one form: no leading zero, no negative zero, digits only");
    for (name, text, words) in [
        ("int-empty", "ie", "byte 0: an integer without digits"),
        ("int-minus", "i-e", "an integer without digits"),
        ("int-minus-zero", "i-0e", "byte 0: negative zero"),
        (
            "int-leading-zero",
            "i03e",
            "byte 0: a number with a leading zero",
        ),
        ("int-minus-leading-zero", "i-03e", "zero"),
        ("int-two-zeros", "i00e", "leading zero"),
        ("int-plus", "i+1e", "expected a digit"),
        ("int-space-before", "i 1e", "expected a digit"),
        ("int-space-after", "i1 e", "expected a digit"),
        ("int-hex", "i0x1fe", "expected a digit"),
        ("int-float", "i1.5e", "expected a digit or \"e\""),
        ("int-exponent", "i1E5e", "expected a digit or \"e\""),
        ("int-two-minus", "i--1e", "expected a digit"),
        ("int-minus-after", "i1-e", "expected a digit or \"e\""),
        (
            "int-letter",
            "i1x2e",
            "byte 2: expected a digit or \"e\", found \"x\"",
        ),
        (
            "int-not-closed",
            "i12",
            "byte 3: the input ends inside a value",
        ),
        ("int-only-i", "i", "byte 1: the input ends inside a value"),
        (
            "int-above-i64",
            "i9223372036854775808e",
            "does not fit 64 bits",
        ),
        (
            "int-below-i64",
            "i-9223372036854775809e",
            "does not fit 64 bits",
        ),
        (
            "int-u64-max",
            "i18446744073709551615e",
            "does not fit 64 bits",
        ),
        (
            "int-thirty-digits",
            "i999999999999999999999999999999e",
            "does not fit 64 bits",
        ),
        ("int-nul-byte", "i1\0e", "expected a digit or \"e\""),
        ("int-arabic-digit", "i\u{661}e", "expected a digit"),
        ("int-followed", "i1ei2e", "byte 3: bytes follow the value"),
    ] {
        cases.bad(name, text, words);
    }
    cases.because("the ends of 64 bits are values like any other");
    for (name, text) in [
        ("int-i64-max", "i9223372036854775807e"),
        ("int-i64-min", "i-9223372036854775808e"),
        ("int-zero", "i0e"),
        ("int-minus-one", "i-1e"),
    ] {
        cases.good(name, text);
    }
}

fn strings(cases: &mut Cases) {
    cases.because("BEP 3: a string is its length in digits, a colon, and that many bytes");
    for (name, text, words) in [
        (
            "string-short",
            "5:abc",
            "byte 0: a string of 5 bytes, but only 3 bytes follow",
        ),
        (
            "string-one-short",
            "4:abc",
            "a string of 4 bytes, but only 3",
        ),
        ("string-nothing", "1:", "a string of 1 bytes, but only 0"),
        (
            "string-no-colon",
            "3abc",
            "byte 1: expected a digit or \":\", found \"a\"",
        ),
        ("string-only-digits", "33", "the input ends inside a value"),
        ("string-leading-zero", "03:abc", "leading zero"),
        ("string-double-zero", "00:", "leading zero"),
        (
            "string-negative",
            "-1:a",
            "byte 0: expected a value, found \"-\"",
        ),
        (
            "string-plus",
            "+1:a",
            "byte 0: expected a value, found \"+\"",
        ),
        ("string-space", "1 :a", "expected a digit or \":\""),
        (
            "string-length-u64",
            "18446744073709551615:a",
            "a string of 18446744073709551615 bytes",
        ),
        (
            "string-length-above-u64",
            "18446744073709551616:a",
            "does not fit any memory",
        ),
        (
            "string-length-i64",
            "9223372036854775807:a",
            "a string of 9223372036854775807 bytes",
        ),
        (
            "string-length-u32",
            "4294967296:a",
            "a string of 4294967296 bytes, but only 1",
        ),
        (
            "string-length-endless",
            "99999999999999999999999999999999999999999:a",
            "does not fit any memory",
        ),
        ("string-followed", "1:ab", "byte 3: bytes follow the value"),
        (
            "string-newline-after",
            "1:a\n",
            "byte 3: bytes follow the value",
        ),
        ("string-semicolon", "1;a", "expected a digit or \":\""),
    ] {
        cases.bad(name, text, words);
    }
    cases.because("a string holds any bytes");
    cases.good("string-empty", "0:");
    cases.good("string-not-utf8", b"4:\xff\xfe\x00\x80".as_slice());
    cases.good("string-looks-like-a-list", "4:llee");
}

fn containers(cases: &mut Cases) {
    cases.because("BEP 3: keys are strings, sorted as raw bytes, each with a value");
    for (name, text, words) in [
        (
            "dict-int-key",
            "di1e1:ae",
            "byte 1: a dictionary key must be a string",
        ),
        (
            "dict-list-key",
            "dle1:ae",
            "a dictionary key must be a string",
        ),
        (
            "dict-dict-key",
            "dde1:ae",
            "a dictionary key must be a string",
        ),
        (
            "dict-no-value",
            "d1:ae",
            "the dictionary ends before the value of this key",
        ),
        (
            "dict-unsorted",
            "d1:bi1e1:ai2ee",
            "byte 7: key \"a\": the key is out of order",
        ),
        (
            "dict-unsorted-by-length",
            "d2:aai1e1:ai2ee",
            "the key is out of order",
        ),
        (
            "dict-unsorted-case",
            "d1:ai1e1:Ai2ee",
            "the key is out of order",
        ),
        (
            "dict-unsorted-high-byte",
            "d2:\u{e9}i1e1:zi2ee",
            "the key is out of order",
        ),
        (
            "dict-twice",
            "d1:ai1e1:ai2ee",
            "byte 7: key \"a\": the key appears twice",
        ),
        (
            "dict-empty-key-twice",
            "d0:i1e0:i2ee",
            "the key appears twice",
        ),
        (
            "dict-not-closed",
            "d1:ai1e",
            "byte 7: the input ends inside a value",
        ),
        (
            "dict-key-not-closed",
            "d5:ab",
            "a string of 5 bytes, but only 2",
        ),
        (
            "dict-inner-unsorted",
            "d1:xd1:bi1e1:ai2eee",
            "key \"a\": the key is out of order",
        ),
    ] {
        cases.bad(name, text, words);
    }
    no_values(cases);
    empty_containers(cases);
}

fn no_values(cases: &mut Cases) {
    cases.because("BEP 3: a value is an integer, a string, a list or a dictionary, and ends");
    for (name, text, words) in [
        (
            "list-not-closed",
            "li1e",
            "byte 4: the input ends inside a value",
        ),
        (
            "list-bad-item",
            "l-e",
            "byte 1: expected a value or \"e\", found \"-\"",
        ),
        ("list-two", "lele", "byte 2: bytes follow the value"),
        ("end-alone", "e", "byte 0: expected a value, found \"e\""),
        ("end-too-many", "lee", "byte 2: bytes follow the value"),
        ("nothing", "", "byte 0: the input ends inside a value"),
        ("space", " ", "byte 0: expected a value, found \" \""),
        ("null", "n", "byte 0: expected a value, found \"n\""),
        ("upper-case", "I1E", "byte 0: expected a value, found \"I\""),
        (
            "json-object",
            "{\"a\":1}",
            "byte 0: expected a value, found \"{\"",
        ),
        ("json-list", "[1]", "byte 0: expected a value, found \"[\""),
        ("byte-order-mark", "\u{feff}de", "byte 0: expected a value"),
        (
            "web-page",
            "<html></html>",
            "byte 0: expected a value, found \"<\"",
        ),
    ] {
        cases.bad(name, text, words);
    }
    cases.bad(
        "gzip-head",
        b"\x1f\x8b\x08\x00".as_slice(),
        "byte 0: expected a value",
    );
    cases.bad("zeros", vec![0; 64], "byte 0: expected a value");
}

fn empty_containers(cases: &mut Cases) {
    cases.because("the empty containers and the empty key are values");
    cases
        .good("list-empty", "le")
        .good("dict-empty", "de")
        .good("dict-empty-key", "d0:i1ee");
    cases.good("dict-raw-order", b"d1:Zi1e1:ai2e1:\xffi3ee".as_slice());
}

fn edges(cases: &mut Cases) {
    cases.because("limit MAX_DEPTH: 100 open containers, so that no reader needs a deep stack");
    let nested = |open: u8, depth: usize| [vec![open; depth], vec![b'e'; depth]].concat();
    cases.good("depth-100-lists", nested(b'l', 100));
    cases.bad(
        "depth-101-lists",
        nested(b'l', 101),
        "byte 100: lists and dictionaries are nested deeper than 100",
    );
    cases.bad(
        "depth-30000-lists",
        nested(b'l', 30_000),
        "nested deeper than 100",
    );
    cases.bad(
        "depth-open-only",
        vec![b'l'; 60_000],
        "nested deeper than 100",
    );
    let dicts = |depth: usize| [b"d0:".repeat(depth), b"i0e".to_vec(), b"e".repeat(depth)].concat();
    cases.good("depth-100-dicts", dicts(100));
    cases.bad("depth-101-dicts", dicts(101), "nested deeper than 100");
    cases.bad(
        "depth-mixed-101",
        [b"ld0:".repeat(51), b"le".to_vec()].concat(),
        "nested deeper than 100",
    );
}

fn cuts(cases: &mut Cases) {
    let whole = Dict::default()
        .set("announce", string("http://t.example/announce"))
        .set(
            "info",
            Dict::default()
                .set("length", int(12_345))
                .set("name", string("abc"))
                .bytes(),
        )
        .set("nodes", list(&[list(&[string("h"), int(6_881)])]))
        .bytes();
    let mut random = Random::new(7);
    cases.because("what is cut anywhere is the beginning of a value, never a value");
    let mut seen = Vec::new();
    while seen.len() < 16 {
        let at = 1 + random.below(whole.len() - 1);
        if !seen.contains(&at) {
            seen.push(at);
            cases.bad(&format!("cut-at-{at:03}"), &whole[..at], "byte ");
        }
    }
    cases.because("noise is no value");
    for number in 0..8 {
        let mut noise = random.bytes(64);
        noise[0] |= 0x80;
        cases.bad(
            &format!("noise-{number}"),
            noise,
            "byte 0: expected a value",
        );
    }
}
