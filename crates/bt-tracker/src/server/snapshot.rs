//! The snapshot file: swarms that survive a restart.
//!
//! The file begins with a mark and a version, then the wall clock at which it was made, then the
//! parts of the store with their lengths, and ends with a checksum over everything before it. A
//! file that is torn, foreign or of another version is refused with a message, and the server
//! starts without it. What the parts hold is the store's business.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use siphasher::sip::SipHasher13;

use super::bounded::read_marked;
use super::durable;
use crate::swarm::{SnapshotError, Swarms};

const MARK: &[u8; 8] = b"BTSWARMS";
const VERSION: u32 = 1;

/// Stands in the place of a length after the last part.
const END: u32 = u32::MAX;

/// Bytes before the first part and after the last one.
const HEAD: usize = 20;
const TAIL: usize = 12;

/// The silence after which a peer is left out of a snapshot that people look at: no tracker keeps
/// peers for longer than a day.
const READ_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a snapshot was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a snapshot of this program")]
    Foreign,
    #[error("it has version {0}, this program reads version {VERSION}")]
    Version(u32),
    #[error("it is torn: the checksum is wrong or bytes are missing")]
    Torn,
    #[error(transparent)]
    Content(#[from] SnapshotError),
}

/// Writes the store beside the file, and puts it in the file's place once it is on the disk.
pub(super) fn save(path: &Path, swarms: &Swarms, now: Instant) -> io::Result<()> {
    durable::replace(path, durable::PUBLIC, |file| write(file, swarms, now))
}

/// Takes the file into the store. Returns how many peers it held that are still fresh, or `None`
/// when there is no file.
pub(super) fn load(path: &Path, swarms: &Swarms, now: Instant) -> Result<Option<u64>, Error> {
    let Some(bytes) = read(path)? else {
        return Ok(None);
    };
    let (old, parts) = check(&bytes)?;
    let mut peers = 0;
    for part in parts {
        peers += swarms.restore(now, old, part)?;
    }
    Ok(Some(peers))
}

