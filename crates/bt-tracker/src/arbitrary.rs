//! Random requests and responses for property tests of both transports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bt_metainfo::InfoHash;
use bt_wire::PeerId;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::{
    AnnounceRequest, AnnounceResponse, Event, Failure, Peer, RetryIn, ScrapeResponse, ScrapeStats,
};

pub(crate) fn info_hash() -> impl Strategy<Value = InfoHash> {
    any::<[u8; 20]>().prop_map(InfoHash::from)
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::None),
        Just(Event::Completed),
        Just(Event::Started),
        Just(Event::Stopped),
        Just(Event::Paused),
    ]
}

/// Numbers of bytes that every tracker can read, or the largest of all, which means unknown.
fn left() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0..i64::MAX.unsigned_abs()]
}

pub(crate) fn request() -> impl Strategy<Value = AnnounceRequest> {
    let numbers = (
        any::<u16>(),
        0..=i64::MAX.unsigned_abs(),
        0..=i64::MAX.unsigned_abs(),
        left(),
    );
    let choices = (
        event(),
        option::of(0..=i32::MAX.unsigned_abs()),
        any::<u32>(),
    );
    let flags = (any::<bool>(), any::<bool>());
    let rest = (
        option::of(vec(any::<u8>(), 0..40)),
        option::of(any::<Ipv4Addr>()),
        vec(any::<u8>(), 0..600),
    );
    (
        (info_hash(), any::<[u8; 20]>()),
        numbers,
        choices,
        flags,
        rest,
    )
        .prop_map(|((info_hash, peer_id), numbers, choices, flags, rest)| {
            let mut request = AnnounceRequest::new(info_hash, PeerId::from(peer_id), numbers.0);
            (request.uploaded, request.downloaded, request.left) =
                (numbers.1, numbers.2, numbers.3);
            (request.event, request.numwant, request.key) = choices;
            (request.compact, request.no_peer_id) = flags;
            request.tracker_id = rest.0;
            request.ip = rest.1.filter(|ip| !ip.is_unspecified()).map(IpAddr::V4);
            request.url_data = rest.2;
            request
        })
}

/// Addresses at which a peer can listen.
fn peer() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        (1u32..0xDFFF_FFFF).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        (any::<u128>()).prop_map(|bits| {
            IpAddr::V6(Ipv6Addr::from_bits((bits & (u128::MAX >> 3)) | (1 << 125)))
        }),
    ];
    (ip, 1..=u16::MAX).prop_map(SocketAddr::from)
}

fn peers() -> impl Strategy<Value = Vec<Peer>> {
    let id = option::of(any::<[u8; 20]>().prop_map(PeerId::from));
    vec((peer(), id).prop_map(|(addr, id)| Peer { addr, id }), 0..40)
}

fn words() -> impl Strategy<Value = String> {
    "[a-z ä☃]{1,40}"
}

pub(crate) fn response() -> impl Strategy<Value = AnnounceResponse> {
    let count = || option::of(any::<u32>());
    let seconds = || any::<u32>().prop_map(|seconds| Duration::from_secs(seconds.into()));
    (
        (seconds(), option::of(seconds())),
        (count(), count(), count(), count()),
        peers(),
        option::of(vec(any::<u8>(), 0..40)),
        option::of(words()),
        option::of(peer().prop_map(|addr| addr.ip())),
    )
        .prop_map(|(times, counts, peers, tracker_id, warning, external_ip)| {
            AnnounceResponse {
                interval: times.0,
                min_interval: times.1,
                complete: counts.0,
                incomplete: counts.1,
                downloaded: counts.2,
                downloaders: counts.3,
                peers,
                tracker_id,
                warning,
                external_ip,
                skipped: 0,
            }
        })
}

pub(crate) fn failure() -> impl Strategy<Value = Failure> {
    let retry_in = prop_oneof![
        Just(RetryIn::Never),
        (1..=u32::MAX).prop_map(RetryIn::Minutes)
    ];
    (words(), option::of(retry_in)).prop_map(|(reason, retry_in)| Failure { reason, retry_in })
}

pub(crate) fn scrape_response() -> impl Strategy<Value = ScrapeResponse> {
    let stats = (
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        option::of(any::<u32>()),
    )
        .prop_map(
            |(complete, downloaded, incomplete, downloaders)| ScrapeStats {
                complete,
                downloaded,
                incomplete,
                downloaders,
            },
        );
    let files = proptest::collection::btree_map(info_hash(), stats, 0..20);
    (files, option::of(any::<u32>())).prop_map(|(files, min_request_interval)| ScrapeResponse {
        files: files.into_iter().collect(),
        min_request_interval,
    })
}
