//! The grammar, one token at a time, over any bytes.
//!
//! [`Reader`] hands the tokens out; `scan.rs` runs the same steps over a whole value. Both are
//! this file's [`step`], so there is one grammar only. It must not know what tokens mean.

use crate::error::{Error, ErrorKind, Expected, Result};
use crate::limits::{Limits, MAX_BYTES, MAX_DEPTH};
use crate::number;

/// One element of the encoded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// An integer.
    Int(i64),
    /// A string: a value, a list item or a dictionary key.
    Bytes(&'a [u8]),
    /// A list begins; its items follow up to the matching [`Token::End`].
    ListStart,
    /// A dictionary begins; keys and values follow in turn up to the matching [`Token::End`].
    DictStart,
    /// The innermost open list or dictionary ends.
    End,
}

/// A pull tokenizer: strict, without allocation, without recursion.
///
/// Each call of [`next`](Reader::next) checks and returns one token. After the value is complete
/// it returns `None`, or an error if more bytes follow ([`Reader::prefix`] does not mind them).
/// After an error the reader stays at the error.
///
/// ```
/// use bt_bencode::{Reader, Token};
///
/// let mut reader = Reader::new(b"li7e3:abce");
/// assert_eq!(reader.next()?, Some((0, Token::ListStart)));
/// assert_eq!(reader.next()?, Some((1, Token::Int(7))));
/// assert_eq!(reader.next()?, Some((4, Token::Bytes(b"abc"))));
/// assert_eq!(reader.next()?, Some((9, Token::End)));
/// assert_eq!(reader.next()?, None);
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    window: Window<'a>,
    progress: Progress<'a>,
    frames: Frames<'a>,
    allow_trailing: bool,
}

impl<'a> Reader<'a> {
    /// Reads one value that takes the whole input, within the default limits.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self::with_limits(input, Limits::DEFAULT)
    }

    /// Reads one value at the start of the input; other bytes may follow it.
    #[must_use]
    pub fn prefix(input: &'a [u8]) -> Self {
        Self {
            allow_trailing: true,
            ..Self::new(input)
        }
    }

    /// Reads one value that takes the whole input, within these limits.
    #[must_use]
    pub fn with_limits(input: &'a [u8], limits: Limits) -> Self {
        Self {
            window: Window::new(input, limits),
            progress: Progress::START,
            frames: NO_FRAMES,
            allow_trailing: false,
        }
    }

    /// The next token and its offset, or `None` once the value is complete.
    ///
    /// # Errors
    /// The first violation of the grammar or of a limit, each time again.
    #[expect(
        clippy::should_implement_trait,
        reason = "errors come first: `?` needs the Result"
    )]
    pub fn next(&mut self) -> Result<Option<(usize, Token<'a>)>> {
        if self.progress.place == Place::Done {
            if self.allow_trailing || self.progress.position == self.window.whole {
                return Ok(None);
            }
            return Err(Error::new(ErrorKind::TrailingBytes, self.progress.position));
        }
        // A failed step must leave no trace, so it works on a copy of the progress.
        let mut progress = self.progress;
        let token = step(&self.window, &mut progress, &mut self.frames, &mut Strict)
            .map_err(|error| self.window.explain(error))?;
        let offset = self.progress.position;
        self.progress = progress;
        Ok(Some((offset, token)))
    }

    /// How many bytes have been taken so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.progress.position
    }

    /// How many lists and dictionaries are open.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.progress.depth
    }

    /// Whether the next token is a dictionary key or the end of a dictionary.
    #[must_use]
    pub fn at_key(&self) -> bool {
        self.progress.place == Place::Key
    }
}

/// The input as far as the limits allow to look at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// At most `limits.max_bytes` bytes.
    pub(crate) bytes: &'a [u8],
    /// The length of the whole input.
    pub(crate) whole: usize,
    limits: Limits,
}

impl<'a> Window<'a> {
    pub(crate) fn new(input: &'a [u8], limits: Limits) -> Self {
        let limits = Limits {
            max_depth: limits.max_depth.min(MAX_DEPTH),
            max_bytes: limits.max_bytes.min(MAX_BYTES),
            ..limits
        };
        Self {
            bytes: input.get(..limits.max_bytes).unwrap_or(input),
            whole: input.len(),
            limits,
        }
    }

    /// Where the window is shorter than the input, its end is the limit and not a truncation.
    #[cold]
    pub(crate) fn explain(&self, error: Error) -> Error {
        if error.is_truncated() && self.bytes.len() < self.whole {
            let limit = self.limits.max_bytes;
            return Error::new(ErrorKind::TooLarge { limit }, error.offset());
        }
        error
    }
}

/// Which token may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The value itself.
    Start,
    /// An item or the end of the innermost list.
    Item,
    /// A key or the end of the innermost dictionary.
    Key,
    /// The value of the key just read.
    Value,
    /// Nothing: the value is complete.
    Done,
}

/// Where the walk is. The frames are a separate argument of [`step`] so that the optimizer can
/// keep these few words in registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress<'a> {
    /// `position <= window.bytes.len()`
    pub(crate) position: usize,
    /// `depth <= limits.max_depth <= MAX_DEPTH`
    pub(crate) depth: usize,
    pub(crate) tokens: usize,
    pub(crate) place: Place,
    /// The last key of the innermost dictionary; `None` before the first one and in a list.
    pub(crate) last_key: Option<&'a [u8]>,
}

impl Progress<'_> {
    pub(crate) const START: Self = Self {
        position: 0,
        depth: 0,
        tokens: 0,
        place: Place::Start,
        last_key: None,
    };

    /// One token has been read, up to `end`.
    #[inline(always)]
    fn take(&mut self, end: usize) {
        self.position = end;
        self.tokens += 1;
    }
}

