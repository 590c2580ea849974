//! `seed`, `download` and `demo` as a script drives them: events, exit codes, signals, and that
//! what arrives is what was shared.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cli_run::{Bench, Ran, Running, finish, keys, words};

/// Everything here stays on the loopback interface.
const LOCAL: &str = "--bind 127.0.0.1 --no-dht --no-lsd --no-utp --no-portmap --no-pex";

/// A folder to share with a torrent of it.
fn tree(bench: &Bench) {
    bench.write(
        "tree/a.bin",
        (0..700_000_u32)
            .flat_map(u32::to_le_bytes)
            .collect::<Vec<u8>>(),
    );
    bench.write("tree/empty", "");
    bench.write("tree/sub folder/ümläut – 漢字.txt", "text");
    bench.write("tree/z.bin", vec![9; 200_000]);
    bench.run(words("create tree -s 64KiB")).ok();
}

/// Starts a seeder and says on which port it is.
fn seeder(bench: &Bench, line: &str) -> (Running, u64) {
    let running = Running::start(bench.command(words(&format!("seed --json {LOCAL} {line}"))));
    let port = running.event("seeding")["port"].as_u64().unwrap();
    (running, port)
}

fn download(bench: &Bench, line: &str, port: u64) -> Ran {
    bench.run(words(&format!(
        "download --json {LOCAL} --timeout 60s {line} --peer 127.0.0.1:{port}"
    )))
}

fn events<'a>(all: &'a [Value], name: &str) -> Vec<&'a Value> {
    all.iter().filter(|event| event["event"] == name).collect()
}

#[track_caller]
fn same(a: &Path, b: &Path) {
    assert!(
        fs::read(a).unwrap() == fs::read(b).unwrap(),
        "{} differs from {}",
        b.display(),
        a.display()
    );
}

#[track_caller]
fn same_tree(bench: &Bench, copy: &str) {
    for file in ["a.bin", "empty", "sub folder/ümläut – 漢字.txt", "z.bin"] {
        same(
            &bench.path("tree").join(file),
            &bench.path(copy).join("tree").join(file),
        );
    }
}

/// 3 MB at 600 kB a second, less the burst that a bucket starts with.
#[test]
fn rate_limits_of_the_command_line_hold_for_either_side() {
    let bench = Bench::new();
    tree(&bench);
    for (up, down) in [("", " -d 600kB"), (" -u 600kB", "")] {
        let (seeder, port) = seeder(&bench, &format!("tree.torrent{up}"));
        let out = if up.is_empty() { "down" } else { "up" };
        let begun = Instant::now();
        download(&bench, &format!("tree.torrent -o {out}{down}"), port).ok();
        let took = begun.elapsed();
        assert!(took >= Duration::from_secs(3), "{out}: {took:?}");
        same_tree(&bench, out);
        seeder.signal(Signal::TERM);
        seeder.finish();
    }
}

#[test]
fn a_download_arrives_and_tells_its_story() {
    let bench = Bench::new();
    tree(&bench);
    let (seeder, port) = seeder(&bench, "tree.torrent");
    let ran = download(&bench, "tree.torrent -o out --events piece", port).ok();
    same_tree(&bench, "out");

    let all = ran.json();
    let first: Vec<&str> = all
        .iter()
        .take(2)
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(first, ["added", "metadata"]);
    assert_eq!(all.last().unwrap()["event"], "stopped");
    assert_eq!(
        keys(events(&all, "added")[0]),
        ["event", "info_hash", "name", "port"]
    );
    assert_eq!(
        keys(events(&all, "metadata")[0]),
        ["event", "files", "info_hash", "name", "pieces", "size"]
    );
    let progress = events(&all, "progress");
    assert!(!progress.is_empty());
    assert_eq!(
        keys(progress[0]),
        [
            "down_rate",
            "downloaded",
            "eta",
            "event",
            "have",
            "info_hash",
            "peers",
            "reason",
            "seeds",
            "state",
            "total",
            "up_rate",
            "uploaded"
        ]
    );
    let size: u64 = 700_000 * 4 + 200_000 + 4;
    let complete = events(&all, "complete");
    assert_eq!(complete.len(), 1);
    assert_eq!(
        keys(complete[0]),
        [
            "downloaded",
            "event",
            "hash_failures",
            "hashed",
            "info_hash",
            "path",
            "reused",
            "seconds",
            "uploaded",
            "wasted"
        ]
    );
    assert_eq!(complete[0]["downloaded"], size);
    assert_eq!(complete[0]["reused"], 0);
    assert_eq!(complete[0]["path"], "out/tree");
    let mut pieces: Vec<u64> = events(&all, "piece")
        .iter()
        .map(|event| event["index"].as_u64().unwrap())
        .collect();
    pieces.sort_unstable();
    assert_eq!(pieces, (0..size.div_ceil(65_536)).collect::<Vec<_>>());

    seeder.signal(Signal::TERM);
    let ended = seeder.finish();
    assert_eq!(
        ended.code,
        Some(0),
        "a seeder that is asked to stop has done its work"
    );
    let stopped = events(&ended.json(), "stopped")[0].clone();
    assert_eq!(
        keys(&stopped),
        ["downloaded", "event", "info_hash", "uploaded"]
    );
    assert!(stopped["uploaded"].as_u64().unwrap() >= size);
}

