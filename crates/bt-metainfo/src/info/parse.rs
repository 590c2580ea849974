//! From an info dictionary to an [`Info`]: both versions meet here.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bt_bencode::{Dict, Irregularities, Value};

use super::draft::Draft;
use super::entry::{Attributes, FileEntry, RawPath};
use super::{Info, Version, links, v1, v2};
use crate::error::Error;
use crate::hash::{InfoHash, InfoHashV2};
use crate::index::{BLOCK_SIZE, FileIndex};
use crate::layout::{Layout, LayoutError};
use crate::limits::{MAX_PATH_BYTES, MAX_TEXT_BYTES};
use crate::path::{self, SafePath};
use crate::warning::{Warning, Warnings};

/// Reads an info dictionary that lies inside `source`.
///
/// `irregularities` are those of the dictionary alone, for its own warnings; a caller that has
/// told them already passes none.
pub(crate) fn parse(
    source: &Arc<[u8]>,
    dict: Dict<'_>,
    irregularities: &Irregularities,
) -> Result<Info, Error> {
    let mut warnings = Warnings::default();
    warn_of_keys(irregularities, &mut warnings);

    let version = version(dict, &mut warnings)?;
    let piece_length = piece_length(dict, version, &mut warnings)?;
    let original_name = name(dict)?;
    let mut files = match version {
        Version::V2 => {
            let mut files = v2::files(dict, &mut warnings)?;
            files.single = v2::is_single(&files.drafts, original_name);
            files
        }
        Version::V1 => v1::files(dict, original_name, &mut warnings)?,
        Version::Hybrid => {
            let mut files = v1::files(dict, original_name, &mut warnings)?;
            // Whatever the tree says of attributes, the list has said before.
            let tree = v2::files(dict, &mut Warnings::default())?;
            v2::join(&mut files, tree.drafts, piece_length)?;
            files
        }
    };
    let lengths = files
        .drafts
        .iter()
        .map(|draft| (draft.length, draft.attributes.pad));
    let layout = match version {
        Version::V2 => Layout::piece_aligned(piece_length, lengths)?,
        Version::V1 | Version::Hybrid => Layout::new(piece_length, lengths)?,
    };
    let pieces = match version {
        Version::V2 => None,
        Version::V1 | Version::Hybrid => Some(pieces(dict, &layout)?),
    };

    let root = SafePath::sanitize([original_name]);
    if !root.is([original_name]) {
        warnings.renamed(None, &String::from_utf8_lossy(original_name), root.as_str());
    }
    let mut native_name = path::native_path([original_name].into_iter(), &root);
    let mut entries = entries(&mut files, &root, &mut warnings);
    if !path::unique_natives(
        entries
            .iter()
            .filter(|entry| !entry.attributes.pad)
            .map(|entry| (entry.native.as_deref(), &entry.path)),
    ) {
        entries.iter_mut().for_each(|entry| entry.native = None);
        native_name = None;
    }

    let start = dict.offset();
    Ok(Info {
        source: Arc::clone(source),
        raw: start..start + dict.raw().len(),
        pieces,
        version,
        v1: (version != Version::V2).then(|| InfoHash::of(dict.raw())),
        v2: (version != Version::V1).then(|| InfoHashV2::of(dict.raw())),
        name: root,
        original_name: original_name.into(),
        native_name,
        single: files.single,
        private: private(dict, &mut warnings),
        source_tag: source_tag(dict, &mut warnings),
        files: entries,
        layout,
        warnings: warnings.finish(),
    })
}

/// Warns of keys that strict parsing would have refused.
pub(crate) fn warn_of_keys(irregularities: &Irregularities, warnings: &mut Warnings) {
    let unsorted = irregularities.unsorted_keys;
    if let Some(offset) = unsorted.first {
        warnings.push(Warning::UnsortedKeys {
            count: unsorted.count,
            offset,
        });
    }
    let duplicate = irregularities.duplicate_keys;
    if let Some(offset) = duplicate.first {
        warnings.push(Warning::DuplicateKeys {
            count: duplicate.count,
            offset,
        });
    }
}

/// Which versions a dictionary is for. BEP 52 asks to look at `meta version` before all else.
fn version(dict: Dict<'_>, warnings: &mut Warnings) -> Result<Version, Error> {
    let has_pieces = dict.get("pieces").is_some();
    match dict.opt_int("meta version").map_err(Error::field("info"))? {
        None if dict.get("file tree").is_none() => Ok(Version::V1),
        None if has_pieces => {
            warnings.ignored("info.file tree", "there is no \"meta version\"");
            Ok(Version::V1)
        }
        None => Err(Error::TreeWithoutVersion),
        Some(2) if has_pieces => Ok(Version::Hybrid),
        Some(2) => Ok(Version::V2),
        // BEP 52 gives this number to nothing, but its meaning is plain.
        Some(1) if has_pieces => {
            warnings.ignored("info.meta version", "version 1 has no such key");
            Ok(Version::V1)
        }
        Some(found) => Err(Error::Version { found }),
    }
}

