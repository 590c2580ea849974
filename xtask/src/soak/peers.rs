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
/// Milliseconds of a processor that all of them together may cost then in each second.
const LIMIT_BUSY: u64 = 20;
/// The same of a seeder that spreads, which meanwhile offers all of them more and more.
const SPREADING_LIMIT_BUSY: u64 = 100;
/// How long the last ones may wait to be let in.
const SETTLED: Duration = Duration::from_secs(5);

/// Milliseconds of one tick of the kernel's accounting.
const TICK: u64 = 10;

/// Of a seeder that shows all it has.
pub(super) fn plain(bench: &Bench) -> Outcome {
    run(bench, &[], LIMIT_KIB, LIMIT_BUSY)
}

/// Of one that holds the only copy and reveals it piece by piece.
pub(super) fn spreading(bench: &Bench) -> Outcome {
    run(bench, &["--skip-check"], LIMIT_KIB, SPREADING_LIMIT_BUSY)
}

fn run(bench: &Bench, more: &[&str], limit_kib: u64, limit_busy: u64) -> Outcome {
    let torrent = bench.torrent(1, 8 << 20, None)?;
    let wide = bench.client_in_shell("ulimit -n $(ulimit -H -n)");
    let options = [&["--no-trackers", "--max-peers", "6000"], more].concat();
    let (seeder, addr) = bench.seed(&torrent, wide, &options)?;
    let before = seeder.usage();
    let begin = Instant::now();
    let mut peers = Vec::new();
    let mut refused = 0;
    for number in 0..2 * PEERS {
        if peers.len() >= PEERS as usize {
            let all = peers.len();
            // Those that it has not let in yet would be missing, and be taken for what the others cost.
            eventually(SETTLED, || {
                seeder.usage().descriptors >= before.descriptors + all
            });
            peers.retain_mut(|stream| !is_closed(stream));
            refused += all - peers.len();
            if peers.len() == all {
                break;
            }
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
        "{} peers in {took:.1} s ({refused} came again), {cost} KiB each (≤ {limit_kib}), {busy} ms of a core a second while idle (≤ {limit_busy}), one more served in {:.1} s",
        peers.len(),
        served.as_secs_f64()
    );
    if peers.len() < PEERS as usize || cost > limit_kib || busy > limit_busy {
        return Err(figures);
    }
    Ok(figures)
}
