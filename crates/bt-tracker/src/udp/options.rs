//! The options behind the fixed part of an announce request (BEP 41).
//!
//! Types 0 (end) and 1 (no operation) are a single byte; every other type has a length byte, which
//! may be 0. Unknown types are skipped.

use super::packet::Fields;
use crate::RequestError;
use crate::limits::MAX_URL_DATA;

const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const URL_DATA: u8 = 2;

/// Appends path and query of the tracker's URL, in pieces of at most 255 bytes.
///
/// Nothing is appended when there is nothing to say. At most [`MAX_URL_DATA`] bytes are sent.
pub fn encode_url_data(url_data: &[u8], out: &mut Vec<u8>) {
    let url_data = url_data.get(..MAX_URL_DATA).unwrap_or(url_data);
    for piece in url_data.chunks(usize::from(u8::MAX)) {
        out.push(URL_DATA);
        out.push(u8::try_from(piece.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(piece);
    }
}

/// Joins the URL data of all options into `out`, which is cleared first.
///
/// `options` are the bytes from offset 98 of the packet. An option that runs past the end of the
/// packet ends the reading: the announce before it is valid.
///
/// # Errors
///
/// [`RequestError::TooLong`] when there are more than [`MAX_URL_DATA`] bytes.
pub fn decode_url_data(options: &[u8], out: &mut Vec<u8>) -> Result<(), RequestError> {
    out.clear();
    let mut fields = Fields(options);
    while let Some(option) = fields.u8() {
        match option {
            END => break,
            NO_OPERATION => {}
            _ => {
                let Some(data) = fields.u8().and_then(|length| fields.bytes(length.into())) else {
                    break;
                };
                if option == URL_DATA {
                    if out.len() + data.len() > MAX_URL_DATA {
                        return Err(RequestError::TooLong {
                            name: "URL data",
                            limit: MAX_URL_DATA,
                        });
                    }
                    out.extend_from_slice(data);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &[u8], expected: &[u8]) {
        let mut out = b"old".to_vec();
        assert_eq!(decode_url_data(options, &mut out), Ok(()), "{options:?}");
        assert_eq!(out, expected, "{options:?}");
    }

    #[test]
    fn the_three_examples_of_bep_41() {
        check(b"\x02\x0c/dir?a=b&c=d", b"/dir?a=b&c=d");
        check(b"\x02\x0c/dir?a=b&c=d\x01\x01\x00", b"/dir?a=b&c=d");
        check(b"\x02\x00", b"");
    }

    #[test]
    fn end_and_no_operation_have_no_length_byte() {
        check(b"\x01\x02\x01a\x01\x02\x01b", b"ab");
        check(b"\x02\x01a\x00\x02\x01b", b"a");
        check(b"\x00\x02\x01b", b"");
    }

    #[test]
    fn unknown_options_are_skipped_by_their_length() {
        check(b"\x07\x03xyz\x02\x01a\xff\x00\x02\x01b", b"ab");
    }

    #[test]
    fn an_option_past_the_end_is_dropped() {
        check(b"", b"");
        check(b"\x02", b"");
        check(b"\x02\x05abc", b"");
        check(b"\x02\x01a\x02\xff", b"a");
    }

    #[test]
    fn long_data_travels_in_pieces_and_has_a_limit() {
        for length in [0, 1, 255, 256, 700, MAX_URL_DATA] {
            let data: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut options = Vec::new();
            encode_url_data(&data, &mut options);
            assert_eq!(options.len(), length + 2 * length.div_ceil(255));
            check(&options, &data);
        }
        let mut options = Vec::new();
        encode_url_data(&[b'a'; MAX_URL_DATA], &mut options);
        options.extend_from_slice(b"\x02\x01b");
        assert!(matches!(
            decode_url_data(&options, &mut Vec::new()),
            Err(RequestError::TooLong {
                limit: MAX_URL_DATA,
                ..
            })
        ));
    }
}
