//! A disk that takes its time for every write: memory stays bounded, no peer is given up.

use std::process::Command;
use std::time::{Duration, Instant};

use super::process::eventually;
use super::swarm::{PATIENCE, mib, needs};
use super::{Bench, Outcome};

/// Content; well above the 64 MiB that may wait in memory.
const SIZE: usize = 96 << 20;
/// Memory a leecher may take: its budget of 64 MiB, its buffers, and the program itself.
const LIMIT_KIB: u64 = 160 * 1024;
/// The end of the download before is known to the seeder by then.
const SETTLED: Duration = Duration::from_secs(5);
/// The content takes less than a second otherwise: whoever is faster than this was not held up.
const LEAST_TIME: f64 = 5.0;
/// Calls that write, each held up for 150 milliseconds, and calls that sync, for two seconds.
const WRITES: &str = "pwrite64,pwritev,pwritev2";
const SYNCS: &str = "fdatasync,fsync,syncfs";
const WRITE_DELAY: u64 = 150_000;
const SYNC_DELAY: u64 = 2_000_000;

pub(super) fn run(bench: &Bench) -> Outcome {
    needs("strace")?;
    let torrent = bench.torrent(1, SIZE, None)?;
    let (seeder, addr) = bench.seed(&torrent, bench.client(), &["--no-trackers"])?;
    // What the seeder opens once and keeps is open then.
    bench.download(&torrent, addr, "before")?;
    let mut alone = usize::MAX;
    eventually(SETTLED, || {
        let now = seeder.usage().descriptors;
        std::mem::replace(&mut alone, now) == now
    });
    let mut traced = Command::new("strace");
    traced.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={WRITES},{SYNCS}"),
    ]);
    for (calls, delay) in [(WRITES, WRITE_DELAY), (SYNCS, SYNC_DELAY)] {
        traced.args(["-e", &format!("inject={calls}:delay_enter={delay}")]);
    }
    traced
        .arg(bench.programs.join("bt-client"))
        .arg("--home")
        .arg(bench.folder.join("home"));
    let peer = addr.to_string();
    let begin = Instant::now();
    let mut leecher = bench.leech(&torrent, traced, "out", &["--peer", &peer, "--no-trackers"])?;
    leecher.measure_child("bt-client")?;
    let (mut most, mut given_up, mut connected, mut ever) = (0, 0, false, false);
    while leecher.is_running() && begin.elapsed() < PATIENCE {
        most = most.max(leecher.usage().rss_kib);
        let now_connected = seeder.usage().descriptors > alone;
        // When all is there, the leecher goes; so the last end of the connection is none of giving up.
        given_up += u32::from(connected && !now_connected && leecher.is_running());
        connected = now_connected;
        ever |= connected;
        std::thread::sleep(Duration::from_millis(50));
    }
    let given_up = given_up.saturating_sub(u32::from(!connected));
    // Whatever the seeder has opened meanwhile would have hidden that the connection was gone.
    let told = ever && eventually(PATIENCE, || seeder.usage().descriptors <= alone);
    let well = leecher.end(PATIENCE)?;
    let took = begin.elapsed().as_secs_f64();
    let figures = format!(
        "{} MiB with 150 ms a write and 2 s a sync in {took:.1} s, RSS at most {} MiB (≤ {}), seeder {} MiB, \
         the connection given up {given_up} times (0), delivered: {well}",
        SIZE >> 20,
        mib(most),
        mib(LIMIT_KIB),
        mib(seeder.usage().rss_kib)
    );
    if !told {
        return Err(format!(
            "cannot tell whether a connection was given up; {figures}"
        ));
    }
    if !well || given_up > 0 || took < LEAST_TIME || !(1024..=LIMIT_KIB).contains(&most) {
        return Err(figures);
    }
    bench.verify(&torrent, "out")?;
    Ok(figures)
}
