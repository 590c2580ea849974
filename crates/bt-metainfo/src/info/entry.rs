//! One file of a torrent.

use std::fmt;
use std::path::Path;

use bt_bencode::Encoder;

use crate::path::SafePath;

/// A file as the torrent describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// Where the file lies: below the torrent's name if there is a directory, else the name.
    pub path: SafePath,
    /// The path as it stands in the torrent.
    pub original: RawPath,
    /// Whether `path` is not what the torrent says.
    pub renamed: bool,
    /// Bytes.
    pub length: u64,
    /// What kind of file it is.
    pub attributes: Attributes,
    /// MD5 of the file as 32 hexadecimal digits in lower case (BEP 3 extension); only a hint.
    pub md5sum: Option<Box<str>>,
    /// SHA-1 of the file (BEP 47); only a hint.
    pub sha1: Option<Box<[u8; 20]>>,
    /// Root of the file's hash tree in v2 and hybrid torrents, if it is not empty (BEP 52).
    pub pieces_root: Option<[u8; 32]>,
    /// Where the file lies if its names are taken as they are; see `Info::native_path`.
    pub(crate) native: Option<Box<Path>>,
}

/// The attributes of a file (BEP 47).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attributes {
    /// `p`: zeros that are neither stored nor asked for.
    pub pad: bool,
    /// `x`: may be executed.
    pub executable: bool,
    /// `h`: not shown by default.
    pub hidden: bool,
    /// `l`: the file is a link to another file or directory of this torrent, given by its path
    /// below the torrent's directory. Links that leave the torrent, dangle or go in circles are
    /// dropped with a warning.
    pub symlink: Option<SafePath>,
}

impl Attributes {
    /// Reads the letters of `attr`; unknown ones mean nothing. The second value is whether `l`
    /// is among them.
    pub(crate) fn from_letters(letters: &[u8]) -> (Self, bool) {
        let has = |letter| letters.contains(&letter);
        let attributes = Self {
            pad: has(b'p'),
            executable: has(b'x'),
            hidden: has(b'h'),
            symlink: None,
        };
        (attributes, has(b'l'))
    }
}

/// A path exactly as a torrent has it: any bytes, and not safe to use.
///
/// Its text form joins the names with `/` and replaces what is not UTF-8; show it to people
/// escaped, and store files under [`FileEntry::path`].
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct RawPath {
    /// A bencoded list of strings, which takes less room than one vector for each name.
    list: Box<[u8]>,
}

impl RawPath {
    /// The names in order.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let list = bt_bencode::parse(&self.list)
            .ok()
            .and_then(bt_bencode::Value::as_list);
        list.into_iter()
            .flatten()
            .filter_map(bt_bencode::Value::as_bytes)
    }

    /// Keeps the bytes of a list that holds only strings.
    pub(crate) fn from_list(list: bt_bencode::List<'_>) -> Self {
        Self {
            list: list.raw().into(),
        }
    }

    pub(crate) fn from_names<'a>(
        names: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, bt_bencode::Error> {
        let mut encoder = Encoder::new();
        encoder.list(|list| names.into_iter().try_for_each(|name| list.bytes(name)))?;
        Ok(Self {
            list: encoder.finish().into(),
        })
    }
}

impl fmt::Display for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.components().enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            f.write_str(&String::from_utf8_lossy(name))?;
        }
        Ok(())
    }
}

impl fmt::Debug for RawPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
