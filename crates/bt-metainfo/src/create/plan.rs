//! What a torrent will hold, and then its hashes.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::auto::{SHORTEST, piece_length};
use super::filter::Filter;
use super::walk::{Found, Walked, kind, walk};
use super::{Error, Options, Warning};
use crate::assemble::{Assembly, Content, File, check_name};
use crate::limits::MAX_PIECE_LENGTH;
use crate::verify::Problem;
use crate::verify::content::{Content as Stored, Fault, Links, Root};
use crate::verify::presence::problem;
use crate::verify::sweep::{Ended, Failure, Report, Sweep};
use crate::{FileIndex, Layout, PieceHash, Version};

/// The files that will be in a torrent, found but not read.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::atomic::AtomicBool;
/// use bt_metainfo::create::{Options, Plan};
///
/// let plan = Plan::new("holiday pictures".as_ref(), &Options::default())?;
/// for warning in plan.warnings() {
///     eprintln!("{warning}");
/// }
/// let cancel = AtomicBool::new(false);
/// let torrent = plan.hash(&cancel, |progress| eprintln!("{} of {}", progress.done, progress.total))?;
/// std::fs::write("holiday pictures.torrent", torrent.to_bytes()?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Plan {
    /// The folder from which all paths start.
    root: PathBuf,
    /// The path that was given, for messages.
    path: PathBuf,
    name: String,
    single: bool,
    files: Vec<Found>,
    layout: Layout,
    warnings: Vec<Warning>,
    options: Options,
}

/// How far hashing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read and hashed.
    pub done: u64,
    /// Bytes of all files.
    pub total: u64,
}

impl Plan {
    /// Finds the files at `path`, which is a file or a folder.
    ///
    /// # Errors
    ///
    /// When the options or the content make no torrent, or a folder cannot be read.
    pub fn new(path: &Path, options: &Options) -> Result<Self, Error> {
        Self::search(path, options, &AtomicBool::new(false))
    }