#[test]
fn people_are_told_where_it_is_and_that_it_is_right() {
    let bench = Bench::new();
    tree(&bench);
    let (_seeder, port) = seeder(&bench, "tree.torrent --skip-check");
    let line =
        format!("download tree.torrent -o out {LOCAL} --peer 127.0.0.1:{port} --timeout 60s");
    let ran = bench.run(words(&line)).ok();
    assert!(ran.text().starts_with("out/tree\n"), "{ran:?}");
    assert!(ran.text().contains("sha1 ok 46/46 pieces"), "{ran:?}");
    assert!(
        !ran.err.contains('\u{1b}'),
        "no escapes where there is no terminal: {ran:?}"
    );
}

#[test]
fn content_can_be_seeded_without_a_torrent() {
    let bench = Bench::new();
    tree(&bench);
    fs::remove_file(bench.path("tree.torrent")).unwrap();
    let (_seeder, port) = seeder(
        &bench,
        "tree -o given.torrent -t http://127.0.0.1:9/announce --no-trackers",
    );
    download(&bench, "given.torrent -o out --no-trackers", port).ok();
    same_tree(&bench, "out");
    let shown = bench.run(["show", "--json", "given.torrent"]).ok().object();
    assert_eq!(shown["trackers"], json!([["http://127.0.0.1:9/announce"]]));
}

#[test]
fn a_second_download_reuses_what_is_there_and_repairs_the_rest() {
    let bench = Bench::new();
    tree(&bench);
    let (_seeder, port) = seeder(&bench, "tree.torrent");
    download(&bench, "tree.torrent -o out", port).ok();
    let again = download(&bench, "tree.torrent -o out", port).ok().json();
    assert_eq!(events(&again, "complete")[0]["downloaded"], 0);
    assert_eq!(events(&again, "complete")[0]["reused"], 3_000_004);
    let path = bench.path("out/tree/a.bin");
    let mut content = fs::read(&path).unwrap();
    content[1_000_000] ^= 1;
    fs::write(&path, content).unwrap();
    fs::remove_file(bench.path("out/tree/z.bin")).unwrap();
    let repaired = download(&bench, "tree.torrent -o out", port).ok().json();
    let downloaded = events(&repaired, "complete")[0]["downloaded"]
        .as_u64()
        .unwrap();
    assert!((200_000..500_000).contains(&downloaded), "{downloaded}");
    same_tree(&bench, "out");
}

#[test]
fn chosen_files_come_and_others_do_not() {
    let bench = Bench::new();
    tree(&bench);
    let (_seeder, port) = seeder(&bench, "tree.torrent");
    download(&bench, "tree.torrent -o numbers --files 3-", port).ok();
    same(&bench.path("tree/z.bin"), &bench.path("numbers/tree/z.bin"));
    download(
        &bench,
        "tree.torrent -o globs --include *.bin --exclude a.*",
        port,
    )
    .ok();
    same(&bench.path("tree/z.bin"), &bench.path("globs/tree/z.bin"));
    for out in ["numbers", "globs"] {
        let a = bench.path(out).join("tree/a.bin");
        let whole = fs::metadata(&a)
            .is_ok_and(|_| fs::read(&a).unwrap() == fs::read(bench.path("tree/a.bin")).unwrap());
        assert!(!whole, "{out} has a file that was not asked for");
    }
    bench.run(words("download tree.torrent --files 9")).failed(
        "no such file",
        2,
        &["--files 9", "4 files"],
    );
    bench
        .run(words("download tree.torrent --include *.iso"))
        .failed("no match", 2, &["no file", "--include"]);
}

