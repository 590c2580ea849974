//! From bencode to Rust types (feature `serde`).
//!
//! | bencode | Rust |
//! | --- | --- |
//! | integer | any integer type that can hold it; `bool` if it is 0 or 1 |
//! | string | `&str`, `String`, `&[u8]`, byte buffers of `serde_bytes`; `char`; an enum's unit variant |
//! | list | sequences and tuples |
//! | dictionary | structs and maps; an enum's other variants, as the only entry |
//! | missing key | `None` |
//!
//! Floats and unit types have no counterpart.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor, value::BorrowedStrDeserializer,
};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};

use crate::dict::Entries;
use crate::error::{Error, ErrorKind, Result};
use crate::landmarks::Landmarks;
use crate::list::Items;
use crate::options::{Options, parse};
use crate::owned::OwnedValue;
use crate::value::{Kind, Span, Value};

/// The offset of errors that come from a type, which does not know where its value stands.
pub(crate) const NOWHERE: usize = usize::MAX;

/// By this name a [`Value`] asks for itself instead of its contents.
pub(crate) const VALUE_ITSELF: &str = "bt_bencode::Value";

/// Parses the whole input strictly, within the default limits, and converts the value.
///
/// Strings and byte slices can borrow from the input. A [`Value`] can be a field too: it stays a
/// view on the raw bytes.
///
/// ```
/// use bt_bencode::{Value, from_bytes};
///
/// #[derive(serde::Deserialize)]
/// struct Torrent<'a> {
///     announce: Option<&'a str>,
///     #[serde(rename = "creation date")]
///     creation_date: Option<i64>,
///     #[serde(borrow)]
///     info: Value<'a>,
/// }
///
/// let torrent: Torrent = from_bytes(b"d8:announce9:udp://a:14:infod4:name1:aee")?;
/// assert_eq!(torrent.announce, Some("udp://a:1"));
/// assert_eq!(torrent.creation_date, None);
/// assert_eq!(torrent.info.raw(), b"d4:name1:ae");
/// # Ok::<(), bt_bencode::Error>(())
/// ```
///
/// # Errors
/// Whatever [`parse`] refuses; a value that does not fit `T`.
pub fn from_bytes<'de, T: Deserialize<'de>>(input: &'de [u8]) -> Result<T> {
    let value = parse(input)?;
    T::deserialize(value).map_err(|error| error.or_at(value.offset()))
}

impl Error {
    /// The same error, placed at `offset` if it has no place yet.
    #[cold]
    fn or_at(mut self, offset: usize) -> Self {
        self.place(offset);
        self
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(ErrorKind::Custom(message.to_string().into()), NOWHERE)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(ErrorKind::MissingKey, NOWHERE).at_key(field)
    }
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    /// Strings are text if they are UTF-8 and bytes if not, because the type did not say.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.kind() {
            Kind::Int => visitor.visit_i64(self.int()?),
            Kind::Bytes => {
                let bytes = self.bytes()?;
                match str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            Kind::List => self.deserialize_seq(visitor),
            Kind::Dict => self.deserialize_map(visitor),
        }
        .map_err(|error: Error| error.or_at(self.offset()))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.int()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(Error::new(ErrorKind::OutOfRange, self.offset())),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor
            .visit_borrowed_str(self.str()?)
            .map_err(|error: Error| error.or_at(self.offset()))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor
            .visit_borrowed_bytes(self.bytes()?)
            .map_err(|error: Error| error.or_at(self.offset()))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let mut items = ItemAccess {
            items: self.list()?.iter(),
        };
        let value = visitor
            .visit_seq(&mut items)
            .map_err(|error: Error| error.or_at(self.offset()))?;
        match items.items.next() {
            None => Ok(value),
            Some(extra) => Err(de::Error::custom("more items than the type has room for"))
                .map_err(|error: Error| error.or_at(extra.offset())),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor
            .visit_map(EntryAccess {
                entries: self.dict()?.iter(),
                current: None,
            })
            .map_err(|error: Error| error.or_at(self.offset()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_map(visitor)
    }

    /// A value that is there is `Some`; `None` is a missing key.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        if name == VALUE_ITSELF {
            return visitor.visit_seq(PartAccess {
                span: self.span,
                given: 0,
            });
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let access = match self.kind() {
            Kind::Bytes => Variant {
                name: self.str()?,
                content: None,
            },
            _ => {
                let mut entries = self.dict()?.iter();
                match (entries.next_entry(), entries.next_entry()) {
                    (Some((name, content)), None) => Variant {
                        name: name.str()?,
                        content: Some(content),
                    },
                    _ => {
                        let message = "an enum is a string or a dictionary of one entry";
                        return Err(de::Error::custom(message))
                            .map_err(|error: Error| error.or_at(self.offset()));
                    }
                }
            }
        };
        visitor
            .visit_enum(access)
            .map_err(|error: Error| error.or_at(self.offset()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
        Err(de::Error::custom("bencode has no unit type"))
            .map_err(|error: Error| error.or_at(self.offset()))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 identifier
    }
}

impl<'de> IntoDeserializer<'de, Error> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The items of a list.
struct ItemAccess<'de> {
    items: Items<'de>,
}

impl<'de> SeqAccess<'de> for &mut ItemAccess<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        match self.items.next() {
            Some(item) => seed
                .deserialize(item)
                .map(Some)
                .map_err(|error| error.or_at(item.offset())),
            None => Ok(None),
        }
    }
}

