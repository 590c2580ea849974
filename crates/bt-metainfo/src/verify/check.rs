//! A check from beginning to end.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Error;
use super::content::{Content, Fault, Parts};
use super::place::{Located, Place};
use super::presence::{Presence, problem};
use super::report::{FileProblem, Problem, Report, Verdict};
use super::sweep::{Ended, Failure, Report as Swept, Sweep};
use crate::{FileIndex, Info, Layout, PartsMap, PieceIndex};

/// How to check.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which pieces to check, each once; `None` checks all of them. Numbers past the end are
    /// ignored.
    pub pieces: Option<Vec<PieceIndex>>,
    /// What the path is.
    pub place: Place,
    /// Threads that read and hash, at most 32. `None` takes one for each core.
    pub threads: Option<NonZeroUsize>,
}

/// What is found out while a check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A piece is decided. Pieces come in no particular order, each once.
    Piece {
        /// The piece.
        piece: PieceIndex,
        /// Never [`Verdict::Unchecked`].
        verdict: Verdict,
    },
    /// Bytes decided so far, read or known to be missing.
    Progress {
        /// Bytes.
        done: u64,
        /// Bytes of all pieces that are checked.
        total: u64,
    },
}

/// Checks the content at `path` against a torrent.
///
/// `path` is the content or the folder it lies in, as [`Options::place`] says. `on_event` is called
/// on this thread. Setting `cancel` stops all threads before they read another 64 KiB of each piece
/// at hand. Pieces that cannot be good, because a file of theirs is missing or too short, are not
/// read. At most [`MAX_BUFFERS`](super::MAX_BUFFERS) bytes of content are in memory, whatever the
/// torrent.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::atomic::AtomicBool;
/// use bt_metainfo::{Metainfo, create, verify};
///
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("a.txt");
/// std::fs::write(&file, "hello")?;
/// let torrent = create::create(&file, &create::Options::default())?;
/// let torrent = Metainfo::parse(&torrent.to_bytes()?)?;
///
/// std::fs::write(&file, "hullo")?;
/// let cancel = AtomicBool::new(false);
/// let report = verify::verify(torrent.info(), folder.path(), &verify::Options::default(), &cancel, |_| {})?;
/// assert_eq!(report.verdicts, [verify::Verdict::Bad]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// When there is nothing at `path`, when the torrent is a v2 torrent, and [`Error::Canceled`]. What
/// is wrong with the content is no error.
pub fn verify(
    info: &Info,
    path: &Path,
    options: &Options,
    cancel: &AtomicBool,
    on_event: impl FnMut(Event),
) -> Result<Report, Error> {
    let layout = info.layout();
    if info.piece_hashes().is_empty() && layout.piece_count() > 0 {
        return Err(Error::NotYet);
    }
    let located = Located::find(info, path, options.place)?;
    let pieces: Vec<PieceIndex> = match &options.pieces {
        None => layout.pieces().collect(),
        Some(asked) => asked
            .iter()
            .copied()
            .filter(|piece| piece.0 < layout.piece_count())
            .collect(),
    };
    let files = match &options.pieces {
        // Empty files belong to no piece.
        None => layout.files().collect(),
        Some(_) => files_of(layout, &pieces),
    };
    let mut found = Found::new(&located, info, files, cancel)?;
    let parts = parts(&located, info, &found);
    let mut tally = Tally {
        verdicts: vec![Verdict::Unchecked; info.piece_hashes().len()],
        done: 0,
        total: pieces
            .iter()
            .map(|&piece| u64::from(layout.piece_size(piece)))
            .sum(),
        on_event,
    };
    let (to_read, lost): (Vec<_>, Vec<_>) = pieces
        .into_iter()
        .partition(|&piece| found.all_of(layout, parts.as_ref(), piece));
    for piece in lost {
        let verdict = if found.any_of(layout, piece) {
            Verdict::Bad
        } else {
            Verdict::Missing
        };
        tally.progress(u64::from(layout.piece_size(piece)));
        tally.decide(piece, verdict);
    }
    let content =
        Content::new(&located.root, found.paths(layout.file_count())).with_parts(parts.as_ref());
    let sweep = Sweep {
        layout,
        content: &content,
        pieces: &to_read,
        threads: options.threads,
        cancel,
    };
    let ended = sweep.run(|report| {
        match report {
            Swept::Bytes(bytes) => tally.progress(bytes),
            Swept::Piece(piece, hash) => {
                let good = hash
                    .as_ref()
                    .is_ok_and(|hash| info.piece_hash(piece) == Some(hash));
                tally.decide(piece, if good { Verdict::Good } else { Verdict::Bad });
                if let Err(failure) = hash {
                    found.fail(layout, failure);
                }
            }
        }
        ControlFlow::Continue(())
    });
    match ended {
        Ended::Done => Ok(Report {
            verdicts: tally.verdicts,
            files: found.into_problems(&located),
        }),
        Ended::Stopped | Ended::Canceled => Err(Error::Canceled),
    }
}

