//! Options: what is refused and how, and where else values can come from.

use crate::cli_run::{Bench, words};

/// Command lines that no program should accept, with what the message must say.
const BAD_LINES: &[(&str, &[&str])] = &[
    ("", &["no command was given", "--help"]),
    ("frobnicate", &["unrecognized subcommand 'frobnicate'"]),
    (
        "downlod x.torrent",
        &["unrecognized subcommand 'downlod'", "download"],
    ),
    ("show", &["<FILE", "usage: bt-client show"]),
    ("show a b", &["unexpected argument 'b'"]),
    ("show --nope a", &["unexpected argument '--nope'"]),
    ("show --jsn a", &["'--jsn'", "'--json'"]),
    ("verify", &["<TORRENT>"]),
    ("magnet", &["<FILE>"]),
    ("create", &["<PATH>"]),
    (
        "create . -s 3x",
        &["'3x'", "--piece-length", "unknown unit"],
    ),
    ("create . -s -1", &["'-1'"]),
    (
        "create . -s 99999999999999999999",
        &["--piece-length", "too large"],
    ),
    ("create . -s 512k", &["512000", "power of two", "512KiB"]),
    ("create . -s 8KiB", &["16.0 KiB"]),
    ("create . -s 128MiB", &["64.0 MiB"]),
    ("create . --v2", &["--v2", "v1"]),
    ("create . --hybrid", &["--hybrid", "v1"]),
    ("create . --v1 --v2", &["cannot be used with"]),
    ("create . --date yesterday", &["'yesterday'", "--date"]),
    ("create . --date 1 --no-date", &["cannot be used with"]),
    ("create . --node nowhere", &["'nowhere'", "--node"]),
    ("create . --node host:99999", &["--node"]),
    ("create . --include [", &["'['", "--include"]),
    ("create . --exclude {a", &["--exclude"]),
    ("create . -t not-a-url", &["not-a-url", "http"]),
    (
        "create . -t ftp://tracker.example/announce",
        &["ftp://tracker.example/announce"],
    ),
    ("create . -w gopher://x/", &["gopher://x/"]),
    ("create . -j 0", &["'0'", "--threads"]),
    ("seed", &["<TORRENT|PATH>"]),
    (
        "seed x.torrent --time soon",
        &["'soon'", "--time", "30s, 5m, 2h"],
    ),
    ("seed x.torrent --time 9999999d", &["ten years"]),
    ("seed x.torrent --ratio -1", &["'-1'"]),
    ("seed x.torrent --ratio NaN", &["'NaN'", "--ratio"]),
    (
        "seed x.torrent -p 65536",
        &["'65536'", "--port", "0..=65535"],
    ),
    (
        "seed x.torrent -p http",
        &["'http'", "--port", "it must be a whole number"],
    ),
    ("download x --peer 1.2.3.4:0", &["--peer", "port 0"]),
    ("download x --peer nobody", &["--peer", "192.0.2.1:6881"]),
    ("download", &["<SRC>"]),
    ("download x.torrent -d 0", &["'0'", "--down"]),
    ("download x.torrent -u fast", &["'fast'", "--up"]),
    ("download x.torrent -u 1M/h", &["'1M/h'"]),
    ("download x.torrent -4 -6", &["'--ipv4'", "'--ipv6'"]),
    (
        "download x.torrent --peer localhost:1",
        &["'localhost:1'", "--peer"],
    ),
    (
        "download x.torrent --peer 1.2.3.4",
        &["'1.2.3.4'", "--peer"],
    ),
    ("download x.torrent --max-peers 0", &["'0'", "--max-peers"]),
    (
        "download x.torrent --encryption maybe",
        &["'maybe'", "off, prefer, require"],
    ),
    (
        "download x.torrent --check sometimes",
        &["'sometimes'", "auto, always, never"],
    ),
    (
        "download x.torrent --files 0",
        &["'0'", "--files", "count from 1"],
    ),
    (
        "download x.torrent --files 5-3",
        &["'5-3'", "ends before it starts"],
    ),
    ("download x.torrent --files a", &["'a'", "--files"]),
    ("download x.torrent --timeout 1y", &["'1y'", "--timeout"]),
    (
        "download x.torrent --seed-ratio x",
        &["'x'", "--seed-ratio"],
    ),
    ("download x.torrent --events all", &["'all'", "--events"]),
    ("download x.torrent -v -q", &["cannot be used with"]),
    ("show --log =x= a", &["--log is not a filter"]),
    ("demo --size 0x", &["'0x'", "--size"]),
];

