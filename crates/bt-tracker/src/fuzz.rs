//! Bodies for the fuzzer, which ordinary tests run over the corpus as well: whatever comes in,
//! nothing panics, and what was understood survives being written and read again.

#![allow(
    clippy::disallowed_methods,
    reason = "exchanges and schedules have to begin at some time"
)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_wire::PeerId;

use crate::http::{self, PeerForm};
use crate::limits::{MAX_PEERS, MAX_SCRAPE, MAX_URL_DATA};
use crate::schedule::{Breadth, Options, Problem, Schedule};
use crate::swarm::{Locality, Network};
use crate::udp::{self, Exchange, Family, Question, Request};
use crate::{AnnounceRequest, AnnounceResponse, Event, Failure, ReplyError, RetryIn};

/// The query of an HTTP request, as a server reads it.
pub fn http_query(data: &[u8]) {
    if let Ok(request) = http::decode_announce_query(data) {
        let mut query = String::new();
        http::encode_announce_query(&request, &mut query);
        let again = http::decode_announce_query(query.as_bytes());
        let expected = AnnounceRequest {
            uploaded: request.uploaded.min(i64::MAX.unsigned_abs()),
            downloaded: request.downloaded.min(i64::MAX.unsigned_abs()),
            ..request
        };
        assert_eq!(again, Ok(expected));
    }
    if let Ok(request) = http::decode_scrape_query(data) {
        assert!(request.info_hashes.len() <= MAX_SCRAPE);
        let mut query = String::new();
        http::encode_scrape_query(&request, &mut query);
        assert_eq!(http::decode_scrape_query(query.as_bytes()), Ok(request));
    }
}

/// The body of an HTTP reply, as a client reads it.
pub fn http_reply(data: &[u8]) {
    match http::decode_announce_reply(data) {
        Ok(response) => {
            assert!(response.peers.len() <= MAX_PEERS);
            let mut body = Vec::new();
            http::encode_announce_reply(&response, PeerForm::Full { ids: true }, &mut body);
            let expected = AnnounceResponse {
                skipped: 0,
                ..response
            };
            assert_eq!(http::decode_announce_reply(&body), Ok(expected));
        }
        Err(ReplyError::Refused(failure)) => {
            let mut body = Vec::new();
            http::encode_failure(&failure, &mut body);
            let again = http::decode_announce_reply(&body);
            let Err(ReplyError::Refused(again)) = again else {
                panic!("{again:?}")
            };
            assert_eq!(again, failure);
        }
        Err(_) => {}
    }
    if let Ok(all) = http::decode_many_announce_replies(data) {
        let named = all.iter().filter_map(|one| one.reply.as_ref().ok());
        assert!(
            named
                .map(|reply| reply.peers.len())
                .all(|peers| peers <= MAX_PEERS)
        );
        assert!(http::decode_announce_reply(data).is_err(), "it is a list");
    }
    if let Ok(response) = http::decode_scrape_reply(data) {
        let mut body = Vec::new();
        http::encode_scrape_reply(&response, &mut body);
        assert_eq!(http::decode_scrape_reply(&body).as_ref(), Ok(&response));
    }
}

/// A tracker's URL.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let shown = http::redacted(text);
    assert_eq!(http::redacted(&shown), shown, "nothing is left to hide");
    // A key of ours behind it, where people put theirs: in the path, which begins behind the host, and in the query.
    let key = "0123456789abcdefghij";
    let path = text.split(['?', '#']).next().unwrap_or_default();
    if path.contains("://") {
        let in_path = format!("{path}/{key}/announce");
        assert!(!http::redacted(&in_path).contains(key), "{in_path}");
    }
    let in_query = format!("{path}?passkey={key}");
    assert!(!http::redacted(&in_query).contains(key), "{in_query}");
    if let Some(scrape) = http::scrape_url(text) {
        assert_eq!(scrape.len() + "announce".len(), text.len() + "scrape".len());
    }
    let request = AnnounceRequest::new(InfoHash::from([1; 20]), PeerId::from([2; 20]), 3);
    assert!(http::announce_url(text, &request).contains("info_hash=%01"));
}

