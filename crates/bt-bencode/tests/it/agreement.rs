//! Reader, parse and lenient parse tell the same story about any bytes.

use bt_bencode::{Error, Kind, Options, OwnedValue, Reader, Token, Value, parse, parse_prefix};
use proptest::prelude::*;

use crate::trees::{nearly_valid, tree};

fn read_all(mut reader: Reader<'_>) -> Result<usize, Error> {
    while reader.next()?.is_some() {}
    Ok(reader.position())
}

/// Builds the tree by the views, where `to_owned` builds it by the tokens.
fn rebuild(value: Value<'_>) -> OwnedValue {
    match value.kind() {
        Kind::Int => OwnedValue::Int(value.int().expect("an integer")),
        Kind::Bytes => OwnedValue::Bytes(value.bytes().expect("a string").to_vec()),
        Kind::List => value.list().expect("a list").iter().map(rebuild).collect(),
        Kind::Dict => {
            let dict = value.dict().expect("a dictionary");
            dict.iter()
                .map(|(key, value)| (key, rebuild(value)))
                .collect()
        }
    }
}

/// Each view is a value of its own, at the place it claims.
fn check_places(input: &[u8], value: Value<'_>) {
    assert_eq!(
        &input[value.offset()..value.offset() + value.raw().len()],
        value.raw()
    );
    assert_eq!(parse(value.raw()), Ok(value));
    if let Some(list) = value.as_list() {
        assert_eq!(list.len(), list.into_iter().count());
        assert_eq!(list.is_empty(), list.iter().next().is_none());
        list.iter().for_each(|item| check_places(input, item));
    }
    if let Some(dict) = value.as_dict() {
        assert_eq!(dict.is_empty(), dict.iter().next().is_none());
        for (key, value) in dict {
            assert_eq!(dict.get(key), Some(value));
            check_places(input, value);
        }
    }
}

proptest! {
    #[test]
    fn reader_and_parse_agree(input in nearly_valid()) {
        let parsed = parse(&input);
        prop_assert_eq!(
            read_all(Reader::new(&input)),
            parsed.clone().map(|value| value.raw().len())
        );
        prop_assert_eq!(
            read_all(Reader::prefix(&input)),
            parse_prefix(&input).map(|(_, taken)| taken)
        );
    }

    #[test]
    fn any_bytes_are_handled(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        let parsed = parse(&input);
        prop_assert_eq!(
            read_all(Reader::new(&input)),
            parsed.clone().map(|value| value.raw().len())
        );
        let _ = Options::lenient().parse(&input);
    }

    #[test]
    fn views_and_tokens_build_the_same_tree(tree in tree()) {
        let encoded = tree.encode();
        let value = parse(&encoded).unwrap();
        prop_assert_eq!(&rebuild(value), &tree);
        prop_assert_eq!(&value.to_owned(), &tree);
        check_places(&encoded, value);
    }
}

#[test]
fn tokens_of_a_key_and_of_a_string_look_alike() {
    let mut reader = Reader::new(b"d1:k1:ve");
    assert!(!reader.at_key());
    reader.next().unwrap();
    assert!(reader.at_key());
    assert_eq!(reader.next(), Ok(Some((1, Token::Bytes(b"k")))));
    assert!(!reader.at_key());
    assert_eq!(reader.next(), Ok(Some((4, Token::Bytes(b"v")))));
}
