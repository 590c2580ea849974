//! [`Swarms`]: the shards together, and the calls that the server makes.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockResult};
use std::time::Instant;

use bt_metainfo::InfoHash;
use bt_wire::PeerId;

use super::answer::{Answer, Counts, Refusal};
use super::config::{Config, MAX_PEERS_PER_TORRENT, MAX_SHARDS};
use super::list::Keys;
use super::open::Open;
use super::per_ip::PerIp;
use super::random::Random;
use super::shard::{Shard, ShardSweep};
use super::stamp::{Clock, Tick};
use super::torrent::{Env, Torrent};
use crate::announce::{AnnounceRequest, Event};

/// Which families a reply may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Families {
    /// The asker's own first; what is then still wanted from the other (BEP 7 allows it over HTTP).
    #[default]
    Both,
    /// Only the asker's own: a UDP reply has room for one (BEP 15).
    Own,
}

/// What the store needs to know of an announce.
#[derive(Clone, Copy, Debug)]
pub struct Announce {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where the peer accepts connections, with its proven address. Without a port it is answered
    /// but not kept, since nobody could connect to it.
    pub peer: SocketAddr,
    /// The peer's id, if it is to be kept for unpacked lists.
    pub peer_id: Option<PeerId>,
    /// Bytes that the peer lacks; 0 makes it a seed.
    pub left: u64,
    /// Why it announces.
    pub event: Event,
    /// How many peers to name at most.
    pub wanted: u32,
    /// Which families the reply may name.
    pub families: Families,
    /// Whether the reply names peer ids.
    pub with_ids: bool,
}

/// What a bounded step of [`Swarms::expire`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// The step reached the end; the next one begins anew.
    pub round_done: bool,
}

/// Sums over the whole store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Torrents that the store knows.
    pub torrents: u64,
    /// Torrents that are registered.
    pub registered: u64,
    /// Entries of IPv4 peers.
    pub peers_v4: u64,
    /// Entries of IPv6 peers.
    pub peers_v6: u64,
    /// Entries that are seeds.
    pub seeds: u64,
    /// Entries that want pieces.
    pub downloaders: u64,
    /// Completions counted since the start.
    pub completed: u64,
    /// Torrents forgotten to make room for others.
    pub evicted: u64,
}

/// All torrents and their peers. Calls from many threads at once are fine.
///
/// ```
/// use std::time::Instant;
/// use bt_tracker::swarm::{Answer, Config, Swarms};
/// use bt_tracker::AnnounceRequest;
///
/// let now = Instant::now();
/// let swarms = Swarms::new(Config::default(), now);
/// let mut answer = Answer::default();
/// let mut ask = |last, left| {
///     let mut request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 6881);
///     request.left = left;
///     swarms.announce(now, &request, [192, 0, 2, last].into(), &mut answer).map(|()| {
///         answer.peers().map(|peer| peer.addr.to_string()).collect::<Vec<_>>()
///     })
/// };
/// assert!(ask(1, 0)?.is_empty());
/// assert_eq!(ask(2, 500)?, ["192.0.2.1:6881"]);
/// # Ok::<(), bt_tracker::swarm::Refusal>(())
/// ```
#[derive(Debug)]
pub struct Swarms {
    pub(super) config: Config,
    pub(super) keys: Keys,
    clock: Clock,
    shards: Box<[Mutex<Shard>]>,
    per_ip: Option<PerIp>,
    pub(super) open: Open,
    sweep: Mutex<(usize, ShardSweep)>,
}

impl Swarms {
    /// An empty store. Moments given to it later must not be before `now`.
    #[must_use]
    pub fn new(mut config: Config, now: Instant) -> Self {
        config.shards = config.shards.clamp(1, MAX_SHARDS).next_power_of_two();
        config.limits.peers_per_torrent = config
            .limits
            .peers_per_torrent
            .clamp(1, MAX_PEERS_PER_TORRENT);
        let mut seeds = Random::new(config.seed);
        Self {
            keys: Keys::new(&config.key),
            clock: Clock::new(now, config.peer_ttl),
            shards: (0..config.shards)
                .map(|_| Mutex::new(Shard::new(seeds.next())))
                .collect(),
            per_ip: config
                .limits
                .peers_per_ip
                .map(|most| PerIp::new(most, &config.key)),
            open: Open::new(config.limits.torrents),
            sweep: Mutex::default(),
            config,
        }
    }

