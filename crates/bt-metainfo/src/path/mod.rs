//! Names from outside made into paths that stay where they belong.
//!
//! Every path that this crate hands out is a [`SafePath`], and only this room makes them. Odd
//! names are replaced, never refused: a torrent with a strange file still loads. The room knows
//! nothing of disks, so the same names give the same paths on every machine, with one exception:
//! `< > : " | ? *` are kept where the file system takes them and replaced on Windows.

mod collisions;
mod component;
mod native;

use std::fmt;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use crate::limits::{MAX_PATH_BYTES, MAX_PATH_DEPTH};

pub(crate) use collisions::resolve;
pub(crate) use native::{native_path, unique_natives};

/// A relative path of at least one name that cannot leave the directory it is joined to.
///
/// No name in it is empty, `.` or `..`; none holds a separator of any system, a NUL or another
/// control character, ends with a dot or space, stands for a device on Windows, or has more than
/// [`MAX_COMPONENT_BYTES`](crate::limits::MAX_COMPONENT_BYTES). The names are `/`-joined in its
/// text form.
///
/// ```
/// use bt_metainfo::SafePath;
///
/// let odd: [&[u8]; 3] = [b"..", b"CON.txt", b"a/b\0"];
/// assert_eq!(SafePath::sanitize(odd).to_string(), "__/CON_.txt/a_b_");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SafePath(Box<str>);

impl SafePath {
    /// Makes a safe path of any names; the same names always give the same path.
    ///
    /// Each name becomes one name: what cannot stand is replaced by `_`, bytes that are not UTF-8
    /// by `%` and two hexadecimal digits. Without any name the path is `_`. A path of more than
    /// [`MAX_PATH_BYTES`] or [`MAX_PATH_DEPTH`] becomes its last name behind a hash of the whole.
    pub fn sanitize<'a>(names: impl IntoIterator<Item = &'a [u8]>) -> Self {
        Self::sanitize_within(names, MAX_PATH_BYTES)
    }

    /// As [`SafePath::sanitize`] with room for no more than `room` bytes.
    pub(crate) fn sanitize_within<'a>(
        names: impl IntoIterator<Item = &'a [u8]>,
        room: usize,
    ) -> Self {
        let mut joined = String::new();
        let mut depth = 0_usize;
        let mut last: &[u8] = b"";
        let mut whole = Sha1::new();
        for name in names {
            // The length keeps [ab, c] and [a, bc] apart.
            whole.update((name.len() as u64).to_be_bytes());
            whole.update(name);
            last = name;
            depth += 1;
            if depth <= MAX_PATH_DEPTH && joined.len() <= room {
                if depth > 1 {
                    joined.push('/');
                }
                joined.push_str(&component::sanitize(name));
            }
        }
        if depth == 0 {
            return Self("_".into());
        }
        if depth <= MAX_PATH_DEPTH && joined.len() <= room {
            return Self(joined.into());
        }
        let digest: [u8; 20] = whole.finalize().into();
        let name = component::sanitize(last);
        Self(component::with_prefix(&collisions::tag(&digest), &name).into())
    }

    /// The names in order.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last name.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The `/`-joined text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path in the form of the running system; relative.
    pub fn to_path_buf(&self) -> PathBuf {
        self.components().collect()
    }

    /// The path below a directory.
    pub fn below(&self, directory: &Path) -> PathBuf {
        let mut path = directory.to_path_buf();
        path.extend(self.components());
        path
    }

    /// Whether the path is exactly these names, so that nothing was replaced.
    pub(crate) fn is<'a>(&self, names: impl IntoIterator<Item = &'a [u8]>) -> bool {
        self.components().map(str::as_bytes).eq(names)
    }
}

impl fmt::Display for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for SafePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for SafePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
