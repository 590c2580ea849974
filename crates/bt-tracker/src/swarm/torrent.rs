//! One torrent: its peers of both families, its count of completions, and what an announce does
//! to them. Knows nothing of other torrents.

use std::net::SocketAddr;

use bt_metainfo::InfoHash;

use super::answer::{Answer, Counts};
use super::config::Limits;
use super::group::{Groups, Sweep};
use super::list::{Keys, List, News, Peer};
use super::locality::{GroupId, Locality};
use super::per_ip::PerIp;
use super::prefetch::prefetch;
use super::random::Random;
use super::stamp::{Class, Tick};
use super::store::{Announce, Families};
use super::tiny::Tiny;
use super::visit::{Visit, class_of, name};
use crate::announce::Event;

/// What every torrent of a store shares, and the moment.
pub(super) struct Env<'a> {
    pub(super) keys: &'a Keys,
    pub(super) limits: &'a Limits,
    pub(super) locality: &'a Locality,
    pub(super) per_ip: Option<&'a PerIp>,
    pub(super) tick: Tick,
    /// When the announce was made: `tick`, or before it for one that another tracker has heard.
    pub(super) heard: Tick,
}

/// Peers of a torrent by kind, for the totals of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Census {
    pub(super) v4: u32,
    pub(super) v6: u32,
    pub(super) seeds: u32,
    pub(super) downloaders: u32,
}

/// Where a sweep of one torrent stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TorrentSweep {
    v4_done: bool,
    groups: Sweep,
}

/// 48 bytes.
#[derive(Debug)]
pub(super) struct Torrent {
    pub(super) info_hash: InfoHash,
    record: Record,
    peers: Peers,
}

/// The number of completions, and in the highest bit whether the torrent is registered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record(u32);

#[derive(Debug)]
enum Peers {
    Tiny(Tiny),
    Swarm(Box<Swarm>),
}

#[derive(Debug, Default)]
struct Swarm {
    v4: Groups<6>,
    v6: Option<Box<Groups<18>>>,
}

