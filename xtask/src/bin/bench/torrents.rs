//! Programs that make torrents and check content against them, in turns.

use std::path::{Path, PathBuf};
use std::process::Command;

use bt_metainfo::lanes::sha1_each;

use crate::content::{Content, Folder};
use crate::measure::median;
use crate::peers::{has_module, in_path, python};
use crate::process::{Cost, measured, ours};
use crate::setting::Setting;

/// MiB of content.
const SIZE: u64 = 1024;
const SMOKE_SIZE: u64 = 16;

/// A way to do the job.
struct Contestant {
    name: &'static str,
    /// What to run, if it is installed.
    command: Option<Command>,
    costs: Vec<Cost>,
}

/// Makes a torrent: content, output.
const LIBTORRENT_CREATE: &str = "
import libtorrent as lt, os, sys
files = lt.file_storage()
lt.add_files(files, sys.argv[1])
torrent = lt.create_torrent(files, 1 << 20, lt.create_torrent.v1_only)
lt.set_piece_hashes(torrent, os.path.dirname(sys.argv[1]))
open(sys.argv[2], 'wb').write(lt.bencode(torrent.generate()))
";

/// Checks content: torrent, folder.
const LIBTORRENT_VERIFY: &str = "
import libtorrent as lt, os, sys
session = lt.session({
    'listen_interfaces': '', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
    'hashing_threads': os.cpu_count(), 'alert_mask': lt.alert.category_t.status_notification,
})
add = lt.add_torrent_params()
add.ti, add.save_path = lt.torrent_info(sys.argv[1]), sys.argv[2]
add.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
handle = session.add_torrent(add)
while not handle.status().is_seeding:
    session.wait_for_alert(50)
    session.pop_alerts()
os._exit(0)
";

const TORF_CREATE: &str = "
import sys, torf
torrent = torf.Torrent(path=sys.argv[1], piece_size=1 << 20)
torrent.generate()
torrent.write(sys.argv[2], overwrite=True)
";

const TORF_VERIFY: &str = "
import os, sys, torf
torrent = torf.Torrent.read(sys.argv[1])
sys.exit(not torrent.verify(os.path.join(sys.argv[2], torrent.name)))
";

pub(crate) fn create(setting: &Setting) -> Result<(), String> {
    race(setting, "create", |content, output| {
        let out = |program: PathBuf| {
            let mut command = Command::new(program);
            command.args(["create", "--quiet", "--force", "-s", "1MiB", "-o"]);
            command.arg(output).arg(&content.file);
            command
        };
        let threads = cores().to_string();
        let mktorrent = in_path("mktorrent").map(|program| {
            let mut command = Command::new(program);
            // It does not overwrite.
            command
                .args(["-t", &threads, "-l", "20", "-o"])
                .arg(output)
                .arg(&content.file);
            command
        });
        let imdl = in_path("imdl").map(|program| {
            let mut command = Command::new(program);
            command.args([
                "torrent",
                "create",
                "--force",
                "--piece-length",
                "1MiB",
                "--output",
            ]);
            command.arg(output).arg("--input").arg(&content.file);
            command
        });
        vec![
            Contestant::new("ours", ours().ok().map(out)),
            Contestant::new("mktorrent", mktorrent),
            Contestant::new("imdl", imdl),
            Contestant::new(
                "libtorrent",
                script("libtorrent", LIBTORRENT_CREATE, &content.file, output),
            ),
            Contestant::new("torf", script("torf", TORF_CREATE, &content.file, output)),
        ]
    })
}

pub(crate) fn verify(setting: &Setting) -> Result<(), String> {
    race(setting, "verify", |content, _| {
        let ours = ours().ok().map(|program| {
            let mut command = Command::new(program);
            command
                .args(["verify", "--quiet"])
                .arg(&content.torrent)
                .arg(&content.dir);
            command
        });
        let imdl = in_path("imdl").map(|program| {
            let mut command = Command::new(program);
            command
                .args(["torrent", "verify", "--input"])
                .arg(&content.torrent);
            command.arg("--content").arg(&content.file);
            command
        });
        vec![
            Contestant::new("ours", ours),
            Contestant::new("imdl", imdl),
            Contestant::new(
                "libtorrent",
                script(
                    "libtorrent",
                    LIBTORRENT_VERIFY,
                    &content.torrent,
                    &content.dir,
                ),
            ),
            Contestant::new(
                "torf",
                script("torf", TORF_VERIFY, &content.torrent, &content.dir),
            ),
        ]
    })
}

impl Contestant {
    const fn new(name: &'static str, command: Option<Command>) -> Self {
        Self {
            name,
            command,
            costs: Vec::new(),
        }
    }
}

fn race(
    setting: &Setting,
    group: &str,
    contestants: impl Fn(&Content, &Path) -> Vec<Contestant>,
) -> Result<(), String> {
    let folder = Folder::new(group)?;
    let content = Content::make(&folder, setting.size(SIZE, SMOKE_SIZE), None)?;
    let output = folder.path().join("made.torrent");
    let log = folder.path().join("log");
    let mut contestants = contestants(&content, &output);
    if setting.alone {
        contestants.truncate(1);
    }
    for _ in 0..setting.rounds(5) {
        for contestant in &mut contestants {
            let Some(command) = &mut contestant.command else {
                continue;
            };
            let _ = std::fs::remove_file(&output);
            contestant.costs.push(measured(command, &log)?);
        }
    }
    let gib = content.bytes as f64 / f64::from(1 << 30);
    let mut first = None;
    for contestant in &contestants {
        if contestant.costs.is_empty() {
            println!("{group}: {} left out: it is not installed", contestant.name);
            continue;
        }
        let wall = median(contestant.costs.iter().map(|cost| cost.wall).collect());
        let cpu = median(contestant.costs.iter().map(|cost| cost.cpu).collect());
        let ours = *first.get_or_insert(wall);
        println!(
            "{group}: {:<12} {:>5} MiB {wall:>7.2} s ({:.2} of ours), {:.2} CPU s/GiB",
            contestant.name,
            content.bytes >> 20,
            wall / ours,
            cpu / gib
        );
    }
    if let Some(ours) = first {
        let bound = content.bytes as f64 / (one_stream(setting) * cores() as f64);
        println!(
            "{group}: one-stream SHA-1 on {} cores would take {bound:.2} s ({:.2} of ours)",
            cores(),
            bound / ours
        );
    }
    Ok(())
}

fn script(module: &str, text: &str, first: &Path, second: &Path) -> Option<Command> {
    let python = python().filter(|python| has_module(python, module))?;
    let mut command = Command::new(python);
    command.args(["-c", text]).arg(first).arg(second);
    Some(command)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Bytes per second of SHA-1 over one message after the other.
fn one_stream(setting: &Setting) -> f64 {
    let piece = vec![0xa5; 1 << 20];
    let one: [&[&[u8]]; 1] = [&[&piece]];
    let best = setting.meter.best(
        || (),
        |()| {
            std::hint::black_box(sha1_each(std::hint::black_box(&one)));
        },
    );
    piece.len() as f64 / best.as_secs_f64()
}
