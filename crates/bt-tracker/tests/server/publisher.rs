//! The directory of torrents.

use bt_tracker::server::{Config, Handle, Server};

use crate::harness::{
    Connection, Reply, config, escaped, eventually, get, hash, http, put, query, start, torrent,
};

fn is_tracked(server: &Handle, torrent: &bt_metainfo::Metainfo) -> bool {
    let query = query(1, 1, 5, "");
    let query = query.replace(&escaped(hash(1)), &escaped(torrent.info_hash()));
    get(http(server), &format!("/announce?{query}"))
        .text()
        .contains("8:interval")
}

fn index(server: &Handle, accept: &str) -> Reply {
    let mut connection = Connection::open(http(server));
    connection.send(format!("GET /torrents/ HTTP/1.1\r\nAccept: {accept}\r\n\r\n").as_bytes());
    connection.reply().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_followed_while_the_tracker_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (torrent("first"), torrent("second"));
    put(dir.path(), "first.torrent", &first.to_bytes());
    let server = start(Config {
        torrents: Some(dir.path().into()),
        ..config()
    })
    .await;
    assert!(
        is_tracked(&server, &first),
        "what is there at the start is tracked at once"
    );
    assert!(!is_tracked(&server, &second));
    assert!(
        !is_tracked(&server, &torrent("anything")),
        "nothing else is tracked"
    );

    put(dir.path(), "second.torrent", &second.to_bytes());
    eventually("the new torrent is tracked", || {
        is_tracked(&server, &second)
    });
    let file = get(http(&server), "/torrents/second.torrent");
    assert_eq!((file.status, file.body), (200, second.to_bytes()));
    assert_eq!(
        file.headers
            .iter()
            .find(|h| h.0 == "Content-Type")
            .unwrap()
            .1,
        "application/x-bittorrent"
    );

    let third = torrent("third");
    put(dir.path(), "second.torrent", &third.to_bytes());
    eventually("the changed torrent is tracked", || {
        is_tracked(&server, &third)
    });
    assert!(!is_tracked(&server, &second));

    std::fs::remove_file(dir.path().join("first.torrent")).unwrap();
    eventually("the removed torrent is not", || {
        !is_tracked(&server, &first)
    });
    assert_eq!(get(http(&server), "/torrents/first.torrent").status, 404);
    assert!(is_tracked(&server, &third));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_no_torrents_are_skipped_and_a_broken_update_keeps_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let good = torrent("good");
    put(dir.path(), "good.torrent", &good.to_bytes());
    put(dir.path(), "empty.torrent", b"");
    put(dir.path(), "page.torrent", b"<html>not found</html>");
    put(dir.path(), "notes.txt", b"not a torrent and not called one");
    put(dir.path(), "large.torrent", &vec![b'd'; 10_000_001]);
    std::fs::create_dir(dir.path().join("directory.torrent")).unwrap();
    let config = Config {
        torrents: Some(dir.path().into()),
        ..config()
    };
    let server = start(config.clone()).await;
    assert_eq!(server.stats().registered, 1);
    assert!(
        config
            .check()
            .unwrap_err()
            .to_string()
            .contains("is not a torrent")
    );
    put(dir.path(), "good.torrent", &good.to_bytes()[..50]);
    put(dir.path(), "also.torrent", &torrent("also").to_bytes());
    eventually("the directory is read again", || {
        server.stats().registered == 2
    });
    // It stays however often the directory is looked at.
    for n in 3..6 {
        let more = format!("more {n}");
        put(
            dir.path(),
            &format!("{n}.torrent"),
            &torrent(&more).to_bytes(),
        );
        eventually("the directory is read once more", || {
            server.stats().registered == n
        });
    }
    assert!(is_tracked(&server, &good));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_index_is_a_page_for_people_and_json_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    let evil = torrent("<img src=x onerror=alert(1)>\"&'");
    put(dir.path(), "a \"<b>\" #?.torrent", &evil.to_bytes());
    let server = start(Config {
        torrents: Some(dir.path().into()),
        ..config()
    })
    .await;
    assert!(is_tracked(&server, &evil));
    let page = index(&server, "text/html,*/*");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(
        page.header("content-security-policy")
            .unwrap()
            .contains("default-src 'none'")
    );
    let text = page.text();
    assert!(
        !text.contains("<img") && !text.contains("<script"),
        "{text}"
    );
    assert!(
        text.contains("&lt;img src=x onerror=alert(1)&gt;&quot;&amp;&#39;"),
        "{text}"
    );
    let link = text
        .split("href=\"./")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert_eq!(
        get(http(&server), &format!("/torrents/{link}")).body,
        evil.to_bytes()
    );

    let json = index(&server, "application/json");
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.body, get(http(&server), "/torrents/index.json").body);
    let text = json.text();
    for part in [
        format!("\"info_hash\":\"{}\"", evil.info_hash()),
        "\"size\":5".into(),
        "\"leechers\":1".into(),
        "\"seeds\":0".into(),
        "\"completed\":0".into(),
        "\"magnet\":\"magnet:?xt=urn:btih:".into(),
    ] {
        assert!(text.contains(&part), "{part} in {text}");
    }
    let mut connection = Connection::open(http(&server));
    connection.send(b"HEAD /torrents/ HTTP/1.1\r\n\r\nGET /torrents/ HTTP/1.0\r\n\r\n");
    let mut came = Vec::new();
    while !connection.is_closed_after(&mut came) {}
    let came = String::from_utf8_lossy(&came);
    assert_eq!(came.matches("<!DOCTYPE html>").count(), 1, "{came}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_outside_the_directory_cannot_be_had() {
    let dir = tempfile::tempdir().unwrap();
    let inside = dir.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    put(dir.path(), "secret.torrent", &torrent("secret").to_bytes());
    let server = start(Config {
        torrents: Some(inside),
        ..config()
    })
    .await;
    for path in [
        "../secret.torrent",
        "..%2fsecret.torrent",
        "%2e%2e/secret.torrent",
        "/secret.torrent",
    ] {
        assert_eq!(
            get(http(&server), &format!("/torrents/{path}")).status,
            404,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_not_there_is_an_error() {
    let missing = Config {
        torrents: Some("/nowhere/at/all".into()),
        ..config()
    };
    let error = Server::start(missing).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the directory of torrents /nowhere/at/all"
    );
}
