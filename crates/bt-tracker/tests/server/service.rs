//! The program as a service: sockets handed over, killed and started again, watched.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cli::{Running, failure, program, run, with};
use crate::harness::{Connection, announce, eventually, get, local, ports, query};

/// Waits until everything of before this call is in the file.
fn written(path: &Path) {
    let version = || std::fs::metadata(path).map(|file| file.ino()).ok();
    // The one that is being written may have begun before.
    for _ in 0..2 {
        let before = version();
        eventually("the file is written", || version() != before);
    }
}

#[test]
fn after_a_kill_the_peers_are_known_again_within_a_second() {
    const PEERS: u16 = 500;
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("swarms");
    let arguments = with(&[
        "--snapshot",
        snapshot.to_str().unwrap(),
        "--snapshot-every",
        "1s",
    ]);
    let mut tracker = Running::start(&arguments);
    let mut connection = Connection::open(tracker.http());
    for port in 1..=PEERS {
        connection.get(&format!("/announce?{}", query(1, port, 5, "")));
    }
    written(&snapshot);
    // A busy machine gets three tries; what is promised is that it can be done.
    let fastest = (0..3)
        .map(|_| {
            tracker.signal(Signal::KILL);
            let start = Instant::now();
            let next = Running::start(&arguments);
            std::mem::replace(&mut tracker, next).end();
            let response = announce(tracker.http(), 1, 1, 5, "&numwant=100").unwrap();
            let took = start.elapsed();
            assert_eq!(response.incomplete, Some(PEERS.into()));
            assert_eq!(ports(&response).len(), 100);
            took
        })
        .min();
    assert!(fastest < Some(Duration::from_secs(1)), "{fastest:?}");

    // What is no whole snapshot, or of a later version, is said and left out, and the tracker starts.
    tracker.signal(Signal::KILL);
    tracker.end();
    let whole = std::fs::read(&snapshot).unwrap();
    for (bytes, says) in [
        (&whole[..whole.len() - 9], "it is torn"),
        (&b"BTSWARMS\0\0\0\x09 of later"[..], "it has version 9"),
    ] {
        std::fs::write(&snapshot, bytes).unwrap();
        let tracker = Running::start(&with(&["--snapshot", snapshot.to_str().unwrap()]));
        assert_eq!(
            announce(tracker.http(), 1, 1, 5, "").unwrap().incomplete,
            Some(1)
        );
        tracker.signal(Signal::TERM);
        let (code, _, err) = tracker.end();
        assert_eq!(code, Some(0));
        assert!(
            err.contains("snapshot refused") && err.contains(says),
            "{err}"
        );
    }
}

#[test]
fn a_service_manager_can_hand_over_the_sockets() {
    let http = TcpListener::bind(local()).unwrap();
    let udp = UdpSocket::bind(local()).unwrap();
    let addresses: [SocketAddr; 2] = [http.local_addr().unwrap(), udp.local_addr().unwrap()];
    // The shell puts them where a service manager would.
    let handed_over = "exec 3<&0 4<&2 2>/dev/null </dev/null; \
                       LISTEN_PID=$$ LISTEN_FDS=2 exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            handed_over,
            "sh",
            env!("CARGO_BIN_EXE_bt-tracker"),
            "serve",
        ])
        .stdin(Stdio::from(OwnedFd::from(http)))
        .stderr(Stdio::from(OwnedFd::from(udp)))
        .stdout(Stdio::piped());
    let mut tracker = command.spawn().unwrap();
    let mut ready = String::new();
    let mut stdout = std::io::BufReader::new(tracker.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut ready).unwrap();
    let [http, udp] = addresses;
    assert_eq!(ready, format!("listening http={http} udp={udp}\n"));
    announce(http, 1, 1001, 5, "").unwrap();
    let url = format!("udp://{udp}/announce");
    let probe = run(&["probe", &url]);
    assert_eq!(probe.status.code(), Some(0), "{probe:?}");
    rustix::process::kill_process(rustix::process::Pid::from_child(&tracker), Signal::TERM)
        .unwrap();
    assert_eq!(tracker.wait().unwrap().code(), Some(0));
}

