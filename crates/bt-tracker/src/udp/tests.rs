//! Packets byte by byte, round trips, and exchanges on a virtual clock against the time lines of
//! BEP 15.

#![allow(
    clippy::disallowed_methods,
    reason = "a test has to begin at some time"
)]

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_PEERS, MAX_SCRAPE};
use crate::{
    AnnounceRequest, AnnounceResponse, Event, Failure, ReplyError, RequestError, ScrapeResponse,
    ScrapeStats, arbitrary,
};

fn request() -> AnnounceRequest {
    AnnounceRequest::new([0xAA; 20].into(), [0xBB; 20].into(), 6881)
}

fn hashes(count: u8) -> Vec<InfoHash> {
    (0..count).map(|n| InfoHash::from([n; 20])).collect()
}

#[test]
fn an_announce_request_has_its_fields_at_these_offsets() {
    let announce = AnnounceRequest {
        port: 0xC8D5, // 51413 does not fit a signed 16-bit number.
        downloaded: 0x0102_0304_0506_0708,
        left: 0x1112_1314_1516_1718,
        uploaded: 0x2122_2324_2526_2728,
        event: Event::Started,
        ip: Some(IpAddr::from([9, 8, 7, 6])),
        key: 0xDEAD_BEEF,
        numwant: Some(50),
        url_data: b"/announce".to_vec(),
        ..request()
    };
    let mut packet = Vec::new();
    encode_announce_request(0x3132_3334_3536_3738, 0x4142_4344, &announce, &mut packet);
    let field = |from: usize, to: usize| packet[from..to].to_vec();
    assert_eq!(field(0, 8), 0x3132_3334_3536_3738u64.to_be_bytes());
    assert_eq!(field(8, 12), [0, 0, 0, 1]);
    assert_eq!(field(12, 16), 0x4142_4344u32.to_be_bytes());
    assert_eq!(field(16, 36), [0xAA; 20]);
    assert_eq!(field(36, 56), [0xBB; 20]);
    assert_eq!(field(56, 64), announce.downloaded.to_be_bytes());
    assert_eq!(field(64, 72), announce.left.to_be_bytes());
    assert_eq!(field(72, 80), announce.uploaded.to_be_bytes());
    assert_eq!(field(80, 84), [0, 0, 0, 2], "started is 2, completed is 1");
    assert_eq!(field(84, 88), [9, 8, 7, 6]);
    assert_eq!(field(88, 92), 0xDEAD_BEEFu32.to_be_bytes());
    assert_eq!(field(92, 96), [0, 0, 0, 50]);
    assert_eq!(field(96, 98), [0xC8, 0xD5]);
    assert_eq!(packet[98..], *b"\x02\x09/announce");
    let decoded = decode_announce_request(&packet).unwrap();
    let expected = AnnounceRequest {
        url_data: Vec::new(),
        ..announce
    };
    assert_eq!(decoded, expected, "the reader uses the same order");
}

#[test]
fn defaults_are_those_of_bep_15() {
    let mut packet = Vec::new();
    encode_announce_request(1, 2, &request(), &mut packet);
    assert_eq!(packet.len(), 98);
    assert_eq!(packet[80..88], [0; 8], "no event, no address");
    assert_eq!(
        packet[92..96],
        [0xFF; 4],
        "as many peers as the tracker likes"
    );
    let ipv6 = AnnounceRequest {
        ip: Some("2001:db8::1".parse().unwrap()),
        ..request()
    };
    packet.clear();
    encode_announce_request(1, 2, &ipv6, &mut packet);
    assert_eq!(packet[84..88], [0; 4], "an IPv6 address has no place");
}

