//! The doors to parsing: how strict, within which limits, and what was found odd.

use crate::duplicates;
use crate::error::{Error, ErrorKind, Result};
use crate::limits::Limits;
use crate::reader::{KeyOrder, Strict, Window};
use crate::scan;
use crate::value::{Span, Value};

/// Parses one value that takes the whole input: strict, within the default [`Limits`].
///
/// The whole input is checked in one pass; nothing is allocated.
///
/// # Errors
/// The first violation of the grammar (BEP 3, "bencoding") or of a limit.
#[inline]
pub fn parse(input: &[u8]) -> Result<Value<'_>> {
    Ok(Options::strict().parse(input)?.value)
}

/// Parses one value at the start of the input and says how many bytes it took. Whatever follows
/// is not looked at (the data of BEP 9 follows a dictionary in this way).
///
/// # Errors
/// The first violation of the grammar (BEP 3, "bencoding") or of a limit.
#[inline]
pub fn parse_prefix(input: &[u8]) -> Result<(Value<'_>, usize)> {
    let parsed = Options::strict().parse_prefix(input)?;
    Ok((parsed.value, parsed.consumed))
}

/// How to parse.
///
/// ```
/// use bt_bencode::Options;
///
/// // Some old torrents have unsorted keys. Their info-hash is that of the bytes as they are.
/// let parsed = Options::lenient().parse(b"d1:bi2e1:ai1ee")?;
/// assert_eq!(parsed.value.dict()?.int("a")?, 1);
/// assert_eq!(parsed.irregularities.unsorted_keys.count, 1);
/// assert_eq!(parsed.irregularities.unsorted_keys.first, Some(7));
/// assert!(Options::strict().parse(b"d1:bi2e1:ai1ee").is_err());
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    lenient: bool,
    limits: Limits,
}

impl Options {
    /// Exactly one encoding for each value (BEP 3), within the default limits.
    #[must_use]
    pub const fn strict() -> Self {
        Self {
            lenient: false,
            limits: Limits::DEFAULT,
        }
    }

    /// Accepts and reports what well-meant torrents contain: dictionary keys that are unsorted or
    /// appear twice, and bytes after the value. Numbers are as strict as ever.
    #[must_use]
    pub const fn lenient() -> Self {
        Self {
            lenient: true,
            limits: Limits::DEFAULT,
        }
    }

    /// The same with other limits.
    #[must_use]
    pub const fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Parses one value that takes the whole input.
    ///
    /// # Errors
    /// The first violation of the grammar (BEP 3, "bencoding") or of a limit.
    pub fn parse<'a>(&self, input: &'a [u8]) -> Result<Parsed<'a>> {
        let mut parsed = self.parse_prefix(input)?;
        let trailing = input.len() - parsed.consumed;
        if trailing == 0 {
            return Ok(parsed);
        }
        if !self.lenient {
            return Err(Error::new(ErrorKind::TrailingBytes, parsed.consumed));
        }
        parsed.irregularities.trailing_bytes = Tally {
            count: trailing,
            first: Some(parsed.consumed),
        };
        Ok(parsed)
    }

    /// Parses one value at the start of the input; whatever follows is not looked at.
    ///
    /// # Errors
    /// The first violation of the grammar (BEP 3, "bencoding") or of a limit.
    pub fn parse_prefix<'a>(&self, input: &'a [u8]) -> Result<Parsed<'a>> {
        let window = Window::new(input, self.limits);
        let mut irregularities = Irregularities::default();
        let (consumed, landmarks) = if self.lenient {
            scan::validate(&window, &mut irregularities)?
        } else {
            scan::validate(&window, &mut Strict)?
        };
        let bytes = input.get(..consumed).unwrap_or(input);
        if irregularities.unsorted_keys.count > 0 {
            irregularities.duplicate_keys = duplicates::count(bytes);
        }
        let span = Span {
            bytes,
            offset: 0,
            ordered: irregularities.is_empty(),
            landmarks,
        };
        Ok(Parsed {
            value: Value { span },
            consumed,
            irregularities,
        })
    }
}

/// The strict options.
impl Default for Options {
    fn default() -> Self {
        Self::strict()
    }
}

/// A value and what was noticed while parsing it.
#[derive(Debug, Clone, Copy)]
pub struct Parsed<'a> {
    /// The value.
    pub value: Value<'a>,
    /// How many bytes of the input the value takes.
    pub consumed: usize,
    /// What lenient parsing let through; always empty after strict parsing.
    pub irregularities: Irregularities,
}

/// What lenient parsing let through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Irregularities {
    /// Dictionary keys that sort before their predecessor.
    pub unsorted_keys: Tally,
    /// Dictionary keys that appeared before in the same dictionary.
    pub duplicate_keys: Tally,
    /// Bytes after the value (only [`Options::parse`] looks for them).
    pub trailing_bytes: Tally,
}

impl Irregularities {
    /// Whether strict parsing would have accepted the input too.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'a> KeyOrder<'a> for Irregularities {
    #[cold]
    fn out_of_order(&mut self, last: &'a [u8], key: &'a [u8], offset: usize) -> Result<()> {
        if last == key {
            self.duplicate_keys.add(offset);
        } else {
            self.unsorted_keys.add(offset);
        }
        Ok(())
    }
}

/// How often something was seen, and where first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often.
    pub count: usize,
    /// The offset of the first case, in bytes.
    pub first: Option<usize>,
}

impl Tally {
    pub(crate) fn add(&mut self, offset: usize) {
        self.count += 1;
        self.first = Some(self.first.map_or(offset, |first| first.min(offset)));
    }
}