/// A UDP packet, as a server reads it.
pub fn udp_request(data: &[u8]) {
    let mut packet = Vec::new();
    match udp::decode_request(data) {
        Ok(Request::Announce {
            connection_id,
            transaction_id,
            announce,
        }) => {
            assert!(announce.url_data.len() <= MAX_URL_DATA);
            udp::encode_announce_request(connection_id, transaction_id, &announce, &mut packet);
            let event = match announce.event {
                Event::Paused => Event::None,
                event => event,
            };
            let announce = AnnounceRequest {
                event,
                uploaded: announce.uploaded.min(i64::MAX.unsigned_abs()),
                downloaded: announce.downloaded.min(i64::MAX.unsigned_abs()),
                ..announce
            };
            let expected = Request::Announce {
                connection_id,
                transaction_id,
                announce,
            };
            assert_eq!(udp::decode_request(&packet), Ok(expected));
        }
        Ok(Request::Scrape {
            connection_id,
            transaction_id,
            scrape,
        }) => {
            let hashes = &scrape.info_hashes;
            udp::encode_scrape_request(connection_id, transaction_id, hashes, &mut packet);
            let expected = Request::Scrape {
                connection_id,
                transaction_id,
                scrape,
            };
            assert_eq!(udp::decode_request(&packet), Ok(expected));
        }
        Ok(Request::Connect { transaction_id }) => {
            udp::encode_connect_request(transaction_id, &mut packet);
            assert_eq!(data.get(..16), packet.get(..16));
        }
        Err(_) => {}
    }
}

/// UDP packets of a tracker, and the time between them, for a client's exchange. Each packet is
/// preceded by a byte for its length and one for the seconds that pass; the transaction ids are
/// put right in every second one.
pub fn udp_exchange(data: &[u8]) {
    let (family, data) = match data.split_first() {
        Some((first, rest)) if first & 1 == 1 => (Family::V6, rest),
        Some((_, rest)) => (Family::V4, rest),
        None => return,
    };
    let announce = AnnounceRequest::new(InfoHash::from([1; 20]), PeerId::from([2; 20]), 3);
    let mut now = Instant::now();
    let mut exchange = Exchange::new(Question::Announce(announce), family, None, 7);
    let mut rest = data;
    let mut transaction = [0; 4];
    for turn in 0..1_000 {
        let mut packet = Vec::new();
        if exchange.poll_transmit(now, &mut packet) {
            transaction.copy_from_slice(packet.get(12..16).expect("every request has one"));
        }
        assert!(
            exchange
                .poll_timeout()
                .is_some_and(|deadline| deadline > now || turn > 0)
        );
        let [length, seconds, tail @ ..] = rest else {
            // Nothing more comes: the exchange must end.
            now = exchange.poll_timeout().expect("a deadline");
            if exchange.handle_timeout(now).is_err() {
                return;
            }
            continue;
        };
        let (incoming, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        let mut incoming = incoming.to_vec();
        if turn % 2 == 0
            && let Some(field) = incoming.get_mut(4..8)
        {
            field.copy_from_slice(&transaction);
        }
        now += Duration::from_secs(u64::from(*seconds));
        if exchange.handle_timeout(now).is_err() || exchange.handle_packet(now, &incoming).is_some()
        {
            return;
        }
        rest = tail;
    }
    panic!("the exchange never ends");
}

/// Calls of a schedule in an order that the bytes choose: whatever happens, `started` comes first,
/// `completed` once, `stopped` last.
pub fn schedule(data: &[u8]) {
    let [breadth, complete, calls @ ..] = data else {
        return;
    };
    let tiers = [vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]];
    let breadth = match breadth % 3 {
        0 => Breadth::OneTracker,
        1 => Breadth::AllTiers,
        _ => Breadth::AllTrackers,
    };
    let options = Options {
        breadth,
        ..Options::default()
    };
    let mut schedule = Schedule::with_options(&tiers, 1, complete & 1 == 1, options);
    let mut now = Instant::now();
    let mut in_flight: Vec<(String, Event)> = Vec::new();
    let mut accepted: Vec<(String, Event)> = Vec::new();
    for call in calls.iter().take(1_000) {
        let value = u64::from(call >> 4);
        match call & 15 {
            0..=4 => {
                if let Some(announce) = schedule.poll(now) {
                    let here = |event| accepted.contains(&(announce.url.clone(), event));
                    assert!(!here(Event::Stopped), "nothing after stopped");
                    assert_eq!(announce.event != Event::Started, here(Event::Started));
                    assert!(announce.event != Event::Completed || !here(Event::Completed));
                    in_flight.push((announce.url, announce.event));
                }
            }
            5..=7 if !in_flight.is_empty() => {
                let (url, event) = in_flight.remove(0);
                schedule.succeeded(
                    now,
                    &url,
                    &AnnounceResponse::new(Duration::from_secs(value * 99)),
                );
                accepted.push((url, event));
            }
            8..=9 if !in_flight.is_empty() => {
                let (url, event) = in_flight.remove(0);
                let retry_in = match value {
                    0 => Some(RetryIn::Never),
                    1..8 => Some(RetryIn::Minutes(u32::from(call >> 4))),
                    _ => None,
                };
                let failure = Failure {
                    reason: "no".to_owned(),
                    retry_in,
                };
                schedule.failed(now, &url, Problem::from(&failure));
                if event == Event::Stopped {
                    accepted.push((url, event));
                }
            }
            10 => now += Duration::from_secs(value * 400),
            11 => {
                now = schedule
                    .next_deadline()
                    .map_or(now, |deadline| deadline.max(now))
            }
            12 => schedule.force(now),
            13 => schedule.complete(now),
            14 => schedule.set_partial_seed(value & 1 == 1),
            // A `stopped` is always made.
            15 if value == 14 && in_flight.iter().all(|(_, event)| *event != Event::Stopped) => {
                for (url, _) in in_flight.drain(..) {
                    schedule.withdrawn(&url);
                }
            }
            15 if value == 15 => schedule.stop(now),
            _ => {}
        }
    }
    let trackers = schedule.status();
    assert!(trackers.iter().all(|tracker| tracker.failures < 1_001));
}