    /// The same, for folders of which the user may have enough: the search ends before the next entry of a folder when
    /// `cancel` is set.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`Error::Canceled`].
    pub fn search(path: &Path, options: &Options, cancel: &AtomicBool) -> Result<Self, Error> {
        if options.version != Version::V1 {
            return Err(Error::NotYet {
                version: options.version,
            });
        }
        if let Some(found) = options.piece_length
            && !(found.is_power_of_two() && (SHORTEST..=MAX_PIECE_LENGTH).contains(&found))
        {
            return Err(Error::PieceLength { found });
        }
        let filter = Filter::new(options)?;
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path: path.into() },
            _ => Error::io(path.into(), error),
        };
        let metadata = fs::metadata(path).map_err(failed)?;
        let whole = fs::canonicalize(path).map_err(failed)?;
        let name = name(path, &whole, options)?;
        let (root, walked) = if metadata.is_dir() {
            let walked = walk(&whole, options, &filter, cancel)?;
            (whole, walked)
        } else if metadata.is_file() {
            single(path, &whole, &metadata, &filter)?
        } else {
            return Err(Error::Special {
                path: path.into(),
                kind: kind(metadata.file_type()),
            });
        };
        let Walked {
            files,
            warnings,
            left_out,
        } = walked;
        let total = files
            .iter()
            .fold(0u64, |total, file| total.saturating_add(file.length));
        if files.is_empty() && left_out > 0 {
            return Err(Error::NothingTaken {
                path: path.into(),
                left_out,
            });
        } else if files.is_empty() {
            return Err(Error::NoFiles { path: path.into() });
        } else if total == 0 {
            return Err(Error::OnlyEmptyFiles {
                path: path.into(),
                files: files.len(),
            });
        }
        let piece_length = options.piece_length.unwrap_or_else(|| piece_length(total));
        let layout = Layout::new(piece_length, files.iter().map(|file| (file.length, false)))
            .map_err(crate::Error::from)?;
        let plan = Self {
            root,
            path: path.into(),
            name,
            single: metadata.is_file(),
            files,
            layout,
            warnings,
            options: options.clone(),
        };
        // Names, lengths and URLs that make no torrent are refused before hours of hashing, not
        // after.
        let no_hashes = vec![PieceHash::default(); plan.layout.pieces().len()];
        plan.assembly(no_hashes).to_bytes()?;
        Ok(plan)
    }

    /// Name of the torrent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the torrent is of one file without a folder.
    #[must_use]
    pub fn is_single_file(&self) -> bool {
        self.single
    }

    /// Lengths, pieces and number of files.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What was found but will not be in the torrent.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Reads and hashes the files.
    ///
    /// `progress` is called on this thread, every few megabytes. Setting `cancel` stops all threads
    /// before they read another 64 KiB of each piece at hand. At most
    /// [`MAX_BUFFERS`](crate::verify::MAX_BUFFERS) bytes of content are in memory, whatever there
    /// is to hash.
    ///
    /// # Errors
    ///
    /// When a file cannot be read or has changed since it was found, and [`Error::Canceled`].
    pub fn hash(
        &self,
        cancel: &AtomicBool,
        mut progress: impl FnMut(Progress),
    ) -> Result<Assembly, Error> {
        let links = if self.options.follow_symlinks {
            Links::Follow
        } else {
            Links::Refuse
        };
        let paths = self
            .files
            .iter()
            .map(|file| Some(file.path.clone()))
            .collect();
        let root =
            Root::open(&self.root, links).map_err(|error| Error::io(self.path.clone(), error))?;
        let stored = Stored::new(&root, paths);
        let pieces: Vec<_> = self.layout.pieces().collect();
        let mut hashes = vec![PieceHash::default(); pieces.len()];
        let mut state = Progress {
            done: 0,
            total: self.layout.total_length(),
        };
        let mut failure = None;
        let sweep = Sweep {
            layout: &self.layout,
            content: &stored,
            pieces: &pieces,
            threads: self.options.threads,
            cancel,
        };
        progress(state);
        let ended = sweep.run(|report| match report {
            Report::Bytes(bytes) => {
                state.done += bytes;
                progress(state);
                ControlFlow::Continue(())
            }
            Report::Piece(piece, Ok(hash)) => {
                if let Some(place) = usize::try_from(piece.0)
                    .ok()
                    .and_then(|piece| hashes.get_mut(piece))
                {
                    *place = hash;
                }
                ControlFlow::Continue(())
            }
            Report::Piece(_, Err(error)) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        });
        if let Some(failure) = failure {
            return Err(self.failed(&stored, failure));
        }
        if ended != Ended::Done {
            return Err(Error::Canceled);
        }
        self.check_unchanged()?;
        Ok(self.assembly(hashes))
    }

    /// Hashes of a file that was being written to are hashes of nothing.
    fn check_unchanged(&self) -> Result<(), Error> {
        for file in &self.files {
            let path = self.root.join(&file.path);
            let metadata = match self.options.follow_symlinks {
                true => fs::metadata(&path),
                false => fs::symlink_metadata(&path),
            }
            .map_err(|error| Error::io(path.clone(), error))?;
            let same = metadata.is_file()
                && metadata.len() == file.length
                && metadata.modified().ok() == file.modified;
            if !same {
                return Err(Error::Changed {
                    path,
                    expected: file.length,
                    found: metadata.len(),
                });
            }
        }
        Ok(())
    }

    fn failed(&self, stored: &Stored<'_>, Failure { file, fault }: Failure) -> Error {
        let path = stored.path(file);
        match fault {
            Fault::Io(error) => match problem(error) {
                Problem::Missing => Error::Vanished { path },
                Problem::Unreadable(error) => Error::io(path, error),
                _ => Error::Changed {
                    path,
                    expected: self.layout.file_length(file),
                    found: 0,
                },
            },
            Fault::Short { found } => Error::Changed {
                path,
                expected: self.layout.file_length(file),
                found,
            },
            Fault::NotAFile => Error::Changed {
                path,
                expected: self.layout.file_length(file),
                found: 0,
            },
        }
    }

    fn assembly(&self, pieces: Vec<PieceHash>) -> Assembly {
        let content = if self.single {
            Content::Single {
                length: self.layout.file_length(FileIndex(0)),
                md5sum: None,
            }
        } else {
            Content::Multi(
                self.files
                    .iter()
                    .map(|file| File::new(file.names.clone(), file.length))
                    .collect(),
            )
        };
        let options = self.options.clone();
        Assembly {
            name: self.name.clone(),
            content,
            piece_length: self.layout.piece_length(),
            pieces,
            private: options.private,
            source: options.source,
            trackers: options.trackers,
            web_seeds: options.web_seeds,
            nodes: options.nodes,
            comment: options.comment,
            created_by: options.created_by,
            creation_date: options.creation_date,
            ..Assembly::default()
        }
    }
}

/// Name of the torrent: as asked for, as written in the path, or as the path leads to.
fn name(path: &Path, whole: &Path, options: &Options) -> Result<String, Error> {
    if let Some(name) = &options.name {
        // Now rather than after an hour of hashing.
        check_name(name)?;
        return Ok(name.clone());
    }
    let name = path.file_name().or_else(|| whole.file_name());
    let name = name.ok_or_else(|| Error::NoName { path: path.into() })?;
    Ok(name
        .to_str()
        .ok_or_else(|| Error::NotUtf8 { path: path.into() })?
        .to_owned())
}

/// A torrent of one file: the folder it lies in, and the file.
fn single(
    path: &Path,
    whole: &Path,
    metadata: &fs::Metadata,
    filter: &Filter,
) -> Result<(PathBuf, Walked), Error> {
    let no_name = || Error::NoName { path: path.into() };
    if filter.refuses(whole.file_name().ok_or_else(no_name)?.as_ref()) {
        return Err(Error::NothingTaken {
            path: path.into(),
            left_out: 1,
        });
    }
    let file = Found {
        path: whole.file_name().ok_or_else(no_name)?.into(),
        names: Vec::new(),
        length: metadata.len(),
        modified: metadata.modified().ok(),
    };
    let walked = Walked {
        files: vec![file],
        ..Walked::default()
    };
    Ok((whole.parent().ok_or_else(no_name)?.into(), walked))
}
