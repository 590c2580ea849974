//! What `seed --json` says while content is hashed.

use serde_json::Value;

use crate::cli_run::{Bench, words};

const LOCAL: &str = "--bind 127.0.0.1 --no-dht --no-lsd --no-utp --no-portmap --no-pex";
const SIZE: u64 = 3_000_001;

fn content(bench: &Bench) {
    bench.write("a.bin", vec![7; 3_000_001]);
    bench.run(words("create a.bin -s 64KiB")).ok();
}

fn names(all: &[Value]) -> Vec<&str> {
    let names = all.iter().map(|event| event["event"].as_str().unwrap());
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names
}

/// Begins with nothing, ends with everything, and goes up in between.
#[track_caller]
fn is_a_whole_check(all: &[Value], name: &str) {
    let done = |event: &Value| event["done"].as_u64().unwrap();
    let told: Vec<&Value> = all.iter().filter(|event| event["event"] == name).collect();
    assert!(told.iter().all(|event| event["total"] == SIZE), "{told:?}");
    assert_eq!(done(told.first().unwrap()), 0, "{told:?}");
    assert_eq!(done(told.last().unwrap()), SIZE, "{told:?}");
    assert!(told.is_sorted_by_key(|event| done(event)), "{told:?}");
}

#[test]
fn a_seeder_tells_how_far_the_check_is_before_it_serves() {
    let bench = Bench::new();
    content(&bench);
    let line = format!("seed --json {LOCAL} a.bin.torrent --time 100ms");
    let all = bench.run(words(&line)).ok().json();
    assert_eq!(names(&all)[..3], ["added", "metadata", "checking"]);
    is_a_whole_check(&all, "checking");
    let place = |name| all.iter().rposition(|event| event["event"] == name);
    assert!(place("checking") < place("seeding"), "{all:?}");
    assert_eq!(all.last().unwrap()["event"], "stopped");
    let hash = &all[0]["info_hash"];
    assert!(all.iter().all(|event| event["info_hash"] == *hash));

    // What an earlier run has proven is not hashed again.
    let all = bench.run(words(&line)).ok().json();
    assert!(!names(&all).contains(&"checking"), "{all:?}");
}

#[test]
fn content_without_a_torrent_is_hashed_before_anything_is_known_of_it() {
    let bench = Bench::new();
    content(&bench);
    let line = format!("seed --json {LOCAL} a.bin --time 100ms");
    let all = bench.run(words(&line)).ok().json();
    let first = ["hashing", "added", "metadata", "checking"];
    assert_eq!(names(&all)[..4], first);
    is_a_whole_check(&all, "hashing");
    let checked = all.iter().find(|event| event["event"] == "checking");
    assert_eq!(checked.unwrap()["done"], SIZE);
    assert!(names(&all).contains(&"seeding"));
}

#[test]
fn a_check_that_finds_damage_ends_the_story() {
    let bench = Bench::new();
    content(&bench);
    let mut bytes = vec![7; 3_000_001];
    bytes[2_000_000] = 8;
    bench.write("a.bin", bytes);
    let ran = bench.run(words(&format!("seed --json {LOCAL} a.bin.torrent")));
    assert_eq!(ran.code, Some(6), "{ran:?}");
    let all = ran.json();
    let story = ["added", "metadata", "checking", "stopped", "error"];
    assert_eq!(names(&all), story);
}
