//! A value is its bytes: views on spans that a validating pass has accepted.
//!
//! Nothing is decoded before it is asked for. Children are found by stepping over their elder
//! siblings, so a walk through a whole tree costs its length once for each level, less what the
//! landmarks save.

use std::fmt;

use crate::dict::Dict;
use crate::error::{Error, ErrorKind, Result};
use crate::landmarks::Landmarks;
use crate::list::List;
use crate::owned::OwnedValue;
use crate::{number, scan, text};

/// The four types of bencode (BEP 3, "bencoding").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A signed number.
    Int,
    /// A byte string; text only if the context says so.
    Bytes,
    /// A sequence of values.
    List,
    /// Values by byte-string key, in the order of the keys.
    Dict,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "an integer",
            Self::Bytes => "a string",
            Self::List => "a list",
            Self::Dict => "a dictionary",
        })
    }
}

/// One value inside parsed input. Copying it copies a few words.
///
/// ```
/// let value = bt_bencode::parse(b"d4:name6:debian4:sizei42ee")?;
/// let dict = value.dict()?;
/// assert_eq!(dict.str("name")?, "debian");
/// assert_eq!(dict.int("size")?, 42);
/// assert_eq!(dict.get("size").unwrap().raw(), b"i42e");
/// assert_eq!(dict.get("size").unwrap().offset(), 21);
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub(crate) span: Span<'a>,
}

/// Bytes of valid bencode and their place in the parsed input.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) bytes: &'a [u8],
    /// Less than [`MAX_BYTES`](crate::MAX_BYTES), so 32 bits are enough.
    pub(crate) offset: u32,
    /// Whether the keys of all dictionaries inside are sorted and unique.
    pub(crate) ordered: bool,
    pub(crate) landmarks: Landmarks,
}

impl<'a> Span<'a> {
    /// Takes the first value off.
    #[inline]
    pub(crate) fn take_first(&mut self) -> Self {
        let length = match self.bytes.first() {
            Some(b'l' | b'd') => self.landmarks.length_at(self.offset),
            _ => None,
        };
        self.take(length.unwrap_or_else(|| scan::skip(self.bytes)))
    }

    /// Takes this many bytes off, or as many as there are.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Self {
        let (head, tail) = self
            .bytes
            .split_at_checked(length)
            .unwrap_or((self.bytes, &[]));
        let taken = Self {
            bytes: head,
            ..*self
        };
        self.bytes = tail;
        self.offset = self
            .offset
            .wrapping_add(u32::try_from(head.len()).unwrap_or_default());
        taken
    }

    /// The span between the first and the last byte: the inside of a list or a dictionary.
    #[inline]
    pub(crate) fn inside(self) -> Self {
        let bytes = self
            .bytes
            .get(1..self.bytes.len().saturating_sub(1))
            .unwrap_or_default();
        Self {
            bytes,
            offset: self.offset.saturating_add(1),
            ..self
        }
    }
}

impl<'a> Value<'a> {
    /// The type of the value.
    #[must_use]
    #[inline]
    pub fn kind(self) -> Kind {
        match self.span.bytes.first() {
            Some(b'i') => Kind::Int,
            Some(b'l') => Kind::List,
            Some(b'd') => Kind::Dict,
            _ => Kind::Bytes,
        }
    }

    /// The encoded bytes, exactly as they stand in the input.
    #[must_use]
    #[inline]
    pub fn raw(self) -> &'a [u8] {
        self.span.bytes
    }

    /// The position of the value's first byte in the parsed input.
    #[must_use]
    #[inline]
    pub fn offset(self) -> usize {
        self.span.offset as usize
    }

    /// The number, if this is an integer.
    #[must_use]
    #[inline]
    pub fn as_int(self) -> Option<i64> {
        (self.kind() == Kind::Int).then(|| number::trusted_integer(self.span.bytes))
    }

    /// The contents, if this is a string.
    #[must_use]
    #[inline]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        if self.kind() != Kind::Bytes {
            return None;
        }
        let (first, _) = number::trusted_length(self.span.bytes, 0);
        self.span.bytes.get(first..)
    }

    /// The items, if this is a list.
    #[must_use]
    #[inline]
    pub fn as_list(self) -> Option<List<'a>> {
        (self.kind() == Kind::List).then_some(List { span: self.span })
    }

    /// The entries, if this is a dictionary.
    #[must_use]
    #[inline]
    pub fn as_dict(self) -> Option<Dict<'a>> {
        (self.kind() == Kind::Dict).then_some(Dict { span: self.span })
    }

    /// The number.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if this is not an integer.
    #[inline]
    pub fn int(self) -> Result<i64> {
        self.as_int().ok_or_else(|| self.wrong_type(Kind::Int))
    }

    /// The number, if it is not negative.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if this is not an integer, [`ErrorKind::OutOfRange`] if it is
    /// below zero.
    #[inline]
    pub fn u64(self) -> Result<u64> {
        u64::try_from(self.int()?).map_err(|_| Error::new(ErrorKind::OutOfRange, self.offset()))
    }

    /// The contents of the string.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if this is not a string.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8]> {
        self.as_bytes().ok_or_else(|| self.wrong_type(Kind::Bytes))
    }

    /// The contents of the string as text.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if this is not a string, [`ErrorKind::NotUtf8`] if it is not text.
    #[inline]
    pub fn str(self) -> Result<&'a str> {
        str::from_utf8(self.bytes()?).map_err(|_| Error::new(ErrorKind::NotUtf8, self.offset()))
    }

    /// The items of the list.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if this is not a list.
    #[inline]
    pub fn list(self) -> Result<List<'a>> {
        self.as_list().ok_or_else(|| self.wrong_type(Kind::List))
    }

    /// The entries of the dictionary.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if this is not a dictionary.
    #[inline]
    pub fn dict(self) -> Result<Dict<'a>> {
        self.as_dict().ok_or_else(|| self.wrong_type(Kind::Dict))
    }

    /// The value as a tree on the heap, for editing. Of a key that appears twice the first stays.
    ///
    /// The tree may take many times the memory of the encoded bytes.
    #[must_use]
    pub fn to_owned(self) -> OwnedValue {
        OwnedValue::from(self)
    }

    #[cold]
    fn wrong_type(self, expected: Kind) -> Error {
        Error::new(
            ErrorKind::WrongType {
                expected,
                found: self.kind(),
            },
            self.offset(),
        )
    }
}

/// Values are equal if their encoded bytes are, wherever they stand.
impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl Eq for Value<'_> {}

/// Prints the raw bytes, escaped, and cut if they are many.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", text::Excerpt(self.raw()))
    }
}
