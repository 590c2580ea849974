//! Decimal numbers: integers between `i` and `e`, and string lengths before `:`.
//!
//! The checked functions take any bytes. [`trusted_length`] and [`trusted_integer`] read what a
//! checked one has accepted before; on anything else they return a harmless value.

use crate::error::{Error, ErrorKind, Expected};

/// Decimal digits that can never overflow an `i64`.
const SAFE_DIGITS: usize = 18;

/// The longest form of any 64-bit number, sign included.
const MAX_DECIMAL: usize = 20;

/// Reads a string length. `start` is the position of its first digit, which the caller has seen.
/// Returns the length and the position after the colon.
#[inline(always)]
pub(crate) fn length(input: &[u8], start: usize) -> Result<(usize, usize), Error> {
    // Most strings in torrents are shorter than 100 bytes: keys, path elements, hashes.
    if let Some(&[one @ b'0'..=b'9', two, three, ..]) = input.get(start..) {
        let first = usize::from(one - b'0');
        if two == b':' {
            return Ok((first, start + 2));
        }
        if three == b':' && two.is_ascii_digit() && one != b'0' {
            return Ok((first * 10 + usize::from(two - b'0'), start + 3));
        }
    }
    long_length(input, start)
}

/// The general form of [`length`].
#[inline(never)]
fn long_length(input: &[u8], start: usize) -> Result<(usize, usize), Error> {
    let mut length = 0_usize;
    for (position, &byte) in input.iter().enumerate().skip(start) {
        match byte {
            b'0'..=b'9' if position == start || length != 0 => {
                let next = length
                    .checked_mul(10)
                    .and_then(|tens| tens.checked_add(usize::from(byte - b'0')));
                match next {
                    Some(next) => length = next,
                    None => return Err(Error::new(ErrorKind::LengthOverflow, start)),
                }
            }
            b':' if position > start => return Ok((length, position + 1)),
            _ => break,
        }
    }
    Err(length_error(input, start))
}

/// Says what is wrong with the string length at `start`, given that something is.
#[cold]
#[inline(never)]
fn length_error(input: &[u8], start: usize) -> Error {
    let digits = input.get(start..).unwrap_or_default();
    let count = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if count > 1 && digits.first() == Some(&b'0') {
        return Error::new(ErrorKind::LeadingZero, start);
    }
    match digits.get(count) {
        None => Error::new(ErrorKind::UnexpectedEnd, input.len()),
        Some(&found) => {
            let expected = Expected::DigitOrColon;
            Error::new(ErrorKind::UnexpectedByte { found, expected }, start + count)
        }
    }
}

/// Reads an integer. `start` is the position after the `i`. Returns it and the position after
/// the `e`.
#[inline(always)]
pub(crate) fn integer(input: &[u8], start: usize) -> Result<(i64, usize), Error> {
    let mut position = start;
    let mut value = 0_i64;
    while let Some(byte @ b'0'..=b'9') = input.get(position) {
        // Wraps only after more than `SAFE_DIGITS` digits, which `careful_integer` reads again.
        value = value.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
        position += 1;
    }
    let digits = position - start;
    let plain = digits == 1 || (digits <= SAFE_DIGITS && input.get(start) != Some(&b'0'));
    if plain && digits > 0 && input.get(position) == Some(&b'e') {
        return Ok((value, position + 1));
    }
    careful_integer(input, start)
}

/// The general form of [`integer`]: signs, 19 digits, and everything that is wrong.
#[inline(never)]
fn careful_integer(input: &[u8], start: usize) -> Result<(i64, usize), Error> {
    let negative = input.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let text = input.get(first..).unwrap_or_default();
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    // The offset of errors about the number as a whole is that of the `i`.
    let whole = start.saturating_sub(1);
    match rest.first() {
        Some(b'e') if count == 0 => return Err(Error::new(ErrorKind::EmptyInteger, whole)),
        Some(b'e') => {}
        // What is wrong already stays wrong however the input continues.
        _ if count > 1 && digits.first() == Some(&b'0') => {}
        _ if negative && digits.first() == Some(&b'0') => {}
        None => return Err(Error::new(ErrorKind::UnexpectedEnd, input.len())),
        Some(&found) => {
            let expected = Expected::DigitOrEnd;
            return Err(Error::new(
                ErrorKind::UnexpectedByte { found, expected },
                first + count,
            ));
        }
    }
    if digits.first() == Some(&b'0') && (count > 1 || negative) {
        let zero = if negative {
            ErrorKind::NegativeZero
        } else {
            ErrorKind::LeadingZero
        };
        return Err(Error::new(zero, whole));
    }
    let mut value = 0_i64;
    for digit in digits {
        let digit = i64::from(digit - b'0');
        // Negative numbers are built downwards, because `i64::MIN` has no positive twin.
        let signed = if negative { -digit } else { digit };
        value = value
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(signed))
            .ok_or_else(|| Error::new(ErrorKind::IntegerOverflow, whole))?;
    }
    Ok((value, first + count + 1))
}

