//! Values on the heap, for building and editing.

use std::collections::BTreeMap;
use std::fmt;

use crate::reader::Token;
use crate::text::Quoted;
use crate::value::{Kind, Value};
use crate::walk::Walk;
use crate::writer::{append_bytes, append_int};

/// A value that owns its parts. Its encoding is canonical: the map keeps keys sorted and unique.
///
/// ```
/// use bt_bencode::{OwnedValue, parse};
///
/// let mut torrent = parse(b"d8:announce8:udp://ab4:infod4:name1:aee")?.to_owned();
/// if let Some(root) = torrent.as_dict_mut() {
///     root.remove(&b"announce"[..]);
///     root.insert(b"comment".to_vec(), OwnedValue::from("from the archive"));
/// }
/// assert_eq!(torrent.encode(), b"d7:comment16:from the archive4:infod4:name1:aee");
/// # Ok::<(), bt_bencode::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnedValue {
    /// A signed number.
    Int(i64),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A sequence of values.
    List(Vec<Self>),
    /// Values by byte-string key.
    Dict(BTreeMap<Vec<u8>, Self>),
}

impl OwnedValue {
    /// The canonical encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.append_to(&mut out);
        out
    }

    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => append_int(out, *value),
            Self::Bytes(bytes) => append_bytes(out, bytes),
            Self::List(items) => {
                out.push(b'l');
                for item in items {
                    item.append_to(out);
                }
                out.push(b'e');
            }
            Self::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    append_bytes(out, key);
                    value.append_to(out);
                }
                out.push(b'e');
            }
        }
    }

    /// The type of the value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Int(_) => Kind::Int,
            Self::Bytes(_) => Kind::Bytes,
            Self::List(_) => Kind::List,
            Self::Dict(_) => Kind::Dict,
        }
    }

    /// The number, if this is an integer.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The contents, if this is a string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The items, if this is a list.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The items for editing, if this is a list.
    #[must_use]
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The entries, if this is a dictionary.
    #[must_use]
    pub fn as_dict(&self) -> Option<&BTreeMap<Vec<u8>, Self>> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entries for editing, if this is a dictionary.
    #[must_use]
    pub fn as_dict_mut(&mut self) -> Option<&mut BTreeMap<Vec<u8>, Self>> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }
}

/// Copies a parsed value, in one pass and without recursion.
impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        let mut open = Vec::new();
        let mut done = None;
        for step in Walk::new(value.raw()) {
            let complete = match step.token {
                Token::Bytes(key) if step.is_key => {
                    if let Some(Open::Dict { key: slot, .. }) = open.last_mut() {
                        *slot = key;
                    }
                    continue;
                }
                Token::ListStart => {
                    open.push(Open::List(Vec::new()));
                    continue;
                }
                Token::DictStart => {
                    open.push(Open::Dict {
                        entries: BTreeMap::new(),
                        key: &[],
                    });
                    continue;
                }
                Token::Int(value) => Self::Int(value),
                Token::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
                Token::End => match open.pop() {
                    Some(Open::List(items)) => Self::List(items),
                    Some(Open::Dict { entries, .. }) => Self::Dict(entries),
                    None => break,
                },
            };
            match open.last_mut() {
                Some(Open::List(items)) => items.push(complete),
                Some(Open::Dict { entries, key }) => {
                    entries.entry(key.to_vec()).or_insert(complete);
                }
                None => done = Some(complete),
            }
        }
        // The bytes have been accepted before, so there is a value.
        done.unwrap_or(Self::Int(0))
    }
}

/// A list or dictionary whose end has not been reached.
enum Open<'a> {
    List(Vec<OwnedValue>),
    Dict {
        entries: BTreeMap<Vec<u8>, OwnedValue>,
        key: &'a [u8],
    },
}

impl From<i64> for OwnedValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for OwnedValue {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for OwnedValue {
    fn from(text: String) -> Self {
        Self::Bytes(text.into_bytes())
    }
}

impl From<&[u8]> for OwnedValue {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl From<Vec<u8>> for OwnedValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<Self>> for OwnedValue {
    fn from(items: Vec<Self>) -> Self {
        Self::List(items)
    }
}

impl From<BTreeMap<Vec<u8>, Self>> for OwnedValue {
    fn from(entries: BTreeMap<Vec<u8>, Self>) -> Self {
        Self::Dict(entries)
    }
}

impl FromIterator<Self> for OwnedValue {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::List(items.into_iter().collect())
    }
}

impl<K: Into<Vec<u8>>> FromIterator<(K, Self)> for OwnedValue {
    fn from_iter<I: IntoIterator<Item = (K, Self)>>(entries: I) -> Self {
        Self::Dict(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }
}

/// Prints the tree; strings are quoted and escaped.
impl fmt::Debug for OwnedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Bytes(bytes) => write!(f, "{}", Quoted(bytes)),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Dict(entries) => f
                .debug_map()
                .entries(entries.iter().map(|(key, value)| (Quoted(key), value)))
                .finish(),
        }
    }
}
