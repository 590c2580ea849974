//! Where settings come from: flags, environment and file, each of them for every option, and the
//! words in which values are given and refused.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::cli::{Running, failure, program, run, with};
use crate::harness::{announce, get, hash, put, refusal, torrent};
use crate::others;

fn with_variables(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = program(arguments);
    command.envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The variables that the help of the program and of its commands names.
fn variables() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for words in [&["--help"][..], &["help", "top"], &["help", "dump"]] {
        let help = text(&run(words).stdout);
        let mut named = help.split("[env: ").skip(1);
        names.extend(named.by_ref().map(|rest| {
            let end = rest.find(['=', ']']).unwrap();
            rest[..end].to_owned()
        }));
    }
    names
}

#[test]
fn every_option_has_a_variable_and_an_empty_one_says_nothing() {
    let names = variables();
    for name in [
        "JSON", "VERBOSE", "QUIET", "CONFIG", "LIST", "EVERY", "PEERS",
    ] {
        assert!(
            names.contains(&format!("BT_TRACKER_{name}")),
            "{name}: {names:?}"
        );
    }
    assert!(names.len() > 45, "{names:?}");
    let empty: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let output = with_variables(&["print-config"], &empty);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.stdout, run(&["print-config"]).stdout);
}

#[test]
fn switches_take_the_words_of_service_managers() {
    for (word, is_set) in [
        ("1", true),
        ("yes", true),
        ("on", true),
        ("TRUE", true),
        ("0", false),
        ("no", false),
        ("Off", false),
    ] {
        let variables = [("BT_TRACKER_JSON", word), ("BT_TRACKER_NO_PEER_IDS", word)];
        let output = with_variables(&["print-config"], &variables);
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{word}: {output:?}");
        let line = if is_set {
            let object: Value = serde_json::from_str(&printed).unwrap();
            object["no-peer-ids"].to_string()
        } else {
            let mut lines = printed.lines();
            let line = lines.find_map(|line| line.strip_prefix("no-peer-ids = "));
            line.unwrap().to_owned()
        };
        assert_eq!(line, is_set.to_string(), "{word}");
    }
    // What is neither is refused in words, and still as an object.
    let output = with_variables(&["print-config"], &[("BT_TRACKER_JSON", "maybe")]);
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        event["cause"].as_str().unwrap().contains("yes or no"),
        "{event}"
    );
    assert!(
        event["hint"].as_str().unwrap().contains("BT_TRACKER_JSON"),
        "{event}"
    );
}

#[test]
fn how_much_is_said_can_be_set_everywhere_too() {
    let doubted = ["check-config", "--interval", "20s", "--peer-ttl", "10s"];
    let warns = |variables: &[(&str, &str)], more: &[&str]| {
        let output = with_variables(&[&doubted[..], more].concat(), variables);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr).contains("WARN")
    };
    assert!(warns(&[], &[]));
    assert!(warns(&[("BT_TRACKER_VERBOSE", "1")], &[]));
    assert!(warns(&[("BT_TRACKER_QUIET", "1")], &[]));
    assert!(!warns(&[("BT_TRACKER_QUIET", "2")], &[]));
    assert!(
        warns(&[("BT_TRACKER_QUIET", "2")], &["-v"]),
        "what is typed wins"
    );

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    write("quiet = 2\n");
    assert!(!warns(&[], &["-c", path]));
    write("log = \"error\"\n");
    assert!(!warns(&[], &["-c", path]));
    write("verbose = true\njson = \"yes\"\nlog-format = \"text\"\n");
    let output = run(&[&doubted[..], &["-c", path]].concat());
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(event["ok"], true);
    assert!(text(&output.stderr).contains("WARN"), "{output:?}");
    // The environment says where the file is, too.
    let output = with_variables(&["check-config"], &[("BT_TRACKER_CONFIG", path)]);
    assert_eq!(text(&output.stdout), "{\"event\":\"config\",\"ok\":true}\n");
}