#[test]
fn bad_command_lines_exit_2_and_say_what_is_wrong() {
    let bench = Bench::new();
    for (line, fragments) in BAD_LINES {
        bench.run(words(line)).failed(line, 2, fragments);
    }
}

/// Network options that cannot be honored are refused, never ignored.
#[test]
fn promises_that_cannot_be_kept_are_refused() {
    let bench = Bench::new();
    let torrent = bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let table: &[(&str, &[&str])] = &[
        ("--no-tcp", &["--no-tcp", "not in this version"]),
        (
            "--encryption require",
            &["encrypted", "not in this version"],
        ),
        ("--encryption prefer", &["encrypted", "not in this version"]),
        (
            "--proxy socks5://127.0.0.1:9050",
            &["proxy", "not in this version"],
        ),
        (
            "--dht-bootstrap router.example:6881",
            &["DHT", "not in this version"],
        ),
        (
            "--bind no-such-if0",
            &["no-such-if0", "neither an address nor an interface"],
        ),
        ("--bind 127.0.0.1 -6", &["-4 or -6"]),
        ("--bind ::1 -4", &["-4 or -6"]),
    ];
    for (line, fragments) in table {
        let mut args = words("download");
        args.push(torrent.clone().into());
        args.extend(words(line));
        bench.run(args).failed(line, 2, fragments);
    }
}

#[test]
fn control_characters_of_the_command_line_are_not_echoed() {
    let bench = Bench::new();
    bench
        .run(["show", "--\u{1b}[2Jx"])
        .failed("option", 2, &["unexpected argument"]);
    bench.run(["show", "no\u{1b}[2J\u{202e}file"]).failed(
        "file",
        3,
        &["no\\u{1b}[2J\\u{202e}file"],
    );
}

#[test]
fn a_failure_is_also_an_event_with_json() {
    let bench = Bench::new();
    let table = [
        ("show --json gone.torrent", 3, "bad_input"),
        ("--json show --nope", 2, "usage"),
        ("create . -o - --json", 2, "usage"),
        ("create gone --json", 5, "storage"),
    ];
    for (line, code, kind) in table {
        let ran = bench.run(words(line));
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.err.starts_with("error: "), "{ran:?}");
        let event = ran.object();
        assert_eq!(event["event"], "error");
        assert_eq!(event["kind"], kind);
        assert!(event["message"].is_string());
    }
}

#[test]
fn help_and_version_are_results() {
    let bench = Bench::new();
    let help = bench.run(["--help"]).ok();
    for command in [
        "create",
        "show",
        "verify",
        "magnet",
        "seed",
        "download",
        "demo",
        "BT_CLIENT_",
        "Exit codes",
    ] {
        assert!(help.text().contains(command), "{command}");
    }
    assert!(
        bench
            .run(["--version"])
            .ok()
            .text()
            .starts_with("bt-client ")
    );
    for command in [
        "create", "show", "verify", "magnet", "seed", "download", "demo",
    ] {
        let help = bench.run([command, "--help"]).ok();
        assert!(help.text().contains("--json"), "{command}");
    }
}

#[test]
fn help_and_version_are_objects_with_json() {
    let bench = Bench::new();
    for (line, fragment) in [
        ("--json --version", "bt-client 0."),
        ("--version --json", "bt-client 0."),
        ("seed --version --json", "bt-client 0."),
        ("download -V --json", "bt-client 0."),
        ("--json help", "Exit codes:"),
        ("--json help show", "MAGNET"),
        ("show --json --help", "MAGNET"),
        ("show --help --json", "MAGNET"),
    ] {
        let text = bench.run(words(line)).ok().object()["text"].clone();
        assert!(text.as_str().unwrap().contains(fragment), "{line}: {text}");
    }
}

#[test]
fn a_mistyped_variable_is_named() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let run = |name: &str, line: &str| {
        let mut command = bench.command(words(line));
        crate::cli_run::finish(command.env(name, "1").spawn().unwrap()).ok()
    };
    let ran = run("BT_CLIENT_NO_TRACKRS", "show --json a.torrent");
    assert_eq!(ran.object()["name"], "a", "the result is as ever");
    assert!(
        ran.err
            .starts_with("warning: BT_CLIENT_NO_TRACKRS is no option"),
        "{ran:?}"
    );
    assert_eq!(run("BT_CLIENT_NO_TRACKERS", "show a.torrent").err, "");
    assert_eq!(run("BT_CLIENT_NO_TRACKRS", "show -q a.torrent").err, "");
}

