//! One announce as trackers tell it to each other: what it says (1 byte), info-hash (20), address
//! and port (6 or 18).
//!
//! Pure. Knows nothing of Redis.

use std::net::{IpAddr, SocketAddr};

use crate::Event;
use crate::swarm::{Announce, Families};

/// Bytes of the longest record.
pub(super) const MAX_LENGTH: usize = 1 + 20 + 18;

const KIND: u8 = 0b0011;
const DOWNLOADER: u8 = 0;
const PARTIAL: u8 = 1;
const SEED: u8 = 2;
const GONE: u8 = 3;
const COMPLETED: u8 = 0b0100;
const IPV6: u8 = 0b1000;

/// Appends an announce.
pub(super) fn encode(announce: &Announce, out: &mut Vec<u8>) {
    let kind = match announce.event {
        Event::Stopped => GONE,
        _ if announce.left == 0 => SEED,
        Event::Paused => PARTIAL,
        Event::None | Event::Started | Event::Completed => DOWNLOADER,
    };
    let completed = if announce.event == Event::Completed {
        COMPLETED
    } else {
        0
    };
    let family = if announce.peer.is_ipv6() { IPV6 } else { 0 };
    out.push(kind | completed | family);
    out.extend_from_slice(announce.info_hash.as_bytes());
    match announce.peer.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&announce.peer.port().to_be_bytes());
}

/// Takes an announce off the front. `None` when the bytes are no record; nothing is known of what
/// comes after it then.
pub(super) fn decode(bytes: &mut &[u8]) -> Option<Announce> {
    let (&says, rest) = bytes.split_first()?;
    if says & !(KIND | COMPLETED | IPV6) != 0 {
        return None;
    }
    let (info_hash, rest) = rest.split_first_chunk::<20>()?;
    let (ip, rest): (IpAddr, _) = if says & IPV6 == 0 {
        let (ip, rest) = rest.split_first_chunk::<4>()?;
        ((*ip).into(), rest)
    } else {
        let (ip, rest) = rest.split_first_chunk::<16>()?;
        ((*ip).into(), rest)
    };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    *bytes = rest;
    let event = match says & KIND {
        GONE => Event::Stopped,
        _ if says & COMPLETED != 0 => Event::Completed,
        PARTIAL => Event::Paused,
        _ => Event::None,
    };
    Some(Announce {
        info_hash: (*info_hash).into(),
        peer: SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(*port)),
        peer_id: None,
        left: u64::from(says & KIND != SEED),
        event,
        wanted: 0,
        families: Families::Own,
        with_ids: false,
    })
}

/// How many of these bytes make whole records of at most `room` bytes together, and how many
/// records are left over. The bytes must be our own.
pub(super) fn fitting(bytes: &[u8], room: usize) -> (usize, u64) {
    let (mut at, mut whole, mut left_over) = (0, 0, 0);
    while let Some(says) = bytes.get(at) {
        at += length(*says);
        if at <= room {
            whole = at;
        } else {
            left_over += 1;
        }
    }
    (whole, left_over)
}

/// How many records these bytes hold. The bytes must be our own.
pub(super) fn count(bytes: &[u8]) -> u64 {
    fitting(bytes, 0).1
}

/// Bytes of the record that begins with this one.
fn length(says: u8) -> usize {
    if says & IPV6 == 0 {
        1 + 20 + 6
    } else {
        MAX_LENGTH
    }
}

/// Records for the fuzzer: each that is read is written and read back.
#[cfg(any(test, feature = "fuzz"))]
pub(in super::super) fn fuzz(bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(announce) = decode(&mut rest) {
        let mut own = Vec::new();
        encode(&announce, &mut own);
        let mut again = own.as_slice();
        let back = decode(&mut again).expect("we wrote it");
        assert!(again.is_empty(), "bytes are left over");
        assert_eq!(format!("{back:?}"), format!("{announce:?}"));
        assert_eq!(fitting(&own, own.len()), (own.len(), 0));
        assert_eq!(count(&own), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn announce(peer: &str, left: u64, event: Event) -> Announce {
        Announce {
            info_hash: [9; 20].into(),
            peer: peer.parse().unwrap(),
            peer_id: None,
            left,
            event,
            wanted: 0,
            families: Families::Own,
            with_ids: false,
        }
    }

    /// What one tracker tells another, as the other hears it: it knows only whether anything is left.
    fn announces() -> impl Strategy<Value = Announce> {
        let says = prop_oneof![
            Just((0, Event::None)),
            Just((1, Event::None)),
            Just((0, Event::Completed)),
            Just((1, Event::Completed)),
            Just((1, Event::Paused)),
            Just((1, Event::Stopped)),
        ];
        let parts = (any::<[u8; 20]>(), any::<IpAddr>(), any::<u16>(), says);
        parts.prop_map(|(info_hash, ip, port, (left, event))| Announce {
            info_hash: info_hash.into(),
            peer: SocketAddr::new(ip.to_canonical(), port),
            ..announce("192.0.2.1:1", left, event)
        })
    }

    proptest! {
        #[test]
        fn any_announces_are_heard_as_they_were_told(
            told in proptest::collection::vec(announces(), 0..6),
            room in 0_usize..250,
        ) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for one in &told {
                encode(one, &mut bytes);
                ends.push(bytes.len());
            }
            let (whole, left_over) = fitting(&bytes, room);
            let fit = ends.iter().take_while(|end| **end <= room).count();
            assert_eq!(whole, ends[fit - 1]);
            assert_eq!(left_over, (ends.len() - fit) as u64);
            let mut rest = bytes.as_slice();
            for one in &told {
                let heard = decode(&mut rest).expect("we wrote it");
                assert_eq!(format!("{heard:?}"), format!("{one:?}"));
            }
            assert!(rest.is_empty());
            // What is torn is no record, and nothing of it is taken off.
            for end in 0..bytes.len().min(ends.get(1).copied().unwrap_or(0)) {
                let mut torn = &bytes[..end];
                assert!(decode(&mut torn).is_none() && torn.len() == end);
            }
        }
    }

    #[test]
    fn what_is_told_is_what_is_heard() {
        let mut bytes = Vec::new();
        let told = [
            announce("192.0.2.1:6881", 0, Event::None),
            announce("[2001:db8::1]:1", 0, Event::Completed),
            announce("192.0.2.1:65535", 1, Event::Paused),
            announce("[2001:db8::2]:2", 1, Event::Stopped),
            announce("192.0.2.2:2", 1, Event::None),
        ];
        told.iter().for_each(|one| encode(one, &mut bytes));
        assert_eq!(count(&bytes), 5);
        assert_eq!(fitting(&bytes, 27 + 39 + 26), (27 + 39, 3));
        let mut rest = bytes.as_slice();
        for one in told {
            let heard = decode(&mut rest).unwrap();
            assert_eq!(
                (heard.info_hash, heard.peer, heard.left, heard.event),
                (one.info_hash, one.peer, one.left, one.event)
            );
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn nonsense_is_no_record() {
        let mut bytes = Vec::new();
        encode(&announce("192.0.2.1:6881", 0, Event::None), &mut bytes);
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            assert!(decode(&mut rest).is_none(), "{cut}");
        }
        bytes[0] |= 0x80;
        assert!(decode(&mut bytes.as_slice()).is_none());
    }
}