#[test]
fn a_running_tracker_is_watched() {
    let tracker = Running::start(&with(&["--stats-addr", "127.0.0.1:0"]));
    announce(tracker.http(), 1, 1001, 5, "").unwrap();
    let stats = tracker.address("stats=").to_string();
    let output = run(&["top", &stats, "--every", "100ms", "-n", "2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("udp/s"), "{text}");
    assert!(
        lines[1].contains(" - ") && !lines[2].contains(" - "),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "no terminal, no colors: {text}");
    let output = run(&[
        "--json",
        "top",
        "--stats-addr",
        &stats,
        "--every",
        "100ms",
        "-n",
        "2",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    assert!(last.contains("\"torrents\":1") && last.contains("\"udp_announces_per_second\":0"));
    tracker.signal(Signal::TERM);
    tracker.end();
    let (code, text) = failure(&["top", &stats]);
    assert!(
        code == 4 && text.contains("hint: is that the --stats-addr"),
        "{code} {text}"
    );
    let (code, _) = failure(&["top"]);
    assert_eq!(code, 2);
}

#[test]
fn manual_pages_and_completions_know_every_setting() {
    let page = String::from_utf8(run(&["man"]).stdout).unwrap();
    assert!(page.contains(".TH bt-tracker 1"), "{page}");
    for flag in [
        "admin\\-token\\-file",
        "snapshot\\-every",
        "BT_TRACKER_LOCALITY",
    ] {
        assert!(page.contains(flag), "{flag}");
    }
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["man", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(dir.path().join("bt-tracker-top.1").exists());
    for shell in ["bash", "zsh", "fish"] {
        let script = String::from_utf8(run(&["completions", shell]).stdout).unwrap();
        assert!(
            script.contains("admin-token-file") && script.contains("probe"),
            "{shell}"
        );
    }
}

#[test]
fn accounts_and_the_admin_token_are_settings_like_all_others() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&path, owner).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let keys = file("keys", "key-of-ann ann\n");
    let token = file("token", "0123456789abcdef-token\n");
    let accounts = dir.path().join("accounts").to_str().unwrap().to_owned();
    let passkey = [
        "--mode",
        "passkey",
        "--list",
        &keys,
        "--accounts",
        &accounts,
    ];
    let stats = ["--stats-addr", "127.0.0.1:0"];
    let all = [&passkey[..], &stats, &["--admin-token-file", &token]].concat();

    let mut printed = run(&[&["print-config"][..], &all].concat());
    let text = String::from_utf8(std::mem::take(&mut printed.stdout)).unwrap();
    assert!(
        text.contains("admin-token-file = ") && !text.contains("0123456789abcdef"),
        "{text}"
    );
    assert_eq!(
        run(&[&["check-config"][..], &all].concat()).status.code(),
        Some(0)
    );
    let short = file("short", "0123456789abcde");
    let check = |more: &[&str]| failure(&[&["check-config"][..], &passkey, &stats, more].concat());
    let (code, text) = check(&["--admin-token-file", &short]);
    assert!(code == 2 && text.contains("at least 16 letters"), "{text}");
    let (code, text) = check(&["--admin-token-file", "/no/such/token"]);
    assert!(code == 3 && text.contains("cause: No such file"), "{text}");
    let (code, text) = failure(&["check-config", "--admin-token-file", &token]);
    assert!(
        code == 2 && text.contains("an address for numbers"),
        "{text}"
    );
    let (code, text) = failure(&["check-config", "--accounts", &accounts]);
    assert!(code == 2 && text.contains("passkeys"), "{text}");
    let torn = file(
        "torn",
        "bt-tracker accounts 1 7\nuser key-of-ann 1 1 1 0 0 0\n",
    );
    let (code, text) = failure(&[
        "check-config",
        "--mode",
        "passkey",
        "--list",
        &keys,
        "--accounts",
        &torn,
    ]);
    assert!(
        code == 3 && text.contains("hint: it was left alone"),
        "{text}"
    );

    // The token may also come by the environment, and what is counted survives.
    let arguments = with(&[&passkey[..], &stats].concat());
    let mut command = program(&arguments);
    command.env("BT_TRACKER_ADMIN_TOKEN", "0123456789abcdef-token");
    let tracker = Running::spawn(&mut command);
    let announce = |uploaded: u32| {
        let query = query(1, 1001, 0, "").replace("uploaded=0", &format!("uploaded={uploaded}"));
        get(tracker.http(), &format!("/key-of-ann/announce?{query}"));
    };
    announce(0);
    announce(77);
    let users = Connection::open(tracker.address("stats="))
        .manage("GET", "/users", "0123456789abcdef-token")
        .text();
    assert!(users.contains("\"uploaded\":77"), "{users}");
    tracker.signal(Signal::TERM);
    assert_eq!(tracker.end().0, Some(0));
    let kept = std::fs::read_to_string(&accounts).unwrap();
    assert!(kept.contains("user key-of-ann 77 0 2 0 0 "), "{kept}");
}
