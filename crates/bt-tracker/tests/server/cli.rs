//! The program with its flags and signals.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{announce, eventually, get, hash, put, refusal, torrent};
use crate::replay::replay;

pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bt-tracker"));
    for (name, _) in std::env::vars() {
        if name.starts_with("BT_TRACKER_") {
            command.env_remove(name);
        }
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// What went wrong, as people see it: the exit code and the message.
pub(crate) fn failure(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: "), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code().unwrap(), text)
}

pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) ready: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(&mut program(arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        Self {
            child,
            stdout,
            ready: ready.trim_end().to_owned(),
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.address("http=")
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let value = self
            .ready
            .split(name)
            .nth(1)
            .unwrap_or_else(|| panic!("{}", self.ready));
        value.split([' ', ',']).next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line
    }

    /// Waits for a line of its log with this in it.
    pub(crate) fn logs(&mut self, part: &str) {
        let mut log = String::new();
        let stderr = self.child.stderr.as_mut().unwrap();
        while !log.contains(part) {
            let mut byte = [0];
            stderr.read_exact(&mut byte).expect("it goes on");
            log.push(char::from(byte[0]));
        }
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(self) -> (Option<i32>, String, String) {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Exit code, the rest of standard output, and standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) const ANYWHERE: [&str; 5] = ["serve", "--http", "127.0.0.1:0", "--udp", "127.0.0.1:0"];

pub(crate) fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ANYWHERE
        .iter()
        .copied()
        .chain(more.iter().copied())
        .collect()
}

#[test]
fn it_says_where_it_listens_and_ends_well() {
    let tracker = Running::start(&with(&["--stats-addr", "127.0.0.1:0"]));
    assert!(
        tracker.ready.starts_with("listening http=127.0.0.1:"),
        "{}",
        tracker.ready
    );
    assert!(
        tracker.ready.contains(" udp=127.0.0.1:"),
        "{}",
        tracker.ready
    );
    announce(tracker.http(), 1, 1001, 5, "").unwrap();
    assert!(
        get(tracker.address("stats="), "/metrics")
            .text()
            .contains("bt_tracker_torrents 1")
    );
    tracker.signal(Signal::TERM);
    let (code, out, err) = tracker.end();
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");

    let tracker = Running::start(&ANYWHERE);
    tracker.signal(Signal::INT);
    assert_eq!(tracker.end().0, Some(130));
}

#[test]
fn with_json_standard_output_has_objects_only() {
    let tracker = Running::start(&with(&["--json"]));
    let ready = &tracker.ready;
    let start = "{\"event\":\"listening\",\"http\":[\"127.0.0.1:";
    assert!(
        ready.starts_with(start) && ready.contains("\"udp\":[\"127.0.0.1:"),
        "{ready}"
    );
    tracker.signal(Signal::TERM);
    let (code, out, _) = tracker.end();
    assert_eq!((code, out.as_str()), (Some(0), ""));
    // Global options may stand before the command as well.
    let mut before = vec!["--json"];
    before.extend(ANYWHERE);
    let tracker = Running::start(&before);
    assert!(tracker.ready.starts_with(start));
    tracker.signal(Signal::TERM);
    tracker.end();

    let output = run(&[
        "--json",
        "serve",
        "--http",
        "127.0.0.1:0",
        "--mode",
        "allow-list",
    ]);
    let text = String::from_utf8(output.stdout).unwrap();
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(event["message"], "mode allow-list needs a list");
    assert!(
        event["cause"].is_null() && event["hint"].is_string(),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_explained_in_the_form_of_all_errors() {
    for (arguments, what, hint) in [
        (&["--bogus"][..], "unexpected argument '--bogus'", "--help"),
        (&["serve", "--http", "nope"], "'nope' for '--http", "--help"),
        (&["serve", "--mode", "zz"], "'zz' for '--mode", "--help"),
        (&["srve"], "'srve'", "serve"),
        (
            &["serve", "--intervall", "1s"],
            "'--intervall'",
            "'--interval'",
        ),
    ] {
        let (code, text) = failure(arguments);
        let lines: Vec<&str> = text.lines().collect();
        assert!(code == 2 && lines[0].contains(what), "{text}");
        let (last, between) = lines[1..].split_last().unwrap();
        assert!(
            last.starts_with("  hint: ") && last.contains(hint),
            "{text}"
        );
        // A value that is refused has a reason.
        assert_eq!(between.len(), usize::from(what.contains(" for ")), "{text}");
        assert!(
            between.iter().all(|line| line.starts_with("  cause: ")),
            "{text}"
        );

        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let output = run(&arguments);
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&line["event"], &line["kind"]),
            (&"error".into(), &"usage".into())
        );
        assert!(line["message"].as_str().unwrap().contains(what), "{line}");
        assert_eq!(output.status.code(), Some(2));
    }
    // From the environment as well, and without its variables in the usage.
    let output = program(&["serve"])
        .env("BT_TRACKER_MODE", "zz")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("error: ") && text.contains("'zz'"),
        "{text}"
    );
    assert!(
        text.contains("\n  hint: ") && !text.contains("For more"),
        "{text}"
    );
    let mut command = program(&["--bogus"]);
    let output = command.env("BT_TRACKER_INTERVAL", "1h").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!text.contains("--interval"), "{text}");
}