#[test]
fn a_file_may_say_one_where_several_are_meant_and_numbers_as_texts() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "http = \"127.0.0.1:0\"\ninterval = 10\nmin-interval = \"0.1m\"\nmax-numwant = \"7\"\n\
         trust-proxy = \"127.0.0.0/8\"\nrecv-buffer = \"1.5MiB\"\n",
    )
    .unwrap();
    let printed = text(&run(&["print-config", "-c", file.path().to_str().unwrap()]).stdout);
    for line in [
        "http = [\"127.0.0.1:0\"]",
        "interval = \"10s\"",
        "min-interval = \"6s\"",
        "max-numwant = 7",
        "trust-proxy = [\"127.0.0.0/8\"]",
        "recv-buffer = \"1536KiB\"",
    ] {
        assert!(
            printed.lines().any(|found| found == line),
            "{line}: {printed}"
        );
    }
}

#[test]
fn a_list_without_a_mode_for_it_is_refused_wherever_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let list = file("list", &hash(1).to_string());
    let alone = file("alone", &format!("list = {list:?}\n"));
    let open = file("open", &format!("mode = \"open\"\nlist = {list:?}\n"));
    let allow = file(
        "allow",
        &format!("mode = \"allow-list\"\nlist = {list:?}\n"),
    );
    for command in ["serve", "check-config"] {
        for (flags, variables, code) in [
            (vec!["--list", &list], vec![], 2),
            (vec!["--list", "/no/such/file"], vec![], 2),
            (vec!["--list", &list, "--mode", "open"], vec![], 2),
            (vec![], vec![("BT_TRACKER_LIST", list.as_str())], 2),
            (vec!["-c", &alone], vec![], 3),
            (vec!["-c", &open], vec![], 3),
        ] {
            let at = [&[command, "--http", "127.0.0.1:0"][..], &flags].concat();
            let output = with_variables(&at, &variables);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(code), "{at:?}: {said}");
            assert!(
                said.contains("an open tracker has no use for a list"),
                "{said}"
            );
            assert!(
                said.contains("hint: --mode allow-list or --mode deny-list?"),
                "{said}"
            );
        }
    }
    // Whoever types that it is open means it.
    for (flags, variables) in [
        (vec!["-c", allow.as_str()], vec![]),
        (
            vec![],
            vec![
                ("BT_TRACKER_LIST", list.as_str()),
                ("BT_TRACKER_MODE", "allow-list"),
            ],
        ),
    ] {
        let at = [&["check-config", "--mode", "open"][..], &flags].concat();
        let output = with_variables(&at, &variables);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains("--mode open holds: the list"), "{said}");
    }
    let open = Running::start(&with(&["--mode", "open", "-c", &allow]));
    announce(open.http(), 2, 1, 5, "").unwrap();
    open.stop();
    let closed = Running::start(&with(&["-c", &allow]));
    refusal(announce(closed.http(), 2, 1, 5, ""));
    closed.stop();
}

#[test]
fn a_fault_of_the_file_is_blamed_on_it_though_the_command_line_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    std::fs::write(&list, "").unwrap();
    let file = directory.path().join("tracker.toml");
    std::fs::write(&file, "mode = \"allow-list\"\ninterval = 0\n").unwrap();
    let (list, file) = (list.to_str().unwrap(), file.to_str().unwrap());
    let (code, said) = failure(&["check-config", "-c", file, "--list", list]);
    assert!(
        code == 3 && said.contains("at least one second"),
        "{code} {said}"
    );
}

#[test]
fn what_is_typed_wins_over_a_variable_that_contradicts_it() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "a-token-that-is-long-enough").unwrap();
    let token = token.to_str().unwrap();
    for kind in ["admin", "upload"] {
        let flag = format!("--{kind}-token-file");
        let variable = format!("BT_TRACKER_{}_TOKEN", kind.to_uppercase());
        let other = "another-token-of-the-environment";
        let variables = [(variable.as_str(), other)];
        let at = ["print-config", flag.as_str(), token];
        let output = with_variables(&at, &variables);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let line = format!("{kind}-token-file = {token:?}");
        assert!(text(&output.stdout).contains(&line), "{output:?}");
        // Typed twice it is a contradiction.
        let secret = format!("--{kind}-token");
        let (code, said) = failure(&["print-config", &flag, token, &secret, other]);
        assert!(code == 2 && said.contains("cannot be used with"), "{said}");
    }
}

