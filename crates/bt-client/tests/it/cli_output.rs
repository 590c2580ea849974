//! What the program writes, and where to: the file of a torrent, and standard output that nobody reads.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::process::Stdio;

use crate::cli_run::{Bench, words};

#[test]
fn only_files_are_replaced_and_links_are_followed() {
    let bench = Bench::new();
    bench.write("a.bin", vec![1; 100_000]);
    let pipe = bench.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    symlink("/dev/null", bench.path("to-null")).unwrap();
    for force in ["", " --force"] {
        for (output, what) in [
            ("/dev/full", "/dev/full is a device"),
            ("/dev/stdout", "/dev/stdout is a pipe"),
            ("pipe", "pipe is a pipe"),
            ("to-null", "to-null is a device"),
            (".", ". is a folder"),
        ] {
            let line = format!("create a.bin -o {output}{force}");
            bench.run(words(&line)).failed(&line, 2, &[what, "-o"]);
        }
    }
    assert!(
        fs::metadata("/dev/full")
            .unwrap()
            .file_type()
            .is_char_device()
    );
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());

    let file = bench.write("elsewhere/b.torrent", "old");
    symlink("elsewhere/b.torrent", bench.path("link")).unwrap();
    bench
        .run(words("create a.bin -o link"))
        .failed("link", 5, &["link exists already", "--force"]);
    bench.run(words("create a.bin -o link --force")).ok();
    assert!(bench.path("link").is_symlink());
    assert!(fs::read(file).unwrap().starts_with(b"d"));
    bench.run(words("verify link .")).ok();
}

#[test]
fn a_torrent_that_is_replaced_through_a_link_is_not_part_of_itself() {
    let bench = Bench::new();
    bench.write("dir/a.bin", vec![1; 100_000]);
    bench.write("old.torrent", "old");
    symlink("../old.torrent", bench.path("dir/link")).unwrap();
    let ran = bench.run(words("create dir -o dir/link --force --json"));
    let ran = ran.ok();
    assert!(ran.err.contains("link is left out"), "{}", ran.err);
    let told: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!(
        (&told["files"], &told["total_size"]),
        (&1.into(), &100_000.into())
    );
    assert!(
        fs::read(bench.path("old.torrent"))
            .unwrap()
            .starts_with(b"d")
    );
}

#[test]
fn a_name_that_some_system_cannot_hold_is_told() {
    let bench = Bench::new();
    bench.write("a.bin", vec![1; 1000]);
    let ran = bench.run(words("create a.bin -n CON --json")).ok();
    assert!(ran.err.contains("\"CON\" becomes \"CON_\""), "{}", ran.err);
    let told: serde_json::Value = serde_json::from_slice(&ran.out).unwrap();
    let warning = told["warnings"][0].as_str().unwrap();
    assert!(warning.contains("CON_"), "{warning}");
}

#[test]
fn a_seed_does_not_replace_what_is_there() {
    let bench = Bench::new();
    bench.write("a.bin", vec![1; 1000]);
    bench.write("a.torrent", "mine");
    let line = "seed a.bin -o a.torrent --time 0 --bind 127.0.0.1";
    let ran = bench.run(words(line));
    ran.failed("there", 5, &["exists already", "or remove it"]);
    let ran = bench.run(words(&line.replace("a.torrent", "nowhere/a.torrent")));
    assert!(!ran.err.contains("remove it"), "{ran:?}");
    ran.failed("no folder", 5, &["cannot write nowhere/a.torrent"]);
}

/// Gives standard output to somebody who has gone.
fn unheard(bench: &Bench, line: &str) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let child = bench
        .command(words(line))
        .stdout(Stdio::from(writer))
        .spawn()
        .unwrap();
    let ran = child.wait_with_output().unwrap();
    (ran.status.code(), String::from_utf8(ran.stderr).unwrap())
}

#[test]
fn a_reader_that_has_gone_is_no_fault_and_a_download_says_that_it_stops() {
    let bench = Bench::new();
    bench.write("a.bin", vec![1; 100_000]);
    bench.run(words("create a.bin")).ok();
    for line in [
        "show a.bin.torrent",
        "show a.bin.torrent --json",
        "verify a.bin.torrent",
        "create a.bin -o -",
        "create a.bin --force",
        "--help",
    ] {
        assert_eq!(unheard(&bench, line), (Some(0), String::new()), "{line}");
    }
    let line = "download a.bin.torrent --json -o out --no-trackers --bind 127.0.0.1";
    let (code, said) = unheard(&bench, line);
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("nobody reads standard output"), "{said}");
    assert!(said.contains("start again to go on"), "{said}");
}

/// Without a handler for its signal the system ends a program whose file grows above the limit, and nothing is said.
#[test]
fn a_limit_on_the_size_of_files_is_trouble_with_the_storage() {
    let bench = Bench::new();
    let file = fs::File::create(bench.path("a.bin")).unwrap();
    file.set_len(32 << 20).unwrap();
    let program = env!("CARGO_BIN_EXE_bt-client");
    let ran = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -f 16 && exec \"$0\" create a.bin -s 16KiB -o a.torrent",
        ])
        .arg(program)
        .current_dir(bench.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(5), "{said}");
    assert!(
        said.contains("error: ") && said.contains("a.torrent"),
        "{said}"
    );
}
