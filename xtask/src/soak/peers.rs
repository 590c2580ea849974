//! Five thousand peers in one torrent: what each costs, and that one more is still served.

use std::thread;
use std::time::{Duration, Instant};

use super::process::eventually;
use super::swarm::{connect_from, handshake, is_closed, send};
use super::{Bench, Outcome};

/// Peers at one time.
const PEERS: u32 = 5_000;
/// Memory an idle peer may cost.
const LIMIT_KIB: u64 = 40;
/// How long they are watched while nothing happens.
const WATCHED: Duration = Duration::from_secs(10);
/// Milliseconds of a processor that all of them together may cost then in each second, in which the engine decides once.
const LIMIT_BUSY: u64 = 2;
/// Milliseconds of one tick of the kernel's accounting.
const TICK: u64 = 10;

pub(super) fn run(bench: &Bench) -> Outcome {
    let torrent = bench.torrent(1, 8 << 20, None)?;
    let wide = bench.client_in_shell("ulimit -n $(ulimit -H -n)");
    let (seeder, addr) = bench.seed(&torrent, wide, &["--no-trackers", "--max-peers", "6000"])?;
    let before = seeder.usage();
    let begin = Instant::now();
    let mut peers = Vec::new();
    let mut refused = 0;
    for number in 0..2 * PEERS {
        if peers.len() >= PEERS as usize {
            break;
        }
        if let Some(mut stream) = connect_from(number, addr) {
            send(&mut stream, &handshake(&torrent, number));
            peers.push(stream);
        }
        // Strangers that have not said what they want are bounded, and those above the bound are
        // closed: a hundred at a time fit, once the hundred before have been read.
        if number % 100 == 99 {
            let before_pruning = peers.len();
            peers.retain_mut(|stream| !is_closed(stream));
            refused += before_pruning - peers.len();
            eventually(Duration::from_secs(2), || {
                seeder.usage().descriptors + 60 > before.descriptors + peers.len()
            });
        }
    }
    let took = begin.elapsed().as_secs_f64();
    peers.retain_mut(|stream| !is_closed(stream));
    let idle = seeder.usage();
    thread::sleep(WATCHED);
    let later = seeder.usage();
    let cost = idle
        .rss_kib
        .max(later.rss_kib)
        .saturating_sub(before.rss_kib)
        / u64::from(PEERS);
    // Rounded down to what the accounting can tell apart.
    let busy = later.ticks.saturating_sub(idle.ticks) * TICK / WATCHED.as_secs();
    let served = bench.download(&torrent, addr, "out")?;
    peers.retain_mut(|stream| !is_closed(stream));
    let figures = format!(
        "{} peers in {took:.1} s ({refused} came again), {cost} KiB each (≤ {LIMIT_KIB}), {busy} ms of a core a second while idle (≤ {LIMIT_BUSY}), one more served in {:.1} s",
        peers.len(),
        served.as_secs_f64()
    );
    if peers.len() < PEERS as usize || cost > LIMIT_KIB || busy > LIMIT_BUSY {
        return Err(figures);
    }
    Ok(figures)
}
