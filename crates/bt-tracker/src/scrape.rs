//! Asking a tracker how many peers torrents have, without joining them (BEP 48, BEP 15 "Scrape").
//!
//! The types must not know how a request travels.

use bt_metainfo::InfoHash;

/// Which torrents to count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeRequest {
    /// The torrents, in order. Over UDP at most [`MAX_SCRAPE`](crate::limits::MAX_SCRAPE) fit.
    /// Empty asks a tracker over HTTP for everything it has, which few allow.
    pub info_hashes: Vec<InfoHash>,
}

impl ScrapeRequest {
    /// Asks for these torrents.
    #[must_use]
    pub fn new(info_hashes: impl Into<Vec<InfoHash>>) -> Self {
        Self {
            info_hashes: info_hashes.into(),
        }
    }
}

/// The numbers of one torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScrapeStats {
    /// Number of seeds.
    pub complete: u32,
    /// How many peers have ever become complete.
    pub downloaded: u32,
    /// Number of peers that are no seeds, partial seeds included.
    pub incomplete: u32,
    /// Number of peers that want pieces: `incomplete` without partial seeds (BEP 21). HTTP only.
    pub downloaders: Option<u32>,
}

impl ScrapeStats {
    /// The three numbers that every tracker gives.
    #[must_use]
    pub fn new(complete: u32, downloaded: u32, incomplete: u32) -> Self {
        Self {
            complete,
            downloaded,
            incomplete,
            downloaders: None,
        }
    }
}

/// What a tracker answers to a scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrapeResponse {
    /// One entry for each torrent the tracker named, in its order. Over HTTP a tracker leaves out
    /// torrents that it does not know; over UDP their numbers are 0.
    pub files: Vec<(InfoHash, ScrapeStats)>,
    /// The shortest time between two scrapes, in seconds, if the tracker says (`flags`,
    /// `min_request_interval`). HTTP only.
    pub min_request_interval: Option<u32>,
}

impl ScrapeResponse {
    /// An answer with these entries.
    #[must_use]
    pub fn new(files: impl Into<Vec<(InfoHash, ScrapeStats)>>) -> Self {
        Self {
            files: files.into(),
            min_request_interval: None,
        }
    }

    /// The numbers of one torrent, if the tracker knows it.
    #[must_use]
    pub fn get(&self, info_hash: &InfoHash) -> Option<&ScrapeStats> {
        self.files
            .iter()
            .find(|(hash, _)| hash == info_hash)
            .map(|(_, stats)| stats)
    }
}
