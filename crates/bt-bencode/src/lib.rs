//! Bencode (BEP 3, "bencoding"): a strict reader without allocation, and a canonical writer.
//!
//! *A value is its bytes.* [`parse`] checks the whole input in one pass, with a fixed stack and
//! no heap. The [`Value`] it returns is a view that can be copied freely; numbers and children
//! are read when they are asked for, and [`Value::raw`] gives the exact bytes of any part, which
//! is what an info-hash is made from.
//!
//! ```
//! use bt_bencode::{Encoder, parse};
//!
//! let torrent = b"d8:announce22:http://tracker.example4:infod6:lengthi5e4:name1:aee";
//! let root = parse(torrent)?.dict()?;
//! let info = root.dict("info")?;
//! assert_eq!(info.u64("length")?, 5);
//! assert_eq!(info.raw(), b"d6:lengthi5e4:name1:ae");
//!
//! // A new tracker, while `info` stays as it is, byte for byte.
//! let mut encoder = Encoder::new();
//! encoder.dict(|d| {
//!     d.bytes("announce", "udp://other.example:6969")?;
//!     d.raw("info", info.raw())
//! })?;
//! assert_eq!(parse(&encoder.finish())?.dict()?.dict("info")?.raw(), info.raw());
//! # Ok::<(), bt_bencode::Error>(())
//! ```
//!
//! This crate must not know what any key means.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

#[cfg(feature = "serde")]
mod de;
mod dict;
mod duplicates;
mod error;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod landmarks;
mod limits;
mod list;
mod number;
mod options;
mod owned;
mod reader;
mod scan;
#[cfg(feature = "serde")]
mod ser;
mod text;
mod value;
mod walk;
mod writer;

pub use crate::{
    dict::{Dict, Entries},
    error::{Error, ErrorKind, Expected, Result},
    limits::{Limits, MAX_BYTES, MAX_DEPTH, MAX_KEY_IN_ERROR, MAX_TOKENS},
    list::{Items, List},
    options::{Irregularities, Options, Parsed, Tally, parse, parse_prefix},
    owned::OwnedValue,
    reader::{Reader, Token},
    value::{Kind, Value},
    writer::{DictEncoder, Encoder, ListEncoder},
};

#[cfg(feature = "serde")]
pub use crate::{de::from_bytes, ser::to_bytes};

/// Compiles the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
