//! What the program does besides tracking: settings, logs, snapshots for people, watching.

use std::process::Stdio;

use serde_json::Value;

use crate::cli::{Running, failure, program, run};
use crate::harness::{announce, eventually, hash};

#[test]
fn a_mistyped_variable_is_named_and_a_setting_is_not() {
    let mut command = program(&["check-config"]);
    command
        .env("BT_TRACKER_MAX_NUMWNT", "7")
        .env("BT_TRACKER_MAX_NUMWANT", "8");
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(log.contains("BT_TRACKER_MAX_NUMWNT is no setting"), "{log}");
    assert!(!log.contains("BT_TRACKER_MAX_NUMWANT"), "{log}");
}

#[test]
fn logs_are_written_in_the_form_that_is_asked_for() {
    let log = |arguments: &[&str]| {
        let mut command = program(arguments);
        let output = command.env("BT_TRACKER_NONE", "").output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    let is_json = |text: &str| serde_json::from_str::<Value>(text.lines().next().unwrap()).is_ok();
    assert!(!is_json(&log(&["check-config"])));
    assert!(is_json(&log(&["check-config", "--json"])));
    assert!(is_json(&log(&["check-config", "--log-format", "json"])));
    assert!(!is_json(&log(&[
        "check-config",
        "--json",
        "--log-format",
        "text"
    ])));
}

#[test]
fn settings_that_make_no_sense_are_refused_and_the_others_come_back_from_a_file() {
    for bad in [
        ["--announce-path", "no-slash"],
        ["--interval-jitter", "101%"],
        ["--max-scrape", "75"],
        ["--max-scrape", "0"],
        ["--ip-param", "everybody"],
        ["--udp-key", "/nonexistent/key"],
    ] {
        let output = run(&[&["check-config"], &bad[..]].concat());
        let code = output.status.code().unwrap();
        // An address for numbers is not needed for these.
        assert!(code == 2 || code == 3, "{bad:?}: {code}");
    }
    let dir = tempfile::tempdir().unwrap();
    let given = [
        "--announce-path=/x/announce",
        "--interval-jitter=10%",
        "--max-scrape=7",
        "--proxy-header=X-Real-IP",
        "--ip-param=private-only",
        "--max-connections-per-ip=9",
        "--max-connection-memory=1MiB",
    ];
    let printed = run(&[&["print-config"], &given[..]].concat()).stdout;
    let text = String::from_utf8(printed.clone()).unwrap();
    for line in [
        "announce-path = \"/x/announce\"",
        "interval-jitter = \"10%\"",
        "max-scrape = 7",
        "proxy-header = \"X-Real-IP\"",
        "ip-param = \"private-only\"",
        "max-connections-per-ip = 9",
        "max-connection-memory = \"1MiB\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    let file = dir.path().join("tracker.toml");
    std::fs::write(&file, &printed).unwrap();
    let again = run(&["print-config", "-c", file.to_str().unwrap()]).stdout;
    assert_eq!(String::from_utf8(again).unwrap(), text);
}

#[test]
fn a_snapshot_is_printed_for_people_and_programs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("swarms");
    let path = file.to_str().unwrap();
    let tracker = Running::start(&["--http", "127.0.0.1:0", "--snapshot", path]);
    announce(tracker.http(), 1, 1001, 0, "&event=completed").unwrap();
    announce(tracker.http(), 1, 1002, 5, "").unwrap();
    announce(tracker.http(), 2, 1003, 5, "&event=paused").unwrap();
    assert_eq!(tracker.stop().0, Some(0));
    let text = String::from_utf8(run(&["dump", path]).stdout).unwrap();
    let line = format!("{} 1 seeds 1 downloaders 0 partial 1 completed", hash(1));
    assert!(text.lines().any(|found| found == line), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
    let json = run(&["dump", "--peers", "--json", "--snapshot", path]).stdout;
    let json = String::from_utf8(json).unwrap();
    let objects = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let second = objects
        .into_iter()
        .find(|object| object["info_hash"] == hash(2).to_string())
        .unwrap();
    assert_eq!(second["partial"], 1);
    assert_eq!(second["peers"][0]["address"], "127.0.0.1:1003");
    assert_eq!(second["peers"][0]["role"], "partial");

    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let (code, text) = failure(&["dump", path]);
    assert!(code == 3 && text.contains("it is torn"), "{code} {text}");
    let (code, _) = failure(&["dump", "/nonexistent/swarms"]);
    assert_eq!(code, 3);
    let (code, text) = failure(&["dump"]);
    assert!(
        code == 2 && text.contains("which snapshot"),
        "{code} {text}"
    );
    assert_eq!(
        std::fs::read(&file).unwrap(),
        bytes[..bytes.len() - 1],
        "it is left alone"
    );
}

#[test]
fn whoever_watches_a_tracker_sees_it_come_back() {
    let start = |stats: &str| Running::start(&["--http", "127.0.0.1:0", "--stats-addr", stats]);
    let tracker = start("127.0.0.1:0");
    let stats = tracker.address("stats=").to_string();
    let mut top = program(&["top", &stats, "--json", "--every", "100ms"]);
    let mut top = Running::spawn(top.stderr(Stdio::null()));
    assert!(top.ready.contains("\"event\":\"top\""), "{}", top.ready);
    tracker.stop();
    eventually("it says that the tracker is away", || {
        top.line().contains("\"event\":\"away\"")
    });
    let _tracker = start(&stats);
    eventually("it says that the tracker is there", || {
        top.line().contains("\"event\":\"top\"")
    });
    let (code, _) = failure(&["top", "127.0.0.1:1"]);
    assert_eq!(code, 4, "one that was never there is not waited for");
}
