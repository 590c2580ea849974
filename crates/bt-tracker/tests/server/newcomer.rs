//! What the program says to whoever does not know it: faults are named with where they come from and what to do.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::cli::{ANYWHERE, Running, failure, program, run, with};

/// Output to a device that is always full.
fn into_full(command: &mut Command) -> (Option<i32>, String) {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(Stdio::from(full)).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn what_cannot_be_written_to_standard_output_is_a_failure() {
    for arguments in [
        &["print-config"][..],
        &["check-config", "--json"],
        &["man"],
        &["completions", "bash"],
        &["--help"],
        &["serve", "--help"],
        &["--version"],
        &ANYWHERE,
    ] {
        let (code, text) = into_full(&mut program(arguments));
        let says = "error: cannot write to standard output\n  cause: No space left";
        assert!(
            code == Some(5) && text.contains(says),
            "{arguments:?}: {code:?} {text}"
        );
    }
}

#[test]
fn whoever_closed_the_pipe_has_seen_enough() {
    let tracker = Running::start(&with(&["--stats-addr", "127.0.0.1:0"]));
    let stats = tracker.address("stats=").to_string();
    for arguments in [
        &["print-config"][..],
        &["--help"],
        &["top", &stats, "--every", "100ms"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program(arguments).stdout(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    tracker.stop();
}

#[test]
fn files_without_an_end_are_refused_before_they_take_all_memory() {
    for (arguments, says) in [
        (
            &["check-config", "-c", "/dev/zero"][..],
            "it has more than 1048576 bytes",
        ),
        (
            &["check-config", "--udp-key", "/dev/zero"],
            "it has more than 65536 bytes",
        ),
        (
            &[
                "check-config",
                "--stats-addr",
                ":0",
                "--admin-token-file",
                "/dev/zero",
            ],
            "it has more than 65536 bytes",
        ),
        (
            &["dump", "/dev/zero"],
            "it is not a snapshot of this program",
        ),
    ] {
        let (code, text) = failure(arguments);
        assert!(
            code == 3 && text.contains(says),
            "{arguments:?}: {code} {text}"
        );
    }
    // A device would be moved away and replaced by a file.
    for flag in ["--snapshot", "--accounts"] {
        let (code, text) = failure(&["check-config", flag, "/dev/null"]);
        assert!(
            code == 2 && text.contains("/dev/null is no file"),
            "{flag}: {code} {text}"
        );
    }
    // A device would have to be read up to there.
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    File::create(&list).unwrap().set_len(1 << 30).unwrap();
    let list = list.to_str().unwrap();
    let (code, text) = failure(&["check-config", "--mode", "deny-list", "--list", list]);
    assert!(
        code == 3 && text.contains("it has more than 536870912 bytes"),
        "{text}"
    );
}

#[test]
fn a_file_that_is_no_text_is_called_so_and_not_a_matter_of_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    let binary = binary.to_str().unwrap();
    for (arguments, hint) in [
        (
            &["check-config", "--mode", "deny-list", "--list", binary][..],
            "40 hexadecimal digits",
        ),
        (
            &["check-config", "--udp-key", binary],
            "openssl rand -hex 16",
        ),
    ] {
        let (code, text) = failure(arguments);
        assert!(
            code == 3 && text.contains("cause: it is no text in UTF-8"),
            "{text}"
        );
        assert!(
            text.contains(hint) && !text.contains("allowed to read"),
            "{text}"
        );
    }
}

#[test]
fn manual_pages_that_cannot_be_written_are_told_with_their_place() {
    let (code, text) = failure(&["man", "/no/such/place"]);
    assert_eq!(code, 5, "{text}");
    assert!(
        text.contains("cannot write manual pages to /no/such/place"),
        "{text}"
    );
    assert!(
        text.contains("cause: No such file") && text.contains("hint: name a directory"),
        "{text}"
    );
}

#[test]
fn settings_that_make_no_sense_are_told_with_what_to_do() {
    let token = "a-token-that-is-long-enough";
    for (arguments, hint) in [
        (
            &["--https", "127.0.0.1:0"][..],
            "--tls-cert FILE and --tls-key FILE",
        ),
        (&["--admin-token", token], "give --stats-addr ADDR"),
        (&["--accounts", "accounts"], "give --mode passkey"),
        (&["--upload-token", token], "give --torrents DIR"),
        (&["--max-scrape", "75"], "what --max-scrape says"),
        (&["--max-torrents", "0"], "what --max-torrents says"),
        (
            &["--max-connection-memory", "0"],
            "what --max-connection-memory says",
        ),
    ] {
        let (code, text) = failure(&[&["check-config"], arguments].concat());
        let last = text.lines().last().unwrap();
        assert!(
            code == 2 && last.starts_with("  hint: ") && last.contains(hint),
            "{text}"
        );
    }
    // It is doubted first: it is shorter than the interval.
    let output = run(&["check-config", "--peer-ttl", "0"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("what --peer-ttl says"), "{text}");
    let output = run(&["check-config", "--max-numwant", "0"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && text.contains("nobody finds anybody"),
        "{text}"
    );
}

#[test]
fn the_variable_that_said_it_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    for (name, value, says) in [
        (
            "BT_TRACKER_INTERVAL",
            &b"0"[..],
            "hint: the environment variable BT_TRACKER_INTERVAL says so",
        ),
        (
            "BT_TRACKER_LOG",
            b"\xff",
            "error: the environment variable BT_TRACKER_LOG is no text in UTF-8",
        ),
        (
            "BT_TRACKER_WORKERS",
            b"-1",
            "hint: the value is that of the environment variable BT_TRACKER_WORKERS",
        ),
    ] {
        let mut command = program(&["check-config"]);
        let output = command
            .env(name, OsStr::from_bytes(value))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(says), "{text}");
    }
    // What was typed wins, and is to blame.
    let mut command = program(&["check-config", "--interval", "0"]);
    let output = command.env("BT_TRACKER_INTERVAL", "1h").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("BT_TRACKER_INTERVAL"), "{text}");
}

#[test]
fn negative_numbers_are_called_so() {
    for arguments in [
        &["serve", "--interval", "-1"][..],
        &["serve", "--interval", "-5s"],
        &["serve", "--workers", "-1"],
        &["top", ":1", "--count", "-1"],
    ] {
        let (code, text) = failure(arguments);
        assert!(
            code == 2 && text.contains("hint: no setting takes a negative number"),
            "{text}"
        );
        assert!(!text.contains("-- -"), "{text}");
    }
}

#[test]
fn a_snapshot_that_could_not_be_written_is_doubted_at_the_start_and_told_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    // No file can be made in there, not even by root.
    let place = "/proc/swarms";
    let output = run(&["check-config", "--snapshot", place]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && text.contains("the snapshot cannot be written there"),
        "{text}"
    );
    let (code, _, text) = Running::start(&with(&["--snapshot", place])).stop();
    assert_eq!(code, Some(5), "{text}");
    assert!(
        text.contains("the snapshot cannot be written there"),
        "{text}"
    );
    assert!(
        text.contains("error: the last snapshot or accounts could not be written"),
        "{text}"
    );

    let place = dir.path().join("swarms");
    let output = run(&["check-config", "--snapshot", place.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !text.contains("WARN"), "{text}");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn a_probe_tells_a_server_that_is_no_tracker_from_one_that_is_silent_and_from_one_that_refuses() {
    let tracker = Running::start(&with(&["--announce-path", "/there/announce"]));
    let (code, text) = failure(&["probe", &format!("http://{}/announce", tracker.http())]);
    assert!(
        code == 4 && text.contains("error: the server does not answer like a tracker"),
        "{text}"
    );
    assert!(text.contains("cause: HTTP status 404"), "{text}");
    tracker.stop();

    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, "a-key-of-ann ann\n").unwrap();
    let closed = ["--mode", "passkey", "--list", list.to_str().unwrap()];
    let tracker = Running::start(&with(&closed));
    let (code, text) = failure(&["probe", &format!("http://{}/announce", tracker.http())]);
    assert!(code == 1 && text.contains("/KEY/announce"), "{text}");
    assert_eq!(text.matches("the tracker refused").count(), 1, "{text}");
    tracker.stop();
}

#[test]
fn a_snapshot_that_is_not_there_is_told_in_words() {
    let (code, text) = failure(&["dump", "/no/such/swarms"]);
    assert!(
        code == 3 && text.contains("/no/such/swarms: there is no such file"),
        "{text}"
    );
}

#[test]
fn help_of_a_command_that_does_not_serve_is_short() {
    for (arguments, shown) in [
        (&["probe", "--help"][..], "--json"),
        (&["help", "top"], "--stats-addr"),
        (&["dump", "-h"], "--snapshot <FILE>"),
        (&["completions", "--help"], "bt-tracker serve --help"),
    ] {
        let text = String::from_utf8(run(arguments).stdout).unwrap();
        assert!(
            text.contains(shown) && !text.contains("--max-torrents"),
            "{text}"
        );
        assert!(text.lines().count() < 80, "{text}");
    }
    // They are taken all the same, as a file of the server's would have them.
    let (code, text) = failure(&["dump", "/no/such/swarms", "--max-torrents", "5"]);
    assert!(code == 3, "{text}");
    let serve = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    assert!(serve.contains("--max-torrents"), "{serve}");
}

#[test]
fn nothing_is_printed_before_a_tracker_has_told_its_numbers() {
    let output = run(&["top", "127.0.0.1:1"]);
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(4), &b""[..])
    );
    for bad in [["--count", "0"], ["--every", "0"]] {
        let (code, text) = failure(&[&["top", "127.0.0.1:1"], &bad[..]].concat());
        assert!(code == 2 && text.contains(bad[0]), "{text}");
    }
}
