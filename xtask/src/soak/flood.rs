//! Connections without a byte, as many as can be made: who is connected already keeps its rate.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::process::usage_of;
use super::swarm::mib;
use super::{Bench, Outcome};

/// What the seeder may send a second, so that two runs on a busy machine can be compared.
const RATE: u64 = 4 * 1024 * 1024;
/// Connections that are held open at one time.
const HELD: usize = 1_000;
/// Connects a second at most.
const CONNECTS: u64 = 5_000;

pub(super) fn run(bench: &Bench) -> Outcome {
    let size = usize::try_from(RATE * bench.time.as_secs()).map_err(|e| e.to_string())?;
    let torrent = bench.torrent(1, size, None)?;
    let up = RATE.to_string();
    let (seeder, addr) = bench.seed(&torrent, bench.client(), &["--no-trackers", "--up", &up])?;
    let alone = bench.download(&torrent, addr, "alone")?;
    let before = seeder.usage().rss_kib;
    let pid = seeder.pid;
    let stop = AtomicBool::new(false);
    let made = AtomicU64::new(0);
    let (flooded, most, rate) = thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            let mut held = VecDeque::new();
            while !stop.load(Ordering::Relaxed) {
                held.extend(TcpStream::connect_timeout(&addr, Duration::from_secs(1)));
                if held.len() > HELD {
                    held.pop_front();
                }
                let count = made.fetch_add(1, Ordering::Relaxed) + 1;
                let due = Duration::from_micros(count * 1_000_000 / CONNECTS);
                thread::sleep(due.saturating_sub(begin.elapsed()));
            }
        });
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(usage_of(pid).rss_kib);
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let begin = Instant::now();
        let flooded = bench.download(&torrent, addr, "flooded");
        stop.store(true, Ordering::Relaxed);
        let rate = made.load(Ordering::Relaxed) / begin.elapsed().as_secs().max(1);
        (flooded, watch.join().unwrap_or(0), rate)
    });
    let flooded = flooded?;
    let kept = 100.0 * alone.as_secs_f64() / flooded.as_secs_f64();
    let grown = most.saturating_sub(before);
    let figures = format!(
        "{rate} connects/s, {kept:.1} % of the rate kept (≥ 95), RSS +{} MiB (≤ 50)",
        mib(grown)
    );
    if kept < 95.0 || grown > 50 * 1024 {
        return Err(figures);
    }
    Ok(figures)
}
