//! Connections without a byte, as many as can be made: who is connected keeps its rate, and who comes is let in.

use std::collections::VecDeque;
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::process::{eventually, usage_of};
use super::swarm::{PATIENCE, Torrent, connect_from, handshake, mib, send};
use super::{Bench, Outcome};

/// What the seeder may send a second, so that two runs on a busy machine can be compared.
const RATE: u64 = 4 * 1024 * 1024;
/// Connections that are held open at one time: more than may wait to be let in.
const HELD: usize = 1_000;
/// Connects a second at most, and how many the machine has to manage for it to be the flood that is promised.
const CONNECTS: u64 = 5_500;
const LEAST: u128 = 5_000;
/// Addresses the flood comes from.
const HOSTS: u64 = 4;
/// The first of the addresses from which newcomers come.
const NEWCOMERS: u32 = 1_000;
/// How long a newcomer waits for an answer to its handshake.
const ANSWER: Duration = Duration::from_secs(5);

/// Newcomers during the flood.
#[derive(Debug, Default)]
struct Newcomers {
    came: u32,
    answered: u32,
    longest: Duration,
}

pub(super) fn run(bench: &Bench) -> Outcome {
    let size = usize::try_from(RATE * bench.time.as_secs()).map_err(|e| e.to_string())?;
    let torrent = bench.torrent(1, size, None)?;
    let up = RATE.to_string();
    let (seeder, addr) = bench.seed(&torrent, bench.client(), &["--no-trackers", "--up", &up])?;
    let alone = bench.download(&torrent, addr, "alone")?;
    let before = seeder.usage();
    let stop = AtomicBool::new(false);
    let made = AtomicU64::new(0);
    let begin = Instant::now();
    let peer = addr.to_string();
    let options = ["--peer", &peer, "--no-trackers"];
    let mut leecher = bench.leech(&torrent, bench.client(), "flooded", &options)?;
    let settled = before.descriptors + 1;
    if !eventually(PATIENCE, || seeder.usage().descriptors >= settled) {
        return Err("the first leecher never connected".to_owned());
    }
    let (ended, most, newcomers, flooded_for) = thread::scope(|scope| {
        let flood_began = Instant::now();
        scope.spawn(|| flood(addr, &stop, &made));
        let newcomers = scope.spawn(|| visit(&torrent, addr, &stop));
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                most = most.max(usage_of(seeder.pid).rss_kib);
                thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let ended = leecher.end(PATIENCE);
        stop.store(true, Ordering::Relaxed);
        let newcomers = newcomers.join().unwrap_or_default();
        let most = watch.join().unwrap_or(u64::MAX);
        (ended, most, newcomers, flood_began.elapsed())
    });
    let flooded = begin.elapsed();
    if !ended? {
        return Err("the download under the flood failed".to_owned());
    }
    bench.verify(&torrent, "flooded")?;
    let made = u128::from(made.load(Ordering::Relaxed));
    let rate = made * 1_000 / flooded_for.as_millis().max(1);
    let kept = 100.0 * alone.as_secs_f64() / flooded.as_secs_f64();
    let grown = most.saturating_sub(before.rss_kib);
    let figures = format!(
        "{rate} connects/s (≥ {LEAST}), {kept:.1} % of the rate kept (≥ 95), {} of {} newcomers answered, the longest after {:.2} s, \
         RSS +{} MiB (≤ 50)",
        newcomers.answered,
        newcomers.came,
        newcomers.longest.as_secs_f64(),
        mib(grown)
    );
    let all_let_in = newcomers.came > 0 && newcomers.answered == newcomers.came;
    if rate < LEAST || kept < 95.0 || !all_let_in || grown > 50 * 1024 {
        return Err(figures);
    }
    Ok(figures)
}

/// Connects from several addresses without saying anything; `made` counts the connections that came about.
fn flood(addr: SocketAddr, stop: &AtomicBool, made: &AtomicU64) {
    let begin = Instant::now();
    let mut held = VecDeque::new();
    for number in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let host = u32::try_from(number % HOSTS).unwrap_or(0);
        if let Some(stream) = connect_from(host, addr) {
            held.push_back(stream);
            made.fetch_add(1, Ordering::Relaxed);
        }
        if held.len() > HELD {
            held.pop_front();
        }
        let due = Duration::from_micros((number + 1) * 1_000_000 / CONNECTS);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

/// One peer after the other, each from an address of its own, says who it is and waits for the answer.
fn visit(torrent: &Torrent, addr: SocketAddr, stop: &AtomicBool) -> Newcomers {
    let mut newcomers = Newcomers::default();
    while !stop.load(Ordering::Relaxed) {
        let number = NEWCOMERS + newcomers.came;
        newcomers.came += 1;
        let begin = Instant::now();
        let answered =
            connect_from(number, addr).is_some_and(|stream| greet(torrent, number, stream));
        newcomers.answered += u32::from(answered);
        newcomers.longest = newcomers.longest.max(begin.elapsed());
        thread::sleep(Duration::from_millis(100));
    }
    newcomers
}

/// Whether a handshake was answered by one.
fn greet(torrent: &Torrent, number: u32, mut stream: TcpStream) -> bool {
    let mut answer = [0; 68];
    send(&mut stream, &handshake(torrent, number))
        && stream.set_nonblocking(false).is_ok()
        && stream.set_read_timeout(Some(ANSWER)).is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && answer.starts_with(b"\x13BitTorrent protocol")
}
