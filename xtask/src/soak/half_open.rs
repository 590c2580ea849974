//! Addresses that never answer: dials in flight are bounded, and the one that answers is found.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::{Bench, Outcome};

/// Addresses that swallow connection attempts.
const SILENT: u32 = 100;
/// `MAX_HALF_OPEN` of bt-client.
const LIMIT: usize = 40;

pub(super) fn run(bench: &Bench) -> Outcome {
    let torrent = bench.torrent(1, 4 << 20, None)?;
    // An address that nobody else here has.
    let own = Ipv4Addr::new(127, 0, 9, 1);
    let (_seeder, addr) = bench.seed_at(own, &torrent, bench.client(), &["--no-trackers"])?;
    // A listener that accepts nothing: once its queue is full, the kernel drops every SYN.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).map_err(|e| e.to_string())?;
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    socket
        .bind(&any.into())
        .and_then(|()| socket.listen(1))
        .map_err(|e| e.to_string())?;
    let port = socket
        .local_addr()
        .ok()
        .and_then(|addr| addr.as_socket())
        .map_or(0, |addr| addr.port());
    let full = SocketAddr::from(([127, 0, 0, 1], port));
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&full, Duration::from_millis(300)) {
        held.push(stream);
    }
    let mut peers: Vec<String> = (0..SILENT)
        .map(|number| format!("127.0.1.{}:{port}", number + 1))
        .collect();
    peers.push(addr.to_string());
    let begin = Instant::now();
    let list = peers.join(",");
    let mut leecher = bench.leech(
        &torrent,
        bench.client(),
        "out",
        &["--peer", &list, "--no-trackers"],
    )?;
    let mut most = 0;
    let deadline = begin + Duration::from_secs(60);
    while leecher.is_running() && Instant::now() < deadline {
        // The kernel's list is not read in one moment: a dial that just ended and the one that took
        // its place may both stand in it. What two readings agree on was there.
        let first = half_open(port);
        std::thread::sleep(Duration::from_millis(10));
        most = most.max(first.min(half_open(port)));
    }
    let took = begin.elapsed();
    if !leecher.end(Duration::from_millis(1))? {
        return Err("the download failed".to_owned());
    }
    bench.verify(&torrent, "out")?;
    let figures = format!(
        "{most} dials in flight (≤ {LIMIT}) over {SILENT} silent addresses, complete after {:.1} s",
        took.as_secs_f64()
    );
    if most > LIMIT || most == 0 {
        return Err(figures);
    }
    Ok(figures)
}

/// Sockets on this machine in the state SYN_SENT towards the port.
fn half_open(port: u16) -> usize {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let ending = format!(":{port:04X}");
    text.lines()
        .filter(|line| {
            let mut columns = line.split_whitespace().skip(2);
            columns
                .next()
                .is_some_and(|remote| remote.ends_with(&ending))
                && columns.next() == Some("02")
        })
        .count()
}