#[test]
fn a_torrent_can_come_from_a_web_server() {
    let bench = Bench::new();
    tree(&bench);
    let (_seeder, port) = seeder(&bench, "tree.torrent");
    let torrent = fs::read(bench.path("tree.torrent")).unwrap();
    let url = serve("200 OK", torrent);
    let mut args = words(&format!(
        "download --json {LOCAL} --timeout 60s -o out --peer 127.0.0.1:{port}"
    ));
    args.push(OsString::from(&url));
    bench.run(args).ok();
    same_tree(&bench, "out");
    let page = serve("200 OK", b"<html>please log in</html>".to_vec());
    bench.run(["download", &page]).failed(
        "a page",
        3,
        &[&page, "not a usable torrent", "web page"],
    );
    let gone = serve("404 Not Found", b"no".to_vec());
    bench
        .run(["download", &gone])
        .failed("404", 4, &[&gone, "404"]);
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/x.torrent", listener.local_addr().unwrap())
    };
    bench
        .run(["download", &nobody])
        .failed("nobody", 4, &[&nobody, "cannot connect"]);
}

/// A web server that answers every request alike, as long as the test runs.
fn serve(status: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/some.torrent", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream
                .write_all(answer.as_bytes())
                .and_then(|()| stream.write_all(&body));
        }
    });
    url
}

#[test]
fn signals_end_a_download_with_their_number_and_a_seeder_with_0() {
    let bench = Bench::new();
    tree(&bench);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let line = format!("download --json {LOCAL} tree.torrent -o nowhere");
        let running = Running::start(bench.command(words(&line)));
        running.event("progress");
        running.signal(signal);
        let ran = running.finish();
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!(ran.json().last().unwrap()["event"], "stopped");
        assert_eq!(ran.err, "");

        let (seeding, _) = seeder(&bench, "tree.torrent");
        seeding.signal(signal);
        assert_eq!(seeding.finish().code, Some(0));
    }
}

#[test]
fn a_seeder_that_has_just_begun_to_serve_exits_with_0_as_well() {
    let bench = Bench::new();
    tree(&bench);
    let line = format!("seed --json {LOCAL} tree.torrent");
    let running = Running::start(bench.command(words(&line)));
    let is_seeding = |event: &Value| event["event"] == "progress" && event["state"] == "seeding";
    while !is_seeding(&running.event("progress")) {}
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code, Some(0));
}

#[test]
fn two_may_serve_the_same_content() {
    let bench = Bench::new();
    tree(&bench);
    let (_first, _) = seeder(&bench, "tree.torrent");
    let line = format!("seed --json {LOCAL} tree.torrent");
    let second = Running::start(bench.command(words(&line)));
    let warning = second.event("warning")["message"].to_string();
    assert!(
        warning.contains("another process works on tree"),
        "{warning}"
    );
    let port = second.event("seeding")["port"].as_u64().unwrap();
    download(&bench, "tree.torrent -o out", port).ok();
    same_tree(&bench, "out");
    second.signal(Signal::TERM);
    assert_eq!(second.finish().code, Some(0));
}

