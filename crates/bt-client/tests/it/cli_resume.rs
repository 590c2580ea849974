//! What a later run knows of an earlier one: a killed download goes on, proven content is not hashed again, and what
//! somebody else changed is noticed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::cli_run::{Bench, Running, words};

const LOCAL: &str =
    "--bind 127.0.0.1 --no-trackers --no-dht --no-lsd --no-utp --no-portmap --no-pex";
const PIECE: u64 = 65_536;
const SIZE: u64 = 6_000_000;

fn content(bench: &Bench) {
    let bytes: Vec<u8> = (0..u32::try_from(SIZE / 4).unwrap())
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    bench.write("share/tree/a.bin", &bytes[..4_000_000]);
    bench.write("share/tree/b.bin", &bytes[4_000_000..]);
    bench
        .run(words("create share/tree -s 64KiB -o t.torrent"))
        .ok();
}

/// A plain seeder with a home of its own: an initial seeder would reveal pieces one by one.
fn seeder(bench: &Bench) -> (Running, u64) {
    let line = format!("seed --json {LOCAL} t.torrent --data share --home seeder");
    let running = Running::start(bench.command(words(&line)));
    let port = running.event("seeding")["port"].as_u64().unwrap();
    (running, port)
}

fn line(more: &str, port: u64) -> String {
    format!("download --json {LOCAL} t.torrent -o out --timeout 60s --peer 127.0.0.1:{port} {more}")
}

/// Runs a download to its end and gives what it said of completion, and all it said.
fn complete(bench: &Bench, more: &str, port: u64) -> (Value, Vec<Value>) {
    let all = bench.run(words(&line(more, port))).ok().json();
    let complete = all.iter().find(|event| event["event"] == "complete");
    (complete.unwrap().clone(), all)
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn warnings(all: &[Value]) -> Vec<String> {
    let of = |event: &&Value| event["event"] == "warning";
    let text = |event: &Value| event["message"].as_str().unwrap().to_owned();
    all.iter().filter(of).map(text).collect()
}

#[track_caller]
fn same(bench: &Bench) {
    for file in ["a.bin", "b.bin"] {
        let read = |dir: &str| fs::read(bench.path(dir).join("tree").join(file)).unwrap();
        assert!(read("share") == read("out"), "{file} differs");
    }
}

/// The one file of that name below the state.
fn state_file(bench: &Bench, name: &str) -> PathBuf {
    let all = bench.path("home/.local/state/bt-client/downloads");
    let mut dirs = fs::read_dir(all).unwrap();
    let dir = dirs.next().unwrap().unwrap().path();
    assert!(dirs.next().is_none(), "one download, one directory");
    dir.join(name)
}

/// P3 of `docs/SECURITY.md`.
#[test]
fn a_killed_download_goes_on_and_hashes_only_what_was_under_way() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    let slow = line("--down 1.5MB --events piece", port);
    let running = Running::start(bench.command(words(&slow)));
    let mut pieces = 0;
    // Until pieces have come for longer than a commit takes.
    let begun = std::time::Instant::now();
    while begun.elapsed() < std::time::Duration::from_millis(2_500) {
        running.event("piece");
        pieces += 1;
    }
    running.signal(Signal::KILL);
    assert_eq!(running.finish().code, None);

    let (complete, all) = complete(&bench, "", port);
    same(&bench);
    assert_eq!(warnings(&all), Vec::<String>::new());
    let (hashed, reused) = (number(&complete["hashed"]), number(&complete["reused"]));
    // A second of the line and what came in the same moment, at most.
    assert!(hashed < 3_000_000, "{hashed} bytes were hashed");
    assert!(
        hashed < pieces * PIECE,
        "some of {pieces} pieces were proven"
    );
    assert!(
        reused + 3 * PIECE >= pieces * PIECE,
        "{reused} bytes of {pieces} pieces are left"
    );
    assert_eq!(number(&complete["downloaded"]) + reused, SIZE);
}

/// P3 of `docs/SECURITY.md`.
#[test]
fn a_download_that_is_asked_to_stop_hashes_nothing_when_it_goes_on() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    let running = Running::start(bench.command(words(&line("--down 2MB --events piece", port))));
    (0..20).for_each(|_| drop(running.event("piece")));
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code, Some(143));
    let (first, _) = complete(&bench, "", port);
    assert_eq!(number(&first["hashed"]), 0);
    // One of the twenty may be the last, which is shorter.
    assert!(number(&first["reused"]) > 19 * PIECE, "{first}");
    same(&bench);

    // And once it is complete, nothing is hashed at all, by a seeder neither.
    let (again, all) = complete(&bench, "", port);
    assert_eq!(
        (number(&again["hashed"]), number(&again["downloaded"])),
        (0, 0)
    );
    assert!(all.iter().all(|event| event["event"] != "checking"));
    let seed = format!("seed --json {LOCAL} t.torrent --data out");
    let running = Running::start(bench.command(words(&seed)));
    running.event("seeding");
    running.signal(Signal::TERM);
    let ran = running.finish().ok();
    assert!(ran.json().iter().all(|event| event["event"] != "checking"));

    let (always, _) = complete(&bench, "--check always", port);
    assert_eq!(number(&always["hashed"]), SIZE);
}