/// Whether a file, if there is one, could be taken in.
pub(super) fn check_file(path: &Path) -> Result<(), super::Error> {
    let checked = match read(path) {
        Ok(Some(bytes)) => check(&bytes).map(|_| ()),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    checked.map_err(|problem| super::Error::ReadSnapshot {
        path: path.into(),
        problem: problem.to_string(),
    })
}

/// The bytes of a file that is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match read_marked(path, MARK) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a snapshot into a store of its own, as a server that takes in everything would. Peers that
/// have been silent for a day have expired in it, whatever the server's time-to-live.
///
/// # Errors
/// When the file cannot be read or is no snapshot of this program.
pub fn read_snapshot(path: &Path, now: Instant) -> Result<Swarms, super::Error> {
    let config = crate::swarm::Config {
        peer_ttl: READ_TTL,
        limits: crate::swarm::Limits {
            torrents: u32::MAX,
            ..crate::swarm::Limits::default()
        },
        ..crate::swarm::Config::default()
    };
    let swarms = Swarms::new(config, now);
    let refused = |problem: Error| super::Error::ReadSnapshot {
        path: path.into(),
        problem: problem.to_string(),
    };
    match load(path, &swarms, now).map_err(refused)? {
        Some(_) => Ok(swarms),
        None => Err(refused(io::Error::other("there is no such file").into())),
    }
}

fn write(file: &mut BufWriter<File>, swarms: &Swarms, now: Instant) -> io::Result<()> {
    let mut file = Summed {
        file,
        sum: SipHasher13::new(),
    };
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    file.write(MARK)?;
    file.write(&VERSION.to_be_bytes())?;
    file.write(&clock.to_be_bytes())?;
    let mut part = Vec::new();
    for at in 0..swarms.snapshot_parts() {
        part.clear();
        swarms.snapshot(at, now, &mut part);
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        file.write(&length.to_be_bytes())?;
        file.write(&part)?;
    }
    file.write(&END.to_be_bytes())?;
    let sum = file.sum.finish();
    file.write(&sum.to_be_bytes())
}

/// The age of a snapshot and its parts.
fn check(bytes: &[u8]) -> Result<(Duration, Vec<&[u8]>), Error> {
    if !bytes.starts_with(MARK) {
        // What breaks off in the mark was to be a snapshot.
        return Err(if MARK.starts_with(bytes) {
            Error::Torn
        } else {
            Error::Foreign
        });
    }
    let version = bytes
        .get(8..12)
        .and_then(|b| b.first_chunk())
        .ok_or(Error::Torn)?;
    let version = u32::from_be_bytes(*version);
    if version != VERSION {
        return Err(Error::Version(version));
    }
    let (covered, sum) = bytes.split_last_chunk::<8>().ok_or(Error::Torn)?;
    let mut hasher = SipHasher13::new();
    hasher.write(covered);
    if bytes.len() < HEAD + TAIL || hasher.finish().to_be_bytes() != *sum {
        return Err(Error::Torn);
    }
    let made = bytes
        .get(12..HEAD)
        .and_then(|b| b.first_chunk())
        .ok_or(Error::Torn)?;
    let made = Duration::from_secs(u64::from_be_bytes(*made));
    // A clock that went back makes peers look fresh; the next sweeps take them out.
    let clock = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let old = clock.saturating_sub(made);
    let mut parts = Vec::new();
    let mut rest = covered.get(HEAD..).ok_or(Error::Torn)?;
    loop {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(Error::Torn)?;
        let length = u32::from_be_bytes(*length);
        if length == END {
            return if after.is_empty() {
                Ok((old, parts))
            } else {
                Err(Error::Torn)
            };
        }
        let length = usize::try_from(length).map_err(|_| Error::Torn)?;
        let (part, after) = after.split_at_checked(length).ok_or(Error::Torn)?;
        parts.push(part);
        rest = after;
    }
}

/// Bytes of a file for the fuzzer: as they are, and with the mark and the checksum that they lack.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(bytes: &[u8]) {
    let now = Instant::now();
    let fresh = || Swarms::new(crate::swarm::Config::default(), now);
    let peers = |swarms: &Swarms| swarms.totals().peers_v4 + swarms.totals().peers_v6;
    let swarms = fresh();
    let mut whole = [&MARK[..], &VERSION.to_be_bytes(), bytes].concat();
    let mut hasher = SipHasher13::new();
    hasher.write(&whole);
    whole.extend_from_slice(&hasher.finish().to_be_bytes());
    for bytes in [bytes, &whole] {
        if let Ok((old, parts)) = check(bytes) {
            for part in parts {
                let before = peers(&swarms);
                let taken = swarms.restore(now, old, part);
                // What is wrong in it is for people; that it is found is the point.
                assert!(taken.is_err() || taken == Ok(peers(&swarms) - before));
            }
        }
    }
    // Whatever was taken in goes out and comes in again.
    let again = fresh();
    for at in 0..swarms.snapshot_parts() {
        let mut part = Vec::new();
        swarms.snapshot(at, now, &mut part);
        assert!(again.restore(now, Duration::ZERO, &part).is_ok());
    }
    assert_eq!(peers(&swarms), peers(&again));
    assert_eq!(swarms.totals().seeds, again.totals().seeds);
}

struct Summed<'a> {
    file: &'a mut BufWriter<File>,
    sum: SipHasher13,
}

