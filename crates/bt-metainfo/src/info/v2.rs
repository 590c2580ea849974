//! The file tree of v2 and hybrid torrents (BEP 52), and what makes the two halves of a hybrid
//! torrent the same.

use bt_bencode::{Dict, ErrorKind, Options, Reader, Token};

use super::draft::{Draft, Fields};
use super::v1;
use crate::error::{Error, shown};
use crate::layout::LayoutError;
use crate::limits::MAX_FILES;
use crate::warning::Warnings;

/// How many times the bytes of a tree the paths in it may take.
///
/// A tree names a directory once, a list of paths once for each file below it, so that a small
/// tree can make paths of any size. In real trees, a file costs about as much as its path.
const PATHS_PER_TREE: usize = 4;

/// Bytes that the paths in a tree may always take.
const PATHS_ANYWAY: usize = 64 * 1024;

/// Reads the `file tree` into a list in its order, which is that of the pieces.
///
/// The tree is walked token by token, so that depth costs nothing: its keys must be sorted,
/// whatever else in the torrent is not.
pub(super) fn files(info: Dict<'_>, warnings: &mut Warnings) -> Result<v1::Files, Error> {
    let tree = info.dict("file tree").map_err(Error::field("info"))?;
    let mut walk = Walk {
        base: tree.offset(),
        raw: tree.raw(),
        names: Vec::new(),
        drafts: Vec::new(),
        room: PATHS_PER_TREE * tree.raw().len() + PATHS_ANYWAY,
    };
    walk.run(warnings)?;
    let drafts = walk.drafts;
    if drafts.is_empty() {
        return Err(Error::NoFiles);
    }
    Ok(v1::Files {
        drafts,
        single: false,
    })
}

/// Whether a tree is that of a single file: one file, at the top, under the torrent's name.
pub(super) fn is_single(drafts: &[Draft], name: &[u8]) -> bool {
    matches!(drafts, [only] if only.path.components().eq([name]))
}

/// Compares the v1 list of a hybrid torrent with its tree and copies the roots over.
///
/// Both must name the same files in the same order with the same lengths, and pad files must put
/// every file at the start of a piece; otherwise peers of the two kinds would share different
/// bytes under one piece number.
pub(super) fn join(v1: &mut v1::Files, tree: Vec<Draft>, piece_length: u32) -> Result<(), Error> {
    let mut tree = tree.into_iter();
    let mut position = 0_u64;
    for (file, draft) in (0_u32..).zip(&mut v1.drafts) {
        let offset = position;
        position = position.saturating_add(draft.length);
        if draft.attributes.pad {
            continue;
        }
        let differs = |reason| Error::Hybrid {
            file,
            path: shown(&draft.path.to_string()),
            reason,
        };
        let twin = tree
            .next()
            .ok_or_else(|| differs("the file tree does not have it"))?;
        if draft.path != twin.path {
            return Err(differs("the file tree has another path at this place"));
        }
        if draft.length != twin.length {
            return Err(differs("the file tree gives it another length"));
        }
        if draft.length > 0 && !offset.is_multiple_of(u64::from(piece_length)) {
            return Err(differs("it does not start at a piece"));
        }
        draft.pieces_root = twin.pieces_root;
    }
    match tree.next() {
        None => Ok(()),
        Some(extra) => Err(Error::Hybrid {
            file: u32::try_from(v1.drafts.len()).unwrap_or(u32::MAX),
            path: shown(&extra.path.to_string()),
            reason: "only the file tree has it",
        }),
    }
}

struct Walk<'a> {
    /// Where `raw` starts in the torrent.
    base: usize,
    raw: &'a [u8],
    /// The names of the open directories below the root.
    names: Vec<&'a [u8]>,
    drafts: Vec<Draft>,
    /// Bytes that the paths of further files may have.
    room: usize,
}

