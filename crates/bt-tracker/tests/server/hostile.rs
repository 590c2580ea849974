//! What strangers try.

use std::net::UdpSocket;
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
async fn connections_above_the_limit_are_closed_as_they_come() {
    let server = start(Config {
        max_connections: 3,
        workers: Some(1),
        ..config()
    })
    .await;
    let target = format!("/announce?{}", query(1, 1, 5, ""));
    let mut kept: Vec<_> = (0..3).map(|_| Connection::open(http(&server))).collect();
    for connection in &mut kept {
        connection.get(&target);
    }
    eventually("all three are open", || server.stats().connections == 3);
    assert!(Connection::open(http(&server)).is_closed());
    assert_eq!(server.stats().connections_refused, 1);
    kept.iter_mut()
        .for_each(|connection| assert_eq!(connection.get(&target).status, 200));
    drop(kept);
    eventually("there is room again", || server.stats().connections == 0);
    Connection::open(http(&server)).get(&target);
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