/// What lies among the parts, if there are any and files are missing.
fn parts<'a>(located: &Located, info: &'a Info, found: &Found) -> Option<Parts<'a>> {
    let is_missing = |presence: &Presence| matches!(presence.problem, Some(Problem::Missing));
    let missing = found.0.iter().filter(|(_, found)| is_missing(found));
    let files: BTreeSet<FileIndex> = missing.map(|(file, _)| *file).collect();
    if files.is_empty() {
        return None;
    }
    let file = located.root.open_any(&located.parts(info)?).ok()?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file.then(|| Parts {
        layout: info.layout(),
        map: PartsMap::new(info.layout()),
        file,
        files,
    })
}

/// The files that have bytes in some of the pieces.
fn files_of(layout: &Layout, pieces: &[PieceIndex]) -> Vec<FileIndex> {
    let mut files: Vec<_> = pieces
        .iter()
        .flat_map(|&piece| layout.piece_extents(piece))
        .map(|extent| extent.file)
        .collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// What was found of the files.
struct Found(BTreeMap<FileIndex, Presence>);

impl Found {
    /// Looks for files. Pad files and links hold no bytes that could be looked for.
    fn new(
        located: &Located,
        info: &Info,
        files: Vec<FileIndex>,
        cancel: &AtomicBool,
    ) -> Result<Self, Error> {
        let mut found = BTreeMap::new();
        for file in files {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Canceled);
            }
            let stored = info
                .file(file)
                .is_some_and(|entry| entry.attributes.symlink.is_none());
            if stored && !info.layout().is_pad(file) {
                found.insert(file, Presence::look(located, info, file));
            }
        }
        Ok(Self(found))
    }

    /// Whether all bytes of a piece can be asked for.
    fn all_of(&self, layout: &Layout, parts: Option<&Parts<'_>>, piece: PieceIndex) -> bool {
        layout.piece_extents(piece).all(|extent| {
            layout.is_pad(extent.file)
                || extent.offset + extent.length <= self.bytes(extent.file)
                || parts.is_some_and(|parts| parts.holds(extent))
        })
    }

    /// Whether at least one byte of a piece can be asked for.
    fn any_of(&self, layout: &Layout, piece: PieceIndex) -> bool {
        layout
            .piece_extents(piece)
            .any(|extent| !layout.is_pad(extent.file) && extent.offset < self.bytes(extent.file))
    }

    fn bytes(&self, file: FileIndex) -> u64 {
        self.0.get(&file).map_or(0, |presence| presence.bytes)
    }

    /// Paths by number of the file.
    fn paths(&self, files: usize) -> Vec<Option<PathBuf>> {
        let mut paths = vec![None; files];
        for (file, presence) in &self.0 {
            if let Some(place) = usize::try_from(file.0)
                .ok()
                .and_then(|file| paths.get_mut(file))
            {
                *place = Some(presence.path.clone());
            }
        }
        paths
    }

    /// Takes note that a file could not be read although it was there.
    fn fail(&mut self, layout: &Layout, Failure { file, fault }: Failure) {
        let Some(presence) = self.0.get_mut(&file) else {
            return;
        };
        // Of a file that is missing, parts may be there; it is missing all the same.
        if matches!(presence.problem, Some(Problem::Missing)) {
            return;
        }
        presence.problem = Some(match fault {
            Fault::Io(error) => problem(error),
            Fault::NotAFile => Problem::NotAFile,
            Fault::Short { found } => Problem::Short {
                expected: layout.file_length(file),
                found,
            },
        });
    }

    fn into_problems(self, located: &Located) -> Vec<FileProblem> {
        let with_problem = self.0.into_iter().filter_map(|(file, presence)| {
            let path = located.root.path().join(presence.path);
            presence.problem.map(|problem| FileProblem {
                file,
                path,
                problem,
            })
        });
        with_problem.collect()
    }
}

/// What is decided so far.
struct Tally<F> {
    verdicts: Vec<Verdict>,
    done: u64,
    total: u64,
    on_event: F,
}

impl<F: FnMut(Event)> Tally<F> {
    fn decide(&mut self, piece: PieceIndex, verdict: Verdict) {
        if let Some(place) = usize::try_from(piece.0)
            .ok()
            .and_then(|piece| self.verdicts.get_mut(piece))
        {
            *place = verdict;
        }
        (self.on_event)(Event::Piece { piece, verdict });
    }

    fn progress(&mut self, bytes: u64) {
        self.done += bytes;
        (self.on_event)(Event::Progress {
            done: self.done,
            total: self.total,
        });
    }
}
