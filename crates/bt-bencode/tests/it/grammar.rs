//! What is accepted and what is refused, where and why.
//!
//! Several tests carry the name of a defect that older decoders have: ttorrent's `BDecoder`
//! accepts leading zeros in lengths and any order of keys, takes endless memory at a truncated
//! list, and mangles keys that are not UTF-8.

use bt_bencode::{ErrorKind, Expected, Kind, OwnedValue, Token, parse, parse_prefix};

#[track_caller]
fn accepts(input: &[u8]) {
    let value = parse(input).expect("the input is valid");
    assert_eq!(value.raw(), input);
    assert_eq!(value.offset(), 0);
}

#[track_caller]
fn refuses(input: &[u8], kind: &ErrorKind, offset: usize) {
    let error = parse(input).expect_err("the input is not valid");
    assert_eq!((error.kind(), error.offset()), (kind, offset));
    assert!(error.to_string().starts_with(&format!("byte {offset}: ")));
}

fn unexpected(found: u8, expected: Expected) -> ErrorKind {
    ErrorKind::UnexpectedByte { found, expected }
}

#[test]
fn the_examples_of_bep_3_are_accepted() {
    for input in ["4:spam", "i3e", "i-3e", "i0e", "l4:spam4:eggse"] {
        accepts(input.as_bytes());
    }
    accepts(b"d3:cow3:moo4:spam4:eggse");
    accepts(b"d4:spaml1:a1:bee");
    let value = parse(b"d3:cow3:moo4:spam4:eggse").unwrap();
    let entries: Vec<_> = value.dict().unwrap().iter().collect();
    assert_eq!(entries[0].0, b"cow");
    assert_eq!(entries[1].1.bytes().unwrap(), b"eggs");
}

#[test]
fn empty_values_are_accepted() {
    for input in ["0:", "le", "de", "d0:0:e", "ll0:edee"] {
        accepts(input.as_bytes());
    }
}

#[test]
fn integers_have_one_form_only() {
    refuses(b"i-0e", &ErrorKind::NegativeZero, 0);
    refuses(b"i-01e", &ErrorKind::NegativeZero, 0);
    refuses(b"i00e", &ErrorKind::LeadingZero, 0);
    refuses(b"i03e", &ErrorKind::LeadingZero, 0);
    refuses(b"li00ee", &ErrorKind::LeadingZero, 1);
    refuses(b"ie", &ErrorKind::EmptyInteger, 0);
    refuses(b"i-e", &ErrorKind::EmptyInteger, 0);
    refuses(b"i+1e", &unexpected(b'+', Expected::DigitOrEnd), 1);
    refuses(b"i--1e", &unexpected(b'-', Expected::DigitOrEnd), 2);
    refuses(b"i1-e", &unexpected(b'-', Expected::DigitOrEnd), 2);
    refuses(b"i 1e", &unexpected(b' ', Expected::DigitOrEnd), 1);
    refuses(b"i1.5e", &unexpected(b'.', Expected::DigitOrEnd), 2);
    refuses(b"i0x10e", &unexpected(b'x', Expected::DigitOrEnd), 2);
    refuses(b"i1", &ErrorKind::UnexpectedEnd, 2);
    refuses(b"i-", &ErrorKind::UnexpectedEnd, 2);
    refuses(b"i", &ErrorKind::UnexpectedEnd, 1);
}

#[test]
fn integers_fill_64_bits_and_no_more() {
    for number in [
        i64::MAX,
        i64::MIN,
        i64::MAX - 1,
        999_999_999_999_999_999,
        -1,
        10,
        100,
    ] {
        let input = format!("i{number}e");
        assert_eq!(parse(input.as_bytes()).unwrap().int().unwrap(), number);
    }
    refuses(b"i9223372036854775808e", &ErrorKind::IntegerOverflow, 0);
    refuses(b"i-9223372036854775809e", &ErrorKind::IntegerOverflow, 0);
    refuses(b"i18446744073709551616e", &ErrorKind::IntegerOverflow, 0);
    refuses(b"i10000000000000000000e", &ErrorKind::IntegerOverflow, 0);
}

#[test]
fn an_integer_of_many_digits_is_an_overflow_and_not_a_crash() {
    for digits in [20, 256, 257, 100_000] {
        let input = format!("i{}e", "7".repeat(digits));
        refuses(input.as_bytes(), &ErrorKind::IntegerOverflow, 0);
    }
}