#[test]
fn events_have_their_numbers() {
    for (event, number) in [
        (Event::None, 0),
        (Event::Completed, 1),
        (Event::Started, 2),
        (Event::Stopped, 3),
        (Event::Paused, 0),
    ] {
        let mut packet = Vec::new();
        encode_announce_request(1, 2, &AnnounceRequest { event, ..request() }, &mut packet);
        assert_eq!(packet[80..84], u32::to_be_bytes(number), "{event}");
    }
    let mut packet = Vec::new();
    encode_announce_request(1, 2, &request(), &mut packet);
    for (number, event) in [
        (0, Event::None),
        (1, Event::Completed),
        (2, Event::Started),
        (3, Event::Stopped),
        (4, Event::Paused),
    ] {
        packet[80..84].copy_from_slice(&u32::to_be_bytes(number));
        assert_eq!(decode_announce_request(&packet).unwrap().event, event);
    }
    packet[80..84].copy_from_slice(&[0, 0, 0, 5]);
    assert!(matches!(
        decode_announce_request(&packet),
        Err(RequestError::Invalid { name: "event", .. })
    ));
}

#[test]
fn connect_packets_have_these_bytes() {
    let mut packet = Vec::new();
    encode_connect_request(0x0102_0304, &mut packet);
    assert_eq!(
        packet,
        b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\x01\x02\x03\x04"
    );
    assert_eq!(
        decode_request(&packet),
        Ok(Request::Connect {
            transaction_id: 0x0102_0304
        })
    );
    assert!(Head::decode(&packet).unwrap().is_connect());
    let mut reply = Vec::new();
    encode_connect_reply(0x0102_0304, 7, &mut reply);
    assert_eq!(reply.len(), packet.len(), "no more bytes out than in");
    assert_eq!(decode_connect_reply(&reply), Ok(7));
}

#[test]
fn broken_requests_say_what_is_wrong() {
    let mut announce = Vec::new();
    encode_announce_request(1, 2, &request(), &mut announce);
    let mut scrape = Vec::new();
    encode_scrape_request(1, 2, &hashes(1), &mut scrape);
    let many = [&scrape[..], &[0; 20 * MAX_SCRAPE]].concat();
    let mut connect = Vec::new();
    encode_connect_request(3, &mut connect);
    let mut wrong_protocol = connect.clone();
    wrong_protocol[7] = 0x81;
    let mut unknown = connect.clone();
    unknown[11] = 3;
    for (packet, message) in [
        (&b""[..], "packet of 0 bytes is too short: 16 are needed"),
        (
            &connect[..15],
            "packet of 15 bytes is too short: 16 are needed",
        ),
        (
            &announce[..97],
            "packet of 97 bytes is too short: 98 are needed",
        ),
        (
            &announce[..16],
            "packet of 16 bytes is too short: 98 are needed",
        ),
        (
            &scrape[..35],
            "packet of 35 bytes is too short: 36 are needed",
        ),
        (&many, "too many info_hash: more than 74"),
        (&wrong_protocol, "protocol_id is not valid: 0x41727101980"),
        (&unknown, "action 3 is unknown"),
    ] {
        assert_eq!(decode_request(packet).unwrap_err().to_string(), message);
    }
    assert!(
        decode_request(&many[..many.len() - 20]).is_ok(),
        "the limit itself is fine"
    );
    assert!(
        decode_request(&[&scrape[..], b"rest"].concat()).is_ok(),
        "a rest is ignored"
    );
    assert!(decode_request(&[&announce[..], b"\x02\xff"].concat()).is_ok());
}

#[test]
fn scrapes_send_no_more_than_the_limit() {
    let mut packet = Vec::new();
    encode_scrape_request(1, 2, &hashes(200), &mut packet);
    assert_eq!(packet.len(), 16 + 20 * MAX_SCRAPE);
}