#[test]
fn without_a_check_what_is_proven_stays_and_the_rest_is_missing() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    complete(&bench, "", port);
    let (never, all) = complete(&bench, "--check never", port);
    assert_eq!(
        (number(&never["hashed"]), number(&never["downloaded"])),
        (0, 0)
    );
    // Nobody answers for what somebody else wrote to.
    let b = bench.path("out/tree/b.bin");
    let mut bytes = fs::read(&b).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&b, &bytes).unwrap();
    let (changed, more) = complete(&bench, "--check never", port);
    assert_eq!(number(&changed["hashed"]), 0);
    let pieces = 2_000_000_u64.div_ceil(PIECE);
    let came = number(&changed["downloaded"]);
    assert!(
        ((pieces - 1) * PIECE..=(pieces + 1) * PIECE).contains(&came),
        "{came}"
    );
    same(&bench);
    let checks = |all: &[Value]| all.iter().any(|event| event["event"] == "checking");
    assert!(!checks(&all) && !checks(&more));
    // A download that only was to be complete serves nobody.
    assert!(more.iter().all(|event| event["event"] != "seeding"));
    // The record was kept.
    let (auto, _) = complete(&bench, "", port);
    assert_eq!(
        (number(&auto["hashed"]), number(&auto["downloaded"])),
        (0, 0)
    );
}

/// What was not looked at is no less there: whoever looks later finds it.
#[test]
fn what_was_not_checked_is_looked_at_by_the_next_run() {
    let bench = Bench::new();
    content(&bench);
    fs::rename(bench.path("share"), bench.path("out")).unwrap();
    let never = format!("download {LOCAL} t.torrent -o out --check never --stop-after 200ms");
    let auto = format!("download --json {LOCAL} t.torrent -o out --timeout 60s");
    for _ in 0..2 {
        assert_eq!(bench.run(words(&never)).code, Some(7));
    }
    let all = bench.run(words(&auto)).ok().json();
    let complete = all.iter().find(|event| event["event"] == "complete");
    assert_eq!(number(&complete.unwrap()["hashed"]), SIZE);

    // The same of what was proven, and then touched by somebody; the rest stays proven.
    let b = fs::File::options()
        .write(true)
        .open(bench.path("out/tree/b.bin"))
        .unwrap();
    b.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(bench.run(words(&never)).code, Some(7));
    let all = bench.run(words(&auto)).ok().json();
    let complete = all.iter().find(|event| event["event"] == "complete");
    let hashed = number(&complete.unwrap()["hashed"]);
    assert!(
        (2_000_000..2_000_000 + 2 * PIECE).contains(&hashed),
        "{hashed}"
    );
}

#[test]
fn what_somebody_else_did_to_the_files_is_noticed_and_said() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    complete(&bench, "", port);
    let (a, b) = (bench.path("out/tree/a.bin"), bench.path("out/tree/b.bin"));

    let mut bytes = fs::read(&b).unwrap();
    bytes[1_000_000] ^= 1;
    fs::write(&b, &bytes).unwrap();
    let (changed, all) = complete(&bench, "", port);
    assert_eq!(number(&changed["downloaded"]), PIECE, "one piece was bad");
    // The file and the piece that it shares with the other one.
    assert!((2_000_000..2_000_000 + 2 * PIECE).contains(&number(&changed["hashed"])));
    let said = warnings(&all).join("\n");
    assert!(
        said.contains("b.bin was changed by somebody else"),
        "{said}"
    );
    same(&bench);

    fs::remove_file(&a).unwrap();
    let (gone, all) = complete(&bench, "", port);
    assert!(warnings(&all).join("\n").contains("a.bin is gone"));
    assert_eq!(number(&gone["hashed"]), 0);
    assert!((4_000_000..4_000_000 + PIECE).contains(&number(&gone["downloaded"])));
    same(&bench);

    fs::File::options()
        .write(true)
        .open(&a)
        .unwrap()
        .set_len(1_000_000)
        .unwrap();
    let (short, all) = complete(&bench, "", port);
    assert!(warnings(&all).join("\n").contains("a.bin is shorter"));
    assert!(number(&short["hashed"]) <= 1_000_000);
    // The pieces at both ends are only partly of what was cut off.
    assert!(number(&short["downloaded"]) <= 3_000_000 + 2 * PIECE);
    same(&bench);
}

