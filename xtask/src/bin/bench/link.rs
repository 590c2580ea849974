//! One peer at the end of a long fat link: how soon it is full.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::content::{Content, Folder};
use crate::process::{Program, free_port, is_listening, ours};
use crate::relay::{Relay, Shape};
use crate::setting::Setting;

/// 500 Mbit/s and a round trip of 100 ms.
const SHAPE: Shape = Shape {
    delay: Duration::from_millis(50),
    rate: 62_500_000,
};

/// Seconds that are looked at, from the moment at which the leecher connects.
const SECONDS: u64 = 10;

/// Share of the link that counts as full, and the second in which it must be.
const FULL: f64 = 0.9;
const SOON: usize = 5;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(setting: &Setting) -> Result<(), String> {
    let seconds = if setting.smoke { 1 } else { SECONDS };
    // What the link carries in that time, and one second more.
    let mib = setting.size((seconds + 1) * 60, 16);
    let folder = Folder::new("link")?;
    let content = Content::make(&folder, mib, None)?;
    for round in 0..setting.rounds(1) {
        let shares = shares(&folder, &content, seconds)?;
        let shown: Vec<String> = shares.iter().map(|share| format!("{share:.2}")).collect();
        let full = shares.iter().position(|share| *share >= FULL);
        let verdict = match full.map(|at| at + 1) {
            Some(second) if second <= SOON => format!("full in second {second}"),
            Some(second) => format!("full in second {second}, target {SOON}"),
            None if setting.smoke => "too short to tell".to_owned(),
            None => format!("not full in {seconds} s"),
        };
        println!(
            "link: 500 Mbit/s, 100 ms, round {}: share of the link by second: {}; {verdict}",
            round + 1,
            shown.join(" ")
        );
    }
    Ok(())
}

/// Shares of the link that were used in each second after the leecher had connected.
fn shares(folder: &Folder, content: &Content, seconds: u64) -> Result<Vec<f64>, String> {
    let port = free_port()?;
    let mut seed = Command::new(ours()?);
    seed.arg("seed").arg(&content.torrent);
    seed.arg("--data").arg(&content.dir);
    seed.args([
        "--bind",
        "127.0.0.1",
        "--no-trackers",
        "--json",
        "-p",
        &port.to_string(),
    ]);
    let mut seeder = Program::start(&mut seed, &folder.path().join("seed.log"))?;
    seeder.until(PATIENCE, "does not listen", || is_listening(port))?;
    let relay = Relay::start(([127, 0, 0, 1], port).into(), SHAPE).map_err(|e| e.to_string())?;
    let target = folder.empty("target")?;
    let mut leech = Command::new(ours()?);
    leech
        .arg("download")
        .arg(&content.torrent)
        .arg("-o")
        .arg(&target);
    leech.args(["--bind", "127.0.0.1", "--no-trackers", "--json"]);
    leech.arg("--peer").arg(relay.addr.to_string());
    let mut leecher = Program::start(&mut leech, &folder.path().join("leech.log"))?;
    leecher.until(PATIENCE, "does not connect", || relay.since().is_some())?;
    let since = relay.since().unwrap_or_else(Instant::now);
    let mut before = 0;
    let mut shares = Vec::new();
    for second in 1..=seconds {
        let at = since + Duration::from_secs(second);
        thread::sleep(at.saturating_duration_since(Instant::now()));
        let now = relay.delivered();
        shares.push((now - before) as f64 / f64::from(SHAPE.rate));
        before = now;
    }
    Ok(shares)
}
