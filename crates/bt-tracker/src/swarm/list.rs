//! The peers of one torrent in one address family (and one locality group): a dense array whose
//! front holds those that download, with a table of positions once it is long.
//!
//! Knows nothing of torrents, time-outs and who may be told about whom.

use bt_wire::PeerId;
use siphasher::sip::SipHasher13;

use super::index::Index;
use super::prefetch::prefetch;
use super::random::Random;
use super::stamp::{Class, Stamp, Tick};

/// Longer lists get an [`Index`]. 32 records of IPv4 are four cache lines in a row, which are
/// searched in less time than a table takes to miss the cache once.
const LINEAR: usize = 32;

/// How many peers are looked at to find a stale one when a list is full.
const EVICTION_SAMPLE: u32 = 8;

/// The secret of the hash tables.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys(SipHasher13);

impl Keys {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(key))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        self.0.hash(bytes)
    }
}

/// One peer: its address and port as they stand in a packed list (6 bytes for IPv4, 18 for IPv6).
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer<const N: usize> {
    pub(super) endpoint: [u8; N],
    pub(super) stamp: Stamp,
}

/// What a peer does now, for [`List::put`].
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) tick: Tick,
    pub(super) class: Class,
    /// The peer says that its download has just become complete.
    pub(super) completed: bool,
}

/// What [`List::put`] did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Put {
    pub(super) at: u32,
    pub(super) is_new: bool,
    /// The completion counts: this peer has not been counted yet.
    pub(super) counts: bool,
}

#[derive(Clone, Debug)]
pub(super) struct List<const N: usize> {
    /// `[0, downloaders)` want pieces, `[downloaders, len)` are seeds and partial seeds.
    peers: Vec<Peer<N>>,
    /// `<= peers.len()`
    downloaders: u32,
    /// `<= peers.len() - downloaders`
    seeds: u32,
    /// Holds every position once there are more than [`LINEAR`].
    index: Option<Box<Index>>,
    /// As long as `peers`; zeros where the id is not known.
    ids: Option<Box<Ids>>,
}

#[derive(Clone, Debug, Default)]
struct Ids(Vec<[u8; 20]>);

impl<const N: usize> Default for List<N> {
    fn default() -> Self {
        Self {
            peers: Vec::new(),
            downloaders: 0,
            seeds: 0,
            index: None,
            ids: None,
        }
    }
}

impl<const N: usize> List<N> {
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.peers.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn downloaders(&self) -> u32 {
        self.downloaders
    }

    pub(super) fn seeds(&self) -> u32 {
        self.seeds
    }

    pub(super) fn has_ids(&self) -> bool {
        self.ids.is_some()
    }

    pub(super) fn peers(&self) -> &[Peer<N>] {
        &self.peers
    }

    pub(super) fn peer(&self, at: u32) -> Option<&Peer<N>> {
        self.peers.get(at as usize)
    }

    pub(super) fn id(&self, at: u32) -> Option<PeerId> {
        let id = *self.ids.as_ref()?.0.get(at as usize)?;
        (id != [0; 20]).then(|| PeerId::from(id))
    }

    pub(super) fn find(&self, endpoint: &[u8; N], keys: &Keys) -> Option<u32> {
        let at = match &self.index {
            None => self
                .peers
                .iter()
                .position(|peer| peer.endpoint == *endpoint),
            Some(index) => index.find(keys.hash(endpoint), |at| {
                self.peers[at].endpoint == *endpoint
            }),
        };
        at.and_then(|at| u32::try_from(at).ok())
    }

    /// Asks for what an announce looks at first: all of a short list, or the table of a long one and
    /// the two places that a new peer takes part in.
    pub(super) fn warm(&self) {
        let Some(index) = &self.index else {
            return prefetch(self.peers.as_slice());
        };
        prefetch(&**index);
        let first_seed = self.peers.get(self.downloaders as usize);
        for peer in self.peers.last().into_iter().chain(first_seed) {
            prefetch(peer);
        }
    }

