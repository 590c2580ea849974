//! Announces, scrapes and connection ids over UDP.

use std::net::UdpSocket;

use bt_tracker::server::{Config, Handle, Secret, Server};
use bt_tracker::udp::{
    Family, decode_announce_reply, decode_connect_reply, decode_error_reply, decode_scrape_reply,
    encode_announce_request, encode_connect_request, encode_scrape_request,
};
use bt_tracker::{AnnounceRequest, Event};

use crate::harness::{
    PATIENCE, again, announce, ask, config, eventually, hash, http, ports, start, udp_client,
};

fn connect(socket: &UdpSocket) -> u64 {
    let mut packet = Vec::new();
    encode_connect_request(7, &mut packet);
    decode_connect_reply(&ask(socket, &packet)).unwrap()
}

fn request(torrent: u8, port: u16, left: u64, event: Event) -> AnnounceRequest {
    let mut request = AnnounceRequest::new(hash(torrent), [9; 20].into(), port);
    request.left = left;
    request.event = event;
    request
}

fn packet(id: u64, request: &AnnounceRequest) -> Vec<u8> {
    let mut packet = Vec::new();
    encode_announce_request(id, 8, request, &mut packet);
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_find_each_other_over_udp_and_http() {
    let server = start(config()).await;
    let socket = udp_client(&server);
    let id = connect(&socket);
    let ask = |port, left, event| {
        let reply = ask(&socket, &packet(id, &request(1, port, left, event)));
        decode_announce_reply(&reply, Family::V4).unwrap()
    };
    assert_eq!(ports(&ask(1001, 0, Event::Started)).len(), 0);
    let reply = ask(1002, 5, Event::Started);
    assert_eq!(
        (ports(&reply), reply.complete, reply.incomplete),
        (vec![1001], Some(1), Some(1))
    );
    assert_eq!(reply.interval.as_secs(), 1800);
    let over_http = announce(http(&server), 1, 1003, 5, "").unwrap();
    assert_eq!(ports(&over_http), [1001, 1002]);
    ask(1002, 0, Event::Completed);
    ask(1001, 0, Event::Stopped);

    let mut packet = Vec::new();
    encode_scrape_request(id, 9, &[hash(5), hash(1)], &mut packet);
    let scrape = decode_scrape_reply(&crate::harness::ask(&socket, &packet), &[hash(5), hash(1)]);
    let scrape = scrape.unwrap();
    let numbers = scrape.get(&hash(1)).unwrap();
    assert_eq!(
        (numbers.complete, numbers.downloaded, numbers.incomplete),
        (1, 1, 1)
    );
    let unknown = scrape.get(&hash(5)).unwrap();
    assert_eq!(
        (unknown.complete, unknown.downloaded, unknown.incomplete),
        (0, 0, 0)
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_replies_have_ipv6_peers() {
    let v6 = "[::1]:0".parse().unwrap();
    let server = start(Config {
        udp: vec![v6],
        ..config()
    })
    .await;
    announce(http(&server), 1, 1001, 5, "").unwrap();
    let socket = udp_client(&server);
    let id = connect(&socket);
    ask(&socket, &packet(id, &request(1, 1002, 5, Event::Started)));
    let reply = ask(&socket, &packet(id, &request(1, 1003, 5, Event::Started)));
    let reply = decode_announce_reply(&reply, Family::V6).unwrap();
    assert_eq!(reply.peers[0].addr, "[::1]:1002".parse().unwrap());
    assert_eq!((reply.peers.len(), reply.incomplete), (1, Some(3)));
}

/// Sends a packet that gets no reply, proven by one after it that does.
fn is_ignored(socket: &UdpSocket, packet: &[u8]) {
    socket.send(packet).unwrap();
    let mut connect = Vec::new();
    encode_connect_request(0xc0ffee, &mut connect);
    let reply = ask(socket, &connect);
    assert_eq!(
        reply.get(4..8),
        Some(&0xc0ffee_u32.to_be_bytes()[..]),
        "{packet:?}"
    );
}

/// P9 of `docs/SECURITY.md`.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_an_address_that_is_not_proven() {
    // One worker, so that packets are answered in their order.
    let server = start(Config {
        workers: Some(1),
        ..config()
    })
    .await;
    let socket = udp_client(&server);
    let id = connect(&socket);
    let announce = request(1, 1001, 5, Event::Started);
    for bad in [0, 1, id ^ 1, id ^ (1 << 57), !id, 0x417_2710_1980] {
        is_ignored(&socket, &packet(bad, &announce));
    }
    for length in 0..16 {
        is_ignored(&socket, &packet(id, &announce)[..length]);
    }
    is_ignored(&socket, &[0xff; 2000]);
    is_ignored(&socket, &[0; 60_000]);
    let stats = server.stats();
    assert_eq!((stats.torrents, stats.udp.announces), (0, 0));
    // An id is for one address. The loopback network has more.
    let elsewhere = UdpSocket::bind("127.0.0.2:0").unwrap();
    elsewhere.connect(server.udp_addrs()[0]).unwrap();
    elsewhere.set_read_timeout(Some(PATIENCE)).unwrap();
    is_ignored(&elsewhere, &packet(id, &announce));
    // A connect reply is as long as its request.
    let mut connect = Vec::new();
    encode_connect_request(1, &mut connect);
    assert_eq!(ask(&socket, &connect).len(), connect.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_to_proven_addresses() {
    let server = start(config()).await;
    let socket = udp_client(&server);
    let id = connect(&socket);
    let good = packet(id, &request(1, 1001, 5, Event::Started));
    let error = |packet: &[u8]| {
        decode_error_reply(&ask(&socket, packet))
            .expect("an error")
            .to_string()
    };
    assert!(error(&good[..97]).contains("too short"));
    let mut bad = good.clone();
    bad[83] = 9;
    assert!(error(&bad).contains("event is not valid"));
    bad = good.clone();
    bad[11] = 77;
    assert!(error(&bad).contains("action is unknown"));
    assert!(error(&good[..16]).contains("too short"));
    assert!(decode_announce_reply(&ask(&socket, &good), Family::V4).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn numwant_is_honored_over_udp() {
    let server = start(config()).await;
    let socket = udp_client(&server);
    let id = connect(&socket);
    for port in 1..=120 {
        ask(&socket, &packet(id, &request(1, port, 5, Event::Started)));
    }
    for (numwant, count) in [(None, 50), (Some(0), 0), (Some(7), 7), (Some(500), 100)] {
        let mut again = request(1, 1, 5, Event::None);
        again.numwant = numwant;
        let reply = ask(&socket, &packet(id, &again));
        let reply = decode_announce_reply(&reply, Family::V4).unwrap();
        assert_eq!(reply.peers.len(), count, "{numwant:?}");
        assert!(!ports(&reply).contains(&1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_are_never_cut_by_a_network() {
    // As many peers as 1,400 bytes have room for, behind 20 of a head.
    for (bound, record, fits) in [("127.0.0.1:0", 6, 230), ("[::1]:0", 18, 76)] {
        let server = start(Config {
            udp: vec![bound.parse().unwrap()],
            max_numwant: 1000,
            ..config()
        })
        .await;
        let socket = udp_client(&server);
        let id = connect(&socket);
        // Each is told of those that came before it.
        for others in 0..fits + 20 {
            let port = u16::try_from(1 + others).unwrap();
            let mut request = request(1, port, 5, Event::Started);
            request.numwant = Some(if others % 2 == 0 { 1000 } else { u32::MAX >> 1 });
            let length = ask(&socket, &packet(id, &request)).len();
            assert_eq!(length, 20 + record * others.min(fits), "{others} others");
            assert!(length <= 1400);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_of_so_many_bytes_is_read_and_a_longer_one_is_dropped() {
    let server = start(config()).await;
    let socket = udp_client(&server);
    let id = connect(&socket);
    let most = 2048 + 3 * 64;
    // What is behind an announce is options that say nothing (BEP 41).
    let of_length = |length| {
        let mut packet = packet(id, &request(1, 1001, 5, Event::Started));
        packet.resize(length, 1);
        packet
    };
    for length in [98, most - 1, most] {
        let reply = ask(&socket, &of_length(length));
        assert!(
            decode_announce_reply(&reply, Family::V4).is_ok(),
            "{length}"
        );
    }
    // The last is the longest packet that there is.
    for (dropped, length) in (1..).zip([most + 1, 65_507]) {
        is_ignored(&socket, &of_length(length));
        eventually("it is counted", || server.stats().udp.malformed == dropped);
    }
    assert_eq!(server.stats().udp.announces, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_cannot_have_one_port() {
    // Several sockets may share an address, but only those of one server.
    let workers = Some(3);
    let server: Handle = start(Config {
        workers,
        ..config()
    })
    .await;
    let taken = Config {
        udp: server.udp_addrs().to_vec(),
        workers,
        ..config()
    };
    let error = Server::start(taken).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot listen on udp 127.0.0.1:"),
        "{error}"
    );
    let taken = Config {
        http: server.http_addrs().to_vec(),
        workers,
        ..config()
    };
    let error = Server::start(taken).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot listen on http 127.0.0.1:"),
        "{error}"
    );
}

/// A client that only hears the address that it asks.
fn client_of(asked: std::net::SocketAddr) -> UdpSocket {
    let ours = if asked.is_ipv4() {
        "127.0.0.1:0"
    } else {
        "[::1]:0"
    };
    let socket = UdpSocket::bind(ours).unwrap();
    socket.connect(asked).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_all_addresses_answers_from_the_one_that_was_asked() {
    let everywhere = ["0.0.0.0:0", "[::]:0"].map(|text| text.parse().unwrap());
    let server = start(Config {
        udp: everywhere.to_vec(),
        ..config()
    })
    .await;
    let [v4, v6] = server.udp_addrs() else {
        panic!("{:?}", server.udp_addrs());
    };
    for (ip, port) in [
        ("127.0.0.1", v4.port()),
        ("127.0.0.5", v4.port()),
        ("127.1.2.3", v4.port()),
        ("::1", v6.port()),
    ] {
        let socket = client_of(std::net::SocketAddr::new(ip.parse().unwrap(), port));
        let id = connect(&socket);
        // Several at once, so that their answers travel together.
        for port in 1..=20 {
            let request = request(1, port, 5, Event::Started);
            socket.send(&packet(id, &request)).unwrap();
        }
        let mut buffer = [0; 2048];
        for _ in 1..=20 {
            let count = again(|| socket.recv(&mut buffer)).expect("each is answered");
            let family = Family::of(*v4);
            let family = if ip.contains(':') {
                Family::of(*v6)
            } else {
                family
            };
            decode_announce_reply(&buffer[..count], family).unwrap();
        }
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_asks_too_much_is_not_answered_and_others_are() {
    let server = start(Config {
        workers: Some(1),
        udp_requests_per_ip: Some(10),
        ..config()
    })
    .await;
    let socket = udp_client(&server);
    let id = connect(&socket);
    let announce = packet(id, &request(1, 1001, 5, Event::Started));
    // Twenty at once, and not more than a few while this goes on.
    for _ in 0..200 {
        socket.send(&announce).unwrap();
    }
    let elsewhere = UdpSocket::bind("127.0.0.2:0").unwrap();
    elsewhere.connect(server.udp_addrs()[0]).unwrap();
    elsewhere.set_read_timeout(Some(PATIENCE)).unwrap();
    let id = connect(&elsewhere);
    let other = packet(id, &request(1, 1002, 5, Event::Started));
    assert!(decode_announce_reply(&ask(&elsewhere, &other), Family::V4).is_ok());
    eventually("all have been looked at", || {
        let stats = server.stats();
        stats.udp.announces + stats.udp_limited == 201
    });
    let stats = server.stats();
    assert!((21..100).contains(&stats.udp.announces), "{stats:?}");
}

/// P9 of `docs/SECURITY.md`.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_gets_no_more_than_it_sends_and_others_are_served() {
    const ROUNDS: u32 = 300;
    const FORGED: u32 = 100;
    // One worker, so that packets are counted in their order.
    let server = start(Config {
        workers: Some(1),
        ..config()
    })
    .await;
    let good = udp_client(&server);
    let id = connect(&good);
    let before = server.stats();
    let flood = UdpSocket::bind("127.0.0.9:0").unwrap();
    flood.connect(server.udp_addrs()[0]).unwrap();
    let (mut sent, mut random) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    let mut connect = Vec::new();
    encode_connect_request(1, &mut connect);
    let mut answered = 0;
    for round in 0..ROUNDS {
        for n in 0..FORGED {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let forged = packet(random, &request(1, 1, 5, Event::Started));
            // A tenth of the flood are connect requests in somebody's name.
            let packet = if n % 10 == 0 { &connect } else { &forged };
            sent += flood.send(packet).unwrap() as u64;
        }
        let port = u16::try_from(round % 50 + 1).unwrap();
        let reply = ask(&good, &packet(id, &request(2, port, 5, Event::Started)));
        answered += u32::from(decode_announce_reply(&reply, Family::V4).is_ok());
    }
    assert_eq!(answered, ROUNDS);
    flood.set_nonblocking(true).unwrap();
    let (mut got, mut buffer) = (0, [0; 2048]);
    while let Ok(count) = flood.recv(&mut buffer) {
        got += count as u64;
    }
    // The receive buffer of the flood is small and drops what it never reads; the server counts.
    let stats = server.stats();
    let forged = u64::from(ROUNDS * FORGED / 10 * 9);
    assert_eq!(stats.udp_unproven - before.udp_unproven, forged);
    let connects = u64::from(ROUNDS * FORGED / 10) - stats.udp_limited;
    assert!(
        got <= connects * 16 && connects * 16 <= sent,
        "{got} of {sent}"
    );
    let to_good = stats.udp.bytes_out - before.udp.bytes_out - connects * 16;
    assert!(
        to_good <= u64::from(ROUNDS) * 1400,
        "nobody else got anything"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_with_one_secret_honor_each_others_ids_and_others_do_not() {
    let with = |secret: &str| Config {
        udp_key: Some(Secret::new(secret)),
        ..config()
    };
    let secret = "00112233445566778899aabbccddeeff";
    let (one, other) = (start(with(secret)).await, start(with(secret)).await);
    let stranger = start(config()).await;
    let id = connect(&udp_client(&one));
    let packet = packet(id, &request(1, 1001, 5, Event::Started));
    let reply = ask(&udp_client(&other), &packet);
    assert!(decode_announce_reply(&reply, Family::V4).is_ok());
    udp_client(&stranger).send(&packet).unwrap();
    eventually("the stranger does not believe it", || {
        stranger.stats().udp_unproven == 1
    });
    for bad in [
        "",
        "0011",
        &secret[1..],
        &secret.replace('f', "g"),
        &format!("{secret}00"),
    ] {
        assert!(Server::start(with(bad)).await.is_err(), "{bad}");
    }
}