#[test]
fn addresses_may_be_short() {
    let mut tracker = program(&["serve", "--http", ":0", "--udp", "localhost:0"]);
    let tracker = Running::spawn(tracker.env("BT_TRACKER_STATS_ADDR", ":0"));
    assert!(tracker.http().ip().is_unspecified(), "{}", tracker.ready);
    assert!(
        tracker.address("udp=").ip().is_loopback(),
        "{}",
        tracker.ready
    );
    let here = |address: std::net::SocketAddr| ([127, 0, 0, 1], address.port()).into();
    announce(here(tracker.http()), 1, 1, 5, "").unwrap();
    let stats = here(tracker.address("stats="));
    assert_eq!(get(stats, "/healthz").status, 200);
    let top = ["top", &format!(":{}", stats.port()), "-n", "1", "--json"];
    assert_eq!(run(&top).status.code(), Some(0));
    assert_eq!(tracker.stop().0, Some(0));
}

#[test]
fn times_and_sizes_are_read_as_by_the_client_and_have_bounds() {
    let printed = |setting: &str| {
        let output = run(&["print-config", setting]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stdout)
    };
    for (setting, line) in [
        ("--interval=1h30m", "interval = \"90m\""),
        ("--interval=1.5m", "interval = \"90s\""),
        ("--interval=10", "interval = \"10s\""),
        (
            "--max-connection-memory=1.5MiB",
            "max-connection-memory = \"1536KiB\"",
        ),
        (
            "--max-connection-memory=1T",
            "max-connection-memory = \"976562500KiB\"",
        ),
    ] {
        let printed = printed(setting);
        assert!(
            printed.lines().any(|found| found == line),
            "{line}: {printed}"
        );
    }
    assert!(run(&["check-config", "--interval", "24h"]).status.success());
    for (interval, says) in [
        ("24h1s", "at most one day"),
        ("3650d", "at most one day"),
        ("99999999999h", "longer than ten years"),
        ("999ms", "at least one second"),
        ("0", "at least one second"),
    ] {
        let (code, said) = failure(&["check-config", "--interval", interval]);
        assert!(
            code == 2 && said.contains(says),
            "{interval}: {code} {said}"
        );
    }
}

#[test]
fn values_are_refused_in_words_for_people_with_a_cause_and_a_hint() {
    for words in [
        &["--http", "nonsense"][..],
        &["--http", "127.0.0.1"],
        &["--stats-addr", "tracker.example:1"],
        &["--workers", "x"],
        &["--workers", "99999999999999999999"],
        &["--max-numwant", "x"],
        &["--max-numwant", "5000000000"],
        &["--no-peer-ids=maybe"],
        &["--interval", "soon"],
        &["--recv-buffer", "1 parsec"],
        &["--mode", "closed"],
        &["--store", "nonsense"],
        &["--locality", "x"],
        &["--trust-proxy", "x"],
        &["--log-format", "xml"],
        &["--log", "=[="],
        &["top", "--every", "soon"],
    ] {
        let (code, said) = failure(&[words, &["--json"]].concat());
        assert_eq!(code, 2, "{said}");
        assert!(
            said.contains("\n  cause: ") && said.contains("\n  hint: "),
            "{said}"
        );
        for rust in [
            "invalid digit",
            "would be zero",
            "socket address",
            "not a boolean",
            "expected usize",
            "HIDDEN",
            "..=",
        ] {
            assert!(!said.contains(rust), "{said}");
        }
        let event: Value =
            serde_json::from_slice(&run(&[words, &["--json"]].concat()).stdout).unwrap();
        assert_eq!(
            (&event["event"], &event["kind"]),
            (&"error".into(), &"usage".into())
        );
        for part in ["message", "cause", "hint"] {
            assert!(
                said.contains(event[part].as_str().unwrap()),
                "{part}: {event}"
            );
        }
    }
    let output = run(&["serve", "--config", "/no/such/file", "--json"]);
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(event["kind"], "bad_input");
    assert!(
        event["cause"].as_str().unwrap().starts_with("No such file"),
        "{event}"
    );
}

