//! Leechers come, finish or are killed, and come again: what the seeder and the tracker hold stays
//! flat, everything is delivered, and not one piece is false.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use super::process::{Program, Usage};
use super::swarm::{PATIENCE, mib};
use super::{Bench, Outcome};

/// Leechers at one time.
const AT_ONCE: usize = 4;
/// How much growth in memory is noise of the allocator on a short run, and on one of ten minutes or more.
const GROWTH_KIB: [u64; 2] = [8 * 1024, 2 * 1024];

pub(super) fn run(bench: &Bench) -> Outcome {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .map_err(|e| e.to_string())?
        .port();
    let mut serve = Command::new(bench.programs.join("bt-tracker"));
    serve.args([
        "serve",
        "--http",
        &format!("127.0.0.1:{port}"),
        "--interval",
        "5s",
        "--min-interval",
        "1s",
    ]);
    let mut tracker = Program::start(&mut serve)?;
    tracker.line_with("http=", PATIENCE)?;
    let url = format!("http://127.0.0.1:{port}/announce");
    let torrent = bench.torrent(8, 1 << 20, Some(&url))?;
    let (mut seeder, addr) = bench.seed(&torrent, bench.client(), &[])?;
    let peer = addr.to_string();
    let mut running: Vec<(String, Program, Option<Instant>)> = Vec::new();
    let (mut started, mut delivered, mut killed) = (0_u32, 0_u32, 0_u32);
    let begin = Instant::now();
    let warm = bench.time / 4;
    let mut first: Option<[Usage; 2]> = None;
    while begin.elapsed() < bench.time {
        while running.len() < AT_ONCE {
            let into = format!("out-{started}");
            // Every third is killed in the middle, as a crash would.
            let end = (started % 3 == 2).then(|| {
                Instant::now() + Duration::from_millis(60 + u64::from(started * 37 % 300))
            });
            let leecher = bench.leech(&torrent, bench.client(), &into, &["--peer", &peer])?;
            running.push((into, leecher, end));
            started += 1;
        }
        let mut kept = Vec::new();
        for (into, mut leecher, end) in running {
            let over = end.is_some_and(|end| Instant::now() > end);
            if leecher.is_running() && !over {
                kept.push((into, leecher, end));
                continue;
            }
            if leecher.is_running() {
                leecher.kill();
                killed += 1;
            } else if leecher.end(PATIENCE)? {
                bench.verify(&torrent, &into)?;
                delivered += 1;
            } else {
                return Err(format!("{into} ended without its content"));
            }
            let _ = fs::remove_dir_all(bench.folder.join(&into));
        }
        running = kept;
        if first.is_none() && begin.elapsed() > warm {
            first = Some([seeder.usage(), tracker.usage()]);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for (into, mut leecher, _) in running {
        if !leecher.end(PATIENCE)? {
            return Err(format!("{into} ended without its content"));
        }
        bench.verify(&torrent, &into)?;
        delivered += 1;
    }
    std::thread::sleep(Duration::from_secs(2));
    let first = first.ok_or("too short to compare")?;
    let last = [seeder.usage(), tracker.usage()];
    // One that has ended holds nothing, which is no proof that what it held was flat.
    if !seeder.is_running() || !tracker.is_running() {
        return Err("the seeder or the tracker has ended".to_owned());
    }
    let growth = GROWTH_KIB[usize::from(bench.time >= Duration::from_secs(600))];
    let flat = report(&first, &last, growth);
    let figures =
        format!("{started} leechers, {delivered} delivered and verified, {killed} killed");
    match flat {
        Ok(usage) if started == delivered + killed && delivered > 0 => Ok(figures + &usage),
        Ok(usage) | Err(usage) => Err(figures + &usage),
    }
}

/// What the two hold, in words; an error if it is more than before.
fn report(first: &[Usage; 2], last: &[Usage; 2], growth: u64) -> Outcome {
    let mut figures = String::new();
    let mut flat = true;
    for ((name, first), last) in ["seeder", "tracker"].iter().zip(first).zip(last) {
        figures.push_str(&format!(
            "; {name}: RSS {} → {} MiB, descriptors {} → {}, threads {} → {}",
            mib(first.rss_kib),
            mib(last.rss_kib),
            first.descriptors,
            last.descriptors,
            first.threads,
            last.threads
        ));
        flat &= last.rss_kib > 0 && last.rss_kib <= first.rss_kib + growth;
        flat &= last.descriptors <= first.descriptors + 8 && last.threads <= first.threads;
    }
    if flat { Ok(figures) } else { Err(figures) }
}
