//! Packets for the fuzzer: nobody who has not proven an address gets more than was sent. And how often sources may ask: the
//! table of one worker against a plain list of who asked when.

#![allow(
    clippy::disallowed_methods,
    reason = "a tracker has to begin at some time"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::Config;
use super::super::tracker::Tracker;
use super::answers::{self, Answers};
use super::connection_id::ConnectionIds;
use super::limits;
use super::sources::Sources;

/// Places of the smallest table; sources above take the place of the quietest.
const PLACES: usize = 4;

/// Requests of a second, and at once. None is one.
const RATES: [u32; 4] = [0, 1, 10, 3_000];
const BURSTS: [u32; 4] = [0, 1, 5, 20];

/// How much later it is, in microseconds.
const PAUSES: [u64; 8] = [0, 0, 1, 333, 99_999, 100_000, 1_000_000, 3_600_000_000];

/// Each is answered twice, once as it is, and once with a connection id
/// that proves its source.
pub(in super::super) fn packets(packets: &[u8]) {
    let now = Instant::now();
    let config = Config {
        stats: None,
        ..Config::default()
    };
    let tracker = Arc::new(Tracker::new(&config, now).expect("the default configuration is fine"));
    let ids = ConnectionIds::new(&[7; 16], now, Duration::ZERO);
    let source: SocketAddr = ([192, 0, 2, 1], 7000).into();
    let id = ids.give(source.ip(), ids.window(now));
    let mut answers = Answers::new(tracker, ids, limits(&[7; 16], now, None));
    let (moment, mut out) = (answers.moment(now), Vec::new());
    for packet in packets.split(|&byte| byte == b'\n') {
        let mut tally = answers::Tally::default();
        out.clear();
        let due = answers.weigh(packet, source, moment, &mut tally);
        answers.answer(due, packet, source, moment, &mut out, &mut tally);
        assert!(
            out.len() <= packet.len(),
            "an unproven source got more than it sent"
        );
        if let Some((_, rest)) = packet.split_first_chunk::<8>() {
            let proven = [&id.to_be_bytes(), rest].concat();
            out.clear();
            let due = answers.weigh(&proven, source, moment, &mut tally);
            answers.warm();
            answers.answer(due, &proven, source, moment, &mut out, &mut tally);
            assert!(out.len() <= 1400, "a reply is too long for a network");
        }
    }
}

/// A source that is remembered.
struct Known {
    line: u8,
    /// When it was allowed to ask, in nanoseconds.
    asked: Vec<u64>,
    /// When all that would have been asked at the rate.
    even: u64,
}

/// Two bytes are one source that asks some times; the first byte says how often it may.
///
/// # Panics
/// If a source is allowed to ask more often than its rate and a burst, or refused although it asks less often; or if one
/// is forgotten that asked more than another.
pub(in super::super) fn sources(data: &[u8]) {
    let (&first, steps) = data.split_first().unwrap_or((&0, &[]));
    let rate = RATES[usize::from(first & 3)];
    let burst = BURSTS[usize::from(first >> 2 & 3)];
    let epoch = Instant::now();
    let mut sources = Sources::new(&[first; 16], epoch, 0, rate, burst);
    let (cost, burst) = (1_000_000_000 / u64::from(rate.max(1)), burst.max(1));
    let mut now = 0;
    let mut places: [Option<Known>; PLACES] = [const { None }; PLACES];
    for &[what, how] in steps.as_chunks().0 {
        now += PAUSES[usize::from(what & 7)] * 1_000;
        let (source, line) = source(what >> 3);
        for _ in 0..=how & 31 {
            let is_known =
                |place: &Option<Known>| place.as_ref().is_some_and(|one| one.line == line);
            let even = |at: &usize| places[*at].as_ref().map_or(0, |one| one.even);
            let at = places.iter().position(is_known);
            let at = at.or_else(|| (0..PLACES).min_by_key(even));
            let place = &mut places[at.expect("there are four")];
            if !is_known(place) {
                *place = None;
            }
            let known = place.get_or_insert_with(|| Known {
                line,
                asked: Vec::new(),
                even: now,
            });
            let even = known.even.max(now) + cost;
            let may = even - now <= cost * u64::from(burst);
            let is_allowed = sources.allow(source, epoch + Duration::from_nanos(now));
            assert_eq!(is_allowed, may, "{source} at {now}");
            if may {
                known.even = even;
                known.asked.push(now);
                for (count, since) in (1..).zip(known.asked.iter().rev()) {
                    let above: u64 = u64::saturating_sub(count, burst.into());
                    assert!(cost * above <= now - since, "{count} since {since}");
                }
            }
        }
    }
    // After a pause each may ask for a whole burst again, and no more.
    now += cost * u64::from(burst);
    let (source, _) = source(first >> 4);
    let at = epoch + Duration::from_nanos(now);
    let all = (0..=burst).filter(|_| sources.allow(source, at)).count();
    assert_eq!(all, burst as usize);
}

/// Addresses, two of which are of one line.
fn source(number: u8) -> (IpAddr, u8) {
    match number {
        0 | 1 => {
            let ip = [0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()];
            (ip.into(), 0)
        }
        2 => ([0x2001, 0xdb8, 0, 1, 0, 0, 0, 0].into(), 2),
        _ => ([192, 0, 2, number].into(), number),
    }
}
