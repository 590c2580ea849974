//! One torrent: the state that all decisions about it are made on.
//!
//! The files beside this one hold what happens when: a peer comes or goes (`peers`), says something (`message`),
//! can be asked for more (`request`), or for what others keep us waiting for (`relief`), a piece was hashed (`verdict`),
//! the disk is in trouble (`storage`), the owner wants something else (`select`), it is time to choke (`choke`) or to
//! announce (`announce`); and what peers have yet to be told of (`backlog`).

mod announce;
mod audit;
mod backlog;
mod choke;
mod ext;
mod message;
mod peers;
mod relief;
mod request;
mod select;
mod status;
mod storage;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{InfoHash, Layout};
use bt_tracker::schedule::Schedule;
use bt_wire::{Bitfield, PeerId};

use self::announce::Announcing;
use self::backlog::Backlog;
use self::storage::Shortage;
use super::download::{Availability, Pieces};
use super::peers::{Candidates, Peer, Suspects, Trust, Vacancy};
use super::rng::Rng;
use super::upload::{Choker, Spread};
use super::{Command, Families, Input, Notice, Output, Outputs, PeerKey, RateMeter, State};
use crate::limits::{
    DEFAULT_MAX_PEERS, DIAL_BACKOFF, MAX_ADDRESSES, MAX_CANDIDATES, MAX_DIAL_BACKOFF, UPLOAD_SLOTS,
};

pub use self::peers::Refusal;
pub use self::status::{PeerStatus, Status};

/// How often rates, time-outs and dials are looked at while there is anything to look at.
const TICK: Duration = Duration::from_secs(1);

/// The same in the end-game, where a block that is late is asked of others, and while peers have yet to be told of
/// pieces.
const SHORT_TICK: Duration = Duration::from_millis(250);

/// What a torrent has to know of itself and its owner.
#[derive(Debug, Clone)]
pub struct Config {
    /// The torrent's info-hash, as spoken on the wire.
    pub info_hash: InfoHash,
    /// Our peer id.
    pub peer_id: PeerId,
    /// Trackers in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// When another tracker answers than before, all peers of the former are left (BEP 27).
    pub private: bool,
    /// Connected peers, at most.
    pub max_peers: usize,
    /// Peers unchoked at once, the optimistic one included; at least 1.
    pub upload_slots: usize,
    /// Bytes per second that we read from all peers, at most; `None` does not limit.
    pub down_rate: Option<u64>,
    /// Addresses that can be dialed; no others are remembered.
    pub families: Families,
    /// Pieces in their order instead of rarest first.
    pub sequential: bool,
    /// Spread like an initial seeder (BEP 16) while we are the only seed.
    pub spread: bool,
    /// All randomness of this torrent comes from it.
    pub seed: u64,
}

impl Config {
    /// The usual settings.
    #[must_use]
    pub fn new(info_hash: InfoHash, peer_id: PeerId, seed: u64) -> Self {
        Self {
            info_hash,
            peer_id,
            trackers: Vec::new(),
            private: false,
            max_peers: DEFAULT_MAX_PEERS,
            upload_slots: UPLOAD_SLOTS,
            down_rate: None,
            families: Families::Both,
            sequential: false,
            spread: false,
            seed,
        }
    }
}

