//! Where `download` puts content and which files it gets first, as people ask for it; and what `create` leaves out.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::cli_run::{Bench, Running, words};

const LOCAL: &str =
    "--bind 127.0.0.1 --no-trackers --no-dht --no-lsd --no-utp --no-portmap --no-pex";
const NAMES: [&str; 3] = ["a.bin", "d/b.bin", "z"];

fn content(bench: &Bench) {
    for (seed, name, length) in [
        (3_u32, NAMES[0], 600_000),
        (5, NAMES[1], 500_000),
        (7, NAMES[2], 9),
    ] {
        let bytes: Vec<u8> = (0..length)
            .flat_map(|n: u32| {
                n.wrapping_mul(2_654_435_761)
                    .wrapping_add(seed)
                    .to_le_bytes()
            })
            .collect();
        bench.write(format!("share/tree/{name}"), bytes);
    }
    bench
        .run(words("create share/tree -s 64KiB -o t.torrent"))
        .ok();
}

fn seeder(bench: &Bench) -> (Running, u64) {
    let line = format!("seed --json {LOCAL} t.torrent --data share --home seeder");
    let running = Running::start(bench.command(words(&line)));
    let port = running.event("seeding")["port"].as_u64().unwrap();
    (running, port)
}

fn line(more: &str, port: u64) -> String {
    format!("download --json {LOCAL} t.torrent -o out --timeout 60s --peer 127.0.0.1:{port} {more}")
}

fn event(all: &[Value], name: &str) -> Value {
    let found = all.iter().find(|event| event["event"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {all:?}"))
        .clone()
}

#[track_caller]
fn same(bench: &Bench) {
    for name in NAMES {
        let read = |dir: &str| fs::read(bench.path(dir).join("tree").join(name)).unwrap();
        assert!(read("share") == read("out"), "{name} differs");
    }
}

#[test]
fn incomplete_content_lies_apart_also_when_the_program_is_killed() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    let apart = tempfile::tempdir_in("/dev/shm").expect("a second file system");
    let apart = apart.path().to_str().unwrap();
    let more = format!("--incomplete-dir {apart} --incomplete-suffix .part");
    let slow = line(&format!("{more} --down 1MB --events piece"), port);
    let running = Running::start(bench.command(words(&slow)));
    let begun = std::time::Instant::now();
    // Until pieces have come for longer than a commit takes.
    while begun.elapsed() < Duration::from_millis(1_800) {
        running.event("piece");
    }
    running.signal(Signal::KILL);
    running.finish();
    assert!(
        fs::metadata(format!("{apart}/tree/a.bin.part"))
            .unwrap()
            .len()
            > 0
    );
    assert!(!bench.path("out/tree").exists());

    // Killed again and again around the end, it is at one of the two places each time.
    for moment in ["added", "metadata", "progress", "added", "progress"] {
        let running = Running::start(bench.command(words(&line(&more, port))));
        running.event(moment);
        running.signal(Signal::KILL);
        running.finish();
    }
    let all = bench.run(words(&line(&more, port))).ok().json();
    let complete = event(&all, "complete");
    assert!(complete["reused"].as_u64().unwrap() > 0, "{complete}");
    assert!(complete["path"].as_str().unwrap().ends_with("out/tree"));
    same(&bench);
    assert_eq!(
        fs::read_dir(apart).unwrap().count(),
        0,
        "nothing is left there"
    );

    // As content that was always there, for a second run and for a seed.
    let all = bench.run(words(&line("", port))).ok().json();
    let complete = event(&all, "complete");
    assert_eq!(
        (&complete["downloaded"], &complete["hashed"]),
        (&0.into(), &0.into())
    );
    let seed = format!("seed --json {LOCAL} t.torrent --data out");
    let running = Running::start(bench.command(words(&seed)));
    running.event("seeding");
    running.signal(Signal::TERM);
    let said = running.finish().ok().json();
    assert!(said.iter().all(|event| event["event"] != "checking"));
}

#[test]
fn content_that_was_removed_comes_back_where_the_options_say() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    bench.run(words(&line("", port))).ok();
    same(&bench);
    fs::remove_dir_all(bench.path("out")).unwrap();
    let more = "--incomplete-dir apart --incomplete-suffix .part";
    let slow = line(&format!("{more} --down 1MB --events piece"), port);
    let running = Running::start(bench.command(words(&slow)));
    running.event("piece");
    running.signal(Signal::KILL);
    running.finish();
    assert!(bench.path("apart/tree").is_dir() && !bench.path("out/tree").exists());
    bench.run(words(&line(more, port))).ok();
    same(&bench);
    assert!(!bench.path("apart/tree").exists());

    // What is there stays there.
    fs::write(bench.path("out/tree/z"), "damaged").unwrap();
    bench.run(words(&line(more, port))).ok();
    same(&bench);
}