#[test]
fn text_is_an_object_with_json() {
    for (arguments, part) in [
        (&["--json", "--version"][..], "bt-tracker 0."),
        (&["serve", "--help", "--json"], "--http"),
        (&["--json", "man"], "bt-tracker"),
        (&["completions", "bash", "--json"], "bt-tracker"),
    ] {
        let output = run(arguments);
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(line["text"].as_str().unwrap().contains(part), "{line}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_setting_of_the_file_that_is_refused_is_the_files_fault() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tracker.toml");
    std::fs::write(&file, "interval = \"0s\"\n").unwrap();
    let file = file.to_str().unwrap();
    for command in ["serve", "check-config"] {
        let (code, text) = failure(&[command, "--config", file, "--http", "127.0.0.1:0"]);
        assert!(code == 3 && text.contains("at least one second"), "{text}");
        assert!(text.contains("tracker.toml makes no sense"), "{text}");
    }
    let typed = ["check-config", "--config", file, "--interval", "0s"];
    let (code, text) = failure(&typed);
    assert!(code == 2 && text.contains("at least one second"), "{text}");
}

#[test]
fn mistakes_are_explained_with_the_right_exit_code() {
    let (code, text) = failure(&["serve", "--http", "nonsense"]);
    assert_eq!(code, 2, "{text}");
    let (code, text) = failure(&["serve", "--store", "disk"]);
    assert!(code == 2 && text.contains("no store"), "{code} {text}");
    let (code, text) = failure(&["check-config", "--store", "redis://:secret@host:port"]);
    assert!(
        code == 2 && text.contains("the store cannot be used") && !text.contains("secret"),
        "{code} {text}"
    );
    let (code, text) = failure(&with(&["--mode", "deny-list"]));
    assert!(
        code == 2 && text.contains("\n  hint: give it with --list FILE"),
        "{code} {text}"
    );
    let (code, text) = failure(&with(&["--mode", "deny-list", "--list", "/no/such/file"]));
    assert!(
        code == 3 && text.contains("\n  cause: No such file"),
        "{code} {text}"
    );
    let (code, text) = failure(&with(&["--torrents", "/no/such/dir"]));
    assert_eq!(code, 3, "{text}");
    let (code, text) = failure(&with(&["--locality", "10.0.0.0/8"]));
    assert!(code == 2 && text.contains("CIDR=NAME"), "{code} {text}");
    let (code, text) = failure(&with(&["--locality", "10.0.0.0/8=a,10.0.0.0/8=b"]));
    assert!(code == 2 && text.contains("named twice"), "{code} {text}");
    let (code, text) = failure(&with(&["--interval", "0s"]));
    assert!(
        code == 2 && text.contains("at least one second"),
        "{code} {text}"
    );
    let (code, text) = failure(&with(&["--log", "=[="]));
    assert_eq!(code, 2, "{text}");
    let (code, text) = failure(&["serve", "--http", "192.0.2.1:6969"]);
    assert!(
        code == 4 && text.contains("cannot listen on http 192.0.2.1:6969"),
        "{code} {text}"
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = failure(&["serve", "--http", &address]);
    assert!(
        code == 4 && text.contains("hint: another program listens there"),
        "{code} {text}"
    );
}

#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tracker.toml");
    std::fs::write(
        &file,
        "http = [\"127.0.0.1:0\"]\ninterval = \"11s\"\nmax-numwant = 5\n\
         locality = [\"10.0.0.0/8=site\"]\ntrust-proxy = [\"127.0.0.1/32\"]\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let mut command = program(&["--config", file, "--max-numwant", "7", "print-config"]);
    let output = command.env("BT_TRACKER_INTERVAL", "22s").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "http = [\"127.0.0.1:0\"]",
        "interval = \"22s\"",
        "min-interval = \"11s\"",
        "max-numwant = 7",
        "locality = [\"10.0.0.0/8=site\"]",
        "trust-proxy = [\"127.0.0.1/32\"]",
        "mode = \"open\"",
        "store = \"memory\"",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    // What is printed can be read.
    let printed = dir.path().join("printed.toml");
    std::fs::write(&printed, &text).unwrap();
    let again = run(&["--config", printed.to_str().unwrap(), "print-config"]);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), text);

    std::fs::write(&printed, "interval = \"5s\"\nintervall = \"6s\"\n").unwrap();
    let (code, text) = failure(&["serve", "--config", printed.to_str().unwrap()]);
    assert!(
        code == 3 && text.contains("intervall") && text.contains("line 2"),
        "{code} {text}"
    );
    let (code, _) = failure(&["serve", "--config", "/no/such/file"]);
    assert_eq!(code, 3);
}

