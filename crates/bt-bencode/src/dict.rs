//! Dictionaries: entries in key order, and typed lookups whose errors name the key.

use std::fmt;
use std::iter::FusedIterator;

use crate::error::{Error, ErrorKind, Result};
use crate::list::List;
use crate::value::{Span, Value};
use crate::{number, text};

/// A dictionary inside parsed input.
///
/// Each lookup walks from the first entry, so a reader of many keys of a large dictionary is
/// better off with one pass of [`iter`](Dict::iter). The longest list or dictionary of the two
/// outer levels is jumped over: lookups behind a torrent's `files` cost little. If lenient parsing has let a key through
/// twice, lookups find the first one.
///
/// ```
/// let value = bt_bencode::parse(b"d8:intervali1800e5:peers0:e")?;
/// let reply = value.dict()?;
/// assert_eq!(reply.u64("interval")?, 1800);
/// assert_eq!(reply.opt_str("warning message")?, None);
/// assert_eq!(
///     reply.list("peers").unwrap_err().to_string(),
///     r#"byte 24: key "peers": expected a list, found a string"#,
/// );
/// assert_eq!(
///     reply.int("complete").unwrap_err().to_string(),
///     r#"byte 0: key "complete": missing"#,
/// );
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Dict<'a> {
    pub(crate) span: Span<'a>,
}

impl<'a> Dict<'a> {
    /// The entries in the order in which they stand.
    #[must_use]
    #[inline]
    pub fn iter(self) -> Entries<'a> {
        Entries {
            rest: self.span.inside(),
        }
    }

    /// How many entries there are. This walks through the dictionary.
    #[must_use]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is no entry.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.span.inside().bytes.is_empty()
    }

    /// The encoded bytes, `d` and `e` included.
    #[must_use]
    #[inline]
    pub fn raw(self) -> &'a [u8] {
        self.span.bytes
    }

    /// The position of the dictionary's first byte in the parsed input.
    #[must_use]
    #[inline]
    pub fn offset(self) -> usize {
        self.span.offset as usize
    }

    /// The value of a key.
    #[must_use]
    #[inline]
    pub fn get(self, key: impl AsRef<[u8]>) -> Option<Value<'a>> {
        self.find(key.as_ref())
    }

    fn find(self, wanted: &[u8]) -> Option<Value<'a>> {
        let mut entries = self.iter();
        while let Some((_, key)) = entries.next_key() {
            if key == wanted {
                return Some(entries.next_value());
            }
            if self.span.ordered && key > wanted {
                return None;
            }
            entries.next_value();
        }
        None
    }

    /// A lookup that must succeed, converted by `read`.
    #[inline]
    fn required<T>(self, key: &[u8], read: impl FnOnce(Value<'a>) -> Result<T>) -> Result<T> {
        match self.find(key) {
            Some(value) => read(value).map_err(|error| error.at_key(key)),
            None => Err(Error::new(ErrorKind::MissingKey, self.offset()).at_key(key)),
        }
    }

    /// A lookup that may find nothing, converted by `read`.
    #[inline]
    fn optional<T>(
        self,
        key: &[u8],
        read: impl FnOnce(Value<'a>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.find(key)
            .map(read)
            .transpose()
            .map_err(|error| error.at_key(key))
    }

    /// The integer of a key.
    ///
    /// # Errors
    /// [`ErrorKind::MissingKey`]; [`ErrorKind::WrongType`].
    #[inline]
    pub fn int(self, key: impl AsRef<[u8]>) -> Result<i64> {
        self.required(key.as_ref(), Value::int)
    }

    /// The integer of a key, if it is not negative.
    ///
    /// # Errors
    /// [`ErrorKind::MissingKey`]; [`ErrorKind::WrongType`]; [`ErrorKind::OutOfRange`].
    #[inline]
    pub fn u64(self, key: impl AsRef<[u8]>) -> Result<u64> {
        self.required(key.as_ref(), Value::u64)
    }

    /// The string of a key.
    ///
    /// # Errors
    /// [`ErrorKind::MissingKey`]; [`ErrorKind::WrongType`].
    #[inline]
    pub fn bytes(self, key: impl AsRef<[u8]>) -> Result<&'a [u8]> {
        self.required(key.as_ref(), Value::bytes)
    }

    /// The string of a key as text.
    ///
    /// # Errors
    /// [`ErrorKind::MissingKey`]; [`ErrorKind::WrongType`]; [`ErrorKind::NotUtf8`].
    #[inline]
    pub fn str(self, key: impl AsRef<[u8]>) -> Result<&'a str> {
        self.required(key.as_ref(), Value::str)
    }

    /// The list of a key.
    ///
    /// # Errors
    /// [`ErrorKind::MissingKey`]; [`ErrorKind::WrongType`].
    #[inline]
    pub fn list(self, key: impl AsRef<[u8]>) -> Result<List<'a>> {
        self.required(key.as_ref(), Value::list)
    }

    /// The dictionary of a key.
    ///
    /// # Errors
    /// [`ErrorKind::MissingKey`]; [`ErrorKind::WrongType`].
    #[inline]
    pub fn dict(self, key: impl AsRef<[u8]>) -> Result<Self> {
        self.required(key.as_ref(), Value::dict)
    }

    /// The integer of a key, `None` without the key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    #[inline]
    pub fn opt_int(self, key: impl AsRef<[u8]>) -> Result<Option<i64>> {
        self.optional(key.as_ref(), Value::int)
    }

    /// The integer of a key, if it is not negative; `None` without the key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`]; [`ErrorKind::OutOfRange`].
    #[inline]
    pub fn opt_u64(self, key: impl AsRef<[u8]>) -> Result<Option<u64>> {
        self.optional(key.as_ref(), Value::u64)
    }

    /// The string of a key, `None` without the key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    #[inline]
    pub fn opt_bytes(self, key: impl AsRef<[u8]>) -> Result<Option<&'a [u8]>> {
        self.optional(key.as_ref(), Value::bytes)
    }

    /// The string of a key as text, `None` without the key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`]; [`ErrorKind::NotUtf8`].
    #[inline]
    pub fn opt_str(self, key: impl AsRef<[u8]>) -> Result<Option<&'a str>> {
        self.optional(key.as_ref(), Value::str)
    }

    /// The list of a key, `None` without the key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    #[inline]
    pub fn opt_list(self, key: impl AsRef<[u8]>) -> Result<Option<List<'a>>> {
        self.optional(key.as_ref(), Value::list)
    }

    /// The dictionary of a key, `None` without the key.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`].
    #[inline]
    pub fn opt_dict(self, key: impl AsRef<[u8]>) -> Result<Option<Self>> {
        self.optional(key.as_ref(), Value::dict)
    }
}

