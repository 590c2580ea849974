//! The whole store, torrent by torrent, for people who want to look. Knows nothing of how it is shown.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;

use super::Swarms;
use super::answer::Counts;
use super::list::Peer;
use super::stamp::Class;

/// One torrent as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Which torrent.
    pub info_hash: InfoHash,
    /// Its numbers.
    pub counts: Counts,
    /// Its peers, in no order.
    pub members: Vec<Member>,
}

/// One peer of a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub peer: SocketAddr,
    /// What it does.
    pub role: Role,
    /// How long ago it announced, to a 256th of the time-to-live.
    pub silent: Duration,
}

/// What a peer does in a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Wants pieces.
    Downloader,
    /// Lacks pieces and wants none (BEP 21).
    Partial,
    /// Has everything.
    Seed,
}

impl Swarms {
    /// Every torrent with its peers; a part of the store is locked meanwhile.
    pub fn each_swarm(&self, now: Instant, mut each: impl FnMut(&Swarm)) {
        let (now, tick) = (self.tick(now), self.tick_length());
        for shard in 0..self.shard_count() {
            self.each_torrent(shard, |torrent| {
                let mut members = Vec::new();
                let role = |class| match class {
                    Class::Downloader => Role::Downloader,
                    Class::Partial => Role::Partial,
                    Class::Seed => Role::Seed,
                };
                let mut v6 = Vec::new();
                torrent.each(
                    |Peer { endpoint, stamp }| {
                        let [a, b, c, d, port @ ..] = *endpoint;
                        members.push(Member {
                            peer: ([a, b, c, d], u16::from_be_bytes(port)).into(),
                            role: role(stamp.class()),
                            silent: tick * u32::from(stamp.age(now)),
                        });
                    },
                    |Peer { endpoint, stamp }| {
                        if let Some((ip, port)) = endpoint.split_first_chunk::<16>()
                            && let Ok(port) = port.try_into()
                        {
                            v6.push(Member {
                                peer: (*ip, u16::from_be_bytes(port)).into(),
                                role: role(stamp.class()),
                                silent: tick * u32::from(stamp.age(now)),
                            });
                        }
                    },
                );
                members.append(&mut v6);
                each(&Swarm {
                    info_hash: torrent.info_hash,
                    counts: torrent.counts(),
                    members,
                });
            });
        }
    }
}
