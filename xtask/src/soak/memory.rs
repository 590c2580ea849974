//! A session among peers that make it hold as much as they can, inside a memory cap.

use std::fs;
use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use super::process::eventually;
use super::swarm::{PATIENCE, connect_from, exists, handshake, mib, send};
use super::{Bench, Outcome};

/// The cap, above which the program would be killed.
const CAP: u64 = 192 << 20;
/// What the program promises to stay below by itself.
const PROMISED_KIB: u64 = 64 * 1024;
/// Peers that ask for much, read nothing, and stop in the middle of a large message. A seed gives
/// each its turn of thirty seconds, twenty at a time, so that a newcomer waits up to a minute.
const HOSTILE: u32 = 40;
/// So many of them have their turn at one time, at least.
const AT_ONCE: usize = 16;
/// What has come for each of these and was not read: more than one block.
const UNREAD: usize = 64 * 1024;
/// Messages of BEP 3.
const INTERESTED: &[u8] = &[0, 0, 0, 1, 2];
const UNCHOKE: &[u8] = &[0, 0, 0, 1, 1];

/// Where a group's files are, and the name of its limit, by the version of the interface.
fn group() -> Option<(&'static str, &'static str)> {
    if exists("/sys/fs/cgroup/memory/memory.limit_in_bytes") {
        return Some(("/sys/fs/cgroup/memory", "memory.limit_in_bytes"));
    }
    exists("/sys/fs/cgroup/cgroup.controllers").then_some(("/sys/fs/cgroup", "memory.max"))
}

/// Of a seeder that shows all it has.
pub(super) fn plain(bench: &Bench) -> Outcome {
    run(bench, &[], AT_ONCE)
}

/// Of one that holds the only copy and reveals it piece by piece: it refuses what was not revealed, so that little is
/// left unread.
pub(super) fn spreading(bench: &Bench) -> Outcome {
    run(bench, &["--skip-check"], 0)
}

fn run(bench: &Bench, more: &[&str], unread: usize) -> Outcome {
    let (root, limit) = group().ok_or("this machine has no memory groups")?;
    let folder = format!("{root}/bt-soak-{}", std::process::id());
    let made = fs::create_dir(&folder)
        .and_then(|()| fs::write(format!("{folder}/{limit}"), CAP.to_string()));
    made.map_err(|e| format!("{folder}: {e}; run this as root"))?;
    let outcome = capped(bench, &folder, more, unread);
    // The group can go once its processes have gone.
    eventually(Duration::from_secs(5), || fs::remove_dir(&folder).is_ok());
    outcome
}

fn capped(bench: &Bench, group: &str, more: &[&str], least_unread: usize) -> Outcome {
    let torrent = bench.torrent(1, 32 << 20, None)?;
    let capped = bench.client_in_shell(&format!("echo $$ > {group}/cgroup.procs"));
    let options = [&["--no-trackers", "--max-peers", "400"], more].concat();
    let (mut seeder, addr) = bench.seed(&torrent, capped, &options)?;
    let mut hostile: Vec<TcpStream> = (0..HOSTILE)
        .filter_map(|number| connect_from(number, addr))
        .collect();
    let connected = hostile.len();
    for (number, stream) in (0..).zip(&mut hostile) {
        let mut bytes = handshake(&torrent, number);
        // Byte 25 of the reserved bits offers the extension protocol.
        if let Some(byte) = bytes.get_mut(25) {
            *byte = 0x10;
        }
        bytes.extend_from_slice(INTERESTED);
        send(stream, &bytes);
    }
    // Requests of a peer that is choked are refused at once: what may be asked for is asked after the unchoke.
    let mut asking = vec![false; connected];
    let all_ask = eventually(Duration::from_secs(30), || {
        for ((number, stream), asks) in (0..).zip(&mut hostile).zip(&mut asking) {
            *asks = *asks || (is_unchoked(stream) && send(stream, &demands(number)));
        }
        asking.iter().filter(|asks| **asks).count() >= AT_ONCE
    });
    if connected < HOSTILE as usize || !all_ask {
        return Err(format!(
            "{connected} hostile peers connected, and fewer than {AT_ONCE} of them were unchoked"
        ));
    }
    let peer = addr.to_string();
    let mut leecher = bench.leech(
        &torrent,
        bench.client(),
        "out",
        &["--peer", &peer, "--no-trackers"],
    )?;
    let mut most = 0;
    let ended = eventually(PATIENCE, || {
        most = most.max(seeder.usage().rss_kib);
        !leecher.is_running()
    });
    let well = ended && leecher.end(Duration::from_millis(1))?;
    let mut buffer = vec![0; UNREAD];
    let mut waits =
        |stream: &TcpStream| stream.peek(&mut buffer).is_ok_and(|bytes| bytes == UNREAD);
    let unread = hostile
        .iter()
        .map(&mut waits)
        .filter(|waits| *waits)
        .count();
    let figures = format!(
        "cap {} MiB, {connected} hostile peers, {unread} of them with blocks unread (≥ {least_unread}), RSS at most {} MiB (≤ {}), \
         still running: {}, delivered: {well}",
        CAP >> 20,
        mib(most),
        mib(PROMISED_KIB),
        seeder.is_running()
    );
    if !well || unread < least_unread || !seeder.is_running() || most > PROMISED_KIB {
        return Err(figures);
    }
    bench.verify(&torrent, "out")?;
    Ok(figures)
}

/// Whether the seeder has unchoked this peer; reads what has come.
fn is_unchoked(stream: &mut TcpStream) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let _ = stream.set_nonblocking(true);
    let read = stream.read(&mut buffer).unwrap_or(0);
    let read = buffer.get(..read).unwrap_or_default();
    read.windows(UNCHOKE.len()).any(|window| window == UNCHOKE)
}

/// Two thousand requests, then an unknown message of 1 MiB or an extension message of 512 KiB of which only the beginning
/// comes.
fn demands(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in 0..2_000_u32 {
        bytes.extend_from_slice(&[0, 0, 0, 13, 6]);
        bytes.extend((block / 16).to_be_bytes());
        bytes.extend((block % 16 * 16_384).to_be_bytes());
        bytes.extend(16_384_u32.to_be_bytes());
    }
    bytes.extend_from_slice(if number.is_multiple_of(2) {
        &[0, 0x10, 0, 0, 99]
    } else {
        &[0, 8, 0, 1, 20, 1]
    });
    bytes.resize(bytes.len() + 30_000, 0);
    bytes
}
