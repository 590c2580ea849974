//! The torrent file: an info dictionary, and where to look for peers.
//!
//! Keeps the bytes it was read from, so that what it does not know is never lost.

mod edit;
pub(crate) mod encoded;
mod layers;
mod lists;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bt_bencode::{Dict, Irregularities};

use crate::error::Error;
use crate::hash::{InfoHash, InfoHashV2};
use crate::host_port::HostPort;
use crate::index::FileIndex;
use crate::info::{self, Info};
use crate::magnet::Magnet;
use crate::options::ParseOptions;
use crate::warning::{Warning, Warnings};

pub use edit::Editor;

/// A torrent file that has been read and checked.
///
/// Real torrents are read with patience: what is odd but harmless is worked around and told in
/// [`warnings`](Self::warnings). What could make two programs disagree about the content, or
/// costs out of proportion, is an error.
///
/// ```
/// use bt_metainfo::Metainfo;
///
/// let bytes = b"d8:announce20:http://t.example/ann4:infod6:lengthi5e4:name9:hello.txt\
///               12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
/// let torrent = Metainfo::parse(bytes)?;
/// assert_eq!(torrent.info().name(), "hello.txt");
/// assert_eq!(torrent.info_hash().to_string(), "437508178ef8f5a1abf3d9a5f3fd797f28a4d86e");
/// assert_eq!(torrent.trackers(), [["http://t.example/ann"]]);
/// assert_eq!(torrent.to_bytes(), bytes);
/// # Ok::<(), bt_metainfo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Metainfo {
    source: Arc<[u8]>,
    info: Arc<Info>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    http_seeds: Vec<String>,
    nodes: Vec<HostPort>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
    encoding: Option<String>,
    /// Layers of hashes by the root they belong to, as places in `source`; checked.
    piece_layers: BTreeMap<[u8; 32], Range<usize>>,
    /// Whether every file that needs a layer has it.
    layers_known: bool,
    warnings: Vec<Warning>,
}

impl Metainfo {
    /// Reads a torrent file of at most [`MAX_FILE_BYTES`](crate::limits::MAX_FILE_BYTES).
    ///
    /// # Errors
    ///
    /// When the bytes are no torrent, or one that passes the [`limits`](crate::limits). The error
    /// names the key or file and the place.
    pub fn parse(torrent: &[u8]) -> Result<Self, Error> {
        ParseOptions::default().parse(torrent)
    }

    /// Makes a torrent of nothing but an info dictionary, as after a magnet (BEP 9).
    ///
    /// Trackers and the rest can be added with [`edit`](Self::edit).
    pub fn from_info(info: Info) -> Self {
        let mut source = b"d4:info".to_vec();
        source.extend_from_slice(info.raw());
        source.push(b'e');
        let warnings = info.warnings().to_vec();
        Self {
            source: source.into(),
            info: Arc::new(info),
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            http_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date: None,
            encoding: None,
            piece_layers: BTreeMap::new(),
            layers_known: false,
            warnings,
        }
    }

    pub(crate) fn from_source(
        source: &Arc<[u8]>,
        options: bt_bencode::Options,
        layers_required: bool,
    ) -> Result<Self, Error> {
        let parsed = options.parse(source).map_err(Error::Bencode)?;
        let root = parsed.value.dict().map_err(Error::Bencode)?;
        let mut infos = root.iter().filter(|(key, _)| *key == b"info");
        if let (Some(_), Some((_, second))) = (infos.next(), infos.next()) {
            return Err(Error::TwoInfos {
                offset: second.offset(),
            });
        }
        let dict = root.dict("info").map_err(Error::field("torrent"))?;

        let mut warnings = Warnings::default();
        info::warn_of_keys(&parsed.irregularities, &mut warnings);
        let trailing = parsed.irregularities.trailing_bytes;
        if let Some(offset) = trailing.first {
            warnings.push(Warning::TrailingBytes {
                count: trailing.count,
                offset,
            });
        }
        let info = info::parse(source, dict, &Irregularities::default())?;
        info.warnings()
            .iter()
            .cloned()
            .for_each(|warning| warnings.push(warning));
        let layers_known = layers_required || root.get("piece layers").is_some();
        let piece_layers = if layers_known {
            layers::checked(root, &info, &mut warnings)?
        } else {
            BTreeMap::new()
        };
        Ok(Self {
            source: Arc::clone(source),
            info: Arc::new(info),
            trackers: lists::trackers(root, &mut warnings),
            web_seeds: lists::urls(root, "url-list", &mut warnings),
            http_seeds: lists::urls(root, "httpseeds", &mut warnings),
            nodes: lists::nodes(root, &mut warnings),
            comment: lists::text(root, "comment", &mut warnings),
            created_by: lists::text(root, "created by", &mut warnings),
            creation_date: creation_date(root, &mut warnings),
            encoding: lists::text(root, "encoding", &mut warnings),
            piece_layers,
            layers_known,
            warnings: warnings.finish(),
        })
    }

