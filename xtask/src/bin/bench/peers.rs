//! The programs that move content: how each is found, and told to seed or to download.
//!
//! It must not know what is measured.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::content::{Content, NAME};
use crate::process::{Program, free_port, ours};

/// Moves content to its own kind, or to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Ours,
    /// No client: `sendfile` on one side; reading, hashing in one stream and writing on the other. It is not part of
    /// this repository: `FLOOR` names it.
    Floor,
    Libtorrent,
    Aria2,
    Rqbit,
    Transmission,
}

/// A program under way, and the file that appears when it has everything, if it does not end then.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) program: Program,
    pub(crate) marker: Option<PathBuf>,
    pub(crate) port: u16,
}

/// A libtorrent peer: torrent, folder, port, and the file to make when it is complete.
const LIBTORRENT: &str = r#"
import libtorrent as lt, sys
torrent, folder, port, marker = sys.argv[1:5]
session = lt.session({
    "listen_interfaces": "0.0.0.0:" + port, "alert_mask": lt.alert.category_t.status_notification,
    "enable_dht": False, "enable_lsd": False, "enable_upnp": False, "enable_natpmp": False,
    "enable_outgoing_utp": False, "enable_incoming_utp": False, "allow_multiple_connections_per_ip": True,
})
add = lt.add_torrent_params()
add.ti, add.save_path = lt.torrent_info(torrent), folder
add.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
handle = session.add_torrent(add)
while not handle.status().is_seeding:
    session.wait_for_alert(200)
    session.pop_alerts()
open(marker, "w").close()
while True:
    session.wait_for_alert(1000)
    session.pop_alerts()
"#;

impl Peer {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Floor => "floor",
            Self::Libtorrent => "libtorrent",
            Self::Aria2 => "aria2",
            Self::Rqbit => "rqbit",
            Self::Transmission => "transmission",
        }
    }

    /// What to start, if it is installed.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self {
            Self::Ours => ours().ok(),
            Self::Floor => from_environment("FLOOR").or_else(|| cached("own/release/floor")),
            Self::Libtorrent => python().filter(|python| has_module(python, "libtorrent")),
            Self::Aria2 => in_path("aria2c"),
            Self::Rqbit => from_environment("RQBIT")
                .or_else(|| cached("cargo/bin/rqbit"))
                .or_else(|| in_path("rqbit")),
            Self::Transmission => in_path("transmission-daemon"),
        }
    }

    /// Seeds `content`; it is ready when the tracker hears so, or when it listens if it does not announce.
    pub(crate) fn seed(self, content: &Content, home: &Path) -> Result<Running, String> {
        self.start(content, &content.dir, home, None)
    }

    /// Downloads `content` into `target`; `from` is for those that do not announce.
    pub(crate) fn leech(
        self,
        content: &Content,
        target: &Path,
        home: &Path,
        from: u16,
    ) -> Result<Running, String> {
        self.start(content, target, home, Some(from))
    }

    /// Whether it tells the tracker that it seeds.
    pub(crate) const fn announces(self) -> bool {
        !matches!(self, Self::Floor)
    }

    /// Divides the size of the content: what is so slow that the usual size would take minutes gets less of it.
    pub(crate) const fn divisor(self) -> u64 {
        match self {
            Self::Transmission => 8,
            _ => 1,
        }
    }

    fn start(
        self,
        content: &Content,
        dir: &Path,
        home: &Path,
        from: Option<u16>,
    ) -> Result<Running, String> {
        let program = self
            .find()
            .ok_or_else(|| format!("{} is not installed", self.name()))?;
        let side = if from.is_some() { "leech" } else { "seed" };
        let home = home.join(format!("{}-{side}", self.name()));
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).map_err(|error| format!("{}: {error}", home.display()))?;
        let port = free_port()?;
        let marker = home.join("complete");
        let mut command = Command::new(program);
        command.env("HOME", &home).current_dir(&home);
        for name in [
            "XDG_CONFIG_HOME",
            "XDG_DATA_HOME",
            "XDG_STATE_HOME",
            "XDG_CACHE_HOME",
        ] {
            command.env(name, &home);
        }
        let mut waits = false;
        match self {
            Self::Ours => ours_speaks(&mut command, content, dir, port, from.is_some()),
            Self::Floor => floor_speaks(&mut command, content, dir, port, from),
            Self::Libtorrent => {
                waits = true;
                command
                    .args(["-c", LIBTORRENT])
                    .arg(&content.torrent)
                    .arg(dir);
                command.arg(port.to_string()).arg(&marker);
            }
            Self::Aria2 => {
                waits = from.is_some();
                aria2_speaks(&mut command, content, dir, port, waits);
                command
                    .arg("--on-bt-download-complete")
                    .arg(hook(&home, &marker)?);
            }
            Self::Rqbit => {
                command.args([
                    "--disable-dht",
                    "--disable-lsd",
                    "--disable-upnp-port-forward",
                ]);
                command.args([
                    "--listen-port",
                    &port.to_string(),
                    "download",
                    "--disable-http-api",
                ]);
                command.arg("--overwrite").arg("-o").arg(dir);
                command.args(from.map(|_| "-e")).arg(&content.torrent);
            }
            Self::Transmission => {
                waits = true;
                transmission_speaks(&mut command, content, dir, port, &home, &marker)?;
            }
        }
        Ok(Running {
            program: Program::start(&mut command, &home.join("log"))?,
            marker: waits.then_some(marker),
            port,
        })
    }
}

