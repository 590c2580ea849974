//! What we know of one connected peer: its pieces, the four flags, what is under way, what it gave and took.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, BlockRef, PieceIndex};
use bt_wire::{Bitfield, PeerId};

use crate::engine::download::Pipeline;
use crate::engine::peers::RateMeter;
use crate::limits::{
    DEFAULT_PEER_REQQ, MAX_CALLED_OFF, MAX_OVERTAKING, MAX_SUGGESTED, MAX_WITHHELD, OTHERS_FIRST,
    SHORT_CONNECTION, SNUB_AFTER,
};

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

/// How long a block may still come after its request was called off: what a slow line has queued by then.
const STILL_WELCOME: Duration = Duration::from_secs(120);

/// A peer with so many requests under way has something to do.
const BUSY: usize = 2;

/// A rate is taken over so long at least.
const YOUNG: Duration = Duration::from_millis(100);

/// Who owes us blocks and has sent none for so long is asked after all others, and is not counted among those who were
/// asked for a block at the end: some who never answer must not keep it from one who does. A line that takes longer for
/// a block carries 3 KiB a second.
const HOPE: Duration = Duration::from_secs(5);

/// The same of a peer that has never sent a block: anybody can say that he has all pieces, and come again.
const FIRST_HOPE: Duration = Duration::from_secs(2);

/// What can be expected of a peer, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// It has sent blocks.
    Proven,
    /// It has sent none yet.
    New,
    /// It owes us blocks, and they do not come.
    Silent,
}

/// A request of ours that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) block: BlockRef,
    pub(crate) at: Instant,
    /// How many answers the peer will have given when it has answered all that it was asked before.
    turn: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) info: PeerInfo,
    pub(crate) joined: Instant,
    /// Where it listens, if it dialed us and says so, or we have tried: an address that we need not dial.
    pub(crate) listens: Option<SocketAddr>,
    /// When it last gave us a block that we could use, or took one.
    pub(crate) last_use: Instant,
    pub(crate) has: Bitfield,
    /// It has told us what it has, be it nothing.
    pub(crate) announced: bool,
    pub(crate) am_choking: bool,
    pub(crate) am_interested: bool,
    pub(crate) peer_choking: bool,
    pub(crate) peer_interested: bool,
    /// Pieces it has that we want.
    pub(crate) useful: u32,
    /// Pieces it has that are listed, that is, which nobody has been asked for.
    pub(crate) open: u32,
    /// Oldest first.
    pub(crate) in_flight: VecDeque<InFlight>,
    /// Requests that are not under way any more, and to which a block may come all the same; with the time at which they
    /// were called off, oldest first.
    called_off: VecDeque<(BlockRef, Instant)>,
    /// Requests that it has answered.
    answers: u64,
    /// Pieces of which it has passed over a request, and when that was noticed.
    withheld: VecDeque<(PieceIndex, Instant)>,
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
    /// Bytes of them that it may yet fetch while choked.
    pub(crate) gift: u64,
    pub(crate) down: RateMeter,
    pub(crate) up: RateMeter,
    pub(crate) downloaded: u64,
    pub(crate) uploaded: u64,
    pub(crate) last_block: Instant,
    pub(crate) snubbing: bool,
    /// When it last rejected a request although it does not choke us.
    pub(crate) refused: Option<Instant>,
    /// It has sent a block since it unchoked us.
    pub(crate) has_sent: bool,
    /// What it had sent when it took over some requests from others.
    relieved_at: Option<u64>,
    pub(crate) unchoked_since: Option<Instant>,
    pub(crate) waiting_since: Instant,
    pub(crate) client: String,
    /// It says that it wants nothing (BEP 21).
    pub(crate) upload_only: bool,
    /// How often it has ceased to be a seed.
    pub(crate) seeds_lost: u8,
}

impl Peer {
    pub(crate) fn new(now: Instant, info: PeerInfo, pieces: u32) -> Self {
        let client = info.id.client_name();
        Self {
            info,
            joined: now,
            listens: None,
            last_use: now,
            has: Bitfield::new(pieces),
            announced: false,
            am_choking: true,
            am_interested: false,
            peer_choking: true,
            peer_interested: false,
            useful: 0,
            open: 0,
            in_flight: VecDeque::new(),
            called_off: VecDeque::new(),
            answers: 0,
            withheld: VecDeque::new(),
            current: None,
            pipeline: Pipeline::new(now),
            reqq: DEFAULT_PEER_REQQ,
            suggested: Vec::new(),
            allowed: Vec::new(),
            granted: Vec::new(),
            gift: 0,
            down: RateMeter::new(now),
            up: RateMeter::new(now),
            downloaded: 0,
            uploaded: 0,
            last_block: now,
            snubbing: false,
            refused: None,
            has_sent: false,
            relieved_at: None,
            unchoked_since: None,
            waiting_since: now,
            client,
            upload_only: false,
            seeds_lost: 0,
        }
    }

