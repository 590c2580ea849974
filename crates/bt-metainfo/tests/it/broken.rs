//! Broken torrents by hand: each is refused with a message that names what and where.

use bt_bencode::OwnedValue;
use bt_metainfo::limits::{MAX_FILE_BYTES, MAX_FILES, MAX_PIECE_LENGTH, MAX_PIECES};
use bt_metainfo::{Info, Metainfo};

use crate::fixtures;
use crate::torrents::{Dict, bytes, file, list, multi, plain, single, strings, torrent};

/// A torrent and a part of the message it must give.
type Case = (Vec<u8>, &'static str);

fn around(info: Dict) -> Vec<u8> {
    bytes(torrent(info))
}

/// The info dictionary of a v2 file of 5 bytes.
fn v2(tree: Dict) -> Dict {
    Dict::default().set("file tree", tree).set("meta version", 2).set("name", "a").set("piece length", 16_384)
}

fn leaf(length: i64) -> Dict {
    Dict::default().set("length", length).set("pieces root", vec![b'r'; 32])
}

fn tree(name: &str, leaf: impl Into<OwnedValue>) -> Dict {
    Dict::default().set(name, Dict::default().set("", leaf))
}

fn not_bencode() -> Vec<Case> {
    let whole = around(single());
    let cut = |length: usize| whole[..length].to_vec();
    vec![
        (vec![], "not a torrent: byte 0"),
        (b"<!DOCTYPE html><html>".to_vec(), "byte 0: expected a value, found \"<\""),
        (b"magnet:?xt=urn:btih:x".to_vec(), "byte 0: expected a value, found \"m\""),
        (b"\xef\xbb\xbfd4:infodee".to_vec(), "byte 0: expected a value"),
        (b"i5e".to_vec(), "byte 0: expected a dictionary, found an integer"),
        (b"4:info".to_vec(), "expected a dictionary, found a string"),
        (b"le".to_vec(), "expected a dictionary, found a list"),
        (cut(1), "byte 1"),
        (cut(20), "not a torrent: byte"),
        (cut(whole.len() - 1), "the input ends inside a value"),
        (cut(whole.len() - 10), "a string of 20 bytes, but only"),
        (b"d4:infodi1e1:aee".to_vec(), "a dictionary key must be a string"),
        (b"d4:infod6:lengthi-0eee".to_vec(), "byte 17: negative zero"),
        (b"d4:infod6:lengthi05eee".to_vec(), "leading zero"),
        (b"d4:infod6:lengthi99999999999999999999eee".to_vec(), "does not fit 64 bits"),
        (b"d4:infod6:lengthiee".to_vec(), "without digits"),
        (b"d04:infodee".to_vec(), "leading zero"),
        (b"d99999999999:infodee".to_vec(), "a string of 99999999999 bytes"),
        (b"d4:info".to_vec(), "not a torrent"),
        ([b"d1:a".to_vec(), b"l".repeat(200), b"e".repeat(201)].concat(), "nested deeper than"),
        ([b"d1:al".to_vec(), b"le".repeat(1_500_001), b"ee".to_vec()].concat(), "more than 3000000 tokens"),
        (vec![b'd'; MAX_FILE_BYTES + 1], "the torrent has 10000001 bytes, more than the 10000000 allowed"),
    ]
}

fn outside() -> Vec<Case> {
    let root = |value: OwnedValue| bytes(Dict::default().set("info", value));
    let two = [b"d4:infod6:lengthi5e4:name1:a12:piece lengthi1e6:pieces0:e".to_vec(), b"4:infodee".to_vec()].concat();
    vec![
        (b"de".to_vec(), "torrent: byte 0: key \"info\": missing"),
        (b"d8:announce3:abce".to_vec(), "key \"info\": missing"),
        (b"d4:Infodee".to_vec(), "key \"info\": missing"),
        (root(5.into()), "torrent: byte 7: key \"info\": expected a dictionary, found an integer"),
        (root("x".into()), "key \"info\": expected a dictionary, found a string"),
        (root(list([])), "key \"info\": expected a dictionary, found a list"),
        (two, "byte 64: key \"info\" appears twice"),
    ]
}

fn inside() -> Vec<Case> {
    let changed = |key: &str, value: OwnedValue| around(single().set(key, value));
    vec![
        (around(Dict::default()), "info: byte"),
        (around(single().without("name")), "key \"name\": missing"),
        (changed("name", 5.into()), "key \"name\": expected a string, found an integer"),
        (changed("name", strings(&[b"a"])), "key \"name\": expected a string, found a list"),
        (around(single().without("piece length")), "info: byte 44: key \"piece length\": missing"),
        (changed("piece length", "16384".into()), "key \"piece length\": expected an integer, found a string"),
        (changed("piece length", 0.into()), "a piece length of 0 bytes is not between 1 and 67108864"),
        (changed("piece length", (-1).into()), "key \"piece length\": the integer is out of range"),
        (changed("piece length", i64::from(MAX_PIECE_LENGTH + 1).into()), "a piece length of 67108865 bytes"),
        (changed("piece length", i64::from(u32::MAX).into()), "a piece length of 4294967295 bytes"),
        (changed("piece length", (1_i64 << 32).into()), "a piece length of 4294967296 bytes"),
        (changed("piece length", i64::MAX.into()), "a piece length of 9223372036854775807 bytes"),
        (around(single().without("pieces")), "key \"pieces\": missing"),
        (changed("pieces", 5.into()), "key \"pieces\": expected a string, found an integer"),
        (changed("pieces", list([])), "key \"pieces\": expected a string, found a list"),
        (changed("pieces", vec![0; 19].into()), "\"pieces\" has 19 bytes, which is not a multiple of 20"),
        (changed("pieces", vec![0; 21].into()), "\"pieces\" has 21 bytes"),
        (changed("pieces", "".into()), "\"pieces\" has 0 hashes, but the files need 1"),
        (changed("pieces", vec![0; 40].into()), "\"pieces\" has 2 hashes, but the files need 1"),
        (around(single().without("length")), "info: byte 44: key \"length\": missing"),
        (changed("length", "5".into()), "info: byte"),
        (changed("length", (-1).into()), "key \"length\": the integer is out of range"),
        (changed("length", i64::MIN.into()), "key \"length\": the integer is out of range"),
        (changed("length", i64::MAX.into()), "the files together have more than 1125899906842624 bytes"),
        (changed("length", (1_i64 << 50).into()), "68719476736 pieces are more than the 2097152 allowed"),
        (changed("length", 16_385.into()), "has 1 hashes, but the files need 2"),
        (changed("length", 0.into()), "has 1 hashes, but the files need 0"),
        (
            around(single().set("piece length", 1).set("length", i64::from(MAX_PIECES) + 1)),
            "2097153 pieces are more than the 2097152 allowed",
        ),
        // The Merkle torrents of BEP 30 have a root instead of pieces.
        (around(single().without("pieces").set("root hash", vec![0; 20])), "key \"pieces\": missing"),
    ]
}

fn files() -> Vec<Case> {
    let one = |file: Dict| around(multi(vec![plain(5, "a"), file]).set("pieces", vec![0; 20]));
    let half = 1_i64 << 62;
    vec![
        (around(single().set("files", "x")), "info: byte 53: key \"files\": expected a list, found a string"),
        (around(single().set("files", Dict::default())), "key \"files\": expected a list, found a dictionary"),
        (around(multi(vec![])), "the torrent has no files"),
        (around(multi(vec![plain(5, "a").set("attr", "p")])), "the torrent has no files"),
        (around(multi(vec![]).set("files", strings(&[b"a"]))), "info.files[0]: byte 60: expected a dictionary, found a string"),
        (one(plain(1, "b").without("length")), "info.files[1]: byte"),
        (one(plain(1, "b").without("length")), "key \"length\": missing"),
        (one(plain(1, "b").set("length", "x")), "info.files[1]: byte 93: key \"length\": expected an integer, found a string"),
        (one(plain(-1, "b")), "info.files[1]: byte 93: key \"length\": the integer is out of range"),
        (one(plain(1, "b").without("path")), "info.files[1]: byte 84: key \"path\": missing"),
        (one(plain(1, "b").set("path", "b")), "key \"path\": expected a list, found a string"),
        (one(plain(1, "b").set("path", list([5.into()]))), "key \"path\": expected a string, found an integer"),
        (one(plain(1, "b").set("path", list([list([])]))), "key \"path\": expected a string, found a list"),
        (one(plain(1, "b").without("path").set("path.utf-8", list([5.into()]))), "key \"path\": missing"),
        (one(plain(half, "b")), "the files together have more than"),
        (
            around(multi(vec![plain(half, "a"), plain(half, "b"), plain(half, "c"), plain(half, "d")]).set("pieces", "")),
            "the files together have more than 1125899906842624 bytes",
        ),
        (one(plain(20_000, "b")), "has 1 hashes, but the files need 2"),
    ]
}

fn unsorted_tree() -> Vec<u8> {
    let entry = |name: &str| {
        let value = OwnedValue::from(Dict::default().set("", Dict::default().set("length", 0)));
        [format!("1:{name}").into_bytes(), value.encode()].concat()
    };
    let tree = [b"d".to_vec(), entry("b"), entry("a"), b"e".to_vec()].concat();
    let info = [b"d9:file tree".to_vec(), tree, b"12:meta versioni2e4:name1:a12:piece lengthi16384ee".to_vec()];
    [b"d4:info".to_vec(), info.concat(), b"e".to_vec()].concat()
}

fn version_two() -> Vec<Case> {
    let good = || tree("a", leaf(5));
    let bad = |tree: Dict| around(v2(tree));
    let below = |leaf: Dict| bad(tree("a", leaf));
    let deep = (0..90).fold(Dict::default().set("", leaf(1)), |below, _| Dict::default().set("d", below));
    let mut nested = OwnedValue::from("x");
    for _ in 0..50 {
        nested = list([nested]);
    }
    assert!(Metainfo::parse(&bad(good())).is_ok() && Metainfo::parse(&bad(deep)).is_ok());
    assert!(Metainfo::parse(&below(leaf(5).set("x", nested))).is_ok());
    vec![
        (around(v2(good()).set("meta version", 3)), "\"meta version\" is 3, but only version 2 is known"),
        (around(v2(good()).set("meta version", 1)), "\"meta version\" is 1"),
        (around(v2(good()).set("meta version", -2)), "\"meta version\" is -2"),
        // The version comes first: what else is wrong may be right in a later one.
        (around(Dict::default().set("meta version", 9)), "\"meta version\" is 9"),
        (around(v2(good()).set("meta version", "2")), "key \"meta version\": expected an integer, found a string"),
        (around(v2(good()).without("meta version")), "a \"file tree\" but no \"meta version\""),
        (around(v2(good()).without("file tree")), "key \"file tree\": missing"),
        (around(v2(good()).set("file tree", list([]))), "key \"file tree\": expected a dictionary, found a list"),
        (around(v2(good()).set("piece length", 16_383)), "\"piece length\" is 16383, but version 2 needs a power of two"),
        (around(v2(good()).set("piece length", 8_192)), "\"piece length\" is 8192"),
        (around(v2(good()).set("piece length", 49_152)), "\"piece length\" is 49152"),
        (around(v2(good()).set("piece length", 0)), "\"piece length\" is 0"),
        (bad(Dict::default()), "the torrent has no files"),
        (bad(Dict::default().set("d", Dict::default())), "the torrent has no files"),
        (bad(Dict::default().set("", leaf(5))), "the root of the tree is a file"),
        (bad(Dict::default().set("a", 5)), "info.file tree: \"a\": it is not a dictionary"),
        (bad(Dict::default().set("a", list([]))), "it is not a dictionary"),
        (bad(tree("a", 5)), "\"a\": the description of the file is not a dictionary"),
        (bad(tree("a", "x")), "the description of the file is not a dictionary"),
        (below(leaf(5).without("length")), "byte 60: info.file tree: \"a\": \"length\" is missing"),
        (below(leaf(5).set("length", "5")), "\"length\" is not a number from 0 up"),
        (below(leaf(-1)), "\"length\" is not a number from 0 up"),
        (below(leaf(5).without("pieces root")), "\"pieces root\" is missing"),
        (below(leaf(5).set("pieces root", vec![0; 31])), "\"pieces root\" is not 32 bytes"),
        (below(leaf(5).set("pieces root", vec![0; 33])), "\"pieces root\" is not 32 bytes"),
        (below(leaf(5).set("pieces root", 5)), "\"pieces root\" is not 32 bytes"),
        (below(leaf(5).set("attr", "p")), "a pad file has no place in a tree"),
        (below(leaf(1 << 51)), "the files together have more than"),
        (
            bad(Dict::default().set("a", Dict::default().set("", leaf(5)).set("b", Dict::default().set("", leaf(5))))),
            "\"a\": a file has entries beside its description",
        ),
        (below(leaf(16_385)), "piece layers: file 0 (\"a\"): it has no entry"),
        // Order gives the pieces their numbers, so that here it must be right.
        (unsorted_tree(), "info.file tree: \"b\": its keys are out of order"),
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
        keys.iter().fold(value, |value, key| value.as_dict_mut().unwrap().get_mut(key.as_bytes()).unwrap())
    }
    let files = |edit: &dyn Fn(&mut Vec<OwnedValue>)| {
        change(&|root| edit(at(root, &["info", "files"]).as_list_mut().unwrap()))
    };
    let alpha = hybrid.info().files()[0].pieces_root.unwrap();
    let layer = |edit: &dyn Fn(&mut OwnedValue)| {
        change(&|root| edit(at(root, &["piece layers"]).as_dict_mut().unwrap().get_mut(alpha.as_slice()).unwrap()))
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
        (change(&|root| drop(root.as_dict_mut().unwrap().remove(&b"piece layers"[..]))), "piece layers: file 0 (\"alpha.bin\"): it has no entry"),
        (change(&|root| *at(root, &["piece layers"]) = 5.into()), "key \"piece layers\": expected a dictionary, found an integer"),
        (layer(&|value| *value = 5.into()), "its entry is not a string"),
        (layer(&shorten), "its entry has not one hash of 32 bytes for each piece"),
        (layer(&swap), "its hashes do not add up to the \"pieces root\""),
        (files(&|files| *at(&mut files[0], &["length"]) = 40_001.into()), "hybrid torrent: file 0 (\"alpha.bin\"): the file tree gives it another length"),
        (files(&|files| *at(&mut files[0], &["path"]) = strings(&[b"beta.bin"])), "(\"beta.bin\"): the file tree has another path at this place"),
        (files(&|files| drop(files.remove(0))), "another path at this place"),
        (files(&|files| drop(files.remove(1))), "it does not start at a piece"),
        (files(&|files| files.push(OwnedValue::from(file(1, &[b"more"])))), "(\"more\"): the file tree does not have it"),
        (files(&|files| files.truncate(5)), "only the file tree has it"),
        (change(&|root| *at(root, &["info", "file tree"]) = tree("a", leaf(5)).into()), "another path at this place"),
    ]
}

#[test]
fn every_broken_torrent_says_what_and_where() {
    let cases: Vec<Case> = [not_bencode(), outside(), inside(), files(), version_two(), layers_and_hybrids()].concat();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = Vec::new();
    for (torrent, fragment) in &cases {
        let shown = String::from_utf8_lossy(&torrent[..torrent.len().min(300)]).into_owned();
        match Metainfo::parse(torrent) {
            Ok(_) => wrong.push(format!("{shown}\n  is accepted, wanted: {fragment}")),
            Err(error) => {
                let message = error.to_string();
                if !message.contains(fragment) {
                    wrong.push(format!("{shown}\n  says:   {message}\n  wanted: {fragment}"));
                }
                assert!(message.len() < 400 && !message.contains(char::is_control), "{message}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_follows_an_info_dictionary_from_a_peer_is_refused() {
    let info = bytes(single());
    assert!(Info::parse(&info).is_ok());
    let message = Info::parse(&[&info[..], b"xy"].concat()).unwrap_err().to_string();
    assert_eq!(message, format!("byte {}: 2 bytes follow the info dictionary", info.len()));
    assert!(Info::parse(b"le").unwrap_err().to_string().contains("expected a dictionary"));
}

#[test]
fn truncations_and_bit_flips_of_real_torrents_never_panic() {
    for (name, ..) in fixtures::ALL {
        let (whole, _) = fixtures::load(name);
        for length in 0..whole.len() {
            assert!(Metainfo::parse(&whole[..length]).is_err(), "{name} cut at {length}");
        }
        let mut changed = whole.clone();
        for i in 0..whole.len() {
            for bit in [1, 2, 4, 8, 16, 32, 64, 128] {
                changed[i] ^= bit;
                let _ = Metainfo::parse(&changed).map(|torrent| torrent.magnet().to_string());
                changed[i] = whole[i];
            }
        }
    }
}

#[test]
fn the_number_of_files_ends_at_its_limit() {
    let torrent = |count: usize| {
        let files = b"d6:lengthi0e4:pathl1:aee".repeat(count);
        [&b"d4:infod5:filesl"[..], &files, b"e4:name1:a12:piece lengthi16384e6:pieces0:ee"].concat()
    };
    let options = bt_metainfo::ParseOptions::default().max_file_bytes(100 << 20);
    let most = options.parse(&torrent(MAX_FILES)).unwrap();
    assert_eq!(most.info().files().len(), MAX_FILES);
    assert_eq!(most.info().files()[MAX_FILES - 1].path.as_str(), "a (1000000)");
    let message = options.parse(&torrent(MAX_FILES + 1)).unwrap_err().to_string();
    assert!(message.contains("more than 1000000 files"), "{message}");
}
