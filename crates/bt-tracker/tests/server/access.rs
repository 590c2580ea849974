//! Lists, passkeys, and reading them again.

use bt_tracker::AnnounceRequest;
use bt_tracker::server::{Config, Mode};
use bt_tracker::udp::{
    Family, decode_announce_reply, decode_connect_reply, decode_error_reply,
    encode_announce_request, encode_connect_request,
};

use crate::harness::{
    Connection, announce, ask, config, escaped, get, hash, http, query, refusal, start, torrent,
    udp_client,
};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_on_the_list_is_tracked_and_the_list_can_change() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    std::fs::write(&list, format!("{} # one\n", hash(1))).unwrap();
    let mode = Mode::AllowList;
    let server = start(Config {
        mode,
        list: Some(list.clone()),
        ..config()
    })
    .await;
    let addr = http(&server);
    announce(addr, 1, 1001, 0, "").unwrap();
    let reason = refusal(announce(addr, 2, 1001, 0, ""));
    assert_eq!(reason, "torrent is not on the list of this tracker");
    std::fs::write(&list, format!("{}\nbroken\n", hash(2))).unwrap();
    assert!(server.reload().unwrap_err().to_string().contains("line 2"));
    announce(addr, 1, 1001, 0, "").unwrap();
    std::fs::write(&list, hash(2).to_string()).unwrap();
    // A kept connection sees the change as well.
    let mut connection = Connection::open(addr);
    connection.get(&format!("/announce?{}", query(1, 1, 5, "")));
    assert_eq!(server.reload().unwrap(), Some(1));
    let reply = connection.get(&format!("/announce?{}", query(1, 1, 5, "")));
    assert!(reply.text().contains("not on the list"));
    announce(addr, 2, 1001, 0, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_not_tracked() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    std::fs::write(&list, hash(1).to_string()).unwrap();
    let server = start(Config {
        mode: Mode::DenyList,
        list: Some(list),
        ..config()
    })
    .await;
    refusal(announce(http(&server), 1, 1001, 0, ""));
    announce(http(&server), 2, 1001, 0, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_in_the_path_over_http_and_in_the_options_over_udp() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, "secret-of-ann\nsecret-of-bob\n").unwrap();
    let server = start(Config {
        mode: Mode::Passkey,
        list: Some(list),
        ..config()
    })
    .await;
    let addr = http(&server);
    assert!(refusal(announce(addr, 1, 1001, 0, "")).contains("needs a passkey"));
    let with = |key: &str, port| {
        let reply = get(addr, &format!("/{key}/announce?{}", query(1, port, 5, "")));
        bt_tracker::http::decode_announce_reply(&reply.body)
    };
    with("secret-of-ann", 1001).unwrap();
    assert_eq!(refusal(with("secret-of-eve", 1001)), "passkey is not known");
    let scrape = |prefix: &str| {
        let target = format!("{prefix}/scrape?info_hash={}", escaped(hash(1)));
        bt_tracker::http::decode_scrape_reply(&get(addr, &target).body)
            .unwrap()
            .files
            .len()
    };
    assert_eq!(
        (
            scrape("/secret-of-bob"),
            scrape("/secret-of-eve"),
            scrape("")
        ),
        (1, 0, 0)
    );

    let socket = udp_client(&server);
    let mut packet = Vec::new();
    encode_connect_request(1, &mut packet);
    let id = decode_connect_reply(&ask(&socket, &packet)).unwrap();
    let mut with = |url_data: &str| {
        let mut request = AnnounceRequest::new(hash(1), [1; 20].into(), 2002);
        request.url_data = url_data.into();
        packet.clear();
        encode_announce_request(id, 1, &request, &mut packet);
        ask(&socket, &packet)
    };
    let reply = decode_announce_reply(&with("/secret-of-bob/announce?x"), Family::V4).unwrap();
    assert_eq!(reply.peers.len(), 1);
    for bad in [
        "",
        "/announce",
        "/secret-of-eve/announce",
        "/secret-of-bob",
        "secret-of-bob/announce",
    ] {
        assert!(decode_error_reply(&with(bad)).is_some(), "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tracker_knows_what_its_owner_registers() {
    let server = start(Config {
        closed: true,
        ..config()
    })
    .await;
    let addr = http(&server);
    let torrent = torrent("a file");
    let target = |port| {
        let query = query(1, port, 5, "");
        format!(
            "/announce?{}",
            query.replace(&escaped(hash(1)), &escaped(torrent.info_hash()))
        )
    };
    assert!(get(addr, &target(1)).text().contains("not registered"));
    server.register(&torrent);
    assert!(get(addr, &target(1)).text().contains("8:interval"));
    let offered = get(addr, "/torrents/a%20file.torrent");
    assert_eq!((offered.status, offered.body), (200, torrent.to_bytes()));
    assert_eq!(server.scrape(torrent.info_hash()).unwrap().incomplete, 1);
    server.remove(torrent.info_hash());
    assert!(get(addr, &target(1)).text().contains("not registered"));
    assert_eq!(get(addr, "/torrents/a%20file.torrent").status, 404);
    server.register_hash(hash(9));
    announce(addr, 9, 1, 5, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_is_read_again_whatever_else_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    std::fs::write(&list, "").unwrap();
    let torrents = dir.path().join("torrents");
    std::fs::create_dir(&torrents).unwrap();
    let server = start(Config {
        mode: Mode::DenyList,
        list: Some(list.clone()),
        torrents: Some(torrents.clone()),
        ..config()
    })
    .await;
    server.register_hash(hash(1));
    announce(http(&server), 1, 1001, 0, "").unwrap();
    std::fs::remove_dir(&torrents).unwrap();
    std::fs::write(&list, hash(1).to_string()).unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains("directory of torrents"), "{error}");
    let reason = refusal(announce(http(&server), 1, 1001, 0, ""));
    assert_eq!(reason, "torrent is not allowed on this tracker");
}