/// What peers and the owner of a store do, against a naive model.
pub fn swarms(data: &[u8]) {
    crate::swarm::fuzz(Instant::now(), data);
}

/// A URL, and on the next line where its tracker redirects to.
#[cfg(feature = "client")]
pub fn redirect(data: &[u8]) {
    crate::client::fuzz_redirect(data);
}

/// An address of a tracker, and a path there.
#[cfg(feature = "client")]
pub fn address(data: &[u8]) {
    crate::client::fuzz_address(data);
}

/// A body packed with gzip.
#[cfg(feature = "client")]
pub fn gunzip(data: &[u8]) {
    crate::client::fuzz_body(data);
}

/// The text of a configuration file of the program.
#[cfg(all(feature = "fuzz", feature = "bin"))]
pub fn config(data: &[u8]) {
    crate::cli::fuzz::config(data);
}

/// The words of a command line of the program, one a line.
#[cfg(all(feature = "fuzz", feature = "bin"))]
pub fn options(data: &[u8]) {
    crate::cli::fuzz::options(data);
}

/// A duration, size, share, locality or store, as settings have them.
#[cfg(all(feature = "fuzz", feature = "bin"))]
pub fn values(data: &[u8]) {
    crate::cli::fuzz::values(data);
}

/// What `top` gets from another tracker.
#[cfg(all(feature = "fuzz", feature = "bin"))]
pub fn top(data: &[u8]) {
    crate::cli::fuzz::top(data);
}

/// An address and how many of its leading bits count.
pub fn network(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(network) = text.parse::<Network>() else {
        return;
    };
    let shown = network.to_string();
    assert_eq!(shown.parse(), Ok(network), "{text:?}");
    let (first, bits) = shown.split_once('/').expect("an address and bits");
    let first: IpAddr = first.parse().expect("an address");
    assert!(network.contains(first), "{text:?}");
    let named = Locality::named([(network, "here".to_owned())]).expect("one network");
    assert_eq!(named.name_of(first), Some("here"), "{text:?}");
    // The address whose last bit differs is outside only if all bits count.
    let neighbour: IpAddr = match first {
        IpAddr::V4(ip) => (ip.to_bits() ^ 1).to_be_bytes().into(),
        IpAddr::V6(ip) => (ip.to_bits() ^ 1).to_be_bytes().into(),
    };
    let all = if first.is_ipv4() { "32" } else { "128" };
    if neighbour.is_ipv4() == neighbour.to_canonical().is_ipv4() {
        assert_eq!(network.contains(neighbour), bits != all, "{text:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    type Body = fn(&[u8]);

    /// Every target by the name of its corpus folder.
    const TARGETS: &[(&str, Body)] = &[
        ("tracker_http_query", super::http_query),
        ("tracker_http_reply", super::http_reply),
        ("tracker_url", super::url),
        ("tracker_udp_request", super::udp_request),
        ("tracker_udp_exchange", super::udp_exchange),
        ("tracker_schedule", super::schedule),
        ("tracker_network", super::network),
        ("tracker_swarms", super::swarms),
        #[cfg(feature = "client")]
        ("tracker_redirect", super::redirect),
        #[cfg(feature = "client")]
        ("tracker_address", super::address),
        #[cfg(feature = "client")]
        ("tracker_gunzip", super::gunzip),
    ];

    #[test]
    fn every_corpus_file_passes() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
        for (name, body) in TARGETS {
            let files = fs::read_dir(corpus.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut count = 0;
            for file in files {
                body(&fs::read(file.unwrap().path()).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name} has no seeds");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_bytes_pass(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            for (_, body) in TARGETS {
                body(&data);
            }
        }
    }
}
