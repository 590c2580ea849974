//! Broken torrents of version 2 and broken hybrids, with their messages.

use bt_bencode::OwnedValue;
use bt_metainfo::Metainfo;

use crate::broken::{Case, around, check};
use crate::fixtures;
use crate::torrents::{Dict, file, list, strings};

/// The info dictionary of a v2 file of 5 bytes.
fn v2(tree: Dict) -> Dict {
    Dict::default()
        .set("file tree", tree)
        .set("meta version", 2)
        .set("name", "a")
        .set("piece length", 16_384)
}

fn leaf(length: i64) -> Dict {
    Dict::default()
        .set("length", length)
        .set("pieces root", vec![b'r'; 32])
}

fn tree(name: &str, leaf: impl Into<OwnedValue>) -> Dict {
    Dict::default().set(name, Dict::default().set("", leaf))
}

fn unsorted_tree() -> Vec<u8> {
    let entry = |name: &str| {
        let value = OwnedValue::from(Dict::default().set("", Dict::default().set("length", 0)));
        [format!("1:{name}").into_bytes(), value.encode()].concat()
    };
    let tree = [b"d".to_vec(), entry("b"), entry("a"), b"e".to_vec()].concat();
    let info = [
        b"d9:file tree".to_vec(),
        tree,
        b"12:meta versioni2e4:name1:a12:piece lengthi16384ee".to_vec(),
    ];
    [b"d4:info".to_vec(), info.concat(), b"e".to_vec()].concat()
}

/// A few files below directories with names of 10 000 bytes.
fn long_paths() -> Dict {
    let mut files = Dict::default();
    for i in 0..100 {
        files = files.set(
            &i.to_string(),
            Dict::default().set("", Dict::default().set("length", 0)),
        );
    }
    (0..50).fold(files, |below, _| {
        Dict::default().set(&"d".repeat(10_000), below)
    })
}

fn version_two() -> Vec<Case> {
    let good = || tree("a", leaf(5));
    let bad = |tree: Dict| around(v2(tree));
    let below = |leaf: Dict| bad(tree("a", leaf));
    let deep = (0..90).fold(Dict::default().set("", leaf(1)), |below, _| {
        Dict::default().set("d", below)
    });
    let mut nested = OwnedValue::from("x");
    for _ in 0..50 {
        nested = list([nested]);
    }
    assert!(Metainfo::parse(&bad(good())).is_ok() && Metainfo::parse(&bad(deep)).is_ok());
    assert!(Metainfo::parse(&below(leaf(5).set("x", nested))).is_ok());
    vec![
        (
            around(v2(good()).set("meta version", 3)),
            "\"meta version\" is 3, but only version 2 is known",
        ),
        (
            around(v2(good()).set("meta version", 1)),
            "\"meta version\" is 1",
        ),
        (
            around(v2(good()).set("meta version", -2)),
            "\"meta version\" is -2",
        ),
        // The version comes first: what else is wrong may be right in a later one.
        (
            around(Dict::default().set("meta version", 9)),
            "\"meta version\" is 9",
        ),
        (
            around(v2(good()).set("meta version", "2")),
            "key \"meta version\": expected an integer, found a string",
        ),
        (
            around(v2(good()).without("meta version")),
            "a \"file tree\" but no \"meta version\"",
        ),
        (
            around(v2(good()).without("file tree")),
            "key \"file tree\": missing",
        ),
        (
            around(v2(good()).set("file tree", list([]))),
            "key \"file tree\": expected a dictionary, found a list",
        ),
        (
            around(v2(good()).set("piece length", 16_383)),
            "\"piece length\" is 16383, but version 2 needs a power of two",
        ),
        (
            around(v2(good()).set("piece length", 8_192)),
            "\"piece length\" is 8192",
        ),
        (
            around(v2(good()).set("piece length", 49_152)),
            "\"piece length\" is 49152",
        ),
        (
            around(v2(good()).set("piece length", 0)),
            "\"piece length\" is 0",
        ),
        (bad(Dict::default()), "the torrent has no files"),
        (
            bad(Dict::default().set("d", Dict::default())),
            "the torrent has no files",
        ),
        (
            bad(Dict::default().set("", leaf(5))),
            "the root of the tree is a file",
        ),
        (
            bad(Dict::default().set("a", 5)),
            "info.file tree: \"a\": it is not a dictionary",
        ),
        (
            bad(Dict::default().set("a", list([]))),
            "it is not a dictionary",
        ),
        (
            bad(tree("a", 5)),
            "\"a\": the description of the file is not a dictionary",
        ),
        (
            bad(tree("a", "x")),
            "the description of the file is not a dictionary",
        ),
        (
            below(leaf(5).without("length")),
            "byte 64: info.file tree: \"a\": \"length\" is missing",
        ),
        (
            below(leaf(5).set("length", "5")),
            "\"length\" is not a number from 0 up",
        ),
        (below(leaf(-1)), "\"length\" is not a number from 0 up"),
        (
            below(leaf(5).without("pieces root")),
            "\"pieces root\" is missing",
        ),
        (
            below(leaf(5).set("pieces root", vec![0; 31])),
            "\"pieces root\" is not 32 bytes",
        ),
        (
            below(leaf(5).set("pieces root", vec![0; 33])),
            "\"pieces root\" is not 32 bytes",
        ),
        (
            below(leaf(5).set("pieces root", 5)),
            "\"pieces root\" is not 32 bytes",
        ),
        (
            below(leaf(5).set("attr", "p")),
            "a pad file has no place in a tree",
        ),
        (below(leaf(1 << 51)), "the files together have more than"),
        (
            bad(Dict::default().set(
                "a",
                Dict::default()
                    .set("", leaf(5))
                    .set("b", Dict::default().set("", leaf(5))),
            )),
            "\"a\": a file has entries beside its description",
        ),
        (
            below(leaf(16_385)),
            "piece layers: file 0 (\"a\"): it has no entry",
        ),
        (
            bad(long_paths()),
            "the paths of all files are too long together",
        ),
        // Order gives the pieces their numbers, so that here it must be right.
        (
            unsorted_tree(),
            "byte 40: info.file tree: \"\": its keys are out of order",
        ),
    ]
}