impl Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.write(bytes);
        self.file.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{Answer, Config, Role};
    use crate::{AnnounceRequest, Event};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::net::{IpAddr, SocketAddr};

    fn filled() -> Swarms {
        let now = Instant::now();
        let swarms = Swarms::new(Config::default(), now);
        for n in 0..50 {
            let request = AnnounceRequest::new([n; 20].into(), [n; 20].into(), 7000);
            swarms
                .announce(now, &request, [10, 0, 0, n].into(), &mut Answer::default())
                .unwrap();
        }
        swarms
    }

    #[test]
    fn a_snapshot_comes_back_and_every_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swarms");
        let now = Instant::now();
        let fresh = || Swarms::new(Config::default(), now);
        assert!(load(&path, &fresh(), now).unwrap().is_none());
        save(&path, &filled(), now).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(load(&path, &fresh(), now).unwrap(), Some(50));

        let good = std::fs::read(&path).unwrap();
        let refused = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let swarms = fresh();
            let error = load(&path, &swarms, now).unwrap_err().to_string();
            assert_eq!(swarms.totals().torrents, 0);
            error
        };
        for cut in (0..good.len()).step_by(7) {
            assert!(refused(&good[..cut]).starts_with("it is"), "cut at {cut}");
        }
        for at in (8..good.len()).step_by(11) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert!(refused(&bad).starts_with("it "), "byte {at}");
        }
        assert_eq!(
            refused(b"#!/bin/sh\necho"),
            "it is not a snapshot of this program"
        );
        let mut newer = good.clone();
        newer[11] = 9;
        assert_eq!(
            refused(&newer),
            "it has version 9, this program reads version 1"
        );
    }

    #[test]
    fn a_snapshot_that_cannot_be_written_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("swarms");
        save(&path, &filled(), Instant::now()).unwrap();
        let before = std::fs::read(&path).unwrap();
        std::fs::create_dir(dir.path().join("swarms.tmp")).unwrap();
        assert!(save(&path, &filled(), Instant::now()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    /// What somebody announces: of a few torrents, from a few addresses, some seconds after the one before.
    fn announces() -> impl Strategy<Value = Vec<(u64, AnnounceRequest, IpAddr)>> {
        use Event::{Completed, None, Paused, Stopped};
        let event = prop::sample::select(&[None, Completed, Paused, Stopped]);
        let one = (0..120_u64, 0..5_u8, 0..8_u8, any::<bool>(), 0..2_u64, event);
        let one = one.prop_map(|(later, torrent, host, v6, left, event)| {
            let ip = if v6 {
                IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()])
            } else {
                IpAddr::from([10, 0, 0, host])
            };
            let request = AnnounceRequest {
                left,
                event,
                ..AnnounceRequest::new([torrent; 20].into(), [host; 20].into(), 7000)
            };
            (later, request, ip)
        });
        vec(one, 0..60)
    }

    type Peers = BTreeMap<(bt_metainfo::InfoHash, SocketAddr), (Role, u32, Duration)>;

    /// Every peer, with the completions of its torrent.
    fn seen(swarms: &Swarms, now: Instant) -> Peers {
        let mut peers = Peers::new();
        swarms.each_swarm(now, |swarm| {
            for member in &swarm.members {
                let value = (member.role, swarm.counts.completed, member.silent);
                peers.insert((swarm.info_hash, member.peer), value);
            }
        });
        peers
    }

    proptest! {
        // Each writes a file and syncs it.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_file_brings_back_who_was_there_and_a_damaged_one_nobody(
            announces in announces(),
            damage in vec((any::<prop::sample::Index>(), 0..8_u8), 200),
        ) {
            let mut now = Instant::now();
            let config = Config { peer_ttl: Duration::from_secs(2_560), ..Config::default() };
            let swarms = Swarms::new(config.clone(), now);
            for (later, request, ip) in &announces {
                now += Duration::from_secs(*later);
                swarms.announce(now, request, *ip, &mut Answer::default()).unwrap();
            }
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("swarms");
            save(&path, &swarms, now).unwrap();
            let after = Swarms::new(config, now);
            let count = load(&path, &after, now).unwrap().unwrap();
            let (was, is) = (seen(&swarms, now), seen(&after, now));
            prop_assert_eq!(count, is.len() as u64);
            for (peer, (role, completed, silent)) in &is {
                // Nobody who was not there. Ages are told to ten seconds, and one may have passed meanwhile.
                let before = was[peer];
                prop_assert_eq!((*role, *completed), (before.0, before.1));
                prop_assert!(silent.abs_diff(before.2) <= Duration::from_secs(12), "{:?}", peer);
            }
            for (peer, (.., silent)) in was {
                let lasts = silent <= Duration::from_secs(2_500);
                prop_assert!(!lasts || is.contains_key(&peer), "{:?} is gone", peer);
            }
            let good = std::fs::read(&path).unwrap();
            for (at, bit) in damage {
                let (mut bad, at) = (good.clone(), at.index(good.len()));
                bad[at] ^= 1 << bit;
                prop_assert!(check(&bad).is_err(), "bit {} of byte {}", bit, at);
                prop_assert!(check(&good[..at]).is_err(), "{} bytes", at);
            }
        }
    }
}
