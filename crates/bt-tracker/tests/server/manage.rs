//! What operators change while the server runs: lists, users, torrents.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bt_tracker::AnnounceRequest;
use bt_tracker::limits::{LOGINS_PER_MINUTE, MAX_NAMED_USERS};
use bt_tracker::server::{Config, Handle, Mode, Secret};
use bt_tracker::udp::{
    decode_connect_reply, decode_error_reply, encode_announce_request, encode_connect_request,
};

use crate::harness::{
    Connection, Reply, announce, ask, config, escaped, get, hash, http, local, put, query, refusal,
    start, torrent, udp_client,
};

const TOKEN: &str = "0123456789abcdef-token";

/// A server with a list, and an operator who may change it.
async fn managed(mode: Mode, list: &Path, text: &str) -> Handle {
    std::fs::write(list, text).unwrap();
    start(Config {
        mode,
        list: Some(list.to_owned()),
        ..operated()
    })
    .await
}

fn operated() -> Config {
    Config {
        stats: Some(local()),
        admin_token: Some(Secret::new(TOKEN)),
        ..config()
    }
}

fn manage(server: &Handle, method: &str, target: &str) -> Reply {
    Connection::open(server.stats_addr().unwrap()).manage(method, target, TOKEN)
}

/// Announces with a passkey; the totals are what the peer says.
fn with_key(server: &Handle, key: &str, totals: (u64, u64, u64), more: &str) -> String {
    let (uploaded, downloaded, left) = totals;
    let query = query(1, 1001, left, more)
        .replace("uploaded=0", &format!("uploaded={uploaded}"))
        .replace("downloaded=0", &format!("downloaded={downloaded}"));
    get(http(server), &format!("/{key}/announce?{query}")).text()
}

