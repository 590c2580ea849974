//! What a usable torrent does oddly, so that people can be told.

use std::fmt;

use crate::error::shown;
use crate::index::FileIndex;
use crate::limits::MAX_WARNINGS;

/// An oddity that was worked around.
///
/// Its text names the key or file and says what was done. Names from the torrent stand in it
/// quoted and escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Dictionary keys are out of order; the info-hash is that of the bytes as they are.
    UnsortedKeys {
        /// How many.
        count: usize,
        /// Where the first one is.
        offset: usize,
    },
    /// Dictionary keys appear twice; the first of each counts.
    DuplicateKeys {
        /// How many.
        count: usize,
        /// Where the first one is.
        offset: usize,
    },
    /// Bytes follow the torrent; they are kept but mean nothing.
    TrailingBytes {
        /// How many.
        count: usize,
        /// Where they start.
        offset: usize,
    },
    /// A name was replaced because it could not be used on every system.
    Renamed {
        /// The file, or `None` for the name of the torrent itself.
        file: Option<FileIndex>,
        /// The path in the torrent, cut if long.
        original: String,
        /// The path instead, cut if long.
        path: String,
    },
    /// A value was left out.
    Ignored {
        /// Where it stands, for example `announce-list[2]`.
        place: String,
        /// Why.
        reason: &'static str,
    },
    /// A list was cut at its limit.
    TooMany {
        /// The list.
        place: &'static str,
        /// How many entries are kept.
        limit: usize,
    },
    /// The piece length is one that other programs may refuse.
    PieceLength {
        /// Bytes found.
        found: u32,
    },
    /// A link between files was dropped, so that the file is an empty one.
    Link {
        /// The file.
        file: FileIndex,
        /// Its path, cut if long.
        path: String,
        /// Why.
        reason: &'static str,
    },
    /// There were more warnings than are kept.
    More {
        /// How many were dropped.
        count: usize,
    },
}

impl Warning {
    /// A word for programs, the same for all warnings of one variant.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnsortedKeys { .. } => "unsorted-keys",
            Self::DuplicateKeys { .. } => "duplicate-keys",
            Self::TrailingBytes { .. } => "trailing-bytes",
            Self::Renamed { .. } => "renamed",
            Self::Ignored { .. } => "ignored",
            Self::TooMany { .. } => "too-many",
            Self::PieceLength { .. } => "piece-length",
            Self::Link { .. } => "link",
            Self::More { .. } => "more",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsortedKeys { count: 1, offset } => {
                write!(f, "a dictionary key is out of order at byte {offset}")
            }
            Self::UnsortedKeys { count, offset } => {
                write!(
                    f,
                    "{count} dictionary keys are out of order, the first at byte {offset}"
                )
            }
            Self::DuplicateKeys { count: 1, offset } => {
                write!(f, "a dictionary key appears twice at byte {offset}")
            }
            Self::DuplicateKeys { count, offset } => {
                write!(
                    f,
                    "{count} dictionary keys appear twice, the first at byte {offset}"
                )
            }
            Self::TrailingBytes { count, offset } => {
                write!(f, "{count} bytes follow the torrent at byte {offset}")
            }
            Self::Renamed {
                file: None,
                original,
                path,
            } => {
                write!(f, "the torrent's name {original:?} becomes {path:?}")
            }
            Self::Renamed {
                file: Some(file),
                original,
                path,
            } => {
                let number = number(*file);
                write!(f, "file {number}: {original:?} becomes {path:?}")
            }
            Self::Ignored { place, reason } => write!(f, "{place} is left out: {reason}"),
            Self::TooMany { place, limit } => {
                write!(f, "{place} is cut after {limit} entries")
            }
            Self::PieceLength { found } => write!(
                f,
                "a piece length of {found} bytes is not a power of two from 16384 up, \
                 which other programs may refuse"
            ),
            Self::Link { file, path, reason } => {
                let number = number(*file);
                write!(
                    f,
                    "file {number}: the link {path:?} becomes an empty file: {reason}"
                )
            }
            Self::More { count } => write!(f, "{count} more warnings are not shown"),
        }
    }
}

/// People count from 1, as every list of files does that they see.
fn number(file: FileIndex) -> u64 {
    u64::from(file.0) + 1
}

/// Collects warnings up to the limit.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    kept: Vec<Warning>,
    dropped: usize,
}

impl Warnings {
    pub(crate) fn push(&mut self, warning: Warning) {
        if self.kept.len() < MAX_WARNINGS {
            self.kept.push(warning);
        } else {
            self.dropped += 1;
        }
    }

    pub(crate) fn ignored(&mut self, place: impl Into<String>, reason: &'static str) {
        self.push(Warning::Ignored {
            place: place.into(),
            reason,
        });
    }

    pub(crate) fn renamed(&mut self, file: Option<FileIndex>, original: &str, path: &str) {
        self.push(Warning::Renamed {
            file,
            original: shown(original),
            path: shown(path),
        });
    }

    pub(crate) fn finish(mut self) -> Vec<Warning> {
        if self.dropped > 0 {
            self.kept.push(Warning::More {
                count: self.dropped,
            });
        }
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_end_with_how_many_are_missing() {
        let collect = |count| {
            let mut warnings = Warnings::default();
            (0..count).for_each(|_| warnings.ignored("x", "y"));
            warnings.finish()
        };
        assert_eq!(collect(MAX_WARNINGS).len(), MAX_WARNINGS);
        let many = collect(MAX_WARNINGS + 7);
        assert_eq!(many.last(), Some(&Warning::More { count: 7 }));
    }

    #[test]
    fn names_are_escaped_and_cut() {
        let mut warnings = Warnings::default();
        warnings.renamed(
            Some(FileIndex(2)),
            &format!("\x1b[2J\u{202e}{}", "x".repeat(500)),
            "y",
        );
        let text = warnings.finish()[0].to_string();
        assert!(
            text.starts_with(r#"file 3: "\u{1b}[2J\u{202e}xxx"#),
            "{text}"
        );
        assert!(text.len() < 200, "{text}");
    }
}
