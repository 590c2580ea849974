//! The client over UDP, on a paused clock: waits of minutes take no time, since loopback answers
//! before the clock moves.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bt_tracker::client::{Client, Direct, Error};
use bt_tracker::limits::{MAX_PEERS, MAX_UDP_PACKET, UDP_STAGGER};
use bt_tracker::udp::{self, Family, Head, Request};
use bt_tracker::{AnnounceResponse, Event, ScrapeRequest, ScrapeStats};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::support::{TestNet, UdpServer, announce, dead_addr};

const TIMEOUT: Duration = Duration::from_secs(600);

fn client() -> Client {
    Client::new(Arc::new(Direct))
}

fn response(peers: &[&str]) -> AnnounceResponse {
    let mut response = AnnounceResponse::new(Duration::from_secs(900));
    response.peers = peers
        .iter()
        .map(|peer| peer.parse::<SocketAddr>().unwrap().into())
        .collect();
    response
}

/// What a well-behaved tracker answers. Its connection ids count up from 100.
struct Tracker {
    peers: Vec<&'static str>,
    family: Family,
    connections: u64,
}

impl Tracker {
    fn new(family: Family, peers: &[&'static str]) -> Self {
        Self {
            peers: peers.to_vec(),
            family,
            connections: 100,
        }
    }

    fn answer(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match udp::decode_request(packet).unwrap() {
            Request::Connect { transaction_id } => {
                self.connections += 1;
                udp::encode_connect_reply(transaction_id, self.connections, &mut out);
            }
            Request::Announce {
                connection_id,
                transaction_id,
                ..
            } => {
                assert_eq!(connection_id, self.connections);
                let response = response(&self.peers);
                udp::encode_announce_reply(transaction_id, &response, self.family, &mut out);
            }
            Request::Scrape {
                transaction_id,
                scrape,
                ..
            } => {
                let stats = scrape.info_hashes.iter().map(|hash| {
                    let [first, ..] = hash.as_bytes();
                    ScrapeStats::new(u32::from(*first), 2, 3)
                });
                udp::encode_scrape_reply(transaction_id, stats, &mut out);
            }
        }
        out
    }
}

async fn tracker(peers: &[&'static str]) -> UdpServer {
    let mut tracker = Tracker::new(Family::V4, peers);
    UdpServer::start(move |packet| vec![tracker.answer(packet)]).await
}

fn kinds(server: &UdpServer) -> Vec<u32> {
    server
        .packets()
        .iter()
        .map(|packet| Head::decode(packet).unwrap().action)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_announce_carries_everything() {
    let server = tracker(&["1.2.3.4:51413"]).await;
    let mut request = announce();
    (request.uploaded, request.downloaded) = (7, 8);
    let reply = client()
        .announce(&server.url(), &request, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(
        reply.peers[0].addr,
        "1.2.3.4:51413".parse().unwrap(),
        "ports are unsigned"
    );
    assert_eq!(reply.interval, Duration::from_secs(900));
    assert_eq!(kinds(&server), [0, 1]);
    let Request::Announce { announce: sent, .. } =
        udp::decode_request(&server.packets()[1]).unwrap()
    else {
        panic!("no announce");
    };
    assert_eq!(sent.url_data, b"/announce");
    assert_eq!((sent.uploaded, sent.downloaded, sent.left), (7, 8, 1000));
    assert_eq!(
        (sent.event, sent.key, sent.numwant),
        (Event::Started, 0xC0FFEE, Some(50))
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_id_serves_for_a_minute() {
    let server = tracker(&[]).await;
    let client = client();
    for _ in 0..3 {
        client
            .announce(&server.url(), &announce(), TIMEOUT)
            .await
            .unwrap();
    }
    assert_eq!(kinds(&server), [0, 1, 1, 1]);
    tokio::time::advance(Duration::from_secs(60)).await;
    client
        .clone()
        .announce(&server.url(), &announce(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(kinds(&server), [0, 1, 1, 1, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn lost_packets_are_sent_again() {
    let mut inner = Tracker::new(Family::V4, &["1.2.3.4:5"]);
    let mut count = 0;
    let server = UdpServer::start(move |packet| {
        count += 1;
        // The first connect request and the first two announces are lost.
        if [1, 3, 4].contains(&count) {
            vec![]
        } else {
            vec![inner.answer(packet)]
        }
    })
    .await;
    let start = Instant::now();
    let reply = client()
        .announce(&server.url(), &announce(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.peers.len(), 1);
    assert_eq!(kinds(&server), [0, 0, 1, 1, 1]);
    assert_eq!(start.elapsed().as_secs(), 15 + 15 + 30);
}

#[tokio::test(start_paused = true)]
async fn wrong_transactions_are_ignored() {
    let mut inner = Tracker::new(Family::V4, &["1.2.3.4:5"]);
    let server = UdpServer::start(move |packet| {
        let good = inner.answer(packet);
        let mut other = good.clone();
        other[7] ^= 1;
        if let Some(port) = other.get_mut(20) {
            *port ^= 0xFF;
        }
        let mut error = Vec::new();
        udp::encode_error_reply(0, "not for you", &mut error);
        vec![other, error, b"junk".to_vec(), vec![], good]
    })
    .await;
    let reply = client()
        .announce(&server.url(), &announce(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.peers[0].addr, "1.2.3.4:5".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn packets_from_elsewhere_are_ignored() {
    let tracker = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let url = format!("udp://{}", tracker.local_addr().unwrap());
    let mut inner = Tracker::new(Family::V4, &["1.2.3.4:5"]);
    let mut liar = Tracker::new(Family::V4, &["6.6.6.6:6"]);
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = tracker.recv_from(&mut buffer).await.unwrap();
            // The stranger knows the transaction and is faster.
            let packet = &buffer[..length];
            if packet[11] == 1 {
                liar.connections = inner.connections;
            }
            stranger.send_to(&liar.answer(packet), from).await.unwrap();
            tracker.send_to(&inner.answer(packet), from).await.unwrap();
        }
    });
    let reply = client().announce(&url, &announce(), TIMEOUT).await.unwrap();
    assert_eq!(reply.peers[0].addr, "1.2.3.4:5".parse().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_packet_over_ipv6_has_records_of_18_bytes() {
    let mut inner = Tracker::new(Family::V6, &["[2001:db8::1]:80", "[2001:db8::2]:81"]);
    let server = UdpServer::start_on(Ipv6Addr::LOCALHOST.into(), move |packet| {
        vec![inner.answer(packet)]
    })
    .await;
    let reply = client()
        .announce(&server.url(), &announce(), TIMEOUT)
        .await
        .unwrap();
    let peers: Vec<String> = reply
        .peers
        .iter()
        .map(|peer| peer.addr.to_string())
        .collect();
    assert_eq!(peers, ["[2001:db8::1]:80", "[2001:db8::2]:81"]);
    assert_eq!(
        server.packets()[1][84..88],
        [0; 4],
        "no address of ours in it"
    );
}

#[tokio::test(start_paused = true)]
async fn both_families_are_announced_to_with_one_key() {
    let v4 = tracker(&["1.2.3.4:5"]).await;
    let mut inner = Tracker::new(Family::V6, &["[2001:db8::1]:80"]);
    let v6 = UdpServer::start_on(Ipv6Addr::LOCALHOST.into(), move |packet| {
        vec![inner.answer(packet)]
    })
    .await;
    let client = Client::new(TestNet::resolving_to([v4.addr, v6.addr]));
    let reply = client
        .announce("udp://t.example:1/x", &announce(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.peers.len(), 2);
    let key = |server: &UdpServer| server.packets()[1][88..92].to_vec();
    assert_eq!(key(&v4), key(&v6));
}

#[tokio::test(start_paused = true)]
async fn a_silent_family_does_not_hold_up_the_other() {
    let v4 = tracker(&["1.2.3.4:5"]).await;
    let v6 = UdpServer::start_on(Ipv6Addr::LOCALHOST.into(), |_| vec![]).await;
    let client = Client::new(TestNet::resolving_to([v6.addr, v4.addr]));
    let start = Instant::now();
    let reply = client
        .announce("udp://t.example:1", &announce(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.peers.len(), 1);
    assert_eq!(start.elapsed(), bt_tracker::limits::FAMILY_GRACE);
}

#[tokio::test(start_paused = true)]
async fn the_next_address_is_asked_when_one_is_silent() {
    let silent = UdpServer::start(|_| vec![]).await;
    let alive = tracker(&["1.2.3.4:5"]).await;
    let client = Client::new(TestNet::resolving_to([silent.addr, alive.addr]));
    let start = Instant::now();
    let reply = client
        .announce("udp://t.example:1", &announce(), TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.peers.len(), 1);
    assert_eq!(start.elapsed(), UDP_STAGGER);
}

#[tokio::test(start_paused = true)]
async fn nobody_listening_is_known_at_once() {
    let addr = dead_addr().await;
    let start = Instant::now();
    let error = client()
        .announce(&format!("udp://{addr}"), &announce(), TIMEOUT)
        .await;
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("connection to {addr} failed: ")),
        "{message}"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_silent_tracker_ends_at_the_callers_time_out_or_after_nine_packets() {
    let server = UdpServer::start(|_| vec![]).await;
    let error = client()
        .announce(&server.url(), &announce(), Duration::from_secs(50))
        .await;
    assert_eq!(error.unwrap_err().to_string(), "no answer within 50 s");
    assert_eq!(server.packets().len(), 3);
    let patient = Duration::from_secs(86_400);
    let error = client()
        .announce(&server.url(), &announce(), patient)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Silent { packets: 9 }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_read() {
    let mut inner = Tracker::new(Family::V4, &[]);
    let server = UdpServer::start(move |packet| {
        let head = Head::decode(packet).unwrap();
        if head.is_connect() {
            return vec![inner.answer(packet)];
        }
        let mut out = Vec::new();
        udp::encode_error_reply(head.transaction_id, "unregistered torrent", &mut out);
        vec![out]
    })
    .await;
    let error = client()
        .announce(&server.url(), &announce(), TIMEOUT)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the tracker refused: unregistered torrent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stopped_announce_is_one_packet_on_a_fresh_connection() {
    let server = tracker(&[]).await;
    let client = client();
    client
        .announce(&server.url(), &announce(), TIMEOUT)
        .await
        .unwrap();
    let mut stopped = announce();
    stopped.event = Event::Stopped;
    stopped.numwant = Some(0);
    client
        .announce(&server.url(), &stopped, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(kinds(&server), [0, 1, 1]);
    assert_eq!(server.packets()[2][80..84], [0, 0, 0, 3]);
}

#[tokio::test(start_paused = true)]
async fn scrapes_work() {
    let server = tracker(&[]).await;
    let request = ScrapeRequest::new([[5; 20].into(), [6; 20].into()]);
    let reply = client()
        .scrape(&server.url(), &request, TIMEOUT)
        .await
        .unwrap();
    assert_eq!(reply.get(&[5; 20].into()), Some(&ScrapeStats::new(5, 2, 3)));
    assert_eq!(reply.get(&[6; 20].into()), Some(&ScrapeStats::new(6, 2, 3)));
}

#[tokio::test(start_paused = true)]
async fn a_packet_of_as_many_bytes_as_are_read_is_read_whole_and_a_larger_one_is_cut() {
    // Peers in the packet, and bytes after them: at the limit, one byte and one peer above, and the
    // largest packet that there is.
    let largest = (65_507 - 20) / 18;
    let address = |n: usize| Ipv6Addr::from((0x2001_0db8 << 96) + 1 + n as u128);
    for (peers, more) in [
        (MAX_PEERS, 0),
        (MAX_PEERS, 1),
        (MAX_PEERS + 1, 0),
        (largest, 0),
    ] {
        let mut inner = Tracker::new(Family::V6, &[]);
        let answer = move |packet: &[u8]| {
            let mut out = inner.answer(packet);
            if out.len() >= 20 {
                out.truncate(20);
                for n in 0..peers {
                    out.extend(address(n).octets());
                    out.extend([1, 2]);
                }
                out.extend(std::iter::repeat_n(0, more));
                let limit = 20 + peers * 18 + more;
                assert_eq!(out.len(), limit);
                assert_eq!(
                    out.len().cmp(&MAX_UDP_PACKET),
                    (peers + more).cmp(&MAX_PEERS)
                );
            }
            vec![out]
        };
        let server = UdpServer::start_on(Ipv6Addr::LOCALHOST.into(), answer).await;
        let reply = client().announce(&server.url(), &announce(), TIMEOUT).await;
        let reply = reply.unwrap();
        assert_eq!(
            reply.peers.len(),
            MAX_PEERS,
            "{peers} peers and {more} bytes"
        );
        let last = address(MAX_PEERS - 1);
        let last = SocketAddr::from((last, 0x0102));
        assert_eq!(reply.peers.last().map(|peer| peer.addr), Some(last));
    }
}