fn over_udp(server: &Handle, key: &str) -> Vec<u8> {
    let socket = udp_client(server);
    let mut packet = Vec::new();
    encode_connect_request(1, &mut packet);
    let id = decode_connect_reply(&ask(&socket, &packet)).unwrap();
    let mut request = AnnounceRequest::new(hash(1), [1; 20].into(), 2002);
    request.url_data = format!("/{key}/announce").into_bytes();
    packet.clear();
    encode_announce_request(id, 1, &request, &mut packet);
    ask(&socket, &packet)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_and_goes_while_the_tracker_runs() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    let server = managed(Mode::Passkey, &list, "key-of-ann ann # the first\n").await;
    let known = |key| !with_key(&server, key, (0, 0, 5), "").contains("failure");
    assert!(known("key-of-ann") && !known("key-of-bob"));
    let reply = manage(&server, "PUT", "/list/key-of-bob?name=bob");
    assert_eq!(
        (reply.status, reply.text()),
        (200, "{\"entries\":2}".into())
    );
    assert!(known("key-of-bob"));
    assert!(decode_error_reply(&over_udp(&server, "key-of-bob")).is_none());
    assert_eq!(server.scrape(hash(1)).unwrap().incomplete, 2);

    // Whoever is revoked is refused at once, and no longer named to others.
    assert_eq!(manage(&server, "DELETE", "/list/key-of-bob").status, 200);
    assert!(!known("key-of-bob"));
    assert!(decode_error_reply(&over_udp(&server, "key-of-bob")).is_some());
    // A torrent without peers is forgotten sooner or later.
    let left = server
        .scrape(hash(1))
        .map_or(0, |numbers| numbers.incomplete);
    assert_eq!(left, 0, "both had one endpoint");
    assert!(known("key-of-ann"));
    assert_eq!(manage(&server, "DELETE", "/list/key-of-bob").status, 404);
    assert_eq!(manage(&server, "PUT", "/list/short").status, 422);
    assert_eq!(
        manage(&server, "PUT", "/list/key-of-bob?name=a%20b").status,
        422
    );

    // A key that the server makes.
    let reply = manage(&server, "POST", "/users?name=eve").text();
    let key = reply.split('"').find(|word| word.len() == 32).unwrap();
    assert!(known(key), "{reply}");
    let text = std::fs::read_to_string(&list).unwrap();
    assert_eq!(text, format!("key-of-ann ann # the first\n{key} eve\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_or_told_without_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    let server = managed(Mode::Passkey, &list, "key-of-ann\n").await;
    let stats = server.stats_addr().unwrap();
    let requests = [
        ("PUT", "/list/key-of-eve"),
        ("DELETE", "/list/key-of-ann"),
        ("GET", "/users"),
        ("POST", "/users"),
        ("GET", "/users/key-of-ann"),
        ("DELETE", "/users/key-of-ann"),
        ("PUT", &format!("/torrents/{}", hash(1))),
        ("DELETE", &format!("/torrents/{}", hash(1))),
        ("POST", "/reload"),
    ];
    for (at, (method, target)) in (2..).zip(requests) {
        // Each from an address of its own, or most of them would have to wait.
        let open = || Connection::open_from([127, 0, 0, at], stats);
        for token in ["", "0123456789abcdef-tokem", "0123456789abcdef-token0"] {
            let reply = open().manage(method, target, token);
            assert_eq!(reply.status, 401, "{method} {target} {token}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            assert!(!reply.text().contains("key-of-ann") && !reply.text().contains(TOKEN));
        }
    }
    assert_eq!(get(stats, "/users").status, 401);
    assert_eq!(std::fs::read_to_string(&list).unwrap(), "key-of-ann\n");
    assert_eq!(
        get(stats, "/stats").status,
        200,
        "numbers are for everybody"
    );
    let tokenless = start(Config {
        stats: Some(local()),
        ..config()
    })
    .await;
    let reply = manage(&tokenless, "POST", "/reload");
    assert!(reply.status == 403 && reply.text().contains("--admin-token-file"));
    let useless = Config {
        stats: None,
        ..operated()
    };
    assert!(bt_tracker::server::Server::start(useless).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_the_token_waits_and_whoever_has_it_does_not() {
    let server = start(operated()).await;
    let stats = server.stats_addr().unwrap();
    let login = |last, token| {
        Connection::open_from([127, 0, 0, last], stats).manage("POST", "/reload", token)
    };
    // A minute is longer than this takes, or the machine stands still.
    let begin = std::time::Instant::now();
    for n in 0..LOGINS_PER_MINUTE {
        assert_eq!(login(2, TOKEN).status, 200, "after {n} wrong ones");
        assert_eq!(login(2, "0123456789abcdef-tokem").status, 401, "{n}");
    }
    // Each is another guess, and nothing of the right one but its beginning.
    for token in ["0123456789abcdef-tokem", "0123456789abcdef"] {
        let reply = login(2, token);
        if reply.status != 429 && begin.elapsed().as_secs() >= 60 {
            println!("the machine stood still for a minute");
            return;
        }
        assert_eq!(reply.status, 429);
        let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(reply.text().contains("too many wrong tokens"));
        // Nobody who shares the address keeps the operator out.
        assert_eq!(login(2, TOKEN).status, 200);
    }
    let wrong = u64::try_from(LOGINS_PER_MINUTE).unwrap() + 2;
    assert_eq!(server.stats().wrong_tokens, wrong);
    let metrics = get(stats, "/metrics").text();
    assert!(metrics.contains(&format!("bt_tracker_wrong_tokens_total {wrong}\n")));
    // Who shows no token guesses none, numbers are for everybody, and others are not held up.
    let mut same = Connection::open_from([127, 0, 0, 2], stats);
    assert_eq!(same.get("/users").status, 401);
    assert_eq!(same.get("/stats").status, 200);
    assert_eq!(login(3, TOKEN).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_users_have_numbers_of_their_own_and_more_are_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    for users in [MAX_NAMED_USERS, MAX_NAMED_USERS + 1] {
        let lines = (1..=users).map(|n| format!("key-of-{n:05} user{n:05}\n"));
        let list = dir.path().join("keys");
        let server = managed(Mode::Passkey, &list, &lines.collect::<String>()).await;
        let last = format!("key-of-{users:05}");
        for totals in [(0, 0, 0), (30, 0, 0)] {
            let reply = with_key(&server, &last, totals, "");
            assert!(!reply.contains("failure"), "{reply}");
        }
        let metrics = get(server.stats_addr().unwrap(), "/metrics").text();
        let of_users = |line: &&str| line.starts_with("bt_tracker_user_uploaded_bytes_total{");
        let lines: Vec<_> = metrics.lines().filter(of_users).collect();
        assert_eq!(lines.len(), users);
        let name = if users > MAX_NAMED_USERS {
            String::new()
        } else {
            format!("user{users:05}")
        };
        let sum = format!("bt_tracker_user_uploaded_bytes_total{{user=\"{name}\"}} 30");
        assert!(lines.contains(&&*sum), "{sum}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_transfer_is_counted_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, "key-of-ann ann\nkey-of-bob\n").unwrap();
    let config = || Config {
        mode: Mode::Passkey,
        list: Some(list.clone()),
        accounts: Some(dir.path().join("accounts")),
        ..operated()
    };
    let server = start(config()).await;
    let say = |server: &Handle, key, totals, more| {
        let reply = with_key(server, key, totals, more);
        assert!(!reply.contains("failure"), "{reply}");
    };
    say(
        &server,
        "key-of-ann",
        (0, 0, 900),
        "&event=started&key=000000aa",
    );
    say(&server, "key-of-ann", (300, 700, 200), "&key=000000aa");
    say(&server, "key-of-ann", (u64::MAX, 700, 200), "&key=000000aa");
    say(&server, "key-of-bob", (50, 0, 0), "&key=000000bb");
    server.stop().await;

    let server = start(config()).await;
    say(&server, "key-of-bob", (80, 0, 0), "&key=000000bb");
    let accounts = server.accounts();
    let [ann, bob] = &accounts[..] else {
        panic!("{accounts:?}");
    };
    assert_eq!((ann.uploaded, ann.downloaded, ann.left), (300, 700, 200));
    assert_eq!((ann.impossible, ann.announces, ann.leeching), (1, 3, 1));
    assert_eq!(
        (bob.uploaded, bob.seeding, bob.name.as_deref()),
        (30, 1, None)
    );
    let users = manage(&server, "GET", "/users").text();
    assert!(
        users.contains("\"key\":\"key-of-ann\",\"name\":\"ann\""),
        "{users}"
    );
    let one = manage(&server, "GET", "/users/key-of-bob").text();
    assert!(one.contains("\"uploaded\":30"), "{one}");

    let metrics = get(server.stats_addr().unwrap(), "/metrics").text();
    for line in [
        "bt_tracker_users 2",
        "bt_tracker_user_uploaded_bytes_total{user=\"ann\"} 300",
        "bt_tracker_user_downloaded_bytes_total{user=\"ann\"} 700",
        "bt_tracker_user_uploaded_bytes_total{user=\"\"} 30",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line} in {metrics}"
        );
    }
    assert!(!metrics.contains("key-of"), "keys are secrets: {metrics}");

    assert_eq!(manage(&server, "DELETE", "/users/key-of-ann").status, 200);
    assert_eq!(manage(&server, "GET", "/users/key-of-ann").status, 404);
    assert_eq!(manage(&server, "DELETE", "/users/key-of-ann").status, 404);
    server.stop().await;

    // A file that cannot be used is neither believed nor overwritten.
    std::fs::write(dir.path().join("accounts"), "bt-tracker accounts 1 0\n").unwrap();
    let error = bt_tracker::server::Server::start(config())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it is torn"), "{error}");
    let open = Config {
        mode: Mode::Open,
        ..config()
    };
    assert!(bt_tracker::server::Server::start(open).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_is_denied_at_once_and_allowed_again() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let server = managed(Mode::DenyList, &list, "").await;
    let addr = http(&server);
    announce(addr, 1, 1001, 5, "").unwrap();
    announce(addr, 2, 1001, 5, "").unwrap();
    let mut kept = Connection::open(addr);
    kept.get(&format!("/announce?{}", query(1, 1002, 5, "")));
    let target = format!("/list/{}", hash(1));
    assert_eq!(manage(&server, "PUT", &target).status, 200);
    let reply = kept.get(&format!("/announce?{}", query(1, 1002, 5, "")));
    assert!(reply.text().contains("not allowed"), "{}", reply.text());
    assert!(server.scrape(hash(1)).is_none(), "its peers are forgotten");
    announce(addr, 2, 1001, 5, "").unwrap();
    assert_eq!(manage(&server, "DELETE", &target).status, 200);
    assert_eq!(announce(addr, 1, 1003, 5, "").unwrap().incomplete, Some(1));
    assert_eq!(manage(&server, "PUT", "/list/nonsense").status, 422);
    assert_eq!(manage(&server, "GET", "/users").status, 409);
    // The same by hand.
    std::fs::write(&list, hash(2).to_string()).unwrap();
    assert_eq!(manage(&server, "POST", "/reload").text(), "{\"entries\":1}");
    assert!(server.scrape(hash(2)).is_none());
    std::fs::write(&list, "nonsense").unwrap();
    let reply = manage(&server, "PUT", &target);
    assert!(
        reply.status == 409 && reply.text().contains("line 1"),
        "{}",
        reply.text()
    );
    refusal(announce(addr, 2, 1001, 5, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn torrents_are_registered_and_removed_while_the_tracker_runs() {
    let dir = tempfile::tempdir().unwrap();
    let torrent = torrent("a");
    put(dir.path(), "a.torrent", &torrent.to_bytes());
    let server = start(Config {
        torrents: Some(dir.path().to_owned()),
        ..operated()
    })
    .await;
    let addr = http(&server);
    let target = format!("/torrents/{}", hash(1));
    assert!(refusal(announce(addr, 1, 1001, 5, "")).contains("not registered"));
    assert_eq!(manage(&server, "PUT", &target).status, 200);
    announce(addr, 1, 1001, 5, "").unwrap();
    assert_eq!(manage(&server, "DELETE", &target).status, 200);
    assert!(refusal(announce(addr, 1, 1001, 5, "")).contains("not registered"));
    assert_eq!(manage(&server, "DELETE", &target).status, 404);
    assert_eq!(manage(&server, "PUT", "/torrents/nonsense").status, 422);
    let reply = manage(
        &server,
        "DELETE",
        &format!("/torrents/{}", torrent.info_hash()),
    );
    assert!(
        reply.status == 409 && reply.text().contains("a.torrent"),
        "{}",
        reply.text()
    );
    let announce = format!(
        "/announce?{}",
        query(1, 1, 5, "").replace(&escaped(hash(1)), &escaped(torrent.info_hash()))
    );
    assert!(get(addr, &announce).text().contains("8:interval"));
    assert_eq!(
        manage(&server, "PUT", &format!("/list/{}", hash(1))).status,
        409
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_change_under_load_and_no_request_is_dropped() {
    const CHANGES: u64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let server = managed(Mode::AllowList, &list, &format!("{}\n", hash(1))).await;
    let addr = http(&server);
    let (done, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let clients: Vec<_> = (1..=3_u16)
        .map(|port| {
            let (done, answered) = (Arc::clone(&done), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut connection = Connection::open(addr);
                let target = format!("/announce?{}", query(1, port, 5, ""));
                while !done.load(Ordering::Relaxed) {
                    let reply = connection.get(&target);
                    assert!(reply.status == 200 && reply.text().contains("8:interval"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let mut operator = Connection::open(server.stats_addr().unwrap());
    let other = format!("/list/{}", hash(2));
    let mut seen = 0;
    for change in 0..CHANGES {
        let (method, target) = match change % 3 {
            0 => ("PUT", other.as_str()),
            1 => ("DELETE", other.as_str()),
            _ => ("POST", "/reload"),
        };
        assert_eq!(operator.manage(method, target, TOKEN).status, 200);
        // The clients get on between the changes.
        crate::harness::eventually("announces are answered", || {
            answered.load(Ordering::Relaxed) > seen
        });
        seen = answered.load(Ordering::Relaxed);
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("every announce was answered");
    }
    assert!(answered.load(Ordering::Relaxed) >= CHANGES);
    assert_eq!(server.scrape(hash(1)).unwrap().incomplete, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_peer_of_a_revoked_user_stays_wherever_it_has_been() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    let server = managed(Mode::Passkey, &list, "key-of-ann\nkey-of-bob\n").await;
    let say = |key: &str, port: u16, more: &str| {
        let target = format!("/{key}/announce?{}", query(1, port, 5, more));
        assert!(get(http(&server), &target).text().contains("8:interval"));
    };
    for port in 7001..7004 {
        say("key-of-ann", port, "&key=000000aa");
    }
    let leechers = || server.scrape(hash(1)).map_or(0, |known| known.incomplete);
    assert_eq!(leechers(), 1, "it has moved");
    say("key-of-ann", 7009, "&key=000000bb");
    say("key-of-bob", 7010, "&key=000000aa");
    assert_eq!(leechers(), 3);
    assert_eq!(manage(&server, "DELETE", "/users/key-of-ann").status, 200);
    assert_eq!(leechers(), 1);
}