    /// How the store was made.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Updates the announcing peer and names others to it, in both families and without ids.
    ///
    /// `source` is the address that the transport has proven; what the request says of addresses
    /// is not looked at. `out` is overwritten.
    ///
    /// # Errors
    /// When the tracker is closed to this torrent, or full.
    pub fn announce(
        &self,
        now: Instant,
        request: &AnnounceRequest,
        source: IpAddr,
        out: &mut Answer,
    ) -> Result<(), Refusal> {
        self.enter(now, &self.asked(request, source), out)
    }

    /// What the store needs to know of a request: both families, no ids.
    #[must_use]
    pub fn asked(&self, request: &AnnounceRequest, source: IpAddr) -> Announce {
        Announce {
            info_hash: request.info_hash,
            peer: SocketAddr::new(source.to_canonical(), request.port),
            peer_id: None,
            left: request.left,
            event: request.event,
            wanted: self.wanted(request.numwant),
            families: Families::Both,
            with_ids: false,
        }
    }

    /// How many peers to name to an asker that wants this many.
    #[must_use]
    pub fn wanted(&self, numwant: Option<u32>) -> u32 {
        numwant
            .unwrap_or(self.config.default_numwant)
            .min(self.config.max_numwant)
    }

    /// Like [`Swarms::announce`], with everything said. The address must not be an IPv4 address
    /// in IPv6 form.
    ///
    /// # Errors
    /// When the tracker is closed to this torrent, or full.
    pub fn enter(
        &self,
        now: Instant,
        announce: &Announce,
        out: &mut Answer,
    ) -> Result<(), Refusal> {
        out.clear();
        let hash = self.hash(&announce.info_hash);
        let env = self.env(self.clock.tick(now));
        let mut shard = self.shard_of(hash);
        shard.announce(hash, announce, self.config.closed, &self.open, &env, out)
    }

    /// The numbers of a torrent, if it is known (BEP 48).
    #[must_use]
    pub fn scrape(&self, info_hash: &InfoHash) -> Option<Counts> {
        let hash = self.hash(info_hash);
        self.shard_of(hash).counts(hash, info_hash)
    }

    /// Forgets silent peers and empty torrents in a step that looks at about `budget` of them, so
    /// that no announce waits long. Call it so often that a round takes a fraction of the
    /// time-to-live. A step that reaches the end of the store stops there.
    pub fn expire(&self, now: Instant, budget: u32) -> Expired {
        let env = self.env(self.clock.tick(now));
        let mut sweep = lock(&self.sweep);
        let (at, within) = &mut *sweep;
        let mut budget = budget.max(1);
        while budget > 0 {
            let Some(shard) = self.shards.get(*at) else {
                *at = 0;
                return Expired { round_done: true };
            };
            if lock(shard).sweep(within, &mut budget, &self.open, &env) {
                *at += 1;
                budget = budget.saturating_sub(1);
            }
        }
        Expired { round_done: false }
    }

    /// Makes the torrent known: it is tracked even when the store is closed, and never forgotten.
    /// Returns whether it was registered before.
    pub fn register(&self, info_hash: InfoHash) -> bool {
        let hash = self.hash(&info_hash);
        self.shard_of(hash)
            .set_registered(hash, info_hash, true, &self.open, &self.keys)
    }

    /// Takes a registration back; peers stay until they are silent, or, in a closed store, are
    /// forgotten at once. Returns whether it was registered.
    pub fn unregister(&self, info_hash: InfoHash) -> bool {
        let hash = self.hash(&info_hash);
        let env = self.env(self.clock.start());
        // Under one lock: whoever registers it again meanwhile would be answered, and then forgotten.
        let mut shard = self.shard_of(hash);
        let was = shard.set_registered(hash, info_hash, false, &self.open, &self.keys);
        if was && self.config.closed {
            shard.remove(hash, &info_hash, &self.open, &env);
        }
        was
    }

