//! One file of a torrent.

use std::fmt;
use std::path::Path;

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
    /// Each name behind its length in four bytes: less room than a vector for each name, and a
    /// torrent may have a million paths.
    names: Box<[u8]>,
}

impl RawPath {
    /// The names in order.
    pub fn components(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest: &[u8] = &self.names;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (name, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(name)
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl<'a> FromIterator<&'a [u8]> for RawPath {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(components: T) -> Self {
        let mut names = Vec::new();
        for name in components {
            // No torrent is as long as a name would have to be to be cut here.
            let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
            names.extend_from_slice(&length.to_be_bytes());
            names.extend_from_slice(name);
        }
        Self {
            names: names.into(),
        }
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
