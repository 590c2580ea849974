//! Replies of Redis for the fuzzer: what it or other trackers may have put there is carried out as a naive model says.

#![allow(
    clippy::disallowed_methods,
    reason = "a tracker has to begin at some time"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use redis::Value;

use super::stream::{Entry, Heard, carry_out, entries};
use super::{Relay, record};
use crate::Event;
use crate::server::tracker::Tracker;
use crate::server::{Config, Store};
use crate::swarm::Answer;

/// The time of Redis, in milliseconds since 1970.
const NOW: u64 = 1_800_000_000_000;

/// Stamps of peers have this many steps in the time-to-live.
const TICKS: u128 = 256;

/// A reply to XREAD. With an even first byte the others are what comes over the wire; with an odd one they stand for
/// entries of other trackers.
///
/// # Panics
/// If an entry is lost or made up, or if what is carried out is not what a naive model makes of it.
pub(in super::super) fn replies(data: &[u8]) {
    let Some((&how, rest)) = data.split_first() else {
        return;
    };
    if how & 1 == 0 {
        if let Ok(value) = redis::parse_redis_value(rest) {
            check(&value);
        }
        return;
    }
    let mut bytes = rest.iter().copied();
    let told: Vec<(u64, Vec<u8>)> = std::iter::from_fn(|| entry(&mut bytes)).collect();
    let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
    let written = told.iter().map(|(id, records)| {
        let origin = Value::BulkString(id.to_be_bytes().to_vec());
        let data = Value::BulkString(records.clone());
        let fields = vec![text("o"), origin, text("d"), data];
        Value::Array(vec![text(&format!("{id}-7")), Value::Array(fields)])
    });
    let stream = vec![text("stream"), Value::Array(written.collect())];
    let value = Value::Array(vec![Value::Array(stream)]);
    let read: Vec<_> = entries(&value)
        .map(|entry| (entry.id, entry.said))
        .collect();
    let origins: Vec<_> = told.iter().map(|(id, _)| id.to_be_bytes()).collect();
    let expected = told
        .iter()
        .zip(&origins)
        .map(|((id, records), origin)| ((*id, 7), Some((origin.as_slice(), records.as_slice()))));
    assert_eq!(
        read,
        expected.collect::<Vec<_>>(),
        "what was written is read"
    );
    check(&value);
}

/// The time and the records of the next entry that the bytes stand for.
fn entry(bytes: &mut impl Iterator<Item = u8>) -> Option<(u64, Vec<u8>)> {
    let age = u64::from(bytes.next()?) * 20_000;
    let how = bytes.next().unwrap_or(0);
    let length = usize::from(how >> 1);
    let mut records = Vec::new();
    if how & 1 == 1 {
        records.extend(bytes.by_ref().take(length));
    } else {
        // Few torrents and few peers, so that one is spoken of often.
        for _ in 0..length % 16 {
            let (says, whom) = (bytes.next()?, bytes.next()?);
            records.push(says % 16);
            records.extend([whom >> 4 & 3; 20]);
            let host = whom & 7;
            if says & 8 == 0 {
                records.extend([10, 0, 0, host]);
            } else {
                records.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
            }
            // One in eight has no port.
            let port = if whom >> 6 == 0 && host == 0 {
                0
            } else {
                7000_u16
            };
            records.extend(port.to_be_bytes());
        }
    }
    Some((NOW - age, records))
}

/// What is known of the peers, written down as plainly as possible: how many ticks ago they were heard.
type Model = BTreeMap<(InfoHash, SocketAddr), u128>;

fn check(value: &Value) {
    let config = Config {
        store: Store::Redis("redis://127.0.0.1:1/".to_owned()),
        ..Config::default()
    };
    let now = Instant::now();
    let tracker = Tracker::new(&config, now).expect("the default configuration is fine");
    let relay = tracker.relay.as_ref().expect("there is a store");
    let mut model = Model::new();
    let told: Vec<Entry<'_>> = entries(value).collect();
    for entry in &told {
        let age = Duration::from_millis(NOW.saturating_sub(entry.id.0));
        carry_out_one(relay, &tracker, entry, Heard { now, age }, &mut model);
    }
    let peers = |tracker: &Tracker| {
        let totals = tracker.swarms.totals();
        usize::try_from(totals.peers_v4 + totals.peers_v6).expect("few peers")
    };
    assert_eq!(peers(&tracker), model.len(), "so many peers are here");
    for (info_hash, _) in model.keys() {
        let counts = tracker.swarms.scrape(info_hash).unwrap_or_default();
        let of_torrent = model.keys().filter(|(hash, _)| hash == info_hash).count();
        let counted = counts.seeds + counts.incomplete();
        assert_eq!(counted as usize, of_torrent, "of {info_hash}");
    }
}

fn carry_out_one(
    relay: &Relay,
    tracker: &Tracker,
    entry: &Entry<'_>,
    heard: Heard,
    model: &mut Model,
) {
    let before = relay.snapshot();
    let (mut missed, mut answer) = (0, Answer::default());
    let miss = |_| missed += 1;
    carry_out(relay, tracker, entry, heard, |_| true, miss, &mut answer);
    let after = relay.snapshot();
    assert_eq!(missed, 0, "an open tracker tracks everything");
    let ticks = heard.age.as_micros() / (relay.peer_ttl.as_micros() / TICKS);
    let (_, mut rest) = entry.said.unwrap_or_default();
    let mut received = 0;
    while let Some(announce) = record::decode(&mut rest) {
        let key = (announce.info_hash, announce.peer);
        let is_old = model.get(&key).is_some_and(|known| *known < ticks);
        if heard.age > relay.peer_ttl || is_old {
            continue;
        }
        received += 1;
        if announce.event == Event::Stopped {
            model.remove(&key);
        } else if announce.peer.port() != 0 {
            model.insert(key, ticks);
        }
    }
    assert_eq!(after.received - before.received, received);
    let is_broken = !rest.is_empty();
    assert_eq!(after.malformed - before.malformed, u64::from(is_broken));
}