fn layers_and_hybrids() -> Vec<Case> {
    let (_, hybrid) = fixtures::load("libtorrent-hybrid-tree");
    let whole = bt_bencode::parse(hybrid.as_bytes()).unwrap().to_owned();
    let change = |edit: &dyn Fn(&mut OwnedValue)| {
        let mut root = whole.clone();
        edit(&mut root);
        root.encode()
    };
    /// Walks down by keys.
    fn at<'a>(value: &'a mut OwnedValue, keys: &[&str]) -> &'a mut OwnedValue {
        keys.iter().fold(value, |value, key| {
            value
                .as_dict_mut()
                .unwrap()
                .get_mut(key.as_bytes())
                .unwrap()
        })
    }
    let files = |edit: &dyn Fn(&mut Vec<OwnedValue>)| {
        change(&|root| edit(at(root, &["info", "files"]).as_list_mut().unwrap()))
    };
    let alpha = hybrid.info().files()[0].pieces_root.unwrap();
    let layer = |edit: &dyn Fn(&mut OwnedValue)| {
        change(&|root| {
            edit(
                at(root, &["piece layers"])
                    .as_dict_mut()
                    .unwrap()
                    .get_mut(alpha.as_slice())
                    .unwrap(),
            )
        })
    };
    let swap = |value: &mut OwnedValue| match value {
        OwnedValue::Bytes(bytes) => bytes.swap(0, 40),
        _ => panic!("a layer is a string"),
    };
    let shorten = |value: &mut OwnedValue| match value {
        OwnedValue::Bytes(bytes) => bytes.truncate(64),
        _ => panic!("a layer is a string"),
    };
    vec![
        (
            change(&|root| drop(root.as_dict_mut().unwrap().remove(&b"piece layers"[..]))),
            "piece layers: file 0 (\"alpha.bin\"): it has no entry",
        ),
        (
            change(&|root| *at(root, &["piece layers"]) = 5.into()),
            "key \"piece layers\": expected a dictionary, found an integer",
        ),
        (
            layer(&|value| *value = 5.into()),
            "its entry is not a string",
        ),
        (
            layer(&shorten),
            "its entry has not one hash of 32 bytes for each piece",
        ),
        (
            layer(&swap),
            "its hashes do not add up to the \"pieces root\"",
        ),
        (
            files(&|files| *at(&mut files[0], &["length"]) = 40_001.into()),
            "hybrid torrent: file 0 (\"alpha.bin\"): the file tree gives it another length",
        ),
        (
            files(&|files| *at(&mut files[0], &["path"]) = strings(&[b"beta.bin"])),
            "(\"beta.bin\"): the file tree has another path at this place",
        ),
        (
            files(&|files| drop(files.remove(0))),
            "another path at this place",
        ),
        (
            files(&|files| drop(files.remove(1))),
            "it does not start at a piece",
        ),
        (
            files(&|files| files.push(OwnedValue::from(file(1, &[b"more"])))),
            "(\"more\"): the file tree does not have it",
        ),
        (
            files(&|files| files.truncate(5)),
            "only the file tree has it",
        ),
        (
            change(&|root| *at(root, &["info", "file tree"]) = tree("a", leaf(5)).into()),
            "another path at this place",
        ),
    ]
}

#[test]
fn trees_that_break_a_rule() {
    check(&version_two());
}

#[test]
fn layers_and_halves_that_do_not_fit() {
    check(&layers_and_hybrids());
}
