//! Magnet links: enough to find a torrent by its hash (BEP 9, BEP 53).
//!
//! Reads and prints text only; it neither looks for peers nor fetches anything.

mod parse;
mod percent;
mod select;

use std::fmt;
use std::str::FromStr;

use crate::hash::{InfoHash, InfoHashV2, ParseHashError};
use crate::host_port::{HostPort, ParseHostPortError};
use crate::limits::MAX_MAGNET_BYTES;

pub use select::Selection;

/// A magnet link.
///
/// It has at least one info-hash; everything else may be empty and may be changed.
///
/// ```
/// use bt_metainfo::Magnet;
///
/// let mut magnet: Magnet =
///     "magnet:?xt=urn:btih:d2474e86c95b19b8bcfdb92bc12c9d44667cfa36&dn=Leaves+of+Grass".parse()?;
/// assert_eq!(magnet.display_name.as_deref(), Some("Leaves of Grass"));
/// magnet.trackers.push("udp://tracker.example:6969".into());
/// assert_eq!(
///     magnet.to_string(),
///     "magnet:?xt=urn:btih:d2474e86c95b19b8bcfdb92bc12c9d44667cfa36\
///      &dn=Leaves%20of%20Grass&tr=udp%3A%2F%2Ftracker.example%3A6969",
/// );
/// # Ok::<(), bt_metainfo::MagnetError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Magnet {
    /// At least one of the two is there.
    v1: Option<InfoHash>,
    v2: Option<InfoHashV2>,
    /// `dn`: what to call the torrent until its metadata is known. From outside: not a file name.
    pub display_name: Option<String>,
    /// `xl`: bytes of the content.
    pub length: Option<u64>,
    /// `tr`: tracker URLs, without tiers.
    pub trackers: Vec<String>,
    /// `ws`: URLs that serve the content (BEP 19).
    pub web_seeds: Vec<String>,
    /// `xs` and `as`: URLs that may serve the torrent file.
    pub sources: Vec<String>,
    /// `x.pe`: peers to ask first.
    pub peers: Vec<HostPort>,
    /// `so`: the files to download; `None` means all (BEP 53).
    pub select_only: Option<Selection>,
}

impl Magnet {
    /// A magnet for a v1 torrent.
    pub const fn new(info_hash: InfoHash) -> Self {
        Self::with_hashes(Some(info_hash), None)
    }

    /// A magnet for a v2 torrent, or for a hybrid one when both hashes are given.
    pub const fn new_v2(info_hash: InfoHashV2, v1: Option<InfoHash>) -> Self {
        Self::with_hashes(v1, Some(info_hash))
    }

    const fn with_hashes(v1: Option<InfoHash>, v2: Option<InfoHashV2>) -> Self {
        Self {
            v1,
            v2,
            display_name: None,
            length: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            sources: Vec::new(),
            peers: Vec::new(),
            select_only: None,
        }
    }

    /// Reads a magnet link.
    ///
    /// # Errors
    ///
    /// When there is no info-hash, or a hash, peer or file selection is malformed. Unknown
    /// parameters, empty ones and URLs beyond the [`limits`](crate::limits) are left out.
    pub fn parse(text: &str) -> Result<Self, MagnetError> {
        parse::magnet(text)
    }

    /// The hash that handshakes, trackers and the DHT take: the v1 hash, or else the first 20
    /// bytes of the v2 hash.
    pub fn info_hash(&self) -> InfoHash {
        self.v1
            .or(self.v2.map(|hash| hash.truncated()))
            .expect("a magnet has at least one hash")
    }

    /// `xt=urn:btih:`, the v1 hash.
    pub const fn info_hash_v1(&self) -> Option<InfoHash> {
        self.v1
    }

    /// `xt=urn:btmh:`, the v2 hash (BEP 52).
    pub const fn info_hash_v2(&self) -> Option<InfoHashV2> {
        self.v2
    }
}

impl From<InfoHash> for Magnet {
    fn from(info_hash: InfoHash) -> Self {
        Self::new(info_hash)
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, MagnetError> {
        Self::parse(text)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "magnet:?";
        let mut put = |key: &str, value: &dyn fmt::Display| {
            let result = write!(f, "{separator}{key}={value}");
            separator = "&";
            result
        };
        if let Some(hash) = self.v1 {
            put("xt", &format_args!("urn:btih:{hash}"))?;
        }
        if let Some(hash) = self.v2 {
            put(
                "xt",
                &format_args!("urn:btmh:{}{hash}", parse::SHA256_MULTIHASH),
            )?;
        }
        if let Some(name) = &self.display_name {
            put("dn", &percent::Encoded(name))?;
        }
        if let Some(length) = self.length {
            put("xl", &length)?;
        }
        for (key, values) in [
            ("tr", &self.trackers),
            ("ws", &self.web_seeds),
            ("xs", &self.sources),
        ] {
            for value in values {
                put(key, &percent::Encoded(value))?;
            }
        }
        for peer in &self.peers {
            put("x.pe", peer)?;
        }
        match &self.select_only {
            Some(selection) if !selection.is_empty() => put("so", selection),
            _ => Ok(()),
        }
    }
}

/// A text that is not a usable magnet link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// The text does not start with `magnet:?`.
    #[error("a magnet link starts with \"magnet:?\"")]
    NotMagnet,
    /// The text is longer than any real link.
    #[error("the magnet link has {found} bytes, more than the {MAX_MAGNET_BYTES} allowed")]
    TooLong {
        /// Bytes found.
        found: usize,
    },
    /// No `xt` parameter at all.
    #[error("the magnet link has no \"xt\" parameter with an info-hash")]
    NoHash,
    /// All `xt` parameters name hashes of other networks.
    #[error("\"xt\" is {found:?}, but only urn:btih: and urn:btmh: name torrents")]
    OtherNetwork {
        /// The first of them, cut.
        found: String,
    },
    /// An info-hash is malformed.
    #[error("\"xt\": {0}")]
    Hash(#[from] ParseHashError),
    /// A v2 hash is not a SHA-256 multihash.
    #[error("\"xt\": a v2 hash starts with 1220, for SHA-256 of 32 bytes, this with {found:?}")]
    Multihash {
        /// The first four characters found.
        found: String,
    },
    /// Two `xt` parameters of one kind differ.
    #[error("\"xt\" names two different {kind} torrents")]
    Conflict {
        /// `v1` or `v2`.
        kind: &'static str,
    },
    /// An `x.pe` parameter is not a peer.
    #[error("\"x.pe\" is {value:?}: {cause}")]
    Peer {
        /// The value, cut.
        value: String,
        /// What is wrong with it.
        cause: ParseHostPortError,
    },
    /// The `so` parameter is not a list of file numbers.
    #[error("\"so\" holds {value:?}, which is not a file number or a range such as 6-8")]
    Select {
        /// The offending part, cut.
        value: String,
    },
}

#[cfg(test)]
mod tests;
