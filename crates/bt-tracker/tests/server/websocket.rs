//! Signalling for browsers, with a client of our own on a real socket.

use bt_tracker::limits::{MAX_SIGNAL, MAX_UNCOUNTED_SIGNAL};
use bt_tracker::server::{Config, Handle, Mode};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::harness::{PATIENCE, config, eventually, get, hash, http, local, start};

struct Browser(WebSocketStream<TcpStream>);

impl Browser {
    async fn open(server: &Handle, path: &str) -> Result<Self, Error> {
        let addr = http(server);
        let stream = TcpStream::connect(addr).await.unwrap();
        let (socket, response) = client_async(format!("ws://{addr}{path}"), stream).await?;
        assert_eq!(response.status(), 101);
        Ok(Self(socket))
    }

    async fn say(&mut self, message: &Value) {
        self.0
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next message; `None` when the tracker has closed the connection.
    async fn hear(&mut self) -> Option<Value> {
        loop {
            let came = tokio::time::timeout(PATIENCE, self.0.next());
            match came.await.expect("the tracker answers")? {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.say(message).await;
        self.hear().await.expect("an answer")
    }
}

fn id(byte: u8) -> String {
    char::from(byte).to_string().repeat(20)
}

fn announce(torrent: u8, peer: u8, left: u64, more: &Value) -> Value {
    let mut said = json!({
        "action": "announce", "info_hash": id(torrent), "peer_id": id(peer), "left": left,
        "uploaded": 0, "downloaded": 0, "event": "started", "numwant": 10,
    });
    for (key, value) in more.as_object().unwrap() {
        said[key] = value.clone();
    }
    said
}

fn offers(count: usize) -> Value {
    let offer = |n| json!({"offer": {"type": "offer", "sdp": "é"}, "offer_id": id(n)});
    json!({"offers": (0..count).map(|n| offer(u8::try_from(n).unwrap() + 1)).collect::<Vec<_>>()})
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_and_answers_are_relayed_between_browsers_of_a_torrent() {
    let server = start(Config {
        stats: Some(local()),
        ..config()
    })
    .await;
    // 0xe9 is a byte that UTF-8 and the protocol write differently.
    let (torrent, first, second) = (0xe9, 0x80, 0xff);
    let mut seed = Browser::open(&server, "/announce").await.unwrap();
    let mut leech = Browser::open(&server, "/").await.unwrap();
    let mut elsewhere = Browser::open(&server, "/announce").await.unwrap();
    elsewhere.ask(&announce(7, 7, 1, &json!({}))).await;
    let answer = seed.ask(&announce(torrent, first, 0, &offers(2))).await;
    assert_eq!(
        answer,
        json!({
            "action": "announce", "info_hash": id(torrent), "interval": 120,
            "complete": 1, "incomplete": 0,
        })
    );
    let answer = leech.ask(&announce(torrent, second, 5, &offers(3))).await;
    assert_eq!(
        (&answer["complete"], &answer["incomplete"]),
        (&json!(1), &json!(1))
    );
    let offer = seed.hear().await.unwrap();
    assert_eq!(
        (
            &offer["peer_id"],
            &offer["info_hash"],
            &offer["offer"]["sdp"]
        ),
        (&json!(id(second)), &json!(id(torrent)), &json!("é"))
    );
    let reply = announce(
        torrent,
        first,
        0,
        &json!({
            "to_peer_id": offer["peer_id"], "offer_id": offer["offer_id"],
            "answer": {"type": "answer", "sdp": "yes"},
        }),
    );
    seed.say(&reply).await;
    let answer = leech.hear().await.unwrap();
    assert_eq!(
        (
            &answer["peer_id"],
            &answer["offer_id"],
            &answer["answer"]["sdp"]
        ),
        (&json!(id(first)), &offer["offer_id"], &json!("yes"))
    );

    let scrape = json!({"action": "scrape", "info_hash": [id(torrent), id(9)]});
    let scraped = elsewhere.ask(&scrape).await;
    assert_eq!(scraped["files"][id(torrent)]["complete"], 1);
    assert_eq!(scraped["files"][id(9)]["incomplete"], 0);
    let stats = server.stats();
    assert_eq!(
        (stats.ws_connections, stats.ws_torrents, stats.ws_peers),
        (3, 2, 3)
    );
    assert_eq!(
        (stats.ws.announces, stats.ws.scrapes, stats.ws.named),
        (4, 1, 1)
    );
    let metrics = get(server.stats_addr().unwrap(), "/metrics").text();
    assert!(
        metrics.contains("\nbt_tracker_ws_offers_relayed_total 1\n"),
        "{metrics}"
    );
    assert_eq!(
        server.scrape(hash(torrent)),
        None,
        "browsers are a pool of their own"
    );

    drop(leech);
    eventually("who goes is forgotten", || server.stats().ws_peers == 2);
    let answer = seed
        .ask(&announce(torrent, first, 0, &json!({"event": "update"})))
        .await;
    assert_eq!(answer["incomplete"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_ends_the_connection_and_what_is_wrong_is_refused() {
    let server = start(config()).await;
    let mut browser = Browser::open(&server, "/announce").await.unwrap();
    for bad in [
        json!({"action": "x"}),
        json!([]),
        announce(1, 1, 1, &offers(11)),
    ] {
        let answer = browser.ask(&bad).await;
        assert!(answer["failure reason"].is_string(), "{answer}");
    }
    let of_bytes = |bytes: usize| {
        let bare = announce(1, 1, 1, &json!({"x": ""})).to_string().len();
        announce(1, 1, 1, &json!({"x": "y".repeat(bytes - bare)}))
    };
    let fits = of_bytes(MAX_SIGNAL);
    assert_eq!(fits.to_string().len(), MAX_SIGNAL);
    assert_eq!(browser.ask(&fits).await["incomplete"], 1);
    let large = of_bytes(MAX_SIGNAL + 1);
    // It may be gone before all of it is sent.
    let _ = browser.0.send(Message::text(large.to_string())).await;
    assert_eq!(browser.hear().await, None);
    eventually("it is forgotten", || server.stats().ws_peers == 0);
    assert_eq!(server.stats().ws.malformed, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_several_frames_is_as_long_as_one_may_be_and_no_longer() {
    let server = start(config()).await;
    for (last, is_read) in [
        (MAX_SIGNAL - 40_000, true),
        (MAX_SIGNAL - 40_000 + 1, false),
    ] {
        let mut browser = Browser::open(&server, "/announce").await.unwrap();
        // A text and the rest of it, both masked with nothing (RFC 6455, section 5.4).
        for (kind, length) in [(0x01, 40_000), (0x80, last)] {
            let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
            let frame = [
                &[kind, 0xfe, high, low, 0, 0, 0, 0][..],
                &vec![b' '; length],
            ]
            .concat();
            // It may be gone before all of it is sent.
            let _ = browser.0.get_mut().write_all(&frame).await;
        }
        let heard = browser.hear().await;
        let is_refused = heard.is_some_and(|said| said["failure reason"].is_string());
        assert_eq!(is_refused, is_read, "{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_hold_for_browsers_too() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, "secret-key-1\n").unwrap();
    let server = start(Config {
        mode: Mode::Passkey,
        list: Some(list),
        closed: true,
        ..config()
    })
    .await;
    server.register_hash(hash(1));
    let mut without = Browser::open(&server, "/announce").await.unwrap();
    let mut with = Browser::open(&server, "/secret-key-1/announce")
        .await
        .unwrap();
    let answer = without.ask(&announce(1, 1, 1, &json!({}))).await;
    assert!(
        answer["failure reason"]
            .as_str()
            .unwrap()
            .contains("passkey"),
        "{answer}"
    );
    assert_eq!(
        with.ask(&announce(1, 1, 1, &json!({}))).await["incomplete"],
        1
    );
    let answer = with.ask(&announce(2, 1, 1, &json!({}))).await;
    assert!(
        answer["failure reason"]
            .as_str()
            .unwrap()
            .contains("not registered"),
        "{answer}"
    );
    assert!(Browser::open(&server, "/torrents/").await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_that_are_no_longer_welcome_leave_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("denied");
    std::fs::write(&list, "").unwrap();
    let server = start(Config {
        mode: Mode::DenyList,
        list: Some(list),
        ..config()
    })
    .await;
    let mut browser = Browser::open(&server, "/announce").await.unwrap();
    for torrent in [1, 2, 3] {
        browser.ask(&announce(torrent, 1, 1, &json!({}))).await;
    }
    assert_eq!(server.stats().ws_torrents, 3);
    server.add_to_list(&hash(1).to_string()).unwrap();
    assert_eq!(server.stats().ws_torrents, 2, "it is denied");
    server.remove(hash(2));
    assert_eq!(server.stats().ws_torrents, 1, "it is removed");
    let stop = announce(1, 1, 1, &json!({"event": "stopped"}));
    assert!(browser.ask(&stop).await["failure reason"].is_string());
    assert_eq!(
        browser.ask(&announce(3, 1, 1, &json!({}))).await["incomplete"],
        1
    );

    let list = dir.path().join("keys");
    std::fs::write(&list, "secret-key-1\nsecret-key-2\n").unwrap();
    let server = start(Config {
        mode: Mode::Passkey,
        list: Some(list),
        ..config()
    })
    .await;
    let mut first = Browser::open(&server, "/secret-key-1/announce")
        .await
        .unwrap();
    let mut second = Browser::open(&server, "/secret-key-2/announce")
        .await
        .unwrap();
    first.ask(&announce(1, 1, 1, &json!({}))).await;
    second.ask(&announce(1, 2, 1, &json!({}))).await;
    server.remove_from_list("secret-key-1").unwrap();
    assert_eq!(first.hear().await, None, "the connection ends");
    eventually("its peer is gone", || server.stats().ws_peers == 1);
    assert_eq!(
        second.ask(&announce(1, 2, 1, &json!({}))).await["incomplete"],
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_browsers_transfer_is_accounted_to_their_user() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, "secret-key-1 ann\nsecret-key-2 bob\n").unwrap();
    let server = start(Config {
        mode: Mode::Passkey,
        list: Some(list),
        ..config()
    })
    .await;
    let path = "/secret-key-1/announce";
    let mut browser = Browser::open(&server, path).await.unwrap();
    let totals =
        |up: u64, down: u64| json!({"uploaded": up, "downloaded": down, "event": "update"});
    for (up, down) in [(100, 200), (150, 1_200), (160, 2_200)] {
        browser.ask(&announce(1, 1, 5, &totals(up, down))).await;
    }
    let account = |name: &str| {
        let accounts = server.accounts();
        accounts
            .into_iter()
            .find(|account| account.name.as_deref() == Some(name))
            .unwrap()
    };
    let ann = account("ann");
    assert_eq!((ann.uploaded, ann.downloaded, ann.leeching), (60, 2_000, 1));
    assert_eq!((account("bob").uploaded, account("bob").announces), (0, 0));
    // What says nothing of transfers counts nothing.
    let without = announce(1, 1, 5, &json!({"uploaded": null, "downloaded": null}));
    browser.ask(&without).await;
    browser
        .ask(&announce(
            1,
            1,
            0,
            &json!({"uploaded": 160, "downloaded": 2_300}),
        ))
        .await;
    let stop = announce(
        1,
        1,
        0,
        &json!({"event": "stopped", "uploaded": 170, "downloaded": 2_300}),
    );
    browser.ask(&stop).await;
    let ann = account("ann");
    assert_eq!((ann.uploaded, ann.downloaded, ann.leeching), (70, 2_100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_counts_among_the_memory_of_connections() {
    let roomy = start(config()).await;
    let tight = start(Config {
        max_connection_memory: 20_000,
        ..config()
    })
    .await;
    // A text of 60,000 bytes, masked with nothing (RFC 6455, section 5.2).
    let head = [0x81, 0xfe, 0xea, 0x60, 0, 0, 0, 0];
    let mut browser = Browser::open(&roomy, "/announce").await.unwrap();
    let send = |browser: &mut Browser, bytes: &[u8]| {
        let (stream, bytes) = (browser.0.get_mut(), bytes.to_vec());
        // What is written to the stream itself goes out between messages.
        stream.try_write(&bytes).unwrap()
    };
    let first = [&head[..], &[b' '; 30_000]].concat();
    assert_eq!(send(&mut browser, &first), first.len());
    eventually("it is counted", || roomy.stats().connection_memory > 25_000);
    assert_eq!(send(&mut browser, &[b' '; 30_000]), 30_000);
    // It makes no sense, and is given back.
    assert!(browser.hear().await.unwrap()["failure reason"].is_string());
    eventually("it is given back", || roomy.stats().connection_memory == 0);
    // The connection goes on with a buffer of its own size.
    assert_eq!(
        browser.ask(&announce(1, 1, 1, &json!({}))).await["incomplete"],
        1
    );

    let mut browser = Browser::open(&tight, "/announce").await.unwrap();
    send(&mut browser, &first);
    assert_eq!(browser.hear().await, None, "it is too much");
    eventually("it is counted", || tight.stats().overloaded == 1);
    eventually("it is given back", || tight.stats().connection_memory == 0);

    // Exactly as much as may be held, beyond what every buffer has room for, and then a byte more.
    let mut browser = Browser::open(&tight, "/announce").await.unwrap();
    let most = MAX_UNCOUNTED_SIGNAL + 20_000 - head.len();
    send(&mut browser, &[&head[..], &vec![b' '; most]].concat());
    eventually("all is counted", || {
        tight.stats().connection_memory == 20_000
    });
    send(&mut browser, b" ");
    assert_eq!(browser.hear().await, None, "one byte too much");
    eventually("it is counted", || tight.stats().overloaded == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_make_room_for_who_comes_when_there_is_nobody_else() {
    let server = start(Config {
        max_connections: 3,
        max_connections_per_ip: Some(3),
        workers: Some(1),
        ..config()
    })
    .await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(Browser::open(&server, "/announce").await.unwrap());
    }
    eventually("they are there", || server.stats().ws_connections == 3);
    // A request in two parts needs a place to wait in.
    let mut slow = crate::harness::Connection::open(http(&server));
    slow.send(b"GET /announce?");
    eventually("one has left", || server.stats().ws_connections == 2);
    slow.send(format!("{} HTTP/1.1\r\n\r\n", crate::harness::query(1, 1, 5, "")).as_bytes());
    assert_eq!(slow.reply().expect("it is served").status, 200);
    let stats = server.stats();
    assert_eq!(
        (stats.connections_evicted, stats.connections_refused),
        (1, 0)
    );
}
