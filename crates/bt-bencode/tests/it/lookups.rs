//! Typed access and its errors.

use bt_bencode::{ErrorKind, Kind, parse};

const INPUT: &[u8] =
    b"d5:bytes2:\xff\xfe4:dictd1:ai1ee3:inti-5e4:listli1ei2ee4:text3:abc4:zeroi0ee";

fn message<T: std::fmt::Debug>(result: Result<T, bt_bencode::Error>) -> String {
    result.expect_err("the lookup fails").to_string()
}

#[test]
fn each_type_is_found_under_its_key() {
    let dict = parse(INPUT).unwrap().dict().unwrap();
    assert_eq!(dict.int("int"), Ok(-5));
    assert_eq!(dict.u64("zero"), Ok(0));
    assert_eq!(dict.bytes("bytes"), Ok(&b"\xff\xfe"[..]));
    assert_eq!(dict.str("text"), Ok("abc"));
    assert_eq!(dict.list("list").unwrap().raw(), b"li1ei2ee");
    assert_eq!(dict.list("list").unwrap().offset(), 41);
    assert_eq!(dict.dict("dict").unwrap().int("a"), Ok(1));
    assert_eq!(dict.dict("dict").unwrap().offset(), 18);
    assert_eq!(dict.opt_int("int"), Ok(Some(-5)));
    assert_eq!(dict.opt_u64("zero"), Ok(Some(0)));
    assert_eq!(dict.opt_bytes("bytes"), Ok(Some(&b"\xff\xfe"[..])));
    assert_eq!(dict.opt_str("text"), Ok(Some("abc")));
    assert_eq!(dict.opt_list("list").unwrap().unwrap().len(), 2);
    assert_eq!(dict.opt_dict("dict").unwrap().unwrap().len(), 1);
    assert_eq!(dict.len(), 6);
}

#[test]
fn keys_can_be_any_bytes() {
    let dict = parse(INPUT).unwrap().dict().unwrap();
    assert!(dict.get("text").is_some());
    assert!(dict.get(b"text").is_some());
    assert!(dict.get(String::from("text")).is_some());
    assert!(dict.get(vec![b't', b'e', b'x', b't']).is_some());
    for absent in ["", "a", "tex", "texts", "zzz"] {
        assert!(dict.get(absent).is_none());
    }
}

#[test]
fn a_missing_key_is_named_with_its_dictionary() {
    let dict = parse(INPUT).unwrap().dict().unwrap().dict("dict").unwrap();
    assert_eq!(
        message(dict.int("piece length")),
        r#"byte 18: key "piece length": missing"#
    );
    for error in [
        dict.u64("x").unwrap_err(),
        dict.bytes("x").unwrap_err(),
        dict.str("x").unwrap_err(),
        dict.list("x").unwrap_err(),
        dict.dict("x").unwrap_err(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::MissingKey);
        assert_eq!((error.offset(), error.key()), (18, Some(&b"x"[..])));
    }
    assert_eq!(dict.opt_int("x"), Ok(None));
    assert_eq!(dict.opt_u64("x"), Ok(None));
    assert_eq!(dict.opt_bytes("x"), Ok(None));
    assert_eq!(dict.opt_str("x"), Ok(None));
    assert!(dict.opt_list("x").unwrap().is_none());
    assert!(dict.opt_dict("x").unwrap().is_none());
}

#[test]
fn a_wrong_type_is_named_with_its_key_and_place() {
    let dict = parse(INPUT).unwrap().dict().unwrap();
    let expected = r#"byte 31: key "int": expected a string, found an integer"#;
    assert_eq!(message(dict.bytes("int")), expected);
    assert_eq!(message(dict.str("int")), expected);
    assert_eq!(message(dict.opt_bytes("int")), expected);
    assert_eq!(
        message(dict.list("text")),
        r#"byte 55: key "text": expected a list, found a string"#
    );
    assert_eq!(
        message(dict.opt_dict("list")),
        r#"byte 41: key "list": expected a dictionary, found a list"#
    );
    assert_eq!(
        dict.int("dict").unwrap_err().kind(),
        &ErrorKind::WrongType {
            expected: Kind::Int,
            found: Kind::Dict
        }
    );
}

#[test]
fn numbers_are_never_cut_to_fit() {
    let dict = parse(INPUT).unwrap().dict().unwrap();
    assert_eq!(
        message(dict.u64("int")),
        r#"byte 31: key "int": the integer is out of range"#
    );
    assert_eq!(
        dict.opt_u64("int").unwrap_err().kind(),
        &ErrorKind::OutOfRange
    );
    assert_eq!(
        parse(b"i9223372036854775807e").unwrap().u64(),
        Ok(i64::MAX as u64)
    );
}

#[test]
fn text_must_be_utf_8() {
    let dict = parse(INPUT).unwrap().dict().unwrap();
    assert_eq!(
        message(dict.str("bytes")),
        r#"byte 8: key "bytes": the string is not UTF-8"#
    );
    assert_eq!(
        dict.opt_str("bytes").unwrap_err().kind(),
        &ErrorKind::NotUtf8
    );
}

#[test]
fn a_value_without_a_key_has_errors_too() {
    let value = parse(b"i1e").unwrap();
    assert_eq!(
        message(value.dict()),
        "byte 0: expected a dictionary, found an integer"
    );
    assert!(value.as_bytes().is_none() && value.as_list().is_none() && value.as_dict().is_none());
    assert_eq!(
        message(value.list().map_err(|e| e.at_key("a").at_key("b"))),
        r#"byte 0: key "a": expected a list, found an integer"#
    );
}

#[test]
fn debug_output_is_short_and_escaped() {
    let long = format!("l{}e", "5:\u{1b}[31m".repeat(1000));
    let value = parse(long.as_bytes()).unwrap();
    for text in [
        format!("{value:?}"),
        format!("{:?}", value.list().unwrap()),
        format!("{:?}", value.list().unwrap().iter()),
    ] {
        assert!(text.len() < 400, "{text}");
        assert!(!text.contains('\u{1b}'));
    }
    let dict = parse(b"d1:ai1ee").unwrap().dict().unwrap();
    assert_eq!(format!("{dict:?}"), r#"Dict("d1:ai1ee")"#);
    assert_eq!(format!("{:?}", dict.iter()), r#"Entries("1:ai1e")"#);
    let tree = parse(b"d1:ali1e2:\n\"e1:b0:e").unwrap().to_owned();
    assert_eq!(format!("{tree:?}"), r#"{"a": [1, "\u{a}\""], "b": ""}"#);
}

#[test]
fn values_are_equal_if_their_bytes_are() {
    let value = parse(b"l1:a1:a1:be").unwrap();
    let items: Vec<_> = value.list().unwrap().iter().collect();
    assert_eq!(items[0], items[1]);
    assert_ne!(items[0].offset(), items[1].offset());
    assert_ne!(items[1], items[2]);
}
