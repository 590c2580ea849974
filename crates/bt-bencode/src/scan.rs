//! Whole values: validating one in a single pass, and stepping over one that is valid.

use crate::error::Result;
use crate::landmarks::{Landmarks, Surveyor};
use crate::number;
use crate::reader::{KeyOrder, NO_FRAMES, Place, Progress, Token, Window, step};

/// Checks the value at the start of the window. Returns its length in bytes and its landmarks.
pub(crate) fn validate<'a>(
    window: &Window<'a>,
    order: &mut impl KeyOrder<'a>,
) -> Result<(usize, Landmarks)> {
    let mut surveyor = Surveyor::default();
    let mut progress = Progress::START;
    let mut frames = NO_FRAMES;
    while progress.place != Place::Done {
        let start = progress.position;
        match step(window, &mut progress, &mut frames, order) {
            Ok(Token::Int(_) | Token::Bytes(_)) => {}
            Ok(Token::ListStart | Token::DictStart) => surveyor.opened(progress.depth - 1, start),
            Ok(Token::End) => surveyor.closed(progress.depth, progress.position),
            Err(error) => return Err(window.explain(error)),
        }
    }
    Ok((progress.position, surveyor.found()))
}

/// The length of the value at the start of `bytes`, which a validating pass has accepted. On
/// other bytes the result is meaningless, but never beyond their end.
#[inline]
pub(crate) fn skip(bytes: &[u8]) -> usize {
    let mut position = 0;
    let mut depth = 0_usize;
    while let Some(&byte) = bytes.get(position) {
        // Strings are by far the most frequent; a chain of comparisons in the order of frequency
        // is predicted better than a jump table.
        if byte.is_ascii_digit() {
            position = number::trusted_length(bytes, position).1;
        } else if byte == b'e' {
            depth = depth.saturating_sub(1);
            position += 1;
        } else if byte == b'i' {
            position = after_integer(bytes, position);
        } else {
            depth += 1;
            position += 1;
            continue;
        }
        if depth == 0 {
            break;
        }
    }
    position.min(bytes.len())
}

/// The position after an integer that is known to be valid.
#[inline(always)]
pub(crate) fn after_integer(bytes: &[u8], start: usize) -> usize {
    let mut position = start;
    while let Some(&byte) = bytes.get(position)
        && byte != b'e'
    {
        position += 1;
    }
    position + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::reader::Strict;

    #[test]
    fn stepping_over_a_value_ends_where_validating_it_ends() {
        for value in [
            "i0e",
            "i-12e",
            "0:",
            "3:abc",
            "le",
            "de",
            "llelee",
            "d1:ai1e1:bl1:xee",
        ] {
            let input = format!("{value}1:e");
            let window = Window::new(input.as_bytes(), Limits::DEFAULT);
            assert_eq!(validate(&window, &mut Strict).unwrap().0, value.len());
            assert_eq!(skip(input.as_bytes()), value.len());
        }
    }

    #[test]
    fn stepping_over_broken_bytes_stays_inside() {
        for bytes in [
            &b""[..],
            b"i",
            b"i1",
            b"l",
            b"d1:a",
            b"9:a",
            b"e",
            b"x",
            b"99999999999999999999",
        ] {
            assert!(skip(bytes) <= bytes.len());
        }
    }
}
