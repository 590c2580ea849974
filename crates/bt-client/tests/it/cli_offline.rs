//! Commands that need no network: what `create` makes, `show` tells and `verify` accepts, and the
//! names of every JSON field that scripts rely on.

use std::fs;

use serde_json::{Value, json};

use crate::cli_run::{Bench, Ran, keys, words};

/// A folder with an empty file, a nested one, odd names, and one of exactly one piece.
fn tree(bench: &Bench) {
    bench.write("tree/a.bin", vec![7; 100_000]);
    bench.write("tree/empty", "");
    bench.write("tree/one piece", vec![1; 16_384]);
    bench.write("tree/sub folder/ümläut – 漢字.txt", "text");
    bench.write("tree/.hidden", "dot");
}

#[test]
fn what_create_makes_show_tells_and_verify_accepts() {
    let bench = Bench::new();
    tree(&bench);
    let line = "create --json tree -s 16KiB -t http://a.example/announce,udp://b.example:6969/announce \
                -t https://c.example/announce -w http://web.example/ --node dht.example:6881 -p --source SRC \
                --date 1234567890 -c comment";
    let made = bench.run(words(line)).ok().object();
    let shown = bench.run(["show", "--json", "tree.torrent"]).ok().object();
    for field in [
        "name",
        "info_hash_v1",
        "info_hash_v2",
        "piece_length",
        "piece_count",
        "total_size",
        "magnet",
    ] {
        assert_eq!(made[field], shown[field], "{field}");
    }
    assert_eq!(shown["name"], "tree");
    assert_eq!(shown["piece_length"], 16384);
    assert_eq!(shown["total_size"], 100_000 + 16_384 + 4 + 3);
    assert_eq!(shown["piece_count"], 8);
    assert_eq!(shown["private"], true);
    assert_eq!(shown["comment"], "comment");
    assert_eq!(shown["source"], "SRC");
    assert_eq!(shown["creation_date"], 1_234_567_890);
    assert!(
        shown["created_by"]
            .as_str()
            .unwrap()
            .starts_with("bt-client/")
    );
    assert_eq!(
        shown["trackers"],
        json!([
            ["http://a.example/announce", "udp://b.example:6969/announce"],
            ["https://c.example/announce"]
        ])
    );
    assert_eq!(shown["web_seeds"], json!(["http://web.example/"]));
    assert_eq!(shown["nodes"], json!(["dht.example:6881"]));
    assert_eq!(shown["warnings"], json!([]));
    let paths: Vec<&str> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            ".hidden",
            "a.bin",
            "empty",
            "one piece",
            "sub folder/ümläut – 漢字.txt"
        ]
    );

    for path in [".", "tree"] {
        let verified = bench
            .run(["verify", "--json", "tree.torrent", path])
            .ok()
            .object();
        assert_eq!(
            verified,
            json!({"pieces": 8, "bad": [], "missing": [], "complete": true, "files": []})
        );
    }
    bench.run(["verify", "tree.torrent"]).ok();
}

/// Contract fields, exactly. A new field is added here; a missing one breaks scripts.
#[test]
fn the_fields_of_json_results_are_these() {
    let bench = Bench::new();
    tree(&bench);
    let created = bench.run(["create", "--json", "tree"]).ok().object();
    assert_eq!(
        keys(&created),
        [
            "files",
            "info_hash_v1",
            "info_hash_v2",
            "magnet",
            "name",
            "path",
            "piece_count",
            "piece_length",
            "total_size",
            "warnings"
        ]
    );
    assert_eq!(created["path"], "tree.torrent");
    let all = [
        "comment",
        "created_by",
        "creation_date",
        "files",
        "info_hash_v1",
        "info_hash_v2",
        "magnet",
        "name",
        "nodes",
        "piece_count",
        "piece_length",
        "private",
        "source",
        "total_size",
        "trackers",
        "warnings",
        "web_seeds",
    ];
    let shown = bench.run(["show", "--json", "tree.torrent"]).ok().object();
    assert_eq!(keys(&shown), all);
    assert_eq!(keys(&shown["files"][0]), ["length", "pad", "path"]);
    let magnet = shown["magnet"].as_str().unwrap();
    let of_magnet = bench.run(["show", "--json", magnet]).ok().object();
    assert_eq!(keys(&of_magnet), all);
    assert_eq!(of_magnet["info_hash_v1"], shown["info_hash_v1"]);
    assert_eq!(of_magnet["piece_count"], Value::Null);
    assert_eq!(
        keys(
            &bench
                .run(["verify", "--json", "tree.torrent"])
                .ok()
                .object()
        ),
        ["bad", "complete", "files", "missing", "pieces"]
    );
    let printed = bench
        .run(["magnet", "--json", "tree.torrent"])
        .ok()
        .object();
    assert_eq!(printed, json!({"magnet": magnet}));
    assert_eq!(
        bench.run(["magnet", "tree.torrent"]).ok().text().trim(),
        magnet
    );
}

