//! From bytes to a checked description of files and pieces: torrent files, magnets, info-hashes,
//! and the arithmetic of pieces, blocks and files.
//!
//! ```
//! use bt_metainfo::{FileIndex, Magnet, Metainfo};
//!
//! let bytes = b"d8:announce20:http://t.example/ann4:infod5:filesl\
//!               d6:lengthi20000e4:pathl3:src5:aux.ceed6:lengthi1e4:pathl2:..6:passwdeee\
//!               4:name4:demo12:piece lengthi16384e6:pieces40:aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbee";
//! let torrent = Metainfo::parse(bytes)?;
//!
//! // The identity is the hash of the bytes, and the bytes are never lost.
//! assert_eq!(torrent.info_hash().to_string(), "972d8ccd8d133d5a6ff7608c8e9702ed7917ff4f");
//! assert_eq!(torrent.to_bytes(), bytes);
//!
//! // Names are made safe, never refused, and people can be told.
//! let info = torrent.info();
//! assert_eq!(info.disk_path(FileIndex(1)).to_str(), Some("demo/__/passwd"));
//! assert_eq!(torrent.warnings().len(), 2);
//!
//! // Which bytes of which files are in the second piece?
//! let layout = info.layout();
//! let extents = layout.piece_extents(layout.piece_at(16_384).unwrap());
//! let lengths: Vec<u64> = extents.map(|extent| extent.length).collect();
//! assert_eq!(lengths, [20_000 - 16_384, 1]);
//!
//! let magnet: Magnet = torrent.magnet().to_string().parse()?;
//! assert_eq!(magnet.info_hash_v1(), torrent.info_hash_v1());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to do this | start here |
//! | --- | --- |
//! | read a torrent file | [`Metainfo::parse`], [`ParseOptions`] |
//! | read what a peer sent for a magnet | [`Info::parse`], [`Metainfo::from_info`] |
//! | change trackers or the comment | [`Metainfo::edit`] |
//! | read or print a magnet | [`Magnet`] |
//! | make a torrent of parts | [`assemble::Assembly`] |
//! | know where bytes lie | [`Layout`] |
//! | store a file under a name from outside | [`SafePath`] |
//!
//! With the feature `create` (on by default), `create` makes torrents of files and `verify`
//! checks files against them, on all cores. Without it the crate does no I/O and starts no
//! threads.
//!
//! Torrents of version 2 and hybrid ones (BEP 52) are read and checked in full: file tree, roots
//! and piece layers.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod assemble;
mod error;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
mod hash;
mod host_port;
mod index;
mod info;
pub mod lanes;
mod layout;
pub mod limits;
mod magnet;
mod merkle;
mod metainfo;
mod options;
mod path;
mod warning;

#[cfg(feature = "create")]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this room walks directories and hashes on many threads"
)]
pub mod create;
#[cfg(feature = "create")]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this room reads content and hashes on many threads"
)]
pub mod verify;

pub use crate::{
    error::Error,
    hash::{InfoHash, InfoHashV2, ParseHashError, PieceHash},
    host_port::{HostPort, ParseHostPortError},
    index::{BLOCK_SIZE, BlockRef, FileIndex, PieceIndex},
    info::{Attributes, FileEntry, Info, Naming, RawPath, Version},
    layout::{Extent, Extents, Layout, LayoutError, PartsMap},
    magnet::{Magnet, MagnetError, Selection},
    metainfo::{Editor, Metainfo},
    options::ParseOptions,
    path::SafePath,
    warning::Warning,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
