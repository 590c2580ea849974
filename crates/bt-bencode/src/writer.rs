//! The canonical writer: what it finishes, strict parsing accepts.

use crate::error::{Error, ErrorKind, Result};
use crate::number;
use crate::options::Options;

/// Writes one value. Dictionaries are filled through closures, so brackets always match; keys
/// must come in ascending byte order, each once.
///
/// An entry that is refused leaves no trace in the output.
///
/// ```
/// use bt_bencode::Encoder;
///
/// let mut encoder = Encoder::new();
/// encoder.dict(|reply| {
///     reply.int("interval", 1800)?;
///     reply.list("peers", |peers| {
///         peers.dict(|peer| {
///             peer.bytes("ip", "192.0.2.7")?;
///             peer.int("port", 6881)
///         })
///     })
/// })?;
/// assert_eq!(encoder.finish(), b"d8:intervali1800e5:peersld2:ip9:192.0.2.74:porti6881eeee");
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Encoder {
    out: Vec<u8>,
    written: bool,
}

impl Encoder {
    /// An encoder with an empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An encoder that appends to this buffer.
    #[must_use]
    pub fn with_buffer(buffer: Vec<u8>) -> Self {
        Self {
            out: buffer,
            written: false,
        }
    }

    /// Writes an integer.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `i64`; [`ErrorKind::SecondValue`].
    pub fn int(&mut self, value: impl TryInto<i64>) -> Result<()> {
        self.only(|out| write_int(out, value))
    }

    /// Writes a string.
    ///
    /// # Errors
    /// [`ErrorKind::SecondValue`].
    pub fn bytes(&mut self, value: impl AsRef<[u8]>) -> Result<()> {
        self.only(|out| {
            append_bytes(out, value.as_ref());
            Ok(())
        })
    }

    /// Writes a value that is encoded already, byte for byte.
    ///
    /// # Errors
    /// [`ErrorKind::SecondValue`]; any parse error if this is not exactly one value (its keys may
    /// be unsorted: a value from elsewhere is not ours to change).
    pub fn raw(&mut self, value: &[u8]) -> Result<()> {
        self.only(|out| write_raw(out, value))
    }

    /// Writes a list.
    ///
    /// # Errors
    /// [`ErrorKind::SecondValue`]; whatever `fill` returns.
    pub fn list(&mut self, fill: impl FnOnce(&mut ListEncoder<'_>) -> Result<()>) -> Result<()> {
        self.only(|out| write_list(out, fill))
    }

    /// Writes a dictionary.
    ///
    /// # Errors
    /// [`ErrorKind::SecondValue`]; whatever `fill` returns.
    pub fn dict(&mut self, fill: impl FnOnce(&mut DictEncoder<'_>) -> Result<()>) -> Result<()> {
        self.only(|out| write_dict(out, fill))
    }

    /// The buffer with the encoded value; without a value, the buffer as it was.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.out
    }

    fn only(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        if self.written {
            return Err(Error::new(ErrorKind::SecondValue, self.out.len()));
        }
        or_undo(&mut self.out, write)?;
        self.written = true;
        Ok(())
    }
}

/// Writes the items of a list. It is what [`Encoder::list`] and its like hand to their closure.
#[derive(Debug)]
pub struct ListEncoder<'e> {
    out: &'e mut Vec<u8>,
}

impl ListEncoder<'_> {
    /// Writes an integer.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] beyond `i64`.
    pub fn int(&mut self, value: impl TryInto<i64>) -> Result<()> {
        or_undo(self.out, |out| write_int(out, value))
    }

    /// Writes a string.
    ///
    /// # Errors
    /// None; the type is that of its siblings.
    pub fn bytes(&mut self, value: impl AsRef<[u8]>) -> Result<()> {
        append_bytes(self.out, value.as_ref());
        Ok(())
    }

    /// Writes a value that is encoded already, byte for byte.
    ///
    /// # Errors
    /// Any parse error if this is not exactly one value (its keys may be unsorted).
    pub fn raw(&mut self, value: &[u8]) -> Result<()> {
        or_undo(self.out, |out| write_raw(out, value))
    }

    /// Writes a list.
    ///
    /// # Errors
    /// Whatever `fill` returns.
    pub fn list(&mut self, fill: impl FnOnce(&mut ListEncoder<'_>) -> Result<()>) -> Result<()> {
        or_undo(self.out, |out| write_list(out, fill))
    }

    /// Writes a dictionary.
    ///
    /// # Errors
    /// Whatever `fill` returns.
    pub fn dict(&mut self, fill: impl FnOnce(&mut DictEncoder<'_>) -> Result<()>) -> Result<()> {
        or_undo(self.out, |out| write_dict(out, fill))
    }
}

/// Writes the entries of a dictionary. It is what [`Encoder::dict`] and its like hand to their
/// closure. Each method fails with [`ErrorKind::UnsortedKey`] or [`ErrorKind::DuplicateKey`] if
/// the key does not sort after its predecessor.
#[derive(Debug)]
pub struct DictEncoder<'e> {
    out: &'e mut Vec<u8>,
    /// Where in `out` the last key stands.
    last_key: Option<std::ops::Range<usize>>,
}

