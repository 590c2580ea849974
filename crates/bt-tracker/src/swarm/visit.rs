//! What one announce does to the peers of its torrent, and whom it is told about.
//!
//! Knows nothing of other torrents and of how a torrent keeps its peers.

use super::answer::{Answer, Counts, Stored};
use super::group::{Asker, Groups};
use super::list::News;
use super::locality::GroupId;
use super::random::Random;
use super::stamp::Class;
use super::store::Announce;
use super::tiny::Tiny;
use super::torrent::{Env, Record, group_of, leave};
use crate::announce::Event;

/// One announce on its way through a torrent.
pub(super) struct Visit<'a> {
    pub(super) announce: &'a Announce,
    pub(super) news: News,
    pub(super) env: &'a Env<'a>,
}

impl Visit<'_> {
    /// The whole announce for a torrent of at most two peers. Returns false, with nothing done,
    /// when the peer does not fit.
    pub(super) fn tiny(
        &self,
        tiny: &mut Tiny,
        endpoint: [u8; 6],
        record: &mut Record,
        answer: &mut Answer,
    ) -> bool {
        if self.announce.event == Event::Stopped {
            if tiny.remove(&endpoint) {
                leave(self.env, &endpoint);
                answer.stored = Stored::Removed;
            }
        } else if self.announce.peer.port() != 0 {
            let Some(put) = tiny.put(endpoint, self.news) else {
                return false;
            };
            answer.stored = if put.is_new {
                Stored::New
            } else {
                Stored::Updated
            };
            if put.is_new
                && self
                    .env
                    .per_ip
                    .is_some_and(|per_ip| !per_ip.enter(&endpoint))
            {
                tiny.remove(&endpoint);
                answer.stored = Stored::OverPerIp;
            } else {
                record.add(u32::from(put.counts));
            }
        }
        let downloads = self.news.class == Class::Downloader;
        let others = tiny.peers().iter().filter(|peer| peer.endpoint != endpoint);
        let useful = others.filter(|peer| downloads || peer.stamp.class() == Class::Downloader);
        let own = self.env.locality.group_of(self.announce.peer.ip());
        for peer in useful.take(self.wanted() as usize) {
            answer.name(&peer.endpoint);
            if self.announce.with_ids {
                answer.ids_v4.push(None);
            }
            let near = own != GroupId::NONE && own == group_of(&peer.endpoint, self.env.locality);
            answer.near += u32::from(near);
        }
        let seeds = tiny.count(Class::Seed);
        let downloaders = tiny.count(Class::Downloader);
        let all = u32::try_from(tiny.peers().len()).unwrap_or(0);
        let partial = all - seeds - downloaders;
        answer.counts = Counts {
            seeds,
            downloaders,
            partial,
            completed: record.completed(),
        };
        true
    }

    /// Adds, updates or removes the announcing peer. Returns whom to name to it, and whether its
    /// completion counts.
    pub(super) fn enter<const N: usize>(
        &self,
        groups: &mut Groups<N>,
        endpoint: [u8; N],
        group: GroupId,
        random: &mut Random,
        answer: &mut Answer,
    ) -> (Asker, bool) {
        let keys = self.env.keys;
        let downloaders_only = self.news.class != Class::Downloader;
        let mut asker = Asker {
            group,
            at: None,
            downloaders_only,
            wanted: self.wanted(),
        };
        if self.announce.event == Event::Stopped {
            if groups.remove(&endpoint, group, keys) {
                leave(self.env, &endpoint);
                answer.stored = Stored::Removed;
            }
            return (asker, false);
        }
        if self.announce.peer.port() == 0 {
            return (asker, false);
        }
        let put = groups.put(endpoint, group, self.news, self.announce.peer_id, keys);
        asker.at = Some(put.at);
        answer.stored = if put.is_new {
            Stored::New
        } else {
            Stored::Updated
        };
        if put.is_new {
            self.bound(groups, endpoint, group, random, answer);
            asker.at = groups.find(&endpoint, group, keys);
        }
        (asker, put.counts && asker.at.is_some())
    }

    /// Keeps the bounds after a peer has been added, if need be by taking it out again.
    fn bound<const N: usize>(
        &self,
        groups: &mut Groups<N>,
        endpoint: [u8; N],
        group: GroupId,
        random: &mut Random,
        answer: &mut Answer,
    ) {
        if self
            .env
            .per_ip
            .is_some_and(|per_ip| !per_ip.enter(&endpoint))
        {
            groups.remove(&endpoint, group, self.env.keys);
            answer.stored = Stored::OverPerIp;
        } else if groups.tally().peers > self.env.limits.peers_per_torrent
            && let Some(evicted) = groups.evict(group, self.env.tick, random, self.env.keys)
        {
            leave(self.env, &evicted.endpoint);
            if evicted.endpoint == endpoint {
                answer.stored = Stored::OverPeers;
            }
        }
    }

    fn wanted(&self) -> u32 {
        if self.announce.event == Event::Stopped {
            0
        } else {
            self.announce.wanted
        }
    }
}

impl Asker {
    /// The same asker, as it asks the family that it is not in for what is still wanted.
    pub(super) fn elsewhere(self, answer: &Answer) -> Self {
        let named = u32::try_from(answer.len()).unwrap_or(u32::MAX);
        Self {
            at: None,
            wanted: self.wanted.saturating_sub(named),
            ..self
        }
    }
}

/// Names peers to an asker.
pub(super) fn name<const N: usize>(
    groups: &Groups<N>,
    asker: Asker,
    with_ids: bool,
    random: &mut Random,
    answer: &mut Answer,
) {
    if asker.wanted == 0 {
        return;
    }
    answer.near += groups.select(asker, random, |list, at| {
        if let Some(peer) = list.peer(at) {
            answer.name(&peer.endpoint);
            if with_ids {
                let ids = if N == 6 {
                    &mut answer.ids_v4
                } else {
                    &mut answer.ids_v6
                };
                ids.push(list.id(at));
            }
        }
    });
}

pub(super) fn class_of(announce: &Announce) -> Class {
    match announce.event {
        _ if announce.left == 0 => Class::Seed,
        Event::Paused => Class::Partial,
        Event::None | Event::Started | Event::Completed | Event::Stopped => Class::Downloader,
    }
}
