//! A picture of the torrent for people and programs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_tracker::schedule::TrackerStatus;
use bt_wire::Bitfield;

use super::Torrent;
use crate::engine::State;

/// A picture of one torrent at one moment. Sizes are bytes, rates bytes of payload per second, averaged over about four
/// seconds. What was received and sent is counted from when the torrent was added to its session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub state: State,
    /// Verified pieces, 0 to `pieces_total`.
    pub pieces_have: u32,
    /// All pieces.
    pub pieces_total: u32,
    /// Which pieces are here and verified; one bit for each of `pieces_total`.
    pub have: Bitfield,
    /// Bytes of verified pieces.
    pub bytes_have: u64,
    /// Bytes of wanted pieces that are not verified yet.
    pub bytes_left: u64,
    /// Bytes of the whole content, files that are not wanted included.
    pub size: u64,
    /// Payload received that was of use or may yet be.
    pub downloaded: u64,
    /// Payload sent.
    pub uploaded: u64,
    /// Payload received that was not needed.
    pub wasted: u64,
    /// Pieces that did not verify.
    pub hash_failures: u32,
    /// Payload received per second.
    pub down_rate: f64,
    /// Payload sent per second.
    pub up_rate: f64,
    /// Connected peers.
    pub peers: u32,
    /// Connected peers that have everything.
    pub seeds: u32,
    /// Addresses known to us.
    pub candidates: u32,
    /// Whole copies of the content that the connected peers hold together: how many of them have the rarest piece.
    pub distributed_copies: u32,
    /// Time to completion at the present rate; `None` while it does not download, or hardly any byte comes.
    pub eta: Option<Duration>,
    /// Bytes hashed and to be hashed in all, while its session checks what is on the disk; an engine alone has none.
    pub checking: Option<(u64, u64)>,
    /// Why it is not faster, in plain words; empty when there is nothing to say.
    pub reason: String,
    /// The trackers and what they said last.
    pub trackers: Vec<TrackerStatus>,
}

/// A picture of one connected peer at one moment. Sizes are bytes of payload, counted from when it connected; rates are
/// bytes of payload per second, averaged over about four seconds. The four flags are those of BEP 3, "peer protocol".
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The address of the connection: if the peer dialed us, its port is not the one on which it listens.
    pub addr: SocketAddr,
    /// The program and version that its peer id names (BEP 20), whether true or not: printable ASCII, at most 40 bytes.
    pub client: String,
    /// Pieces that it says it has, 0 to [`Status::pieces_total`].
    pub pieces: u32,
    /// Bytes per second of blocks that we asked it for.
    pub down_rate: f64,
    /// Bytes per second of blocks that we send it.
    pub up_rate: f64,
    /// Bytes of blocks that we asked it for and that it sent, also those that were not needed any more.
    pub downloaded: u64,
    /// Bytes of blocks that we sent it.
    pub uploaded: u64,
    /// It chokes us.
    pub peer_choking: bool,
    /// We choke it.
    pub am_choking: bool,
    /// It wants something of us.
    pub peer_interested: bool,
    /// We want something of it.
    pub am_interested: bool,
    /// Blocks that we asked it for and that have not come yet, at most
    /// [`MAX_OUTSTANDING_REQUESTS`](crate::limits::MAX_OUTSTANDING_REQUESTS).
    pub requests: u32,
}

impl Torrent {
    /// What it looks like at `now`.
    #[must_use]
    pub fn status(&self, now: Instant) -> Status {
        let have = self.pieces.have().clone();
        let bytes_left = self.pieces.bytes_left();
        let down_rate = self.down.rate(now);
        let Self { counters, .. } = self;
        Status {
            state: self.state,
            pieces_have: have.count_ones(),
            pieces_total: self.layout.piece_count(),
            have,
            bytes_have: self.pieces.bytes_have(),
            bytes_left,
            size: self.layout.total_length(),
            downloaded: counters.received - counters.wasted - counters.failed,
            uploaded: counters.uploaded,
            wasted: counters.wasted,
            hash_failures: counters.hash_failures,
            down_rate,
            up_rate: self.up.rate(now),
            peers: u32::try_from(self.peers.len()).unwrap_or(u32::MAX),
            seeds: u32::try_from(self.peers.values().filter(|peer| peer.is_seed()).count())
                .unwrap_or(u32::MAX),
            candidates: u32::try_from(self.candidates.len()).unwrap_or(u32::MAX),
            distributed_copies: self.availability.distributed_copies(),
            eta: eta(
                bytes_left.saturating_sub(self.pieces.bytes_received_of_partials()),
                down_rate,
                self.state,
            ),
            checking: None,
            reason: self.reason(now),
            trackers: self.announcing.trackers(),
        }
    }

