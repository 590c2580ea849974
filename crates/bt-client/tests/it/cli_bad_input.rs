//! Broken torrents and magnets: each ends with code 3 and words that name what and where, in every
//! command that reads them.

use crate::cli_run::Bench;
use crate::replay::replay;

/// A small torrent that is right: one file `a` of five bytes.
pub(crate) const GOOD: &[u8] = b"d8:announce34:http://tracker.example/announce-it4:info\
d6:lengthi5e4:name1:a12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";

/// A torrent around these bytes as its info dictionary.
fn with_info(info: &str) -> Vec<u8> {
    format!("d4:info{info}e").into_bytes()
}

/// A torrent of one file whose dictionary has these keys.
fn with_keys(keys: &str) -> Vec<u8> {
    with_info(&format!("d{keys}e"))
}

/// A torrent of many files around this list.
fn with_files(files: &str) -> Vec<u8> {
    with_keys(&format!(
        "5:filesl{files}e4:name1:d12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaa"
    ))
}

/// Name of the damage, the file, and what the message must say.
type Case = (&'static str, Vec<u8>, &'static [&'static str]);

fn syntax() -> Vec<Case> {
    vec![
        ("empty", b"".to_vec(), &["not a usable torrent", "byte 0"]),
        ("text", b"hello".to_vec(), &["byte 0"]),
        (
            "web page",
            b"<!DOCTYPE html><html>".to_vec(),
            &["byte 0", "web page"],
        ),
        ("gzip", b"\x1f\x8b\x08\x00".to_vec(), &["byte 0", "gzip"]),
        ("zip", b"PK\x03\x04".to_vec(), &["byte 0", "zip"]),
        ("json", b"{\"a\":1}".to_vec(), &["byte 0", "JSON"]),
        (
            "text mark",
            b"\xef\xbb\xbfd4:infodee".to_vec(),
            &["byte 0", "text editor"],
        ),
        (
            "magnet in a file",
            b"magnet:?xt=urn:btih:x".to_vec(),
            &["magnet itself"],
        ),
        ("NUL bytes", vec![0; 512], &["byte 0"]),
        ("only a d", b"d".to_vec(), &["byte 1", "ends inside"]),
        ("cut in a string", GOOD[..60].to_vec(), &["byte"]),
        (
            "cut before the last e",
            GOOD[..GOOD.len() - 1].to_vec(),
            &["ends inside"],
        ),
        ("a list", b"le".to_vec(), &["dictionary", "list"]),
        ("a number", b"i1e".to_vec(), &["dictionary", "integer"]),
        ("a string", b"4:info".to_vec(), &["dictionary", "string"]),
        (
            "unfinished number",
            b"d4:infoi12".to_vec(),
            &["ends inside"],
        ),
        (
            "letters in a number",
            b"d4:infoi1x2ee".to_vec(),
            &["byte 9"],
        ),
        (
            "empty number",
            b"d1:aiee".to_vec(),
            &["byte 4", "without digits"],
        ),
        (
            "negative zero",
            b"d1:ai-0ee".to_vec(),
            &["byte", "negative zero"],
        ),
        ("leading zero", b"d1:ai007ee".to_vec(), &["byte", "zero"]),
        (
            "number too large",
            b"d1:ai9223372036854775808ee".to_vec(),
            &["byte", "64"],
        ),
        (
            "string past the end",
            b"d1:a999:xe".to_vec(),
            &["a string of 999 bytes", "follow"],
        ),
        (
            "length too large",
            b"d1:a99999999999999999999:xe".to_vec(),
            &["byte"],
        ),
        ("length with zero", b"d01:ai1ee".to_vec(), &["byte", "zero"]),
        ("negative length", b"d-1:ai1ee".to_vec(), &["byte"]),
        ("number as key", b"di1ei2ee".to_vec(), &["byte 1"]),
        ("key without value", b"d1:ae".to_vec(), &["byte"]),
        (
            "nested lists",
            [b"d1:a".as_slice(), &vec![b'l'; 100_000]].concat(),
            &["deeper"],
        ),
        (
            "nested dictionaries",
            "d1:a".repeat(100_000).into_bytes(),
            &["deeper"],
        ),
        (
            "two infos",
            b"d4:infod1:ai1ee4:infod1:ai2eee".to_vec(),
            &["\"info\"", "twice"],
        ),
    ]
}

fn fields() -> Vec<Case> {
    let hash = "20:aaaaaaaaaaaaaaaaaaaa";
    let single = |length: &str, piece_length: &str, pieces: &str| {
        with_keys(&format!(
            "6:length{length}4:name1:a12:piece length{piece_length}6:pieces{pieces}"
        ))
    };
    vec![
        (
            "no info",
            b"d8:announce3:urle".to_vec(),
            &["\"info\"", "missing"],
        ),
        (
            "info is a string",
            b"d4:info1:xe".to_vec(),
            &["\"info\"", "dictionary"],
        ),
        ("info is empty", with_info("de"), &["info", "missing"]),
        (
            "no name",
            with_keys(&format!("6:lengthi5e12:piece lengthi16384e6:pieces{hash}")),
            &["\"name\"", "missing"],
        ),
        (
            "name is a number",
            with_keys(&format!(
                "6:lengthi5e4:namei7e12:piece lengthi16384e6:pieces{hash}"
            )),
            &["\"name\"", "string"],
        ),
        (
            "no piece length",
            with_keys(&format!("6:lengthi5e4:name1:a6:pieces{hash}")),
            &["\"piece length\"", "missing"],
        ),
        (
            "piece length 0",
            single("i5e", "i0e", hash),
            &["piece length", "0"],
        ),
        (
            "piece length negative",
            single("i5e", "i-16384e", hash),
            &["piece length"],
        ),
        (
            "piece length a string",
            single("i5e", "5:16384", hash),
            &["\"piece length\"", "integer"],
        ),
        (
            "piece length 4 GiB",
            single("i5e", "i4294967296e", hash),
            &["piece length"],
        ),
        (
            "piece length 65 MiB",
            single("i5e", "i68157440e", hash),
            &["piece length", "68157440"],
        ),
        (
            "no pieces",
            with_keys("6:lengthi5e4:name1:a12:piece lengthi16384e"),
            &["\"pieces\"", "missing"],
        ),
        (
            "pieces a list",
            single("i5e", "i16384e", "le"),
            &["\"pieces\"", "string"],
        ),
        (
            "pieces of 19 bytes",
            single("i5e", "i16384e", "19:aaaaaaaaaaaaaaaaaaa"),
            &["19 bytes", "multiple of 20"],
        ),
        ("pieces empty", single("i5e", "i16384e", "0:"), &["pieces"]),
        (
            "too many hashes",
            single(
                "i5e",
                "i16384e",
                "40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ),
            &["2 hashes", "1"],
        ),
        (
            "too few hashes",
            single("i16385e", "i16384e", hash),
            &["1 hashes", "2"],
        ),
        (
            "no length and no files",
            with_keys(&format!("4:name1:a12:piece lengthi16384e6:pieces{hash}")),
            &["\"length\"", "missing"],
        ),
        (
            "length negative",
            single("i-5e", "i16384e", hash),
            &["\"length\""],
        ),
        (
            "length a string",
            single("1:5", "i16384e", hash),
            &["\"length\"", "integer"],
        ),
        (
            "length of 8 EiB",
            single("i9223372036854775807e", "i16384e", hash),
            &["info"],
        ),
        (
            "files a number",
            with_keys(&format!(
                "5:filesi1e4:name1:d12:piece lengthi16384e6:pieces{hash}"
            )),
            &["\"files\"", "list"],
        ),
        ("files empty", with_files(""), &["no files"]),
        (
            "a file is a number",
            with_files("i1e"),
            &["info.files[0]", "dictionary"],
        ),
        (
            "a file without path",
            with_files("d6:lengthi5ee"),
            &["info.files[0]", "\"path\"", "missing"],
        ),
        (
            "a file without length",
            with_files("d4:pathl1:aee"),
            &["info.files[0]", "\"length\"", "missing"],
        ),
        (
            "path a string",
            with_files("d6:lengthi5e4:path1:ae"),
            &["info.files[0]", "\"path\"", "list"],
        ),
        (
            "a name in a path is a number",
            with_files("d6:lengthi5e4:pathli1eee"),
            &["info.files[0]", "\"path\"", "string"],
        ),
        (
            "the second file is broken",
            with_files("d6:lengthi5e4:pathl1:aeed6:lengthi-1e4:pathl1:bee"),
            &["info.files[1]", "\"length\""],
        ),
        (
            "sum of lengths overflows",
            with_files(
                "d6:lengthi9223372036854775807e4:pathl1:aeed6:lengthi9223372036854775807e4:pathl1:bee",
            ),
            &["info"],
        ),
        (
            "unknown version",
            with_keys(&format!(
                "6:lengthi5e12:meta versioni9e4:name1:a12:piece lengthi16384e6:pieces{hash}"
            )),
            &["meta version", "9"],
        ),
    ]
}

#[test]
fn broken_torrents_exit_3_and_say_what_and_where() {
    let bench = Bench::new();
    let cases = syntax().into_iter().chain(fields());
    for (what, bytes, fragments) in cases {
        bench.write("bad.torrent", &bytes);
        let ran = bench.run(["show", "bad.torrent"]);
        ran.failed(
            what,
            3,
            &[fragments, &["bad.torrent is not a usable torrent"]].concat(),
        );
    }
}

#[test]
fn every_command_refuses_a_broken_torrent_alike() {
    let bench = Bench::new();
    bench.write("bad.torrent", b"d4:infodee");
    for command in ["show", "verify", "magnet", "seed", "download"] {
        bench.run([command, "bad.torrent"]).failed(
            command,
            3,
            &["bad.torrent is not a usable torrent"],
        );
        bench
            .run([command, "gone.torrent"])
            .failed(command, 3, &["cannot read gone.torrent"]);
    }
    for command in ["show", "magnet", "verify"] {
        let ran = bench.run_with_input([command, "-"], b"nonsense");
        ran.failed(command, 3, &["standard input is not a usable torrent"]);
    }
}

#[test]
fn a_file_larger_than_torrents_are_is_not_read_whole() {
    let bench = Bench::new();
    let path = bench.write("big.torrent", b"d");
    // Sparse: a terabyte that takes no room.
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    bench
        .run(["show", "big.torrent"])
        .failed("a terabyte", 3, &["longer than", "content"]);
}

#[test]
fn broken_magnets_exit_3_and_say_what() {
    let hash = "0123456789abcdef0123456789abcdef01234567";
    let with = |rest: &str| format!("magnet:?xt=urn:btih:{hash}{rest}");
    let table: Vec<(String, &[&str])> = vec![
        ("magnet:".into(), &["magnet:?"]),
        ("magnet:?".into(), &["\"xt\""]),
        ("magnet:?dn=x".into(), &["\"xt\""]),
        ("magnet:?xt=".into(), &["\"xt\""]),
        ("magnet:?xt=urn:btih:".into(), &["info-hash"]),
        ("magnet:?xt=urn:btih:0123".into(), &["info-hash", "4"]),
        (
            format!("magnet:?xt=urn:btih:{}", &hash[1..]),
            &["info-hash", "39"],
        ),
        (format!("magnet:?xt=urn:btih:{hash}0"), &["info-hash", "41"]),
        (
            "magnet:?xt=urn:btih:zzzz456789abcdef0123456789abcdef01234567".into(),
            &["character 0", "info-hash"],
        ),
        (
            "magnet:?xt=urn:btih:11111111111111111111111111111111".into(),
            &["info-hash"],
        ),
        (
            "magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C".into(),
            &["urn:btih:", "urn:sha1"],
        ),
        ("magnet:?xt=urn:btmh:1220ab".into(), &["\"xt\""]),
        (
            format!("magnet:?xt=urn:btmh:1100{}", "a".repeat(64)),
            &["1220"],
        ),
        (
            with(&format!("&xt=urn:btih:{}", "f".repeat(40))),
            &["two different"],
        ),
        (with("&x.pe=nowhere"), &["\"x.pe\"", "port"]),
        (with("&x.pe=host:99999"), &["\"x.pe\"", "port"]),
        (with("&so=a-b"), &["\"so\""]),
        (with(&format!("&dn={}", "x".repeat(100_000))), &["bytes"]),
        (with("&x.pe=%1b%5b2J"), &["\"x.pe\""]),
    ];
    let bench = Bench::new();
    for (magnet, fragments) in &table {
        for command in ["show", "download"] {
            let what = format!("{command} {}", magnet.chars().take(80).collect::<String>());
            bench.run([command, magnet]).failed(
                &what,
                3,
                &[*fragments, &["the magnet cannot be used"]].concat(),
            );
        }
    }
}

#[test]
fn what_cannot_be_downloaded_yet_says_what_to_do_instead() {
    let bench = Bench::new();
    let hash = "0123456789abcdef0123456789abcdef01234567";
    for source in [
        format!("magnet:?xt=urn:btih:{hash}&dn=x"),
        hash.to_owned(),
        hash.to_uppercase(),
    ] {
        bench
            .run(["download", &source])
            .failed(&source, 1, &["hint: ", ".torrent"]);
    }
    bench
        .run(["show", hash])
        .failed("show of a hash", 3, &["bare info-hash", ".torrent"]);
    bench.run(["show", "http://127.0.0.1/x.torrent"]).failed(
        "show of a URL",
        3,
        &["URL", "show -"],
    );
}

/// Names that try to lead out of the folder or to steer the terminal are made harmless.
#[test]
fn hostile_names_are_shown_harmless() {
    let bench = Bench::new();
    let names = [
        "..",
        "../../evil",
        "/etc/passwd",
        "a\u{1b}[2Jb",
        "a\u{202e}gpj.exe",
        "con",
        "x\u{0}y",
        "",
    ];
    for name in names {
        let path = format!(
            "d6:lengthi5e4:pathl{}:{name}{}:{name}ee",
            name.len(),
            name.len()
        );
        bench.write("odd.torrent", with_files(&path));
        let human = bench.run(["show", "odd.torrent"]).ok();
        assert!(
            !human.text().contains(['\u{1b}', '\u{202e}', '\0']),
            "{name:?}: {human:?}"
        );
        assert!(
            !human.err.contains(['\u{1b}', '\u{202e}', '\0']),
            "{name:?}: {human:?}"
        );
        let shown = bench.run(["show", "--json", "odd.torrent"]).ok();
        assert!(
            !shown.text().contains(['\u{1b}', '\u{202e}', '\0']),
            "{name:?}: {shown:?}"
        );
        let path = shown.object()["files"][0]["path"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            !path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | "..")),
            "{path}"
        );
    }
}

/// The files of `tests/bad-input/client-config`, as the program's configuration.
#[test]
fn every_configuration_gets_its_verdict() {
    let bench = Bench::new();
    bench.write("good.torrent", GOOD);
    replay("client-config", |name, bytes| {
        bench.write("c.toml", bytes);
        let ran = bench.run(["--config", "c.toml", "show", "good.torrent"]);
        if ran.code == Some(0) {
            return Ok(ran.err);
        }
        ran.failed(name, 3, &["c.toml"]);
        Err(ran.err)
    });
}
