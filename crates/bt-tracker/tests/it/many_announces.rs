//! Many announces in one request, as ttorrent 2.0 has them, and trackers that do not know them.

use std::sync::Arc;
use std::time::Duration;

use bt_tracker::AnnounceRequest;
use bt_tracker::client::{Client, Direct, Error};
use bt_tracker::limits::MAX_ANNOUNCES_UNDER_WAY;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::support::{HttpServer, PATIENCE, announce, dead_addr, read_head, response};

fn requests(count: usize) -> Vec<AnnounceRequest> {
    let request = |n: usize| {
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&u64::try_from(n).unwrap().to_be_bytes());
        let mut request = announce();
        request.info_hash = hash.into();
        request
    };
    (0..count).map(request).collect()
}

fn client() -> Client {
    Client::new(Arc::new(Direct))
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    response(status, body.as_bytes())
}

#[cfg(feature = "server")]
#[tokio::test(flavor = "multi_thread")]
async fn our_server_takes_many_announces_in_a_few_requests() {
    use bt_tracker::limits::MAX_ANNOUNCES_AT_ONCE;
    use bt_tracker::server::{Config, Server};

    let config = Config {
        http: vec!["127.0.0.1:0".parse().unwrap()],
        closed: true,
        ..Config::default()
    };
    let server = Server::start(config).await.unwrap();
    let requests = requests(MAX_ANNOUNCES_AT_ONCE * 2 + 3);
    // All torrents but the second are known.
    for request in requests
        .iter()
        .filter(|r| r.info_hash != requests[1].info_hash)
    {
        server.register_hash(request.info_hash);
    }
    let mut others = requests.clone();
    others.iter_mut().for_each(|request| request.port = 7777);
    let url = server.announce_url().unwrap();
    let client = client();
    client.announce_many(&url, &requests, PATIENCE).await;
    let answers = client.announce_many(&url, &others, PATIENCE).await;
    assert_eq!(answers.len(), requests.len());
    for (at, answer) in answers.iter().enumerate() {
        if at == 1 {
            let error = answer.as_ref().unwrap_err().to_string();
            assert!(error.contains("not registered"), "{error}");
        } else {
            let answer = answer.as_ref().unwrap();
            assert_eq!(answer.peers[0].addr.port(), requests[at].port, "{at}");
            assert_eq!((answer.peers.len(), answer.incomplete), (1, Some(2)));
        }
    }
    assert_eq!(
        server.stats().http.announces,
        2 * (requests.len() as u64 - 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracker_that_takes_one_at_a_time_is_asked_for_all_once_and_then_one_by_one() {
    let bodies = [
        ("405 Method Not Allowed", "no"),
        ("404 Not Found", ""),
        ("200 OK", "d8:intervali900e5:peers0:e"),
        ("200 OK", "d14:failure reason13:no info_hash!e"),
        ("200 OK", "<html>"),
    ];
    for (status, body) in bodies {
        let server = HttpServer::start(move |head| {
            if head.starts_with("POST") {
                reply(status, body)
            } else {
                reply("200 OK", "d8:intervali600e5:peers6:\x7f\0\0\x01\x1a\x01e")
            }
        })
        .await;
        let client = client();
        let url = format!("http://{}/announce?passkey=x", server.addr);
        for round in 1..=2 {
            let answers = client.announce_many(&url, &requests(20), PATIENCE).await;
            assert!(
                answers
                    .iter()
                    .all(|answer| answer.as_ref().unwrap().peers.len() == 1)
            );
            let heads = server.heads();
            let posts = heads.iter().filter(|head| head.starts_with("POST")).count();
            assert_eq!((posts, heads.len()), (1, 1 + 20 * round), "{status} {body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_announces_are_under_way_at_once_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let tracker = async |count: usize| {
        let mut asking = Vec::new();
        let answer = async |(head, mut stream): (String, tokio::net::TcpStream)| {
            let reply = match head.starts_with("POST") {
                true => reply("405 Method Not Allowed", "no"),
                false => reply("200 OK", "d8:intervali600e5:peers0:e"),
            };
            stream.write_all(&reply).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let accept = async || {
            let (mut stream, _) = listener.accept().await.unwrap();
            (read_head(&mut stream).await, stream)
        };
        // All at once are not taken.
        answer(accept().await).await;
        for heard in 0..count {
            if asking.len() == MAX_ANNOUNCES_UNDER_WAY {
                // Nobody else asks before one has been answered.
                let above = tokio::time::timeout(Duration::from_millis(100), listener.accept());
                assert!(above.await.is_err(), "behind {heard}");
                answer(asking.remove(0)).await;
            }
            asking.push(accept().await);
        }
        for one in asking {
            answer(one).await;
        }
    };
    for count in [
        MAX_ANNOUNCES_UNDER_WAY,
        MAX_ANNOUNCES_UNDER_WAY + 1,
        2 * MAX_ANNOUNCES_UNDER_WAY,
    ] {
        let (client, requests) = (client(), requests(count));
        let announces = client.announce_many(&url, &requests, PATIENCE);
        let (answers, ()) = tokio::join!(announces, tracker(count));
        assert!(answers.iter().all(Result::is_ok) && answers.len() == count);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_does_not_answer_is_announced_alone() {
    let server = HttpServer::start(|head| {
        if head.starts_with("POST") {
            // The second torrent, one that nobody asked for, and one without a name.
            let named = |n: u64| format!("17:torrentIdentifier40:{n:016x}{:024x}e", 0);
            let body = format!(
                "ld8:intervali700e5:peers0:{}d8:intervali1e5:peers0:{}d8:intervali1e5:peers0:ee",
                named(1),
                named(99)
            );
            reply("200 OK", &body)
        } else {
            reply("200 OK", "d8:intervali600e5:peers0:e")
        }
    })
    .await;
    let url = format!("http://{}/announce", server.addr);
    let answers = client().announce_many(&url, &requests(3), PATIENCE).await;
    let intervals = answers
        .iter()
        .map(|answer| answer.as_ref().unwrap().interval.as_secs());
    assert_eq!(intervals.collect::<Vec<_>>(), [600, 700, 600]);
    assert_eq!(server.heads().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracker_that_is_away_is_an_error_for_each() {
    let url = format!("http://{}/announce", dead_addr().await);
    let answers = client().announce_many(&url, &requests(3), PATIENCE).await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(Error::Connect { .. })))
    );
    let answers = client()
        .announce_many("gopher://x", &requests(2), PATIENCE)
        .await;
    assert!(
        answers
            .iter()
            .all(|answer| matches!(answer, Err(Error::Scheme { .. })))
    );
    assert!(client().announce_many(&url, &[], PATIENCE).await.is_empty());
}
