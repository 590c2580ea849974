//! Torrent files, magnets, info-hashes and piece layout.

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

pub use error::Error;
pub use hash::{InfoHash, InfoHashV2, ParseHashError, PieceHash};
pub use host_port::{HostPort, ParseHostPortError};
pub use index::{BLOCK_SIZE, BlockRef, FileIndex, PieceIndex};
pub use info::{Attributes, FileEntry, Info, RawPath, Version};
pub use layout::{Extent, Extents, Layout, LayoutError};
pub use magnet::{Magnet, MagnetError, Selection};
pub use metainfo::{Editor, Metainfo};
pub use options::ParseOptions;
pub use path::SafePath;
pub use warning::Warning;
