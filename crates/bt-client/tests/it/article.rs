//! The two scripts of the article, run as a reader would run them.

use std::process::{Command, Stdio};

use crate::content::assert_same;
use crate::filler::bytes;

/// Where cargo has put an example: beside the directory of the tests.
fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    profile.join("examples").join(name)
}

#[test]
fn one_script_seeds_and_the_other_downloads() {
    for name in ["seed", "download"] {
        let source = format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"));
        let lines = std::fs::read_to_string(source).unwrap().lines().count();
        assert!(lines <= 25, "{name} has {lines} lines");
    }
    let dir = tempfile::tempdir().unwrap();
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("build.bin"), bytes(3_000_000, 1)).unwrap();

    let mut seed = Command::new(example("seed"))
        .arg(shared.join("build.bin"))
        .arg("127.0.0.1:0")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let torrent = shared.join("build.bin.torrent");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !torrent.exists() {
        assert!(std::time::Instant::now() < deadline && seed.try_wait().unwrap().is_none());
        std::thread::yield_now();
    }
    let into = dir.path().join("into");
    let file = dir.path().join("it.torrent");
    std::fs::rename(&torrent, &file).unwrap();
    let downloaded = Command::new(example("download"))
        .arg(&file)
        .arg(&into)
        .status()
        .unwrap();
    assert!(downloaded.success());
    assert_same(&shared, &into);
    // Enter.
    drop(seed.stdin.take());
    assert!(seed.wait().unwrap().success());
}