#[test]
fn announce_replies_have_records_of_their_family() {
    let response = AnnounceResponse {
        complete: Some(3),
        incomplete: Some(2),
        peers: ["1.2.3.4:258", "[2001:db8::1]:80", "[::ffff:5.6.7.8]:81"]
            .map(|addr| addr.parse::<SocketAddr>().unwrap().into())
            .to_vec(),
        ..AnnounceResponse::new(Duration::from_secs(1800))
    };
    let head = b"\0\0\0\x01\0\0\0\x09\0\0\x07\x08\0\0\0\x02\0\0\0\x03";
    let v4 = [&head[..], b"\x01\x02\x03\x04\x01\x02\x05\x06\x07\x08\0\x51"].concat();
    let v6 = [
        &head[..],
        b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50",
    ]
    .concat();
    for (family, expected, peers) in [
        (Family::V4, v4, vec!["1.2.3.4:258", "5.6.7.8:81"]),
        (Family::V6, v6, vec!["[2001:db8::1]:80"]),
    ] {
        let mut packet = Vec::new();
        encode_announce_reply(9, &response, family, &mut packet);
        assert_eq!(packet, expected, "leechers before seeders");
        let decoded = decode_announce_reply(&packet, family).unwrap();
        assert_eq!((decoded.complete, decoded.incomplete), (Some(3), Some(2)));
        let addrs: Vec<String> = decoded
            .peers
            .iter()
            .map(|peer| peer.addr.to_string())
            .collect();
        assert_eq!(addrs, peers);
    }
}

#[test]
fn replies_may_be_longer_and_numbers_may_be_missing() {
    let mut packet = Vec::new();
    encode_announce_reply(
        9,
        &AnnounceResponse::new(Duration::from_secs(60)),
        Family::V4,
        &mut packet,
    );
    packet.extend_from_slice(b"\x01\x02\x03\x04\x1a\xe1rest!");
    let response = decode_announce_reply(&packet, Family::V4).unwrap();
    assert_eq!(response.peers.len(), 1);
    packet[8..20].fill(0xFF);
    let response = decode_announce_reply(&packet, Family::V4).unwrap();
    assert_eq!(response.interval, Duration::ZERO);
    assert_eq!((response.complete, response.incomplete), (None, None));
}

#[test]
fn peers_have_a_limit() {
    let mut packet = vec![0; 20];
    packet[3] = 1;
    packet.extend(b"\x01\x02\x03\x04\x1a\xe1".repeat(MAX_PEERS + 1));
    packet.extend_from_slice(b"\x01\x02\x03\x04\0\0");
    let response = decode_announce_reply(&packet, Family::V4).unwrap();
    assert_eq!((response.peers.len(), response.skipped), (MAX_PEERS, 2));
}

#[test]
fn scrape_replies_follow_the_order_of_the_request() {
    let stats = [
        ScrapeStats::new(1, 2, 3),
        ScrapeStats::default(),
        ScrapeStats::new(7, 8, 9),
    ];
    let mut packet = Vec::new();
    encode_scrape_reply(5, stats, &mut packet);
    assert_eq!(packet.len(), 8 + 36);
    assert_eq!(
        packet[8..20],
        *b"\0\0\0\x01\0\0\0\x02\0\0\0\x03",
        "seeders, completed, leechers"
    );
    let asked = hashes(3);
    let response = decode_scrape_reply(&packet, &asked).unwrap();
    assert_eq!(
        response,
        ScrapeResponse::new([
            (asked[0], stats[0]),
            (asked[1], stats[1]),
            (asked[2], stats[2])
        ])
    );
    let short = decode_scrape_reply(&packet[..31], &asked).unwrap();
    assert_eq!(short.files.len(), 1);
}

#[test]
fn error_packets_are_refusals() {
    let mut packet = Vec::new();
    encode_error_reply(5, "unregistered", &mut packet);
    assert_eq!(packet, b"\0\0\0\x03\0\0\0\x05unregistered");
    for (packet, reason) in [
        (packet.clone(), "unregistered"),
        ([&packet[..], b"\0\0"].concat(), "unregistered"),
        (packet[..8].to_vec(), "no reason given"),
    ] {
        let refused = Err(ReplyError::Refused(Failure::new(reason)));
        assert_eq!(decode_announce_reply(&packet, Family::V4), refused);
        assert_eq!(
            decode_connect_reply(&packet),
            Err(ReplyError::Refused(Failure::new(reason)))
        );
    }
}

