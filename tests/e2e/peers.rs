//! The other programs: how each is found, and how it is made to seed or to download.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a peer is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Seed,
    Leech,
}

/// One of the other clients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    Libtorrent,
    Transmission,
    Aria2,
}

/// Says that a story is left out because a program is missing.
pub(crate) fn leave_out(story: &str, program: &str) {
    let line = format!("left out: {story} (needs {program})\n");
    match std::env::var_os("BT_LEFT_OUT_FILE") {
        Some(path) => {
            let file = fs::File::options().append(true).create(true).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes()))
                .expect("the list of left-out tests");
        }
        None => eprint!("{line}"),
    }
}

/// The interpreter that has libtorrent.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("BT_PEERS_PYTHON").map(PathBuf::from);
    let usual = std::env::var_os("HOME")
        .map(|home| Path::new(&home).join(".cache/bt-peers/venv/bin/python"));
    let python = named.or(usual).filter(|path| path.exists())?;
    let probe = Command::new(&python)
        .args(["-c", "import libtorrent"])
        .stderr(Stdio::null())
        .status();
    probe.is_ok_and(|status| status.success()).then_some(python)
}

/// A program on the path.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// A port that was free a moment ago. Programs that cannot take port 0 and say which they got need one.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

const LIBTORRENT: &str = r#"
import libtorrent as lt, sys
torrent, path, port = sys.argv[1:4]
s = lt.session({"listen_interfaces": "127.0.0.1:" + port, "enable_dht": False, "enable_lsd": False,
    "enable_upnp": False, "enable_natpmp": False, "alert_mask": lt.alert.category_t.storage_notification,
    "allow_multiple_connections_per_ip": True, "enable_outgoing_utp": False, "enable_incoming_utp": False})
p = lt.add_torrent_params(); p.ti = lt.torrent_info(torrent); p.save_path = path
p.flags &= ~lt.torrent_flags.auto_managed; p.flags &= ~lt.torrent_flags.paused
h = s.add_torrent(p)
asked = False
while True:
    s.wait_for_alert(100)
    for alert in s.pop_alerts():
        if isinstance(alert, lt.cache_flushed_alert):
            print("seeding", flush=True)
    if not asked and h.status().is_seeding:
        asked = True  # what it has is not on the disk before it says so
        h.flush_cache()
"#;

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Libtorrent => "libtorrent",
            Self::Transmission => "transmission-daemon",
            Self::Aria2 => "aria2c",
        }
    }

    pub(crate) fn is_here(self) -> bool {
        match self {
            Self::Libtorrent => python().is_some(),
            Self::Transmission | Self::Aria2 => program(self.name()).is_some(),
        }
    }

    /// Starts it on `torrent` with `parent` as the directory of the content; returns once it seeds, at once if it is to
    /// download. Its port and what can be asked about it come back.
    pub(crate) fn start(self, role: Role, torrent: &Path, parent: &Path, home: &Path) -> Peer {
        fs::create_dir_all(home).expect("a home");
        let port = free_port();
        let mut peer = match self {
            Self::Libtorrent => libtorrent(torrent, parent, port),
            Self::Transmission => transmission(torrent, parent, home, port),
            Self::Aria2 => aria2(role, torrent, parent, home, port),
        };
        if role == Role::Seed {
            peer.wait_until_seeding();
        }
        peer
    }
}

/// Another client at work.
#[derive(Debug)]
pub(crate) struct Peer {
    _running: Running,
    pub(crate) port: u16,
    sign: Sign,
}

