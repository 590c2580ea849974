//! What real torrents contain is read with a warning, not refused.

use bt_bencode::OwnedValue;
use bt_metainfo::{FileIndex, Metainfo, ParseOptions, Version, Warning, limits};

use crate::torrents::{
    Dict, bytes, file, list, multi, parse, plain, single, strings, torrent, warnings,
};

#[test]
fn the_hash_is_that_of_the_bytes_whatever_their_order() {
    // The figure is SHA-1 of the span between "4:info" and the last "e".
    let bytes =
        b"d4:infod4:name1:a6:lengthi1e12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
    let torrent = Metainfo::parse(bytes).unwrap();
    assert_eq!(
        torrent.info_hash(),
        bt_metainfo::InfoHash::of(&bytes[7..bytes.len() - 1])
    );
    assert_eq!(torrent.to_bytes(), bytes);
    assert_eq!(
        warnings(&torrent),
        ["a dictionary key is out of order at byte 17"]
    );
}

#[test]
fn of_two_equal_keys_the_first_counts() {
    let bytes = b"d8:announce8:udp://ab8:announce8:udp://cd4:infod6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee";
    let torrent = Metainfo::parse(bytes).unwrap();
    assert_eq!(torrent.trackers(), [["udp://ab"]]);
    assert_eq!(
        warnings(&torrent),
        ["a dictionary key appears twice at byte 21"]
    );
}

#[test]
fn bytes_behind_the_torrent_are_kept_and_told() {
    let mut bytes = bytes(torrent(single()));
    let end = bytes.len();
    bytes.extend(b"\r\n");
    let torrent = Metainfo::parse(&bytes).unwrap();
    assert_eq!(torrent.to_bytes(), bytes);
    assert_eq!(
        torrent.warnings(),
        [Warning::TrailingBytes {
            count: 2,
            offset: end
        }]
    );
    assert_eq!(torrent.edit().finish().unwrap().to_bytes(), bytes[..end]);
}

#[test]
fn names_in_utf8_win_over_names_in_other_encodings() {
    let gbk: &[u8] = b"\xb5\xe7.\xe0";
    let info = multi(vec![
        file(5, &[gbk]).set("path.utf-8", strings(&["电影".as_bytes()])),
        file(5, &[gbk]).set("path.utf-8", strings(&[b"\xff"])),
    ])
    .set("name", gbk.to_vec())
    .set("name.utf-8", "目录")
    .set("comment", gbk.to_vec());
    let torrent = Metainfo::parse(&bytes(
        torrent(info)
            .set("comment", gbk.to_vec())
            .set("comment.utf-8", "好"),
    ))
    .unwrap();
    let info = torrent.info();
    assert_eq!(info.name(), "目录");
    assert_eq!(info.files()[0].path.as_str(), "电影");
    assert!(!info.files()[0].renamed);
    assert_eq!(info.files()[1].path.as_str(), "%B5%E7.%E0");
    assert!(info.files()[1].renamed);
    assert_eq!(torrent.comment(), Some("好"));
    assert_eq!(
        warnings(&torrent),
        ["file 2: \"\u{fffd}\u{fffd}.\u{fffd}\" becomes \"%B5%E7.%E0\""]
    );
}

#[test]
fn the_fields_of_files_are_read() {
    let info = multi(vec![
        plain(5, "a")
            .set("md5sum", "D41D8CD98F00B204E9800998ECF8427E")
            .set("sha1", vec![7; 20])
            .set("attr", "hx?"),
        plain(5, "b")
            .set("md5sum", "short")
            .set("sha1", vec![7; 19])
            .set("attr", 5),
    ]);
    let torrent = parse(info).unwrap();
    let [a, b] = torrent.info().files() else {
        panic!("two files")
    };
    assert_eq!(
        a.md5sum.as_deref(),
        Some("d41d8cd98f00b204e9800998ecf8427e")
    );
    assert_eq!(a.sha1.as_deref(), Some(&[7; 20]));
    assert!(a.attributes.hidden && a.attributes.executable && !a.attributes.pad);
    assert_eq!((b.md5sum.as_deref(), b.sha1.as_deref()), (None, None));
    assert_eq!(
        warnings(&torrent),
        ["info.files[1].attr is left out: it is not a string"]
    );
    let torrent = parse(
        single()
            .set("md5sum", "d41d8cd98f00b204e9800998ecf8427e")
            .set("attr", "x"),
    )
    .unwrap();
    assert!(
        torrent.info().files()[0].md5sum.is_some()
            && torrent.info().files()[0].attributes.executable
    );
}

#[test]
fn any_sign_of_privacy_counts() {
    let private = |value: OwnedValue| {
        parse(single().set("private", value))
            .unwrap()
            .info()
            .private()
    };
    assert!(!parse(single()).unwrap().info().private());
    assert!(
        private(1.into())
            && private(2.into())
            && private("1".into())
            && private("yes".into())
            && private(list([]))
    );
    assert!(!private(0.into()) && !private("0".into()) && !private("".into()));
    assert_eq!(
        parse(single().set("source", "S")).unwrap().info().source(),
        Some("S")
    );
    assert_eq!(
        parse(single().set("source", 5)).unwrap().info().source(),
        None
    );
}

