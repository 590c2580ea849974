//! Sixty-four descriptors for a torrent of three hundred files, with strangers that hold sockets:
//! nothing is lost, and nothing spins.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::swarm::PATIENCE;
use super::{Bench, Outcome};

/// Files of the torrent.
const FILES: usize = 300;
/// Connections of strangers; more than there are descriptors.
const STRANGERS: usize = 100;
/// Descriptors in use, of 64, with which strangers have taken all that they can get.
const FULL: usize = 60;

pub(super) fn run(bench: &Bench) -> Outcome {
    let torrent = bench.torrent(FILES, 20_000, None)?;
    let few = || bench.client_in_shell("ulimit -n 64");
    let (mut seeder, addr) = bench.seed(&torrent, few(), &["--no-trackers"])?;
    let mut strangers = Vec::new();
    for _ in 0..STRANGERS {
        strangers.extend(TcpStream::connect_timeout(&addr, Duration::from_secs(1)));
    }
    let before = seeder.usage();
    thread::sleep(Duration::from_secs(3));
    let after = seeder.usage();
    let is_full = strangers.len() == STRANGERS && after.descriptors >= FULL;
    let busy = after.ticks.saturating_sub(before.ticks) / 3;
    drop(strangers);
    let peer = addr.to_string();
    let mut leecher = bench.leech(&torrent, few(), "out", &["--peer", &peer, "--no-trackers"])?;
    let well = leecher.end(PATIENCE)?;
    let figures = format!(
        "64 descriptors, {FILES} files, {STRANGERS} strangers: {} held, {busy} % of a core while full (≤ 50), delivered: {well}",
        after.descriptors
    );
    if !well || !is_full || busy > 50 || !seeder.is_running() {
        return Err(figures);
    }
    bench.verify(&torrent, "out")?;
    Ok(figures)
}