#[test]
fn a_configuration_can_be_checked_without_starting() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "a.torrent", &torrent("a").to_bytes());
    let torrents = dir.path().to_str().unwrap();
    let output = run(&["check-config", "--torrents", torrents]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output.stdout, b"the configuration is fine\n");
    put(dir.path(), "b.torrent", b"broken");
    let (code, text) = failure(&["check-config", "--torrents", torrents]);
    assert!(
        code == 3 && text.contains("b.torrent is not a torrent"),
        "{code} {text}"
    );
}

#[test]
fn a_hang_up_reads_the_list_again_and_refuses_a_bad_one() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(&list, &hash(1).to_string());
    let arguments = with(&["--mode", "allow-list", "--list", list.to_str().unwrap()]);
    let mut tracker = Running::start(&arguments);
    announce(tracker.http(), 1, 1, 5, "").unwrap();
    refusal(announce(tracker.http(), 2, 1, 5, ""));
    write(&list, &format!("{}\n{}\n", hash(1), hash(2)));
    tracker.signal(Signal::HUP);
    eventually("the new list is in force", || {
        announce(tracker.http(), 2, 1, 5, "").is_ok()
    });
    write(&list, "nonsense\n");
    tracker.signal(Signal::HUP);
    tracker.logs("the old one stays in force");
    announce(tracker.http(), 2, 1, 5, "").unwrap();
    let (code, _, rest) = tracker.stop();
    assert_eq!(code, Some(0));
    assert!(!rest.contains("line 1"), "it is told once: {rest}");
}

#[test]
fn swarms_survive_being_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("swarms");
    let arguments = with(&["--snapshot", snapshot.to_str().unwrap()]);
    let tracker = Running::start(&arguments);
    announce(tracker.http(), 1, 1001, 0, "").unwrap();
    tracker.signal(Signal::TERM);
    assert_eq!(tracker.end().0, Some(0));
    let tracker = Running::start(&arguments);
    let response = announce(tracker.http(), 1, 1002, 5, "").unwrap();
    assert_eq!((response.peers.len(), response.complete), (1, Some(1)));
    tracker.signal(Signal::TERM);
    tracker.end();
}

#[test]
fn a_service_manager_is_told_when_the_tracker_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    let mut command = program(&ANYWHERE);
    let tracker = Running::spawn(command.env("NOTIFY_SOCKET", &path));
    let mut buffer = [0; 64];
    let count = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"READY=1");
    tracker.signal(Signal::TERM);
    let count = socket.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"STOPPING=1");
    tracker.end();
}

