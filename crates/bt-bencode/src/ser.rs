//! From Rust types to canonical bencode (feature `serde`).
//!
//! The table of `de.rs`, read from right to left. Struct fields and map entries come out in the
//! order of their keys, whatever order the type has; `None` leaves its entry out.

use std::fmt;
use std::ops::Range;

use serde::ser::{self, Serialize, SerializeMap as _, Serializer};

use crate::de::{NOWHERE, VALUE_ITSELF};
use crate::error::{Error, ErrorKind, Result};
use crate::owned::OwnedValue;
use crate::value::Value;
use crate::writer::{append_bytes, append_int};

/// Converts a Rust value to canonical bencode.
///
/// ```
/// use bt_bencode::to_bytes;
///
/// #[derive(serde::Serialize)]
/// struct Reply<'a> {
///     peers: Vec<&'a str>,
///     interval: u32,
///     warning: Option<&'a str>,
/// }
///
/// let reply = Reply { peers: vec!["a", "b"], interval: 1800, warning: None };
/// assert_eq!(to_bytes(&reply)?, b"d8:intervali1800e5:peersl1:a1:bee");
/// assert!(to_bytes(&u64::MAX).is_err());
/// # Ok::<(), bt_bencode::Error>(())
/// ```
///
/// # Errors
/// A float, a unit, a `None` outside a struct or map, an integer beyond `i64`, a map key that is
/// not a string, or a key that appears twice.
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    match value.serialize(Writer { out: &mut out }) {
        Ok(Written::Value) => Ok(out),
        Ok(Written::Nothing) => Err(unsupported("`None` has no bencode form here", 0)),
        Err(mut error) => {
            error.place(out.len());
            Err(error)
        }
    }
}

fn unsupported(message: &str, offset: usize) -> Error {
    Error::new(ErrorKind::Custom(message.into()), offset)
}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ErrorKind::Custom(message.to_string().into()), NOWHERE)
    }
}

/// What a value has left in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Value,
    /// It was `None`.
    Nothing,
}

/// Writes one value.
struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn int(self, value: impl TryInto<i64>) -> Result<Written> {
        match value.try_into() {
            Ok(value) => {
                append_int(self.out, value);
                Ok(Written::Value)
            }
            Err(_) => Err(Error::new(ErrorKind::OutOfRange, self.out.len())),
        }
    }

    fn no_form(self, what: &str) -> Result<Written> {
        Err(unsupported(
            &format!("{what} has no bencode form"),
            self.out.len(),
        ))
    }
}

impl<'o> Writer<'o> {
    /// Opens the dictionary of one entry that stands for a variant with contents.
    fn open_variant(self, name: &str) -> &'o mut Vec<u8> {
        self.out.push(b'd');
        append_bytes(self.out, name.as_bytes());
        self.out
    }
}

impl<'o> Serializer for Writer<'o> {
    type Ok = Written;
    type Error = Error;
    type SerializeSeq = ListWriter<'o>;
    type SerializeTuple = ListWriter<'o>;
    type SerializeTupleStruct = ListWriter<'o>;
    type SerializeTupleVariant = ListWriter<'o>;
    type SerializeMap = DictWriter<'o>;
    type SerializeStruct = DictWriter<'o>;
    type SerializeStructVariant = DictWriter<'o>;

    fn serialize_bool(self, value: bool) -> Result<Written> {
        self.int(i64::from(value))
    }

    fn serialize_i8(self, value: i8) -> Result<Written> {
        self.int(value)
    }

    fn serialize_i16(self, value: i16) -> Result<Written> {
        self.int(value)
    }

    fn serialize_i32(self, value: i32) -> Result<Written> {
        self.int(value)
    }

    fn serialize_i64(self, value: i64) -> Result<Written> {
        self.int(value)
    }

    fn serialize_i128(self, value: i128) -> Result<Written> {
        self.int(value)
    }

    fn serialize_u8(self, value: u8) -> Result<Written> {
        self.int(value)
    }

    fn serialize_u16(self, value: u16) -> Result<Written> {
        self.int(value)
    }

    fn serialize_u32(self, value: u32) -> Result<Written> {
        self.int(value)
    }

    fn serialize_u64(self, value: u64) -> Result<Written> {
        self.int(value)
    }

    fn serialize_u128(self, value: u128) -> Result<Written> {
        self.int(value)
    }

    fn serialize_f32(self, _: f32) -> Result<Written> {
        self.no_form("a float")
    }

    fn serialize_f64(self, _: f64) -> Result<Written> {
        self.no_form("a float")
    }