/// For each open list or dictionary: the last key of the dictionary around it, `None` if a list
/// (or nothing) is around it. A dictionary that has a child has read that child's key.
pub(crate) type Frames<'a> = [Option<&'a [u8]>; MAX_DEPTH];

pub(crate) const NO_FRAMES: Frames<'static> = [None; MAX_DEPTH];

/// Who hears of keys that are not in strictly ascending order.
pub(crate) trait KeyOrder<'a> {
    /// `key <= last`, found at `offset`.
    fn out_of_order(&mut self, last: &'a [u8], key: &'a [u8], offset: usize) -> Result<()>;
}

/// Refuses such keys.
pub(crate) struct Strict;

impl<'a> KeyOrder<'a> for Strict {
    fn out_of_order(&mut self, last: &'a [u8], key: &'a [u8], offset: usize) -> Result<()> {
        let kind = if last == key {
            ErrorKind::DuplicateKey
        } else {
            ErrorKind::UnsortedKey
        };
        Err(Error::new(kind, offset).at_key(key))
    }
}

/// Reads one token at `progress.position`. Must not be called at [`Place::Done`].
#[inline(always)]
pub(crate) fn step<'a>(
    window: &Window<'a>,
    progress: &mut Progress<'a>,
    frames: &mut Frames<'a>,
    order: &mut impl KeyOrder<'a>,
) -> Result<Token<'a>> {
    let input = window.bytes;
    let start = progress.position;
    let Some(&byte) = input.get(start) else {
        return Err(Error::new(ErrorKind::UnexpectedEnd, start));
    };
    if progress.tokens >= window.limits.max_tokens {
        let limit = window.limits.max_tokens;
        return Err(Error::new(ErrorKind::TooManyTokens { limit }, start));
    }
    // From here on `progress` changes only after everything that can fail.
    match byte {
        b'0'..=b'9' => {
            let (bytes, end) = string(input, start)?;
            if progress.place == Place::Key {
                if let Some(last) = progress.last_key
                    && !precedes(last, bytes)
                {
                    order.out_of_order(last, bytes, start)?;
                }
                progress.last_key = Some(bytes);
                progress.place = Place::Value;
            } else {
                progress.place = after_value(progress.place);
            }
            progress.take(end);
            Ok(Token::Bytes(bytes))
        }
        b'e' if matches!(progress.place, Place::Item | Place::Key) => {
            progress.take(start + 1);
            close(progress, frames);
            Ok(Token::End)
        }
        _ if progress.place == Place::Key => Err(Error::new(ErrorKind::KeyNotString, start)),
        b'i' => {
            let (value, end) = number::integer(input, start + 1)?;
            progress.take(end);
            progress.place = after_value(progress.place);
            Ok(Token::Int(value))
        }
        b'l' | b'd' => {
            let limit = window.limits.max_depth;
            if progress.depth >= limit {
                return Err(Error::new(ErrorKind::TooDeep { limit }, start));
            }
            if let Some(frame) = frames.get_mut(progress.depth) {
                *frame = if progress.place == Place::Value {
                    progress.last_key
                } else {
                    None
                };
            }
            progress.depth += 1;
            progress.take(start + 1);
            progress.last_key = None;
            if byte == b'd' {
                progress.place = Place::Key;
                Ok(Token::DictStart)
            } else {
                progress.place = Place::Item;
                Ok(Token::ListStart)
            }
        }
        found => Err(unexpected(found, progress, start)),
    }
}

/// Reads a string, length included. Returns its bytes and the position after them.
#[inline(always)]
fn string(input: &[u8], start: usize) -> Result<(&[u8], usize)> {
    let (length, first) = number::length(input, start)?;
    let end = first.wrapping_add(length);
    match input.get(first..end) {
        Some(bytes) => Ok((bytes, end)),
        None => {
            let available = input.len() - first.min(input.len());
            Err(Error::new(
                ErrorKind::StringPastEnd { length, available },
                start,
            ))
        }
    }
}

/// Whether `last < key`. The first byte decides nearly always, without a call.
#[inline(always)]
fn precedes(last: &[u8], key: &[u8]) -> bool {
    match (last.first(), key.first()) {
        (Some(one), Some(other)) if one != other => one < other,
        _ => last < key,
    }
}

#[inline(always)]
fn after_value(place: Place) -> Place {
    match place {
        Place::Item => Place::Item,
        Place::Value => Place::Key,
        Place::Start | Place::Key | Place::Done => Place::Done,
    }
}

/// Leaves the innermost list or dictionary.
#[inline(always)]
fn close<'a>(progress: &mut Progress<'a>, frames: &Frames<'a>) {
    progress.depth = progress.depth.saturating_sub(1);
    progress.last_key = frames.get(progress.depth).copied().flatten();
    progress.place = if progress.last_key.is_some() {
        Place::Key
    } else if progress.depth == 0 {
        Place::Done
    } else {
        Place::Item
    };
}

#[cold]
#[inline(never)]
fn unexpected(found: u8, progress: &Progress<'_>, offset: usize) -> Error {
    match progress.place {
        Place::Value if found == b'e' => Error::new(ErrorKind::MissingValue, offset)
            .at_key(progress.last_key.unwrap_or_default()),
        Place::Item => {
            let expected = Expected::ValueOrEnd;
            Error::new(ErrorKind::UnexpectedByte { found, expected }, offset)
        }
        _ => {
            let expected = Expected::Value;
            Error::new(ErrorKind::UnexpectedByte { found, expected }, offset)
        }
    }
}
