//! Queries and replies in both directions: known bytes, careless trackers, and round trips.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bt_metainfo::InfoHash;
use bt_wire::PeerId;
use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_MESSAGE, MAX_PEERS, MAX_QUERY, MAX_SCRAPE, MAX_TRACKER_ID};
use crate::{
    AnnounceRequest, AnnounceResponse, Event, Failure, Peer, ReplyError, RequestError, RetryIn,
    ScrapeRequest, ScrapeResponse, ScrapeStats, arbitrary,
};

const HASH: [u8; 20] =
    *b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a";
const ID: [u8; 20] = *b"-BT0100-0123456789ab";

/// The smallest query that is a whole announce.
const MINIMAL: &str = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881";

fn request() -> AnnounceRequest {
    AnnounceRequest::new(InfoHash::from(HASH), PeerId::from(ID), 6881)
}

fn decode(query: &str) -> Result<AnnounceRequest, RequestError> {
    decode_announce_query(query.as_bytes())
}

/// Decodes the smallest announce with one more parameter.
fn with(parameter: &str) -> AnnounceRequest {
    decode(&format!("{MINIMAL}&{parameter}")).unwrap_or_else(|error| panic!("{parameter}: {error}"))
}

#[test]
fn an_announce_has_these_bytes() {
    let request = AnnounceRequest {
        uploaded: 1,
        downloaded: 2,
        left: 3_000_000_000_000,
        event: Event::Started,
        numwant: Some(80),
        key: 0x00C0_FFEE,
        tracker_id: Some(b"a b".to_vec()),
        ..request()
    };
    assert_eq!(
        announce_url("http://t.example/announce?pass=x%2fy", &request),
        "http://t.example/announce?pass=x%2fy\
         &info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-BT0100-0123456789ab\
         &port=6881&uploaded=1&downloaded=2&left=3000000000000&key=00C0FFEE&compact=1\
         &no_peer_id=1&numwant=80&event=started&trackerid=a%20b"
    );
}

#[test]
fn optional_parameters_are_left_out() {
    let request = AnnounceRequest {
        left: 0,
        compact: false,
        no_peer_id: false,
        ..request()
    };
    let url = announce_url("http://t.example/announce", &request);
    let query = url
        .split_once("?")
        .unwrap()
        .1
        .split_once("&port")
        .unwrap()
        .1;
    assert_eq!(
        query,
        "=6881&uploaded=0&downloaded=0&left=0&compact=0&no_peer_id=0"
    );
}

#[test]
fn numbers_stay_readable_for_signed_trackers() {
    let request = AnnounceRequest {
        uploaded: u64::MAX,
        left: u64::MAX,
        ..request()
    };
    let mut query = String::new();
    encode_announce_query(&request, &mut query);
    assert!(query.contains("&uploaded=9223372036854775807&"), "{query}");
    assert!(query.contains("&left=9223372036854775807&"), "{query}");
}

#[test]
fn the_smallest_announce_has_defaults() {
    let request = decode(MINIMAL).unwrap();
    let expected = AnnounceRequest::new([b'a'; 20].into(), [b'b'; 20].into(), 6881);
    assert_eq!(
        request,
        AnnounceRequest {
            no_peer_id: false,
            ..expected
        }
    );
    assert!(
        !request.is_seed(),
        "a peer that says nothing about `left` is no seed"
    );
}

#[test]
fn every_parameter_is_read() {
    assert_eq!(with("port=65535").port, 65_535, "ports are unsigned");
    assert_eq!(with("uploaded=18446744073709551615").uploaded, u64::MAX);
    assert_eq!(with("downloaded=7").downloaded, 7);
    assert_eq!(with("left=0").left, 0);
    assert_eq!(with("left=4294967296").left, 1 << 32);
    assert_eq!(with("left=-1").left, u64::MAX);
    assert_eq!(with("left=9223372036854775807").left, u64::MAX);
    assert_eq!(with("event=completed").event, Event::Completed);
    assert_eq!(with("event=paused").event, Event::Paused);
    assert_eq!(with("event=empty").event, Event::None);
    assert_eq!(with("event=").event, Event::None);
    assert_eq!(with("numwant=0").numwant, Some(0));
    assert_eq!(with("numwant=99999999999").numwant, Some(u32::MAX));
    assert_eq!(with("numwant=-1").numwant, None);
    assert_eq!(with("key=00c0FFee").key, 0xC0_FFEE);
    assert_eq!(with("key=").key, 0);
    assert_eq!(
        with("trackerid=%00%ff+").tracker_id.as_deref(),
        Some(&b"\x00\xff "[..])
    );
    assert!(with("compact=1").compact && !with("compact=0").compact);
    assert!(with("no_peer_id=1").no_peer_id && !with("no_peer_id=0").no_peer_id);
    assert_eq!(with("ip=10.1.2.3").ip, Some([10, 1, 2, 3].into()));
    assert_eq!(with("ip=2001%3Adb8%3A%3A1").ip, "2001:db8::1".parse().ok());
    assert_eq!(with("ipv4=1.2.3.4").ipv4, Some([1, 2, 3, 4].into()));
    assert_eq!(with("ipv4=1.2.3.4%3A80").ipv4, Some([1, 2, 3, 4].into()));
    assert_eq!(with("ipv6=%3A%3A2").ipv6, "::2".parse().ok());
    assert_eq!(with("ipv6=%5B%3A%3A2%5D%3A80").ipv6, "::2".parse().ok());
}

