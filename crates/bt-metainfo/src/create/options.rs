//! What may be said about a torrent that is to be made.

use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Error;
use crate::{HostPort, Version};

/// Everything that can be chosen. The default is a public v1 torrent without trackers, of all
/// files.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tracker URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// URLs that serve the content over HTTP (BEP 19).
    pub web_seeds: Vec<String>,
    /// DHT nodes to start from (BEP 5).
    pub nodes: Vec<HostPort>,
    /// Bytes of a piece: a power of two from 16 KiB to 64 MiB. `None` chooses by the size of the
    /// content ([`piece_length`](super::piece_length)).
    pub piece_length: Option<u32>,
    /// Which kind of torrent to make. Only v1 can be made so far.
    pub version: Version,
    /// Whether peers may come from the trackers alone (BEP 27).
    pub private: bool,
    /// Name of the torrent. `None` takes the name of the file or folder.
    pub name: Option<String>,
    /// Free text for people.
    pub comment: Option<String>,
    /// Where the torrent was made, for sites that want info-hashes of their own.
    pub source: Option<String>,
    /// The program that makes the torrent. `None` leaves it out.
    pub created_by: Option<String>,
    /// Seconds since 1970 in UTC; see [`creation_date`]. `None` leaves it out.
    pub creation_date: Option<i64>,
    /// Globs of what to take; everything if there are none.
    ///
    /// A glob without `/` is compared with the name of the file and of each folder above it, one
    /// with `/` with the path below the torrent's folder. `*` and `?` match no `/`, `**` does. What
    /// matches a folder holds for all that is in it. A torrent of a single file asks neither list.
    pub include: Vec<String>,
    /// Globs of what to leave out, also of what [`include`](Self::include) takes.
    pub exclude: Vec<String>,
    /// Whether names that begin with a dot are taken. They are by default, so that a folder is
    /// shared whole.
    pub hidden: bool,
    /// Whether symbolic links are followed, wherever they lead. By default they are left out and
    /// reported.
    pub follow_symlinks: bool,
    /// Threads that read and hash, at most 32. `None` takes one for each core.
    pub threads: Option<NonZeroUsize>,
}

impl Options {
    /// The defaults, and one tracker.
    #[must_use]
    pub fn for_tracker(url: impl Into<String>) -> Self {
        Self {
            trackers: vec![vec![url.into()]],
            ..Self::default()
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            nodes: Vec::new(),
            piece_length: None,
            version: Version::V1,
            private: false,
            name: None,
            comment: None,
            source: None,
            created_by: None,
            creation_date: None,
            include: Vec::new(),
            exclude: Vec::new(),
            hidden: true,
            follow_symlinks: false,
            threads: None,
        }
    }
}

/// The creation date to write: the value of the environment variable `SOURCE_DATE_EPOCH` if the
/// caller has one, so that a build gives the same torrent every time, and `now` otherwise.
///
/// # Errors
///
/// [`Error::SourceDateEpoch`] when the value is not a number of seconds.
pub fn creation_date(source_date_epoch: Option<&str>, now: SystemTime) -> Result<i64, Error> {
    if let Some(text) = source_date_epoch {
        return match text.parse() {
            Ok(seconds) if seconds >= 0 => Ok(seconds),
            _ => Err(Error::SourceDateEpoch { found: text.into() }),
        };
    }
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