/// The state machine of one torrent.
///
/// # Contract
/// - [`Torrent::open`] when a handshake is done, [`Torrent::block`] for each block, [`Torrent::handle`] for all else;
///   each appends to `out` what is to be done.
/// - `now` never goes back.
/// - [`Torrent::poll_timeout`] says when [`Input::Timeout`] is due next; ask again after every call.
/// - An output for a peer may come from news about another one.
#[derive(Debug)]
pub struct Torrent {
    config: Config,
    layout: Arc<Layout>,
    state: State,
    /// What to go back to after a pause.
    checked: bool,
    pieces: Pieces,
    availability: Availability,
    peers: BTreeMap<PeerKey, Peer>,
    next_key: u32,
    /// Where blocks came from, also after the peer has left.
    addresses: BTreeMap<PeerKey, IpAddr>,
    /// When there are so many of them, it is time to see which are still needed.
    prune_addresses_at: usize,
    candidates: Candidates,
    vacancy: Vacancy,
    /// Before that, nobody looks for what it could take over from others.
    next_relief: Option<Instant>,
    trust: Trust,
    suspects: Suspects,
    choker: Choker,
    next_choke: Instant,
    spread: Option<Spread>,
    /// Those to whom something has left of late while we spread, or more.
    fed: BTreeSet<PeerKey>,
    backlog: Backlog,
    announcing: Announcing,
    rng: Rng,
    completed_before: bool,
    /// Complete and safe, and no tracker has heard of it because we were not in the swarm.
    owes_completed: bool,
    /// Whether peers were last told that we want nothing.
    told_upload_only: bool,
    endgame: bool,
    /// Requests were taken back since the peers were last asked for more.
    ask_others: bool,
    next_tick: Option<Instant>,
    /// When the peers were last looked at, and what had been received by then.
    last_look: (Instant, u64),
    next_turnover: Instant,
    down: RateMeter,
    up: RateMeter,
    counters: Counters,
    /// What is wrong with the disk while it is full or broken.
    failure: Option<String>,
    /// Kept after there is room again, until a piece is written.
    shortage: Option<Shortage>,
}

/// What has moved since the torrent was added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Payload received, bad and double blocks included.
    pub(crate) received: u64,
    pub(crate) uploaded: u64,
    /// Of that, what nobody had asked for.
    pub(crate) unasked: u64,
    /// Payload received that was not needed, or was thrown away before its piece was whole.
    pub(crate) wasted: u64,
    /// Payload of pieces that did not verify.
    pub(crate) failed: u64,
    pub(crate) hash_failures: u32,
}

impl Counters {
    /// Of what was received, `bytes` were bad. Blocks of the piece may have been received before a restart of the
    /// count, so no more is booked than is there.
    pub(crate) fn piece_failed(&mut self, bytes: u64) {
        self.failed = (self.failed + bytes).min(self.received - self.wasted);
    }

    /// Nobody had asked for `bytes` that were received.
    pub(crate) fn is_unasked(&mut self, bytes: u64) {
        self.unasked += bytes;
        self.wasted += bytes;
    }

    /// Of what was received, `bytes` are thrown away; with the same reserve.
    pub(crate) fn thrown_away(&mut self, bytes: u64) {
        self.wasted = (self.wasted + bytes).min(self.received - self.failed);
    }
}

impl Torrent {
    /// A torrent whose content has not been looked at: it waits for [`Input::Checked`]. `wanted` has a bit a piece.
    #[must_use]
    pub fn new(now: Instant, config: Config, layout: Arc<Layout>, wanted: Bitfield) -> Self {
        let seed = config.seed;
        let mut rng = Rng::new(seed);
        let count = layout.piece_count();
        let mut availability = Availability::new(count, &mut rng);
        for piece in layout.pieces().filter(|piece| !wanted.get(*piece)) {
            availability.unlist(piece);
        }
        let schedule = Schedule::new(&config.trackers, rng.next(), false);
        let vacancy = Vacancy::new(now, config.max_peers);
        Self {
            pieces: Pieces::new(Arc::clone(&layout), Bitfield::new(count), wanted),
            announcing: Announcing::new(schedule),
            availability,
            config,
            layout,
            state: State::Checking,
            checked: false,
            peers: BTreeMap::new(),
            next_key: 0,
            addresses: BTreeMap::new(),
            candidates: Candidates::new(MAX_CANDIDATES, Rng::new(!seed)),
            vacancy,
            next_relief: None,
            trust: Trust::default(),
            suspects: Suspects::default(),
            prune_addresses_at: MAX_ADDRESSES,
            choker: Choker::default(),
            next_choke: now,
            spread: None,
            fed: BTreeSet::new(),
            backlog: Backlog::default(),
            rng,
            completed_before: false,
            owes_completed: false,
            told_upload_only: false,
            endgame: false,
            ask_others: false,
            next_tick: None,
            last_look: (now, 0),
            next_turnover: now,
            down: RateMeter::new(now),
            up: RateMeter::new(now),
            counters: Counters::default(),
            failure: None,
            shortage: None,
        }
    }

