//! A session with very many torrents that nobody asks for: what it costs to have them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bt_bencode::Encoder;
use bt_client::engine::State;
use bt_client::state::Store;
use bt_client::{AddTorrent, Check, Session, SessionConfig, Torrent};
use bt_metainfo::Metainfo;
use bt_metainfo::lanes::sha1_each;
use tokio::runtime::Runtime;

use crate::content::Folder;
use crate::process::{self, field};
use crate::setting::Setting;

const TORRENTS: usize = 10_000;
const SMOKE_TORRENTS: usize = 200;

/// Each torrent is one file of four pieces.
const FILE: usize = 64 * 1024;
const PIECE: usize = 16 * 1024;

/// How long the idle session is watched.
const WATCH: Duration = Duration::from_secs(10);
const SMOKE_WATCH: Duration = Duration::from_millis(200);

/// What may be seen of ten thousand: seconds until all seed, MiB of memory, percent of a core afterwards, and
/// milliseconds for the state of each.
const TARGET_READY: f64 = 3.0;
const TARGET_MEMORY: f64 = 200.0;
const TARGET_IDLE: f64 = 1.0;
const TARGET_LIST: f64 = 50.0;

/// How long all may take to become seeds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The word by which this program starts itself for a session in a process of its own, so that the memory of the
/// process is that of the session.
pub(crate) const SESSION: &str = "idle-session";

pub(crate) fn run(setting: &Setting) -> Result<(), String> {
    let (count, watch) = if setting.smoke {
        (SMOKE_TORRENTS, SMOKE_WATCH)
    } else {
        (TORRENTS, WATCH)
    };
    let folder = Folder::new("idle")?;
    let state = folder.empty("state")?;
    prove(&folder, &state, count)?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg(SESSION).arg(&state);
    command.args([count.to_string(), watch.as_millis().to_string()]);
    let status = command.status().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    Err(format!("the session ended with {status}"))
}

/// A run before: all content is found to be good, and that is kept in `state`.
fn prove(folder: &Folder, state: &Path, count: usize) -> Result<(), String> {
    let torrents = torrents(folder, count)?;
    let runtime = runtime()?;
    runtime.block_on(async {
        let session = start(state).await?;
        for bytes in torrents {
            let metainfo = Metainfo::parse(&bytes).map_err(|error| error.to_string())?;
            let mut add = AddTorrent::new(metainfo, folder.path());
            add.check = Check::Proven;
            session.add(add).await.map_err(|error| error.to_string())?;
        }
        session.stop().await;
        Ok(())
    })
}

/// The session that is measured: state, torrents in it, milliseconds to watch.
pub(crate) fn session(arguments: &[String]) -> Result<(), String> {
    let [state, count, watch] = arguments else {
        return Err(format!("{SESSION} is for this program itself"));
    };
    let count: usize = count.parse().map_err(|_| "not a count".to_owned())?;
    let watch = Duration::from_millis(watch.parse().map_err(|_| "not a time".to_owned())?);
    let runtime = runtime()?;
    let begin = Instant::now();
    let (session, torrents) = runtime.block_on(async {
        let session = start(Path::new(state)).await?;
        let restored = session.restore().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((session, restored.torrents))
    })?;
    while !torrents
        .iter()
        .all(|torrent| torrent.state() == State::Seeding)
    {
        if begin.elapsed() > PATIENCE {
            return Err(format!(
                "not all of {count} torrents seed after {PATIENCE:?}"
            ));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let ready = begin.elapsed();
    if torrents.len() != count {
        return Err(format!("{} of {count} torrents came back", torrents.len()));
    }
    let starting = process::own_cpu();
    thread::sleep(watch);
    let share = (process::own_cpu() - starting) / watch.as_secs_f64();
    let (resident, peak) = (memory("VmRSS:"), memory("VmHWM:"));
    let asked = Instant::now();
    let seeds = torrents
        .iter()
        .map(Torrent::status)
        .filter(|status| status.state == State::Seeding);
    let seeds = seeds.count();
    let list = asked.elapsed().as_secs_f64() * 1e3;
    let name = format!("idle: {count} seeding torrents");
    println!(
        "{name}: all seed after {:.2} s and {starting:.2} CPU s (target {TARGET_READY} s)",
        ready.as_secs_f64()
    );
    println!("{name}: {resident:.0} MiB resident, {peak:.0} at most (target {TARGET_MEMORY} MiB)");
    println!(
        "{name}: {:.2} % of a core (target {TARGET_IDLE} %)",
        share * 100.0
    );
    println!("{name}: the state of {seeds} in {list:.1} ms (target {TARGET_LIST} ms)");
    println!(
        "{name}: {} threads, {} descriptors",
        entries("task"),
        entries("fd")
    );
    runtime.block_on(session.stop());
    let broken = ready.as_secs_f64() > TARGET_READY
        || peak > TARGET_MEMORY
        || share * 100.0 > TARGET_IDLE
        || list > TARGET_LIST
        || seeds != count;
    // A quick look at a few is no measurement of how fast this machine is.
    if broken && count == TORRENTS {
        return Err("a target was missed".to_owned());
    }
    Ok(())
}

fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

async fn start(state: &Path) -> Result<Session, String> {
    let config = SessionConfig {
        trackers: false,
        state: Some(Store::open(state).map_err(|error| error.to_string())?),
        ..SessionConfig::default()
    };
    Session::start(config)
        .await
        .map_err(|error| error.to_string())
}

/// Torrent files, and the content of each: names of one and the same file.
fn torrents(folder: &Folder, count: usize) -> Result<Vec<Vec<u8>>, String> {
    let data: Vec<u8> = (0..251).cycle().take(FILE).collect();
    let pieces: Vec<[&[u8]; 1]> = data.chunks(PIECE).map(|piece| [piece]).collect();
    let pieces: Vec<&[&[u8]]> = pieces.iter().map(<[_; 1]>::as_slice).collect();
    let hashes = sha1_each(&pieces).concat();
    let first = folder.path().join("first");
    fs::write(&first, &data).map_err(|error| error.to_string())?;
    (0..count)
        .map(|number| {
            let name = format!("file {number:05}.bin");
            link(&first, &folder.path().join(&name))?;
            let mut encoder = Encoder::new();
            let written = encoder.dict(|root| {
                root.dict("info", |info| {
                    info.int("length", FILE)?;
                    info.bytes("name", &name)?;
                    info.int("piece length", PIECE)?;
                    info.bytes("pieces", &hashes)
                })
            });
            written.map_err(|error| error.to_string())?;
            Ok(encoder.finish())
        })
        .collect()
}

fn link(first: &Path, name: &Path) -> Result<(), String> {
    fs::hard_link(first, name).map_err(|error| format!("{}: {error}", name.display()))
}

/// MiB of memory of this process, by a name of its `status`.
fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, name) as f64 / 1024.0
}

/// Entries of a folder of this process.
fn entries(what: &str) -> usize {
    fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count)
}
