//! What we know of one connected peer: its pieces, the four flags, what is under way, what it gave and took.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Bitfield, PeerId};

use crate::engine::download::Pipeline;
use crate::engine::peers::RateMeter;
use crate::limits::{DEFAULT_PEER_REQQ, MAX_SUGGESTED};

/// Which side opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The peer connected to us.
    Incoming,
    /// We dialed.
    Outgoing,
}

/// What is known of a peer when its handshake is done.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// The address of the connection.
    pub addr: SocketAddr,
    /// The id from the peer's handshake.
    pub id: PeerId,
    /// Who dialed.
    pub direction: Direction,
    /// Both sides speak the Fast extension (BEP 6).
    pub fast: bool,
}

/// A request of ours that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) block: BlockRef,
    pub(crate) at: Instant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) has: Bitfield,
    /// It has told us what it has, be it nothing.
    pub(crate) announced: bool,
    pub(crate) am_choking: bool,
    pub(crate) am_interested: bool,
    pub(crate) peer_choking: bool,
    pub(crate) peer_interested: bool,
    /// Pieces it has that we want.
    pub(crate) useful: u32,
    /// Oldest first.
    pub(crate) in_flight: VecDeque<InFlight>,
    /// The piece whose blocks we ask of it one after the other.
    pub(crate) current: Option<PieceIndex>,
    pub(crate) pipeline: Pipeline,
    /// How many requests it queues.
    pub(crate) reqq: u32,
    pub(crate) suggested: Vec<PieceIndex>,
    /// Pieces it lets us ask for while it chokes us.
    pub(crate) allowed: Vec<PieceIndex>,
    /// Pieces we let it ask for while we choke it.
    pub(crate) granted: Vec<PieceIndex>,
    pub(crate) down: RateMeter,
    pub(crate) up: RateMeter,
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    pub(crate) last_block: Instant,
    pub(crate) snubbing: bool,
    /// When it last rejected a request although it does not choke us.
    pub(crate) refused: Option<Instant>,
    pub(crate) unchoked_since: Option<Instant>,
    pub(crate) waiting_since: Instant,
    pub(crate) client: String,
}

impl Peer {
    pub(crate) fn new(now: Instant, info: PeerInfo, pieces: u32) -> Self {
        let client = info.id.client_name();
        Self {
            info,
            has: Bitfield::new(pieces),
            announced: false,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            useful: 0,
            in_flight: VecDeque::new(),
            current: None,
            pipeline: Pipeline::new(now),
            reqq: DEFAULT_PEER_REQQ,
            suggested: Vec::new(),
            allowed: Vec::new(),
            granted: Vec::new(),
            down: RateMeter::new(now),
            up: RateMeter::new(now),
            downloaded: 0,
            uploaded: 0,
            last_block: now,
            snubbing: false,
            refused: None,
            unchoked_since: None,
            waiting_since: now,
            client,
        }
    }

    pub(crate) fn is_seed(&self) -> bool {
        self.has.is_full()
    }

    /// Blocks that may be asked of it now besides those under way.
    pub(crate) fn room(&self) -> usize {
        let depth = self.pipeline.depth(self.reqq) as usize;
        let room = depth.saturating_sub(self.in_flight.len());
        // Asking for one block at a time costs a lock, a pick and a packet each; a quarter of the depth amortizes them.
        if room * 4 >= depth || self.in_flight.len() < 4 {
            room
        } else {
            0
        }
    }

    /// Takes `block` off the list of what is under way; gives how long it took.
    pub(crate) fn arrived(&mut self, now: Instant, block: BlockRef) -> Option<Duration> {
        let at = self
            .in_flight
            .iter()
            .position(|flying| flying.block == block)?;
        let flying = self.in_flight.remove(at)?;
        Some(now.saturating_duration_since(flying.at))
    }

    pub(crate) fn suggest(&mut self, piece: PieceIndex) {
        if self.suggested.len() < MAX_SUGGESTED && !self.suggested.contains(&piece) {
            self.suggested.push(piece);
        }
    }

    pub(crate) fn allow(&mut self, piece: PieceIndex) {
        if self.allowed.len() < MAX_SUGGESTED && !self.allowed.contains(&piece) {
            self.allowed.push(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Peer, PeerInfo};
    use crate::limits::MAX_SUGGESTED;
    use bt_metainfo::PieceIndex;
    use bt_wire::PeerId;
    use std::net::SocketAddr;
    use std::time::Instant;

    #[test]
    fn what_a_peer_suggests_or_allows_is_bounded() {
        let info = PeerInfo {
            addr: SocketAddr::from(([10, 0, 0, 1], 6881)),
            id: PeerId::from([1; 20]),
            direction: Direction::Incoming,
            fast: true,
        };
        let mut peer = Peer::new(Instant::now(), info, 1_000);
        let limit = u32::try_from(MAX_SUGGESTED).unwrap();
        for piece in (0..limit).chain([0, limit, u32::MAX]) {
            peer.suggest(PieceIndex(piece));
            peer.allow(PieceIndex(piece));
        }
        assert_eq!(peer.suggested.len(), MAX_SUGGESTED);
        assert_eq!(peer.allowed.len(), MAX_SUGGESTED);
        assert_eq!(peer.suggested.last(), Some(&PieceIndex(limit - 1)));
    }
}