/// How we learn that it has everything.
#[derive(Debug)]
enum Sign {
    /// A line on its standard output.
    Line(BufReader<std::process::ChildStdout>, &'static str),
    /// A file that its hook makes.
    File(PathBuf),
    /// Its port takes connections: it has checked what is there.
    Port(u16),
}

impl Peer {
    /// Blocks until it has everything.
    pub(crate) fn wait_until_seeding(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(180);
        match &mut self.sign {
            Sign::Line(out, wanted) => {
                let mut line = String::new();
                while !line.contains(*wanted) {
                    line.clear();
                    assert_ne!(
                        out.read_line(&mut line).expect("its output"),
                        0,
                        "it ended before it had everything"
                    );
                }
            }
            Sign::File(file) => wait(deadline, || file.exists()),
            Sign::Port(port) => wait(deadline, || {
                std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok()
            }),
        }
    }
}

/// Other programs have no event to wait for: look until it is so.
fn wait(deadline: Instant, mut so: impl FnMut() -> bool) {
    while !so() {
        assert!(
            Instant::now() < deadline,
            "the other program did not get there in time"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

fn libtorrent(torrent: &Path, parent: &Path, port: u16) -> Peer {
    let mut command = Command::new(python().expect("asked before"));
    command
        .args(["-c", LIBTORRENT])
        .arg(torrent)
        .arg(parent)
        .arg(port.to_string());
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("libtorrent runs");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    Peer {
        _running: Running(child),
        port,
        sign: Sign::Line(out, "seeding"),
    }
}

fn transmission(torrent: &Path, parent: &Path, home: &Path, port: u16) -> Peer {
    let done = home.join("done");
    let hook = home.join("hook.sh");
    fs::write(&hook, format!("#!/bin/sh\n: > '{}'\n", done.display())).expect("a hook");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).expect("an executable hook");
    let watch = home.join("watch");
    fs::create_dir_all(&watch).expect("a watch directory");
    let settings = serde_json::json!({
        "download-dir": parent, "peer-port": port, "rpc-port": free_port(), "rpc-bind-address": "127.0.0.1",
        "dht-enabled": false, "lpd-enabled": false, "utp-enabled": false, "pex-enabled": false,
        "port-forwarding-enabled": false, "preallocation": 0, "encryption": 0, "rename-partial-files": false,
        "script-torrent-done-enabled": true, "script-torrent-done-filename": hook,
        "watch-dir": watch, "watch-dir-enabled": true, "start-added-torrents": true, "speed-limit-up-enabled": false,
    });
    fs::write(home.join("settings.json"), settings.to_string()).expect("settings");
    fs::copy(torrent, watch.join("it.torrent")).expect("the torrent");
    let mut command = Command::new(program("transmission-daemon").expect("asked before"));
    command
        .args(["-f", "-g"])
        .arg(home)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let child = command.spawn().expect("transmission runs");
    Peer {
        _running: Running(child),
        port,
        sign: Sign::File(done),
    }
}

fn aria2(role: Role, torrent: &Path, parent: &Path, home: &Path, port: u16) -> Peer {
    let done = home.join("done");
    let hook = home.join("hook.sh");
    fs::write(&hook, format!("#!/bin/sh\n: > '{}'\n", done.display())).expect("a hook");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&hook, mode).expect("an executable hook");
    let mut command = Command::new(program("aria2c").expect("asked before"));
    command
        .args([
            "-q",
            "--no-conf=true",
            "--enable-dht=false",
            "--enable-dht6=false",
            "--bt-enable-lpd=false",
        ])
        .args([
            "--enable-peer-exchange=false",
            "--file-allocation=none",
            "--seed-ratio=0.0",
            "--disable-ipv6=true",
        ])
        .arg(format!("--listen-port={port}"))
        .arg(format!("--dir={}", parent.display()))
        .arg(format!("--on-bt-download-complete={}", hook.display()));
    if role == Role::Seed {
        command.arg("--check-integrity=true");
    }
    let child = command
        .arg(torrent)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("aria2 runs");
    let sign = if role == Role::Seed {
        Sign::Port(port)
    } else {
        Sign::File(done)
    };
    Peer {
        _running: Running(child),
        port,
        sign,
    }
}

/// A running opentracker that tracks the torrents of `hashes`.
pub(crate) fn opentracker(hashes: &[String], home: &Path) -> (Running, String) {
    fs::create_dir_all(home).expect("a home");
    // It makes the directory its root and reads the list there as nobody.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(home, mode).expect("a directory for everybody");
    fs::write(home.join("whitelist"), hashes.join("\n") + "\n").expect("a whitelist");
    let port = free_port();
    let mut command = Command::new(program("opentracker").expect("asked before"));
    command
        .args(["-i", "127.0.0.1", "-p"])
        .arg(port.to_string())
        .arg("-P")
        .arg(port.to_string());
    command.arg("-d").arg(home).args(["-w", "whitelist"]);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let running = Running(child.expect("opentracker runs"));
    let deadline = Instant::now() + Duration::from_secs(20);
    wait(deadline, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    (running, format!("http://127.0.0.1:{port}/announce"))
}
