//! The peers of one torrent in one address family, apart by locality group.
//!
//! Without locality there is one list and no cost. With it, a reply takes most names from the
//! asker's own group and the rest from the others in turn, so that groups stay connected.

use super::list::{Keys, List, News, Peer, Put};
use super::locality::GroupId;
use super::random::Random;
use super::select::choose;
use super::stamp::{Stamp, Tick};

/// Of four names, how many come from the asker's own group when both sides have enough.
const NEAR_OF_FOUR: u32 = 3;

/// Sums over the groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) peers: u32,
    pub(super) downloaders: u32,
    pub(super) seeds: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Groups<const N: usize> {
    /// No locality is configured, or every peer so far is in no group.
    One(List<N>),
    /// Sorted by group. `tally` is the sum over `lists`.
    Several {
        lists: Vec<(GroupId, List<N>)>,
        tally: Tally,
    },
}

/// Who asks, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) group: GroupId,
    /// Its position in its group's list.
    pub(super) at: Option<u32>,
    /// Seeds and partial seeds have no use for each other.
    pub(super) downloaders_only: bool,
    pub(super) wanted: u32,
}

/// Where a sweep stands: the group and how many of its peers are still to be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sweep {
    group: usize,
    /// `None` when the group has not been begun.
    left: Option<u32>,
}

impl<const N: usize> Default for Groups<N> {
    fn default() -> Self {
        Self::One(List::default())
    }
}

impl<const N: usize> Groups<N> {
    pub(super) fn tally(&self) -> Tally {
        match self {
            Self::One(list) => tally(list),
            Self::Several { tally, .. } => *tally,
        }
    }

    pub(super) fn lists(&self) -> impl Iterator<Item = &List<N>> {
        let (one, several) = match self {
            Self::One(list) => (Some(list), None),
            Self::Several { lists, .. } => (None, Some(lists)),
        };
        one.into_iter()
            .chain(several.into_iter().flatten().map(|(_, list)| list))
    }

    pub(super) fn find(&self, endpoint: &[u8; N], group: GroupId, keys: &Keys) -> Option<u32> {
        self.list(group)?.find(endpoint, keys)
    }

    /// When this peer was heard, and its kind.
    pub(super) fn stamp(&self, endpoint: &[u8; N], group: GroupId, keys: &Keys) -> Option<Stamp> {
        let list = self.list(group)?;
        list.peer(list.find(endpoint, keys)?).map(|peer| peer.stamp)
    }

    pub(super) fn put(
        &mut self,
        endpoint: [u8; N],
        group: GroupId,
        news: News,
        id: Option<bt_wire::PeerId>,
        keys: &Keys,
    ) -> Put {
        self.change(group, |list| list.put(endpoint, news, id, keys))
    }

    pub(super) fn insert(&mut self, peer: Peer<N>, group: GroupId, keys: &Keys) {
        self.change(group, |list| list.insert(peer, None, keys));
    }

    pub(super) fn remove(&mut self, endpoint: &[u8; N], group: GroupId, keys: &Keys) -> bool {
        self.list(group).is_some() && self.change(group, |list| list.remove(endpoint, keys))
    }

    /// Makes room in a group by taking out a stale peer. `None` when the group is empty.
    pub(super) fn evict(
        &mut self,
        group: GroupId,
        now: Tick,
        random: &mut Random,
        keys: &Keys,
    ) -> Option<Peer<N>> {
        let stalest = self.list(group)?.stalest(now, random)?;
        Some(self.change(group, |list| list.remove_at(stalest, keys)))
    }

    /// Calls `take` with the peers to name. Returns how many of them are in the asker's group,
    /// or 0 when there are no groups.
    pub(super) fn select(
        &self,
        asker: Asker,
        random: &mut Random,
        mut take: impl FnMut(&List<N>, u32),
    ) -> u32 {
        let named = |list: &List<N>| {
            if asker.downloaders_only {
                list.downloaders()
            } else {
                list.len()
            }
        };
        match self {
            Self::One(list) => {
                let mut take = |at| take(list, at);
                choose(random, named(list), asker.at, asker.wanted, &mut take);
                0
            }
            Self::Several { lists, tally } => {
                let all = if asker.downloaders_only {
                    tally.downloaders
                } else {
                    tally.peers
                };
                let own = lists.binary_search_by_key(&asker.group, |(group, _)| *group);
                let near_all = own.map_or(0, |own| named(&lists[own].1));
                let far_all = all - near_all;
                let near_wanted = (asker.wanted * NEAR_OF_FOUR).div_ceil(4);
                let near_wanted = near_wanted.max(asker.wanted.saturating_sub(far_all));
                let mut near = 0;
                if let Ok(own) = own {
                    let list = &lists[own].1;
                    choose(random, near_all, asker.at, near_wanted, |at| {
                        near += 1;
                        take(list, at);
                    });
                }
                let far_wanted = (asker.wanted - near).min(far_all);
                select_far(lists, own.ok(), far_wanted, random, named, take);
                near
            }
        }
    }