/// A tracker that takes our goodbye and says nothing holds a polite end up; nobody has to wait.
#[test]
fn a_second_signal_ends_at_once() {
    let bench = Bench::new();
    bench.write("a.bin", vec![1; 100_000]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let tracker = format!("http://{}/announce", silent.local_addr().unwrap());
    let line = format!("seed --json {LOCAL} a.bin -t {tracker}");
    let running = Running::start(bench.command(words(&line)));
    running.event("seeding");
    // The announce has come, so that there is somebody to say goodbye to.
    let (_announce, _) = silent.accept().unwrap();
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let ran = running.finish();
    assert!(matches!(ran.code, Some(130 | 143)), "{ran:?}");
}

#[test]
fn a_download_that_nobody_listens_to_any_more_ends() {
    let bench = Bench::new();
    tree(&bench);
    let line = format!("download --json {LOCAL} tree.torrent -o out");
    let mut child = bench.command(words(&line)).spawn().unwrap();
    drop(child.stdout.take());
    let ran = finish(child);
    assert_eq!(ran.code, Some(7), "{ran:?}");
}

#[test]
fn a_download_that_seeds_exits_with_0_when_asked_to_stop() {
    let bench = Bench::new();
    tree(&bench);
    let (_seeder, port) = seeder(&bench, "tree.torrent");
    let line =
        format!("download --json {LOCAL} tree.torrent -o out --seed --peer 127.0.0.1:{port}");
    let running = Running::start(bench.command(words(&line)));
    running.event("complete");
    running.event("seeding");
    running.signal(Signal::TERM);
    assert_eq!(running.finish().code, Some(0));
}

#[test]
fn waiting_has_an_end_when_it_was_asked_for() {
    let bench = Bench::new();
    tree(&bench);
    let ran = bench.run(words(&format!(
        "-q download {LOCAL} tree.torrent -o out --timeout 300ms"
    )));
    ran.failed("timeout", 4, &["nothing came for 0.30 s", "--peer"]);
    let ran = bench.run(words(&format!(
        "download {LOCAL} tree.torrent -o out --stop-after 300ms"
    )));
    assert_eq!(ran.code, Some(7), "{ran:?}");
    bench
        .run(words(&format!("seed {LOCAL} tree.torrent --time 200ms")))
        .ok();
}

#[test]
fn a_seeder_never_serves_or_touches_damaged_content() {
    let bench = Bench::new();
    tree(&bench);
    let path = bench.write("tree/z.bin", vec![8; 200_000]);
    bench.run(words("seed tree.torrent")).failed(
        "damaged",
        6,
        &["tree", "not complete", "bad", "download"],
    );
    assert_eq!(fs::read(path).unwrap(), vec![8; 200_000]);
    fs::create_dir(bench.path("other")).unwrap();
    bench.run(words("seed tree.torrent --data other")).failed(
        "elsewhere",
        6,
        &["other", "missing"],
    );
    bench
        .run(words("seed tree.torrent --data gone"))
        .failed("nowhere", 5, &["gone", "--data"]);
    bench
        .run(words("seed tree --data ."))
        .failed("both", 2, &["--data"]);
    bench
        .run(words("seed tree.torrent -o x.torrent"))
        .failed("both", 2, &["-o"]);
}

#[test]
fn storage_that_refuses_is_named() {
    let bench = Bench::new();
    tree(&bench);
    bench.write("out/tree", "a file where a folder should be");
    let ran = bench.run(words(&format!(
        "-q download {LOCAL} tree.torrent -o out --timeout 60s"
    )));
    ran.failed("a file in the way", 5, &["tree"]);
    let ran = bench.run(words(&format!(
        "-q download {LOCAL} tree.torrent -o tree.torrent --timeout 60s"
    )));
    ran.failed("not a folder", 5, &["tree.torrent"]);
}

#[test]
fn an_interface_can_be_named_instead_of_an_address() {
    let bench = Bench::new();
    tree(&bench);
    let running = Running::start(bench.command(words("seed --json tree.torrent --bind lo -4")));
    let port = running.event("seeding")["port"].as_u64().unwrap();
    download(&bench, "tree.torrent -o out", port).ok();
    same_tree(&bench, "out");
}

#[test]
fn a_port_in_use_is_named() {
    let bench = Bench::new();
    tree(&bench);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let ran = bench.run(words(&format!("seed {LOCAL} tree.torrent -p {port}")));
    ran.failed("port", 4, &[&format!("port {port}"), "-p 0"]);
}

#[test]
fn an_address_of_somebody_else_is_named() {
    let bench = Bench::new();
    tree(&bench);
    // TEST-NET-1 is nobody's.
    let ran = bench.run(words("seed tree.torrent --bind 192.0.2.1"));
    let fragments = ["192.0.2.1 is no address of this machine", "ip addr"];
    ran.failed("bind", 4, &fragments);
    assert!(!ran.err.contains("-p"), "the port is not to blame: {ran:?}");
}

/// Names that lead out of the folder are made harmless before anything is written.
#[test]
fn nothing_is_written_outside_the_output_folder() {
    let bench = Bench::new();
    bench.write("evil/aa/bb/x", vec![5; 100_000]);
    bench.run(words("create evil")).ok();
    let torrent = fs::read(bench.path("evil.torrent")).unwrap();
    let text = String::from_utf8_lossy(&torrent).into_owned();
    let at = text.find("2:aa2:bb1:x").unwrap();
    let mut hostile = torrent.clone();
    hostile[at..at + 11].copy_from_slice(b"2:..2:..1:x");
    bench.write("hostile.torrent", &hostile);
    fs::create_dir_all(bench.path("share/evil/__")).unwrap();
    fs::rename(bench.path("evil/aa/bb"), bench.path("share/evil/__/__")).unwrap();
    let (_seeder, port) = seeder(&bench, "hostile.torrent --data share");
    let before: Vec<_> = list(&bench.path("."));
    download(&bench, "hostile.torrent -o deep/er/out", port).ok();
    let after: Vec<_> = list(&bench.path("."));
    // What the program remembers is in its own folder, below the home.
    let new: Vec<_> = after
        .iter()
        .filter(|path| !before.contains(path) && !path.starts_with(bench.path("./home")))
        .collect();
    assert!(
        new.iter().all(|path| path.starts_with(bench.path("deep"))),
        "{new:?}"
    );
    same(
        &bench.path("share/evil/__/__/x"),
        &bench.path("deep/er/out/evil/__/__/x"),
    );
}

fn list(root: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = root.join(entry.unwrap().path());
            if path.is_dir() {
                open.push(path.clone());
            }
            all.push(path);
        }
    }
    all
}

