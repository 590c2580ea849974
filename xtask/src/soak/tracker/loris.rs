//! Thousands of connections that send a byte a second: new clients are served all the same.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Fault, Times, Tracker, announce, number, verdict};
use crate::{Bench, Outcome};

/// Slow connections at one time.
const CONNECTIONS: u64 = 5_000;

/// What a slow client sends, byte by byte, and never to its end.
const HEAD: &[u8] = b"GET /announce?info_hash=";

/// The longest that a good client waits.
const PROMISE: Duration = Duration::from_secs(1);

/// A client that never gets to the point.
struct Slow {
    stream: TcpStream,
    sent: usize,
}

pub(crate) fn run(bench: &Bench) -> Outcome {
    verdict(measure(bench))
}

fn measure(bench: &Bench) -> Result<(String, bool), Fault> {
    let tracker = Tracker::start(bench, &[])?;
    let before = tracker.rss()?;
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS {
        slow.push(open(tracker.http)?);
    }
    let (start, mut most, mut reopened) = (Instant::now(), 0, 0);
    let done = Arc::new(AtomicBool::new(false));
    let others = std::thread::spawn({
        let (done, address) = (Arc::clone(&done), tracker.http);
        move || good_announces(address, &done)
    });
    while start.elapsed() < bench.time {
        let round = Instant::now();
        for client in &mut slow {
            let byte = HEAD.get(client.sent % HEAD.len()..).unwrap_or_default();
            let went = client.stream.write(byte.get(..1).unwrap_or_default());
            client.sent += 1;
            if went.is_err() || is_closed(&client.stream) {
                *client = open(tracker.http)?;
                reopened += 1;
            }
        }
        std::thread::sleep(Duration::from_secs(1).saturating_sub(round.elapsed()));
        most = most.max(number(&tracker.numbers()?, "http_connections"));
    }
    done.store(true, Ordering::Relaxed);
    let (times, longest) = others.join().map_err(|_| "a client had a panic")??;
    let figures = format!(
        "{most} slow connections open ({reopened} closed by the tracker and opened again), {} \
         announces of others: p50 {:.2} ms, p99 {:.2} ms, longest {:.0} ms (≤ 1000); {} KiB more \
         memory",
        times.count(),
        times.of_a_thousand(500),
        times.of_a_thousand(990),
        longest.as_secs_f64() * 1000.0,
        tracker.rss()?.saturating_sub(before),
    );
    // Without the slow ones nothing was shown, and without the others neither.
    let is_shown = most >= CONNECTIONS * 9 / 10 && times.count() > 0;
    Ok((figures, longest <= PROMISE && is_shown))
}

/// One announce after the other, each on a connection of its own.
fn good_announces(address: SocketAddr, done: &AtomicBool) -> Result<(Times, Duration), Fault> {
    let (mut times, mut longest) = (Times::new(), Duration::ZERO);
    while !done.load(Ordering::Relaxed) {
        let began = Instant::now();
        announce(address)?;
        times.add(began.elapsed());
        longest = longest.max(began.elapsed());
    }
    Ok((times, longest))
}

fn open(address: SocketAddr) -> std::io::Result<Slow> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(HEAD)?;
    stream.set_nonblocking(true)?;
    let sent = 0;
    Ok(Slow { stream, sent })
}

fn is_closed(stream: &TcpStream) -> bool {
    matches!(stream.peek(&mut [0]), Ok(0))
}