#[test]
fn string_lengths_have_one_form_only() {
    refuses(b"01:a", &ErrorKind::LeadingZero, 0);
    refuses(b"00:", &ErrorKind::LeadingZero, 0);
    refuses(b"03:abc", &ErrorKind::LeadingZero, 0);
    refuses(b"d03:abc0:e", &ErrorKind::LeadingZero, 1);
    refuses(b"-1:a", &unexpected(b'-', Expected::Value), 0);
    refuses(b"+1:a", &unexpected(b'+', Expected::Value), 0);
    refuses(b":", &unexpected(b':', Expected::Value), 0);
    refuses(b"1a", &unexpected(b'a', Expected::DigitOrColon), 1);
    refuses(b"12a", &unexpected(b'a', Expected::DigitOrColon), 2);
    refuses(b"123a", &unexpected(b'a', Expected::DigitOrColon), 3);
    refuses(b"1;a", &unexpected(b';', Expected::DigitOrColon), 1);
}

#[test]
fn a_string_longer_than_the_input_is_refused_before_any_memory_is_taken() {
    let past_end = |length, available| ErrorKind::StringPastEnd { length, available };
    refuses(b"5:spam", &past_end(5, 4), 0);
    refuses(b"l12:spame", &past_end(12, 5), 1);
    refuses(b"123:spam", &past_end(123, 4), 0);
    refuses(b"2147483648:", &past_end(1 << 31, 0), 0);
    refuses(b"4294967295:x", &past_end(u32::MAX as usize, 1), 0);
    let largest = format!("{}:x", usize::MAX);
    refuses(largest.as_bytes(), &past_end(usize::MAX, 1), 0);
    refuses(b"18446744073709551616:x", &ErrorKind::LengthOverflow, 0);
    refuses(
        b"99999999999999999999999999:x",
        &ErrorKind::LengthOverflow,
        0,
    );
    let endless = "9".repeat(100_000);
    refuses(endless.as_bytes(), &ErrorKind::LengthOverflow, 0);
}

#[test]
fn a_truncated_list_ends_in_an_error() {
    refuses(b"l", &ErrorKind::UnexpectedEnd, 1);
    refuses(b"l4:spam", &ErrorKind::UnexpectedEnd, 7);
    refuses(b"lll", &ErrorKind::UnexpectedEnd, 3);
}

#[test]
fn a_truncated_dictionary_ends_in_an_error() {
    refuses(b"d", &ErrorKind::UnexpectedEnd, 1);
    refuses(b"d3:cow", &ErrorKind::UnexpectedEnd, 6);
    refuses(b"d3:cow3:moo", &ErrorKind::UnexpectedEnd, 11);
}

#[test]
fn empty_input_is_an_error_and_not_nothing() {
    refuses(b"", &ErrorKind::UnexpectedEnd, 0);
}

