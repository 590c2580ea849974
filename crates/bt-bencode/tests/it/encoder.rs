//! The canonical writer.

use std::collections::BTreeMap;

use bt_bencode::{Encoder, Error, ErrorKind, Kind, Options, OwnedValue, parse};
use proptest::prelude::*;

use crate::trees::{key, nearly_valid};

fn dict(
    fill: impl FnOnce(&mut bt_bencode::DictEncoder<'_>) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new();
    encoder.dict(fill)?;
    Ok(encoder.finish())
}

#[test]
fn each_type_can_be_written_at_each_place() {
    let encoded = dict(|d| {
        d.bytes("a", "text")?;
        d.bytes("b", [0xff, 0])?;
        d.dict("c", |_| Ok(()))?;
        d.int("d", -1)?;
        d.list("e", |l| {
            l.int(i64::MIN)?;
            l.bytes("")?;
            l.raw(b"i7e")?;
            l.list(|_| Ok(()))?;
            l.dict(|d| d.int("", 0_u8))
        })?;
        d.raw("f", b"le")
    });
    let expected =
        b"d1:a4:text1:b2:\xff\x001:cde1:di-1e1:eli-9223372036854775808e0:i7eled0:i0eee1:flee";
    assert_eq!(encoded.unwrap(), expected);
}

#[test]
fn a_single_value_can_be_written() {
    let mut encoder = Encoder::new();
    encoder.int(5).unwrap();
    assert_eq!(encoder.finish(), b"i5e");
    let mut encoder = Encoder::with_buffer(b"prefix".to_vec());
    encoder.list(|l| l.bytes("x")).unwrap();
    assert_eq!(encoder.finish(), b"prefixl1:xe");
    assert_eq!(Encoder::new().finish(), b"");
}

#[test]
fn a_second_value_is_refused() {
    let mut encoder = Encoder::new();
    encoder.bytes("first").unwrap();
    for error in [
        encoder.int(1).unwrap_err(),
        encoder.bytes("x").unwrap_err(),
        encoder.raw(b"de").unwrap_err(),
        encoder.list(|_| Ok(())).unwrap_err(),
        encoder.dict(|_| Ok(())).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.offset()), (&ErrorKind::SecondValue, 7));
        assert!(error.to_string().contains("already holds a value"));
    }
    assert_eq!(encoder.finish(), b"5:first");
}

#[test]
fn keys_out_of_order_are_refused_by_name() {
    let error = dict(|d| d.int("b", 1).and_then(|()| d.int("a", 2))).unwrap_err();
    assert_eq!(
        (error.kind(), error.key()),
        (&ErrorKind::UnsortedKey, Some(&b"a"[..]))
    );
    let error = dict(|d| d.int("b", 1).and_then(|()| d.bytes("b", ""))).unwrap_err();
    assert_eq!(
        (error.kind(), error.key()),
        (&ErrorKind::DuplicateKey, Some(&b"b"[..]))
    );
    let error = dict(|d| d.int("", 1).and_then(|()| d.int("", 1))).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::DuplicateKey);
    // Inside a child the order begins anew, and goes on after it.
    let error = dict(|d| d.dict("m", |d| d.int("a", 1)).and_then(|()| d.int("b", 1))).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::UnsortedKey);
}

#[test]
fn a_refused_entry_leaves_no_trace() {
    let encoded = dict(|d| {
        d.int("b", 1)?;
        assert!(d.int("a", 2).is_err());
        assert!(d.int("c", u64::MAX).is_err());
        assert!(d.raw("c", b"i01e").is_err());
        assert!(
            d.list("c", |l| l.int(1).and_then(|()| l.int(u64::MAX)))
                .is_err()
        );
        assert!(
            d.dict("c", |d| d.int("z", 1).and_then(|()| d.int("y", 1)))
                .is_err()
        );
        d.list("c", |l| {
            assert!(l.int(u128::MAX).is_err());
            assert!(l.raw(b"").is_err());
            l.int(3)
        })
    });
    assert_eq!(encoded.unwrap(), b"d1:bi1e1:cli3eee");
    let mut encoder = Encoder::new();
    assert!(encoder.dict(|d| d.raw("a", b"x")).is_err());
    encoder.int(1).unwrap();
    assert_eq!(encoder.finish(), b"i1e");
}

