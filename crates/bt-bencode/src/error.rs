//! What can go wrong, where in the bytes, and at which key.
//!
//! This file knows the causes and their words. It must not know how input is walked.

use std::fmt;

use crate::limits::MAX_KEY_IN_ERROR;
use crate::text;
use crate::value::Kind;

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A refusal: its cause, the byte where it was found, and the dictionary key if one is involved.
///
/// ```
/// let error = bt_bencode::parse(b"d3:agei-0ee").unwrap_err();
/// assert_eq!(error.offset(), 6);
/// assert_eq!(error.to_string(), "byte 6: negative zero is not a valid integer");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    offset: usize,
    /// At most [`MAX_KEY_IN_ERROR`] bytes, so that hostile keys do not fill logs.
    key: Option<Box<[u8]>>,
}

/// The cause of an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input stops inside a value; the offset is the length of the input.
    UnexpectedEnd,
    /// A string announces more bytes than the input still has; the offset is that of its length.
    StringPastEnd {
        /// The announced length in bytes.
        length: usize,
        /// The bytes that follow the colon.
        available: usize,
    },
    /// A byte stands where the grammar does not allow it.
    UnexpectedByte {
        /// The byte that was found.
        found: u8,
        /// What the grammar allows at this place.
        expected: Expected,
    },
    /// An integer has no digits (`ie`, `i-e`).
    EmptyInteger,
    /// An integer begins with `-0` (BEP 3).
    NegativeZero,
    /// An integer or a string length has a superfluous leading zero (BEP 3).
    LeadingZero,
    /// An integer does not fit a signed 64-bit number.
    IntegerOverflow,
    /// A string length does not fit the address space.
    LengthOverflow,
    /// A dictionary key is not a string (BEP 3).
    KeyNotString,
    /// A dictionary ends after a key, before its value.
    MissingValue,
    /// A dictionary key sorts before its predecessor (BEP 3: keys are in raw byte order).
    UnsortedKey,
    /// A dictionary holds the same key twice.
    DuplicateKey,
    /// Bytes follow the value.
    TrailingBytes,
    /// Lists and dictionaries are nested deeper than the limit.
    TooDeep {
        /// The number of open lists and dictionaries that is allowed.
        limit: usize,
    },
    /// The value consists of more tokens than the limit.
    TooManyTokens {
        /// The number of tokens that is allowed.
        limit: usize,
    },
    /// The value is longer than the limit.
    TooLarge {
        /// The number of bytes that is allowed.
        limit: usize,
    },
    /// A dictionary lacks a required key; the offset is that of the dictionary.
    MissingKey,
    /// A value has another type than the caller needs; the offset is that of the value.
    WrongType {
        /// The type the caller asked for.
        expected: Kind,
        /// The type of the value.
        found: Kind,
    },
    /// A string that must be text is not UTF-8; the offset is that of the value.
    NotUtf8,
    /// An integer is outside the range the caller needs; the offset is that of the value.
    OutOfRange,
    /// An encoder that already holds its one value is given another.
    SecondValue,
    /// A Rust value has no bencode form, or a bencode value does not fit the wanted Rust type, in
    /// the words of that type's `Serialize` or `Deserialize`.
    #[cfg(feature = "serde")]
    Custom(Box<str>),
}

/// What the grammar allows at the place of an [`ErrorKind::UnexpectedByte`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expected {
    /// The first byte of a value.
    Value,
    /// The first byte of a value, or the end of the list.
    ValueOrEnd,
    /// A digit or the `e` that ends an integer.
    DigitOrEnd,
    /// A digit or the `:` that ends a string length.
    DigitOrColon,
}

impl Error {
    #[cold]
    #[inline(never)]
    pub(crate) fn new(kind: ErrorKind, offset: usize) -> Self {
        Self {
            kind,
            offset,
            key: None,
        }
    }

    /// Gives the error a place if it has none yet.
    #[cfg(feature = "serde")]
    pub(crate) fn place(&mut self, offset: usize) {
        if self.offset == crate::de::NOWHERE {
            self.offset = offset;
        }
    }

    /// The same error, naming the key it is about. A key that is already named stays.
    #[cold]
    #[must_use]
    pub fn at_key(mut self, key: impl AsRef<[u8]>) -> Self {
        if self.key.is_none() {
            let key = key.as_ref();
            self.key = Some(key.get(..MAX_KEY_IN_ERROR).unwrap_or(key).into());
        }
        self
    }

    /// The cause.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Where in the input (or, for an encoder, in the output) the error was found, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The dictionary key the error is about, cut after [`MAX_KEY_IN_ERROR`] bytes.
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    /// Whether more input could turn this error into a success: the bytes so far are the
    /// beginning of a valid value.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::UnexpectedEnd | ErrorKind::StringPastEnd { .. }
        )
    }
}

impl std::error::Error for Error {}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: ", self.offset)?;
        if let Some(key) = &self.key {
            write!(f, "key {}: ", text::Quoted(key))?;
        }
        self.kind.fmt(f)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::StringPastEnd { length, available } => {
                return write!(
                    f,
                    "a string of {length} bytes, but only {available} bytes follow"
                );
            }
            Self::UnexpectedByte { found, expected } => {
                return write!(f, "expected {expected}, found {}", text::Quoted(&[*found]));
            }
            Self::TooDeep { limit } => {
                return write!(f, "lists and dictionaries are nested deeper than {limit}");
            }
            Self::TooManyTokens { limit } => return write!(f, "more than {limit} tokens"),
            Self::TooLarge { limit } => return write!(f, "longer than {limit} bytes"),
            Self::WrongType { expected, found } => {
                return write!(f, "expected {expected}, found {found}");
            }
            #[cfg(feature = "serde")]
            Self::Custom(message) => message,
            Self::UnexpectedEnd => "the input ends inside a value",
            Self::EmptyInteger => "an integer without digits",
            Self::NegativeZero => "negative zero is not a valid integer",
            Self::LeadingZero => "a number with a leading zero",
            Self::IntegerOverflow => "an integer that does not fit 64 bits",
            Self::LengthOverflow => "a string length that does not fit any memory",
            Self::KeyNotString => "a dictionary key must be a string",
            Self::MissingValue => "the dictionary ends before the value of this key",
            Self::UnsortedKey => "the key is out of order",
            Self::DuplicateKey => "the key appears twice",
            Self::TrailingBytes => "bytes follow the value",
            Self::MissingKey => "missing",
            Self::NotUtf8 => "the string is not UTF-8",
            Self::OutOfRange => "the integer is out of range",
            Self::SecondValue => "the encoder already holds a value",
        };
        f.write_str(words)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Value => "a value",
            Self::ValueOrEnd => "a value or \"e\"",
            Self::DigitOrEnd => "a digit or \"e\"",
            Self::DigitOrColon => "a digit or \":\"",
        })
    }
}
