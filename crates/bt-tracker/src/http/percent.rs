//! Percent-encoding of binary values in queries (RFC 3986, section 2.1).
//!
//! Knows bytes only. It must not know which parameter it encodes.

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `bytes`, with everything but unreserved characters escaped.
pub(super) fn encode(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 0x0F] {
                out.push(char::from(HEX[usize::from(digit)]));
            }
        }
    }
}

/// The bytes that a query value stands for; an escape that is none is an error item.
///
/// `+` is a space, as in HTML forms: Java programs, ttorrent among them, send it for the byte
/// 0x20, and no client leaves a real plus unescaped.
pub(super) fn decode(mut value: &[u8]) -> impl Iterator<Item = Result<u8, BadEscape>> {
    std::iter::from_fn(move || take(&mut value))
}

/// A percent sign without two hexadecimal digits behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadEscape;

/// Decodes a value of exactly `N` bytes. `None` when it is shorter, longer, or badly escaped.
pub(super) fn decode_exact<const N: usize>(mut value: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    for slot in &mut out {
        *slot = take(&mut value)?.ok()?;
    }
    value.is_empty().then_some(out)
}

/// Decodes into the front of `buffer`. `None` when it does not fit or is badly escaped.
pub(super) fn decode_into<'a>(value: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let mut length = 0;
    for byte in decode(value) {
        *buffer.get_mut(length)? = byte.ok()?;
        length += 1;
    }
    buffer.get(..length)
}

/// Takes one byte off the front.
#[inline]
fn take(value: &mut &[u8]) -> Option<Result<u8, BadEscape>> {
    let (byte, rest) = match *value {
        [] => return None,
        [b'%', high, low, rest @ ..] => {
            let (high, low) = (DIGITS[usize::from(*high)], DIGITS[usize::from(*low)]);
            let bad = (high | low) > 0x0F;
            (
                if bad {
                    Err(BadEscape)
                } else {
                    Ok(high << 4 | low)
                },
                rest,
            )
        }
        [b'%', ..] => (Err(BadEscape), &[][..]),
        [b'+', rest @ ..] => (Ok(b' '), rest),
        [byte, rest @ ..] => (Ok(*byte), rest),
    };
    *value = rest;
    Some(byte)
}

/// The value of each hexadecimal digit; everything else is [`NO_DIGIT`].
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        let upper = HEX[value as usize];
        digits[upper as usize] = value;
        digits[upper.to_ascii_lowercase() as usize] = value;
        value += 1;
    }
    digits
};

const NO_DIGIT: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_round_trip() {
        let all: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        encode(&all, &mut text);
        let back: Result<Vec<u8>, BadEscape> = decode(text.as_bytes()).collect();
        assert_eq!(back, Ok(all));
    }

    #[test]
    fn only_unreserved_characters_stay_as_they_are() {
        let mut text = String::new();
        encode(b"aZ09-._~ +%/&=\x00\xff", &mut text);
        assert_eq!(text, "aZ09-._~%20%2B%25%2F%26%3D%00%FF");
    }

    #[test]
    fn a_plus_is_a_space() {
        assert_eq!(decode_exact::<3>(b"a+b"), Some(*b"a b"));
    }

    #[test]
    fn lengths_and_escapes_are_checked() {
        assert_eq!(decode_exact::<2>(b"%0a%FF"), Some([0x0A, 0xFF]));
        for bad in ["", "%0a", "%0aab", "%0", "%", "a%", "a%4", "%zz", "%+1"] {
            assert_eq!(decode_exact::<2>(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(decode_into(b"abc", &mut [0; 2]), None);
        assert_eq!(decode_into(b"ab", &mut [0; 2]), Some(&b"ab"[..]));
    }
}