#[test]
fn mapped_addresses_are_ipv4() {
    for (addr, family) in [
        ("1.2.3.4:5", Family::V4),
        ("[::ffff:1.2.3.4]:5", Family::V4),
        ("[::1]:5", Family::V6),
    ] {
        assert_eq!(Family::of(addr.parse().unwrap()), family);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn announces_survive_the_round_trip(
        request in arbitrary::request(), connection_id: u64, transaction_id: u32,
    ) {
        let mut packet = Vec::new();
        encode_announce_request(connection_id, transaction_id, &request, &mut packet);
        let event = if request.event == Event::Paused { Event::None } else { request.event };
        let announce = AnnounceRequest {
            event, tracker_id: None, compact: true, no_peer_id: true, ..request
        };
        let expected = Request::Announce { connection_id, transaction_id, announce };
        prop_assert_eq!(decode_request(&packet), Ok(expected));
    }

    #[test]
    fn replies_survive_the_round_trip(response in arbitrary::response(), v6: bool) {
        let family = if v6 { Family::V6 } else { Family::V4 };
        let mut packet = Vec::new();
        encode_announce_reply(1, &response, family, &mut packet);
        let decoded = decode_announce_reply(&packet, family).unwrap();
        let mut expected = response.peers;
        expected.retain(|peer| peer.addr.is_ipv6() == v6);
        expected.iter_mut().for_each(|peer| peer.id = None);
        prop_assert_eq!(decoded.peers, expected);
        prop_assert_eq!(decoded.interval, response.interval.min(Duration::from_secs(i32::MAX as u64)));
    }
}

/// What an exchange sends at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Connect,
    Announce,
}

struct Run {
    exchange: Exchange,
    start: Instant,
    now: Instant,
}

impl Run {
    fn new(connection: Option<Connection>) -> Self {
        let start = Instant::now();
        let question = Question::Announce(request());
        let exchange = Exchange::new(question, Family::V4, connection, 99);
        Self {
            exchange,
            start,
            now: start,
        }
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = self.start + Duration::from_secs(seconds);
        self
    }

    /// The packet that is sent now, with its transaction id and the id it uses.
    fn sends(&mut self, expected: Sent) -> (u32, u64) {
        let mut packet = Vec::new();
        assert!(
            self.exchange.poll_transmit(self.now, &mut packet),
            "nothing to send"
        );
        assert!(
            !self.exchange.poll_transmit(self.now, &mut Vec::new()),
            "one packet at a time"
        );
        let head = Head::decode(&packet).unwrap();
        let sent = if head.is_connect() {
            Sent::Connect
        } else {
            Sent::Announce
        };
        assert_eq!(sent, expected, "after {:?}", self.now - self.start);
        (head.transaction_id, head.connection_id)
    }

    /// Lets the time-out pass and expects that it is at this second.
    fn times_out(&mut self, seconds: u64) -> &mut Self {
        let deadline = self.exchange.poll_timeout().expect("a deadline");
        assert_eq!(deadline - self.start, Duration::from_secs(seconds));
        self.now = deadline - Duration::from_nanos(1);
        assert_eq!(self.exchange.handle_timeout(self.now), Ok(()));
        assert!(
            !self.exchange.poll_transmit(self.now, &mut Vec::new()),
            "too early"
        );
        self.now = deadline;
        assert_eq!(self.exchange.handle_timeout(self.now), Ok(()));
        self
    }

    fn gets(&mut self, packet: &[u8]) -> Option<Result<Answer, ExchangeError>> {
        self.exchange.handle_packet(self.now, packet)
    }

    fn connects(&mut self, transaction: u32, id: u64) {
        let mut packet = Vec::new();
        encode_connect_reply(transaction, id, &mut packet);
        assert_eq!(self.gets(&packet), None);
    }

    fn answers(&mut self, transaction: u32) {
        let packet = announce_reply(transaction);
        let answer = self.gets(&packet).expect("an answer").expect("a good one");
        assert_eq!(
            answer,
            Answer::Announce(decode_announce_reply(&packet, Family::V4).unwrap())
        );
    }
}

fn announce_reply(transaction: u32) -> Vec<u8> {
    let response = AnnounceResponse::new(Duration::from_secs(900));
    let mut packet = Vec::new();
    encode_announce_reply(transaction, &response, Family::V4, &mut packet);
    packet
}

// The time lines of BEP 15, "Examples".

