//! What `seed` takes for the content of a torrent, and what it says of content that it cannot serve.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::Signal;

use crate::cli_run::{Bench, Running, finish, words};

const LOCAL: &str = "--bind 127.0.0.1 --no-trackers";
/// A user who may nothing on any system.
const NOBODY: u32 = 65_534;

/// The program as somebody who is not allowed everything.
fn unprivileged(bench: &Bench, line: &str) -> Command {
    if !rustix::process::geteuid().is_root() {
        return bench.command(words(line));
    }
    let program = bench.path("program");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_bt-client"), &program).unwrap();
        fs::set_permissions(bench.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let like = bench.command(words(line));
    let mut command = Command::new(program);
    command
        .args(like.get_args())
        .current_dir(bench.path("."))
        .env_clear()
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .uid(NOBODY)
        .gid(NOBODY);
    command
}

#[test]
fn content_that_cannot_be_read_is_trouble_with_the_storage() {
    let bench = Bench::new();
    let file = bench.write("a.bin", vec![1; 100_000]);
    bench.run(words("create a.bin")).ok();
    fs::set_permissions(file, fs::Permissions::from_mode(0o000)).unwrap();
    for line in [
        "seed a.bin.torrent --time 0 --bind 127.0.0.1",
        "seed a.bin.torrent --time 0 --bind 127.0.0.1 --skip-check",
        "verify a.bin.torrent .",
    ] {
        let ran = finish(unprivileged(&bench, line).spawn().unwrap());
        assert_eq!(ran.code, Some(5), "{line}: {ran:?}");
        assert!(ran.err.contains("a.bin"), "{line}: {ran:?}");
        assert!(ran.err.contains("cannot read"), "{line}: {ran:?}");
        assert!(ran.err.contains("Permission denied"), "{line}: {ran:?}");
        assert!(!ran.err.contains("download"), "{line}: {ran:?}");
    }
}

#[test]
fn the_content_itself_stands_for_the_folder_that_it_is_in() {
    let bench = Bench::new();
    bench.write("share/big/a", vec![1; 100_000]);
    bench.write("share/big/b", vec![2; 100_000]);
    bench.write("one.bin", vec![3; 100_000]);
    bench.run(words("create share/big -o big.torrent")).ok();
    bench.run(words("create one.bin")).ok();
    for (torrent, data) in [
        ("big.torrent", "share/big"),
        ("big.torrent", "share/big/"),
        ("big.torrent", "share"),
        ("one.bin.torrent", "one.bin"),
        ("one.bin.torrent", "."),
    ] {
        let line = format!("seed {torrent} --data {data} {LOCAL} --time 0");
        bench.run(words(&line)).ok();
        let line = format!("{line} --skip-check");
        bench.run(words(&line)).ok();
    }
    // Nothing of it is there, so that there is no rest to get.
    fs::create_dir(bench.path("empty")).unwrap();
    for (data, code) in [("empty", 6), ("one.bin", 5)] {
        let line = format!("seed big.torrent --data {data} {LOCAL} --time 0");
        let ran = bench.run(words(&line));
        assert!(!ran.err.contains("get the rest"), "{ran:?}");
        ran.failed(&line, code, &["--data is the folder"]);
    }
    fs::remove_file(bench.path("share/big/a")).unwrap();
    let line = format!("seed big.torrent --data share {LOCAL} --time 0");
    bench
        .run(words(&line))
        .failed(&line, 6, &["-o share --seed"]);
}

#[test]
fn a_seed_that_is_stopped_before_the_torrent_is_made_has_not_written_it() {
    let bench = Bench::new();
    let file = fs::File::create(bench.path("sparse")).unwrap();
    file.set_len(8 << 30).unwrap();
    let line = format!("seed sparse --json -o s.torrent {LOCAL}");
    let running = Running::start(bench.command(words(&line)));
    running.event("hashing");
    running.signal(Signal::INT);
    let ran = running.finish();
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(!bench.path("s.torrent").exists());
}