#[test]
fn a_usage_shows_what_has_to_be_typed() {
    let bench = Bench::new();
    let mut command = bench.command(["magnet"]);
    let ran = crate::cli_run::finish(command.env("BT_CLIENT_HOME", "/h").spawn().unwrap());
    ran.failed("home", 2, &["usage: bt-client magnet <FILE>"]);
}

#[test]
fn global_options_stand_before_and_after_the_command() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    for line in [
        "--json show a.torrent",
        "show --json a.torrent",
        "show a.torrent --json",
    ] {
        assert_eq!(bench.run(words(line)).ok().object()["name"], "a", "{line}");
    }
}

#[test]
fn what_is_typed_wins_over_a_variable_that_contradicts_it() {
    let bench = Bench::new();
    bench.write("a", "content");
    let date = |variable: &str, value: &str, line: &str| {
        let mut command = bench.command(words(&format!("create a -o t --force {line}")));
        crate::cli_run::finish(command.env(variable, value).spawn().unwrap()).ok();
        bench.run(words("show --json t")).ok().object()["creation_date"].clone()
    };
    assert!(date("BT_CLIENT_DATE", "7", "--no-date").is_null());
    assert_eq!(date("BT_CLIENT_NO_DATE", "1", "--date 7"), 7);
    assert_eq!(date("BT_CLIENT_DATE", "7", ""), 7);
    // Also with global options, on either side of the command.
    for line in ["-q create a -o t --force", "create a -o t --force -q"] {
        let mut command = bench.command(words(line));
        let child = command.env("BT_CLIENT_VERBOSE", "1").spawn().unwrap();
        assert_eq!(crate::cli_run::finish(child).ok().err, "", "{line}");
    }
    // Two variables that contradict each other are a mistake of whoever set them.
    let mut command = bench.command(words("create a -o t --force"));
    command
        .env("BT_CLIENT_DATE", "7")
        .env("BT_CLIENT_NO_DATE", "1");
    let ran = crate::cli_run::finish(command.spawn().unwrap());
    ran.failed("two variables", 2, &["--date", "--no-date"]);
}

#[test]
fn a_variable_for_one_command_does_not_disturb_another() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let mut command = bench.command(words("show --json a.torrent"));
    let list = command.env("BT_CLIENT_FILES", "1,3").spawn().unwrap();
    assert_eq!(crate::cli_run::finish(list).ok().object()["name"], "a");
    let mut command = bench.command(words("show a.torrent"));
    let child = command.env("BT_CLIENT_FILES", "maybe").spawn().unwrap();
    crate::cli_run::finish(child).ok();

    // For `download` it is a folder; for `seed` it would be a file.
    bench.write("content", "bytes");
    let mut command = bench.command(words("seed content --time 0 --bind 127.0.0.1"));
    let child = command
        .env("BT_CLIENT_OUTPUT", "downloads")
        .spawn()
        .unwrap();
    crate::cli_run::finish(child).ok();
    assert!(!bench.path("downloads").exists());
}

/// Asks the script as bash does when somebody presses the tabulator key.
#[test]
fn bash_completes_the_options_of_a_command() {
    let bench = Bench::new();
    let ran = bench.run(words("completions bash")).ok();
    let script = ran.text();
    bench.write(
        "ask",
        format!(
            "{script}\nCOMP_WORDS=(bt-client create --f)\nCOMP_CWORD=2\n\
             _bt__client bt-client --f create\necho \"${{COMPREPLY[@]}}\"\n"
        ),
    );
    let said = std::process::Command::new("bash")
        .arg(bench.path("ask"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said.stdout).trim(),
        "--force --follow-symlinks"
    );
}

#[test]
fn every_option_is_a_variable_and_an_empty_one_is_none() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let run = |name: &str, value: &str, line: &str| {
        crate::cli_run::finish(bench.command(words(line)).env(name, value).spawn().unwrap())
    };
    assert_eq!(
        run("BT_CLIENT_JSON", "1", "show a.torrent").ok().object()["name"],
        "a"
    );
    assert!(
        run("BT_CLIENT_JSON", "", "show a.torrent")
            .ok()
            .text()
            .starts_with("name")
    );
    run("BT_CLIENT_PIECE_LENGTH", "3x", "create a.torrent").failed(
        "variable",
        2,
        &["'3x'", "--piece-length"],
    );
    let from_flag = run(
        "BT_CLIENT_COMMENT",
        "from variable",
        "create a.torrent -o b.torrent -c flag",
    )
    .ok();
    assert!(from_flag.text().contains("b.torrent"));
    assert_eq!(
        bench.run(words("show --json b.torrent")).ok().object()["comment"],
        "flag"
    );
}