#[test]
fn the_same_options_make_the_same_bytes() {
    let bench = Bench::new();
    tree(&bench);
    let bytes = |name: &str| fs::read(bench.path(name)).unwrap();
    bench
        .run(words(
            "create tree -o 1.torrent --no-date --no-creator -j 1",
        ))
        .ok();
    bench
        .run(words(
            "create tree -o 2.torrent --no-date --no-creator -j 8",
        ))
        .ok();
    assert_eq!(bytes("1.torrent"), bytes("2.torrent"));
    let dated = |epoch: &str, name: &str| {
        let mut command = bench.command(words(&format!("create tree -o {name}")));
        crate::cli_run::finish(command.env("SOURCE_DATE_EPOCH", epoch).spawn().unwrap())
    };
    dated("86400", "3.torrent").ok();
    dated("86400", "4.torrent").ok();
    assert_eq!(bytes("3.torrent"), bytes("4.torrent"));
    assert_eq!(
        bench.run(["show", "--json", "3.torrent"]).ok().object()["creation_date"],
        86_400
    );
    dated("yesterday", "5.torrent").failed(
        "SOURCE_DATE_EPOCH",
        2,
        &["SOURCE_DATE_EPOCH", "yesterday"],
    );
    let piped = bench
        .run(words("create tree -o - --no-date --no-creator"))
        .ok();
    assert_eq!(piped.out, bytes("1.torrent"));
    let shown = bench
        .run_with_input(["show", "-", "--json"], &piped.out)
        .ok()
        .object();
    assert_eq!(shown["name"], "tree");
}

/// Computed by hand from BEP 3: the SHA-1 of `d6:lengthi5e4:name5:hello12:piece lengthi16384e
/// 6:pieces20:<sha1 of "hello">e`.
#[test]
fn the_info_hash_is_that_of_bep_3() {
    let bench = Bench::new();
    bench.write("hello", "hello");
    let made = bench.run(words("create --json hello")).ok().object();
    assert_eq!(
        made["info_hash_v1"],
        "bdb46b45d540f614aa67b474ea1e59a0857fb38f"
    );
}