#[test]
fn integers_of_any_width_are_written_or_refused_but_never_cut() {
    let list = |number: u64| {
        let mut encoder = Encoder::new();
        encoder.int(number).map(|()| encoder.finish())
    };
    assert_eq!(list(i64::MAX as u64).unwrap(), b"i9223372036854775807e");
    let error = list(i64::MAX as u64 + 1).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::OutOfRange);
    let error = dict(|d| d.int("left", usize::MAX)).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"byte 7: key "left": the integer is out of range"#
    );
}

#[test]
fn raw_values_are_checked_for_shape_and_kept_byte_for_byte() {
    let unsorted = b"d1:bi1e1:ai2ee";
    assert_eq!(
        dict(|d| d.raw("info", unsorted)).unwrap(),
        b"d4:infod1:bi1e1:ai2eee"
    );
    for broken in [&b""[..], b"d", b"i1ei2e", b"i1e ", b"spam"] {
        let error = dict(|d| d.raw("info", broken)).unwrap_err();
        assert_eq!(error.key(), Some(&b"info"[..]));
    }
}

#[test]
fn owned_values_are_built_from_what_is_at_hand() {
    let list: OwnedValue = [OwnedValue::from(1), "a".into(), b"b"[..].into()]
        .into_iter()
        .collect();
    assert_eq!(list.encode(), b"li1e1:a1:be");
    let mut dict: OwnedValue = [
        ("b", OwnedValue::from(vec![1_u8])),
        ("a", String::from("x").into()),
    ]
    .into_iter()
    .collect();
    assert_eq!(dict.encode(), b"d1:a1:x1:b1:\x01e");
    dict.as_dict_mut()
        .unwrap()
        .insert(b"0".to_vec(), OwnedValue::List(vec![list]));
    assert_eq!(dict.encode(), b"d1:0lli1e1:a1:bee1:a1:x1:b1:\x01e");
    let inner = dict.as_dict_mut().unwrap().get_mut(&b"0"[..]).unwrap();
    inner.as_list_mut().unwrap().clear();
    assert_eq!(inner.as_list(), Some(&[][..]));
    assert_eq!(
        dict.as_dict().unwrap()[&b"a"[..]].as_bytes(),
        Some(&b"x"[..])
    );
    assert_eq!(
        (dict.as_int(), OwnedValue::Int(3).as_int()),
        (None, Some(3))
    );
}

proptest! {
    #[test]
    fn whatever_is_written_is_canonical(
        entries in proptest::collection::vec((key(), any::<i64>()), 0..20),
    ) {
        let mut kept = Vec::new();
        let encoded = dict(|d| {
            for (key, number) in &entries {
                if d.int(key, *number).is_ok() {
                    kept.push((key.clone(), OwnedValue::Int(*number)));
                }
            }
            Ok(())
        }).unwrap();
        prop_assert!(kept.is_sorted_by(|one, other| one.0 < other.0));
        prop_assert_eq!(parse(&encoded).unwrap().to_owned(), kept.into_iter().collect());
    }

    #[test]
    fn raw_takes_exactly_what_lenient_parsing_takes(input in nearly_valid()) {
        let parsed = Options::lenient().parse(&input);
        let whole = parsed.is_ok_and(|parsed| parsed.consumed == input.len());
        let mut encoder = Encoder::new();
        prop_assert_eq!(encoder.raw(&input).is_ok(), whole);
        prop_assert_eq!(encoder.finish(), if whole { input } else { Vec::new() });
    }
}

#[test]
fn an_owned_value_answers_only_for_its_own_type() {
    let entries = BTreeMap::from([(b"a".to_vec(), OwnedValue::from(7))]);
    let mut values = [
        (Kind::Int, OwnedValue::from(7)),
        (Kind::Bytes, OwnedValue::from("x")),
        (Kind::List, OwnedValue::from(vec![OwnedValue::from(7)])),
        (Kind::Dict, OwnedValue::from(entries)),
    ];
    for (kind, value) in &mut values {
        assert_eq!(value.kind(), *kind);
        assert_eq!(parse(&value.encode()).unwrap().kind(), *kind);
        let answers = [
            value.as_int().is_some(),
            value.as_bytes().is_some(),
            value.as_list().is_some(),
            value.as_dict().is_some(),
        ];
        let own = [Kind::Int, Kind::Bytes, Kind::List, Kind::Dict].map(|one| one == *kind);
        assert_eq!(answers, own, "{kind:?}");
        assert_eq!(value.as_list_mut().is_some(), *kind == Kind::List);
        assert_eq!(value.as_dict_mut().is_some(), *kind == Kind::Dict);
    }
}