#[test]
fn a_normal_announce() {
    let mut run = Run::new(None);
    let (connect, _) = run.sends(Sent::Connect);
    run.at(1).connects(connect, 77);
    let (announce, id) = run.at(2).sends(Sent::Announce);
    assert_eq!(id, 77);
    assert_ne!(connect, announce);
    run.at(3).answers(announce);
    let start = run.start;
    let received = start + Duration::from_secs(1);
    assert_eq!(
        run.exchange.connection(),
        Some(Connection { id: 77, received })
    );
}

#[test]
fn connect_times_out() {
    let mut run = Run::new(None);
    let (first, _) = run.sends(Sent::Connect);
    for seconds in [15, 45, 105, 225, 465, 945, 1905, 3825] {
        let (again, _) = run.times_out(seconds).sends(Sent::Connect);
        assert_eq!(
            again, first,
            "a late reply to an earlier packet still counts"
        );
    }
    let deadline = run.exchange.poll_timeout().unwrap();
    assert_eq!(deadline - run.start, Duration::from_secs(7665));
    let error = run.exchange.handle_timeout(deadline).unwrap_err();
    assert_eq!(error, ExchangeError::TimedOut { packets: 9 });
}

#[test]
fn announce_times_out() {
    let mut run = Run::new(None);
    let (connect, _) = run.sends(Sent::Connect);
    run.at(1).connects(connect, 77);
    let (announce, _) = run.at(2).sends(Sent::Announce);
    run.times_out(17).sends(Sent::Announce);
    run.times_out(47).sends(Sent::Announce);
    run.times_out(107).sends(Sent::Connect); // The connection id has expired.
    run.times_out(227).sends(Sent::Connect);
    run.at(228).connects(connect, 78);
    let (again, id) = run.sends(Sent::Announce);
    assert_eq!((again, id), (announce, 78));
    run.answers(announce);
}

#[test]
fn a_tracker_that_connects_and_then_stays_silent_is_given_up() {
    let mut run = Run::new(None);
    let mut packets = 0;
    loop {
        let mut packet = Vec::new();
        if run.exchange.poll_transmit(run.now, &mut packet) {
            packets += 1;
            assert!(packets < 50, "this never ends");
            let head = Head::decode(&packet).unwrap();
            if head.is_connect() {
                run.connects(head.transaction_id, 77);
            }
            continue;
        }
        run.now = run.exchange.poll_timeout().unwrap();
        if let Err(error) = run.exchange.handle_timeout(run.now) {
            assert_eq!(error, ExchangeError::TimedOut { packets });
            return;
        }
    }
}

#[test]
fn a_late_answer_counts_even_while_connecting_anew() {
    let mut run = Run::new(None);
    let (connect, _) = run.sends(Sent::Connect);
    run.at(1).connects(connect, 77);
    let (announce, _) = run.at(2).sends(Sent::Announce);
    run.times_out(17).sends(Sent::Announce);
    run.times_out(47).sends(Sent::Announce);
    run.times_out(107).sends(Sent::Connect);
    run.at(110).answers(announce);
}

#[test]
fn a_fresh_connection_is_used_again_and_a_stale_one_is_not() {
    let start = Instant::now();
    for (age, expected) in [
        (0, Sent::Announce),
        (59, Sent::Announce),
        (60, Sent::Connect),
    ] {
        let mut run = Run::new(Some(Connection {
            id: 5,
            received: start,
        }));
        run.start = start;
        run.at(age).sends(expected);
    }
}

#[test]
fn a_tracker_that_does_not_honor_the_old_id_is_connected_to_anew() {
    for refuses in [true, false] {
        let mut run = Run::new(Some(Connection {
            id: 5,
            received: Instant::now(),
        }));
        let (announce, id) = run.sends(Sent::Announce);
        assert_eq!(id, 5);
        if refuses {
            let mut packet = Vec::new();
            encode_error_reply(announce, "connection id mismatch", &mut packet);
            assert_eq!(run.gets(&packet), None);
        } else {
            run.times_out(15);
        }
        let (connect, _) = run.sends(Sent::Connect);
        run.connects(connect, 6);
        let (announce, id) = run.sends(Sent::Announce);
        assert_eq!(id, 6);
        let mut packet = Vec::new();
        encode_error_reply(announce, "unregistered", &mut packet);
        let refused = ExchangeError::Reply(ReplyError::Refused(Failure::new("unregistered")));
        assert_eq!(run.gets(&packet), Some(Err(refused)), "now it is meant");
    }
}