#[test]
fn a_tracker_can_be_probed() {
    let tracker = Running::start(&ANYWHERE);
    let url = |scheme: &str, addr: SocketAddr| format!("{scheme}://{addr}/announce");
    for url in [
        url("http", tracker.http()),
        url("udp", tracker.address("udp=")),
    ] {
        let output = run(&["probe", &url]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains("peers are told about each other"), "{text}");
        assert!(text.contains("scrape: 0 seeds, 2 others"), "{text}");
        let output = run(&["probe", &url, "--json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("\"names_others\":true") && text.lines().count() == 1,
            "{text}"
        );
    }
    tracker.signal(Signal::TERM);
    let address = tracker.http();
    tracker.end();
    let (code, text) = failure(&["probe", &format!("http://{address}/announce")]);
    assert!(
        code == 4 && text.contains("cause: cannot connect"),
        "{code} {text}"
    );
    let (code, _) = failure(&["probe", "gopher://x"]);
    assert_eq!(code, 2);

    let dir = tempfile::tempdir().unwrap();
    let closed = Running::start(&with(&["--torrents", dir.path().to_str().unwrap()]));
    let (code, text) = failure(&["probe", &format!("http://{}/announce", closed.http())]);
    assert!(
        code == 1 && text.contains("not registered"),
        "{code} {text}"
    );
    closed.signal(Signal::TERM);
    closed.end();
}

/// The files of `tests/bad-input/tracker-config`, as the program's configuration.
#[test]
fn every_configuration_gets_its_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    replay("tracker-config", |name, bytes| {
        std::fs::write(&file, bytes).unwrap();
        let arguments = ["--config", file.to_str().unwrap(), "print-config"];
        if run(&arguments).status.success() {
            return Ok(String::new());
        }
        let (code, text) = failure(&arguments);
        assert_eq!(code, 3, "{name}: {text}");
        Err(text)
    });
}

#[test]
fn https_uploads_and_the_shared_store_can_be_set_in_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/certificates");
    let (cert, key) = (certificates.join("good.pem"), certificates.join("good.key"));
    let token = dir.path().join("token");
    std::fs::write(&token, "a-token-that-is-long-enough\n").unwrap();
    let file = dir.path().join("tracker.toml");
    let text = format!(
        "https = [\"127.0.0.1:0\"]\ntls-cert = {cert:?}\ntls-key = {key:?}\n\
         torrents = {dir:?}\nupload-token-file = {token:?}\nstore = \"redis://127.0.0.1/1\"\n",
        dir = dir.path()
    );
    std::fs::write(&file, &text).unwrap();
    let file = file.to_str().unwrap();
    let output = run(&["--config", file, "check-config"]);
    assert_eq!(output.stdout, b"the configuration is fine\n", "{output:?}");
    let printed = run(&["--config", file, "print-config"]).stdout;
    let printed = String::from_utf8(printed).unwrap();
    for line in text.lines() {
        assert!(
            printed.lines().any(|found| found == line),
            "{line} in\n{printed}"
        );
    }

    let mut command = program(&["--config", file, "--store", "memory"]);
    command.env(
        "BT_TRACKER_UPLOAD_TOKEN",
        "another-token-of-the-environment",
    );
    let tracker = Running::spawn(command.env("BT_TRACKER_HTTP", "127.0.0.1:0"));
    assert!(
        tracker.ready.contains(" https=127.0.0.1:"),
        "{}",
        tracker.ready
    );
    let put = |token: &str| {
        let mut connection = crate::harness::Connection::open(tracker.http());
        let bytes = torrent("a").to_bytes();
        let head = format!(
            "PUT /torrents/a.torrent HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {}\r\n\r\n",
            bytes.len()
        );
        connection.send(&[head.as_bytes(), &bytes].concat());
        connection.reply().unwrap().status
    };
    assert_eq!(
        put("a-token-that-is-long-enough"),
        403,
        "the environment wins"
    );
    assert_eq!(put("another-token-of-the-environment"), 201);
    tracker.signal(Signal::TERM);
    assert_eq!(tracker.end().0, Some(0));

    let mut help = program(&["--help"]);
    help.env(
        "BT_TRACKER_UPLOAD_TOKEN",
        "another-token-of-the-environment",
    )
    .env("BT_TRACKER_STORE", "redis://:secret@host");
    let help = String::from_utf8(help.output().unwrap().stdout).unwrap();
    assert!(
        !help.contains("another-token") && !help.contains("secret"),
        "{help}"
    );
    let missing = [
        "check-config",
        "--torrents",
        ".",
        "--upload-token-file",
        "/no/such/file",
    ];
    let (code, text) = failure(&missing);
    assert!(code == 3 && text.contains("upload token"), "{code} {text}");
    let (code, text) = failure(&["check-config", "--https", "127.0.0.1:0"]);
    assert!(code == 2 && text.contains("HTTPS needs"), "{code} {text}");
}

