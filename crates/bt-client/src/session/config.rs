//! What the owner of a session decides.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use bt_metainfo::{FileIndex, Metainfo};

use crate::engine::Priority;
use crate::limits::{
    DEFAULT_MAX_PEERS, DEFAULT_MEMORY_BUDGET, LEAST_RATE_PER_SLOT, LEAST_UPLOAD_SLOTS, UPLOAD_SLOTS,
};
use crate::state::Store;

pub use crate::disk::{Allocation, CloseLook};

/// Settings of a whole session.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// The port that peers connect to; 0 takes any free one.
    pub port: u16,
    /// Listen on this address only, and let every connection leave from it, so that only its family is used. `None`:
    /// all addresses of the families that are on.
    pub bind: Option<IpAddr>,
    /// Connect over IPv4, and listen on it unless `bind` says where.
    pub ipv4: bool,
    /// The same over IPv6; a machine that has none is no error where IPv4 is on.
    pub ipv6: bool,
    /// Announce to the trackers of torrents.
    pub trackers: bool,
    /// Bytes per second that we read from all peers together, headers of messages included; what a quarter of a second
    /// allows, at least 32 KiB, may come at once. `None`: no limit. At least 1: with 0 hardly anything comes after the
    /// first 32 KiB.
    pub down_rate: Option<u64>,
    /// Bytes per second of payload that we send to all peers together; bursts, `None` and 0 as for `down_rate`.
    pub up_rate: Option<u64>,
    /// Peers of one torrent, at most. Of all torrents together there are
    /// [`MAX_SESSION_PEERS`](crate::limits::MAX_SESSION_PEERS) at most, or a third more than this if that is more, but
    /// no more than half of the descriptors that the process may have. With 0 nobody is dialed and nobody let in.
    pub max_peers: usize,
    /// Peers that one torrent uploads to at once, at least 1; 0 is taken for 1. Fewer are uploaded to while
    /// [`SessionConfig::up_rate`] is so low that each would get too little for a block now and then.
    pub upload_slots: usize,
    /// Bytes of pieces under way that may be held in memory; at least a few times the length of a piece is of use.
    /// Where there is no room, no peer is read: with 0 none ever is.
    pub memory_budget: usize,
    /// Read what is here again from the disk, piece by piece and torrent by torrent, at so many bytes per second, at
    /// least 1; 0 is taken for 1. A piece that is not what it was any more is a warning of the kind `scrub`, is
    /// forgotten, and fetched again. `None`: never.
    pub scrub_rate: Option<u64>,
    /// The `User-Agent` of our requests to trackers over HTTP; characters that are not printable ASCII are left out.
    pub user_agent: String,
    /// Where torrents, settings and the journal of proven pieces are kept; `None` keeps nothing beyond the process.
    pub state: Option<Store>,
}

impl SessionConfig {
    /// Peers that each of so many torrents uploads to at once under the limit of the session.
    pub(super) fn slots(&self, torrents: usize) -> usize {
        let torrents = u64::try_from(torrents).unwrap_or(u64::MAX).max(1);
        let affordable = self
            .up_rate
            .map_or(u64::MAX, |rate| rate / LEAST_RATE_PER_SLOT / torrents);
        let affordable = usize::try_from(affordable).unwrap_or(usize::MAX);
        self.upload_slots.min(affordable.max(LEAST_UPLOAD_SLOTS))
    }

    /// What the limit of the session leaves for each of so many torrents that download.
    pub(super) fn down_rate_of_each(&self, torrents: usize) -> Option<u64> {
        let torrents = u64::try_from(torrents).unwrap_or(u64::MAX).max(1);
        self.down_rate.map(|rate| rate / torrents)
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            port: 0,
            bind: None,
            ipv4: true,
            ipv6: true,
            trackers: true,
            down_rate: None,
            up_rate: None,
            max_peers: DEFAULT_MAX_PEERS,
            upload_slots: UPLOAD_SLOTS,
            memory_budget: DEFAULT_MEMORY_BUDGET,
            scrub_rate: None,
            user_agent: concat!("bt-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            state: None,
        }
    }
}

/// How much of what is on the disk is hashed before a torrent starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Check {
    /// What nobody can vouch for: everything that is there, less what the session's state has proven and nobody has
    /// touched since.
    #[default]
    Auto,
    /// Everything.
    Always,
    /// Nothing: what the session's state has not proven, or somebody has touched since, counts as missing.
    Never,
    /// Nothing: everything is there and good. This is what an initial seeder knows of its own content.
    Trust,
    /// Nothing: the caller has just hashed all of it, and all of it was good.
    Proven,
}