#[test]
fn packets_of_other_transactions_are_ignored() {
    let mut run = Run::new(None);
    let (connect, _) = run.sends(Sent::Connect);
    let mut forged = Vec::new();
    encode_connect_reply(connect ^ 1, 66, &mut forged);
    assert_eq!(run.gets(&forged), None);
    assert_eq!(run.gets(&announce_reply(connect ^ 1)), None);
    assert_eq!(run.gets(b"\0\0\0"), None);
    assert_eq!(run.gets(b""), None);
    assert_eq!(run.exchange.connection(), None);
    run.connects(connect, 77);
    let (announce, _) = run.sends(Sent::Announce);
    run.connects(connect, 66);
    assert_eq!(
        run.exchange.connection().unwrap().id,
        77,
        "a second connect reply is ignored"
    );
    assert_eq!(run.gets(&announce_reply(announce.wrapping_add(1))), None);
    run.answers(announce);
}

#[test]
fn an_answer_before_the_question_is_ignored() {
    // A run with the same seed tells which transaction the question will have.
    let mut twin = Run::new(None);
    let (connect, _) = twin.sends(Sent::Connect);
    twin.connects(connect, 77);
    let (announce, _) = twin.sends(Sent::Announce);

    let mut run = Run::new(None);
    run.sends(Sent::Connect);
    assert_eq!(run.gets(&announce_reply(announce)), None);
    run.connects(connect, 77);
    run.sends(Sent::Announce);
    run.answers(announce);
}

#[test]
fn broken_answers_end_the_exchange_with_a_reason() {
    let good = |transaction| announce_reply(transaction);
    type Break = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(Break, &str); 3] = [
        (
            |packet| packet[..19].to_vec(),
            "the reply is malformed: packet of 19 bytes, 20 are needed",
        ),
        (
            |packet| packet[..8].to_vec(),
            "the tracker refused: no reason given",
        ),
        (
            |mut packet| {
                packet[3] = 2;
                packet
            },
            "the reply is malformed: action 2, expected 1",
        ),
    ];
    for (broken, message) in cases {
        let mut run = Run::new(None);
        let (connect, _) = run.sends(Sent::Connect);
        run.connects(connect, 77);
        let (announce, _) = run.sends(Sent::Announce);
        let error = run.gets(&broken(good(announce))).unwrap().unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let mut run = Run::new(None);
    let (connect, _) = run.sends(Sent::Connect);
    let mut short = Vec::new();
    encode_connect_reply(connect, 77, &mut short);
    let error = run.gets(&short[..15]).unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the reply is malformed: packet of 15 bytes, 16 are needed"
    );
}

#[test]
fn scrapes_are_exchanged_too() {
    let asked = hashes(2);
    let question = Question::Scrape(asked.clone());
    let now = Instant::now();
    let connection = Some(Connection {
        id: 5,
        received: now,
    });
    let mut exchange = Exchange::new(question, Family::V6, connection, 3);
    let mut packet = Vec::new();
    assert!(exchange.poll_transmit(now, &mut packet));
    assert_eq!(scrape_hashes(&packet).unwrap().collect::<Vec<_>>(), asked);
    let transaction = Head::decode(&packet).unwrap().transaction_id;
    let mut reply = Vec::new();
    encode_scrape_reply(
        transaction,
        [ScrapeStats::new(1, 2, 3), ScrapeStats::default()],
        &mut reply,
    );
    let Some(Ok(Answer::Scrape(response))) = exchange.handle_packet(now, &reply) else {
        panic!("no answer");
    };
    assert_eq!(response.get(&asked[0]), Some(&ScrapeStats::new(1, 2, 3)));
}
