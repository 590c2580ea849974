//! Version 2 torrents: their version, their tree, its leaves (BEP 52).

use super::Cases;
use super::make::{Dict, int, kinds, string};
use super::torrents::around;

pub(super) fn fill(cases: &mut Cases) {
    versions(cases);
    kinds_of_values(cases);
    leaves(cases);
}

/// A version 2 info dictionary around a file tree.
fn tree(tree: Dict) -> Dict {
    Dict::default()
        .set("file tree", tree.bytes())
        .set("meta version", int(2))
        .set("name", string("a"))
        .set("piece length", int(16_384))
}

fn leaf(length: i128) -> Dict {
    Dict::default()
        .set("length", int(length))
        .set("pieces root", string([b'r'; 32]))
}

fn entry(leaf: Vec<u8>) -> Dict {
    Dict::default().set("a", Dict::default().set("", leaf).bytes())
}

fn versions(cases: &mut Cases) {
    cases.because("BEP 52: only version 2 is known, its pieces are powers of two from 16 KiB");
    let good = || tree(entry(leaf(5).bytes()));
    cases.good("v2-whole", around(good()));
    for version in [0_i128, 1, 3, -2, i128::from(i64::MAX)] {
        cases.bad(
            &format!("v2-meta-version-{version}"),
            around(good().set("meta version", int(version))),
            &format!("\"meta version\" is {version}"),
        );
    }
    for length in [0_i128, 1, 8_192, 16_383, 16_385, 49_152] {
        cases.bad(
            &format!("v2-piece-length-{length}"),
            around(good().set("piece length", int(length))),
            &format!("\"piece length\" is {length}"),
        );
    }
    cases.bad(
        "v2-no-meta-version",
        around(good().without("meta version")),
        "a \"file tree\" but no \"meta version\"",
    );
    cases.bad(
        "v2-no-tree",
        around(good().without("file tree")),
        "key \"file tree\": missing",
    );
}

fn kinds_of_values(cases: &mut Cases) {
    let good = || tree(entry(leaf(5).bytes()));
    cases.because("BEP 52: a tree of dictionaries, with a length and a root at each leaf");
    for (kind, found, value) in kinds() {
        if kind != "dict" {
            cases.bad(
                &format!("v2-tree-{kind}"),
                around(good().set("file tree", value.clone())),
                &format!("key \"file tree\": expected a dictionary, found {found}"),
            );
            cases.bad(
                &format!("v2-entry-{kind}"),
                around(tree(Dict::default().set("a", value.clone()))),
                "\"a\": it is not a dictionary",
            );
            cases.bad(
                &format!("v2-leaf-{kind}"),
                around(tree(entry(value.clone()))),
                "the description of the file is not a dictionary",
            );
        }
        if kind != "int" {
            cases.bad(
                &format!("v2-length-{kind}"),
                around(tree(entry(leaf(5).set("length", value).bytes()))),
                "\"length\" is not a number from 0 up",
            );
        }
    }
}

fn leaves(cases: &mut Cases) {
    cases.because(
        "BEP 52: each file has a length, and a root and a layer where its length asks for them",
    );
    cases.bad(
        "v2-length-minus",
        around(tree(entry(leaf(-1).bytes()))),
        "\"length\" is not a number from 0 up",
    );
    cases.bad(
        "v2-no-length",
        around(tree(entry(leaf(5).without("length").bytes()))),
        "\"length\" is missing",
    );
    cases.bad(
        "v2-no-root",
        around(tree(entry(leaf(5).without("pieces root").bytes()))),
        "\"pieces root\" is missing",
    );
    for count in [0_usize, 20, 31, 33, 64] {
        cases.bad(
            &format!("v2-root-of-{count}"),
            around(tree(entry(
                leaf(5)
                    .set("pieces root", string(vec![b'r'; count]))
                    .bytes(),
            ))),
            "\"pieces root\" is not 32 bytes",
        );
    }
    cases.bad(
        "v2-empty-tree",
        around(tree(Dict::default())),
        "the torrent has no files",
    );
    cases.bad(
        "v2-root-is-a-file",
        around(tree(Dict::default().set("", leaf(5).bytes()))),
        "the root of the tree is a file",
    );
    cases.bad(
        "v2-too-long",
        around(tree(entry(leaf(1 << 51).bytes()))),
        "the files together have more than",
    );
    cases.bad(
        "v2-no-layer",
        around(tree(entry(leaf(16_385).bytes()))),
        "it has no entry",
    );
    let deep = (0..90).fold(Dict::default().set("", leaf(1).bytes()), |below, _| {
        Dict::default().set("d", below.bytes())
    });
    cases.good("v2-90-folders", around(tree(deep)));
    let deeper = (0..120).fold(Dict::default().set("", leaf(1).bytes()), |below, _| {
        Dict::default().set("d", below.bytes())
    });
    cases.bad(
        "v2-120-folders",
        around(tree(deeper)),
        "nested deeper than 100",
    );
}
