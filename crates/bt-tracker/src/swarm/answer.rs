//! What the store says to an announce. Knows nothing of replies on the wire, except that packed
//! peer lists are made of 6 and 18 bytes a peer, which is how peers are kept.

use std::net::SocketAddr;

use bt_wire::PeerId;

use crate::announce::Peer;

/// The numbers of one torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have everything.
    pub seeds: u32,
    /// Peers that want pieces.
    pub downloaders: u32,
    /// Peers that lack pieces and want none (BEP 21).
    pub partial: u32,
    /// How many peers have become complete while the store knew the torrent.
    pub completed: u32,
}

impl Counts {
    /// `complete` of BEP 3 and BEP 48.
    #[must_use]
    pub fn complete(&self) -> u32 {
        self.seeds
    }

    /// `incomplete` of BEP 3 and BEP 48, which includes partial seeds (BEP 21).
    #[must_use]
    pub fn incomplete(&self) -> u32 {
        self.downloaders + self.partial
    }
}

/// What became of the announcing peer's entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// It is new.
    New,
    /// It was known and is updated.
    Updated,
    /// It said `stopped` and is no longer there.
    Removed,
    /// It was not known and is not now: it said `stopped`, or has no port.
    #[default]
    No,
    /// Its address has as many entries as it may have; it is answered, but not named to others.
    OverPerIp,
    /// The torrent is full and no other peer could make room; answered, but not named to others.
    OverPeers,
}

/// The answer to one announce. Use one again for the next: its buffers stay.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The torrent's numbers, the announcing peer included.
    pub counts: Counts,
    /// What became of the announcing peer.
    pub stored: Stored,
    /// IPv4 peers to name, 6 bytes each (BEP 23).
    pub v4: Vec<u8>,
    /// IPv6 peers to name, 18 bytes each (BEP 7).
    pub v6: Vec<u8>,
    /// The ids of `v4`, if they were asked for; `None` where unknown.
    pub ids_v4: Vec<Option<PeerId>>,
    /// The ids of `v6`, if they were asked for; `None` where unknown.
    pub ids_v6: Vec<Option<PeerId>>,
    /// How many of the named peers are in the asker's locality group; 0 without locality.
    pub near: u32,
}

impl Answer {
    /// Makes it as good as new, with its buffers.
    pub fn clear(&mut self) {
        self.counts = Counts::default();
        self.stored = Stored::default();
        self.v4.clear();
        self.v6.clear();
        self.ids_v4.clear();
        self.ids_v6.clear();
        self.near = 0;
    }

    /// How many peers are named.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() / 6 + self.v6.len() / 18
    }

    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The named peers.
    pub fn peers(&self) -> impl Iterator<Item = Peer> {
        let v4 = self.v4.chunks_exact(6).filter_map(|record| {
            let (ip, port) = record.split_first_chunk::<4>()?;
            Some(SocketAddr::from((
                *ip,
                u16::from_be_bytes(port.try_into().ok()?),
            )))
        });
        let v6 = self.v6.chunks_exact(18).filter_map(|record| {
            let (ip, port) = record.split_first_chunk::<16>()?;
            Some(SocketAddr::from((
                *ip,
                u16::from_be_bytes(port.try_into().ok()?),
            )))
        });
        let peers = v4
            .zip(endless(&self.ids_v4))
            .chain(v6.zip(endless(&self.ids_v6)));
        peers.map(|(addr, id)| Peer { addr, id })
    }

    pub(super) fn name<const N: usize>(&mut self, endpoint: &[u8; N]) {
        if N == 6 { &mut self.v4 } else { &mut self.v6 }.extend_from_slice(endpoint);
    }
}

fn endless(ids: &[Option<PeerId>]) -> impl Iterator<Item = Option<PeerId>> {
    ids.iter().copied().chain(std::iter::repeat(None))
}

/// Why an announce was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The tracker is closed and does not know the torrent.
    #[error("torrent is not registered with this tracker")]
    Unregistered,
    /// As many torrents as may be are tracked, and none of them could make room.
    #[error("tracker is full")]
    Full,
}