#[test]
fn what_is_skipped_does_not_come_and_mistakes_are_refused() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    let more = "--priority 2=skip --priority 3=high --priority 1=low";
    bench.run(words(&line(more, port))).ok();
    assert!(bench.path("out/tree/a.bin").exists() && bench.path("out/tree/z").exists());
    assert!(!bench.path("out/tree/d").exists());
    let mut command = bench.command(words(&line("", port)));
    command.env("BT_CLIENT_PRIORITY", "1-3=normal");
    crate::cli_run::finish(command.spawn().unwrap()).ok();
    same(&bench);
    for (more, code, fragment) in [
        ("--priority 4=high", 2, "the torrent has 3 files"),
        (
            "--priority 1-=skip",
            2,
            "no file of the torrent is selected",
        ),
        ("--priority 1=urgent", 2, "skip, low, normal and high"),
        (
            "--incomplete-suffix a/b",
            2,
            "cannot stand behind the names",
        ),
    ] {
        let plain = line(more, port).replace("--json ", "");
        bench.run(words(&plain)).failed(more, code, &[fragment]);
    }
}

#[test]
fn a_torrent_that_is_made_again_does_not_hold_itself() {
    let bench = Bench::new();
    content(&bench);
    let hash = |bench: &Bench, line: &str| {
        let made = bench.run(words(line)).ok().object();
        made["info_hash_v1"].as_str().unwrap().to_owned()
    };
    let line = "create --json share/tree --no-date -o share/tree/own.torrent --force";
    let first = hash(&bench, line);
    assert_eq!(hash(&bench, line), first);
    let made = bench.run(words(line)).ok().object();
    assert!(
        made["warnings"][0]
            .as_str()
            .unwrap()
            .contains("own.torrent is left out"),
        "{made}"
    );
    // Another torrent in the folder is content like any other.
    let other = line.replace("own", "other");
    assert_ne!(hash(&bench, &other), first);
}

#[test]
fn sources_of_the_wrong_kind_are_told_apart() {
    let bench = Bench::new();
    let hash = "0123456789abcdef0123456789abcdef01234567";
    for word in [
        format!("magnet:?xt=urn:btih:{hash}"),
        hash.to_owned(),
        "http://a/b.torrent".to_owned(),
    ] {
        bench
            .run(["seed", &word])
            .failed(&word, 2, &["is not content", "--data"]);
        let names_download = bench.run(["seed", &word]).err.contains("download");
        // What is only a hash cannot be downloaded either.
        assert_eq!(names_download, word.starts_with("http"), "{word}");
    }
    bench.run(["download", "ftp://a/b.torrent"]).failed(
        "ftp",
        3,
        &["cannot be fetched", "ftp is none", "https"],
    );
}

#[test]
fn a_download_that_runs_out_of_time_says_how_far_it_came() {
    let bench = Bench::new();
    content(&bench);
    let plain = line("--stop-after 300ms", 9).replace("--json ", "");
    let ran = bench.run(words(&plain));
    assert_eq!(ran.code, Some(7), "{ran:?}");
    assert!(ran.err.contains("the time is over at 0.0 %"), "{ran:?}");
}
