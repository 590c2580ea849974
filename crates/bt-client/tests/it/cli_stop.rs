//! How a command is ended before its time: by signals, by a terminal that closes, and by patience that has an end.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cli_run::{Bench, Running, words};

const LOCAL: &str = "--bind 127.0.0.1 --no-dht --no-lsd --no-utp --no-portmap --no-pex";

/// More than fits into a pipe: it is through only when the program reads, and then it listens to signals.
const MORE_THAN_A_PIPE: usize = 1 << 20;

fn torrent(bench: &Bench) {
    bench.write("a.bin", vec![1; 100_000]);
    bench.run(words("create a.bin")).ok();
}

#[test]
fn input_that_never_ends_is_ended_by_one_signal() {
    let bench = Bench::new();
    for (line, signal, code) in [
        ("show -", Signal::INT, 130),
        ("show -", Signal::TERM, 143),
        ("show -", Signal::HUP, 129),
        ("verify -", Signal::TERM, 143),
        ("magnet -", Signal::TERM, 143),
        ("download -", Signal::INT, 130),
        // A seeder that is asked to stop has left nothing undone.
        ("seed -", Signal::TERM, 0),
    ] {
        let mut command = bench.command(words(line));
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&vec![b'd'; MORE_THAN_A_PIPE]).unwrap();
        let running = Running::of(child);
        running.signal(signal);
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{line}: {ran:?}");
        assert_eq!(ran.err, "", "{line}");
        drop(stdin);
    }
}

#[test]
fn a_terminal_that_closes_asks_like_any_other_signal() {
    let bench = Bench::new();
    torrent(&bench);
    let line = format!("download --json {LOCAL} a.bin.torrent -o nowhere");
    let running = Running::start(bench.command(words(&line)));
    running.event("progress");
    running.signal(Signal::HUP);
    let ran = running.finish();
    assert_eq!(ran.code, Some(129), "{ran:?}");
    assert_eq!(ran.json().last().unwrap()["event"], "stopped");

    let line = format!("seed --json {LOCAL} a.bin.torrent");
    let running = Running::start(bench.command(words(&line)));
    running.event("seeding");
    running.signal(Signal::HUP);
    let ran = running.finish().ok();
    assert_eq!(ran.json().last().unwrap()["event"], "stopped");
}

/// As with nohup.
#[test]
fn whoever_is_told_to_outlive_the_terminal_does() {
    let bench = Bench::new();
    torrent(&bench);
    let plain = bench.command(words(&format!(
        "download --json {LOCAL} a.bin.torrent -o nowhere"
    )));
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(bench.path("."))
        .env_clear()
        .envs(
            plain
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let running = Running::start(command);
    running.event("progress");
    running.signal(Signal::HUP);
    running.signal(Signal::TERM);
    let ran = running.finish();
    assert_eq!(ran.code, Some(143), "the first that was heard: {ran:?}");
}

#[test]
fn patience_covers_the_fetch_of_the_torrent() {
    let bench = Bench::new();
    // It takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x.torrent", silent.local_addr().unwrap());
    let begun = Instant::now();
    let ran = bench.run(words(&format!("download {LOCAL} {url} --timeout 300ms")));
    ran.failed("silent", 4, &["cannot get", "x.torrent"]);
    assert!(
        begun.elapsed() < Duration::from_secs(45),
        "not the limit of any request"
    );
}
