//! What input may cost at most, with the reason for each figure.

/// Open lists and dictionaries at one time, at most. A version 1 torrent needs 5, and a version 2
/// file tree one more for each folder of a path; libtorrent allows 100 too. The validating pass
/// keeps this many frames in a fixed array, so [`Limits::max_depth`] cannot go beyond it.
pub const MAX_DEPTH: usize = 100;

/// Tokens of one value, at most, unless [`Limits::max_tokens`] says otherwise. A file in a torrent
/// takes about nine, so that this is room for 300,000 files; libtorrent stops at the same figure.
pub const MAX_TOKENS: usize = 3_000_000;

/// Bytes of one value, at most. No use of bencode comes near four gibibytes, and positions then
/// fit 32 bits wherever many of them are kept.
pub const MAX_BYTES: usize = u32::MAX as usize;

/// Bytes of a dictionary key that an error keeps: enough for every key with a meaning of its own.
/// Keys that are file names (BEP 52) or hostile are cut.
pub const MAX_KEY_IN_ERROR: usize = 64;

/// How much one value may cost.
///
/// ```
/// use bt_bencode::{Limits, Options};
///
/// // A DHT message (BEP 5) fits one datagram and is shallow.
/// let limits = Limits { max_depth: 10, max_bytes: 1500, ..Limits::default() };
/// assert!(Options::strict().limits(limits).parse(b"lllllllllleeeeeeeeee").is_ok());
/// assert!(Options::strict().limits(limits).parse(b"llllllllllleeeeeeeeeee").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lists and dictionaries that may be open at one time. Values above [`MAX_DEPTH`] act like
    /// [`MAX_DEPTH`]; with 0 only an integer or a string is accepted.
    pub max_depth: usize,
    /// Integers, strings (keys included), list starts, dictionary starts and ends in one value.
    pub max_tokens: usize,
    /// Encoded length of one value. Values above [`MAX_BYTES`] act like [`MAX_BYTES`].
    pub max_bytes: usize,
}

impl Limits {
    /// The limits that [`parse`](crate::parse) uses.
    pub const DEFAULT: Self = Self {
        max_depth: MAX_DEPTH,
        max_tokens: MAX_TOKENS,
        max_bytes: MAX_BYTES,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