impl Torrent {
    pub(super) fn new(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            record: Record::default(),
            peers: Peers::Tiny(Tiny::default()),
        }
    }

    pub(super) fn is_registered(&self) -> bool {
        self.record.is_registered()
    }

    pub(super) fn set_registered(&mut self, registered: bool) {
        self.record.set_registered(registered);
    }

    pub(super) fn add_completed(&mut self, completed: u32) {
        self.record.add(completed);
    }

    pub(super) fn census(&self) -> Census {
        match &self.peers {
            Peers::Tiny(tiny) => Census {
                v4: u32::try_from(tiny.peers().len()).unwrap_or(0),
                v6: 0,
                seeds: tiny.count(Class::Seed),
                downloaders: tiny.count(Class::Downloader),
            },
            Peers::Swarm(swarm) => {
                let v4 = swarm.v4.tally();
                let v6 = swarm.v6.as_ref().map(|v6| v6.tally()).unwrap_or_default();
                Census {
                    v4: v4.peers,
                    v6: v6.peers,
                    seeds: v4.seeds + v6.seeds,
                    downloaders: v4.downloaders + v6.downloaders,
                }
            }
        }
    }

    /// Asks for the memory of its own, if it has any.
    pub(super) fn warm_swarm(&self) {
        if let Peers::Swarm(swarm) = &self.peers {
            prefetch(&**swarm);
        }
    }

    /// Asks for the peers, once their place is near.
    pub(super) fn warm_peers(&self) {
        if let Peers::Swarm(swarm) = &self.peers {
            swarm.v4.lists().take(1).for_each(List::warm);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let census = self.census();
        Counts {
            seeds: census.seeds,
            downloaders: census.downloaders,
            partial: census.v4 + census.v6 - census.seeds - census.downloaders,
            completed: self.record.completed(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peer_count() == 0
    }

    pub(super) fn peer_count(&self) -> u32 {
        let census = self.census();
        census.v4 + census.v6
    }

    /// Ticks since one of its peers was heard: which one does not matter to those that ask.
    pub(super) fn age(&self, now: Tick) -> u16 {
        let stamp = match &self.peers {
            Peers::Tiny(tiny) => tiny.peers().first().map(|peer| peer.stamp),
            Peers::Swarm(swarm) => swarm
                .v4
                .lists()
                .find_map(|list| list.peers().last())
                .map(|peer| peer.stamp),
        };
        stamp.map_or(u16::MAX, |stamp| stamp.age(now))
    }

    /// Ticks since this peer was heard, if it is there.
    pub(super) fn age_of(&self, peer: SocketAddr, env: &Env<'_>) -> Option<u16> {
        let stamp = match (&self.peers, peer) {
            (Peers::Tiny(tiny), SocketAddr::V4(v4)) => {
                let endpoint = packed(&v4.ip().octets(), v4.port());
                let known = tiny.peers().iter().find(|peer| peer.endpoint == endpoint);
                known?.stamp
            }
            (Peers::Tiny(_), SocketAddr::V6(_)) => return None,
            (Peers::Swarm(swarm), SocketAddr::V4(v4)) => {
                let endpoint = packed(&v4.ip().octets(), v4.port());
                swarm
                    .v4
                    .stamp(&endpoint, group_of(&endpoint, env.locality), env.keys)?
            }
            (Peers::Swarm(swarm), SocketAddr::V6(v6)) => {
                let endpoint = packed(&v6.ip().octets(), v6.port());
                let groups = swarm.v6.as_ref()?;
                groups.stamp(&endpoint, group_of(&endpoint, env.locality), env.keys)?
            }
        };
        Some(stamp.age(env.tick))
    }

    /// Updates the announcing peer and names others to it.
    pub(super) fn announce(
        &mut self,
        announce: &Announce,
        env: &Env<'_>,
        random: &mut Random,
        answer: &mut Answer,
    ) {
        let class = class_of(announce);
        // Who still lacks bytes has completed nothing, whatever it says.
        let completed = announce.event == Event::Completed && announce.left == 0;
        let visit = Visit {
            announce,
            news: News {
                tick: env.heard,
                class,
                completed,
            },
            env,
        };
        match announce.peer {
            SocketAddr::V4(v4) => {
                let endpoint = packed(&v4.ip().octets(), v4.port());
                if announce.peer_id.is_none()
                    && let Peers::Tiny(tiny) = &mut self.peers
                    && visit.tiny(tiny, endpoint, &mut self.record, answer)
                {
                    return;
                }
                let swarm = self.promote(env);
                let group = env.locality.group_of((*v4.ip()).into());
                let (asker, counts) = visit.enter(&mut swarm.v4, endpoint, group, random, answer);
                name(&swarm.v4, asker, announce.with_ids, random, answer);
                if announce.families == Families::Both
                    && let Some(v6) = &swarm.v6
                {
                    name(
                        v6,
                        asker.elsewhere(answer),
                        announce.with_ids,
                        random,
                        answer,
                    );
                }
                self.record.add(u32::from(counts));
            }
            SocketAddr::V6(v6) => {
                let endpoint = packed(&v6.ip().octets(), v6.port());
                let swarm = self.promote(env);
                let group = env.locality.group_of((*v6.ip()).into());
                let list = swarm.v6.get_or_insert_default();
                let (asker, counts) = visit.enter(list, endpoint, group, random, answer);
                name(list, asker, announce.with_ids, random, answer);
                if announce.families == Families::Both {
                    let asker = asker.elsewhere(answer);
                    name(&swarm.v4, asker, announce.with_ids, random, answer);
                }
                self.record.add(u32::from(counts));
            }
        }
        answer.counts = self.counts();
    }

    /// Puts a peer back as it was before a restart.
    pub(super) fn restore(&mut self, peer: &Restored, env: &Env<'_>) {
        if self.peer_count() >= env.limits.peers_per_torrent {
            return;
        }
        match peer {
            Restored::V4(peer) => restore(&mut self.promote(env).v4, *peer, env),
            Restored::V6(peer) => {
                restore(self.promote(env).v6.get_or_insert_default(), *peer, env);
            }
        }
    }

    /// Makes a torrent that has just been restored as small as it can be.
    pub(super) fn settle(&mut self) {
        self.demote();
    }

    /// Takes out peers that have expired. Looks at no more than `budget` peers. Returns whether
    /// the end has been reached.
    pub(super) fn sweep(&mut self, at: &mut TorrentSweep, env: &Env<'_>, budget: &mut u32) -> bool {
        let now = env.tick;
        match &mut self.peers {
            Peers::Tiny(tiny) => {
                *budget = budget.saturating_sub(1);
                tiny.sweep(now, |peer| leave(env, &peer.endpoint));
                true
            }
            Peers::Swarm(swarm) => {
                if !at.v4_done {
                    let gone = |peer: &Peer<6>| leave(env, &peer.endpoint);
                    if !swarm.v4.sweep(&mut at.groups, now, budget, env.keys, gone) {
                        return false;
                    }
                    *at = TorrentSweep {
                        v4_done: true,
                        groups: Sweep::default(),
                    };
                }
                if let Some(v6) = &mut swarm.v6 {
                    let gone = |peer: &Peer<18>| leave(env, &peer.endpoint);
                    if !v6.sweep(&mut at.groups, now, budget, env.keys, gone) {
                        return false;
                    }
                }
                self.demote();
                true
            }
        }
    }

    /// Every peer, for a snapshot or to be counted out.
    pub(super) fn each(&self, mut v4: impl FnMut(&Peer<6>), mut v6: impl FnMut(&Peer<18>)) {
        match &self.peers {
            Peers::Tiny(tiny) => tiny.peers().iter().for_each(v4),
            Peers::Swarm(swarm) => {
                swarm.v4.lists().flat_map(List::peers).for_each(&mut v4);
                let lists = swarm.v6.iter().flat_map(|groups| groups.lists());
                lists.flat_map(List::peers).for_each(&mut v6);
            }
        }
    }

    fn promote(&mut self, env: &Env<'_>) -> &mut Swarm {
        if let Peers::Tiny(tiny) = self.peers {
            let mut swarm = Box::<Swarm>::default();
            for peer in tiny.peers() {
                swarm
                    .v4
                    .insert(*peer, group_of(&peer.endpoint, env.locality), env.keys);
            }
            self.peers = Peers::Swarm(swarm);
        }
        match &mut self.peers {
            Peers::Swarm(swarm) => swarm,
            Peers::Tiny(_) => unreachable!("it has just been made a swarm"),
        }
    }

    fn demote(&mut self) {
        let Peers::Swarm(swarm) = &mut self.peers else {
            return;
        };
        if swarm.v6.as_ref().is_some_and(|v6| v6.tally().peers == 0) {
            swarm.v6 = None;
        }
        if swarm.v6.is_none()
            && !swarm.v4.lists().any(List::has_ids)
            && let Some(tiny) = Tiny::from_peers(swarm.v4.lists().flat_map(List::peers))
        {
            self.peers = Peers::Tiny(tiny);
        }
    }
}

/// A peer read from a snapshot.
pub(super) enum Restored {
    V4(Peer<6>),
    V6(Peer<18>),
}

impl Record {
    const REGISTERED: u32 = 1 << 31;

    pub(super) fn completed(self) -> u32 {
        self.0 & !Self::REGISTERED
    }

    pub(super) fn add(&mut self, completed: u32) {
        let sum = self
            .completed()
            .saturating_add(completed)
            .min(!Self::REGISTERED);
        self.0 = self.0 & Self::REGISTERED | sum;
    }

    fn is_registered(self) -> bool {
        self.0 & Self::REGISTERED != 0
    }

    fn set_registered(&mut self, registered: bool) {
        self.0 = self.completed() | if registered { Self::REGISTERED } else { 0 };
    }
}

fn restore<const N: usize>(groups: &mut Groups<N>, peer: Peer<N>, env: &Env<'_>) {
    let group = group_of(&peer.endpoint, env.locality);
    if groups.find(&peer.endpoint, group, env.keys).is_none()
        && env.per_ip.is_none_or(|per_ip| per_ip.enter(&peer.endpoint))
    {
        groups.insert(peer, group, env.keys);
    }
}

pub(super) fn leave<const N: usize>(env: &Env<'_>, endpoint: &[u8; N]) {
    if let Some(per_ip) = env.per_ip {
        per_ip.leave(endpoint);
    }
}

pub(super) fn group_of<const N: usize>(endpoint: &[u8; N], locality: &Locality) -> GroupId {
    if locality.is_empty() {
        return GroupId::NONE;
    }
    if let Some(ip) = endpoint.first_chunk::<16>() {
        locality.group_of((*ip).into())
    } else if let Some(ip) = endpoint.first_chunk::<4>() {
        locality.group_of((*ip).into())
    } else {
        GroupId::NONE
    }
}

fn packed<const IP: usize, const N: usize>(ip: &[u8; IP], port: u16) -> [u8; N] {
    let mut endpoint = [0; N];
    endpoint[..IP].copy_from_slice(ip);
    endpoint[IP..].copy_from_slice(&port.to_be_bytes());
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torrent_with_two_peers_takes_48_bytes() {
        assert_eq!(size_of::<Torrent>(), 48);
        assert_eq!(size_of::<Peer<6>>(), 8);
        assert_eq!(size_of::<Peer<18>>(), 20);
        assert!(size_of::<Swarm>() <= 72, "{}", size_of::<Swarm>());
    }
}
