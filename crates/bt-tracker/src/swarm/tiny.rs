//! A torrent with at most two peers, all of IPv4: most torrents are, and they need no memory of
//! their own. Knows nothing of groups, tables and ids.

use super::list::{News, Peer, Put};
use super::stamp::{Class, Stamp, Tick};

const ROOM: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Tiny {
    /// `<= ROOM`
    len: u8,
    peers: [Peer<6>; ROOM],
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            len: 0,
            peers: [Peer {
                endpoint: [0; 6],
                stamp: Stamp::default(),
            }; ROOM],
        }
    }
}

impl Tiny {
    /// `None` when there are more peers than fit.
    pub(super) fn from_peers<'a>(peers: impl Iterator<Item = &'a Peer<6>>) -> Option<Self> {
        let mut tiny = Self::default();
        for peer in peers {
            *tiny.peers.get_mut(usize::from(tiny.len))? = *peer;
            tiny.len += 1;
        }
        Some(tiny)
    }

    pub(super) fn peers(&self) -> &[Peer<6>] {
        &self.peers[..usize::from(self.len)]
    }

    pub(super) fn count(&self, class: Class) -> u32 {
        self.peers()
            .iter()
            .map(|peer| u32::from(peer.stamp.class() == class))
            .sum()
    }

    /// Adds or updates a peer. `None` when there is no room.
    pub(super) fn put(&mut self, endpoint: [u8; 6], news: News) -> Option<Put> {
        let known = self
            .peers()
            .iter()
            .position(|peer| peer.endpoint == endpoint);
        let at = known.unwrap_or(usize::from(self.len));
        let slot = self.peers.get_mut(at)?;
        let counted = known.is_some() && slot.stamp.completed();
        let stamp = Stamp::new(news.tick, news.class, news.completed || counted);
        *slot = Peer { endpoint, stamp };
        self.len += u8::from(known.is_none());
        let at = u32::try_from(at).unwrap_or(0);
        Some(Put {
            at,
            is_new: known.is_none(),
            counts: news.completed && !counted,
        })
    }

    pub(super) fn remove(&mut self, endpoint: &[u8; 6]) -> bool {
        let before = self.len;
        self.retain(|peer| peer.endpoint != *endpoint);
        self.len < before
    }

    /// Takes out peers that have expired and calls `gone` with each.
    pub(super) fn sweep(&mut self, now: Tick, mut gone: impl FnMut(&Peer<6>)) {
        self.retain(|peer| {
            let expired = peer.stamp.is_expired(now);
            if expired {
                gone(peer);
            }
            !expired
        });
    }

    fn retain(&mut self, mut keep: impl FnMut(&Peer<6>) -> bool) {
        let mut kept = 0;
        for at in 0..usize::from(self.len) {
            if keep(&self.peers[at]) {
                self.peers[kept] = self.peers[at];
                kept += 1;
            }
        }
        self.len = u8::try_from(kept).unwrap_or(0);
    }
}