#[test]
fn the_demo_verifies_every_byte_and_cleans_up() {
    let bench = Bench::new();
    let ran = bench.run(words("demo --size 12MiB --json")).ok();
    let all = ran.json();
    let result = events(&all, "demo")[0];
    assert_eq!(result["verified"], true);
    assert_eq!(result["size"], 12 << 20);
    assert_eq!(result["different"], json!([]));
    assert_eq!(result["participants"].as_array().unwrap().len(), 3);
    assert!(result["bytes_moved"].as_u64().unwrap() >= 24 << 20);
    assert_eq!(
        fs::read_dir(bench.path(".")).unwrap().count(),
        0,
        "the folder is as before"
    );
}

#[test]
fn a_demo_that_is_stopped_cleans_up_too() {
    let bench = Bench::new();
    // Large enough that it is still being made or shared when the signal comes.
    let mut command = bench.command(words("demo --size 512MiB"));
    command.env("TMPDIR", bench.path("tmp"));
    fs::create_dir(bench.path("tmp")).unwrap();
    let child = command.spawn().unwrap();
    let running = Running::of(child);
    let begun = Instant::now();
    while fs::read_dir(bench.path("tmp")).unwrap().next().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is made");
        thread::yield_now();
    }
    running.signal(Signal::INT);
    assert_eq!(running.finish().code, Some(130));
    assert_eq!(fs::read_dir(bench.path("tmp")).unwrap().count(), 0);
}

#[test]
fn the_demo_takes_the_users_own_content() {
    let bench = Bench::new();
    tree(&bench);
    let ran = bench.run(words("demo tree --leechers 3")).ok();
    assert!(
        ran.text()
            .contains("verified: the sha256 of 4 files in each of 3 copies"),
        "{ran:?}"
    );
    assert!(ran.text().contains("leecher 3"), "{ran:?}");
    // Names that a download replaces for the sake of other systems.
    for name in [
        "README", "readme", "a:b", "aux.txt", "trail.", "a\tb", "a_b",
    ] {
        bench.write(format!("odd/{name}"), name);
    }
    let ran = bench.run(words("demo odd --leechers 1")).ok();
    assert!(
        ran.text()
            .contains("verified: the sha256 of 7 files in 1 copy"),
        "{ran:?}"
    );
    bench
        .run(words("demo gone"))
        .failed("gone", 5, &["gone", "no such file"]);
}

#[test]
fn trust_ends_where_files_are_not_there() {
    let bench = Bench::new();
    tree(&bench);
    bench.run(words("create tree -o t.torrent")).ok();
    let seed = |data: &str| {
        bench.run(words(&format!(
            "seed t.torrent --skip-check --time 0 --bind 127.0.0.1 --data {data}"
        )))
    };
    seed(".").ok();
    seed("nowhere").failed("nowhere", 6, &["not complete", "4 files", "--data"]);
    bench.run(words("verify t.torrent")).ok();
    let first = fs::read_dir(bench.path("tree")).unwrap();
    let mut files = first.map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.is_file()).unwrap();
    let longer = fs::OpenOptions::new().append(true).open(&file).unwrap();
    longer
        .set_len(longer.metadata().unwrap().len() + 1)
        .unwrap();
    seed(".").failed("a longer file", 6, &["is missing or has another size"]);
}
