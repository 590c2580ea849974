//! Peers that send their handshake a byte a second: closed at the limit, and nobody waits for them.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::swarm::{handshake, is_closed, send};
use super::{Bench, Outcome};

/// Slow peers at one time; as many as may wait without having said what they want.
const SLOW: u32 = 250;
/// `HANDSHAKE_TIMEOUT` of bt-wire and room for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

pub(super) fn run(bench: &Bench) -> Outcome {
    let torrent = bench.torrent(1, 4 << 20, None)?;
    let (seeder, addr) = bench.seed(&torrent, bench.client(), &["--no-trackers"])?;
    let before = seeder.usage();
    let begin = Instant::now();
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..SLOW {
        slow.extend(TcpStream::connect_timeout(&addr, Duration::from_secs(1)));
    }
    let opened = slow.len();
    let good = bench.download(&torrent, addr, "out")?;
    let bytes = handshake(&torrent, 1);
    let mut round = 0;
    while !slow.is_empty() && begin.elapsed() < LIMIT * 2 {
        let byte = bytes.get(round..=round).unwrap_or_default();
        slow.retain_mut(|stream| send(stream, byte) && !is_closed(stream));
        round += 1;
        std::thread::sleep(Duration::from_secs(1));
    }
    let closed = begin.elapsed();
    let after = seeder.usage();
    let figures = format!(
        "{opened} slow peers all closed after {:.1} s (≤ 15), a good one served in {:.1} s meanwhile, descriptors {} → {}",
        closed.as_secs_f64(),
        good.as_secs_f64(),
        before.descriptors,
        after.descriptors
    );
    if !slow.is_empty() || closed > LIMIT || after.descriptors > before.descriptors + 4 {
        return Err(figures);
    }
    Ok(figures)
}
