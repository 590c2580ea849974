//! Lists: items one after the other.

use std::fmt;
use std::iter::FusedIterator;

use crate::text;
use crate::value::{Span, Value};

/// A list inside parsed input.
///
/// ```
/// let value = bt_bencode::parse(b"li1ei2ei3ee")?;
/// let sum: i64 = value.list()?.iter().filter_map(|item| item.as_int()).sum();
/// assert_eq!(sum, 6);
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct List<'a> {
    pub(crate) span: Span<'a>,
}

impl<'a> List<'a> {
    /// The items in order.
    #[must_use]
    #[inline]
    pub fn iter(self) -> Items<'a> {
        Items {
            rest: self.span.inside(),
        }
    }

    /// How many items there are. This walks through the list.
    #[must_use]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is no item.
    #[must_use]
    #[inline]
    pub fn is_empty(self) -> bool {
        self.span.inside().bytes.is_empty()
    }

    /// The encoded bytes, `l` and `e` included.
    #[must_use]
    #[inline]
    pub fn raw(self) -> &'a [u8] {
        self.span.bytes
    }

    /// The position of the list's first byte in the parsed input.
    #[must_use]
    #[inline]
    pub fn offset(self) -> usize {
        self.span.offset as usize
    }
}

impl<'a> IntoIterator for List<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &List<'a> {
    type Item = Value<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

/// Prints the raw bytes, escaped, and cut if they are many.
impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({})", text::Excerpt(self.raw()))
    }
}

/// The iterator of [`List::iter`].
#[derive(Clone)]
pub struct Items<'a> {
    rest: Span<'a>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        if self.rest.bytes.is_empty() {
            return None;
        }
        Some(Value {
            span: self.rest.take_first(),
        })
    }
}

impl FusedIterator for Items<'_> {}

impl fmt::Debug for Items<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Items({})", text::Excerpt(self.rest.bytes))
    }
}