fn ours_speaks(command: &mut Command, content: &Content, dir: &Path, port: u16, leech: bool) {
    if leech {
        command
            .arg("download")
            .arg(&content.torrent)
            .arg("-o")
            .arg(dir);
    } else {
        command
            .arg("seed")
            .arg(&content.torrent)
            .arg("--data")
            .arg(dir);
    }
    command.args(["--json", "-p", &port.to_string()]);
}

fn floor_speaks(
    command: &mut Command,
    content: &Content,
    dir: &Path,
    port: u16,
    from: Option<u16>,
) {
    match from {
        None => command
            .arg("send")
            .arg(&content.file)
            .arg(format!("127.0.0.1:{port}")),
        Some(from) => command
            .arg("recv")
            .arg(format!("127.0.0.1:{from}"))
            .arg(dir.join(NAME))
            .args(["256", "full"]),
    };
}

fn aria2_speaks(command: &mut Command, content: &Content, dir: &Path, port: u16, leech: bool) {
    command.args([
        "-q",
        "--no-conf=true",
        "--enable-dht=false",
        "--enable-dht6=false",
    ]);
    command.args([
        "--bt-enable-lpd=false",
        "--file-allocation=none",
        "--summary-interval=0",
    ]);
    command
        .arg(format!("--listen-port={port}"))
        .arg("-d")
        .arg(dir);
    if leech {
        command.arg("--seed-time=0");
    } else {
        command.args(["-V", "--seed-ratio=0.0"]);
    }
    command.arg(&content.torrent);
}

fn transmission_speaks(
    command: &mut Command,
    content: &Content,
    dir: &Path,
    port: u16,
    home: &Path,
    marker: &Path,
) -> Result<(), String> {
    let hook = hook(home, marker)?;
    let watched = home.join("watch");
    let settings = format!(
        r#"{{"download-dir": "{}", "peer-port": {port}, "rpc-port": {}, "watch-dir": "{}", "watch-dir-enabled": true,
        "dht-enabled": false, "lpd-enabled": false, "utp-enabled": false, "port-forwarding-enabled": false,
        "preallocation": 0, "encryption": 0, "rename-partial-files": false,
        "script-torrent-done-enabled": true, "script-torrent-done-filename": "{}"}}"#,
        dir.display(),
        free_port()?,
        watched.display(),
        hook.display()
    );
    let written = fs::create_dir_all(&watched)
        .and_then(|()| fs::copy(&content.torrent, watched.join("content.torrent")).map(drop))
        .and_then(|()| fs::write(home.join("settings.json"), settings));
    written.map_err(|error| format!("{}: {error}", home.display()))?;
    command.arg("-f").arg("-g").arg(home);
    Ok(())
}

/// A script that makes the marker.
fn hook(home: &Path, marker: &Path) -> Result<PathBuf, String> {
    let path = home.join("hook");
    let text = format!("#!/bin/sh\n: > '{}'\n", marker.display());
    let executable = fs::Permissions::from_mode(0o755);
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, executable))
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// The Python that has the modules: of `LT_PYTHON`, or where the continuous integration installs them.
pub(crate) fn python() -> Option<PathBuf> {
    from_environment("LT_PYTHON").or_else(|| cached("venv/bin/python"))
}

pub(crate) fn has_module(python: &Path, module: &str) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", &format!("import {module}")]);
    command.output().is_ok_and(|output| output.status.success())
}

/// A program in one of the folders of `PATH`.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

fn from_environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .map(PathBuf::from)
        .filter(|path| path.is_file())
}

/// Where the continuous integration installs programs that the system has no package of.
fn cached(path: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(cache.join("bt-peers").join(path)).filter(|path| path.is_file())
}
