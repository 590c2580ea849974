//! What a panic ends, and what it does not.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::*;
use crate::server::interrupted::again;
use crate::server::{Config, Handle, Server};

fn tracker() -> Arc<Tracker> {
    Arc::new(Tracker::new(&Config::default(), Instant::now()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_is_to_last_is_begun_anew_at_most_once_a_second() {
    let (tracker, stop) = (tracker(), CancellationToken::new());
    let began = tokio::time::Instant::now();
    let starts = AtomicU32::new(0);
    let task = async || {
        let number = starts.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        assert!(number >= 3, "planted");
    };
    lasting(Arc::clone(&tracker), stop, task).await;
    assert_eq!(began.elapsed(), 3 * AFTER_A_BUG);
    assert_eq!(tracker.stats.panics.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_anew_once_the_server_stops() {
    let (tracker, stop) = (tracker(), CancellationToken::new());
    stop.cancel();
    let task = async || panic!("planted");
    lasting(Arc::clone(&tracker), stop, task).await;
    assert_eq!(tracker.stats.panics.get(), 1);
}

/// A server with one worker for each transport.
async fn server() -> Handle {
    let config = Config {
        http: vec![([127, 0, 0, 1], 0).into()],
        udp: vec![([127, 0, 0, 1], 0).into()],
        workers: Some(1),
        ..Config::default()
    };
    Server::start(config).await.unwrap()
}

fn url(hash: u8, end: &str) -> String {
    let hash = format!("%{hash:02x}").repeat(20);
    format!(
        "GET /announce?info_hash={hash}&peer_id=-XX0100-000000000000&port=7000&left=1&compact=1 \
         HTTP/1.1\r\nHost: a\r\n{end}"
    )
}

/// What comes of a request that is sent in these parts, until the connection ends.
fn ask(to: SocketAddr, parts: &[&str]) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reply = Vec::new();
    for part in parts {
        stream.write_all(part.as_bytes()).unwrap();
        let mut first = [0; 4096];
        if part.ends_with("\r\n\r\n") && parts.len() > 1 {
            let count = stream.read(&mut first).unwrap_or(0);
            reply.extend_from_slice(&first[..count]);
        }
    }
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for as many bugs, and for no more: one is counted a moment after the connection that it ends is closed.
pub(in crate::server) async fn counted(server: &Handle, bugs: u64) {
    let all = async {
        while server.stats().panics < bugs {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, all).await.is_ok(), "in time");
    assert_eq!(server.stats().panics, bugs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_a_request_over_http_ends_its_connection_alone() {
    let server = server().await;
    let to = server.http_addrs()[0];
    let work = move || {
        let good = url(1, "Connection: close\r\n\r\n");
        let bad = url(Tracker::PLANTED[0], "\r\n");
        // On a connection that is answered as it is accepted, and on one that is kept.
        assert_eq!(ask(to, &[&bad]), "");
        assert!(ask(to, &[&good]).starts_with("HTTP/1.1 200"));
        let kept = url(1, "\r\n");
        let reply = ask(to, &[&kept, &bad]);
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        assert_eq!(reply.matches("HTTP/1.1").count(), 1, "{reply}");
        assert!(ask(to, &[&good]).starts_with("HTTP/1.1 200"));
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    counted(&server, 2).await;
    server.stop().await;
}

fn announce(id: [u8; 8], transaction: u32, hash: u8) -> Vec<u8> {
    let mut packet = id.to_vec();
    packet.extend(1u32.to_be_bytes());
    packet.extend(transaction.to_be_bytes());
    packet.extend([hash; 20]);
    packet.extend(*b"-XX0100-000000000000");
    packet.extend([0; 8 + 8 + 8 + 4 + 4 + 4]);
    packet.extend((-1i32).to_be_bytes());
    packet.extend(7000u16.to_be_bytes());
    packet
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_a_packet_costs_the_answer_to_that_packet_alone() {
    let server = server().await;
    let to = server.udp_addrs()[0];
    let work = move || {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.connect(to).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reply = [0; 2048];
        let connect = [&0x417_2710_1980u64.to_be_bytes()[..], &[0; 4], &[9; 4]].concat();
        socket.send(&connect).unwrap();
        assert_eq!(again(|| socket.recv(&mut reply)), 16);
        let id: [u8; 8] = reply[8..16].try_into().unwrap();
        // Many at once, so that several are of one batch.
        for round in 0..4 {
            let mut expected = Vec::new();
            for number in 0..12 {
                let transaction = round * 100 + number;
                let is_bad = number % 5 == 2;
                let hash = if is_bad { Tracker::PLANTED[0] } else { 1 };
                socket.send(&announce(id, transaction, hash)).unwrap();
                expected.extend((!is_bad).then_some(transaction));
            }
            let mut got = Vec::new();
            while got.len() < expected.len() {
                assert!(again(|| socket.recv(&mut reply)) >= 20);
                assert_eq!(reply[..4], [0, 0, 0, 1], "an announce");
                got.push(u32::from_be_bytes(reply[4..8].try_into().unwrap()));
            }
            got.sort_unstable();
            assert_eq!(got, expected);
        }
    };
    tokio::task::spawn_blocking(work).await.unwrap();
    let stats = server.stats();
    assert_eq!((stats.panics, stats.udp.announces), (8, 40));
    // What was weighed before a bug is not weighed again after it.
    assert_eq!((stats.udp_connects, stats.udp.bytes_in), (1, 16 + 48 * 98));
    server.stop().await;
}