#[test]
fn the_file_gives_defaults_and_flags_win() {
    let bench = Bench::new();
    bench.write("a.txt", "content");
    bench.write(
        "home/.config/bt-client/config.toml",
        "comment = \"from file\"\nno-date = true\n[create]\nsource = \"file\"\ntracker = [\"http://a/announce\", \"http://b/announce\"]\n",
    );
    bench.run(words("create a.txt -o 1.torrent")).ok();
    let shown = bench.run(words("show --json 1.torrent")).ok().object();
    assert_eq!(shown["comment"], "from file");
    assert_eq!(shown["source"], "file");
    assert_eq!(shown["creation_date"], serde_json::Value::Null);
    assert_eq!(
        shown["trackers"],
        serde_json::json!([["http://a/announce"], ["http://b/announce"]])
    );
    bench
        .run(words("create a.txt -o 2.torrent --source flag --date 7"))
        .ok();
    let shown = bench.run(words("show --json 2.torrent")).ok().object();
    assert_eq!(shown["source"], "flag");
    assert_eq!(
        shown["creation_date"], 7,
        "what is typed wins over what contradicts it in the file"
    );
}

#[test]
fn what_the_file_says_for_all_commands_is_no_mistake_where_one_has_no_use_for_it() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let seed = "-C c.toml seed --no-trackers --bind 127.0.0.1 --time 1ms";
    bench.write("c.toml", "files = \"1\"\noutput = \"out\"");
    bench.run(words("-C c.toml show a.torrent")).ok();
    let ran = bench.run(words(&format!("{seed} a.torrent")));
    ran.failed("only the content is missing", 6, &["not complete"]);
    bench.write("c.toml", "files = true\ndata = \"nowhere\"");
    bench.write("content", "of a file");
    bench.run(words("-C c.toml show a.torrent")).ok();
    bench.run(words(&format!("{seed} content"))).ok();
    bench.write("c.toml", "files = 1979-05-27");
    bench.run(words("-C c.toml show a.torrent")).failed(
        "no command takes a date",
        3,
        &["\"files\""],
    );
    let words = words("-C nothing show a.torrent");
    let mut command = bench.command(words);
    command.env("BT_CLIENT_JSON", "junk");
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}

#[test]
fn a_bad_configuration_is_refused_with_its_line_or_key() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let table: &[(&str, &[&str])] = &[
        (
            "prot = 1",
            &["c.toml", "unknown key \"prot\"", "did you mean \"port\""],
        ),
        (
            "[create]\ntrackers = []",
            &["unknown key \"create.trackers\"", "tracker"],
        ),
        ("[nonsense]\na = 1", &["unknown key \"nonsense\""]),
        ("[show]\nport = 1", &["unknown key \"show.port\""]),
        ("port = \"many\"", &["'many'", "--port"]),
        ("port = 65536", &["'65536'"]),
        ("down = \"0\"", &["'0'", "--down"]),
        ("port = [[1]]", &["\"port\"", "no option takes"]),
        ("port = 1979-05-27", &["\"port\"", "no option takes"]),
        ("json = 3", &["\"json\"", "true or false"]),
        ("port = true", &["\"port\"", "true or false"]),
        ("home = \"/\"", &["unknown key \"home\""]),
        ("config = \"x\"", &["unknown key \"config\""]),
        ("ok = \nport = 1", &["line 1", "TOML"]),
        ("port = 1\nport = 2", &["line 2", "TOML"]),
        ("\"a\\u001bb\" = 1", &["unknown key \"a\\u{1b}b\""]),
    ];
    for (text, fragments) in table {
        bench.write("c.toml", text);
        bench
            .run(words("--config c.toml download a.torrent"))
            .failed(text, 3, fragments);
    }
    bench.write("c.toml", b"port = \"\xff\"");
    bench
        .run(words("-C c.toml show a.torrent"))
        .failed("not text", 3, &["c.toml", "cannot read"]);
    bench.run(words("-C gone.toml show a.torrent")).failed(
        "no file",
        3,
        &["gone.toml", "cannot read"],
    );
}

#[test]
fn home_moves_the_configuration() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    bench.write("elsewhere/config.toml", "json = true");
    assert_eq!(
        bench
            .run(words("--home elsewhere show a.torrent"))
            .ok()
            .object()["name"],
        "a"
    );
    assert_eq!(
        bench
            .run(words("--home empty show a.torrent --json"))
            .ok()
            .object()["name"],
        "a"
    );
}