fn piece_length(dict: Dict<'_>, version: Version, warnings: &mut Warnings) -> Result<u32, Error> {
    let found = dict.u64("piece length").map_err(Error::field("info"))?;
    let length = u32::try_from(found).map_err(|_| LayoutError::PieceLength { found })?;
    if length == 0 || !length.is_power_of_two() || length < BLOCK_SIZE {
        match version {
            Version::V1 => warnings.push(Warning::PieceLength { found: length }),
            Version::V2 | Version::Hybrid => return Err(Error::PieceLengthV2 { found: length }),
        }
    }
    Ok(length)
}

/// The name in UTF-8 if there is one, because the other may be in any encoding.
fn name<'a>(dict: Dict<'a>) -> Result<&'a [u8], Error> {
    match dict.get("name.utf-8").map(Value::str) {
        Some(Ok(name)) if !name.is_empty() => Ok(name.as_bytes()),
        _ => dict.bytes("name").map_err(Error::field("info")),
    }
}

/// Finds the piece hashes and checks that they cover the content exactly.
fn pieces(dict: Dict<'_>, layout: &Layout) -> Result<Range<usize>, Error> {
    let value = dict.bytes("pieces").map_err(Error::field("info"))?;
    let found = value.len();
    if !found.is_multiple_of(20) {
        return Err(Error::PiecesLength { found });
    }
    let expected = layout.piece_count();
    if usize::try_from(expected) != Ok(found / 20) {
        return Err(Error::PieceCount {
            expected,
            found: found / 20,
        });
    }
    // The string ends where its value does.
    let end = dict
        .get("pieces")
        .map_or(0, |value| value.offset() + value.raw().len());
    Ok(end - found..end)
}

/// Makes the paths of all files safe and different.
fn entries(files: &mut v1::Files, root: &SafePath, warnings: &mut Warnings) -> Box<[FileEntry]> {
    let drafts = &mut files.drafts;
    let room = if files.single {
        MAX_PATH_BYTES
    } else {
        MAX_PATH_BYTES - root.as_str().len() - 1
    };
    let is_pad: Vec<bool> = drafts.iter().map(|draft| draft.attributes.pad).collect();
    let mut paths: Vec<SafePath> = drafts
        .iter()
        .map(|draft| wanted_path(draft, room))
        .collect();
    // Links name their targets by these paths; few torrents have any.
    let has_links = drafts.iter().any(|draft| draft.link.is_some());
    let wanted = has_links.then(|| paths.clone());
    path::resolve(&mut paths, room, |i| is_pad.get(i) == Some(&true));

    let mut entries = Vec::with_capacity(paths.len());
    for ((number, draft), path) in (0..).zip(&mut *drafts).zip(paths) {
        let original = std::mem::take(&mut draft.path);
        let renamed = !path.is(original.components());
        let mut native = None;
        if renamed && !draft.attributes.pad {
            native = path::native_path(original.components(), &path);
            // A single file is the torrent's name, of which people have been told.
            if !files.single {
                warnings.renamed(
                    Some(FileIndex(number)),
                    &original.to_string(),
                    path.as_str(),
                );
            }
        }
        entries.push(entry(draft, path, original, renamed, native));
    }
    if let Some(wanted) = wanted {
        links::resolve(&mut entries, drafts, &wanted, warnings);
    }
    entries.into()
}

fn wanted_path(draft: &Draft, room: usize) -> SafePath {
    if draft.attributes.pad && draft.path.is_empty() {
        // BEP 47 lets pad files do without a path and recommends this one.
        let length = draft.length.to_string();
        return SafePath::sanitize([b".pad", length.as_bytes()]);
    }
    SafePath::sanitize_within(draft.path.components(), room)
}

fn entry(
    draft: &mut Draft,
    path: SafePath,
    original: RawPath,
    renamed: bool,
    native: Option<Box<Path>>,
) -> FileEntry {
    FileEntry {
        path,
        original,
        renamed,
        length: draft.length,
        attributes: Attributes {
            symlink: None,
            ..draft.attributes
        },
        md5sum: draft.md5sum.take(),
        sha1: draft.sha1.take(),
        pieces_root: draft.pieces_root,
        native,
    }
}

/// Any sign of privacy counts: to leak a private torrent's peers is worse than to find fewer.
fn private(dict: Dict<'_>, warnings: &mut Warnings) -> bool {
    let Some(value) = dict.get("private") else {
        return false;
    };
    match (value.as_int(), value.as_bytes()) {
        (Some(number), _) => number != 0,
        (_, Some(b"0" | b"")) => false,
        _ => {
            warnings.ignored(
                "info.private",
                "it is not a number, so the torrent counts as private",
            );
            true
        }
    }
}

fn source_tag(dict: Dict<'_>, warnings: &mut Warnings) -> Option<String> {
    let source = dict.get("source")?;
    match source.as_bytes() {
        Some(text) if text.len() <= MAX_TEXT_BYTES => {
            Some(String::from_utf8_lossy(text).into_owned())
        }
        Some(_) => {
            warnings.ignored("info.source", "it is too long");
            None
        }
        None => {
            warnings.ignored("info.source", "it is not a string");
            None
        }
    }
}