impl<'a> IntoIterator for Dict<'a> {
    type Item = (&'a [u8], Value<'a>);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Dict<'a> {
    type Item = (&'a [u8], Value<'a>);
    type IntoIter = Entries<'a>;

    fn into_iter(self) -> Entries<'a> {
        self.iter()
    }
}

/// Prints the raw bytes, escaped, and cut if they are many.
impl fmt::Debug for Dict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dict({})", text::Excerpt(self.raw()))
    }
}

/// The iterator of [`Dict::iter`].
#[derive(Clone)]
pub struct Entries<'a> {
    rest: Span<'a>,
}

impl<'a> Entries<'a> {
    /// Takes a key, length included. Its value must be taken next.
    #[inline]
    fn next_key(&mut self) -> Option<(Span<'a>, &'a [u8])> {
        if self.rest.bytes.is_empty() {
            return None;
        }
        let (first, end) = number::trusted_length(self.rest.bytes, 0);
        let span = self.rest.take(end);
        Some((span, span.bytes.get(first..)?))
    }

    #[inline]
    fn next_value(&mut self) -> Value<'a> {
        Value {
            span: self.rest.take_first(),
        }
    }

    /// An entry with its key as a value, which knows its offset.
    #[cfg(feature = "serde")]
    pub(crate) fn next_entry(&mut self) -> Option<(Value<'a>, Value<'a>)> {
        let (span, _) = self.next_key()?;
        Some((Value { span }, self.next_value()))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (_, key) = self.next_key()?;
        Some((key, self.next_value()))
    }
}

impl FusedIterator for Entries<'_> {}

impl fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entries({})", text::Excerpt(self.rest.bytes))
    }
}
