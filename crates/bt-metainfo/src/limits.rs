//! How large each part of a torrent or magnet may be, and why.
//!
//! Passing a limit is an [`Error`](crate::Error), or a warning where leaving the rest out does no
//! harm. Nothing here is a default that content is measured against at run time: the figures
//! bound what hostile input can make this crate allocate or compute.

/// Bytes of a torrent file: 10 MB, the figure of the most used client.
///
/// [`ParseOptions::max_file_bytes`](crate::ParseOptions::max_file_bytes) raises it.
pub const MAX_FILE_BYTES: usize = 10_000_000;

/// Bencoded items in a torrent file: enough for [`MAX_FILES`] entries of a few fields each only
/// when the file itself is allowed to be that large.
pub const MAX_TOKENS: usize = 3_000_000;

/// Pieces of one torrent: a have-map of 256 KiB, which every peer sends once.
pub const MAX_PIECES: u32 = 1 << 21;

/// Bytes of one piece: 64 MiB, because a piece is held in memory until its hash is known.
pub const MAX_PIECE_LENGTH: u32 = 64 << 20;

/// Bytes of all files together: 1 PiB, far from where sums of 64 bits overflow.
pub const MAX_TOTAL_LENGTH: u64 = 1 << 50;

/// Files of one torrent, pad files and empty files included.
pub const MAX_FILES: usize = 1_000_000;

/// Bytes of one name on disk; file systems allow 255, and clients append suffixes such as `.part`.
pub const MAX_COMPONENT_BYTES: usize = 240;

/// Bytes of a whole path below the download folder, separators included.
pub const MAX_PATH_BYTES: usize = 1_024;

/// Names in one path.
pub const MAX_PATH_DEPTH: usize = 100;

/// Bytes of a file extension that cutting a long name spares, the dot included: kinds of files have
/// shorter ones.
pub const MAX_EXTENSION_BYTES: usize = 20;

/// Bytes of a name that is kept as it is, because content lies there under it: what file systems of
/// Unix allow.
pub const MAX_NATIVE_COMPONENT_BYTES: usize = 255;

/// Bytes of a path that is kept as it is, with a separator for each name: far below the limit of the
/// system.
pub const MAX_NATIVE_PATH_BYTES: usize = 2_048;

/// Bytes of the host of a node, a peer or a tracker: the most that DNS allows.
pub const MAX_HOST_BYTES: usize = 253;

/// Tracker URLs kept, over all tiers.
pub const MAX_TRACKERS: usize = 200;

/// Bytes of one tracker or web-seed URL.
pub const MAX_URL_BYTES: usize = 2_048;

/// Web seeds kept of each kind (BEP 17 and BEP 19).
pub const MAX_WEB_SEEDS: usize = 100;

/// DHT nodes kept (BEP 5).
pub const MAX_NODES: usize = 100;

/// Peer addresses kept from one magnet (`x.pe`).
pub const MAX_MAGNET_PEERS: usize = 100;

/// Bytes of a magnet link.
pub const MAX_MAGNET_BYTES: usize = 64 * 1024;

/// Bytes of a comment, creator, source or encoding name shown to people; the rest is cut.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Warnings kept from one torrent; the last one says how many more there were.
pub const MAX_WARNINGS: usize = 100;
