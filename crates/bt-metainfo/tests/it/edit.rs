//! Edits change what they say and nothing else.

use bt_metainfo::{Error, FileIndex, HostPort, Info, Metainfo};

use crate::fixtures;
use crate::torrents::{Dict, bytes, list, parse, single, torrent};

fn rich() -> Metainfo {
    let root = torrent(single())
        .set(
            "announce-list",
            list([
                list(["http://a/x".into(), "http://b/x".into()]),
                list(["udp://c:1".into()]),
            ]),
        )
        .set("comment", "old")
        .set("comment.utf-8", "old too")
        .set("created by", "someone")
        .set("creation date", 12)
        .set("nodes", list([list(["n.example".into(), 6_881.into()])]))
        .set("url-list", "http://w/")
        .set("x-unknown", Dict::default().set("kept", list([7.into()])));
    Metainfo::parse(&bytes(root)).unwrap()
}

#[test]
fn an_edit_without_changes_gives_the_same_bytes() {
    for (name, ..) in fixtures::ALL {
        let (bytes, torrent) = fixtures::load(name);
        assert_eq!(torrent.edit().finish().unwrap().to_bytes(), bytes, "{name}");
    }
}

#[test]
fn each_setter_changes_its_key_alone() {
    let before = rich();
    let check = |change: &dyn Fn(&mut bt_metainfo::Editor), differs: &[&str]| {
        let mut edit = before.edit();
        change(&mut edit);
        let after = edit.finish().unwrap();
        assert_eq!(after.info().raw(), before.info().raw());
        assert_eq!(after.info_hash(), before.info_hash());
        let keys = |torrent: &Metainfo| bt_bencode::parse(torrent.as_bytes()).unwrap().to_owned();
        let (old, new) = (keys(&before), keys(&after));
        let (old, new) = (old.as_dict().unwrap(), new.as_dict().unwrap());
        let mut changed: Vec<&str> = old
            .keys()
            .chain(new.keys())
            .filter(|key| old.get(*key) != new.get(*key))
            .map(|key| str::from_utf8(key).unwrap())
            .collect();
        changed.sort_unstable();
        changed.dedup();
        assert_eq!(changed, differs);
        after
    };
    let after = check(
        &|edit| edit.set_comment(Some("new")),
        &["comment", "comment.utf-8"],
    );
    assert_eq!(after.comment(), Some("new"));
    let after = check(
        &|edit| edit.set_comment(None),
        &["comment", "comment.utf-8"],
    );
    assert_eq!(after.comment(), None);
    let after = check(&|edit| edit.set_created_by(None), &["created by"]);
    assert_eq!(after.created_by(), None);
    let after = check(&|edit| edit.set_creation_date(Some(-5)), &["creation date"]);
    assert_eq!(after.creation_date(), Some(-5));
    let after = check(
        &|edit| {
            edit.set_web_seeds(vec!["http://v/".into(), "ftp://u/".into()])
                .unwrap()
        },
        &["url-list"],
    );
    assert_eq!(after.web_seeds(), ["http://v/", "ftp://u/"]);
    let after = check(&|edit| edit.set_web_seeds(vec![]).unwrap(), &["url-list"]);
    assert_eq!(after.web_seeds(), [""; 0]);
    let node = HostPort::new("2001:db8::1", 5).unwrap();
    let after = check(
        &|edit| edit.set_nodes(std::slice::from_ref(&node)),
        &["nodes"],
    );
    assert_eq!(after.nodes(), std::slice::from_ref(&node));
    let after = check(
        &|edit| edit.add_tracker("http://d/x").unwrap(),
        &["announce", "announce-list"],
    );
    assert_eq!(
        after.trackers(),
        [
            vec!["http://a/x", "http://b/x"],
            vec!["udp://c:1"],
            vec!["http://d/x"]
        ]
    );
    let after = check(&|edit| edit.add_tracker("http://b/x").unwrap(), &[]);
    assert_eq!(after.trackers(), before.trackers());
    let after = check(
        &|edit| assert!(edit.remove_tracker("udp://c:1")),
        &["announce", "announce-list"],
    );
    assert_eq!(after.trackers(), [["http://a/x", "http://b/x"]]);
    let after = check(
        &|edit| assert!(edit.replace_tracker("http://a/x", "http://z/x").unwrap()),
        &["announce", "announce-list"],
    );
    assert_eq!(after.trackers()[0], ["http://z/x", "http://b/x"]);
    check(
        &|edit| assert!(!edit.remove_tracker("http://nowhere/")),
        &[],
    );
    check(
        &|edit| {
            assert!(
                !edit
                    .replace_tracker("http://nowhere/", "http://x/")
                    .unwrap()
            )
        },
        &[],
    );
    let after = check(
        &|edit| {
            edit.set_trackers(vec![vec![], vec!["udp://only:1".into()]])
                .unwrap()
        },
        &["announce", "announce-list"],
    );
    assert_eq!(after.trackers(), [["udp://only:1"]]);
    let after = check(
        &|edit| edit.set_trackers(vec![]).unwrap(),
        &["announce", "announce-list"],
    );
    assert!(after.trackers().is_empty());
}

