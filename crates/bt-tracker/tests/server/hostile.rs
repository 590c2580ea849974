//! What strangers try.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bt_tracker::server::Config;

use crate::harness::{Connection, PATIENCE, announce, config, eventually, http, query, start};

/// Numbers that look random, so that a failing test fails again.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_not_waited_for_and_does_not_keep_others_from_being_served() {
    let server = start(config()).await;
    let addr = http(&server);
    let slow: Vec<_> = (0..200)
        .map(|_| {
            let mut connection = Connection::open(addr);
            connection.send(b"GET /announce?");
            connection
        })
        .collect();
    let start = Instant::now();
    announce(addr, 1, 1001, 5, "").unwrap();
    assert!(start.elapsed() < Duration::from_secs(3));
    let mut silent = Connection::open(addr);
    assert!(silent.is_closed());
    for mut connection in slow {
        assert!(connection.is_closed());
    }
    assert!(
        start.elapsed() >= Duration::from_secs(4),
        "closed too early"
    );
    eventually("the slow ones are counted", || {
        server.stats().connections_timed_out >= 201
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn when_there_are_too_many_connections_the_idlest_makes_room() {
    let server = start(Config {
        max_connections: 3,
        max_connections_per_ip: Some(3),
        workers: Some(1),
        ..config()
    })
    .await;
    let target = format!("/announce?{}", query(1, 1, 5, ""));
    let mut kept = Vec::new();
    for n in 1..=3 {
        let mut connection = Connection::open(http(&server));
        connection.get(&target);
        kept.push(connection);
        eventually("it is kept", || server.stats().connections == n);
        // Who came when is known to a millisecond.
        let came = Instant::now();
        eventually("it came before the next", || {
            came.elapsed() > Duration::from_millis(2)
        });
    }
    assert_eq!(kept[0].get(&target).status, 200);
    let mut fourth = Connection::open(http(&server));
    assert_eq!(fourth.get(&target).status, 200);
    assert!(kept[1].is_closed(), "it was idle for the longest");
    for at in [0, 2] {
        assert_eq!(kept[at].get(&target).status, 200);
    }
    let stats = server.stats();
    assert_eq!(
        (stats.connections_evicted, stats.connections_refused),
        (1, 0)
    );
    drop((kept, fourth));
    eventually("all have gone", || server.stats().connections == 0);
    Connection::open(http(&server)).get(&target);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_source_has_its_share_of_the_connections_and_a_proxy_speaks_for_many() {
    let crowded = |trusted: &[&str]| Config {
        max_connections_per_ip: Some(2),
        workers: Some(1),
        trusted_proxies: trusted.iter().map(|proxy| proxy.parse().unwrap()).collect(),
        ..config()
    };
    let target = format!("/announce?{}", query(1, 1, 5, ""));
    for (trusted, evicted) in [(&[][..], 3), (&["127.0.0.0/8"], 0)] {
        let server = start(crowded(trusted)).await;
        let open = |_| {
            let mut connection = Connection::open(http(&server));
            assert_eq!(connection.get(&target).status, 200);
            connection
        };
        let _kept: Vec<_> = (0..5).map(open).collect();
        eventually("those above the share have left", || {
            let stats = server.stats();
            (stats.connections_evicted, stats.connections) == (evicted, 5 - evicted)
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_connections_hold_together_is_bounded_and_announces_go_on() {
    let server = start(Config {
        max_connection_memory: 200_000,
        ..config()
    })
    .await;
    let head = "POST /announce HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n";
    let large: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(http(&server)).unwrap();
            // One that is refused is closed before it has sent everything.
            let _ = stream.write_all(&[head.as_bytes(), &[b'x'; 100_000]].concat());
            stream
        })
        .collect();
    eventually("one of them is too much", || server.stats().overloaded > 0);
    // Each of the eight can be a step above it.
    assert!(server.stats().connection_memory < 200_000 + 8 * 128 * 1024);
    announce(http(&server), 1, 1, 5, "").unwrap();
    drop(large);
    eventually("all is given back", || {
        server.stats().connection_memory == 0
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_so_many_bytes_is_read_and_a_longer_one_is_refused_before_it_comes() {
    let server = start(config()).await;
    let most = 4 * 1024 * 1024;
    let head =
        |length: u128| format!("POST /announce HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    let mut connection = Connection::open(http(&server));
    connection.send(head(most).as_bytes());
    connection.send(&vec![b'x'; usize::try_from(most).unwrap()]);
    let reply = connection.reply().expect("it is read");
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains("failure reason"), "it makes no sense");
    for (length, status) in [
        (most + 1, 413),
        (u128::from(u32::MAX), 413),
        (u128::from(u64::MAX), 413),
        (u128::from(u64::MAX) + 1, 400),
    ] {
        let mut connection = Connection::open(http(&server));
        connection.send(head(length).as_bytes());
        let reply = connection.reply().expect("it is refused");
        assert_eq!(reply.status, status, "{length}: {}", reply.text());
        assert!(connection.is_closed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_make_no_sense_are_answered_or_closed_and_nothing_breaks() {
    let server = start(config()).await;
    let good = format!(
        "GET /announce?{} HTTP/1.1\r\nHost: t\r\n\r\n",
        query(1, 1, 5, "")
    );
    let mut noise = Noise(42);
    for n in 0..2_000 {
        let mut bytes = good.clone().into_bytes();
        let length = bytes.len() as u64;
        for _ in 0..=n % 5 {
            let at = usize::try_from(noise.next() % length).unwrap();
            bytes[at] = noise.next().to_le_bytes()[0];
        }
        let mut connection = Connection::open(http(&server));
        connection.send(&bytes);
        connection.finish();
        while connection.reply().is_some() {}
    }
    announce(http(&server), 1, 1, 5, "").unwrap();
}

/// P9 of `docs/SECURITY.md`.
#[tokio::test(flavor = "multi_thread")]
async fn packets_that_make_no_sense_are_ignored_and_never_answered_with_more() {
    let server = start(Config {
        workers: Some(1),
        ..config()
    })
    .await;
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.udp_addrs()[0]).unwrap();
    let mut noise = Noise(7);
    let mut sent = 0;
    for n in 0..20_000_u32 {
        let length = usize::try_from(noise.next() % 200).unwrap();
        let mut packet = noise.bytes(length);
        // Half of them look like announces and scrapes with a forged id.
        if n % 2 == 0 && packet.len() >= 16 {
            packet[8..12].copy_from_slice(&(1 + n % 4 / 2).to_be_bytes());
        }
        sent += packet.len() as u64;
        socket.send(&packet).unwrap();
        // The kernel drops what the server does not take in time; that would prove nothing.
        if n % 100 == 99 {
            eventually("packets are taken", || {
                let stats = server.stats();
                stats.udp_unproven + stats.udp.malformed == u64::from(n) + 1
            });
        }
    }
    let stats = server.stats();
    assert_eq!(stats.udp.bytes_out, 0, "of {sent} bytes");
    assert_eq!((stats.torrents, stats.udp.announces), (0, 0));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut connect = Vec::new();
    bt_tracker::udp::encode_connect_request(1, &mut connect);
    assert_eq!(crate::harness::ask(&socket, &connect).len(), 16);
}
