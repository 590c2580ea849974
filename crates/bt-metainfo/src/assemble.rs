//! From the parts of a torrent to the bytes of its file.
//!
//! Knows nothing of where the parts come from: no disk, no hashing of content. The same parts
//! always give the same bytes.

use bt_bencode::{DictEncoder, Encoder, OwnedValue};

use crate::error::Error;
use crate::hash::{InfoHash, PieceHash};
use crate::host_port::HostPort;
use crate::layout::Layout;
use crate::metainfo::encoded;

/// Everything that goes into a v1 torrent file.
///
/// Only the first part decides the info-hash: [`name`](Self::name), [`content`](Self::content),
/// [`piece_length`](Self::piece_length), [`pieces`](Self::pieces), [`private`](Self::private) and
/// [`source`](Self::source). The info dictionary then holds exactly what other creators write for
/// the same options, so that the info-hash is theirs.
///
/// ```
/// use bt_metainfo::assemble::{Assembly, Content};
///
/// let torrent = Assembly {
///     name: "hello.txt".into(),
///     content: Content::Single { length: 5, md5sum: None },
///     piece_length: 16 * 1024,
///     pieces: vec![[7; 20]],
///     trackers: vec![vec!["http://tracker.example/announce".into()]],
///     ..Assembly::default()
/// };
/// assert!(torrent.to_bytes()?.starts_with(b"d8:announce31:http://tracker.example/announce4:info"));
/// # Ok::<(), bt_metainfo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assembly {
    /// Name of the file, or of the directory that holds the files.
    pub name: String,
    /// The files.
    pub content: Content,
    /// Bytes of a piece, 1 to 64 MiB; other programs expect a power of two from 16 KiB up.
    pub piece_length: u32,
    /// SHA-1 of each piece of the files laid end to end.
    pub pieces: Vec<PieceHash>,
    /// Whether peers may come from the trackers alone (BEP 27). Written only when `true`.
    pub private: bool,
    /// Where the torrent was made, for sites that want info-hashes of their own.
    pub source: Option<String>,

    /// Tracker URLs in tiers (BEP 12). The first one is also `announce`; `announce-list` is
    /// written when there is more than one. Empty tiers are left out.
    pub trackers: Vec<Vec<String>>,
    /// URLs that serve the content over HTTP (BEP 19).
    pub web_seeds: Vec<String>,
    /// URLs of scripts that serve pieces (BEP 17).
    pub http_seeds: Vec<String>,
    /// DHT nodes to start from (BEP 5).
    pub nodes: Vec<HostPort>,
    /// Free text for people.
    pub comment: Option<String>,
    /// The program that made the torrent.
    pub created_by: Option<String>,
    /// Seconds since 1970 in UTC.
    pub creation_date: Option<i64>,
}

/// The files of an [`Assembly`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One file, named by the torrent.
    Single {
        /// Bytes.
        length: u64,
        /// MD5 of the file as 32 hexadecimal digits.
        md5sum: Option<String>,
    },
    /// A directory of any number of files, at least 1.
    Multi(Vec<File>),
}

impl Default for Content {
    fn default() -> Self {
        Self::Multi(Vec::new())
    }
}

/// One file of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Path below the torrent's directory, one name each.
    pub path: Vec<String>,
    /// Bytes.
    pub length: u64,
    /// MD5 of the file as 32 hexadecimal digits.
    pub md5sum: Option<String>,
    /// Attributes of BEP 47 in the order to write them: `p`, `x`, `h`. Empty writes none.
    pub attr: String,
}

impl File {
    /// A plain file.
    pub fn new(path: Vec<String>, length: u64) -> Self {
        Self {
            path,
            length,
            ..Self::default()
        }
    }

    fn write(&self, entry: &mut DictEncoder<'_>) -> bt_bencode::Result<()> {
        if !self.attr.is_empty() {
            entry.bytes("attr", &self.attr)?;
        }
        entry.int("length", self.length)?;
        if let Some(md5sum) = &self.md5sum {
            entry.bytes("md5sum", md5sum)?;
        }
        entry.list("path", |path| {
            self.path.iter().try_for_each(|name| path.bytes(name))
        })
    }
}

