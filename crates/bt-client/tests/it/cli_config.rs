//! Where a value comes from that is no good: the line of the file or the variable is named.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::cli_run::{Bench, finish, words};

#[test]
fn a_value_that_is_refused_later_is_told_with_the_line_of_the_file() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    bench.write("a.bin", "content");
    for (command, text, line, fragment) in [
        ("create a.bin", "piece-length = 1", 1, "16.0 KiB"),
        ("create a.bin", "# mine\n\nv2 = true", 3, "v1"),
        ("create a.bin", "[create]\nhybrid = true", 2, "v1"),
        ("seed a.torrent", "encryption = \"require\"", 1, "encrypted"),
        ("seed a.torrent", "[seed]\nbind = \"nope0\"", 2, "nope0"),
        ("seed a.torrent", "no-tcp = true", 1, "--no-tcp"),
        ("download a.torrent", "files = \"9\"", 1, "has 1 file"),
        ("show a.torrent", "\nlog = \"a=b=c\"", 2, "not a filter"),
        (
            "download a.torrent",
            "quiet = false\nport = 99999",
            2,
            "99999",
        ),
    ] {
        bench.write("c.toml", text);
        let place = format!("error: c.toml: line {line}: ");
        let ran = bench.run(words(&format!("{command} -C c.toml")));
        ran.failed(text, 3, &[&place, fragment]);
    }
    // What is typed is no fault of the file.
    bench.write("c.toml", "piece-length = 1");
    let ran = bench.run(words("create a.bin -s 2 -C c.toml"));
    ran.failed("typed", 2, &["error: a piece length of 2 bytes"]);
    // Nor does what is typed right hide that something else in the file is wrong.
    bench.write("c.toml", "files = \"9\"");
    let ran = bench.run(words("download a.torrent --priority 1=low -C c.toml"));
    ran.failed("both", 3, &["c.toml: line 1: files", "has 1 file"]);
}

#[test]
fn a_file_without_end_is_no_configuration() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    let ran = bench.run(words("show a.torrent -C /dev/zero"));
    ran.failed("zero", 3, &["/dev/zero", "longer than 1048576 bytes"]);
    let most = "#".repeat(1 << 20);
    bench.write("c.toml", &most);
    bench.run(words("show a.torrent -C c.toml")).ok();
    bench.write("c.toml", format!("{most}#"));
    let ran = bench.run(words("show a.torrent -C c.toml"));
    ran.failed("one more", 3, &["c.toml", "longer than"]);
}

#[test]
fn a_variable_with_a_value_that_is_refused_is_named() {
    let bench = Bench::new();
    bench.write("a.torrent", crate::cli_bad_input::GOOD);
    bench.write("a.bin", "content");
    for (name, value, line) in [
        ("BT_CLIENT_PORT", "99999", "seed a.torrent"),
        ("BT_CLIENT_JSON", "junk", "show a.torrent"),
        ("BT_CLIENT_LOG", "a=b=c", "show a.torrent"),
        ("BT_CLIENT_TRACKER", "junk", "create a.bin"),
        ("BT_CLIENT_PIECE_LENGTH", "1", "create a.bin"),
        ("BT_CLIENT_ENCRYPTION", "require", "seed a.torrent"),
    ] {
        let mut command = bench.command(words(line));
        let ran = finish(command.env(name, value).spawn().unwrap());
        let said = format!("error: {name}: ");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.starts_with(&said), "{ran:?}");
    }
    let mut command = bench.command(words("create a.bin"));
    command.env("BT_CLIENT_COMMENT", OsStr::from_bytes(b"caf\xe9"));
    finish(command.spawn().unwrap()).failed("bytes", 2, &["BT_CLIENT_COMMENT is not UTF-8"]);
}

#[test]
fn numbers_below_zero_are_refused_by_their_options() {
    let bench = Bench::new();
    for line in [
        "create a -s -1",
        "create a -j -1",
        "create a --date -1",
        "seed a -p -1",
        "seed a --time -1",
        "download a --timeout -1",
        "download a --timeout -1s",
        "download a --seed-ratio -1",
        "download a --files -1",
    ] {
        let ran = bench.run(words(line));
        assert!(!ran.err.contains("'-- -1"), "{ran:?}");
        let option = line.split(' ').nth(2).unwrap();
        let fragment = match option {
            _ if line.ends_with("-1s") => "below zero",
            _ => "invalid value '-1' for '--",
        };
        ran.failed(line, 2, &[fragment]);
    }
    let ran = bench.run(words("download --data x"));
    assert!(!ran.err.contains("-- --data"), "{ran:?}");
    ran.failed("an option of another command", 2, &["'--data'"]);
}

#[test]
fn what_is_said_is_short_and_holds_no_secret() {
    let bench = Bench::new();
    let long = "x".repeat(100_000);
    let ran = bench.run(["show", &long]);
    assert!(ran.err.len() < 4_000, "{}", ran.err.len());
    ran.failed("long", 5, &["cannot read", "bytes left out"]);
    let url = "http://u:secret@127.0.0.1:1/x?passkey=secret";
    for command in ["download", "show"] {
        let ran = bench.run([command, url]);
        assert!(!ran.err.contains("secret"), "{ran:?}");
        assert!(ran.err.contains("127.0.0.1:1/x"), "{ran:?}");
    }
    let ran = bench.run(["--json"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("no command was given"), "{ran:?}");
    let help = bench.run(words("download --help")).ok();
    let (above, _) = help.text().split_once("File selection:").unwrap();
    assert!(above.contains("--scrub"));
}
