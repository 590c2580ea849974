//! Lists and texts beside the info dictionary, in all the shapes that they have.

use bt_bencode::OwnedValue;
use bt_metainfo::{Metainfo, limits};

use crate::torrents::{Dict, bytes, list, single, strings, torrent, warnings};

#[test]
fn trackers_come_in_many_shapes() {
    let trackers = |root: Dict| {
        let torrent = Metainfo::parse(&bytes(root)).unwrap();
        (torrent.trackers().to_vec(), warnings(&torrent).join("; "))
    };
    let with = |key: &str, value| {
        trackers(
            Dict::default()
                .set("info", single())
                .set("announce", "http://a/x")
                .set(key, value),
        )
    };
    let announce = vec![vec!["http://a/x".to_owned()]];

    assert_eq!(
        trackers(Dict::default().set("info", single())),
        (vec![], String::new())
    );
    assert_eq!(with("announce", "".into()), (vec![], String::new()));
    assert_eq!(with("announce", " http://b/x\n".into()).0, [["http://b/x"]]);
    assert_eq!(
        with("announce", 5.into()),
        (vec![], "announce is left out: it is not a string".into())
    );
    assert_eq!(
        with("announce", b"\xff"[..].into()),
        (vec![], "announce is left out: it is not UTF-8".into())
    );
    assert_eq!(
        with("announce", "http://a b/".into()),
        (
            vec![],
            "announce is left out: it holds a space or control character".into()
        )
    );

    let (tiers, told) = with(
        "announce-list",
        list([
            strings(&[b"udp://b:1", b"udp://c:1", b"udp://b:1"]),
            list([]),
            strings(&[b"udp://b:1"]),
            strings(&[b"udp://d:1"]),
        ]),
    );
    assert_eq!(tiers, [vec!["udp://b:1", "udp://c:1"], vec!["udp://d:1"]]);
    assert_eq!(told, "");
    let (tiers, told) = with(
        "announce-list",
        list([
            "udp://b:1".into(),
            5.into(),
            list([7.into(), "udp://c:1".into(), "".into(), list([])]),
            Dict::default().into(),
        ]),
    );
    assert_eq!(tiers, [["udp://b:1"], ["udp://c:1"]]);
    assert_eq!(
        told,
        "announce-list[1] is left out: it is not a string; announce-list[2][0] is left out: it is not a string; \
         announce-list[2][3] is left out: it is not a string; announce-list[3] is left out: it is not a string"
    );
    // A list with nothing in it does not hide the one tracker that there is.
    assert_eq!(
        with("announce-list", list([])),
        (announce.clone(), String::new())
    );
    assert_eq!(
        with("announce-list", list([list([])])),
        (announce.clone(), String::new())
    );
    assert_eq!(
        with("announce-list", "x".into()),
        (
            announce,
            "announce-list is left out: it is not a list".into()
        )
    );
}

#[test]
fn lists_end_at_their_limits() {
    let urls = |count: usize| -> Vec<OwnedValue> {
        (0..count)
            .map(|i| OwnedValue::from(format!("http://{i}/")))
            .collect()
    };
    let root = |trackers: usize, seeds: usize, nodes: usize| {
        let nodes: Vec<_> = (0..nodes)
            .map(|i| list([format!("n{i}").into(), 1.into()]))
            .collect();
        let torrent = torrent(single())
            .set("announce-list", list([urls(trackers).into()]))
            .set("url-list", urls(seeds))
            .set("httpseeds", urls(seeds))
            .set("nodes", nodes);
        Metainfo::parse(&bytes(torrent)).unwrap()
    };
    let full = root(
        limits::MAX_TRACKERS,
        limits::MAX_WEB_SEEDS,
        limits::MAX_NODES,
    );
    assert_eq!(full.warnings(), []);
    let over = root(
        limits::MAX_TRACKERS + 1,
        limits::MAX_WEB_SEEDS + 1,
        limits::MAX_NODES + 1,
    );
    assert_eq!(over.trackers()[0].len(), limits::MAX_TRACKERS);
    assert_eq!(over.web_seeds().len(), limits::MAX_WEB_SEEDS);
    assert_eq!(over.http_seeds().len(), limits::MAX_WEB_SEEDS);
    assert_eq!(over.nodes().len(), limits::MAX_NODES);
    assert_eq!(
        warnings(&over),
        [
            "announce-list is cut after 200 entries",
            "url-list is cut after 100 entries",
            "httpseeds is cut after 100 entries",
            "nodes is cut after 100 entries"
        ]
    );
    let url = |length: usize| {
        let torrent = torrent(single()).set("announce", "u".repeat(length));
        Metainfo::parse(&bytes(torrent)).unwrap().trackers().len()
    };
    assert_eq!(
        (url(limits::MAX_URL_BYTES), url(limits::MAX_URL_BYTES + 1)),
        (1, 0)
    );
}

#[test]
fn values_beside_the_info_dictionary_may_be_of_any_type() {
    let odd = torrent(single())
        .set(
            "url-list",
            list(["http://w/".into(), 5.into(), "".into(), "http://w/".into()]),
        )
        .set("httpseeds", "http://h/")
        .set(
            "nodes",
            list([
                list(["n".into(), 0.into()]),
                list(["ok.example".into(), 9.into()]),
                list(["x".into()]),
                "x".into(),
                list(["bad host".into(), 5.into()]),
            ]),
        )
        .set("creation date", "yesterday")
        .set("comment", list([]))
        .set("created by", b"caf\xe9"[..].to_vec())
        .set("encoding", 5)
        .set("piece layers", Dict::default());
    let torrent = Metainfo::parse(&bytes(odd)).unwrap();
    assert_eq!(torrent.web_seeds(), ["http://w/"]);
    assert_eq!(torrent.http_seeds(), ["http://h/"]);
    assert_eq!(
        torrent
            .nodes()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["ok.example:9"]
    );
    assert_eq!(torrent.creation_date(), None);
    assert_eq!(torrent.comment(), None);
    assert_eq!(torrent.created_by(), Some("caf\u{fffd}"));
    let told = warnings(&torrent);
    assert_eq!(
        told,
        [
            "piece layers is left out: the torrent is of version 1",
            "url-list[1] is left out: it is not a string",
            "nodes[0] is left out: it is not a host and a port",
            "nodes[2] is left out: it is not a host and a port",
            "nodes[3] is left out: it is not a host and a port",
            "nodes[4] is left out: it is not a host and a port",
            "comment is left out: it is not a string",
            "creation date is left out: it is not a number",
            "encoding is left out: it is not a string"
        ]
    );
    assert!(
        torrent
            .warnings()
            .iter()
            .skip(1)
            .all(|warning| warning.kind() == "ignored")
    );
}