    /// Takes one piece of news and appends what is to be done.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Outputs) {
        match input {
            Input::PeerClosed(peer) => self.close(now, peer, out),
            Input::Message(peer, message) => self.message(now, peer, message, out),
            Input::PeerQueues(peer, reqq) => self.peer_queues(peer, reqq),
            Input::PeerListens(peer, port) => self.peer_listens(peer, port),
            Input::Extension(peer, message) => self.extension(now, peer, &message, out),
            Input::Flush(peer) => self.flush(now, peer, out),
            Input::Uploaded(peer, bytes) => self.uploaded(now, peer, bytes, out),
            Input::PieceChecked(piece, verdict) => self.verdict(now, piece, verdict, out),
            Input::Checked(have) => self.checked(now, &have, out),
            Input::CompletionIsSafe => self.completion_is_safe(now),
            Input::Candidates(source, addrs) => self.add_candidates(now, source, addrs, out),
            Input::DialFailed(addr) => self.dial_failed(now, addr, out),
            Input::DialedOurselves(addr) => self.dialed_ourselves(now, addr, out),
            Input::DialPutOff(addr) => {
                // Whoever lacks something tries again soon; many that lack nothing must not ask all the time.
                let most = match self.is_complete() {
                    true => MAX_DIAL_BACKOFF,
                    false => DIAL_BACKOFF,
                };
                self.candidates.put_off(now, addr, most);
                self.arm(now);
            }
            Input::Crowded => {
                self.make_room(now, out);
            }
            Input::Announced(url, result) => self.announced(now, &url, result, out),
            Input::Withdrawn(url) => self.announcing.withdrawn(&url),
            Input::StorageFailed(trouble) => self.storage_failed(now, trouble, out),
            Input::Room(free) => self.room(now, free, out),
            Input::Lost(pieces) => self.pieces_lost(now, &pieces, out),
            Input::Prioritize(priorities) => self.prioritize(now, &priorities, out),
            Input::Limits {
                upload_slots,
                down_rate,
            } => {
                self.config.down_rate = down_rate;
                self.set_slots(now, upload_slots, out);
            }
            Input::Command(command) => self.command(now, &command, out),
            Input::HeldUp => self.held_up_since_last_look(now),
            Input::Timeout => self.timeout(now, out),
        }
        self.tell_upload_only(out);
        self.announce_due(now, out);
        self.arm(now);
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let announce = self.announcing.next_deadline();
        let dial = self
            .may_dial()
            .then(|| self.candidates.next_due(self.is_complete()))
            .flatten();
        let room = self.next_look_for_room();
        let vacancy = self
            .may_dial_later()
            .then(|| self.vacancy.next_look())
            .flatten();
        [self.next_tick, announce, dial, room, vacancy]
            .into_iter()
            .flatten()
            .min()
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Our peer id in this swarm.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.config.peer_id
    }

    /// It is known what is on the disk.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.checked
    }

    /// Every piece is here.
    #[must_use]
    pub fn has_everything(&self) -> bool {
        self.pieces.is_everything_here()
    }

    /// The pieces that are here.
    #[must_use]
    pub fn have(&self) -> &Bitfield {
        self.pieces.have()
    }

    /// Whether anybody wants something of us, and whether we wait for something.
    pub(crate) fn directions(&self) -> (bool, bool) {
        let mut peers = self.peers.values();
        let up = peers.clone().any(|peer| peer.peer_interested);
        (up, peers.any(|peer| !peer.in_flight.is_empty()))
    }

    /// No wanted piece is missing.
    pub(crate) fn is_complete(&self) -> bool {
        self.pieces.left() == 0
    }

    /// Whether it has peers at the moment: it is neither paused, nor checked, nor failed.
    pub(crate) fn is_active(&self) -> bool {
        matches!(
            self.state,
            State::Downloading | State::Seeding | State::Finished | State::DiskFull
        )
    }

    fn set_state(&mut self, state: State, out: &mut Outputs) {
        if self.state != state {
            self.state = state;
            out.push(Output::Notice(Notice::State(state)));
        }
    }

    /// The state that follows from what is here.
    fn working_state(&self) -> State {
        if self.pieces.is_everything_here() {
            State::Seeding
        } else if self.is_complete() {
            State::Finished
        } else {
            State::Downloading
        }
    }

    fn checked(&mut self, now: Instant, have: &Bitfield, out: &mut Outputs) {
        for piece in have.iter_ones() {
            self.unlist(piece);
            self.pieces.verified(piece);
        }
        self.checked = true;
        self.completed_before = self.is_complete();
        self.shortage = None;
        if self.config.spread && self.has_everything() {
            self.spread = Some(Spread::new(&self.layout, &mut self.rng));
        }
        let (complete, seed) = (self.has_everything(), self.rng.next());
        let fresh = || Schedule::new(&self.config.trackers, seed, complete);
        self.announcing.content_is_known(complete, fresh);
        if self.state == State::Checking {
            self.set_state(self.working_state(), out);
            self.announcing.start(now);
            self.vacancy.begins(now);
            self.update_partial_seed();
            self.dial(now, out);
        }
    }

    fn command(&mut self, now: Instant, command: &Command, out: &mut Outputs) {
        if self.state == State::Stopped {
            // It has left the session: whoever still holds a handle cannot bring it back from outside.
            return;
        }
        match command {
            Command::Pause | Command::Stop => {
                self.close_all(now, out);
                let next = if *command == Command::Stop {
                    State::Stopped
                } else {
                    State::Paused
                };
                self.announcing.stop(now);
                self.set_state(next, out);
            }
            Command::Resume => {
                if matches!(self.state, State::Paused | State::Failed) {
                    self.failure = None;
                    let next = if self.checked {
                        self.working_state()
                    } else {
                        State::Checking
                    };
                    if self.checked && self.is_complete() && !self.completed_before {
                        // The last piece verified while we were paused.
                        self.completed(now, out);
                    }
                    self.set_state(next, out);
                    if self.checked {
                        self.announcing.start(now);
                        self.vacancy.begins(now);
                        // What was lost meanwhile is fetched again, and told again when that is safe.
                        if std::mem::take(&mut self.owes_completed) && self.has_everything() {
                            self.announcing.complete(now);
                        }
                        self.dial(now, out);
                    }
                }
            }
            Command::Reannounce => self.announcing.force(now),
            Command::Recheck => self.recheck(now, out),
        }
    }

    /// A torrent that lacks pieces and wants none says so to its trackers (BEP 21).
    fn update_partial_seed(&mut self) {
        self.announcing
            .set_partial_seed(self.is_complete() && !self.has_everything());
    }

    /// Nothing is known of what is on the disk any more.
    fn recheck(&mut self, now: Instant, out: &mut Outputs) {
        self.close_all(now, out);
        self.announcing.stop(now);
        out.push(Output::Forget);
        for piece in self.layout.pieces() {
            if !self.pieces.has(piece) {
                continue;
            }
            self.pieces.lost(piece);
            if self.pieces.wants(piece) {
                self.list(piece);
            }
        }
        self.spread = None;
        self.fed.clear();
        self.failure = None;
        self.checked = false;
        // A paused torrent is checked and stays paused.
        if self.state != State::Paused {
            self.set_state(State::Checking, out);
        }
    }

    fn timeout(&mut self, now: Instant, out: &mut Outputs) {
        if self.next_tick.is_some_and(|at| at <= now) {
            self.next_tick = None;
            self.look_at_peers(now, out);
            if now >= self.next_choke {
                self.choke_round(now, out);
            }
            self.spread_more(now, out);
            self.tell_backlog(out);
            self.turn_over(now, out);
        }
        self.look_for_room(now, out);
        self.vacancy.look(now);
        self.dial(now, out);
    }

    /// Idle torrents have no tick: ten thousand of them must cost nothing.
    fn arm(&mut self, now: Instant) {
        if self.peers.is_empty() && self.candidates.dialing() == 0 {
            self.next_tick = None;
        } else {
            let is_telling =
                self.backlog.is_open() || self.spread.as_ref().is_some_and(Spread::is_offering);
            let is_short = self.endgame || is_telling;
            let tick = if is_short { SHORT_TICK } else { TICK };
            let at = self.next_tick.map_or(now + tick, |at| at.min(now + tick));
            self.next_tick = Some(at);
        }
    }
}
