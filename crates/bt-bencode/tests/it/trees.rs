//! Random values for the properties.

use std::collections::BTreeMap;

use bt_bencode::OwnedValue;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Short keys from few letters, so that prefixes, neighbors and the empty key come up.
pub(crate) fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(0xff)], 0..4),
        1 => vec(any::<u8>(), 0..24),
        1 => Just(b"piece length".to_vec()),
    ]
}

/// Strings whose lengths cross from one to two and to three digits.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(any::<u8>(), 0..12),
        1 => vec(any::<u8>(), 95..105),
        1 => vec(any::<u8>(), 995..1005),
    ]
}

fn int() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -20_i64..20,
        (0_u32..63).prop_map(|bits| 1 << bits),
        (0_u32..18).prop_map(|digits| 10_i64.pow(digits)),
        Just(i64::MIN),
        Just(i64::MAX),
    ]
}

/// Any value of modest depth.
pub(crate) fn tree() -> impl Strategy<Value = OwnedValue> {
    let leaf = prop_oneof![
        int().prop_map(OwnedValue::Int),
        bytes().prop_map(OwnedValue::Bytes),
        Just(OwnedValue::List(Vec::new())),
        Just(OwnedValue::Dict(BTreeMap::new())),
    ];
    leaf.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(OwnedValue::List),
            btree_map(key(), inner, 0..8).prop_map(OwnedValue::Dict),
        ]
    })
}

/// Bytes that look like bencode: an encoding with a few bytes changed, cut out or put in.
pub(crate) fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let letter = prop_oneof![
        proptest::sample::select(b"0123456789ilde:-+ \x00\xff".to_vec()),
        any::<u8>(),
    ];
    let edit = (any::<proptest::sample::Index>(), 0..3_u8, letter);
    (tree(), vec(edit, 0..4)).prop_map(|(tree, edits)| {
        let mut bytes = tree.encode();
        for (index, what, letter) in edits {
            let at = index.index(bytes.len() + 1);
            match what {
                0 if at < bytes.len() => bytes[at] = letter,
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ => bytes.insert(at, letter),
            }
        }
        bytes
    })
}
