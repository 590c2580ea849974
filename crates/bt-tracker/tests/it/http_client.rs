//! The client over HTTP: what it sends, and what it makes of everything a server may answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bt_tracker::client::{Client, Config, Direct, Error};
use bt_tracker::limits::{
    MAX_REDIRECTS, MAX_REPLY_BODY, MAX_REPLY_HEAD, MAX_REPLY_HEADERS, MAX_URL,
};
use bt_tracker::{ReplyError, ScrapeRequest, ScrapeStats};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::support::{
    HttpServer, PATIENCE, TestNet, announce, dead_addr, read_head, response, response_with,
};

const REPLY: &[u8] =
    b"d8:completei1e10:incompletei2e8:intervali1800e5:peers6:\x01\x02\x03\x04\x1a\xe1e";

fn client() -> Client {
    Client::new(Arc::new(Direct))
}

/// Announces to a server that answers with these bytes.
async fn answered(raw: Vec<u8>) -> Result<bt_tracker::AnnounceResponse, Error> {
    let server = HttpServer::start(move |_| raw.clone()).await;
    client()
        .announce(&server.url("/announce"), &announce(), PATIENCE)
        .await
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_request_has_exactly_these_lines() {
    let server = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let mut config = Config::default();
    config.user_agent = "Mozilla/5.0\r\nX: y".into();
    let client = Client::with_config(Arc::new(Direct), config);
    let url = server.url("/k%2fey/announce?pass=%7e+x&y");
    let reply = client.announce(&url, &announce(), PATIENCE).await.unwrap();
    assert_eq!(reply.peers[0].addr, "1.2.3.4:6881".parse().unwrap());
    assert_eq!((reply.complete, reply.incomplete), (Some(1), Some(2)));
    let hash = "%AA".repeat(20);
    assert_eq!(
        server.heads(),
        [format!(
            "GET /k%2fey/announce?pass=%7e+x&y&info_hash={hash}&peer_id=-BT0100-0123456789ab\
             &port=6881&uploaded=0&downloaded=0&left=1000&key=00C0FFEE&compact=1&no_peer_id=1\
             &numwant=50&event=started HTTP/1.1\r\nHost: {}\r\nUser-Agent: Mozilla/5.0X: y\r\n\
             Accept: */*\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n",
            server.addr
        )]
    );
}

#[tokio::test]
async fn credentials_in_the_url_are_sent_and_not_shown() {
    let server = HttpServer::start(|_| response("403 Forbidden", b"")).await;
    let url = format!(
        "http://user:s3cret@{}/0123456789abcdef/announce",
        server.addr
    );
    let error = client()
        .announce(&url, &announce(), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "HTTP status 403");
    let head = server.heads().remove(0);
    assert!(
        head.contains("Authorization: Basic dXNlcjpzM2NyZXQ=\r\n"),
        "{head}"
    );
    assert!(!head.contains("user:"), "{head}");
}

#[tokio::test]
async fn every_kind_of_redirect_is_followed() {
    for status in [
        "301 Moved",
        "302 Found",
        "303 Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        for location in [
            "/b/announce?x=%2f",
            "/b/announce?next=http://t.example/",
            "announce2",
            "http://{}/announce/c?d",
        ] {
            let server = HttpServer::start(move |head| {
                let host = head
                    .split("Host: ")
                    .nth(1)
                    .unwrap()
                    .split('\r')
                    .next()
                    .unwrap();
                if head.starts_with("GET /a/") && !head.starts_with("GET /a/announce2") {
                    let location = location.replace("{}", host);
                    response_with(status, &format!("Location: {location}\r\n"), b"moved")
                } else {
                    response("200 OK", REPLY)
                }
            })
            .await;
            let url = server.url("/a/announce");
            let reply = client().announce(&url, &announce(), PATIENCE).await;
            assert_eq!(reply.unwrap().peers.len(), 1, "{status} {location}");
            let second = server.heads().remove(1);
            let expected = match location {
                "/b/announce?x=%2f" => "GET /b/announce?x=%2f HTTP/1.1\r\n",
                "/b/announce?next=http://t.example/" => {
                    "GET /b/announce?next=http://t.example/ HTTP/1.1\r\n"
                }
                "announce2" => "GET /a/announce2 HTTP/1.1\r\n",
                _ => "GET /announce/c?d HTTP/1.1\r\n",
            };
            assert!(second.starts_with(expected), "{second}");
        }
    }
}

