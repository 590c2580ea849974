//! Irregularities that are accepted and reported.

use bt_bencode::{ErrorKind, Irregularities, Options, Tally, parse};
use proptest::prelude::*;

use crate::trees::{key, nearly_valid, tree};

fn found(input: &[u8]) -> Irregularities {
    Options::lenient()
        .parse(input)
        .expect("lenient parsing accepts this")
        .irregularities
}

fn tally(count: usize, first: usize) -> Tally {
    Tally {
        count,
        first: Some(first),
    }
}

#[test]
fn regular_input_has_no_irregularities() {
    for input in [&b"d1:ai1e1:bi2ee"[..], b"le", b"4:spam"] {
        assert!(found(input).is_empty());
    }
}

#[test]
fn unsorted_keys_are_counted_and_placed() {
    let irregularities = found(b"d1:bi1e1:ai2ee");
    assert_eq!(irregularities.unsorted_keys, tally(1, 7));
    assert_eq!(irregularities.duplicate_keys, Tally::default());
    assert_eq!(irregularities.trailing_bytes, Tally::default());
    assert!(!irregularities.is_empty());
    assert_eq!(found(b"d1:c0:1:b0:1:a0:e").unsorted_keys, tally(2, 6));
    assert_eq!(
        found(b"ld1:b0:1:a0:ed1:b0:1:a0:ee").unsorted_keys,
        tally(2, 7)
    );
}

#[test]
fn duplicate_keys_are_found_next_to_each_other() {
    assert_eq!(found(b"d1:a0:1:a0:e").duplicate_keys, tally(1, 6));
    assert_eq!(found(b"d1:a0:1:a0:1:a0:e").duplicate_keys, tally(2, 6));
    assert_eq!(found(b"d1:a0:1:a0:e").unsorted_keys, Tally::default());
}

#[test]
fn duplicate_keys_are_found_far_from_each_other() {
    let irregularities = found(b"d1:b0:1:a0:1:b0:e");
    assert_eq!(irregularities.unsorted_keys, tally(1, 6));
    assert_eq!(irregularities.duplicate_keys, tally(1, 11));
    // Neighbors in one dictionary and strangers in another add up.
    let irregularities = found(b"d1:bd1:x0:1:x0:e1:ad1:x0:e1:b0:e");
    assert_eq!(irregularities.unsorted_keys, tally(1, 16));
    assert_eq!(irregularities.duplicate_keys, tally(2, 10));
}

#[test]
fn the_same_key_in_different_dictionaries_is_no_duplicate() {
    assert_eq!(
        found(b"d1:bd1:b0:e1:ad1:b0:ee").duplicate_keys,
        Tally::default()
    );
    assert_eq!(
        found(b"ld1:b0:1:a0:ed1:b0:1:a0:ee").duplicate_keys,
        Tally::default()
    );
}

#[test]
fn lookups_find_the_first_of_equal_keys_and_all_unsorted_ones() {
    let parsed = Options::lenient()
        .parse(b"d1:ci3e1:ai1e1:ci4e1:bi2ee")
        .unwrap();
    let dict = parsed.value.dict().unwrap();
    assert_eq!(dict.int("a"), Ok(1));
    assert_eq!(dict.int("b"), Ok(2));
    assert_eq!(dict.int("c"), Ok(3));
    assert_eq!(dict.opt_int("d"), Ok(None));
    assert_eq!(parsed.value.to_owned().encode(), b"d1:ai1e1:bi2e1:ci3ee");
}

#[test]
fn bytes_after_the_value_are_counted() {
    let parsed = Options::lenient().parse(b"de\r\n").unwrap();
    assert_eq!(parsed.irregularities.trailing_bytes, tally(2, 2));
    assert_eq!(parsed.consumed, 2);
    assert_eq!(parsed.value.raw(), b"de");
    let prefix = Options::lenient().parse_prefix(b"de\r\n").unwrap();
    assert!(prefix.irregularities.is_empty());
}

#[test]
fn numbers_and_brackets_are_as_strict_as_ever() {
    let inputs: [&[u8]; 9] = [
        b"i-0e", b"i01e", b"ie", b"01:a", b"d1:ae", b"di1e0:e", b"l", b"5:spam", b"",
    ];
    for input in inputs {
        assert_eq!(
            Options::lenient().parse(input).unwrap_err(),
            parse(input).unwrap_err()
        );
    }
    assert_eq!(Options::default(), Options::strict());
}

proptest! {
    #[test]
    fn what_strict_accepts_lenient_accepts_without_a_word(tree in tree()) {
        prop_assert!(found(&tree.encode()).is_empty());
    }

    /// Strict refuses exactly what lenient refuses or reports, and the first report is where
    /// strict stops.
    #[test]
    fn reports_are_what_strict_refuses(input in nearly_valid()) {
        match (parse(&input), Options::lenient().parse(&input)) {
            (Ok(_), Ok(parsed)) => prop_assert!(parsed.irregularities.is_empty()),
            (Err(error), Ok(parsed)) => {
                let found = parsed.irregularities;
                let firsts = [found.unsorted_keys, found.duplicate_keys, found.trailing_bytes];
                let first = firsts.iter().filter_map(|tally| tally.first).min();
                prop_assert_eq!(first, Some(error.offset()));
            }
            (Err(strict), Err(lenient)) => {
                let order = matches!(
                    strict.kind(),
                    ErrorKind::UnsortedKey | ErrorKind::DuplicateKey
                );
                prop_assert!(order || strict == lenient);
            }
            (Ok(_), Err(error)) => prop_assert!(false, "only lenient refuses: {error}"),
        }
    }

    #[test]
    fn duplicates_are_counted_exactly(keys in proptest::collection::vec(key(), 0..20)) {
        let mut input = vec![b'd'];
        let mut offsets = Vec::new();
        for key in &keys {
            offsets.push(input.len());
            input.extend(format!("{}:", key.len()).bytes());
            input.extend(key);
            input.extend(b"le");
        }
        input.push(b'e');
        let repeated: Vec<usize> =
            (0..keys.len()).filter(|&at| keys[..at].contains(&keys[at])).collect();
        let descents: Vec<usize> =
            (1..keys.len()).filter(|&at| keys[at] < keys[at - 1]).collect();
        let found = found(&input);
        prop_assert_eq!(found.duplicate_keys.count, repeated.len());
        prop_assert_eq!(found.duplicate_keys.first, repeated.first().map(|&at| offsets[at]));
        prop_assert_eq!(found.unsorted_keys.count, descents.len());
        prop_assert_eq!(found.unsorted_keys.first, descents.first().map(|&at| offsets[at]));
    }
}