#[test]
fn bad_urls_change_nothing() {
    let torrent = rich();
    for url in ["", "a b", "x\ny", &"u".repeat(3_000)] {
        let mut edit = torrent.edit();
        assert!(matches!(edit.add_tracker(url), Err(Error::Url { .. })));
        assert!(matches!(
            edit.set_trackers(vec![vec!["http://ok/".into(), url.into()]]),
            Err(Error::Url { .. })
        ));
        assert!(matches!(
            edit.replace_tracker("http://a/x", url),
            Err(Error::Url { .. })
        ));
        assert!(matches!(
            edit.set_web_seeds(vec![url.into()]),
            Err(Error::Url { .. })
        ));
        assert_eq!(edit.finish().unwrap(), torrent);
    }
}

#[test]
fn changing_the_hash_is_asked_for_by_name() {
    let before = rich();
    let mut edit = before.edit();
    edit.set_private_changing_hash(true);
    edit.set_source_changing_hash(Some("here"));
    edit.set_comment(Some("both"));
    let after = edit.finish().unwrap();
    assert_ne!(after.info_hash(), before.info_hash());
    assert!(after.info().private());
    assert_eq!(after.info().source(), Some("here"));
    assert_eq!(after.comment(), Some("both"));
    assert_eq!(after.info().piece_hashes(), before.info().piece_hashes());

    let mut edit = after.edit();
    edit.set_private_changing_hash(false);
    edit.set_source_changing_hash(None);
    assert_eq!(edit.finish().unwrap().info_hash(), before.info_hash());
}

#[test]
fn an_unsorted_info_dictionary_keeps_its_bytes_in_an_edit() {
    let bytes = b"d4:infod4:name1:a6:lengthi1e12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae8:announce8:udp://abe";
    let before = Metainfo::parse(bytes).unwrap();
    let mut edit = before.edit();
    edit.set_comment(Some("x"));
    let after = edit.finish().unwrap();
    assert_eq!(after.info_hash(), before.info_hash());
    assert_eq!(after.info().raw(), before.info().raw());
    assert!(after.to_bytes().starts_with(b"d8:announce"));
}

#[test]
fn a_torrent_from_an_info_dictionary_alone_can_get_trackers() {
    let whole = parse(single()).unwrap();
    let bare = Metainfo::from_info(Info::parse(whole.info().raw()).unwrap());
    assert_eq!(bare.info_hash(), whole.info_hash());
    assert!(bare.trackers().is_empty());
    let mut edit = bare.edit();
    edit.add_tracker("http://t.example/announce").unwrap();
    assert_eq!(edit.finish().unwrap(), whole);
}

#[test]
fn a_v2_torrent_without_layers_yet_can_be_edited() {
    let (_, whole) = fixtures::load("libtorrent-v2-tree");
    let bare = Metainfo::from_info(Info::parse(whole.info().raw()).unwrap());
    assert_eq!(bare.piece_layer(FileIndex(0)), None);
    let mut edit = bare.edit();
    edit.add_tracker("http://t.example/announce").unwrap();
    let edited = edit.finish().unwrap();
    assert_eq!(edited.info_hash_v2(), whole.info_hash_v2());
    assert!(edited.edit().finish().is_ok());
    // From a file it is another matter: without layers, pieces cannot be checked.
    assert!(matches!(
        Metainfo::parse(&edited.to_bytes()),
        Err(Error::PieceLayers { .. })
    ));
}