#[tokio::test]
async fn redirects_have_a_limit() {
    for (redirects, works) in [(MAX_REDIRECTS, true), (MAX_REDIRECTS + 1, false)] {
        let server = HttpServer::start(move |head| {
            let hop: usize = head[5..].split([' ', '?']).next().unwrap().parse().unwrap();
            if hop == redirects {
                return response("200 OK", REPLY);
            }
            response_with("302 Found", &format!("Location: /{}\r\n", hop + 1), b"")
        })
        .await;
        let outcome = client().fetch(&server.url("/0"), 1_000).await;
        assert_eq!(outcome.is_ok(), works, "{outcome:?}");
        if let Err(error) = outcome {
            assert_eq!(
                error.to_string(),
                "redirect refused: there are more than 5 in a row"
            );
            assert_eq!(server.heads().len(), MAX_REDIRECTS + 1);
        }
    }
}

#[tokio::test]
async fn a_redirect_from_the_internet_to_a_private_address_is_refused() {
    let private = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let secret = private.url("/secret/announce");
    let public = HttpServer::start(move |_| {
        response_with("302 Found", &format!("Location: {secret}\r\n"), b"")
    })
    .await;
    let global: SocketAddr = "1.1.1.1:80".parse().unwrap();
    let net = Arc::new(TestNet {
        names: vec![global],
        detours: vec![(global, public.addr)],
    });
    let client = Client::new(net);
    let error = client
        .announce("http://t.example/announce", &announce(), PATIENCE)
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "redirect refused: it leads from the internet to a private address"
    );
    assert!(private.heads().is_empty(), "nobody was asked");
    // Between private addresses, as in a company, it is fine.
    let reply = self::client()
        .announce(&public.url("/announce"), &announce(), PATIENCE)
        .await;
    assert_eq!(reply.unwrap().peers.len(), 1);
}

#[tokio::test]
async fn a_torrent_cannot_make_us_use_what_only_we_can_reach() {
    const WHY: &str =
        "not asked for safety: on a private address the path of a tracker has to hold /announce";
    let form = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let name = Arc::new(TestNet {
        names: vec![form.addr],
        detours: Vec::new(),
    });
    // As an address, as a name that leads there, and by a redirect from what looks like a tracker.
    let url = form.url("/admin?reboot=1&/announce");
    let by_address = client().announce(&url, &announce(), PATIENCE).await;
    assert_eq!(by_address.unwrap_err().to_string(), WHY);
    let url = format!("http://t.example:{}/admin", form.addr.port());
    let by_name = Client::new(name)
        .announce(&url, &announce(), PATIENCE)
        .await;
    assert_eq!(by_name.unwrap_err().to_string(), WHY);
    let target = form.url("/admin?reboot=1");
    let tracker = HttpServer::start(move |_| {
        response_with("302 Found", &format!("Location: {target}\r\n"), b"")
    })
    .await;
    let url = tracker.url("/announce");
    let by_redirect = client().announce(&url, &announce(), PATIENCE).await;
    assert_eq!(by_redirect.unwrap_err().to_string(), WHY);
    assert_eq!(form.heads().len(), 0, "nobody was asked");
    // What the user asks for is the user's business.
    client()
        .fetch(&form.url("/a.torrent"), 1_000)
        .await
        .unwrap();
    let mail = client()
        .announce("http://1.1.1.1:25/announce", &announce(), PATIENCE)
        .await;
    assert_eq!(
        mail.unwrap_err().to_string(),
        "not asked for safety: its port belongs to another kind of service"
    );
}

#[tokio::test]
async fn a_head_of_as_many_lines_as_are_allowed_is_read() {
    let lines = "X: y\r\n".repeat(MAX_REPLY_HEADERS - 1);
    let server = HttpServer::start(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\n{lines}Content-Length: {}\r\n\r\n",
            REPLY.len()
        );
        [head.as_bytes(), REPLY].concat()
    })
    .await;
    let reply = client()
        .announce(&server.url("/announce"), &announce(), PATIENCE)
        .await;
    assert_eq!(reply.unwrap().peers.len(), 1);
}

/// A head of so many bytes, with the empty line at its end.
fn head_of(bytes: usize) -> String {
    let with = |filling: &str| {
        let length = REPLY.len();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX: {filling}\r\n\r\n")
    };
    with(&"x".repeat(bytes - with("").len()))
}

#[tokio::test]
async fn a_head_of_as_many_bytes_as_are_allowed_is_read() {
    let head = head_of(MAX_REPLY_HEAD);
    assert_eq!(head.len(), MAX_REPLY_HEAD);
    let server = HttpServer::start(move |_| [head.as_bytes(), REPLY].concat()).await;
    let reply = client()
        .announce(&server.url("/announce"), &announce(), PATIENCE)
        .await;
    assert_eq!(reply.unwrap().peers.len(), 1);
}

