//! Input that stops early: bytes that arrive one by one tell the same story as all at once.

use bt_bencode::{Error, ErrorKind, Reader, Token, parse, parse_prefix};
use proptest::prelude::*;

use crate::trees::{nearly_valid, tree};

/// All tokens up to the end or the error.
fn tokens(input: &[u8]) -> (Vec<(usize, Token<'_>)>, Option<Error>) {
    let mut reader = Reader::new(input);
    let mut tokens = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(token)) => tokens.push(token),
            Ok(None) => return (tokens, None),
            Err(error) => return (tokens, Some(error)),
        }
    }
}

proptest! {
    #[test]
    fn each_prefix_of_a_value_is_truncated(tree in tree()) {
        let whole = tree.encode();
        let (all, _) = tokens(&whole);
        for length in 0..whole.len() {
            let prefix = &whole[..length];
            let error = parse(prefix).unwrap_err();
            prop_assert!(error.is_truncated(), "{error}");
            prop_assert!(error.offset() <= length);
            if error.kind() == &ErrorKind::UnexpectedEnd {
                prop_assert_eq!(error.offset(), length);
            }
            prop_assert_eq!(parse_prefix(prefix).unwrap_err(), error.clone());
            let (some, end) = tokens(prefix);
            prop_assert!(all.starts_with(&some));
            prop_assert_eq!(end, Some(error));
        }
    }

    /// Once a prefix is refused for another reason than its end, more bytes change nothing.
    #[test]
    fn a_refusal_is_final(input in nearly_valid()) {
        let Err(whole) = parse(&input) else { return Ok(()) };
        for length in 0..input.len() {
            match parse(&input[..length]) {
                Ok(_) => prop_assert_eq!(
                    (whole.kind(), whole.offset()),
                    (&ErrorKind::TrailingBytes, length)
                ),
                Err(error) if error.is_truncated() => {}
                Err(error) if error.kind() == &ErrorKind::TrailingBytes => {
                    prop_assert_eq!(error, whole.clone());
                }
                Err(error) => prop_assert_eq!(error, whole.clone()),
            }
        }
    }
}