    fn serialize_char(self, value: char) -> Result<Written> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<Written> {
        self.serialize_bytes(value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Written> {
        append_bytes(self.out, value);
        Ok(Written::Value)
    }

    fn serialize_none(self) -> Result<Written> {
        Ok(Written::Nothing)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Written> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Written> {
        self.no_form("a unit")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Written> {
        self.no_form("a unit struct")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Written> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Written> {
        if name != VALUE_ITSELF {
            return value.serialize(self);
        }
        // A `Value` hands over its raw bytes as a string; its length prefix is not part of it.
        let mut string = Vec::new();
        value.serialize(Writer { out: &mut string })?;
        let (first, _) = crate::number::trusted_length(&string, 0);
        self.out
            .extend_from_slice(string.get(first..).unwrap_or_default());
        Ok(Written::Value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Written> {
        let out = self.open_variant(variant);
        require(value.serialize(Writer { out })?, out.len())?;
        out.push(b'e');
        Ok(Written::Value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ListWriter<'o>> {
        self.out.push(b'l');
        Ok(ListWriter {
            out: self.out,
            close: b"e",
        })
    }

    fn serialize_tuple(self, length: usize) -> Result<ListWriter<'o>> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<ListWriter<'o>> {
        self.serialize_seq(Some(length))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<ListWriter<'o>> {
        let out = self.open_variant(variant);
        out.push(b'l');
        Ok(ListWriter { out, close: b"ee" })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<DictWriter<'o>> {
        Ok(DictWriter::open(self.out, b"e"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<DictWriter<'o>> {
        Ok(DictWriter::open(self.out, b"e"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<DictWriter<'o>> {
        Ok(DictWriter::open(self.open_variant(variant), b"ee"))
    }
}

fn require(written: Written, offset: usize) -> Result<()> {
    match written {
        Written::Value => Ok(()),
        Written::Nothing => Err(unsupported("`None` has no bencode form here", offset)),
    }
}

/// Writes the items of a list.
struct ListWriter<'o> {
    out: &'o mut Vec<u8>,
    close: &'static [u8],
}

impl ListWriter<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let written = value.serialize(Writer { out: self.out })?;
        require(written, self.out.len())
    }

    fn close(self) -> Result<Written> {
        self.out.extend_from_slice(self.close);
        Ok(Written::Value)
    }
}

impl ser::SerializeSeq for ListWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

impl ser::SerializeTuple for ListWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

impl ser::SerializeTupleStruct for ListWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

impl ser::SerializeTupleVariant for ListWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.item(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

/// Writes the entries of a dictionary as they come and sorts them at the end.
struct DictWriter<'o> {
    out: &'o mut Vec<u8>,
    close: &'static [u8],
    /// Where the first entry begins.
    begin: usize,
    /// The finished entries, in the order of the output.
    entries: Vec<Entry>,
    /// Where the key begins whose value is still to come.
    key_begin: usize,
}

/// Where an entry stands in the output.
struct Entry {
    /// The key without its length.
    key: Range<usize>,
    /// Key and value.
    whole: Range<usize>,
}

impl<'o> DictWriter<'o> {
    fn open(out: &'o mut Vec<u8>, close: &'static [u8]) -> Self {
        out.push(b'd');
        let begin = out.len();
        Self {
            out,
            close,
            begin,
            entries: Vec::new(),
            key_begin: begin,
        }
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key_begin = self.out.len();
        let written = key.serialize(Writer { out: self.out })?;
        require(written, self.key_begin)?;
        match self.out.get(self.key_begin) {
            Some(byte) if byte.is_ascii_digit() => Ok(()),
            _ => Err(Error::new(ErrorKind::KeyNotString, self.key_begin)),
        }
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let (first, _) = crate::number::trusted_length(self.out, self.key_begin);
        let key = first..self.out.len();
        let written = value
            .serialize(Writer { out: self.out })
            .map_err(|mut error| {
                error.place(key.end);
                error.at_key(self.out.get(key.clone()).unwrap_or_default())
            })?;
        if written == Written::Nothing {
            self.out.truncate(self.key_begin);
        } else {
            self.entries.push(Entry {
                key,
                whole: self.key_begin..self.out.len(),
            });
        }
        Ok(())
    }

    fn close(mut self) -> Result<Written> {
        let out = &*self.out;
        let key = |entry: &Entry| out.get(entry.key.clone()).unwrap_or_default();
        let sorted = self
            .entries
            .is_sorted_by(|one, other| key(one) < key(other));
        if !sorted {
            self.entries.sort_by(|one, other| key(one).cmp(key(other)));
            for pair in self.entries.windows(2) {
                if let [one, other] = pair
                    && key(one) == key(other)
                {
                    let error = Error::new(ErrorKind::DuplicateKey, other.whole.start);
                    return Err(error.at_key(key(other)));
                }
            }
            let mut ordered = Vec::with_capacity(self.out.len() - self.begin);
            for entry in &self.entries {
                ordered.extend_from_slice(out.get(entry.whole.clone()).unwrap_or_default());
            }
            self.out.truncate(self.begin);
            self.out.append(&mut ordered);
        }
        self.out.extend_from_slice(self.close);
        Ok(Written::Value)
    }
}

impl ser::SerializeMap for DictWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        self.value(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

impl ser::SerializeStruct for DictWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<()> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

impl ser::SerializeStructVariant for DictWriter<'_> {
    type Ok = Written;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<()> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<Written> {
        self.close()
    }
}

/// The raw bytes, unchanged; only to this crate's own serializer does that mean anything.
impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(VALUE_ITSELF, &Raw(self.raw()))
    }
}

struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl Serialize for OwnedValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Self::List(items) => serializer.collect_seq(items),
            Self::Dict(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&Raw(key), value)?;
                }
                map.end()
            }
        }
    }
}