/// The entries of a dictionary.
struct EntryAccess<'de> {
    entries: Entries<'de>,
    /// The entry whose key has been given out and whose value has not.
    current: Option<(Value<'de>, Value<'de>)>,
}

impl<'de> MapAccess<'de> for EntryAccess<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.current = self.entries.next_entry();
        match self.current {
            Some((key, _)) => seed
                .deserialize(key)
                .map(Some)
                .map_err(|error| error.or_at(key.offset())),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let Some((key, value)) = self.current.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(value).map_err(|error| {
            error
                .or_at(value.offset())
                .at_key(key.as_bytes().unwrap_or_default())
        })
    }
}

/// An enum's variant and what is in it.
struct Variant<'de> {
    name: &'de str,
    content: Option<Value<'de>>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Content<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self::Variant)> {
        let name: BorrowedStrDeserializer<'de, Error> = BorrowedStrDeserializer::new(self.name);
        Ok((seed.deserialize(name)?, Content(self.content)))
    }
}

/// What is in a variant.
struct Content<'de>(Option<Value<'de>>);

impl<'de> Content<'de> {
    fn value(self) -> Result<Value<'de>> {
        self.0
            .ok_or_else(|| de::Error::custom("this variant needs a value"))
    }
}

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(value) => Err(de::Error::custom("this variant has no value"))
                .map_err(|error: Error| error.or_at(value.offset())),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(self.value()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value> {
        self.value()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.value()?.deserialize_map(visitor)
    }
}

/// A [`Value`] in two parts, from which its own `Deserialize` puts it together again.
struct PartAccess<'de> {
    span: Span<'de>,
    given: u8,
}

impl<'de> SeqAccess<'de> for PartAccess<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        self.given += 1;
        match self.given {
            1 => {
                let bytes = de::value::BorrowedBytesDeserializer::new(self.span.bytes);
                seed.deserialize(bytes).map(Some)
            }
            2 => seed
                .deserialize(self.span.offset.into_deserializer())
                .map(Some),
            _ => Ok(None),
        }
    }
}

/// Only from this crate's own deserializer: other formats have no bencode inside.
impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;

        impl<'de> Visitor<'de> for Parts {
            type Value = Value<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value inside bencode")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value<'de>, A::Error> {
                let absent = || de::Error::custom("a part of the value is missing");
                let bytes = parts.next_element()?.ok_or_else(absent)?;
                let offset = parts.next_element()?.ok_or_else(absent)?;
                // Some other format may have come here, so the bytes are not to be trusted.
                let parsed = Options::lenient()
                    .parse_prefix(bytes)
                    .map_err(de::Error::custom)?;
                if parsed.consumed != bytes.len() {
                    return Err(de::Error::custom("bytes follow the value"));
                }
                let ordered = parsed.irregularities.is_empty();
                let landmarks = Landmarks::default();
                Ok(Value {
                    span: Span {
                        bytes,
                        offset,
                        ordered,
                        landmarks,
                    },
                })
            }
        }

        deserializer.deserialize_newtype_struct(VALUE_ITSELF, Parts)
    }
}

impl<'de> Deserialize<'de> for OwnedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;

        impl<'de> Visitor<'de> for Tree {
            type Value = OwnedValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer, a string, a list or a dictionary")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<OwnedValue, E> {
                Ok(OwnedValue::Int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<OwnedValue, E> {
                i64::try_from(value)
                    .map(OwnedValue::Int)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OwnedValue, E> {
                Ok(OwnedValue::from(text))
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<OwnedValue, E> {
                Ok(OwnedValue::from(bytes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<OwnedValue, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(OwnedValue::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OwnedValue, A::Error> {
                let mut entries = std::collections::BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<OwnedValue, _>()? {
                    let OwnedValue::Bytes(key) = key else {
                        return Err(de::Error::custom("a dictionary key must be a string"));
                    };
                    entries.entry(key).or_insert(value);
                }
                Ok(OwnedValue::Dict(entries))
            }
        }

        deserializer.deserialize_any(Tree)
    }
}