#[test]
fn settings_that_are_hardly_meant_are_doubted_or_refused_and_passwords_are_not_shown() {
    let url = "redis://:secret@127.0.0.1:1/";
    let printed = run(&[
        "print-config",
        "--store",
        url,
        "--interval",
        "20s",
        "--min-interval",
        "30s",
    ]);
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(
        !printed.contains("secret") && printed.contains("redis://:HIDDEN@127.0.0.1:1/"),
        "{printed}"
    );
    assert!(printed.contains("\nmin-interval = \"20s\"\n"), "{printed}");
    for (flags, says) in [
        (
            ["--interval", "20s", "--peer-ttl", "10s"],
            "time-to-live of peers is shorter",
        ),
        (
            ["--interval", "20s", "--min-interval", "30s"],
            "shortest interval is longer",
        ),
        (
            ["--default-numwant", "60", "--max-numwant", "50"],
            "more peers are given by default",
        ),
    ] {
        let output = run(&[&["check-config"], &flags[..]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert!(text.contains(says), "{text}");
    }
    for (flags, says) in [
        (["--workers", "0"], "--workers must be between"),
        (["--workers", "100000"], "--workers must be between"),
        (
            ["--snapshot", "/no/such/directory/swarms"],
            "does not exist",
        ),
    ] {
        let (code, text) = failure(&[&["check-config"], &flags[..]].concat());
        assert!(code == 2 && text.contains(says), "{code} {text}");
    }
}

#[test]
fn the_version_is_told_before_and_after_the_subcommand() {
    for words in [
        &["--version"][..],
        &["serve", "--version"],
        &["probe", "--version"],
    ] {
        let output = run(words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
}

#[test]
fn a_probe_of_a_tracker_that_gives_no_peers_fails() {
    let tracker = Running::start(&with(&["--max-numwant", "0"]));
    let output = run(&["probe", &format!("http://{}/announce", tracker.http())]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("PROBLEM"), "{text}");
    assert_eq!(output.status.code(), Some(1), "{text}");
    tracker.signal(Signal::TERM);
    tracker.end();
}

#[test]
fn when_the_system_has_no_files_left_the_idlest_make_room() {
    use crate::harness::{Connection, query};
    use rustix::process::{Resource, Rlimit, prlimit};

    let tracker = Running::start(&with(&["--stats-addr", "127.0.0.1:0", "--workers", "1"]));
    let pid = Pid::from_child(&tracker.child);
    let files = format!("/proc/{}/fd", tracker.child.id());
    let open = || std::fs::read_dir(&files).unwrap().count() as u64;
    // One descriptor more or less is open while it is looked.
    let most = Some(open() + 12);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    let target = format!("/announce?{}", query(1, 1, 5, ""));
    let kept: Vec<_> = (0..40)
        .map(|_| {
            let mut connection = Connection::open(tracker.http());
            // One that has been answered twice is kept for a minute.
            assert_eq!(connection.get(&target).status, 200);
            assert_eq!(connection.get(&target).status, 200);
            connection
        })
        .collect();
    announce(tracker.http(), 1, 2, 5, "").unwrap();
    assert_eq!(get(tracker.address("stats="), "/healthz").status, 200);
    drop(kept);
    let (code, _, log) = tracker.stop();
    assert_eq!(code, Some(0));
    let complaints = log.matches("cannot accept connections").count();
    assert_eq!(complaints, 1, "once a minute and no more: {log}");
}

#[test]
fn no_more_connections_are_promised_than_there_are_files() {
    let mut command = Command::new("sh");
    let shell = "ulimit -n 128 && exec \"$0\" \"$@\"";
    command.args(["-c", shell, env!("CARGO_BIN_EXE_bt-tracker")]);
    command.args(with(&["--workers", "1"]));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let tracker = Running::spawn(&mut command);
    let (_, _, log) = tracker.stop();
    assert!(log.contains("at most 62 connections are kept"), "{log}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_told_like_every_failure_and_without_passwords() {
    let (code, text) = failure(&["--max-numwnt", "5"]);
    assert!(
        code == 2 && text.contains("  hint: ") && text.contains("--max-numwant"),
        "{text}"
    );
    assert!(!text.contains("For more information"), "{text}");
    let refused = |name: &str, value: &str, more: &[&str]| {
        let output = program(more).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (out, text) = refused("BT_TRACKER_MAX_NUMWANT", "x", &["check-config", "--json"]);
    assert!(
        text.starts_with("error: invalid value 'x' for '--max-numwant"),
        "{text}"
    );
    assert!(
        text.contains("hint: the value is that of the environment variable BT_TRACKER_MAX_NUMWANT"),
        "{text}"
    );
    let event: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&event["event"], &event["kind"]),
        (&"error".into(), &"usage".into())
    );
    let secret = "reddis://u:SECRETPW@h";
    let (out, text) = refused("BT_TRACKER_STORE", secret, &["check-config", "--json"]);
    assert!(
        text.contains("--store") && !format!("{out}{text}").contains("SECRET"),
        "{text}"
    );
    let (_, text) = failure(&["check-config", "--store", secret]);
    assert!(
        text.contains("no store; use memory") && !text.contains("SECRET"),
        "{text}"
    );

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    for line in [
        "store = \"reddis://u:SECRETPW@h\"",
        "store = \"redis://u:SECRETPW@h",
        "admin-token = \"SECRETPW\"",
    ] {
        std::fs::write(&file, format!("# a comment\n{line}\n")).unwrap();
        let (code, text) = failure(&["check-config", "--config", file.to_str().unwrap()]);
        assert!(
            code == 3 && text.contains("line 2") && !text.contains("SECRET"),
            "{text}"
        );
    }
}

#[test]
fn what_serve_refuses_is_refused_by_the_check_and_secrets_are_for_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bad = file("bad", "not a key", 0o600);
    let foreign = file("foreign", "of another program", 0o600);
    let here = dir.path().to_str().unwrap();
    for (flags, code, says) in [
        (["--udp-key", &bad], 2, "32 hexadecimal digits"),
        (["--proxy-header", "X Y"], 2, "header of proxies"),
        (["--snapshot", here], 2, "is a directory"),
        (
            ["--snapshot", &foreign],
            3,
            "not a snapshot of this program",
        ),
        (["--snapshot-every", "0s"], 2, "at least 1s"),
        (["--torrents-poll", "999ms"], 2, "at least 1s"),
        (["--max-peers-per-ip", "0"], 2, "limit of 0"),
        (["--max-torrents", "0"], 2, "limit of 0"),
    ] {
        let (found, text) = failure(&[&["check-config"], &flags[..]].concat());
        assert!(
            found == code && text.contains(says),
            "{flags:?}: {found} {text}"
        );
    }
    let key = "00112233445566778899aabbccddeeff";
    for (mode, is_doubted) in [(0o600, false), (0o640, true), (0o604, true)] {
        let key = file("key", key, mode);
        let output = run(&["check-config", "--udp-key", &key]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{text}");
        assert_eq!(
            text.contains("others may read the UDP key"),
            is_doubted,
            "{text}"
        );
    }

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (code, text) = failure(&with(&["--stats-addr", &taken]));
    assert!(
        code == 4 && text.contains("another port with --stats-addr"),
        "{text}"
    );
}