    /// What the files are.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The same without borrowing, for those who outlive this value.
    pub fn shared_info(&self) -> Arc<Info> {
        Arc::clone(&self.info)
    }

    /// The hash of handshakes, trackers and the DHT: that of v1, or else the first 20 bytes of
    /// that of v2.
    pub fn info_hash(&self) -> InfoHash {
        self.info.info_hash()
    }

    /// The v1 hash; `None` in a v2 torrent.
    pub fn info_hash_v1(&self) -> Option<InfoHash> {
        self.info.info_hash_v1()
    }

    /// The v2 hash; `None` in a v1 torrent.
    pub fn info_hash_v2(&self) -> Option<InfoHashV2> {
        self.info.info_hash_v2()
    }

    /// Tracker URLs in tiers, none of which is empty (BEP 12).
    ///
    /// They are those of `announce-list` if it has any, else that of `announce`.
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.trackers
    }

    /// URLs that serve the content over HTTP or FTP (`url-list`, BEP 19).
    pub fn web_seeds(&self) -> &[String] {
        &self.web_seeds
    }

    /// URLs of scripts that serve pieces (`httpseeds`, BEP 17).
    pub fn http_seeds(&self) -> &[String] {
        &self.http_seeds
    }

    /// DHT nodes to start from (BEP 5).
    pub fn nodes(&self) -> &[HostPort] {
        &self.nodes
    }

    /// Free text for people.
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The program that made the torrent.
    pub fn created_by(&self) -> Option<&str> {
        self.created_by.as_deref()
    }

    /// When the torrent was made, in seconds since 1970 in UTC.
    pub const fn creation_date(&self) -> Option<i64> {
        self.creation_date
    }

    /// The encoding that names outside UTF-8 are said to be in. It is not applied.
    pub fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    /// What was odd, in the order in which it was noticed.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The hashes of the pieces of a v2 file, checked against its root (BEP 52).
    ///
    /// `None` for a file of at most one piece, whose root is the only hash; for a v1 torrent; and
    /// when the torrent comes from an info dictionary alone.
    pub fn piece_layer(&self, file: FileIndex) -> Option<&[[u8; 32]]> {
        let entry = self.info.file(file)?;
        if entry.length <= u64::from(self.info.piece_length()) {
            return None;
        }
        let range = self.piece_layers.get(&entry.pieces_root?)?;
        Some(self.source.get(range.clone())?.as_chunks().0)
    }

    /// The torrent file, byte for byte as it was read, unknown keys included.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.source.to_vec()
    }

    /// As [`to_bytes`](Self::to_bytes), without a copy.
    pub fn as_bytes(&self) -> &[u8] {
        &self.source
    }

    /// A magnet with the hashes, name, trackers and web seeds of this torrent.
    pub fn magnet(&self) -> Magnet {
        let mut magnet = match (self.info_hash_v1(), self.info_hash_v2()) {
            (v1, Some(v2)) => Magnet::new_v2(v2, v1),
            (_, None) => Magnet::new(self.info_hash()),
        };
        magnet.display_name = Some(self.info.name().to_owned());
        magnet.length = Some(self.info.layout().content_length());
        magnet.trackers = self.trackers.iter().flatten().cloned().collect();
        magnet.web_seeds.clone_from(&self.web_seeds);
        magnet
    }

    /// Starts an edit that leaves the info dictionary, and so the info-hash, as it is.
    pub fn edit(&self) -> Editor {
        Editor::new(self)
    }
}

/// Equal when the bytes are.
impl PartialEq for Metainfo {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Metainfo {}

fn creation_date(root: Dict<'_>, warnings: &mut Warnings) -> Option<i64> {
    let date = root.get("creation date")?;
    if date.as_int().is_none() {
        warnings.ignored("creation date", "it is not a number");
    }
    date.as_int()
}
