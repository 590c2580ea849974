//! Decode and encode are inverse.

use bt_bencode::{Encoder, Error, ListEncoder, OwnedValue, parse};
use proptest::prelude::*;

use crate::trees::tree;

/// Writes a tree through the closures of the encoder.
fn write(out: &mut ListEncoder<'_>, value: &OwnedValue) -> Result<(), Error> {
    match value {
        OwnedValue::Int(number) => out.int(*number),
        OwnedValue::Bytes(bytes) => out.bytes(bytes),
        OwnedValue::List(items) => {
            out.list(|list| items.iter().try_for_each(|item| write(list, item)))
        }
        OwnedValue::Dict(entries) => out.dict(|dict| {
            for (key, value) in entries {
                dict.raw(key, &value.encode())?;
            }
            Ok(())
        }),
    }
}

proptest! {
    #[test]
    fn decode_of_encode_is_the_same_tree(tree in tree()) {
        let encoded = tree.encode();
        prop_assert_eq!(parse(&encoded).unwrap().to_owned(), tree);
    }

    #[test]
    fn encode_of_decode_is_the_same_bytes(tree in tree()) {
        let encoded = tree.encode();
        prop_assert_eq!(parse(&encoded).unwrap().to_owned().encode(), encoded);
    }

    #[test]
    fn the_encoder_writes_what_the_tree_writes(tree in tree()) {
        let mut encoder = Encoder::new();
        encoder.list(|list| write(list, &tree)).unwrap();
        prop_assert_eq!(encoder.finish(), OwnedValue::List(vec![tree]).encode());
    }
}