/// Reads a string length that is known to be valid, at `start`. Returns the positions of the
/// first byte of the string and after its last one. The second may be beyond `bytes` if they are
/// not valid after all.
#[inline(always)]
pub(crate) fn trusted_length(bytes: &[u8], start: usize) -> (usize, usize) {
    let mut position = start;
    let mut length = 0_usize;
    while let Some(&byte) = bytes.get(position)
        && byte != b':'
    {
        length = length
            .wrapping_mul(10)
            .wrapping_add(usize::from(byte.wrapping_sub(b'0')));
        position += 1;
    }
    (position + 1, (position + 1).saturating_add(length))
}

/// Reads an integer that is known to be valid, `i` and `e` included.
pub(crate) fn trusted_integer(bytes: &[u8]) -> i64 {
    integer(bytes, 1).map_or(0, |(value, _)| value)
}

/// Appends a number in decimal.
pub(crate) fn append(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    append_unsigned(out, value.unsigned_abs());
}

/// Appends a length in decimal.
pub(crate) fn append_unsigned(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; MAX_DECIMAL];
    let mut used = 0;
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(MAX_DECIMAL - used..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around each power of ten, and at both ends.
    fn interesting() -> Vec<i64> {
        let mut numbers = vec![0, i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1];
        for digits in 0..19 {
            let power = 10_i64.pow(digits);
            for near in [power - 1, power, power + 1] {
                numbers.extend([near, -near]);
            }
        }
        numbers
    }

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in interesting() {
            let mut out = b"x".to_vec();
            append(&mut out, number);
            assert_eq!(out, format!("x{number}").into_bytes());
        }
        let mut out = Vec::new();
        append_unsigned(&mut out, u64::MAX);
        assert_eq!(out.len(), MAX_DECIMAL);
    }

    #[test]
    fn what_is_written_is_read() {
        for number in interesting() {
            let text = format!("i{number}e");
            assert_eq!(integer(text.as_bytes(), 1), Ok((number, text.len())));
            assert_eq!(
                careful_integer(text.as_bytes(), 1),
                Ok((number, text.len()))
            );
            assert_eq!(trusted_integer(text.as_bytes()), number);
            let Ok(expected) = usize::try_from(number) else {
                continue;
            };
            let text = format!("l{expected}:");
            assert_eq!(length(text.as_bytes(), 1), Ok((expected, text.len())));
            assert_eq!(long_length(text.as_bytes(), 1), Ok((expected, text.len())));
            let (first, end) = trusted_length(text.as_bytes(), 1);
            assert_eq!((first, end - first), (text.len(), expected));
        }
    }

    #[test]
    fn both_readers_of_integers_refuse_alike() {
        for text in [
            "", "e", "-", "-e", "-0e", "00e", "01e", "0", "1", "1x", "x", "--1e", "1-e",
        ] {
            let text = format!("i{text}");
            assert_eq!(
                integer(text.as_bytes(), 1),
                careful_integer(text.as_bytes(), 1)
            );
            assert!(integer(text.as_bytes(), 1).is_err(), "{text}");
        }
    }

    #[test]
    fn trusting_functions_stay_calm_when_betrayed() {
        for bytes in [
            &b""[..],
            b"5",
            b"99999999999999999999999999",
            b"\xff:",
            b"i",
            b"ixe",
        ] {
            let (first, end) = trusted_length(bytes, 0);
            assert!(
                bytes
                    .get(first..end)
                    .is_none_or(|string| string.len() <= bytes.len())
            );
            assert_eq!(trusted_integer(bytes), 0);
        }
    }
}