/// A torrent to be added to a session.
#[derive(Debug, Clone)]
pub struct AddTorrent {
    /// What it holds.
    pub metainfo: Metainfo,
    /// The directory that holds the content, or will: the parent of the torrent's own file or directory.
    pub dir: PathBuf,
    /// What to hash first.
    pub check: Check,
    /// Peers to connect to besides those that trackers name.
    pub peers: Vec<SocketAddr>,
    /// Only these files; `None` means all.
    pub only_files: Option<Vec<FileIndex>>,
    /// Pieces in their order instead of rarest first.
    pub sequential: bool,
    /// How files are made.
    pub allocation: Allocation,
    /// Keep the content in this directory until all that is wanted of it is here and on the disk to stay; then it moves
    /// to `dir`, and only then the torrent counts as complete. Content that is in `dir` already stays there, and what an
    /// earlier run has begun goes on where it is. `None`: in `dir` from the start.
    pub incomplete_dir: Option<PathBuf>,
    /// Let this stand behind the name of each file until then, such as `.part`; at most
    /// [`MAX_SUFFIX_BYTES`](crate::limits::MAX_SUFFIX_BYTES).
    pub incomplete_suffix: Option<String>,
    /// How much these files are wanted; others as `only_files` says.
    pub priorities: Vec<(FileIndex, Priority)>,
    /// Do not start yet.
    pub paused: bool,
    /// Spread like an initial seeder (BEP 16): reveal pieces one by one, different ones to different peers. `None`
    /// does so where `check` is [`Check::Trust`].
    pub spread: Option<bool>,
    /// With [`Check::Proven`]: what [`looks`](crate::session::looks) said of the files before they were hashed. If one
    /// looks otherwise when the session begins to watch them, all are hashed again. Empty: nobody knows what they looked
    /// like, and a change before that goes unnoticed.
    pub looks: Vec<Option<CloseLook>>,
}

impl AddTorrent {
    /// For whoever has just made the torrent: the content in `dir` is trusted, not hashed again, and spread so that
    /// little more than one copy has to leave us.
    #[must_use]
    pub fn initial_seeder(metainfo: Metainfo, dir: impl Into<PathBuf>) -> Self {
        Self {
            check: Check::Trust,
            ..Self::new(metainfo, dir)
        }
    }

    /// The usual settings for `metainfo` under `dir`.
    #[must_use]
    pub fn new(metainfo: Metainfo, dir: impl Into<PathBuf>) -> Self {
        Self {
            metainfo,
            dir: dir.into(),
            check: Check::default(),
            peers: Vec::new(),
            only_files: None,
            sequential: false,
            allocation: Allocation::default(),
            incomplete_dir: None,
            incomplete_suffix: None,
            priorities: Vec::new(),
            paused: false,
            spread: None,
            looks: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SessionConfig;
    use crate::limits::{LEAST_RATE_PER_SLOT, LEAST_UPLOAD_SLOTS, UPLOAD_SLOTS};

    #[test]
    fn a_low_limit_feeds_few_peers_well_instead_of_many_badly() {
        let slots = |up_rate, upload_slots| {
            let config = SessionConfig {
                up_rate,
                upload_slots,
                ..SessionConfig::default()
            };
            config.slots(1)
        };
        assert_eq!(slots(None, UPLOAD_SLOTS), UPLOAD_SLOTS);
        assert_eq!(slots(Some(1), UPLOAD_SLOTS), LEAST_UPLOAD_SLOTS);
        assert_eq!(slots(Some(6 * LEAST_RATE_PER_SLOT), UPLOAD_SLOTS), 6);
        assert_eq!(slots(Some(u64::MAX), UPLOAD_SLOTS), UPLOAD_SLOTS);
        assert_eq!(slots(Some(1), 2), 2, "the owner may want even fewer");
    }

    #[test]
    fn torrents_share_the_limits_of_their_session() {
        let config = SessionConfig {
            up_rate: Some(40 * LEAST_RATE_PER_SLOT),
            down_rate: Some(1_000),
            ..SessionConfig::default()
        };
        let slots = [0, 1, 2, 5, usize::MAX].map(|torrents| config.slots(torrents));
        assert_eq!(slots, [20, 20, 20, 8, LEAST_UPLOAD_SLOTS]);
        let rates = [0, 1, 4, usize::MAX].map(|torrents| config.down_rate_of_each(torrents));
        assert_eq!(rates, [Some(1_000), Some(1_000), Some(250), Some(0)]);
        assert_eq!(SessionConfig::default().down_rate_of_each(3), None);
    }
}