/// hyper looks for the end of the head before it looks at its length, so how much more it takes
/// depends on how the bytes come. It never waits for more: the server below keeps the connection
/// open, and a client that waited would end at its time-out.
#[tokio::test]
async fn a_head_that_has_not_ended_with_as_many_bytes_as_are_allowed_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        // All of a head that is one byte too long, but for that byte.
        let head = head_of(MAX_REPLY_HEAD + 1);
        let (first, _) = head.as_bytes().split_at(MAX_REPLY_HEAD);
        stream.write_all(first).await.unwrap();
        // Until the client closes.
        let _ = stream.read(&mut [0]).await;
    });
    let error = client().announce(&url, &announce(), PATIENCE).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "invalid HTTP response: message head is too large"
    );
    server.await.unwrap();
}

/// Raw responses and the error each one is.
#[tokio::test]
async fn broken_responses_say_what_is_wrong() {
    let long_line = format!(
        "HTTP/1.1 200 OK\r\nX: {}\r\n\r\n",
        "x".repeat(MAX_REPLY_HEAD)
    );
    let many_lines = format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X: y\r\n".repeat(MAX_REPLY_HEADERS + 1)
    );
    let too_large_head = "invalid HTTP response: message head is too large";
    let closed = "invalid HTTP response: the connection was closed before it was complete";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (raw, message) in [
        ("", closed),
        ("HTTP/1.1 200 OK\r\n", closed),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nd8:interval",
            closed,
        ),
        (&format!("{chunked}5\r\nd8:i"), closed),
        (
            &format!("{chunked}zz\r\n"),
            "invalid HTTP response: Invalid chunk size line: missing size digit",
        ),
        (&long_line, too_large_head),
        (&many_lines, too_large_head),
        (
            "SSH-2.0-OpenSSH_9.2\r\n\r\n",
            "invalid HTTP response: invalid HTTP version parsed",
        ),
        (
            "HTTP/1.1 abc\r\n\r\n",
            "invalid HTTP response: invalid HTTP status-code parsed",
        ),
        (
            "d8:intervali5e5:peers0:e",
            "invalid HTTP response: invalid HTTP version parsed",
        ),
        (
            "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnope",
            "HTTP status 404",
        ),
        (
            "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
            "HTTP status 500",
        ),
        (
            "HTTP/1.1 503 Busy\r\n\r\nd8:intervali5e5:peers0:e",
            "HTTP status 503",
        ),
        (
            "HTTP/1.1 400 Bad\r\n\r\nd14:failure reason12:unregisterede",
            "the tracker refused: unregistered",
        ),
        (
            "HTTP/1.1 302 Found\r\n\r\n",
            "redirect refused: it has no location",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: gopher://x/\r\n\r\n",
            "redirect refused: its scheme is \"gopher\"",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://[::x]/\r\n\r\n",
            "redirect refused: its location is no URL",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: udp://127.0.0.1:1/\r\n\r\n",
            "redirect refused: its scheme is \"udp\"",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
            "the response is larger than 1048576 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n",
            "the response is larger than 1048576 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nxx",
            "the response cannot be decompressed: encoding \"br\" is unknown",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nd8:intervali5e5:peers0:e",
            "the response cannot be decompressed: invalid gzip header",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nd5:filesdee",
            "the reply is malformed: \
             neither \"interval\" nor \"peers\" nor \"failure reason\" is there",
        ),
        (
            "HTTP/1.1 204 No Content\r\n\r\n",
            "the reply is not bencoded: byte 0: the input ends inside a value",
        ),
    ] {
        let error = answered(raw.as_bytes().to_vec()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            message,
            "{}",
            raw.get(..80).unwrap_or(raw)
        );
    }
}

#[tokio::test]
async fn careless_but_honest_responses_are_understood() {
    let reply = String::from_utf8_lossy(b"d8:intervali1800e5:peers6:abcdefe").into_owned();
    let chunks = format!(
        "5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &reply[..5],
        reply.len() - 5,
        &reply[5..]
    );
    for raw in [
        format!("HTTP/1.0 200 OK\r\n\r\n{reply}"),
        format!("HTTP/1.1 200\r\n\r\n{reply}"),
        format!("HTTP/1.1 200 OK\nContent-Type: text/plain\n\n{reply}"),
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length : {}\r\n\r\n{reply}",
            reply.len()
        ),
        format!("HTTP/1.1 200 OK\r\nBad header\r\n\r\n{reply}"),
        format!("HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\n\r\n{reply}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        format!("HTTP/1.1 200 OK\r\n\r\n{reply}\n\n"),
    ] {
        let response = answered(raw.clone().into_bytes()).await;
        assert_eq!(
            response
                .unwrap_or_else(|error| panic!("{error}: {raw}"))
                .peers
                .len(),
            1
        );
    }
}

