//! Paths that some file system would take for the same file get numbers.
//!
//! Knows paths only, not what lies at them. Costs O(n log n) whatever the paths are.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use sha1::{Digest, Sha1};
use unicode_normalization::UnicodeNormalization;

use super::{SafePath, component};
use crate::limits::MAX_COMPONENT_BYTES;

/// Bytes kept free for ` (n)` behind a stem: enough for any number of files that is allowed.
const NUMBER_ROOM: usize = " (1000001)".len();

/// Makes all paths different in every file system, and no file's path the directory of another's.
///
/// Of files that share a path the first keeps it and the others become `name (2).ext`,
/// `name (3).ext` and so on, in order. A file that stands where others need a directory always
/// gives way. No path becomes longer than `room` bytes. Paths whose index is `ignored`
/// neither give way nor are in the way. Returns the indexes of the paths that were changed, in
/// ascending order.
pub(crate) fn resolve(
    paths: &mut [SafePath],
    room: usize,
    ignored: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let keys: Vec<Box<str>> = paths.iter().map(|path| key(path.as_str())).collect();
    let mut sorted: Vec<(&str, usize)> = keys
        .iter()
        .enumerate()
        .filter(|&(i, _)| !ignored(i))
        .map(|(i, k)| (&**k, i))
        .collect();
    sorted.sort_unstable();

    let mut losers = Vec::new();
    let mut rest = sorted.as_slice();
    while let Some(&(key, _)) = rest.first() {
        let (group, behind) = rest.split_at(rest.partition_point(|&(other, _)| other == key));
        let is_directory = behind
            .first()
            .is_some_and(|&(other, _)| is_below(other, key));
        losers.extend(
            group
                .iter()
                .skip(usize::from(!is_directory))
                .map(|&(_, index)| index),
        );
        rest = behind;
    }
    losers.sort_unstable();

    // Numbers go on where the last file of the same stem stopped, so that many equal names do
    // not try each other's.
    let mut next: BTreeMap<Box<str>, usize> = BTreeMap::new();
    let mut given: BTreeSet<Box<str>> = BTreeSet::new();
    for &index in &losers {
        let Some(path) = paths.get_mut(index) else {
            continue;
        };
        let base = Numbered::new(path, room);
        let number = next.entry(base.key()).or_insert(2);
        loop {
            let candidate = base.with(*number);
            *number += 1;
            let key = key(candidate.as_str());
            if !is_taken(&sorted, &key) && given.insert(key) {
                *path = candidate;
                break;
            }
        }
    }
    losers
}

/// The text under which file systems that ignore case and Unicode forms may find a name.
pub(super) fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(simple_fold).nfc().collect()
}

/// A short name for something that cannot have its own, ended by `-`.
pub(super) fn tag(digest: &[u8; 20]) -> String {
    let mut tag = HEXLOWER.encode(digest.split_at(8).0);
    tag.push('-');
    tag
}

/// Lower case by way of upper case, which also joins letters with two lower forms such as `ς`.
/// Letters whose other case is longer keep their own, as in the tables of file systems.
fn simple_fold(c: char) -> impl Iterator<Item = char> {
    let mut upper = c.to_uppercase();
    let single = match (upper.next(), upper.next()) {
        (Some(single), None) => single,
        _ => c,
    };
    single.to_lowercase()
}

/// Folds a path for comparison. No name holds a NUL, so with NUL for a separator everything
/// below a directory sorts right behind it.
fn key(path: &str) -> Box<str> {
    folded(path).replace('/', "\0").into()
}

fn is_below(key: &str, directory: &str) -> bool {
    key.strip_prefix(directory)
        .is_some_and(|rest| rest.starts_with('\0'))
}

/// Whether a file or a directory of the torrent has this key.
fn is_taken(sorted: &[(&str, usize)], key: &str) -> bool {
    let place = sorted.partition_point(|&(other, _)| other < key);
    sorted
        .get(place)
        .is_some_and(|&(other, _)| other == key || is_below(other, key))
}

/// A path with a place for a number.
struct Numbered {
    /// Ends with a separator, or is empty.
    directory: String,
    stem: String,
    extension: String,
}

impl Numbered {
    fn new(path: &SafePath, room: usize) -> Self {
        let path = path.as_str();
        let (directory, name) = path
            .rfind('/')
            .map_or(("", path), |slash| path.split_at(slash + 1));
        if path.len() + NUMBER_ROOM > room {
            // There is no room in this directory: the file goes up, behind a hash of its path.
            let digest: [u8; 20] = Sha1::digest(path.as_bytes()).into();
            return Self::split("", &component::with_prefix(&tag(&digest), name));
        }
        Self::split(directory, name)
    }

    fn split(directory: &str, name: &str) -> Self {
        let (stem, extension) = component::split_extension(name);
        let room = MAX_COMPONENT_BYTES - NUMBER_ROOM - extension.len();
        Self {
            directory: directory.to_owned(),
            stem: component::head(stem, room).to_owned(),
            extension: extension.to_owned(),
        }
    }

    fn key(&self) -> Box<str> {
        let Self {
            directory,
            stem,
            extension,
        } = self;
        key(&format!("{directory}{stem}\0{extension}"))
    }

    fn with(&self, number: usize) -> SafePath {
        let Self {
            directory,
            stem,
            extension,
        } = self;
        SafePath(format!("{directory}{stem} ({number}){extension}").into())
    }
}
