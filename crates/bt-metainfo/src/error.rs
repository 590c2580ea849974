//! Why bytes are not a torrent, and what in them is to blame.

use crate::layout::LayoutError;

/// A torrent that cannot be used, or parts that make none.
///
/// Each variant is one cause; its text names the key or file, the place and what was found.
/// Offsets count bytes from the start of what was parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is larger than the caller allows.
    #[error("the torrent has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes found.
        found: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The bytes are not bencode, or not the dictionary that a torrent is.
    #[error("not a torrent: {0}")]
    Bencode(bt_bencode::Error),
    /// Bytes follow an info dictionary that should stand alone.
    #[error("byte {offset}: {count} bytes follow the info dictionary")]
    TrailingBytes {
        /// Where they start.
        offset: usize,
        /// How many there are.
        count: usize,
    },
    /// A value that cannot be done without is missing or of the wrong type.
    #[error("{place}: {error}")]
    Field {
        /// The dictionary that should hold it, for example `info.files[3]`.
        place: String,
        /// Which key, where, and what is wrong.
        error: bt_bencode::Error,
    },
    /// There are two `info` dictionaries, so that the torrent has two identities.
    #[error("byte {offset}: key \"info\" appears twice")]
    TwoInfos {
        /// Where the second one is.
        offset: usize,
    },
    /// The torrent is of a version that this crate does not know (BEP 52).
    #[error("info: \"meta version\" is {found}, but only version 2 is known")]
    Version {
        /// The version found.
        found: i64,
    },
    /// A `file tree` without the `meta version` that says how to read it (BEP 52).
    #[error(
        "info: there is a \"file tree\" but no \"meta version\", nor piece hashes of version 1"
    )]
    TreeWithoutVersion,
    /// The torrent has not a single file.
    #[error("info: the torrent has no files")]
    NoFiles,
    /// Lengths that make no torrent.
    #[error("info: {0}")]
    Layout(#[from] LayoutError),
    /// The piece length of a v2 torrent is not a power of two from 16 KiB up (BEP 52).
    #[error("info: \"piece length\" is {found}, but version 2 needs a power of two from 16384 up")]
    PieceLengthV2 {
        /// Bytes found.
        found: u32,
    },
    /// The `pieces` string is not a row of whole SHA-1 hashes.
    #[error("info: \"pieces\" has {found} bytes, which is not a multiple of 20")]
    PiecesLength {
        /// Bytes found.
        found: usize,
    },
    /// The piece hashes do not cover the content exactly.
    #[error("info: \"pieces\" has {found} hashes, but the files need {expected}")]
    PieceCount {
        /// Pieces that the lengths ask for.
        expected: u32,
        /// Hashes found.
        found: usize,
    },
    /// The `file tree` breaks a rule of BEP 52.
    #[error("byte {offset}: info.file tree: {path:?}: {reason}")]
    FileTree {
        /// Where in the torrent.
        offset: usize,
        /// The place in the tree, joined by `/`, cut if long.
        path: String,
        /// The rule.
        reason: &'static str,
    },
    /// The `piece layers` lack a file or do not fit its root (BEP 52).
    #[error("piece layers: file {file} ({path:?}): {reason}")]
    PieceLayers {
        /// Number of the file in the torrent.
        file: u32,
        /// Its path, cut if long.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The two descriptions in a hybrid torrent are of different content (BEP 52).
    #[error("hybrid torrent: file {file} ({path:?}): {reason}")]
    Hybrid {
        /// Number of the file in the v1 list.
        file: u32,
        /// Its path, cut if long.
        path: String,
        /// What differs.
        reason: &'static str,
    },
    /// A name for a new torrent is one that readers would have to replace.
    #[error("the name {name:?} cannot stand in a torrent: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A URL for a new or edited torrent is one that readers would leave out.
    #[error("the URL {url:?} cannot stand in a torrent: {reason}")]
    Url {
        /// The URL, cut if long.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Error {
    /// Names the dictionary in which a value was looked for.
    pub(crate) fn field(place: impl Into<String>) -> impl FnOnce(bt_bencode::Error) -> Self {
        let place = place.into();
        move |error| Self::Field { place, error }
    }
}

/// Characters of a name or URL that an error or warning repeats.
const MAX_SHOWN: usize = 100;

/// The beginning of a text from outside, for messages.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", text.split_at(end).0),
        None => text.to_owned(),
    }
}