    /// Adds the peer or updates what is known of it.
    pub(super) fn put(
        &mut self,
        endpoint: [u8; N],
        news: News,
        id: Option<PeerId>,
        keys: &Keys,
    ) -> Put {
        match self.find(&endpoint, keys) {
            None => {
                let stamp = Stamp::new(news.tick, news.class, news.completed);
                let at = self.insert(Peer { endpoint, stamp }, id, keys);
                Put {
                    at,
                    is_new: true,
                    counts: news.completed,
                }
            }
            Some(at) => {
                let before = self.peers[at as usize].stamp;
                let completed = news.completed || before.completed();
                let at = self.update(at, Stamp::new(news.tick, news.class, completed), keys);
                if id.is_some() {
                    self.set_id(at, id);
                }
                Put {
                    at,
                    is_new: false,
                    counts: news.completed && !before.completed(),
                }
            }
        }
    }

    /// Adds a peer that is not in the list.
    pub(super) fn insert(&mut self, peer: Peer<N>, id: Option<PeerId>, keys: &Keys) -> u32 {
        let at = self.len();
        if self.peers.len() == self.peers.capacity() {
            // A quarter more at a time: a little more copying than doubling, far less slack.
            self.peers.reserve_exact((self.peers.len() / 4).max(2));
        }
        self.peers.push(peer);
        if let Some(ids) = &mut self.ids {
            ids.0.push([0; 20]);
        }
        match &mut self.index {
            Some(index) => {
                let peers = &self.peers;
                let hash_of = |at: usize| keys.hash(&peers[at].endpoint);
                index.insert(keys.hash(&peer.endpoint), at as usize, hash_of);
            }
            None if self.peers.len() > LINEAR => self.build_index(keys),
            None => {}
        }
        self.set_id(at, id);
        self.seeds += u32::from(peer.stamp.class() == Class::Seed);
        if peer.stamp.class() == Class::Downloader {
            let front = self.downloaders;
            self.swap(at, front, keys);
            self.downloaders += 1;
            return front;
        }
        at
    }

    pub(super) fn remove(&mut self, endpoint: &[u8; N], keys: &Keys) -> bool {
        let found = self.find(endpoint, keys);
        if let Some(at) = found {
            self.remove_at(at, keys);
        }
        found.is_some()
    }

    /// Takes out the peer at a position; only peers at higher positions move.
    pub(super) fn remove_at(&mut self, at: u32, keys: &Keys) -> Peer<N> {
        let mut at = at;
        if at < self.downloaders {
            self.downloaders -= 1;
            self.swap(at, self.downloaders, keys);
            at = self.downloaders;
        }
        let last = self.len() - 1;
        self.swap(at, last, keys);
        let peer = self.peers[last as usize];
        if let Some(index) = &mut self.index {
            let peers = &self.peers;
            let hash_of = |at: usize| keys.hash(&peers[at].endpoint);
            index.remove(keys.hash(&peer.endpoint), last as usize, hash_of);
        }
        self.peers.truncate(last as usize);
        if let Some(ids) = &mut self.ids {
            ids.0.truncate(last as usize);
        }
        self.seeds -= u32::from(peer.stamp.class() == Class::Seed);
        peer
    }

    /// A peer that has been silent for long, or at least the most silent one of a few.
    pub(super) fn stalest(&self, now: Tick, random: &mut Random) -> Option<u32> {
        let looked_at = (0..EVICTION_SAMPLE).map(|_| random.below(self.len()));
        looked_at
            .filter(|&at| (at as usize) < self.peers.len())
            .max_by_key(|&at| self.peers[at as usize].stamp.age(now))
    }

    /// Gives unused memory back.
    pub(super) fn shrink(&mut self, keys: &Keys) {
        if self.peers.len() < LINEAR / 2 {
            self.index = None;
        }
        if let Some(index) = &mut self.index {
            let peers = &self.peers;
            index.shrink(|at| keys.hash(&peers[at].endpoint));
        }
        if self.peers.capacity() > 8 && self.peers.len() * 2 < self.peers.capacity() {
            self.peers.shrink_to(self.peers.len() * 5 / 4);
            if let Some(ids) = &mut self.ids {
                ids.0.shrink_to(self.peers.len() * 5 / 4);
            }
        }
    }