    /// Whether a connection leads to the same client, as far as one can tell: some draw another id for each connection
    /// (libtorrent 2.1 does), and it is for them to find the double. An id alone proves nothing, since everyone can read it.
    pub(crate) fn is_at(&self, other: &PeerInfo) -> bool {
        self.info.id == other.id && self.info.addr.ip() == other.addr.ip()
    }

    /// Notes where it can be dialed; false if another address is noted.
    pub(crate) fn listens_at(&mut self, addr: SocketAddr) -> bool {
        *self.listens.get_or_insert(addr) == addr
    }

    /// Whether it was worth to connect to it: blocks went one way or the other, or it let us stay.
    pub(crate) fn was_useful(&self, now: Instant) -> bool {
        self.last_use != self.joined
            || now.saturating_duration_since(self.joined) >= SHORT_CONNECTION
    }

    pub(crate) fn is_seed(&self) -> bool {
        self.has.is_full()
    }

    /// What can be expected of it, as far as it has shown. For `held_up` nothing could come, as we do not read faster.
    pub(crate) fn standing(&self, now: Instant, held_up: Duration) -> Standing {
        let is_proven = self.downloaded > 0;
        let hope = if is_proven { HOPE } else { FIRST_HOPE };
        let since = now.saturating_duration_since(self.last_block);
        let owes = !self.in_flight.is_empty() && since >= hope + held_up;
        match is_proven {
            _ if self.snubbing || owes => Standing::Silent,
            true => Standing::Proven,
            false => Standing::New,
        }
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

    /// It has been asked for `block`.
    pub(crate) fn asked(&mut self, now: Instant, block: BlockRef) {
        self.in_flight.push_back(InFlight {
            block,
            at: now,
            turn: self.answers + self.in_flight.len() as u64,
        });
    }

    /// What we wait for could not come for the time `stood`, through no fault of its own.
    pub(crate) fn clock_stood(&mut self, now: Instant, stood: Duration) {
        self.last_block = (self.last_block + stood).min(now);
        for flying in &mut self.in_flight {
            flying.at = (flying.at + stood).min(now);
        }
    }

    /// Whether it has passed over the oldest request, as far as one can tell: later ones were answered, many of them or
    /// long since. Peers may answer in any order, but not that much.
    pub(crate) fn has_lost_request(&self, now: Instant) -> bool {
        self.in_flight.front().is_some_and(|oldest| {
            let age = now.saturating_duration_since(oldest.at);
            let later = self.answers.saturating_sub(oldest.turn);
            let long = age >= 4 * self.pipeline.at_most();
            long && (later > MAX_OVERTAKING || (later > 0 && age >= SNUB_AFTER))
        })
    }

    /// Takes the requests that it has passed over off the list of what is under way. It is not asked for these pieces
    /// for a moment.
    pub(crate) fn take_lost_requests(&mut self, now: Instant) -> Vec<BlockRef> {
        let mut lost = Vec::new();
        while self.has_lost_request(now)
            && let Some(flying) = self.in_flight.pop_front()
        {
            self.called_off(now, flying.block);
            let piece = flying.block.piece;
            // Each piece once, since the last time.
            self.withheld.retain(|(known, _)| *known != piece);
            if self.withheld.len() >= MAX_WITHHELD {
                self.withheld.pop_front();
            }
            self.withheld.push_back((piece, now));
            lost.push(flying.block);
        }
        lost
    }

    /// Pieces of which it has passed over a request a moment ago: others come first.
    pub(crate) fn withheld(&self, now: Instant) -> impl Iterator<Item = PieceIndex> + '_ {
        let is_recent = move |at: &Instant| now.saturating_duration_since(*at) < OTHERS_FIRST;
        let withheld = self.withheld.iter();
        withheld
            .filter(move |(_, at)| is_recent(at))
            .map(|(piece, _)| *piece)
    }

    /// Takes `block` off the list of what is under way; gives how long it took.
    pub(crate) fn arrived(&mut self, now: Instant, block: BlockRef) -> Option<Duration> {
        let at = self
            .in_flight
            .iter()
            .position(|flying| flying.block == block)?;
        let flying = self.in_flight.remove(at)?;
        self.answers += 1;
        Some(now.saturating_duration_since(flying.at))
    }