    /// Forgets a torrent, its peers and its registration. Returns whether it was known.
    pub fn remove(&self, info_hash: &InfoHash) -> bool {
        let hash = self.hash(info_hash);
        // Nothing that happens here depends on the time.
        let env = self.env(self.clock.start());
        self.shard_of(hash)
            .remove(hash, info_hash, &self.open, &env)
    }

    /// Takes one peer out of a torrent, as if it had said `stopped`. Returns what it would have
    /// said.
    pub fn leave(&self, now: Instant, info_hash: &InfoHash, peer: SocketAddr) -> Announce {
        let stop = Announce {
            info_hash: *info_hash,
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            peer_id: None,
            left: 0,
            event: Event::Stopped,
            wanted: 0,
            families: Families::Own,
            with_ids: false,
        };
        // It can only be refused where it is not known anyway, and no torrent is made for it.
        let _ = self.enter(now, &stop, &mut Answer::default());
        stop
    }

    /// Sums over all shards, one after the other.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.shards.iter().fold(Totals::default(), |sum, shard| {
            let shard = lock(shard).totals();
            Totals {
                torrents: sum.torrents + shard.torrents as u64,
                registered: sum.registered + u64::from(shard.registered),
                peers_v4: sum.peers_v4 + u64::from(shard.census.v4),
                peers_v6: sum.peers_v6 + u64::from(shard.census.v6),
                seeds: sum.seeds + u64::from(shard.census.seeds),
                downloaders: sum.downloaders + u64::from(shard.census.downloaders),
                completed: sum.completed + shard.completed,
                evicted: sum.evicted + shard.evicted,
            }
        })
    }

    /// The torrents with the most peers, most first.
    #[must_use]
    pub fn largest(&self, count: usize) -> Vec<(InfoHash, Counts)> {
        let mut largest: Vec<(InfoHash, Counts)> = Vec::new();
        let peers = |counts: &Counts| counts.seeds + counts.incomplete();
        let mut least = 0;
        for shard in &self.shards {
            let shard = lock(shard);
            // Nearly all torrents are too small, so few are ever sorted.
            let torrents = shard.torrents().iter().map(|t| (t.info_hash, t.counts()));
            largest.extend(torrents.filter(|(_, counts)| peers(counts) >= least));
            drop(shard);
            largest.sort_by_key(|(_, counts)| u32::MAX - peers(counts));
            largest.truncate(count);
            if largest.len() == count {
                least = largest.last().map_or(0, |(_, counts)| peers(counts) + 1);
            }
        }
        largest
    }

    /// Every torrent, a part of the store being locked meanwhile.
    #[cfg(feature = "server")]
    pub(crate) fn each_hash(&self, mut each: impl FnMut(InfoHash)) {
        for shard in 0..self.shard_count() {
            self.each_torrent(shard, |torrent| each(torrent.info_hash));
        }
    }

    pub(super) fn env(&self, tick: Tick) -> Env<'_> {
        Env {
            keys: &self.keys,
            limits: &self.config.limits,
            locality: &self.config.locality,
            per_ip: self.per_ip.as_ref(),
            tick,
            heard: tick,
        }
    }

    pub(super) fn tick(&self, now: Instant) -> Tick {
        self.clock.tick(now)
    }

    pub(super) fn tick_length(&self) -> std::time::Duration {
        self.clock.tick_length()
    }

    pub(super) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn each_torrent(&self, shard: usize, each: impl FnMut(&Torrent)) {
        if let Some(shard) = self.shards.get(shard) {
            lock(shard).torrents().iter().for_each(each);
        }
    }

    pub(super) fn hash(&self, info_hash: &InfoHash) -> u64 {
        self.keys.hash(info_hash.as_bytes())
    }

    pub(super) fn shard_of(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(self.shard_at(hash))
    }

    /// The same without waiting.
    pub(super) fn try_shard_of(&self, hash: u64) -> TryLockResult<MutexGuard<'_, Shard>> {
        self.shard_at(hash).try_lock()
    }

    fn shard_at(&self, hash: u64) -> &Mutex<Shard> {
        // The lowest and the highest bits are used inside the shard.
        let at = usize::try_from(hash >> 32 & 0xffff).unwrap_or(0) & (self.shards.len() - 1);
        &self.shards[at]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