    /// The connected peers.
    #[must_use]
    pub fn peer_statuses(&self, now: Instant) -> Vec<PeerStatus> {
        let picture = |peer: &crate::engine::peers::Peer| PeerStatus {
            addr: peer.info.addr,
            client: peer.client.clone(),
            pieces: peer.has.count_ones(),
            down_rate: peer.down.rate(now),
            up_rate: peer.up.rate(now),
            downloaded: peer.downloaded,
            uploaded: peer.uploaded,
            peer_choking: peer.peer_choking,
            am_choking: peer.am_choking,
            peer_interested: peer.peer_interested,
            am_interested: peer.am_interested,
            requests: u32::try_from(peer.in_flight.len()).unwrap_or(u32::MAX),
        };
        self.peers.values().map(picture).collect()
    }

    /// Bytes of the content that are missing, wanted or not, as announced to trackers: 0 means a seed (BEP 3), and whoever
    /// lacks only what it does not want says so in another way (BEP 21).
    #[must_use]
    pub fn left(&self) -> u64 {
        self.layout.total_length() - self.pieces.bytes_have()
    }

    /// Bytes of payload sent and received since the torrent was added, in this order, as announced to trackers (BEP 3,
    /// `uploaded`, `downloaded`). What came counts also when it was bad or came twice, since somebody has sent it to us;
    /// what nobody had asked for does not, or whoever pushes blocks at us could make us look like one that takes more than
    /// it gives.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        let Self { counters, .. } = self;
        (counters.uploaded, counters.received - counters.unasked)
    }

    /// Bytes of payload that nobody had asked for, which [`totals`](Self::totals) leave out.
    #[must_use]
    pub fn unasked(&self) -> u64 {
        self.counters.unasked
    }

    fn reason(&self, now: Instant) -> String {
        match self.state {
            State::Failed | State::DiskFull => return self.failure.clone().unwrap_or_default(),
            State::Downloading => {}
            _ => return String::new(),
        }
        if self.peers.is_empty() {
            let tracker = self
                .announcing
                .trackers()
                .into_iter()
                .find_map(|tracker| tracker.error);
            let dialing = self.candidates.dialing();
            return match (tracker, dialing, self.candidates.len()) {
                (None, 0, 0) if self.trust.banned() > 0 => format!(
                    "no peers left: {} sent data that does not verify, and are banned",
                    self.trust.banned()
                ),
                (Some(error), 0, 0) => format!("no peers: the tracker says: {error}"),
                (_, 0, 0) => "no peers known yet".to_owned(),
                (_, 0, known) => format!("no peer answered yet ({known} known)"),
                (_, 1, _) => "connecting to a peer".to_owned(),
                (_, dialing, _) => format!("connecting to {dialing} peers"),
            };
        }
        if self.down.rate(now) >= 1.0 {
            return String::new();
        }
        let interesting = self.peers.values().filter(|peer| peer.am_interested);
        let (useful, choking) = interesting.fold((0, 0), |(useful, choking), p| {
            (useful + 1, choking + usize::from(p.peer_choking))
        });
        if useful == 0 {
            "no connected peer has what is missing".to_owned()
        } else if choking == useful {
            format!("all {useful} useful peers choke us")
        } else {
            "waiting for blocks".to_owned()
        }
    }
}

fn eta(left: u64, rate: f64, state: State) -> Option<Duration> {
    if state != State::Downloading || rate < 1.0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    Duration::try_from_secs_f64(left as f64 / rate).ok()
}