#[test]
fn globs_and_names_choose_what_is_shared() {
    let bench = Bench::new();
    tree(&bench);
    bench.write("tree/sub folder/deep/x.bin", "x");
    let paths = |line: &str| -> Vec<String> {
        bench
            .run(words(&format!("create tree --force -o t.torrent {line}")))
            .ok();
        let shown = bench.run(["show", "--json", "t.torrent"]).ok().object();
        shown["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(paths("--include *.bin"), ["a.bin", "sub folder/deep/x.bin"]);
    assert_eq!(paths("--include *.bin --exclude deep"), ["a.bin"]);
    assert_eq!(
        paths("--exclude *.bin --exclude *.txt --no-hidden"),
        ["empty", "one piece"]
    );
    bench.run(words("create tree --include nothing")).failed(
        "nothing taken",
        3,
        &["tree", "--include"],
    );
    assert!(
        bench
            .run(words("create tree -n other --json"))
            .ok()
            .object()["path"]
            == "other.torrent"
    );
}

#[test]
fn create_says_what_it_cannot_share() {
    let bench = Bench::new();
    fs::create_dir(bench.path("nothing")).unwrap();
    bench.write("empty", "");
    bench.write("hollow/a", "");
    let table: &[(&str, i32, &[&str])] = &[
        ("create gone", 5, &["gone", "no such file"]),
        ("create nothing", 3, &["nothing", "no files"]),
        ("create empty", 3, &["empty", "nothing to share"]),
        ("create hollow", 3, &["hollow", "nothing to share"]),
        (
            "create /dev/null",
            3,
            &["/dev/null", "neither a file nor a folder"],
        ),
        ("create tree -n a/b", 2, &["a/b"]),
        (
            "create tree -o gone/x.torrent",
            5,
            &["gone/x.torrent", "No such file"],
        ),
        ("create tree -o tree", 2, &["tree is a folder"]),
    ];
    tree(&bench);
    for (line, code, fragments) in table {
        let fragments: &[&str] = fragments;
        bench.run(words(line)).failed(line, *code, fragments);
    }
    let nameless = bench.run(["create", "tree", "-n", ""]);
    nameless.failed("no name", 2, &["it is empty", "--name"]);
}

#[test]
fn create_replaces_nothing_unless_forced() {
    let bench = Bench::new();
    tree(&bench);
    bench.write("tree.torrent", "precious");
    bench
        .run(["create", "tree"])
        .failed("exists", 5, &["tree.torrent exists already", "--force"]);
    assert_eq!(fs::read(bench.path("tree.torrent")).unwrap(), b"precious");
    bench.run(["create", "tree", "--force"]).ok();
    bench.run(["verify", "tree.torrent"]).ok();
    let left: Vec<_> = fs::read_dir(bench.path("."))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn links_are_left_out_and_reported() {
    let bench = Bench::new();
    tree(&bench);
    std::os::unix::fs::symlink("/etc/hostname", bench.path("tree/link")).unwrap();
    let ran = bench.run(["create", "tree", "--json"]).ok();
    assert!(
        ran.err.contains("warning: ") && ran.err.contains("link"),
        "{ran:?}"
    );
    assert_eq!(ran.object()["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(ran.object()["files"], 5);
}

#[test]
fn verify_finds_every_kind_of_damage() {
    let bench = Bench::new();
    tree(&bench);
    bench.run(words("create tree -s 16KiB")).ok();
    let verify = || -> (Ran, Value) {
        let human = bench.run(["verify", "tree.torrent", "tree"]);
        let json = bench.run(["verify", "--json", "tree.torrent", "tree"]);
        assert_eq!(json.code, human.code);
        let object = json.object();
        (human, object)
    };
    let mut content = fs::read(bench.path("tree/a.bin")).unwrap();
    content[50_000] ^= 1;
    bench.write("tree/a.bin", &content);
    let (human, object) = verify();
    assert_eq!(human.code, Some(6));
    assert_eq!(object["bad"], json!([3]));
    assert_eq!(object["complete"], false);
    assert!(
        human.text().contains("incomplete: 7 of 8 pieces ok, 1 bad"),
        "{human:?}"
    );
    assert!(human.text().contains("bad pieces: 3"), "{human:?}");

    bench.write("tree/a.bin", &content[..16_384]);
    let (human, object) = verify();
    assert_eq!(human.code, Some(6));
    // Pieces 1 and 6 also hold bytes of the files before and behind, which are there.
    assert_eq!(object["bad"], json!([1, 6]));
    assert_eq!(object["missing"], json!([2, 3, 4, 5]));
    assert!(human.text().contains("missing pieces: 2-5"), "{human:?}");

    fs::remove_dir_all(bench.path("tree")).unwrap();
    fs::create_dir(bench.path("tree")).unwrap();
    let (human, object) = verify();
    assert_eq!(human.code, Some(6));
    assert_eq!(object["missing"].as_array().unwrap().len(), 8);

    bench
        .run(["verify", "tree.torrent", "gone"])
        .failed("no folder", 5, &["gone", "no such file"]);
}

/// The empty file has no piece of its own, and is still part of the content.
#[test]
fn a_missing_empty_file_is_not_complete() {
    let bench = Bench::new();
    tree(&bench);
    bench.run(words("create tree")).ok();
    fs::remove_file(bench.path("tree/empty")).unwrap();
    let ran = bench.run(["verify", "tree.torrent"]);
    assert_eq!(ran.code, Some(6));
    assert!(ran.text().contains("empty: missing"), "{ran:?}");
}

#[test]
fn quiet_is_quiet_and_progress_goes_to_standard_error() {
    let bench = Bench::new();
    tree(&bench);
    let ran = bench.run(words("create -q tree")).ok();
    assert_eq!(ran.err, "");
    assert!(
        ran.text().starts_with("torrent    tree.torrent\n"),
        "{ran:?}"
    );
    let ran = bench.run(words("-q verify tree.torrent")).ok();
    assert_eq!(ran.err, "");
}

#[test]
fn manual_pages_and_completions_know_every_command() {
    let bench = Bench::new();
    let page = bench.run(words("man")).ok();
    assert!(page.text().contains(".TH bt-client 1"), "{page:?}");
    assert!(page.text().contains("\\-\\-no\\-progress"), "{page:?}");
    fs::create_dir(bench.path("pages")).unwrap();
    bench.run(words("man pages")).ok();
    let download = fs::read_to_string(bench.path("pages/bt-client-download.1")).unwrap();
    assert!(download.contains("max\\-peers"), "{download}");
    for shell in ["bash", "zsh", "fish"] {
        let script = bench.run(words(&format!("completions {shell}"))).ok();
        assert!(script.text().contains("max-peers"), "{shell}");
        // A script is given as it is, with its tabs.
        assert!(!script.text().contains("\\u{"), "{shell}");
    }
    let json = bench.run(words("man --json")).ok().json();
    assert!(
        json[0]["text"]
            .as_str()
            .unwrap()
            .contains(".SH SUBCOMMANDS")
    );
    let ran = bench.run(words("completions cobol"));
    ran.failed("a shell that nobody has", 2, &["cobol"]);
}