impl Assembly {
    /// The bytes of the torrent file: canonical bencoding, the same for the same parts.
    ///
    /// # Errors
    ///
    /// When the parts make no torrent: a limit is passed, a name could be stored nowhere, a URL
    /// holds spaces, or the number of piece hashes does not fit the lengths.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let info = self.info_bytes()?;
        let urls = self
            .trackers
            .iter()
            .flatten()
            .chain(&self.web_seeds)
            .chain(&self.http_seeds);
        urls.into_iter()
            .try_for_each(|url| encoded::require_url(url))?;
        let announce = self
            .trackers
            .iter()
            .flatten()
            .next()
            .map(|url| OwnedValue::from(url.as_str()));
        let http_seeds = Some(&self.http_seeds).filter(|urls| !urls.is_empty());
        let text = |text: &Option<String>| text.as_deref().map(OwnedValue::from);
        let entries = [
            ("announce", announce),
            ("announce-list", encoded::announce_list(&self.trackers)),
            ("comment", text(&self.comment)),
            ("created by", text(&self.created_by)),
            ("creation date", self.creation_date.map(OwnedValue::Int)),
            ("httpseeds", http_seeds.map(|urls| encoded::strings(urls))),
            ("info", None),
            ("nodes", encoded::nodes(&self.nodes)),
            ("url-list", encoded::web_seeds(&self.web_seeds)),
        ];
        let mut encoder = Encoder::new();
        let write = |root: &mut DictEncoder<'_>| {
            entries.iter().try_for_each(|(key, value)| match value {
                Some(value) => root.raw(key, &value.encode()),
                None if *key == "info" => root.raw(key, &info),
                None => Ok(()),
            })
        };
        encoder.dict(write).map_err(Error::Bencode)?;
        Ok(encoder.finish())
    }

    /// The bytes of the info dictionary alone.
    ///
    /// # Errors
    ///
    /// As [`Assembly::to_bytes`].
    pub fn info_bytes(&self) -> Result<Vec<u8>, Error> {
        self.check()?;
        let mut encoder = Encoder::new();
        encoder
            .dict(|info| self.write_info(info))
            .map_err(Error::Bencode)?;
        Ok(encoder.finish())
    }

    /// The info-hash of the torrent.
    ///
    /// # Errors
    ///
    /// As [`Assembly::to_bytes`].
    pub fn info_hash(&self) -> Result<InfoHash, Error> {
        Ok(InfoHash::of(&self.info_bytes()?))
    }

    fn write_info(&self, info: &mut DictEncoder<'_>) -> bt_bencode::Result<()> {
        match &self.content {
            Content::Single { length, md5sum } => {
                info.int("length", *length)?;
                if let Some(md5sum) = md5sum {
                    info.bytes("md5sum", md5sum)?;
                }
            }
            Content::Multi(files) => info.list("files", |list| {
                files
                    .iter()
                    .try_for_each(|file| list.dict(|entry| file.write(entry)))
            })?,
        }
        info.bytes("name", &self.name)?;
        info.int("piece length", self.piece_length)?;
        info.bytes("pieces", self.pieces.as_flattened())?;
        if self.private {
            info.int("private", 1)?;
        }
        if let Some(source) = &self.source {
            info.bytes("source", source)?;
        }
        Ok(())
    }

    /// Refuses parts that make no torrent.
    fn check(&self) -> Result<(), Error> {
        check_name(&self.name)?;
        let layout = match &self.content {
            Content::Single { length, .. } => Layout::new(self.piece_length, [(*length, false)])?,
            Content::Multi(files) => {
                if files.is_empty() {
                    return Err(Error::NoFiles);
                }
                for file in files {
                    if file.path.is_empty() {
                        check_name("")?;
                    }
                    file.path.iter().try_for_each(|name| check_name(name))?;
                }
                let lengths = files
                    .iter()
                    .map(|file| (file.length, file.attr.contains('p')));
                Layout::new(self.piece_length, lengths)?
            }
        };
        let (expected, found) = (layout.piece_count(), self.pieces.len());
        if usize::try_from(expected) == Ok(found) {
            Ok(())
        } else {
            Err(Error::PieceCount { expected, found })
        }
    }
}

/// Refuses names that would leave the directory or that no reader could restore.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it stands for a directory",
        _ if name.contains('/') => "it holds a separator",
        _ if name.contains('\0') => "it holds a NUL",
        _ => return Ok(()),
    };
    Err(Error::Name {
        name: name.into(),
        reason,
    })
}