#[test]
fn odd_piece_lengths_are_told() {
    for (length, pieces, told) in [
        (1, 5, true),
        (5, 1, true),
        (8_192, 1, true),
        (24_576, 1, true),
        (16_384, 1, false),
        (limits::MAX_PIECE_LENGTH, 1, false),
    ] {
        let info = single()
            .set("piece length", i64::from(length))
            .set("pieces", vec![0; 20 * pieces]);
        let torrent = parse(info).unwrap();
        assert_eq!(torrent.info().layout().piece_count() as usize, pieces);
        assert_eq!(
            torrent
                .warnings()
                .iter()
                .any(|warning| warning.kind() == "piece-length"),
            told,
            "{length}"
        );
    }
}

#[test]
fn empty_content_is_content() {
    let torrent = parse(single().set("length", 0).set("pieces", "")).unwrap();
    assert_eq!(
        (
            torrent.info().files().len(),
            torrent.info().layout().piece_count()
        ),
        (1, 0)
    );
    let torrent = parse(multi(vec![plain(0, "a"), plain(0, "b/c")])).unwrap();
    assert_eq!(torrent.info().layout().file_count(), 2);
    assert_eq!(torrent.warnings(), []);
}

#[test]
fn pad_files_may_do_without_a_path() {
    let info = multi(vec![
        plain(5, "a"),
        plain(16_379, "x").without("path").set("attr", "p"),
        plain(3, "b"),
        plain(3, ".pad/3").set("attr", "p"),
        plain(3, ".pad/3").set("attr", "p"),
    ]);
    let torrent = parse(info).unwrap();
    let info = torrent.info();
    assert_eq!(info.files()[1].path.as_str(), ".pad/16379");
    // Nobody stores pad files, so they may be called the same.
    assert_eq!(info.files()[3].path, info.files()[4].path);
    assert!(info.layout().is_pad(FileIndex(1)));
    assert_eq!(info.layout().content_length(), 8);
    assert_eq!(torrent.warnings(), []);
}

#[test]
fn a_length_beside_files_means_nothing() {
    let torrent = parse(multi(vec![plain(5, "a")]).set("length", 77)).unwrap();
    assert_eq!(torrent.info().layout().total_length(), 5);
    assert_eq!(
        warnings(&torrent),
        ["info.length is left out: \"files\" stands beside it"]
    );
    let one = parse(multi(vec![plain(5, "a")])).unwrap();
    assert!(!one.info().is_single_file());
    assert_eq!(one.info().disk_path(FileIndex(0)).to_str(), Some("dir/a"));
}

#[test]
fn a_tree_without_a_version_is_decoration() {
    let torrent = parse(single().set("file tree", Dict::default())).unwrap();
    assert_eq!(torrent.info().version(), Version::V1);
    assert_eq!(
        warnings(&torrent),
        ["info.file tree is left out: there is no \"meta version\""]
    );
    let torrent = parse(single().set("meta version", 1)).unwrap();
    assert_eq!(torrent.info().version(), Version::V1);
}

#[test]
fn warnings_end_somewhere() {
    let files = (0..5_000).map(|_| plain(0, "same")).collect();
    let torrent = parse(multi(files)).unwrap();
    assert_eq!(torrent.warnings().len(), limits::MAX_WARNINGS + 1);
    assert_eq!(torrent.info().files()[4_999].path.as_str(), "same (5000)");
}

#[test]
fn larger_files_are_read_when_asked_for() {
    let big = bytes(torrent(single()).set("x-padding", vec![b' '; limits::MAX_FILE_BYTES]));
    assert!(Metainfo::parse(&big).is_err());
    let torrent = ParseOptions::default()
        .max_file_bytes(big.len())
        .parse(&big)
        .unwrap();
    let mut edit = torrent.edit();
    edit.set_comment(Some("x"));
    assert!(edit.finish().is_ok());
    assert!(
        ParseOptions::default()
            .max_file_bytes(big.len() - 1)
            .parse(&big)
            .is_err()
    );
}

#[test]
fn files_of_one_content_share_a_layer_and_a_layer_of_nobody_is_told() {
    let (bytes, original) = crate::fixtures::load("libtorrent-v2-single");
    let mut root = bt_bencode::parse(&bytes).unwrap().to_owned();
    let dict = |value: &'_ mut OwnedValue| value.as_dict_mut().map(std::mem::take).unwrap();
    let mut top = dict(&mut root);
    let layers = top.get_mut(&b"piece layers"[..]).unwrap();
    assert_eq!(layers.as_dict().unwrap().len(), 1, "a file of many pieces");
    let layers = layers.as_dict_mut().unwrap();
    layers.insert(vec![1; 32], OwnedValue::from("x"));
    let info = top.get_mut(&b"info"[..]).unwrap().as_dict_mut().unwrap();
    let tree = info.get_mut(&b"file tree"[..]).unwrap();
    let tree = tree.as_dict_mut().unwrap();
    let file = tree.values().next().unwrap().clone();
    tree.insert(b"zz twin".to_vec(), file);
    let torrent = Metainfo::parse(&OwnedValue::from(top).encode()).unwrap();
    assert_eq!(
        torrent.info().files().len(),
        original.info().files().len() + 1
    );
    let told = warnings(&torrent);
    let layer = "piece layers is left out: some entries belong to no file of more than one piece";
    assert!(told.iter().any(|warning| warning == layer), "{told:?}");
}