#[test]
fn stray_bytes_are_named() {
    refuses(b"e", &unexpected(b'e', Expected::Value), 0);
    refuses(b"x", &unexpected(b'x', Expected::Value), 0);
    refuses(b"lxe", &unexpected(b'x', Expected::ValueOrEnd), 1);
    refuses(b"d1:ax", &unexpected(b'x', Expected::Value), 4);
    refuses(b"\n4:spam", &unexpected(b'\n', Expected::Value), 0);
    refuses(b"\xef\xbb\xbf4:spam", &unexpected(0xef, Expected::Value), 0);
    let error = parse(b"<html>").unwrap_err();
    assert_eq!(error.to_string(), r#"byte 0: expected a value, found "<""#);
}

#[test]
fn keys_are_strings() {
    for input in [&b"di1e0:e"[..], b"dle0:e", b"dde0:e", b"dxe", b"d-1:ae"] {
        refuses(input, &ErrorKind::KeyNotString, 1);
    }
}

#[test]
fn a_key_has_a_value() {
    refuses(b"d1:ae", &ErrorKind::MissingValue, 4);
    refuses(b"d1:a0:1:be", &ErrorKind::MissingValue, 9);
    assert_eq!(parse(b"d1:ae").unwrap_err().key(), Some(&b"a"[..]));
}

#[test]
fn keys_are_sorted_as_raw_bytes() {
    accepts(b"d0:0:1:\x000:1:a0:2:aa0:1:b0:1:\xff0:e");
    refuses(b"d1:b0:1:a0:e", &ErrorKind::UnsortedKey, 6);
    refuses(b"d2:aa0:1:a0:e", &ErrorKind::UnsortedKey, 7);
    refuses(b"d1:a0:0:0:e", &ErrorKind::UnsortedKey, 6);
    refuses(b"d1:\x800:1:\x7f0:e", &ErrorKind::UnsortedKey, 6);
    refuses(b"d1:a0:1:a0:e", &ErrorKind::DuplicateKey, 6);
    refuses(b"d0:0:0:0:e", &ErrorKind::DuplicateKey, 5);
    // The order around a dictionary is remembered while its children have their own.
    accepts(b"d1:bd1:a0:ee");
    refuses(b"d1:bd1:z0:e1:a0:e", &ErrorKind::UnsortedKey, 11);
    refuses(b"d1:bld1:z0:ee1:a0:e", &ErrorKind::UnsortedKey, 13);
    refuses(b"d1:blelee", &ErrorKind::KeyNotString, 6);
}

#[test]
fn unsorted_keys_are_named_without_control_characters() {
    let error = parse(b"d1:b0:4:a\x1b[m0:e").unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"byte 6: key "a\u{1b}[m": the key is out of order"#
    );
    let error = parse("d1:\u{7f}0:4:a\u{202e}0:e".as_bytes()).unwrap_err();
    assert_eq!(error.key(), Some("a\u{202e}".as_bytes()));
    assert!(error.to_string().is_ascii());
    assert_eq!(
        parse(b"d1:b0:2:\"\\0:e")
            .unwrap_err()
            .to_string()
            .matches('\\')
            .count(),
        3
    );
}

#[test]
fn the_order_of_utf_16_is_not_the_order_of_bytes() {
    // U+FFFF sorts before U+10000 as UTF-8, and after it as UTF-16.
    accepts("d3:\u{ffff}0:4:\u{10000}0:e".as_bytes());
    refuses(
        "d4:\u{10000}0:3:\u{ffff}0:e".as_bytes(),
        &ErrorKind::UnsortedKey,
        9,
    );
    let dict: OwnedValue = [("\u{10000}", 1.into()), ("\u{ffff}", 2.into())]
        .into_iter()
        .collect();
    accepts(&dict.encode());
}

#[test]
fn keys_that_are_not_utf_8_stay_as_they_are() {
    let input = b"d2:\xff\xfei1ee";
    let dict = parse(input).unwrap().dict().unwrap();
    assert_eq!(dict.int(b"\xff\xfe").unwrap(), 1);
    assert_eq!(parse(input).unwrap().to_owned().encode(), input);
}

#[test]
fn bytes_after_the_value_are_refused() {
    refuses(b"i1ei2e", &ErrorKind::TrailingBytes, 3);
    refuses(b"dee", &ErrorKind::TrailingBytes, 2);
    refuses(b"4:spam\n", &ErrorKind::TrailingBytes, 6);
}

#[test]
fn a_prefix_is_read_and_the_rest_left() {
    // BEP 9, "data": the piece follows the dictionary without any separator.
    let message = b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx";
    let (value, taken) = parse_prefix(message).unwrap();
    assert_eq!(&message[taken..], b"xxxxxxxx");
    assert_eq!(value.raw(), &message[..taken]);
    assert_eq!(value.kind(), Kind::Dict);
}

#[test]
fn only_the_given_slice_is_read() {
    let buffer = b"garbage l1:ae garbage";
    let value = parse(&buffer[8..13]).unwrap();
    assert_eq!(value.raw(), b"l1:ae");
    assert!(parse(&buffer[8..12]).unwrap_err().is_truncated());
}

#[test]
fn the_reader_names_each_token_and_its_place() {
    let mut reader = bt_bencode::Reader::new(b"d1:ali-7eee");
    let mut tokens = Vec::new();
    while let Some(token) = reader.next().unwrap() {
        tokens.push((token, reader.depth()));
    }
    let expected = [
        ((0, Token::DictStart), 1),
        ((1, Token::Bytes(b"a")), 1),
        ((4, Token::ListStart), 2),
        ((5, Token::Int(-7)), 2),
        ((9, Token::End), 1),
        ((10, Token::End), 0),
    ];
    assert_eq!(tokens, expected);
    assert_eq!(reader.position(), 11);
}

#[test]
fn a_reader_stays_at_its_error() {
    let mut reader = bt_bencode::Reader::new(b"d1:b0:1:a0:e");
    for _ in 0..3 {
        assert!(reader.next().unwrap().is_some());
    }
    assert!(reader.at_key());
    let first = reader.next().unwrap_err();
    assert_eq!(first.kind(), &ErrorKind::UnsortedKey);
    for _ in 0..3 {
        assert_eq!(reader.next().unwrap_err(), first);
        assert_eq!(reader.position(), 6);
    }
    let mut trailing = bt_bencode::Reader::new(b"i1ex");
    assert!(trailing.next().unwrap().is_some());
    assert_eq!(
        trailing.next().unwrap_err().kind(),
        &ErrorKind::TrailingBytes
    );
    let mut prefix = bt_bencode::Reader::prefix(b"i1ex");
    assert!(prefix.next().unwrap().is_some());
    assert_eq!(prefix.next(), Ok(None));
    assert_eq!(prefix.next(), Ok(None));
}