#[test]
fn help_is_asked_for_like_everything_else() {
    for words in [
        &["help", "serve"][..],
        &["help", "serve", "--json"],
        &["--json", "help", "serve"],
    ] {
        let output = run(words);
        let printed = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(printed.contains("bt-tracker serve [OPTIONS]"), "{printed}");
        if words.contains(&"--json") {
            let object: Value = serde_json::from_str(&printed).unwrap();
            assert!(object["text"].is_string());
        }
    }
    assert!(text(&run(&["help"]).stdout).contains("check-config"));
    assert!(text(&run(&["--help"]).stdout).contains("\n  help "));
    let (code, said) = failure(&["help", "srve"]);
    assert!(code == 2 && said.contains("serve"), "{said}");
}

#[test]
fn bash_completes_options_behind_a_command() {
    let Some(bash) = others::program("bash") else {
        return others::leave_out("bash_completes_options_behind_a_command", "bash");
    };
    let script = run(&["completions", "bash"]).stdout;
    let complete = |words: &[&str]| {
        let (last, previous) = (words[words.len() - 1], words[words.len() - 2]);
        let ask = format!(
            "COMP_WORDS=({}); COMP_CWORD={}; _bt__tracker bt-tracker {last} {previous}\n\
             printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.join(" "),
            words.len() - 1
        );
        let mut shell = std::process::Command::new(&bash);
        let shell = shell.args(["--norc", "--noprofile"]).stdin(Stdio::piped());
        let mut shell = shell.stdout(Stdio::piped()).spawn().unwrap();
        let mut input = shell.stdin.take().unwrap();
        input.write_all(&script).unwrap();
        input.write_all(ask.as_bytes()).unwrap();
        drop(input);
        text(&shell.wait_with_output().unwrap().stdout)
    };
    assert_eq!(complete(&["bt-tracker", "check"]), "check-config\n");
    assert_eq!(
        complete(&["bt-tracker", "serve", "--min"]),
        "--min-interval\n"
    );
    assert_eq!(
        complete(&["bt-tracker", "check-config", "--snapshot-"]),
        "--snapshot-every\n"
    );
    assert_eq!(
        complete(&["bt-tracker", "dump", "--pee"]),
        "--peers\n--peer-ttl\n"
    );
    assert!(complete(&["bt-tracker", "serve", "--mode", "d"]).contains("deny-list"));
}

#[test]
fn logs_hold_names_and_not_their_debug_form() {
    let directory = tempfile::tempdir().unwrap();
    put(directory.path(), "a b.torrent", &torrent("a").to_bytes());
    put(directory.path(), "bad\u{202e}.torrent", b"junk");
    let snapshot = directory.path().join("swarms");
    let at = with(&[
        "--json",
        "--torrents",
        directory.path().to_str().unwrap(),
        "--snapshot",
        snapshot.to_str().unwrap(),
    ]);
    let tracker = Running::start(&at);
    let (code, _, log) = tracker.stop();
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let field = |message: &str, name: &str| {
        let line = lines
            .iter()
            .find(|line| line["fields"]["message"] == message);
        line.unwrap_or_else(|| panic!("{message}: {log}"))["fields"][name].clone()
    };
    assert_eq!(field("torrents", "added"), "a b.torrent");
    assert_eq!(field("torrents", "removed"), Value::Null);
    assert_eq!(
        field("not a torrent, left out", "file"),
        "bad\\u{202e}.torrent"
    );
    assert_eq!(field("no snapshot yet", "path"), snapshot.to_str().unwrap());
}