#[tokio::test]
async fn bodies_have_a_limit_with_and_without_compression() {
    // A warning of fitting length fills the body; random letters do not compress well.
    let body = |size: usize| {
        let steps = std::iter::successors(Some(1u64), |n| {
            Some(n.wrapping_mul(6364136223846793005) + 1)
        });
        let padding = steps.map(|n| b'a' + n.to_be_bytes()[0] % 16);
        let mut body = b"d8:intervali1800e5:peers0:15:warning message".to_vec();
        let rest = size - body.len() - "1048000:e".len();
        body.extend_from_slice(format!("{rest:07}:").trim_start_matches('0').as_bytes());
        body.extend(padding.take(rest));
        body.push(b'e');
        body
    };
    let fits = body(MAX_REPLY_BODY);
    let header = "Content-Encoding: gzip\r\n";
    assert_eq!(fits.len(), MAX_REPLY_BODY);
    assert!(answered(response("200 OK", &fits)).await.is_ok());
    assert!(
        answered(response_with("200 OK", header, &gzip(&fits)))
            .await
            .is_ok()
    );
    let too_large = [&fits[..], b"\n"].concat();
    let unlimited = [b"HTTP/1.1 200 OK\r\n\r\n", &too_large[..]].concat();
    for raw in [
        response("200 OK", &too_large),
        unlimited,
        response_with("200 OK", header, &gzip(&too_large)),
    ] {
        let error = answered(raw).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the response is larger than 1048576 bytes"
        );
    }
}

#[tokio::test]
async fn gzip_bombs_end_early() {
    let bomb = gzip(&vec![0; 8 << 20]);
    assert!(bomb.len() < 100_000);
    let raw = response_with("200 OK", "Content-Encoding: gzip\r\n", &bomb);
    let error = answered(raw).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_slow_body_ends_at_the_time_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (release, released) = oneshot::channel::<()>();
    let (gone, client_is_gone) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nd8:inter")
            .await
            .unwrap();
        released.await.unwrap();
        let end = stream.read(&mut [0; 1]).await;
        gone.send(matches!(end, Ok(0) | Err(_))).unwrap();
    });
    let url = format!("http://{addr}/announce");
    let timeout = Duration::from_millis(200);
    let error = client()
        .announce(&url, &announce(), timeout)
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { after } if after == timeout),
        "{error}"
    );
    assert_eq!(error.to_string(), "no answer within 0.2 s");
    release.send(()).unwrap();
    assert!(
        client_is_gone.await.unwrap(),
        "the connection is closed at the time-out"
    );
}

#[tokio::test]
async fn ipv6_literals_work() {
    let server =
        HttpServer::start_on(Ipv6Addr::LOCALHOST.into(), |_| response("200 OK", REPLY)).await;
    let reply = client()
        .announce(&server.url("/announce"), &announce(), PATIENCE)
        .await
        .unwrap();
    assert_eq!(reply.peers.len(), 1);
    assert!(server.heads()[0].contains(&format!("Host: [::1]:{}\r\n", server.addr.port())));
}

#[tokio::test]
async fn both_families_are_announced_to_and_their_peers_joined() {
    let v4 = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let v6 = HttpServer::start_on(Ipv6Addr::LOCALHOST.into(), |_| {
        response(
            "200 OK",
            b"d8:intervali60e6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x50e",
        )
    })
    .await;
    let client = Client::new(TestNet::resolving_to([v4.addr, v6.addr]));
    let url = "http://t.example/announce";
    let reply = client.announce(url, &announce(), PATIENCE).await.unwrap();
    let mut peers: Vec<String> = reply
        .peers
        .iter()
        .map(|peer| peer.addr.to_string())
        .collect();
    peers.sort();
    assert_eq!(peers, ["1.2.3.4:6881", "[2001:db8::1]:80"]);
    assert_eq!(reply.interval, Duration::from_secs(1800));
    let (first, second) = (v4.heads(), v6.heads());
    assert_eq!(
        first, second,
        "the same request with the same key over both"
    );
    assert!(first[0].contains("key=00C0FFEE"));

    let mut config = Config::default();
    config.both_families = false;
    let client = Client::with_config(TestNet::resolving_to([v6.addr, v4.addr]), config);
    let reply = client.announce(url, &announce(), PATIENCE).await.unwrap();
    assert_eq!(
        reply.interval,
        Duration::from_secs(60),
        "only the first family"
    );
}