    fn update(&mut self, at: u32, stamp: Stamp, keys: &Keys) -> u32 {
        let before = std::mem::replace(&mut self.peers[at as usize].stamp, stamp).class();
        let after = stamp.class();
        self.seeds -= u32::from(before == Class::Seed);
        self.seeds += u32::from(after == Class::Seed);
        match (before == Class::Downloader, after == Class::Downloader) {
            (true, false) => {
                self.downloaders -= 1;
                self.swap(at, self.downloaders, keys);
                self.downloaders
            }
            (false, true) => {
                let front = self.downloaders;
                self.swap(at, front, keys);
                self.downloaders += 1;
                front
            }
            _ => at,
        }
    }

    fn swap(&mut self, a: u32, b: u32, keys: &Keys) {
        if a == b {
            return;
        }
        let (a, b) = (a as usize, b as usize);
        if let Some(index) = &mut self.index {
            let hash = |at: usize| keys.hash(&self.peers[at].endpoint);
            index.exchange((hash(a), a), (hash(b), b));
        }
        self.peers.swap(a, b);
        if let Some(ids) = &mut self.ids {
            ids.0.swap(a, b);
        }
    }

    fn set_id(&mut self, at: u32, id: Option<PeerId>) {
        let Some(id) = id else { return };
        let ids = self.ids.get_or_insert_default();
        ids.0.resize(self.peers.len(), [0; 20]);
        ids.0[at as usize] = *id.as_bytes();
    }

    fn build_index(&mut self, keys: &Keys) {
        let mut index = Index::default();
        let hash_of = |at: usize| keys.hash(&self.peers[at].endpoint);
        for at in 0..self.peers.len() {
            index.insert(hash_of(at), at, hash_of);
        }
        self.index = Some(Box::new(index));
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests start now and count to small numbers"
)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::super::stamp::Clock;
    use super::*;

    const CLASSES: [Class; 3] = [Class::Downloader, Class::Partial, Class::Seed];

    proptest! {
        #[test]
        fn it_agrees_with_a_map(steps in prop::collection::vec((0u8..9, 0u8..90), 0..500)) {
            let keys = Keys::new(&[1; 16]);
            let clock = Clock::new(Instant::now(), Duration::from_secs(60));
            let tick = clock.tick(Instant::now());
            let mut list = List::<6>::default();
            let mut model: BTreeMap<[u8; 6], (Class, bool)> = BTreeMap::new();
            for (step, who) in steps {
                let endpoint = [10, 0, 0, who, 1, 1];
                if step < 6 {
                    let class = CLASSES[usize::from(step % 3)];
                    let completed = step >= 3;
                    let news = News { tick, class, completed };
                    let id = (who % 2 == 0).then(|| PeerId::from([who; 20]));
                    let put = list.put(endpoint, news, id, &keys);
                    let before = model.get(&endpoint).copied();
                    prop_assert_eq!(put.is_new, before.is_none());
                    prop_assert_eq!(put.counts, completed && !before.is_some_and(|b| b.1));
                    prop_assert_eq!(list.peer(put.at).unwrap().endpoint, endpoint);
                    model.insert(endpoint, (class, completed || before.is_some_and(|b| b.1)));
                } else {
                    prop_assert_eq!(
                        list.remove(&endpoint, &keys),
                        model.remove(&endpoint).is_some()
                    );
                    list.shrink(&keys);
                }
                check(&list, &model, &keys)?;
            }
        }
    }

    fn check(
        list: &List<6>,
        model: &BTreeMap<[u8; 6], (Class, bool)>,
        keys: &Keys,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(list.len() as usize, model.len());
        let count = |class| model.values().filter(|v| v.0 == class).count();
        prop_assert_eq!(list.downloaders() as usize, count(Class::Downloader));
        prop_assert_eq!(list.seeds() as usize, count(Class::Seed));
        for (endpoint, &(class, completed)) in model {
            let at = list
                .find(endpoint, keys)
                .expect("every peer of the model is found");
            let stamp = list.peer(at).unwrap().stamp;
            prop_assert_eq!((stamp.class(), stamp.completed()), (class, completed));
            prop_assert_eq!(class == Class::Downloader, at < list.downloaders());
            let id = (endpoint[3] % 2 == 0).then(|| PeerId::from([endpoint[3]; 20]));
            prop_assert_eq!(list.id(at), id.filter(|id| *id.as_bytes() != [0; 20]));
        }
        Ok(())
    }
}