#[test]
fn nonsense_that_does_not_matter_is_skipped() {
    for parameter in [
        "",
        "&",
        "=",
        "&&",
        "x",
        "x=y=z",
        "supportcrypto=1",
        "corrupt=0",
        "ip=host.example",
        "ip=999.1.1.1",
        "ip=%ff",
        "ipv4=::1",
        "ipv6=1.2.3.4",
        "ip=%zz",
        "PORT=x",
    ] {
        assert_eq!(with(parameter), decode(MINIMAL).unwrap(), "{parameter}");
    }
    let long = format!("ip={}", "1".repeat(1_000));
    assert_eq!(with(&long).ip, None);
}

#[test]
fn the_last_of_two_parameters_counts() {
    let request = decode(&format!("numwant=5&key=1&{MINIMAL}&numwant=80")).unwrap();
    assert_eq!((request.numwant, request.key), (Some(80), 1));
}

#[test]
fn keys_that_are_no_numbers_still_tell_peers_apart() {
    let keys = ["abcdefgh", "abcdefgi", "000000001", "%00%01", "xyz"]
        .map(|key| with(&format!("key={key}")).key);
    for (n, key) in keys.iter().enumerate() {
        assert!(!keys[..n].contains(key), "{keys:?}");
    }
}

#[test]
fn ttorrents_space_is_understood() {
    let query = MINIMAL.replace("aaaaaaaaaaaaaaaaaaaa", "+%20aaaaaaaaaaaaaaaaaa");
    assert_eq!(
        decode(&query).unwrap().info_hash.as_bytes(),
        b"  aaaaaaaaaaaaaaaaaa"
    );
}

#[test]
fn broken_announces_say_what_is_wrong() {
    let too_long = format!("{MINIMAL}&x={}", "y".repeat(MAX_QUERY));
    let long_id = format!("{MINIMAL}&trackerid={}", "x".repeat(MAX_TRACKER_ID + 1));
    for (query, message) in [
        ("", "info_hash is missing"),
        (
            "peer_id=bbbbbbbbbbbbbbbbbbbb&port=1",
            "info_hash is missing",
        ),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaaa&port=1",
            "peer_id is missing",
        ),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb",
            "port is missing",
        ),
        (
            "info_hash=aaa",
            "info_hash is not valid: 20 bytes, percent-encoded",
        ),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaaaa",
            "info_hash is not valid: 20 bytes, percent-encoded",
        ),
        (
            "info_hash=%zzaaaaaaaaaaaaaaaaaaa",
            "info_hash is not valid: 20 bytes, percent-encoded",
        ),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaa%4",
            "info_hash is not valid: 20 bytes, percent-encoded",
        ),
        (
            "info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=aaaaaaaaaaaaaaaaaaaa",
            "info_hash is not valid: one for each announce",
        ),
        (
            "peer_id=short",
            "peer_id is not valid: 20 bytes, percent-encoded",
        ),
        ("port=65536", "port is not valid: a number from 0 to 65535"),
        ("port=-1", "port is not valid: a number from 0 to 65535"),
        ("port=", "port is not valid: a number from 0 to 65535"),
        ("port=0x50", "port is not valid: a number from 0 to 65535"),
        ("uploaded=-1", "uploaded is not valid: a number of bytes"),
        (
            "downloaded=18446744073709551616",
            "downloaded is not valid: a number of bytes",
        ),
        ("left=-", "left is not valid: a number of bytes"),
        ("left=1e9", "left is not valid: a number of bytes"),
        ("numwant=many", "numwant is not valid: a number of peers"),
        (
            "event=begun",
            "event is not valid: started, completed, stopped, paused or nothing",
        ),
        ("key=%f", "key is not valid: percent-encoded bytes"),
        (
            "trackerid=%",
            "trackerid is not valid: percent-encoded bytes",
        ),
        (&long_id, "trackerid is too long: more than 256 bytes"),
        (&too_long, "request is too long: more than 8192 bytes"),
    ] {
        let error = decode(query).map(|request| request.port).unwrap_err();
        assert_eq!(
            error.to_string(),
            message,
            "{}",
            query.get(..80).unwrap_or(query)
        );
    }
    let fits = format!("{MINIMAL}&x={}", "y".repeat(MAX_QUERY - MINIMAL.len() - 3));
    assert_eq!(fits.len(), MAX_QUERY);
    assert!(decode(&fits).is_ok());
    let longest_id = format!("trackerid={}", "x".repeat(MAX_TRACKER_ID));
    assert_eq!(with(&longest_id).tracker_id.unwrap().len(), MAX_TRACKER_ID);
}