impl DictEncoder<'_> {
    /// Writes an integer.
    ///
    /// # Errors
    /// A key out of order; [`ErrorKind::OutOfRange`] beyond `i64`.
    pub fn int(&mut self, key: impl AsRef<[u8]>, value: impl TryInto<i64>) -> Result<()> {
        self.entry(key.as_ref(), |out| write_int(out, value))
    }

    /// Writes a string.
    ///
    /// # Errors
    /// A key out of order.
    pub fn bytes(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.entry(key.as_ref(), |out| {
            append_bytes(out, value.as_ref());
            Ok(())
        })
    }

    /// Writes a value that is encoded already, byte for byte.
    ///
    /// # Errors
    /// A key out of order; any parse error if this is not exactly one value (its keys may be
    /// unsorted).
    pub fn raw(&mut self, key: impl AsRef<[u8]>, value: &[u8]) -> Result<()> {
        self.entry(key.as_ref(), |out| write_raw(out, value))
    }

    /// Writes a list.
    ///
    /// # Errors
    /// A key out of order; whatever `fill` returns.
    pub fn list(
        &mut self,
        key: impl AsRef<[u8]>,
        fill: impl FnOnce(&mut ListEncoder<'_>) -> Result<()>,
    ) -> Result<()> {
        self.entry(key.as_ref(), |out| write_list(out, fill))
    }

    /// Writes a dictionary.
    ///
    /// # Errors
    /// A key out of order; whatever `fill` returns.
    pub fn dict(
        &mut self,
        key: impl AsRef<[u8]>,
        fill: impl FnOnce(&mut DictEncoder<'_>) -> Result<()>,
    ) -> Result<()> {
        self.entry(key.as_ref(), |out| write_dict(out, fill))
    }

    fn entry(&mut self, key: &[u8], write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        if let Some(last) = self.last_key.clone().and_then(|range| self.out.get(range))
            && last >= key
        {
            let kind = if last == key {
                ErrorKind::DuplicateKey
            } else {
                ErrorKind::UnsortedKey
            };
            return Err(Error::new(kind, self.out.len()).at_key(key));
        }
        let span = or_undo(self.out, |out| {
            append_bytes(out, key);
            let span = out.len() - key.len()..out.len();
            write(out).map_err(|error| error.at_key(key))?;
            Ok(span)
        })?;
        self.last_key = Some(span);
        Ok(())
    }
}

/// Takes back what a failed `write` has written.
fn or_undo<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
    let length = out.len();
    let result = write(out);
    if result.is_err() {
        out.truncate(length);
    }
    result
}

pub(crate) fn append_int(out: &mut Vec<u8>, value: i64) {
    out.push(b'i');
    number::append(out, value);
    out.push(b'e');
}

pub(crate) fn append_bytes(out: &mut Vec<u8>, value: &[u8]) {
    number::append_unsigned(out, value.len() as u64);
    out.push(b':');
    out.extend_from_slice(value);
}

fn write_int(out: &mut Vec<u8>, value: impl TryInto<i64>) -> Result<()> {
    let value = value
        .try_into()
        .map_err(|_| Error::new(ErrorKind::OutOfRange, out.len()))?;
    append_int(out, value);
    Ok(())
}

fn write_raw(out: &mut Vec<u8>, value: &[u8]) -> Result<()> {
    let parsed = Options::lenient().parse_prefix(value)?;
    if parsed.consumed != value.len() {
        return Err(Error::new(ErrorKind::TrailingBytes, parsed.consumed));
    }
    out.extend_from_slice(value);
    Ok(())
}

fn write_list(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut ListEncoder<'_>) -> Result<()>,
) -> Result<()> {
    out.push(b'l');
    fill(&mut ListEncoder { out })?;
    out.push(b'e');
    Ok(())
}

fn write_dict(
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut DictEncoder<'_>) -> Result<()>,
) -> Result<()> {
    out.push(b'd');
    fill(&mut DictEncoder {
        out,
        last_key: None,
    })?;
    out.push(b'e');
    Ok(())
}