    /// Takes out peers that have expired, beginning where `sweep` stands, and calls `gone` with
    /// each. Looks at no more than `budget` peers. Returns whether the end has been reached.
    pub(super) fn sweep(
        &mut self,
        sweep: &mut Sweep,
        now: Tick,
        budget: &mut u32,
        keys: &Keys,
        mut gone: impl FnMut(&Peer<N>),
    ) -> bool {
        let mut step = |list: &mut List<N>, sweep: &mut Sweep| {
            let mut left = sweep.left.unwrap_or(u32::MAX).min(list.len());
            while left > 0 && *budget > 0 {
                left -= 1;
                *budget -= 1;
                if list
                    .peer(left)
                    .is_some_and(|peer| peer.stamp.is_expired(now))
                {
                    gone(&list.remove_at(left, keys));
                }
            }
            let done = left == 0;
            if done {
                list.shrink(keys);
            }
            sweep.left = (!done).then_some(left);
            done
        };
        match self {
            Self::One(list) => step(list, sweep),
            Self::Several { lists, tally: sum } => {
                while let Some((_, list)) = lists.get_mut(sweep.group) {
                    let before = tally(list);
                    let done = step(list, sweep);
                    adjust(sum, before, tally(list));
                    if !done {
                        return false;
                    }
                    sweep.group += 1;
                }
                lists.retain(|(_, list)| list.len() > 0);
                true
            }
        }
    }

    /// The list that a peer of this group is in, if it exists.
    fn list(&self, group: GroupId) -> Option<&List<N>> {
        match self {
            Self::One(list) => (group == GroupId::NONE).then_some(list),
            Self::Several { lists, .. } => {
                let at = lists.binary_search_by_key(&group, |(group, _)| *group);
                at.ok().map(|at| &lists[at].1)
            }
        }
    }

    /// Runs `action` on the list of a group, which is made if it does not exist.
    fn change<T>(&mut self, group: GroupId, action: impl FnOnce(&mut List<N>) -> T) -> T {
        if let Self::One(list) = self
            && group != GroupId::NONE
        {
            let list = std::mem::take(list);
            let tally = tally(&list);
            *self = Self::Several {
                lists: vec![(GroupId::NONE, list)],
                tally,
            };
        }
        match self {
            Self::One(list) => action(list),
            Self::Several { lists, tally: sum } => {
                let found = lists.binary_search_by_key(&group, |(group, _)| *group);
                let at = found.unwrap_or_else(|at| {
                    lists.insert(at, (group, List::default()));
                    at
                });
                let list = &mut lists[at].1;
                let before = tally(list);
                let result = action(list);
                adjust(sum, before, tally(list));
                result
            }
        }
    }
}

/// Names peers of the groups other than `own`: equally many from each, beginning with a random
/// one, and what is then still wanted from whoever has more.
fn select_far<const N: usize>(
    lists: &[(GroupId, List<N>)],
    own: Option<usize>,
    wanted: u32,
    random: &mut Random,
    named: impl Fn(&List<N>) -> u32,
    mut take: impl FnMut(&List<N>, u32),
) {
    let count = u32::try_from(lists.len()).unwrap_or(u32::MAX);
    let start = random.below(count) as usize;
    let others = (0..lists.len())
        .map(|at| (start + at) % lists.len())
        .filter(|&at| Some(at) != own);
    let others = others.map(|at| &lists[at].1).filter(|list| named(list) > 0);
    let mut left = wanted;
    let enough_groups = others.clone().take(wanted as usize).count() == wanted as usize;
    let most = if enough_groups {
        1
    } else {
        water_level(&others.clone().map(&named), wanted)
    };
    for list in others {
        if left == 0 {
            break;
        }
        let share = named(list).min(most).min(left);
        choose(random, named(list), None, share, |at| take(list, at));
        left -= share;
    }
}

/// The smallest share so that groups of these sizes, each giving at most the share, give
/// `wanted` together; or the size of the largest group when all of them together do not.
fn water_level(sizes: &(impl Iterator<Item = u32> + Clone), wanted: u32) -> u32 {
    let (mut low, mut high) = (0, sizes.clone().max().unwrap_or(0).min(wanted));
    while low < high {
        let middle = low + (high - low) / 2;
        let given: u64 = sizes.clone().map(|size| u64::from(size.min(middle))).sum();
        if given >= u64::from(wanted) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn tally<const N: usize>(list: &List<N>) -> Tally {
    Tally {
        peers: list.len(),
        downloaders: list.downloaders(),
        seeds: list.seeds(),
    }
}

fn adjust(sum: &mut Tally, before: Tally, after: Tally) {
    sum.peers = sum.peers - before.peers + after.peers;
    sum.downloaders = sum.downloaders - before.downloaders + after.downloaders;
    sum.seeds = sum.seeds - before.seeds + after.seeds;
}
