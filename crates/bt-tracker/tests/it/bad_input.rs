//! The files of `tests/bad-input` between peers and trackers: replies that a client reads and
//! requests that a server reads.

use bt_tracker::udp::{self, Family};
use bt_tracker::{ReplyError, RequestError, http};

use crate::replay::replay;

fn said<T>(read: Result<T, impl ToString>) -> Result<String, String> {
    read.map(|_| String::new())
        .map_err(|error| error.to_string())
}

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_http_reply_gets_its_verdict() {
    replay("http-replies", |name, body| {
        if name.starts_with("scrape-") {
            return said::<_>(http::decode_scrape_reply(body));
        }
        let read: Result<_, ReplyError> = http::decode_announce_reply(body);
        if let Ok(response) = &read {
            let shown = format!("{:?}", response.warning);
            assert!(!shown.contains('\u{1b}'), "{name}");
            assert!(
                response.peers.iter().all(|peer| peer.addr.port() != 0),
                "{name}"
            );
        }
        said(read)
    });
}

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_udp_reply_gets_its_verdict() {
    replay("udp-replies", |name, packet| match name.split('-').next() {
        Some("connect") => said(udp::decode_connect_reply(packet)),
        Some("announce") => {
            let four = said(udp::decode_announce_reply(packet, Family::V4));
            let six = said(udp::decode_announce_reply(packet, Family::V6));
            assert_eq!(four, six, "{name}");
            four
        }
        Some("scrape") => said(udp::decode_scrape_reply(packet, &[[1; 20].into()])),
        _ => panic!("{name}: no action"),
    });
}

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_query_gets_its_verdict() {
    replay("announce-queries", |name, query| {
        if name.starts_with("scrape-") {
            return said(http::decode_scrape_query(query));
        }
        let read: Result<_, RequestError> = http::decode_announce_query(query);
        said(read)
    });
}

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_udp_request_gets_its_verdict() {
    replay("udp-requests", |_, packet| {
        said(udp::decode_request(packet))
    });
}
