//! A part of the store that is locked on its own: torrents in a dense array, with a table of
//! their positions. Knows nothing of other shards.

use bt_metainfo::InfoHash;

use super::answer::{Answer, Counts, Refusal};
use super::index::{Index, MAX_POSITIONS};
use super::list::Keys;
use super::open::Open;
use super::prefetch::prefetch;
use super::random::Random;
use super::store::Announce;
use super::torrent::{Census, Env, Torrent, TorrentSweep};
use crate::announce::Event;

/// How many torrents are looked at to find one that can make room.
const EVICTION_SAMPLE: u32 = 8;

/// On its own cache lines, so that locking one shard does not slow its neighbors down.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    torrents: Vec<Torrent>,
    index: Index,
    random: Random,
    census: Census,
    registered: u32,
    completed: u64,
    evicted: u64,
}

/// Where a sweep of one shard stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardSweep {
    /// How many torrents are still to be looked at; `None` when the shard has not been begun.
    left: Option<usize>,
    torrent: TorrentSweep,
}

/// The numbers of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ShardTotals {
    pub(super) torrents: usize,
    pub(super) registered: u32,
    pub(super) census: Census,
    pub(super) completed: u64,
    pub(super) evicted: u64,
}

impl Shard {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            torrents: Vec::new(),
            index: Index::default(),
            random: Random::new(seed),
            census: Census::default(),
            registered: 0,
            completed: 0,
            evicted: 0,
        }
    }

    pub(super) fn totals(&self) -> ShardTotals {
        ShardTotals {
            torrents: self.torrents.len(),
            registered: self.registered,
            census: self.census,
            completed: self.completed,
            evicted: self.evicted,
        }
    }

    pub(super) fn torrents(&self) -> &[Torrent] {
        &self.torrents
    }

    pub(super) fn find(&self, hash: u64, info_hash: &InfoHash) -> Option<usize> {
        self.index
            .find(hash, |at| self.torrents[at].info_hash == *info_hash)
    }

    pub(super) fn counts(&self, hash: u64, info_hash: &InfoHash) -> Option<Counts> {
        self.find(hash, info_hash)
            .map(|at| self.torrents[at].counts())
    }

    /// Asks for the place in the table where a search for this hash begins.
    pub(super) fn warm_slot(&self, hash: u64) {
        if let Some(slot) = self.index.first_slot(hash) {
            prefetch(slot);
        }
    }

    /// Asks for the torrent that this hash most likely is of. Returns where it is.
    pub(super) fn warm_torrent(&self, hash: u64) -> Option<usize> {
        let at = self.index.find(hash, |_| true)?;
        prefetch(self.torrents.get(at)?);
        Some(at)
    }

    /// Asks for what the torrent at a position has of its own.
    pub(super) fn warm_swarm(&self, at: usize) {
        if let Some(torrent) = self.torrents.get(at) {
            torrent.warm_swarm();
        }
    }

    /// Asks for its peers.
    pub(super) fn warm_peers(&self, at: usize) {
        if let Some(torrent) = self.torrents.get(at) {
            torrent.warm_peers();
        }
    }

    /// Ticks since a peer was heard, if it is known.
    pub(super) fn age_of(&self, hash: u64, announce: &Announce, env: &Env<'_>) -> Option<u16> {
        let at = self.find(hash, &announce.info_hash)?;
        self.torrents[at].age_of(announce.peer, env)
    }

    pub(super) fn announce(
        &mut self,
        hash: u64,
        announce: &Announce,
        closed: bool,
        open: &Open,
        env: &Env<'_>,
        answer: &mut Answer,
    ) -> Result<(), Refusal> {
        let at = match self.find(hash, &announce.info_hash) {
            Some(at) => at,
            None if closed => return Err(Refusal::Unregistered),
            // Nothing is known and nothing is to be kept.
            None if announce.event == Event::Stopped || announce.peer.port() == 0 => return Ok(()),
            None => self.open(hash, announce.info_hash, open, env)?,
        };
        let torrent = &mut self.torrents[at];
        let before = (torrent.census(), torrent.counts().completed);
        torrent.announce(announce, env, &mut self.random, answer);
        self.completed += u64::from(answer.counts.completed - before.1);
        self.census.replace(before.0, torrent.census());
        Ok(())
    }

    /// Gives the position of a torrent, which is made if it is not there.
    pub(super) fn open(
        &mut self,
        hash: u64,
        info_hash: InfoHash,
        open: &Open,
        env: &Env<'_>,
    ) -> Result<usize, Refusal> {
        if let Some(at) = self.find(hash, &info_hash) {
            return Ok(at);
        }
        if !open.enter() {
            self.evict(open, env)?;
            open.enter();
        }
        self.insert(hash, Torrent::new(info_hash), env.keys)
            .ok_or(Refusal::Full)
    }

    /// Registers a torrent or takes that back. Returns whether it was registered.
    pub(super) fn set_registered(
        &mut self,
        hash: u64,
        info_hash: InfoHash,
        registered: bool,
        open: &Open,
        keys: &Keys,
    ) -> bool {
        let at = match self.find(hash, &info_hash) {
            Some(at) => at,
            None if registered => {
                let Some(at) = self.insert(hash, Torrent::new(info_hash), keys) else {
                    return false;
                };
                open.force();
                at
            }
            None => return false,
        };
        let torrent = &mut self.torrents[at];
        let before = torrent.is_registered();
        torrent.set_registered(registered);
        match (before, registered) {
            (false, true) => {
                self.registered += 1;
                open.leave();
            }
            (true, false) => {
                self.registered -= 1;
                open.force();
            }
            _ => {}
        }
        before
    }

    /// Forgets a torrent and its peers. Returns whether it was there.
    pub(super) fn remove(
        &mut self,
        hash: u64,
        info_hash: &InfoHash,
        open: &Open,
        env: &Env<'_>,
    ) -> bool {
        let found = self.find(hash, info_hash);
        if let Some(at) = found {
            self.remove_at(at, open, env);
        }
        found.is_some()
    }

    pub(super) fn edit(&mut self, at: usize, edit: impl FnOnce(&mut Torrent)) {
        let torrent = &mut self.torrents[at];
        let before = (torrent.census(), torrent.counts().completed);
        edit(torrent);
        self.completed += u64::from(torrent.counts().completed.saturating_sub(before.1));
        self.census.replace(before.0, torrent.census());
    }

    /// Takes out expired peers and empty torrents. Looks at no more than `budget` of them.
    /// Returns whether the end has been reached.
    ///
    /// It goes from the last torrent to the first, so that the one which moves into the place of
    /// a removed one has been looked at already.
    pub(super) fn sweep(
        &mut self,
        sweep: &mut ShardSweep,
        budget: &mut u32,
        open: &Open,
        env: &Env<'_>,
    ) -> bool {
        let mut left = sweep.left.unwrap_or(usize::MAX).min(self.torrents.len());
        while left > 0 && *budget > 0 {
            let torrent = &mut self.torrents[left - 1];
            let before = torrent.census();
            let done = torrent.sweep(&mut sweep.torrent, env, budget);
            *budget = budget.saturating_sub(1);
            let (after, forget) = (
                torrent.census(),
                torrent.is_empty() && !torrent.is_registered(),
            );
            self.census.replace(before, after);
            if done {
                left -= 1;
                sweep.torrent = TorrentSweep::default();
                if forget {
                    self.remove_at(left, open, env);
                }
            }
        }
        sweep.left = Some(left);
        if left > 0 {
            return false;
        }
        *sweep = ShardSweep::default();
        let (torrents, keys) = (&self.torrents, env.keys);
        self.index
            .shrink(|at| keys.hash(torrents[at].info_hash.as_bytes()));
        if self.torrents.len() * 2 < self.torrents.capacity() {
            self.torrents.shrink_to(self.torrents.len() * 5 / 4);
        }
        true
    }

    fn insert(&mut self, hash: u64, torrent: Torrent, keys: &Keys) -> Option<usize> {
        let at = self.torrents.len();
        if at >= MAX_POSITIONS as usize {
            return None;
        }
        if at == self.torrents.capacity() {
            // An eighth more at a time: copying 48 bytes eight times costs less than the slack.
            self.torrents.reserve_exact((at / 8).max(4));
        }
        self.torrents.push(torrent);
        let torrents = &self.torrents;
        self.index
            .insert(hash, at, |at| keys.hash(torrents[at].info_hash.as_bytes()));
        Some(at)
    }

    fn remove_at(&mut self, at: usize, open: &Open, env: &Env<'_>) {
        let (torrents, keys) = (&self.torrents, env.keys);
        let hash_of = |at: usize| keys.hash(torrents[at].info_hash.as_bytes());
        self.index.remove(hash_of(at), at, hash_of);
        let last = torrents.len() - 1;
        if at != last {
            self.index.relocate(hash_of(last), last, at);
        }
        let torrent = self.torrents.swap_remove(at);
        self.census.replace(torrent.census(), Census::default());
        if torrent.is_registered() {
            self.registered -= 1;
        } else {
            open.leave();
        }
        if let Some(per_ip) = env.per_ip {
            torrent.each(
                |v4| per_ip.leave(&v4.endpoint),
                |v6| per_ip.leave(&v6.endpoint),
            );
        }
    }

    /// Removes one of the smallest torrents of a few, the longest silent of equals.
    fn evict(&mut self, open: &Open, env: &Env<'_>) -> Result<(), Refusal> {
        let len = u32::try_from(self.torrents.len()).unwrap_or(u32::MAX);
        let (torrents, random) = (&self.torrents, &mut self.random);
        let looked_at = (0..EVICTION_SAMPLE).map(|_| random.below(len) as usize);
        let candidates =
            looked_at.filter(|&at| torrents.get(at).is_some_and(|t| !t.is_registered()));
        let size_and_youth = |at: &usize| {
            let torrent = &torrents[*at];
            (torrent.peer_count(), u16::MAX - torrent.age(env.tick))
        };
        let at = candidates.min_by_key(size_and_youth).ok_or(Refusal::Full)?;
        self.remove_at(at, open, env);
        self.evicted += 1;
        Ok(())
    }
}

impl Census {
    fn replace(&mut self, before: Self, after: Self) {
        self.v4 = self.v4 - before.v4 + after.v4;
        self.v6 = self.v6 - before.v6 + after.v6;
        self.seeds = self.seeds - before.seeds + after.seeds;
        self.downloaders = self.downloaders - before.downloaders + after.downloaders;
    }
}
