//! Announces, scrapes and connections over HTTP.

use std::time::Duration;

use bt_metainfo::Metainfo;
use bt_metainfo::assemble::{Assembly, Content};
use bt_tracker::server::{Config, IpParam};
use bt_tracker::swarm::Locality;

use crate::harness::{
    Connection, announce, config, escaped, eventually, get, hash, http, local, ports, query,
    refusal, start, torrent,
};

#[tokio::test(flavor = "multi_thread")]
async fn peers_find_each_other_and_the_numbers_are_right() {
    let interval = Duration::from_secs(77);
    let server = start(Config {
        interval,
        ..config()
    })
    .await;
    let addr = http(&server);
    let first = announce(addr, 1, 1001, 0, "&event=started").unwrap();
    assert_eq!((first.interval, ports(&first).len()), (interval, 0));
    assert_eq!(first.min_interval, Some(Duration::from_secs(38)));
    assert_eq!(first.external_ip, Some("127.0.0.1".parse().unwrap()));
    let second = announce(addr, 1, 1002, 9, "&event=started").unwrap();
    assert_eq!(ports(&second), [1001]);
    assert_eq!((second.complete, second.incomplete), (Some(1), Some(1)));
    let third = announce(addr, 1, 1003, 9, "&event=paused").unwrap();
    assert_eq!(
        ports(&third),
        [1002],
        "a partial seed is told about downloaders only"
    );
    let scrape = get(addr, &format!("/scrape?info_hash={}", escaped(hash(1))));
    let scrape = bt_tracker::http::decode_scrape_reply(&scrape.body).unwrap();
    let numbers = scrape.get(&hash(1)).unwrap();
    assert_eq!(
        (numbers.complete, numbers.incomplete, numbers.downloaders),
        (1, 2, Some(1))
    );

    let done = announce(addr, 1, 1002, 0, "&event=completed").unwrap();
    assert_eq!((done.downloaded, done.complete), (Some(1), Some(2)));
    let again = announce(addr, 1, 1002, 0, "&event=completed").unwrap();
    assert_eq!(again.downloaded, Some(1), "a peer completes once");
    let gone = announce(addr, 1, 1001, 0, "&event=stopped").unwrap();
    assert_eq!((ports(&gone).len(), gone.complete), (0, Some(1)));
    // One that was never there adds nothing by stopping.
    let stranger = announce(addr, 1, 1009, 5, "&event=stopped").unwrap();
    assert_eq!((stranger.complete, stranger.incomplete), (Some(1), Some(1)));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_packed_or_full_as_asked() {
    let server = start(config()).await;
    let addr = http(&server);
    announce(addr, 1, 1001, 5, "").unwrap();
    let target = |more: &str| format!("/announce?{}", query(1, 1002, 5, more));
    let packed = get(addr, &target("&compact=1"));
    assert!(packed.text().contains("5:peers6:"), "{}", packed.text());
    let full = get(addr, &target("&compact=0")).text();
    let id = "7:peer id20:-XX0001-000000001001";
    assert!(
        full.contains(&format!("d2:ip9:127.0.0.1{id}4:porti1001ee")),
        "{full}"
    );
    let without = get(addr, &target("&compact=0&no_peer_id=1")).text();
    assert!(
        without.contains("d2:ip9:127.0.0.14:porti1001ee"),
        "{without}"
    );

    let lean = start(Config {
        keep_peer_ids: false,
        ..config()
    })
    .await;
    announce(http(&lean), 1, 1001, 5, "").unwrap();
    let full = get(http(&lean), &target("&compact=0")).text();
    assert!(full.contains("d2:ip9:127.0.0.14:porti1001ee"), "{full}");
}

#[tokio::test(flavor = "multi_thread")]
async fn numwant_is_honored() {
    let server = start(config()).await;
    for port in 1..=120 {
        announce(http(&server), 1, port, 5, "").unwrap();
    }
    for (more, count) in [
        ("", 50),
        ("&numwant=0", 0),
        ("&numwant=7", 7),
        ("&numwant=999", 100),
        ("&numwant=-1", 50),
    ] {
        let response = announce(http(&server), 1, 1, 5, more).unwrap();
        assert_eq!(response.peers.len(), count, "{more}");
        assert!(
            !ports(&response).contains(&1),
            "nobody is told about itself"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_those_of_connections_whatever_the_request_says() {
    let server = start(config()).await;
    let addr = http(&server);
    announce(addr, 1, 1001, 5, "&ip=198.51.100.7&ipv6=2001:db8::7").unwrap();
    let response = announce(addr, 1, 1002, 5, "").unwrap();
    assert_eq!(response.peers[0].addr, "127.0.0.1:1001".parse().unwrap());

    // X-Forwarded-For is as credible, except from a proxy that is trusted.
    let forwarded = |server: &bt_tracker::server::Handle, port: u16, addresses: &str| {
        let target = query(2, port, 5, "");
        let request =
            format!("GET /announce?{target} HTTP/1.1\r\nX-Forwarded-For: {addresses}\r\n\r\n");
        let mut connection = Connection::open(http(server));
        connection.send(request.as_bytes());
        let reply = connection.reply().unwrap();
        bt_tracker::http::decode_announce_reply(&reply.body)
            .unwrap()
            .external_ip
            .unwrap()
            .to_string()
    };
    assert_eq!(forwarded(&server, 1001, "192.0.2.1"), "127.0.0.1");
    let trusted_proxies = ["127.0.0.0/8", "10.0.0.0/8"]
        .map(|net| net.parse().unwrap())
        .to_vec();
    let server = start(Config {
        trusted_proxies,
        ..config()
    })
    .await;
    assert_eq!(forwarded(&server, 1001, "192.0.2.1"), "192.0.2.1");
    assert_eq!(
        forwarded(&server, 1001, "6.6.6.6, 192.0.2.1 , 10.1.1.1"),
        "192.0.2.1"
    );
    assert_eq!(forwarded(&server, 1001, "192.0.2.1, nonsense"), "127.0.0.1");
    assert_eq!(forwarded(&server, 1001, "2001:db8::1"), "2001:db8::1");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_families_meet_over_http() {
    let v6 = "[::1]:0".parse().unwrap();
    let server = start(Config {
        http: vec![local(), v6],
        ..config()
    })
    .await;
    let [v4, v6] = server.http_addrs() else {
        panic!("two addresses were asked for")
    };
    announce(*v4, 1, 1001, 5, "").unwrap();
    let response = announce(*v6, 1, 1002, 5, "").unwrap();
    assert_eq!(response.external_ip, Some("::1".parse().unwrap()));
    assert_eq!(ports(&response), [1001]);
    assert_eq!((response.complete, response.incomplete), (Some(0), Some(2)));
    let response = announce(*v4, 1, 1003, 5, "").unwrap();
    let peers: Vec<_> = response
        .peers
        .iter()
        .map(|peer| peer.addr.to_string())
        .collect();
    assert_eq!(peers, ["127.0.0.1:1001", "[::1]:1002"]);
    let one = announce(*v4, 1, 1003, 5, "&numwant=1").unwrap();
    assert_eq!(ports(&one), [1001], "the asker's own family comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_and_requests_may_come_in_one_piece_or_in_many() {
    let server = start(config()).await;
    let mut connection = Connection::open(http(&server));
    for port in 1..=3 {
        let reply = connection.get(&format!("/announce?{}", query(1, port, 5, "")));
        assert_eq!((reply.status, reply.header("connection")), (200, None));
    }
    // Twenty at once.
    let requests: String = (4..24)
        .map(|port| {
            format!(
                "GET /announce?{} HTTP/1.1\r\nHost: t\r\n\r\n",
                query(1, port, 5, "")
            )
        })
        .collect();
    connection.send(requests.as_bytes());
    for port in 4..24 {
        let reply = connection.reply().unwrap();
        let response = bt_tracker::http::decode_announce_reply(&reply.body).unwrap();
        assert_eq!(response.incomplete, Some(port));
    }
    // One byte at a time.
    let request = format!("GET /announce?{} HTTP/1.1\r\n\r\n", query(1, 99, 5, ""));
    request
        .as_bytes()
        .iter()
        .for_each(|byte| connection.send(&[*byte]));
    assert_eq!(connection.reply().unwrap().status, 200);
    // The last one.
    connection.send(format!("GET /announce?{} HTTP/1.0\r\n\r\n", query(1, 9, 5, "")).as_bytes());
    assert_eq!(
        connection.reply().unwrap().header("connection"),
        Some("close")
    );
    assert!(connection.is_closed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let server = start(config()).await;
    let addr = http(&server);
    let failure = |target: &str| {
        let reply = get(addr, target);
        assert_eq!(reply.status, 200);
        refusal(bt_tracker::http::decode_announce_reply(&reply.body))
    };
    assert_eq!(failure("/announce"), "info_hash is missing");
    assert_eq!(
        failure("/announce?info_hash=x"),
        "info_hash is not valid: 20 bytes, percent-encoded"
    );
    let bad_event = query(1, 1, 5, "&event=exploded");
    assert!(failure(&format!("/announce?{bad_event}")).starts_with("event is not valid"));
    let bad_left = query(1, 1, 5, "&left=lots");
    assert!(failure(&format!("/announce?{bad_left}")).starts_with("left is not valid"));
    assert!(failure("/scrape").contains("no full scrape"));
    assert_eq!(get(addr, "/").status, 404);
    assert_eq!(get(addr, "/announce/x/y").status, 404);
    assert_eq!(
        get(addr, "/torrents").header("location"),
        Some("/torrents/")
    );

    let refused = |request: &str| {
        let mut connection = Connection::open(addr);
        connection.send(request.as_bytes());
        let status = connection.reply().unwrap().status;
        assert!(connection.is_closed(), "{request}");
        status
    };
    assert_eq!(refused("NONSENSE\r\n\r\n"), 400);
    assert_eq!(refused("BREW /announce HTTP/1.1\r\n\r\n"), 405);
    assert_eq!(
        refused(&format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(9000))),
        431
    );
    assert_eq!(
        refused("POST /announce HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
        413
    );
    assert_eq!(
        refused("POST /announce HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        411
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_of_nothing_is_an_announce_like_any_other_and_what_is_not_offered_is_not_there() {
    let server = start(config()).await;
    let addr = http(&server);
    announce(addr, 1, 1001, 0, "").unwrap();
    let mut connection = Connection::open(addr);
    let mut post = |target: &str| {
        let head = format!("POST {target} HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        connection.send(head.as_bytes());
        let reply = connection.reply().unwrap();
        assert_eq!(reply.status, 200);
        bt_tracker::http::decode_announce_reply(&reply.body)
    };
    let response = post(&format!("/announce?{}", query(1, 1002, 5, ""))).unwrap();
    assert_eq!(ports(&response), [1001]);
    assert!(refusal(post("/announce")).contains("info_hash"));
    assert_eq!(server.stats().http.announces, 2);

    for target in ["/torrents/", "/torrents/index.json"] {
        assert_eq!(get(addr, target).status, 404, "{target}");
    }
    server.register(&torrent("a"));
    for target in ["/torrents/", "/torrents/index.json"] {
        assert!(get(addr, target).text().contains("a.torrent"), "{target}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_announces_in_one_request_are_answered_one_by_one() {
    let server = start(config()).await;
    let addr = http(&server);
    announce(addr, 1, 1001, 0, "").unwrap();
    let line = |n, port| format!("http://old:6969/announce?{}\r\n", query(n, port, 5, ""));
    let body = format!("{}{}junk\n{}", line(1, 2001), line(2, 2001), line(3, 2001));
    let mut connection = Connection::open(addr);
    let head = format!(
        "POST /announce HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes());
    connection.send(body.as_bytes());
    let reply = connection.reply().unwrap();
    let list = bt_bencode::parse(&reply.body).unwrap().list().unwrap();
    let replies: Vec<_> = list.iter().map(|reply| reply.dict().unwrap()).collect();
    let named = |n: usize| replies[n].str("torrentIdentifier").unwrap().to_owned();
    assert_eq!(
        (named(0), named(1), named(3)),
        (
            hash(1).to_string(),
            hash(2).to_string(),
            hash(3).to_string(),
        )
    );
    assert_eq!(replies[0].bytes("peers").unwrap(), [127, 0, 0, 1, 3, 233]);
    assert_eq!(
        replies[2].str("failure reason").unwrap(),
        "info_hash is missing"
    );
    // The connection lives on.
    assert_eq!(
        connection
            .get(&format!("/announce?{}", query(1, 7, 5, "")))
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_peers_are_forgotten() {
    let ttl = Duration::from_millis(100);
    let server = start(Config {
        peer_ttl: Some(ttl),
        ..config()
    })
    .await;
    announce(http(&server), 1, 1001, 5, "").unwrap();
    eventually("the torrent is forgotten", || server.stats().torrents == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn localities_are_counted() {
    let network = ("127.0.0.0/8".parse().unwrap(), "here".to_owned());
    let locality = Locality::named([network]).unwrap();
    let server = start(Config {
        locality,
        ..config()
    })
    .await;
    announce(http(&server), 1, 1001, 5, "").unwrap();
    announce(http(&server), 1, 1002, 5, "").unwrap();
    let stats = server.stats();
    assert_eq!((stats.http.named, stats.http.named_near), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_torrents_as_over_udp_can_be_scraped_with_every_byte_escaped() {
    let server = start(config()).await;
    announce(http(&server), 74, 1001, 5, "").unwrap();
    let hashes: Vec<_> = (1..=74)
        .map(|n| format!("info_hash={}", escaped(hash(n))))
        .collect();
    let reply = get(http(&server), &format!("/scrape?{}", hashes.join("&")));
    assert_eq!(reply.status, 200);
    let scraped = bt_tracker::http::decode_scrape_reply(&reply.body).unwrap();
    assert_eq!(scraped.get(&hash(74)).unwrap().incomplete, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reply_under_way_is_finished_when_the_server_stops() {
    let server = start(config()).await;
    let pieces: usize = 450_000;
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
    let large = Metainfo::parse(&large.to_bytes().unwrap()).unwrap();
    server.register(&large);
    let addr = http(&server);
    let mut idle = Connection::open(addr);
    idle.get("/torrents/");
    let mut connection = Connection::open(addr);
    // Neither of them reads yet, so the kernel has only room for the beginning.
    connection.send(b"GET /torrents/large.torrent HTTP/1.1\r\nHost: t\r\n\r\n");
    eventually("both are open", || server.stats().connections == 2);
    let stopping = tokio::spawn(server.stop());
    eventually("it takes no connections", || {
        std::net::TcpStream::connect(addr).is_err()
    });
    assert!(idle.is_closed());
    let reply = connection.reply().unwrap();
    assert_eq!((reply.status, reply.body == large.to_bytes()), (200, true));
    assert!(connection.is_closed());
    stopping.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_for_the_head_of_an_announce_lets_nobody_in() {
    let server = start(config()).await;
    let mut connection = Connection::open(http(&server));
    for target in ["/announce", "/some-key/announce"] {
        let query = query(1, 1001, 5, "");
        connection.send(format!("HEAD {target}?{query} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes());
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert!(!connection.is_closed_after(&mut head));
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        assert!(head.contains("\r\nAllow: GET, POST\r\n"), "{head}");
    }
    assert_eq!(server.stats().torrents, 0);
    // The connection is as good as before.
    assert_eq!(
        connection
            .get(&format!("/announce?{}", query(1, 1, 5, "")))
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_once() {
    let server = start(config()).await;
    let body = format!("http://t/announce?{}\n", query(1, 1001, 5, ""));
    let mut connection = Connection::open(http(&server));
    for _ in 0..2 {
        let head = format!(
            "POST /announce HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        connection.send(head.as_bytes());
        let mut asked = Vec::new();
        while asked.len() < 25 {
            assert!(!connection.is_closed_after(&mut asked));
        }
        assert_eq!(asked, b"HTTP/1.1 100 Continue\r\n\r\n");
        let (first, rest) = body.split_at(10);
        connection.send(first.as_bytes());
        connection.hears_nothing_for(Duration::from_millis(50));
        connection.send(rest.as_bytes());
        assert!(connection.reply().unwrap().text().contains("8:interval"));
    }
    // Who has sent its body already is not asked, and who may not send one is refused instead.
    let all = format!(
        "POST /announce HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.send(all.as_bytes());
    assert_eq!(connection.reply().unwrap().status, 200);
    connection.send(
        b"PUT /torrents/a.torrent HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
    );
    assert_eq!(connection.reply().unwrap().status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn announces_and_scrapes_can_be_elsewhere_and_intervals_differ() {
    let interval = Duration::from_secs(1000);
    let server = start(Config {
        announce_path: "/a/announce".into(),
        interval,
        min_interval: Some(interval / 2),
        interval_jitter: 10,
        max_scrape: 2,
        ..config()
    })
    .await;
    let at = |path: &str| get(http(&server), &format!("{path}?{}", query(1, 1001, 5, "")));
    assert_eq!(at("/announce").status, 404);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let reply = bt_tracker::http::decode_announce_reply(&at("/a/announce").body).unwrap();
        assert!(reply.min_interval.unwrap() <= reply.interval);
        seen.insert(reply.interval.as_secs());
    }
    assert!(
        seen.first() >= Some(&900) && seen.last() <= Some(&1100),
        "{seen:?}"
    );
    assert!(
        seen.len() > 20 && seen.first() < Some(&960) && seen.last() > Some(&1040),
        "{seen:?}"
    );
    let scrape = |count: usize| {
        let hashes = format!("info_hash={}&", escaped(hash(1))).repeat(count);
        get(http(&server), &format!("/a/scrape?{hashes}")).text()
    };
    assert!(scrape(2).contains("5:filesd"), "{}", scrape(2));
    assert!(scrape(3).contains("at most 2 torrents"), "{}", scrape(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_of_a_private_network_may_say_where_it_is_if_the_owner_lets_it() {
    let seen = |server: &bt_tracker::server::Handle, port: u16, more: &str| {
        announce(http(server), 1, port, 5, more).unwrap();
        let reply = announce(http(server), 1, 9999, 5, "").unwrap();
        let named = reply.peers.iter().find(|peer| peer.addr.port() == port);
        named.unwrap().addr.ip().to_string()
    };
    let strict = start(config()).await;
    assert_eq!(seen(&strict, 1001, "&ip=198.51.100.7"), "127.0.0.1");
    let server = start(Config {
        ip_param: IpParam::PrivateOnly,
        ..config()
    })
    .await;
    assert_eq!(seen(&server, 1001, "&ip=198.51.100.7"), "198.51.100.7");
    assert_eq!(seen(&server, 1002, "&ipv4=198.51.100.8"), "198.51.100.8");
    for nobody in [
        "&ip=0.0.0.0",
        "&ip=224.0.0.1",
        "&ip=255.255.255.255",
        "&ip=nonsense",
        "",
    ] {
        assert_eq!(seen(&server, 1003, nobody), "127.0.0.1", "{nobody}");
    }
    // One that comes from elsewhere, as a proxy has seen in the header of its choice, may not; nor
    // may the proxy.
    let server = start(Config {
        ip_param: IpParam::PrivateOnly,
        proxy_header: "X-Real-IP".into(),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..config()
    })
    .await;
    assert_eq!(seen(&server, 1001, "&ip=198.51.100.7"), "127.0.0.1");
    let mut connection = Connection::open(http(&server));
    let ask = query(1, 1004, 5, "&ip=198.51.100.9");
    connection.send(
        format!("GET /announce?{ask} HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 192.0.2.1\r\n\r\n")
            .as_bytes(),
    );
    assert_eq!(connection.reply().unwrap().status, 200);
    assert_eq!(seen(&server, 1005, ""), "127.0.0.1");
    let reply = announce(http(&server), 1, 9999, 5, "").unwrap();
    let found = reply
        .peers
        .iter()
        .find(|peer| peer.addr.port() == 1004)
        .unwrap();
    assert_eq!(found.addr.ip().to_string(), "192.0.2.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_reply_comes_whole_also_to_whoever_sends_more_than_is_read() {
    let server = start(config()).await;
    let target = format!("/announce?{}", query(1, 1001, 5, ""));
    let request = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n\r\n");
    for more in [0, 1, 5_000] {
        let mut connection = Connection::open(http(&server));
        connection.send(&[request.as_bytes(), &vec![b'x'; more]].concat());
        let reply = connection.reply().expect("a reply");
        assert_eq!(reply.status, 200, "{more}");
        assert!(reply.text().contains("8:interval"), "{more}");
        assert!(connection.is_closed(), "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proxies_behind_each_other_that_add_lines_are_one_list_and_stand_for_nobody_themselves() {
    let server = start(Config {
        trusted_proxies: ["127.0.0.0/8", "10.9.0.0/16"]
            .map(|net| net.parse().unwrap())
            .to_vec(),
        ip_param: IpParam::PrivateOnly,
        ..config()
    })
    .await;
    let announce = |port: u16, headers: &str, more: &str| {
        let target = query(1, port, 5, more);
        let request = format!("GET /announce?{target} HTTP/1.1\r\n{headers}\r\n");
        let mut connection = Connection::open(http(&server));
        connection.send(request.as_bytes());
        let reply = connection.reply().unwrap();
        bt_tracker::http::decode_announce_reply(&reply.body).unwrap()
    };
    let victim = "&ip=198.51.100.80";
    for (port, headers, seen) in [
        (
            1001,
            "X-Forwarded-For: 203.0.113.9\r\nHost: t\r\nx-forwarded-for: 10.9.0.1\r\n",
            "203.0.113.9",
        ),
        (
            1002,
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.9, 10.9.0.2\r\n\
             X-Forwarded-For: 10.9.0.1\r\n",
            "203.0.113.9",
        ),
        (1003, "", "127.0.0.1"),
        (1004, "X-Forwarded-For: nonsense\r\n", "127.0.0.1"),
    ] {
        let reply = announce(port, headers, victim);
        assert_eq!(reply.external_ip.unwrap().to_string(), seen, "{headers}");
    }
    let peers = announce(1005, "X-Forwarded-For: 203.0.113.9\r\n", "").peers;
    assert_eq!(peers.len(), 4);
    let named = |ip: &str| peers.iter().any(|peer| peer.addr.ip().to_string() == ip);
    assert!(!named("198.51.100.80") && named("127.0.0.1"), "{peers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_url_for_torrents_has_the_path_that_announces_go_to() {
    let server = start(Config {
        announce_path: "/x/announce".into(),
        ..config()
    })
    .await;
    let url = server.announce_url().unwrap();
    assert_eq!(url, format!("http://{}/x/announce", http(&server)));
    let path = url.split(&http(&server).to_string()).nth(1).unwrap();
    let reply = get(http(&server), &format!("{path}?{}", query(1, 1, 5, "")));
    assert!(reply.text().contains("8:interval"), "{}", reply.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_jitter_goes_below_the_shortest_interval() {
    let server = start(Config {
        interval: Duration::from_secs(1_800),
        min_interval: Some(Duration::from_secs(900)),
        interval_jitter: 100,
        ..config()
    })
    .await;
    let mut connection = Connection::open(http(&server));
    let target = format!("/announce?{}", query(1, 1, 5, ""));
    let intervals: Vec<_> = (0..100)
        .map(|_| {
            let reply = connection.get(&target);
            let reply = bt_tracker::http::decode_announce_reply(&reply.body).unwrap();
            assert_eq!(reply.min_interval, Some(Duration::from_secs(900)));
            reply.interval.as_secs()
        })
        .collect();
    let (least, most) = (intervals.iter().min(), intervals.iter().max());
    assert!(
        *least.unwrap() >= 900 && *most.unwrap() > 2_700,
        "{intervals:?}"
    );
}