/// P4 of `docs/SECURITY.md`.
#[test]
fn a_damaged_journal_is_said_kept_and_rebuilt() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    complete(&bench, "", port);
    let journal = state_file(&bench, "journal");
    let mode = fs::metadata(&journal).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(&journal, b"something else").unwrap();
    let (rebuilt, all) = complete(&bench, "", port);
    assert!(warnings(&all).join("\n").contains("journal.damaged-1"));
    assert_eq!(
        (number(&rebuilt["hashed"]), number(&rebuilt["downloaded"])),
        (SIZE, 0)
    );
    assert_eq!(
        fs::read(state_file(&bench, "journal.damaged-1")).unwrap(),
        b"something else"
    );
    let (after, _) = complete(&bench, "", port);
    assert_eq!(number(&after["hashed"]), 0);
}

#[test]
fn one_torrent_in_one_folder_has_one_process() {
    let bench = Bench::new();
    content(&bench);
    let first = Running::start(bench.command(words(&line("", 9))));
    first.event("progress");
    let plain = line("", 9).replace("--json ", "");
    bench.run(words(&plain)).failed(
        "the same torrent in the same folder",
        5,
        &[
            "another process works on tree in out",
            "in use by process",
            "another folder",
        ],
    );
    // Elsewhere it is another download.
    let (_seeder, port) = seeder(&bench);
    let elsewhere = line("", port).replace("-o out", "-o other");
    bench.run(words(&elsewhere)).ok();
    first.signal(Signal::TERM);
    assert_eq!(first.finish().code, Some(143));
}

#[test]
fn without_a_place_for_state_the_download_goes_on_and_says_so() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    bench.write("file", "not a folder");
    let mut command = bench.command(words(&line("", port)));
    command.env("XDG_STATE_HOME", bench.path("file"));
    let all = crate::cli_run::finish(command.spawn().unwrap()).ok().json();
    same(&bench);
    let said = warnings(&all).join("\n");
    assert!(
        said.contains("file/bt-client") && said.contains("cannot be taken up later"),
        "{said}"
    );
}

#[test]
fn home_moves_the_state() {
    let bench = Bench::new();
    content(&bench);
    let (_seeder, port) = seeder(&bench);
    let mut command = bench.command(words(&line("", port)));
    command.env("BT_CLIENT_HOME", bench.path("mine"));
    crate::cli_run::finish(command.spawn().unwrap()).ok();
    let kept = fs::read_dir(bench.path("mine/state/downloads")).unwrap();
    assert_eq!(kept.count(), 1);
    assert!(!bench.path("home/.local/state/bt-client/downloads").exists());
}

#[test]
fn nothing_is_checked_where_there_is_nothing() {
    let bench = Bench::new();
    content(&bench);
    let (seeder, port) = seeder(&bench);
    let (_, all) = complete(&bench, "", port);
    let checks = all.iter().filter(|event| event["event"] == "checking");
    assert_eq!(checks.count(), 0, "{all:?}");
    same(&bench);
    drop(seeder);
}

#[test]
fn two_downloads_do_not_meet_where_they_keep_what_is_incomplete() {
    let bench = Bench::new();
    content(&bench);
    let line = |more: &str| {
        let line = format!("download --json {LOCAL} t.torrent --timeout 60s {more}");
        words(&line)
    };
    let first = Running::start(bench.command(line("-o one --incomplete-dir inc")));
    first.event("metadata");
    // As the folder for a while, and as the last one.
    for more in ["-o two --incomplete-dir ./inc", "-o inc"] {
        let plain = more.to_owned() + " --quiet";
        let ran = bench.run(line(&plain));
        assert_eq!(ran.code, Some(5), "{more}: {ran:?}");
        let said = ran.json();
        let error = said.last().unwrap();
        let text = error.to_string();
        assert!(text.contains("another process works on tree in"), "{text}");
        assert!(
            text.contains("inc") && text.contains("by process"),
            "{text}"
        );
    }
    // The folder of a run that has ended is taken up where it is, and is taken then as well.
    first.signal(Signal::TERM);
    first.finish();
    let again = Running::start(bench.command(line("-o one")));
    again.event("metadata");
    let ran = bench.run(line("-o two --incomplete-dir inc"));
    assert_eq!(ran.code, Some(5), "{ran:?}");
    drop(again);
}
