//! The store as bytes, so that a restarted tracker still knows its peers. Knows nothing of files;
//! the file's head, checksum and age are the server's.
//!
//! A torrent is its hash (20 bytes), its completions (4), the number of IPv4 peers (4) and of
//! IPv6 peers (4), then the peers: endpoint (6 or 18), kind (1), seconds since last heard (4).
//! Numbers are big-endian. Keys, registrations and peer ids are not kept.

use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;

use super::Swarms;
use super::list::Peer;
use super::stamp::{Class, Stamp};
use super::torrent::{Restored, Torrent};

const COMPLETED: u8 = 0b100;

/// Why bytes were not taken as a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes end inside a torrent.
    #[error("byte {0}: the snapshot ends inside a torrent")]
    Truncated(usize),
    /// A peer is neither seed nor partial seed nor downloader.
    #[error("byte {0}: there is no such kind of peer")]
    Kind(usize),
}

impl Swarms {
    /// Writes a part of the store; there are [`Swarms::snapshot_parts`] of them. One part is
    /// locked meanwhile, which takes well under a millisecond per thousand torrents.
    pub fn snapshot(&self, part: usize, now: Instant, out: &mut Vec<u8>) {
        let now = self.tick(now);
        let tick = self.tick_length();
        let header = |torrent: &Torrent, out: &mut Vec<u8>| {
            let census = torrent.census();
            out.extend_from_slice(torrent.info_hash.as_bytes());
            for number in [torrent.counts().completed, census.v4, census.v6] {
                out.extend_from_slice(&number.to_be_bytes());
            }
        };
        let rest = |stamp: Stamp| {
            let kind = match stamp.class() {
                Class::Downloader => 0,
                Class::Partial => 1,
                Class::Seed => 2,
            };
            let age = (tick * u32::from(stamp.age(now))).as_secs();
            let [a, b, c, d] = u32::try_from(age).unwrap_or(u32::MAX).to_be_bytes();
            [
                kind | if stamp.completed() { COMPLETED } else { 0 },
                a,
                b,
                c,
                d,
            ]
        };
        self.each_torrent(part, |torrent| {
            header(torrent, out);
            let mut v6 = Vec::new();
            torrent.each(
                |peer| {
                    out.extend_from_slice(&peer.endpoint);
                    out.extend_from_slice(&rest(peer.stamp));
                },
                |peer| {
                    v6.extend_from_slice(&peer.endpoint);
                    v6.extend_from_slice(&rest(peer.stamp));
                },
            );
            out.extend_from_slice(&v6);
        });
    }

    /// How many parts [`Swarms::snapshot`] writes.
    #[must_use]
    pub fn snapshot_parts(&self) -> usize {
        self.shard_count()
    }

    /// Takes in the parts of a snapshot that was made `old` ago, one after the other. Peers that
    /// have expired since are left out, and so are torrents that a closed store does not know.
    /// Returns how many peers were taken in.
    ///
    /// # Errors
    /// When the bytes are no snapshot; torrents before the bad byte are in the store then.
    pub fn restore(&self, now: Instant, old: Duration, bytes: &[u8]) -> Result<u64, SnapshotError> {
        let env = self.env(self.tick(now));
        let mut reader = Reader { bytes, at: 0 };
        let mut peers = 0;
        while reader.at < bytes.len() {
            let info_hash = InfoHash::from(reader.array::<20>()?);
            let completed = u32::from_be_bytes(reader.array()?);
            let (v4, v6) = (reader.array()?, reader.array()?);
            let mut restored = Vec::new();
            for _ in 0..u32::from_be_bytes(v4) {
                restored.extend(self.peer(&mut reader, now, old)?.map(Restored::V4));
            }
            for _ in 0..u32::from_be_bytes(v6) {
                restored.extend(self.peer(&mut reader, now, old)?.map(Restored::V6));
            }
            let hash = self.hash(&info_hash);
            let mut shard = self.shard_of(hash);
            let known = shard.find(hash, &info_hash).is_some();
            if !known && (self.config.closed || restored.is_empty()) {
                continue;
            }
            let Ok(at) = shard.open(hash, info_hash, &self.open, &env) else {
                continue;
            };
            shard.edit(at, |torrent| {
                torrent.add_completed(completed);
                let before = torrent.peer_count();
                restored.iter().for_each(|peer| torrent.restore(peer, &env));
                torrent.settle();
                peers += u64::from(torrent.peer_count().saturating_sub(before));
            });
        }
        Ok(peers)
    }

    /// One peer, or `None` when it has expired.
    fn peer<const N: usize>(
        &self,
        reader: &mut Reader<'_>,
        now: Instant,
        old: Duration,
    ) -> Result<Option<Peer<N>>, SnapshotError> {
        let endpoint = reader.array::<N>()?;
        let [kind] = reader.array()?;
        let class = match kind & !COMPLETED {
            0 => Class::Downloader,
            1 => Class::Partial,
            2 => Class::Seed,
            _ => return Err(SnapshotError::Kind(reader.at - 1)),
        };
        let silent = Duration::from_secs(u32::from_be_bytes(reader.array()?).into()) + old;
        if silent > self.config.peer_ttl {
            return Ok(None);
        }
        let ticks = silent.as_micros() / self.tick_length().as_micros().max(1);
        let tick = self
            .tick(now)
            .minus(u16::try_from(ticks).unwrap_or(u16::MAX));
        let stamp = Stamp::new(tick, class, kind & COMPLETED != 0);
        Ok(Some(Peer { endpoint, stamp }))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// `<= bytes.len()`
    at: usize,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = rest
            .first_chunk::<N>()
            .ok_or(SnapshotError::Truncated(self.bytes.len()))?;
        self.at += N;
        Ok(*array)
    }
}