#[test]
fn scrapes_name_several_torrents() {
    let hashes: Vec<InfoHash> = [[1; 20], [b'z'; 20]].map(InfoHash::from).to_vec();
    let request = ScrapeRequest::new(hashes.clone());
    let url = scrape_request_url("http://t.example/scrape?k=1", &request);
    let ones = "%01".repeat(20);
    assert_eq!(
        url,
        format!("http://t.example/scrape?k=1&info_hash={ones}&info_hash=zzzzzzzzzzzzzzzzzzzz")
    );
    let query = url.split_once('?').unwrap().1;
    assert_eq!(
        decode_scrape_query(query.as_bytes()).unwrap().info_hashes,
        hashes
    );
    assert_eq!(decode_scrape_query(b"").unwrap().info_hashes, []);
    let many = |count| ["info_hash=aaaaaaaaaaaaaaaaaaaa"].repeat(count).join("&");
    assert_eq!(
        decode_scrape_query(many(MAX_SCRAPE).as_bytes())
            .unwrap()
            .info_hashes
            .len(),
        MAX_SCRAPE
    );
    let error = decode_scrape_query(many(MAX_SCRAPE + 1).as_bytes()).unwrap_err();
    assert_eq!(error, RequestError::TooMany { limit: MAX_SCRAPE });
}

#[test]
fn a_reply_has_these_bytes() {
    let response = AnnounceResponse {
        min_interval: Some(Duration::from_secs(60)),
        complete: Some(1),
        incomplete: Some(3),
        downloaded: Some(9),
        downloaders: Some(2),
        peers: vec![
            Peer {
                addr: addr("1.2.3.4:258"),
                id: Some(ID.into()),
            },
            Peer {
                addr: addr("[2001:db8::1]:80"),
                id: None,
            },
            Peer {
                addr: addr("[::ffff:5.6.7.8]:81"),
                id: None,
            },
        ],
        tracker_id: Some(b"id".to_vec()),
        warning: Some("slow".into()),
        external_ip: Some(IpAddr::from([9, 9, 9, 9])),
        ..AnnounceResponse::new(Duration::from_secs(1800))
    };
    let head = "d8:completei1e10:downloadedi9e11:downloadersi2e11:external ip4:\t\t\t\t\
                10:incompletei3e8:intervali1800e12:min intervali60e";
    let tail = "10:tracker id2:id15:warning message4:slowe";
    let mut compact = head.as_bytes().to_vec();
    compact.extend_from_slice(b"5:peers12:\x01\x02\x03\x04\x01\x02\x05\x06\x07\x08\x00\x51");
    compact.extend_from_slice(b"6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50");
    compact.extend_from_slice(tail.as_bytes());
    let mut out = Vec::new();
    encode_announce_reply(&response, PeerForm::Compact, &mut out);
    assert_eq!(
        out.escape_ascii().to_string(),
        compact.escape_ascii().to_string()
    );
    assert!(bt_bencode::parse(&out).is_ok(), "canonical");

    for ids in [true, false] {
        let id = if ids {
            "7:peer id20:-BT0100-0123456789ab"
        } else {
            ""
        };
        let full = format!(
            "{head}5:peersld2:ip7:1.2.3.4{id}4:porti258eed2:ip11:2001:db8::14:porti80ee\
             d2:ip7:5.6.7.84:porti81eee{tail}"
        );
        out.clear();
        encode_announce_reply(&response, PeerForm::Full { ids }, &mut out);
        assert_eq!(String::from_utf8_lossy(&out), full);
    }
}

