//! A session with very many torrents that nobody asks for: what it costs to have them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bt_bencode::Encoder;
use bt_client::engine::State;
use bt_client::{AddTorrent, Check, Session, SessionConfig};
use bt_metainfo::Metainfo;
use bt_metainfo::lanes::sha1_each;

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

/// How long all may take to become seeds.
const PATIENCE: Duration = Duration::from_secs(120);

/// This group runs first, so that the memory of the process is that of the session.
pub(crate) fn run(setting: &Setting) -> Result<(), String> {
    let (count, watch) = if setting.smoke {
        (SMOKE_TORRENTS, SMOKE_WATCH)
    } else {
        (TORRENTS, WATCH)
    };
    let folder = Folder::new("idle")?;
    let torrents = torrents(&folder, count)?;
    let before = resident();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let begin = Instant::now();
    let session = runtime.block_on(start(&folder, &torrents))?;
    let seeding = || {
        let all = session.torrents();
        all.len() == count && all.iter().all(|torrent| torrent.state() == State::Seeding)
    };
    while !seeding() {
        if begin.elapsed() > PATIENCE {
            return Err(format!(
                "not all of {count} torrents seed after {PATIENCE:?}"
            ));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let ready = begin.elapsed();
    let cpu = process::own_cpu();
    thread::sleep(watch);
    let share = (process::own_cpu() - cpu) / watch.as_secs_f64();
    let resident = resident();
    let name = format!("idle: {count} seeding torrents");
    println!("{name}: ready after {:.2} s", ready.as_secs_f64());
    println!(
        "{name}: {:.0} MiB resident, {:.1} KiB more for each torrent",
        mib(resident),
        resident.saturating_sub(before) as f64 / 1024.0 / count as f64
    );
    println!("{name}: {:.2} % of a core", share * 100.0);
    println!(
        "{name}: {} threads, {} descriptors",
        entries("task"),
        entries("fd")
    );
    runtime.block_on(session.stop());
    Ok(())
}

async fn start(folder: &Folder, torrents: &[Vec<u8>]) -> Result<Session, String> {
    let config = SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    };
    let session = Session::start(config)
        .await
        .map_err(|error| error.to_string())?;
    for bytes in torrents {
        let metainfo = Metainfo::parse(bytes).map_err(|error| error.to_string())?;
        let mut add = AddTorrent::new(metainfo, folder.path());
        add.check = Check::Trust;
        add.spread = Some(false);
        session.add(add).await.map_err(|error| error.to_string())?;
    }
    Ok(session)
}

/// Torrent files, and the content of each: names of one and the same file.
fn torrents(folder: &Folder, count: usize) -> Result<Vec<Vec<u8>>, String> {
    let data: Vec<u8> = (0..FILE).map(|at| (at * at / 7) as u8).collect();
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

/// Bytes of memory that this process holds now.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    field(&status, "VmRSS:") * 1024
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Entries of a folder of this process.
fn entries(what: &str) -> usize {
    fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count)
}
