//! Torrents that come over the network from somebody with the token.

use std::path::Path;

use bt_metainfo::assemble::{Assembly, Content};
use bt_tracker::limits::LOGINS_PER_MINUTE;
use bt_tracker::server::{Config, Handle, Secret, Server};

use crate::harness::{Connection, Reply, config, eventually, get, http, put, start, torrent};

const TOKEN: &str = "a-token-of-32-signs-that-is-good";

fn publisher(dir: &Path) -> Config {
    Config {
        torrents: Some(dir.into()),
        upload_token: Some(Secret::new(TOKEN)),
        ..config()
    }
}

fn send(server: &Handle, request: &str, token: Option<&str>, body: &[u8]) -> Reply {
    let mut connection = Connection::open(http(server));
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "{request} HTTP/1.1\r\nHost: t\r\n{}Content-Length: {}\r\n\r\n",
        token.unwrap_or_default(),
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(body);
    connection.reply().unwrap()
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_token_publishes_and_peers_can_announce_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(publisher(dir.path())).await;
    let first = torrent("first");
    let reply = send(
        &server,
        "PUT /torrents/a%20b.torrent",
        Some(TOKEN),
        &first.to_bytes(),
    );
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert!(
        reply.text().contains("\"url\":\"/torrents/a%20b.torrent\""),
        "{}",
        reply.text()
    );
    assert_eq!(files(dir.path()), ["a b.torrent"]);
    assert_eq!(server.stats().registered, 1);
    assert_eq!(
        get(http(&server), "/torrents/a%20b.torrent").body,
        first.to_bytes()
    );

    let second = torrent("second");
    let reply = send(&server, "POST /torrents/", Some(TOKEN), &second.to_bytes());
    assert_eq!(reply.status, 201);
    assert!(
        reply.text().contains("\"file\":\"second.torrent\""),
        "{}",
        reply.text()
    );
    let again = send(&server, "POST /torrents/", Some(TOKEN), &second.to_bytes());
    assert_eq!(again.status, 200, "the same torrent is there once");
    assert_eq!(files(dir.path()), ["a b.torrent", "second.torrent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_torrent_takes_the_place_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (torrent("name"), torrent("other"));
    put(dir.path(), "name.torrent", &first.to_bytes());
    let server = start(publisher(dir.path())).await;
    let reply = send(
        &server,
        "PUT /torrents/name.torrent",
        Some(TOKEN),
        &second.to_bytes(),
    );
    assert_eq!(reply.status, 409, "{}", reply.text());
    // One that the tracker has not seen yet, too.
    std::fs::write(dir.path().join("hidden.torrent"), b"not read yet").unwrap();
    let reply = send(
        &server,
        "PUT /torrents/hidden.torrent",
        Some(TOKEN),
        &second.to_bytes(),
    );
    assert_eq!(reply.status, 409, "{}", reply.text());
    put(dir.path(), "other.torrent", &torrent("third").to_bytes());
    let reply = send(&server, "POST /torrents/", Some(TOKEN), &second.to_bytes());
    assert_eq!(reply.status, 201);
    let long = format!("other-{}.torrent", second.info_hash());
    assert!(files(dir.path()).contains(&long), "{:?}", files(dir.path()));
    assert_eq!(
        std::fs::read(dir.path().join("name.torrent")).unwrap(),
        first.to_bytes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_nonsense_and_bad_names_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(publisher(dir.path())).await;
    let bytes = torrent("good").to_bytes();
    let put = "PUT /torrents/good.torrent";
    for (request, token, body, status) in [
        (put, None, bytes.as_slice(), 401),
        (put, Some("a-token-of-32-signs-that-is-bad!"), &bytes, 403),
        ("POST /torrents/", Some("x"), &bytes, 403),
        ("POST /torrents/", None, &bytes, 401),
        (put, Some(TOKEN), b"d4:infodee", 400),
        ("PUT /torrents/..%2fevil.torrent", Some(TOKEN), &bytes, 400),
        ("PUT /torrents/a/b.torrent", Some(TOKEN), &bytes, 400),
        ("PUT /torrents/good.txt", Some(TOKEN), &bytes, 400),
        ("PUT /torrents/%ff.torrent", Some(TOKEN), &bytes, 400),
        ("PUT /announce", Some(TOKEN), &bytes, 405),
    ] {
        let reply = send(&server, request, token, body);
        assert_eq!(reply.status, status, "{request}: {}", reply.text());
    }
    // Whoever has no token is refused before the body is waited for.
    let mut connection = Connection::open(http(&server));
    connection.send(format!("{put} HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n").as_bytes());
    assert_eq!(connection.reply().unwrap().status, 401);
    assert!(connection.is_closed());
    assert_eq!(files(dir.path()), [""; 0]);

    let closed = start(Config {
        upload_token: None,
        ..publisher(dir.path())
    })
    .await;
    assert_eq!(send(&closed, put, Some(TOKEN), &bytes).status, 405);
    for bad in [
        Config {
            torrents: None,
            ..publisher(dir.path())
        },
        Config {
            upload_token: Some(Secret::new("short")),
            ..publisher(dir.path())
        },
    ] {
        assert!(bad.check().is_err());
        assert!(Server::start(bad).await.is_err());
    }
    assert!(!format!("{:?}", publisher(dir.path())).contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_torrent_has_a_page_and_an_object() {
    let dir = tempfile::tempdir().unwrap();
    let evil = torrent("<script>\"&");
    put(dir.path(), "a b.torrent", &evil.to_bytes());
    let server = start(publisher(dir.path())).await;
    let hash = evil.info_hash();
    let page = get(http(&server), &format!("/torrents/{hash}"));
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.header("content-security-policy").is_some());
    let text = page.text();
    assert!(
        text.contains("<h1>&lt;script&gt;&quot;&amp;</h1>"),
        "{text}"
    );
    assert!(
        !text.contains("<script") && text.contains("href=\"magnet:?"),
        "{text}"
    );
    assert!(text.contains("href=\"./a%20b.torrent\""), "{text}");
    let json = get(http(&server), &format!("/torrents/{hash}.json")).text();
    for part in [
        "\"size\":5",
        "\"seeds\":0",
        "\"leechers\":0",
        "\"completed\":0",
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }
    assert!(
        json.contains("\"url\":\"/torrents/a%20b.torrent\""),
        "{json}"
    );
    assert_eq!(
        get(http(&server), &format!("/torrents/{}", "0".repeat(40))).status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registered_torrents_of_one_name_are_both_offered() {
    let dir = tempfile::tempdir().unwrap();
    let one = torrent("same");
    let other = {
        let bytes = one.to_bytes();
        let at = bytes
            .windows(20)
            .position(|window| window == [7; 20])
            .unwrap();
        let mut bytes = bytes.clone();
        bytes[at] = 8;
        bt_metainfo::Metainfo::parse(&bytes).unwrap()
    };
    let server = start(publisher(dir.path())).await;
    server.register(&one);
    server.register(&other);
    server.register(&one);
    let index = get(http(&server), "/torrents/index.json").text();
    assert_eq!(index.matches("\"file\"").count(), 2, "{index}");
    for torrent in [&one, &other] {
        assert!(index.contains(&torrent.info_hash().to_string()), "{index}");
    }
    // A file of the directory takes the name, and nobody vanishes.
    let third = torrent("third");
    put(dir.path(), "same.torrent", &third.to_bytes());
    eventually("the file is there", || server.stats().registered == 3);
    let index = get(http(&server), "/torrents/index.json").text();
    assert_eq!(index.matches("\"file\"").count(), 3, "{index}");
    assert_eq!(
        get(http(&server), "/torrents/same.torrent").body,
        third.to_bytes()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_is_followed_without_waiting_for_the_next_look() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(Config {
        torrents_poll: std::time::Duration::from_secs(3600),
        ..publisher(dir.path())
    })
    .await;
    for n in 1..=3 {
        let name = format!("n{n}");
        put(
            dir.path(),
            &format!("{name}.torrent"),
            &torrent(&name).to_bytes(),
        );
        eventually("the new file is there", || server.stats().registered == n);
    }
    std::fs::remove_file(dir.path().join("n1.torrent")).unwrap();
    eventually("the removed file is gone", || {
        server.stats().registered == 2
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_over_a_slow_line_is_waited_for_and_one_that_stands_still_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(publisher(dir.path())).await;
    let pieces: usize = 4_000;
    let large = Assembly {
        name: "large".into(),
        content: Content::Single {
            length: pieces as u64 * 16 * 1024,
            md5sum: None,
        },
        piece_length: 16 * 1024,
        pieces: vec![[7; 20]; pieces],
        ..Assembly::default()
    };
    let bytes = large.to_bytes().unwrap();
    let begin = |body: &[u8]| {
        let mut connection = Connection::open(http(&server));
        let head = format!(
            "POST /torrents/ HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {}\r\n\r\n",
            bytes.len()
        );
        connection.send(head.as_bytes());
        connection.send(body);
        connection
    };
    let (first, rest) = bytes.split_at(20_000);
    let mut still = begin(first);
    let mut slow = begin(first);
    // Longer in all than any other request may take.
    let (second, third) = rest.split_at(30_000);
    for part in [second, third] {
        slow.hears_nothing_for(std::time::Duration::from_secs(3));
        slow.send(part);
    }
    assert_eq!(slow.reply().unwrap().status, 201);
    assert!(still.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_directory_may_hold_may_be_uploaded() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(publisher(dir.path())).await;
    let pieces = 250_000;
    let assembly = Assembly {
        name: "large".into(),
        content: Content::Single {
            length: pieces * 16 * 1024,
            md5sum: None,
        },
        piece_length: 16 * 1024,
        pieces: vec![[7; 20]; usize::try_from(pieces).unwrap()],
        ..Assembly::default()
    };
    let bytes = assembly.to_bytes().unwrap();
    assert!(bytes.len() > 5_000_000);
    let reply = send(&server, "POST /torrents/", Some(TOKEN), &bytes);
    assert_eq!(reply.status, 201, "{}", reply.text());
    let head = |length: u64| {
        let mut connection = Connection::open(http(&server));
        let head = format!(
            "PUT /torrents/a.torrent HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes());
        let mut came = Vec::new();
        while came.len() < 12 {
            connection.is_closed_after(&mut came);
        }
        String::from_utf8_lossy(&came[9..12]).into_owned()
    };
    assert_eq!(
        (head(10_000_000).as_str(), head(10_000_001).as_str()),
        ("100", "413")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_the_upload_token_waits_and_whoever_has_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = publisher(dir.path());
    let proxied = Config {
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..config
    };
    let server = start(proxied).await;
    let upload = |client: &str, token: &str| {
        let request = format!(
            "POST /torrents/ HTTP/1.1\r\nX-Forwarded-For: {client}\r\n\
             Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let mut connection = Connection::open(http(&server));
        connection.send(request.as_bytes());
        connection.reply().unwrap()
    };
    // A minute is longer than this takes, or the machine stands still.
    let begin = std::time::Instant::now();
    for n in 0..LOGINS_PER_MINUTE {
        let reply = upload("192.0.2.1", "a-token-of-32-signs-that-is-bad!");
        assert_eq!(reply.status, 403, "{n}");
    }
    let reply = upload("192.0.2.1", "another-one-that-is-as-bad");
    if reply.status != 429 && begin.elapsed().as_secs() >= 60 {
        println!("the machine stood still for a minute");
        return;
    }
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.header("retry-after"), Some("60"));
    // Nothing is no torrent, but it was looked at.
    assert_eq!(upload("192.0.2.1", TOKEN).status, 400);
    // Those behind a proxy are told apart, and who shows no token guesses none.
    assert_eq!(upload("192.0.2.2", "x").status, 403);
    let none = send(&server, "POST /torrents/", None, b"");
    assert_eq!(none.status, 401);
    let wrong = u64::try_from(LOGINS_PER_MINUTE).unwrap() + 2;
    assert_eq!(server.stats().wrong_tokens, wrong);
}