    /// Whether it may take over what others were asked for: it has nothing to do, and has sent something since it took over
    /// the last time, so that whoever sends nothing collects nothing.
    pub(crate) fn may_relieve(&self) -> bool {
        let is_idle = self.in_flight.len() < BUSY && !self.snubbing && self.useful > 0;
        is_idle && self.relieved_at != Some(self.downloaded)
    }

    /// It takes over what others were asked for.
    pub(crate) fn relieves(&mut self) {
        self.relieved_at = Some(self.downloaded);
    }

    /// For how many seconds we wait for a block that it is asked for now, after `more` others and those under way.
    pub(crate) fn wait(&self, now: Instant, more: usize) -> f64 {
        let trip = self.pipeline.round_trip().as_secs_f64();
        // Whoever has been idle has no rate any more, but needs no more than a round trip for each.
        let a_block = self
            .seconds_a_block(now)
            .map_or(trip, |time| time.min(trip));
        #[expect(
            clippy::cast_precision_loss,
            reason = "there are a thousand of them at most"
        )]
        let before = (self.in_flight.len() + more) as f64;
        trip + before * a_block
    }

    /// How long a block takes at the rate at which it sends, if it has sent enough since it unchoked us to have one.
    pub(crate) fn seconds_a_block(&self, now: Instant) -> Option<f64> {
        let rate = self.down.rate_over(now, YOUNG);
        (self.has_sent && rate >= 1.0).then(|| f64::from(BLOCK_SIZE) / rate)
    }

    /// The request for `block` is called off; false if there is none.
    pub(crate) fn call_off(&mut self, now: Instant, block: BlockRef) -> bool {
        let at = self.in_flight.iter().position(|one| one.block == block);
        let is_off = at.is_some_and(|at| self.in_flight.remove(at).is_some());
        if is_off {
            self.called_off(now, block);
        }
        is_off
    }

    /// Nothing is under way any more; gives what was.
    pub(crate) fn call_all_off(&mut self, now: Instant) -> Vec<BlockRef> {
        self.call_off_where(now, |_| true)
    }

    /// Takes requests off the list of what is under way; gives them.
    pub(crate) fn call_off_where(
        &mut self,
        now: Instant,
        which: impl Fn(BlockRef) -> bool,
    ) -> Vec<BlockRef> {
        let (gone, kept): (Vec<InFlight>, Vec<InFlight>) = self
            .in_flight
            .drain(..)
            .partition(|flying| which(flying.block));
        self.in_flight.extend(kept);
        let gone: Vec<BlockRef> = gone.into_iter().map(|flying| flying.block).collect();
        for block in &gone {
            self.called_off(now, *block);
        }
        gone
    }

    /// A request was canceled, given up, or made void by a choke. The block may be on its way.
    pub(crate) fn called_off(&mut self, now: Instant, block: BlockRef) {
        let is_old = |at: Instant| now.saturating_duration_since(at) > STILL_WELCOME;
        while self.called_off.len() >= MAX_CALLED_OFF
            || self.called_off.front().is_some_and(|(_, at)| is_old(*at))
        {
            self.called_off.pop_front();
        }
        // With the Fast extension each request has its own answer, however often the same block is asked for. Without it
        // a request that was called off may have none, and whoever chokes us again and again is to earn a block once.
        if !self.info.fast
            && let Some(at) = self
                .called_off
                .iter()
                .position(|(known, _)| *known == block)
        {
            self.called_off.remove(at);
        }
        self.called_off.push_back((block, now));
    }

    /// Whether `block` answers a request that was called off not long ago; each is answered once.
    pub(crate) fn answers_called_off(&mut self, now: Instant, block: BlockRef) -> bool {
        let is_it = |(called_off, at): &(BlockRef, Instant)| {
            *called_off == block && now.saturating_duration_since(*at) <= STILL_WELCOME
        };
        let at = self.called_off.iter().position(is_it);
        at.is_some_and(|at| self.called_off.remove(at).is_some())
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
    use super::{Direction, Peer, PeerInfo, STILL_WELCOME};
    use crate::limits::{MAX_CALLED_OFF, MAX_OVERTAKING, MAX_SUGGESTED, OTHERS_FIRST, SNUB_AFTER};
    use bt_metainfo::{BlockRef, PieceIndex};
    use bt_wire::PeerId;
    use std::net::SocketAddr;
    use std::time::{Duration, Instant};

    fn peer(now: Instant) -> Peer {
        peer_with(now, true)
    }

    fn peer_with(now: Instant, fast: bool) -> Peer {
        let info = PeerInfo {
            addr: SocketAddr::from(([10, 0, 0, 1], 6881)),
            id: PeerId::from([1; 20]),
            direction: Direction::Incoming,
            fast,
        };
        Peer::new(now, info, 1_000)
    }

    fn block(n: u32) -> BlockRef {
        BlockRef::new(PieceIndex(n), 0, 1)
    }

    #[test]
    fn what_was_called_off_is_bounded_in_number_and_in_time() {
        let now = Instant::now();
        let mut peer = peer(now);
        let limit = u32::try_from(MAX_CALLED_OFF).unwrap();
        for n in 0..=limit {
            peer.called_off(now, block(n));
        }
        assert!(!peer.answers_called_off(now, block(0)), "the oldest");
        assert!(peer.answers_called_off(now, block(1)));
        let late = now + STILL_WELCOME;
        assert!(peer.answers_called_off(late, block(2)));
        assert!(!peer.answers_called_off(late + Duration::from_millis(1), block(3)));
        peer.called_off(late + Duration::from_secs(1), block(0));
        assert_eq!(peer.called_off.len(), 1, "what is too old is dropped");
    }

    #[test]
    fn a_block_that_was_called_off_twice_has_two_answers_only_where_each_request_has_one() {
        let now = Instant::now();
        for (fast, answers) in [(true, 2), (false, 1)] {
            let mut peer = peer_with(now, fast);
            for n in [0, 1, 0] {
                peer.called_off(now, block(n));
            }
            let came = (0..3).filter(|_| peer.answers_called_off(now, block(0)));
            assert_eq!(came.count(), answers, "fast: {fast}");
            assert!(peer.answers_called_off(now, block(1)));
        }
    }

    /// Peers with several disk threads answer out of order, and none of that is lost.
    #[test]
    fn a_request_is_lost_when_many_later_ones_are_answered_or_some_long_before() {
        let now = Instant::now();
        let ask = |peer: &mut Peer| (0..200).for_each(|n| peer.asked(now, block(n)));
        let mut one = peer(now);
        ask(&mut one);
        let soon = now + Duration::from_millis(100);
        let answer = |peer: &mut Peer, n| {
            let latency = peer.arrived(soon, block(n)).unwrap();
            peer.pipeline.received(soon, latency);
        };
        for n in (1..=u32::try_from(MAX_OVERTAKING).unwrap()).rev() {
            answer(&mut one, n);
        }
        let long = now + Duration::from_secs(4);
        assert!(!one.has_lost_request(long), "out of order, and not more");
        answer(&mut one, 100);
        assert!(!one.has_lost_request(soon), "it may be read from the disk");
        assert!(one.has_lost_request(long));
        assert_eq!(one.take_lost_requests(long), [block(0)]);
        assert_eq!(one.withheld(long).collect::<Vec<_>>(), [PieceIndex(0)]);
        assert!(one.answers_called_off(long, block(0)), "it may yet come");
        assert_eq!(one.withheld(long + OTHERS_FIRST).count(), 0);

        let mut slow = peer(now);
        ask(&mut slow);
        let late = now + SNUB_AFTER;
        assert!(
            !slow.has_lost_request(late),
            "it is slow, and skips nothing"
        );
        answer(&mut slow, 1);
        assert!(slow.has_lost_request(late));
        assert!(!slow.has_lost_request(late - Duration::from_millis(1)));
    }

    #[test]
    fn a_piece_of_which_several_blocks_were_passed_over_is_named_once() {
        let (now, block) = (Instant::now(), |n: u32| {
            BlockRef::new(PieceIndex(n / 2), n % 2, 1)
        });
        let mut peer = peer(now);
        (0..9).for_each(|n| peer.asked(now, block(n)));
        let soon = now + Duration::from_millis(100);
        for n in 4..9 {
            let latency = peer.arrived(soon, block(n)).unwrap();
            peer.pipeline.received(soon, latency);
        }
        let late = now + SNUB_AFTER;
        assert_eq!(peer.take_lost_requests(late).len(), 4);
        let withheld: Vec<u32> = peer.withheld(late).map(|piece| piece.0).collect();
        assert_eq!(withheld, [0, 1]);
    }

    #[test]
    fn what_a_peer_suggests_or_allows_is_bounded() {
        let mut peer = peer(Instant::now());
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