#[tokio::test]
async fn one_dead_family_does_not_hurt() {
    let v4 = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let dead: SocketAddr = (Ipv6Addr::LOCALHOST, dead_addr().await.port()).into();
    let client = Client::new(TestNet::resolving_to([dead, v4.addr]));
    let reply = client
        .announce("http://t.example/announce", &announce(), PATIENCE)
        .await;
    assert_eq!(reply.unwrap().peers.len(), 1);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_is_dead() {
    let alive = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let dead = dead_addr().await;
    let client = Client::new(TestNet::resolving_to([dead, alive.addr]));
    let reply = client
        .announce("http://t.example/announce", &announce(), PATIENCE)
        .await;
    assert_eq!(reply.unwrap().peers.len(), 1);
    let client = Client::new(TestNet::resolving_to([dead]));
    let error = client
        .announce("http://t.example/announce", &announce(), PATIENCE)
        .await;
    let message = error.unwrap_err().to_string();
    assert!(
        message.starts_with(&format!("cannot connect to {dead}: ")),
        "{message}"
    );
}

#[tokio::test]
async fn urls_have_a_limit() {
    let server = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let start = server.url("/announce?");
    let fits = format!("{start}{}", "k".repeat(MAX_URL - start.len()));
    client()
        .announce(&fits, &announce(), PATIENCE)
        .await
        .unwrap();
    for url in [format!("{fits}k"), "k".repeat(1 << 20)] {
        let error = client().announce(&url, &announce(), PATIENCE).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "invalid URL: more than 2048 bytes"
        );
    }
}

#[tokio::test]
async fn a_name_without_addresses_is_an_error() {
    let client = Client::new(TestNet::resolving_to([]));
    for url in ["http://t.example/announce", "udp://t.example:1"] {
        let error = client
            .announce(url, &announce(), PATIENCE)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot resolve t.example: it has no address that may be used"
        );
    }
}

#[tokio::test]
async fn scrapes_go_to_the_scrape_url() {
    let server = HttpServer::start(|_| {
        response(
            "200 OK",
            b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei1e10:downloadedi2e10:incompletei3eeee",
        )
    })
    .await;
    let request = ScrapeRequest::new([[b'a'; 20].into(), [b'b'; 20].into()]);
    let url = server.url("/x/announce?k=1");
    let reply = client().scrape(&url, &request, PATIENCE).await.unwrap();
    assert_eq!(
        reply.get(&[b'a'; 20].into()),
        Some(&ScrapeStats::new(1, 2, 3))
    );
    assert_eq!(reply.get(&[b'b'; 20].into()), None);
    assert!(server.heads()[0].starts_with(
        "GET /x/scrape?k=1&info_hash=aaaaaaaaaaaaaaaaaaaa&info_hash=bbbbbbbbbbbbbbbbbbbb HTTP/1.1\r\n"
    ));
    let error = client()
        .scrape(&server.url("/a"), &request, PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotScrapable), "{error}");
}

#[tokio::test]
async fn torrents_are_fetched_within_a_limit() {
    let server = HttpServer::start(|head| match head.split(' ').nth(1) {
        Some("/a.torrent") => response("200 OK", b"0123456789"),
        _ => response("404 Not Found", b"d14:failure reason2:noe"),
    })
    .await;
    let url = server.url("/a.torrent");
    assert_eq!(client().fetch(&url, 10).await.unwrap(), b"0123456789");
    let error = client().fetch(&url, 9).await.unwrap_err();
    assert_eq!(error.to_string(), "the response is larger than 9 bytes");
    let error = client().fetch(&server.url("/b"), 10).await.unwrap_err();
    assert_eq!(error.to_string(), "HTTP status 404");
    let error = client().fetch("udp://127.0.0.1:1", 10).await.unwrap_err();
    assert_eq!(error.to_string(), "scheme \"udp\" is not supported here");
}

#[tokio::test]
async fn refusals_reach_the_schedule_with_their_time() {
    let error = answered(response(
        "200 OK",
        b"d14:failure reason4:busy8:retry in1:5e",
    ))
    .await;
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::Reply(ReplyError::Refused(_))));
    let problem = bt_tracker::schedule::Problem::from(&error);
    assert_eq!(problem.message, "busy");
    assert!(problem.refused && problem.retry_in == error.retry_in() && error.retry_in().is_some());
}

#[cfg(not(feature = "tls"))]
#[tokio::test]
async fn https_needs_its_feature() {
    let server = HttpServer::start(|_| response("200 OK", REPLY)).await;
    let url = format!("https://{}/announce", server.addr);
    let error = client()
        .announce(&url, &announce(), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "scheme \"https\" is not supported here");
}
