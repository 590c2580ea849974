//! The numbers for operators.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bt_tracker::limits::{MAX_ADMIN_BUFFER, MAX_ADMIN_CONNECTIONS, MAX_ADMIN_HEADERS};
use bt_tracker::server::Config;

use crate::harness::{
    Connection, PATIENCE, again, announce, config, eventually, get, http, local, start,
};

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_shown_to_people_and_programs() {
    let server = start(Config {
        stats: Some(local()),
        ..config()
    })
    .await;
    announce(http(&server), 1, 1001, 0, "&event=started").unwrap();
    announce(http(&server), 1, 1002, 5, "&event=started").unwrap();
    let stats = server.stats_addr().unwrap();
    assert_eq!(
        (get(stats, "/healthz").status, get(stats, "/readyz").status),
        (200, 200)
    );
    let metrics = get(stats, "/metrics").text();
    for line in [
        "bt_tracker_torrents 1",
        "bt_tracker_peers_ipv4 2",
        "bt_tracker_seeds 1",
        "bt_tracker_http_announces_total 2",
        "bt_tracker_http_peers_named_total 1",
        "# TYPE bt_tracker_udp_connects_total counter",
        "# TYPE bt_tracker_torrents gauge",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
    let as_type = |accept: &str| {
        let mut connection = Connection::open(stats);
        connection
            .send(format!("GET /stats HTTP/1.1\r\nHost: t\r\nAccept: {accept}\r\n\r\n").as_bytes());
        connection.reply().unwrap().text()
    };
    assert!(as_type("application/json").contains("\"torrents\":1"));
    let page = as_type("text/html");
    assert!(
        page.contains(&"01".repeat(20)) && !page.contains("<script"),
        "{page}"
    );
    assert_eq!(page.matches("<svg").count(), 6, "{page}");
    let form = |form: &str| get(stats, &format!("/stats?format={form}"));
    assert!(form("html").text().contains("announces per second"));
    assert_eq!(
        form("html").header("content-security-policy"),
        Some("default-src 'none'; style-src 'unsafe-inline'")
    );
    let json = form("json").text();
    for part in ["\"torrents\":1", "\"leechers\":1", "\"step_seconds\":5"] {
        assert!(json.contains(part), "{part} in {json}");
    }
    assert_eq!(form("xml").status, 400);
    assert!(
        as_type("*/*")
            .lines()
            .any(|line| line.starts_with("torrents "))
    );
    assert_eq!(get(stats, "/announce").status, 404);
    assert_eq!(
        get(http(&server), "/metrics").status,
        404,
        "numbers have an address of their own"
    );
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_so_many_header_lines_is_answered_and_one_more_is_refused() {
    let server = start(Config {
        stats: Some(local()),
        ..config()
    })
    .await;
    for (lines, status) in [(MAX_ADMIN_HEADERS, 200), (MAX_ADMIN_HEADERS + 1, 431)] {
        let mut connection = Connection::open(server.stats_addr().unwrap());
        let head = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(lines));
        connection.send(head.as_bytes());
        assert_eq!(connection.reply().unwrap().status, status, "{lines}");
    }
    for (bytes, status) in [(MAX_ADMIN_BUFFER - 1, 200), (MAX_ADMIN_BUFFER + 1, 431)] {
        let mut connection = Connection::open(server.stats_addr().unwrap());
        let line = "GET /healthz HTTP/1.1\r\n";
        let padding = "b".repeat(bytes - line.len() - "A: \r\n\r\n".len());
        connection.send(format!("{line}A: {padding}\r\n\r\n").as_bytes());
        assert_eq!(connection.reply().unwrap().status, status, "{bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_connections_are_served_at_once_and_the_next_is_closed() {
    let server = start(Config {
        stats: Some(local()),
        ..config()
    })
    .await;
    let stats = server.stats_addr().unwrap();
    // An idle one is closed after five seconds: what took longer says nothing.
    let within_time = |begin: Instant| begin.elapsed() < Duration::from_secs(4);
    let attempt = || {
        let begin = Instant::now();
        let mut open = Vec::new();
        for n in 0..MAX_ADMIN_CONNECTIONS {
            let mut connection = Connection::open(stats);
            connection.send(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
            let reply = connection.reply();
            if !within_time(begin) {
                return false;
            }
            assert_eq!(reply.expect("a reply").status, 200, "{n}");
            open.push(connection);
        }
        let is_closed = Connection::open(stats).is_closed();
        if !within_time(begin) {
            return false;
        }
        assert!(is_closed, "one above");
        // Whoever leaves makes room.
        open.pop();
        eventually("its place is free", || {
            let mut next = TcpStream::connect(stats).unwrap();
            next.set_read_timeout(Some(PATIENCE)).unwrap();
            // One that is closed at once may be so before it has asked.
            let _ = next.write_all(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n");
            again(|| next.read(&mut [0])).is_ok_and(|count| count > 0) || !within_time(begin)
        });
        true
    };
    assert!((0..10).any(|_| attempt()), "the machine stands still");
}
