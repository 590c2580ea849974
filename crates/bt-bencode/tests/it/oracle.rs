//! The same trees as another parser, `bencode-rs`.
//!
//! It takes part with well-formed input of small depth only: it recurses, multiplies `i64::MIN`
//! out of range, lets any value be a key, and prints when it refuses.

use bencode_rs::Value as Theirs;
use bt_bencode::{OwnedValue, parse};
use proptest::prelude::*;

use crate::trees::tree;

fn theirs(value: &OwnedValue) -> Theirs {
    match value {
        OwnedValue::Int(number) => Theirs::Integer(*number),
        OwnedValue::Bytes(bytes) => Theirs::ByteString(bytes.clone()),
        OwnedValue::List(items) => Theirs::List(items.iter().map(theirs).collect()),
        OwnedValue::Dict(entries) => Theirs::Dictionary(
            entries
                .iter()
                .map(|(key, value)| (Theirs::ByteString(key.clone()), theirs(value)))
                .collect(),
        ),
    }
}

fn without_the_smallest_integer(value: &mut OwnedValue) {
    match value {
        OwnedValue::Int(number) => *number = (*number).max(i64::MIN + 1),
        OwnedValue::Bytes(_) => {}
        OwnedValue::List(items) => items.iter_mut().for_each(without_the_smallest_integer),
        OwnedValue::Dict(entries) => entries.values_mut().for_each(without_the_smallest_integer),
    }
}

#[test]
fn both_read_the_examples_of_bep_3_alike() {
    for input in [
        "4:spam",
        "i-3e",
        "l4:spam4:eggse",
        "d3:cow3:moo4:spam4:eggse",
        "d4:spaml1:a1:bee",
    ] {
        let ours = parse(input.as_bytes()).unwrap().to_owned();
        let other = bencode_rs::parse_all(input.as_bytes()).unwrap();
        assert_eq!(other, [theirs(&ours)]);
    }
}

proptest! {
    #[test]
    fn both_read_the_same_tree(mut tree in tree()) {
        without_the_smallest_integer(&mut tree);
        let input = tree.encode();
        let ours = parse(&input).unwrap().to_owned();
        let other = bencode_rs::parse_all(&input).unwrap();
        prop_assert_eq!(other, [theirs(&ours)]);
    }
}