impl<'a> Walk<'a> {
    fn run(&mut self, warnings: &mut Warnings) -> Result<(), Error> {
        let mut reader = Reader::new(self.raw);
        // Whether the innermost open directory has had no entry, and whether it was a file.
        let (mut empty, mut is_file) = (true, false);
        self.next(&mut reader)?;
        while let Some((offset, token)) = self.next(&mut reader)? {
            match token {
                Token::End => {
                    if empty {
                        warnings.ignored(self.place(), "it is an empty directory");
                    }
                    (empty, is_file) = (false, false);
                    self.names.pop();
                }
                Token::Bytes(_) if is_file => {
                    return Err(self.broken(offset, "a file has entries beside its description"));
                }
                Token::Bytes(b"") => {
                    if self.names.is_empty() {
                        return Err(self.broken(offset, "the root of the tree is a file"));
                    }
                    self.file(&mut reader, warnings)?;
                    (empty, is_file) = (false, true);
                }
                Token::Bytes(name) => {
                    self.names.push(name);
                    let Some((_, Token::DictStart)) = self.next(&mut reader)? else {
                        return Err(self.broken(offset, "it is not a dictionary"));
                    };
                    empty = true;
                }
                // A dictionary has only keys and an end at this level.
                Token::Int(_) | Token::ListStart | Token::DictStart => {
                    return Err(self.broken(offset, "it is not a dictionary"));
                }
            }
        }
        Ok(())
    }

    /// Reads the description of a file behind its empty key.
    fn file(&mut self, reader: &mut Reader<'a>, warnings: &mut Warnings) -> Result<(), Error> {
        let start = reader.position();
        let value = self
            .raw
            .get(start..)
            .and_then(|rest| Options::strict().parse_prefix(rest).ok())
            .map(|parsed| parsed.value);
        let outer = reader.depth();
        while self.next(reader)?.is_some() && reader.depth() > outer {}
        let Some(dict) = value.and_then(bt_bencode::Value::as_dict) else {
            return Err(self.broken(start, "the description of the file is not a dictionary"));
        };
        let fields = Fields::of(dict);
        if let Some(reason) = fields.length_fault() {
            return Err(self.broken(start, reason));
        }
        self.room = self
            .names
            .iter()
            .try_fold(self.room, |room, name| room.checked_sub(name.len() + 1))
            .ok_or_else(|| self.broken(start, "the paths of all files are too long together"))?;
        let path = self.names.iter().copied().collect();
        let mut draft = fields.draft(dict, path, &|| self.place(), warnings)?;
        let root = fields
            .pieces_root
            .map(|root| root.as_bytes().and_then(|root| root.try_into().ok()));
        draft.pieces_root = match root {
            _ if draft.length == 0 => None,
            Some(Some(root)) => Some(root),
            Some(None) => return Err(self.broken(start, "\"pieces root\" is not 32 bytes")),
            None => return Err(self.broken(start, "\"pieces root\" is missing")),
        };
        if draft.attributes.pad {
            return Err(self.broken(start, "a pad file has no place in a tree"));
        }
        if self.drafts.len() == MAX_FILES {
            return Err(LayoutError::TooManyFiles.into());
        }
        self.drafts.push(draft);
        Ok(())
    }

    /// The whole torrent has passed a lenient parser, so only the order of keys can be wrong.
    fn next(&self, reader: &mut Reader<'a>) -> Result<Option<(usize, Token<'a>)>, Error> {
        reader.next().map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::UnsortedKey => "its keys are out of order",
                ErrorKind::DuplicateKey => "a key appears twice",
                _ => "it is malformed",
            };
            self.broken(error.offset(), reason)
        })
    }

    fn path(&self) -> String {
        let names: Vec<_> = self
            .names
            .iter()
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        shown(&names.join("/"))
    }

    fn place(&self) -> String {
        format!("info.file tree: {:?}", self.path())
    }

    fn broken(&self, offset: usize, reason: &'static str) -> Error {
        Error::FileTree {
            offset: self.base + offset,
            path: self.path(),
            reason,
        }
    }
}