#[test]
fn the_form_follows_the_request() {
    for (compact, no_peer_id, form) in [
        (true, true, PeerForm::Compact),
        (true, false, PeerForm::Compact),
        (false, true, PeerForm::Full { ids: false }),
        (false, false, PeerForm::Full { ids: true }),
    ] {
        assert_eq!(
            PeerForm::of(&AnnounceRequest {
                compact,
                no_peer_id,
                ..request()
            }),
            form
        );
    }
}

#[test]
fn a_reply_without_peers_still_has_the_key() {
    let mut out = Vec::new();
    encode_announce_reply(
        &AnnounceResponse::new(Duration::from_secs(5)),
        PeerForm::Compact,
        &mut out,
    );
    assert_eq!(out, b"d8:intervali5e5:peers0:e");
}

#[test]
fn failures_have_these_bytes() {
    for (retry_in, expected) in [
        (None, "d14:failure reason2:noe"),
        (
            Some(RetryIn::Minutes(5)),
            "d14:failure reason2:no8:retry ini5ee",
        ),
        (
            Some(RetryIn::Minutes(0)),
            "d14:failure reason2:no8:retry ini1ee",
        ),
        (
            Some(RetryIn::Never),
            "d14:failure reason2:no8:retry in5:nevere",
        ),
    ] {
        let mut out = Vec::new();
        encode_failure(
            &Failure {
                retry_in,
                ..Failure::new("no")
            },
            &mut out,
        );
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}

#[test]
fn scrape_replies_are_sorted_and_have_each_torrent_once() {
    let stats = ScrapeStats {
        downloaders: Some(4),
        ..ScrapeStats::new(1, 2, 3)
    };
    let mut response = ScrapeResponse::new([
        (InfoHash::from([b'b'; 20]), stats),
        (InfoHash::from([b'a'; 20]), ScrapeStats::default()),
        (InfoHash::from([b'b'; 20]), stats),
    ]);
    response.min_request_interval = Some(900);
    let mut out = Vec::new();
    encode_scrape_reply(&response, &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei0e10:downloadedi0e10:incompletei0ee\
         20:bbbbbbbbbbbbbbbbbbbbd8:completei1e10:downloadedi2e11:downloadersi4e10:incompletei3eee\
         5:flagsd20:min_request_intervali900eee"
    );
    assert!(bt_bencode::parse(&out).is_ok(), "canonical");
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn reply(body: &[u8]) -> AnnounceResponse {
    decode_announce_reply(body).unwrap_or_else(|error| panic!("{error}: {}", body.escape_ascii()))
}

fn peer_list(response: &AnnounceResponse) -> Vec<String> {
    response
        .peers
        .iter()
        .map(|peer| peer.addr.to_string())
        .collect()
}

#[test]
fn all_forms_of_peers_are_read() {
    let compact =
        reply(b"d8:intervali1800e5:peers12:\x01\x02\x03\x04\x1a\xe1\x05\x06\x07\x08\x00\x50e");
    assert_eq!(peer_list(&compact), ["1.2.3.4:6881", "5.6.7.8:80"]);
    let v6 = reply(
        b"d8:intervali1800e5:peers0:6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50e",
    );
    assert_eq!(peer_list(&v6), ["[2001:db8::1]:80"]);
    let full = reply(
        b"d8:intervali1800e5:peersld2:ip7:1.2.3.47:peer id20:-BT0100-0123456789ab4:porti6881ee\
          d2:ip11:2001:db8::14:porti80eed2:ip14:::ffff:9.9.9.94:porti81eeee",
    );
    assert_eq!(
        peer_list(&full),
        ["1.2.3.4:6881", "[2001:db8::1]:80", "9.9.9.9:81"]
    );
    assert_eq!(full.peers[0].id, Some(ID.into()));
    assert_eq!(full.peers[1].id, None);
    let mixed = reply(b"d8:intervali1e5:peerslee");
    assert_eq!((peer_list(&mixed), mixed.skipped), (vec![], 0));
    let v6_list = reply(b"d8:intervali1e6:peers6ld2:ip3:::14:porti80eeee");
    assert_eq!(peer_list(&v6_list), ["[::1]:80"]);
}

#[test]
fn impossible_peers_are_skipped_and_counted() {
    let compact = reply(
        b"d8:intervali1e5:peers32:\
          \x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x1a\xe1\xff\xff\xff\xff\x1a\xe1\
          \xe0\x00\x00\x01\x1a\xe1\x05\x06\x07\x08\x00\x50xxe",
    );
    assert_eq!(peer_list(&compact), ["5.6.7.8:80"]);
    assert_eq!(compact.skipped, 5, "four impossible addresses and a rest");
    let full = reply(
        b"d8:intervali1e5:peerslded2:ip12:host.example4:porti1eed2:ip7:1.2.3.44:porti0ee\
          d2:ip7:1.2.3.44:porti65536eed2:ip7:1.2.3.44:porti-1eed2:ip7:1.2.3.4ed2:ipi5e4:porti1ee\
          i7e0:led2:ip7:1.2.3.47:peer id5:short4:porti8eeee",
    );
    assert_eq!(peer_list(&full), ["1.2.3.4:8"]);
    assert_eq!((full.skipped, full.peers[0].id), (10, None));
}

#[test]
fn no_more_peers_than_the_limit_are_kept() {
    for (count, kept) in [(MAX_PEERS, MAX_PEERS), (MAX_PEERS + 1, MAX_PEERS)] {
        let mut body = format!("d8:intervali1e5:peers{}:", count * 6).into_bytes();
        body.extend(b"\x01\x02\x03\x04\x1a\xe1".repeat(count));
        body.push(b'e');
        let response = reply(&body);
        assert_eq!(response.peers.len(), kept);
        assert_eq!(usize::try_from(response.skipped), Ok(count - kept));
    }
}

#[test]
fn careless_trackers_are_understood() {
    let unsorted = reply(b"d5:peers0:8:intervali300ee");
    assert_eq!(unsorted.interval.as_secs(), 300);
    let trailing = reply(b"d8:intervali300e5:peers0:e\r\n<!-- served in 3 ms -->");
    assert_eq!(trailing.interval.as_secs(), 300);
    let twice = reply(b"d8:intervali300e8:intervali400e5:peers0:e");
    assert!(twice.interval.as_secs() >= 300);
    let no_interval = reply(b"d5:peers0:e");
    assert_eq!(no_interval.interval, crate::limits::DEFAULT_INTERVAL);
    let no_peers = reply(b"d8:intervali300ee");
    assert_eq!(no_peers.peers, []);
    assert_eq!(reply(b"d8:intervali-5e5:peers0:e").interval, Duration::ZERO);
    let huge = reply(b"d8:intervali9223372036854775807e5:peers0:e");
    assert_eq!(huge.interval.as_secs(), u64::from(u32::MAX));
    let odd_counts = reply(b"d8:complete1:x10:incompletei-1e8:intervali5e5:peers0:e");
    assert_eq!((odd_counts.complete, odd_counts.incomplete), (None, None));
}

#[test]
fn external_ip_has_4_or_16_bytes() {
    let v4 = reply(b"d11:external ip4:\x01\x02\x03\x048:intervali5ee");
    assert_eq!(v4.external_ip, Some([1, 2, 3, 4].into()));
    let v6 = reply(b"d11:external ip16:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x018:intervali5ee");
    assert_eq!(v6.external_ip, "2001:db8::1".parse().ok());
    let mapped =
        reply(b"d11:external ip16:\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x048:intervali5ee");
    assert_eq!(mapped.external_ip, Some([1, 2, 3, 4].into()));
}

#[test]
fn refusals_are_read_with_their_time() {
    let refused = |body: &[u8]| match decode_announce_reply(body) {
        Err(ReplyError::Refused(failure)) => failure,
        other => panic!("{other:?}"),
    };
    let failure = refused(b"d14:failure reason4:busy8:retry in1:5e");
    assert_eq!(failure.to_string(), "busy (retry in 5 minutes)");
    for (value, expected) in [
        (&b"i1e"[..], Some(RetryIn::Minutes(1))),
        (b"i99999999999e", Some(RetryIn::Minutes(u32::MAX))),
        (b"2: 7", Some(RetryIn::Minutes(7))),
        (b"5:never", Some(RetryIn::Never)),
        (b"i0e", None),
        (b"i-5e", None),
        (b"2:-5", None),
        (b"4:soon", None),
        (b"le", None),
    ] {
        let body = [&b"d14:failure reason4:busy8:retry in"[..], value, b"e"].concat();
        assert_eq!(
            refused(&body).retry_in,
            expected,
            "{}",
            value.escape_ascii()
        );
    }
    assert_eq!(refused(b"d14:failure reason0:e").reason, "no reason given");
    assert_eq!(refused(b"d14:failure reasoni7ee").reason, "no reason given");
    assert_eq!(
        refused(b"d14:failure reason3:\xff!\xffe").reason,
        "\u{fffd}!\u{fffd}"
    );
}

#[test]
fn a_trackers_words_are_cut_at_the_limit() {
    let words = |words: &[u8]| {
        let head = format!("d8:intervali5e15:warning message{}:", words.len());
        reply(&[head.as_bytes(), words, b"e"].concat())
            .warning
            .unwrap()
    };
    let whole = "x".repeat(MAX_MESSAGE);
    assert_eq!(words(whole.as_bytes()), whole);
    let cut = words("x".repeat(MAX_MESSAGE + 1).as_bytes());
    assert_eq!(cut, format!("{}…", "x".repeat(MAX_MESSAGE - 3)));
    assert_eq!(words(cut.as_bytes()), cut);
    // Each byte that is no text becomes three.
    let broken = words(&[0xFF; MAX_MESSAGE]);
    assert!(
        broken.len() <= MAX_MESSAGE && broken.ends_with('…'),
        "{}",
        broken.len()
    );
    assert_eq!(words(broken.as_bytes()), broken);
}

#[test]
fn scrape_replies_are_read() {
    let response = decode_scrape_reply(
        b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei11e10:downloadedi13772e10:incompletei19ee\
          5:shortd8:completei1eee5:flagsd20:min_request_intervali60eee",
    )
    .unwrap();
    assert_eq!(
        response.get(&[b'a'; 20].into()),
        Some(&ScrapeStats::new(11, 13772, 19))
    );
    assert_eq!(
        (response.files.len(), response.min_request_interval),
        (1, Some(60))
    );
    let spelled = ["d5:filesd40:", &"ª".repeat(20), "d8:completei7eeee"].concat();
    let response = decode_scrape_reply(spelled.as_bytes()).unwrap();
    assert_eq!(
        response.files,
        [([0xAA; 20].into(), ScrapeStats::new(7, 0, 0))]
    );
    for unlike in ["ª".repeat(19), "ª".repeat(21), "☃".repeat(20)] {
        let body = format!("d5:filesd{}:{unlike}deee", unlike.len());
        assert_eq!(decode_scrape_reply(body.as_bytes()).unwrap().files, []);
    }
    let refused = decode_scrape_reply(b"d14:failure reason2:noe").unwrap_err();
    assert_eq!(refused, ReplyError::Refused(Failure::new("no")));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn announces_survive_the_round_trip(request in arbitrary::request()) {
        let mut query = String::new();
        encode_announce_query(&request, &mut query);
        let expected = AnnounceRequest { url_data: Vec::new(), ..request };
        prop_assert_eq!(decode(&query), Ok(expected));
    }

    #[test]
    fn compact_replies_survive_the_round_trip(response in arbitrary::response()) {
        let mut body = Vec::new();
        encode_announce_reply(&response, PeerForm::Compact, &mut body);
        prop_assert!(bt_bencode::parse(&body).is_ok(), "canonical");
        let mut expected = response;
        expected.peers.sort_by_key(|peer| peer.addr.is_ipv6());
        expected.peers.iter_mut().for_each(|peer| peer.id = None);
        prop_assert_eq!(decode_announce_reply(&body), Ok(expected));
    }

    #[test]
    fn full_replies_survive_the_round_trip(response in arbitrary::response()) {
        let mut body = Vec::new();
        encode_announce_reply(&response, PeerForm::Full { ids: true }, &mut body);
        prop_assert!(bt_bencode::parse(&body).is_ok(), "canonical");
        prop_assert_eq!(decode_announce_reply(&body), Ok(response));
    }

    #[test]
    fn failures_survive_the_round_trip(failure in arbitrary::failure()) {
        let mut body = Vec::new();
        encode_failure(&failure, &mut body);
        prop_assert_eq!(decode_announce_reply(&body), Err(ReplyError::Refused(failure)));
    }

    #[test]
    fn scrape_replies_survive_the_round_trip(response in arbitrary::scrape_response()) {
        let mut body = Vec::new();
        encode_scrape_reply(&response, &mut body);
        prop_assert_eq!(decode_scrape_reply(&body), Ok(response));
    }
}
