//! A machine that sleeps in the middle of a transfer: to the programs on it all clocks jump at once. The download goes on
//! by itself, and nothing spins to make up for the time.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::process::eventually;
use super::swarm::PATIENCE;
use super::{Bench, Outcome};

/// What the seeder may send a second: the content takes about ten seconds.
const RATE: u64 = 2 * 1024 * 1024;
const SIZE: usize = 20 << 20;
/// After waking up, this long is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Percent of a core that a leecher may take then: it hashes and writes what comes.
const LIMIT_BUSY: u64 = 50;

pub(super) fn run(bench: &Bench) -> Outcome {
    let torrent = bench.torrent(1, SIZE, None)?;
    let up = RATE.to_string();
    let (seeder, addr) = bench.seed(&torrent, bench.client(), &["--no-trackers", "--up", &up])?;
    let before = seeder.usage().descriptors;
    let peer = addr.to_string();
    let options = ["--peer", &peer, "--no-trackers"];
    let mut leecher = bench.leech(&torrent, bench.client(), "out", &options)?;
    if !eventually(PATIENCE, || seeder.usage().descriptors > before) {
        return Err("the leecher never connected".to_owned());
    }
    thread::sleep(Duration::from_secs(2));
    signal("-STOP", leecher.pid)?;
    if !leecher.is_running() {
        return Err("the download was over before it could sleep".to_owned());
    }
    thread::sleep(bench.time);
    let ticks = leecher.usage().ticks;
    signal("-CONT", leecher.pid)?;
    let begin = Instant::now();
    thread::sleep(LOOK);
    let busy = leecher.usage().ticks.saturating_sub(ticks) / LOOK.as_secs();
    let well = leecher.end(PATIENCE)?;
    let figures = format!(
        "asleep for {} s in the middle of a download, {busy} % of a core after it (≤ {LIMIT_BUSY}), complete {:.1} s later: \
         {well}",
        bench.time.as_secs(),
        begin.elapsed().as_secs_f64()
    );
    if !well || busy > LIMIT_BUSY {
        return Err(figures);
    }
    bench.verify(&torrent, "out")?;
    Ok(figures)
}

fn signal(name: &str, pid: u32) -> Result<(), String> {
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("kill {name} {pid} ended with {status}")),
        Err(error) => Err(format!("kill: {error}")),
    }
}
