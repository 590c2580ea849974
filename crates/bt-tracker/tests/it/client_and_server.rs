//! Our client, our schedule and our server together, over every transport and family.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bt_metainfo::InfoHash;
use bt_tracker::client::{Client, Direct, Error};
use bt_tracker::schedule::{Breadth, Options, Schedule};
use bt_tracker::server::{Config, Handle, Mode, Server};
use bt_tracker::{AnnounceRequest, AnnounceResponse, Event, ScrapeRequest, ScrapeStats};

use crate::support::{PATIENCE, TestNet, dead_addr};

const HASH: [u8; 20] = [7; 20];

fn local() -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]
}

fn config() -> Config {
    Config {
        http: local(),
        udp: local(),
        workers: Some(1),
        ..Config::default()
    }
}

/// The announce URLs of all transports and families.
fn urls(server: &Handle) -> Vec<String> {
    let http = server
        .http_addrs()
        .iter()
        .map(|addr| format!("http://{addr}/announce"));
    let udp = server
        .udp_addrs()
        .iter()
        .map(|addr| format!("udp://{addr}/announce"));
    http.chain(udp).collect()
}

fn client() -> Client {
    Client::new(Arc::new(Direct))
}

/// A peer that is told from others by its port.
fn peer(port: u16, left: u64, event: Event) -> AnnounceRequest {
    let mut id = [b'-'; 20];
    id[..2].copy_from_slice(&port.to_be_bytes());
    let mut request = AnnounceRequest::new(HASH.into(), id.into(), port);
    (request.left, request.event, request.key) = (left, event, u32::from(port));
    request
}

async fn tell(url: &str, request: &AnnounceRequest) -> AnnounceResponse {
    client()
        .announce(url, request, PATIENCE)
        .await
        .unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn ports(response: &AnnounceResponse) -> Vec<u16> {
    let mut ports: Vec<u16> = response.peers.iter().map(|peer| peer.addr.port()).collect();
    ports.sort_unstable();
    ports
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_find_each_other_over_every_transport_and_family() {
    let server = Server::start(config()).await.unwrap();
    for url in urls(&server) {
        server.remove(HASH.into());
        let first = tell(&url, &peer(1001, 0, Event::Started)).await;
        assert_eq!(ports(&first), [0; 0], "{url}");
        let second = tell(&url, &peer(1002, 5, Event::Started)).await;
        assert_eq!(ports(&second), [1001], "{url}");
        assert_eq!(
            (second.complete, second.incomplete),
            (Some(1), Some(1)),
            "{url}"
        );
        assert_eq!(second.interval.as_secs(), 1800, "{url}");
        let expected = if url.contains("[::1]") {
            "::1"
        } else {
            "127.0.0.1"
        };
        assert_eq!(second.peers[0].addr.ip().to_string(), expected, "{url}");
        if url.starts_with("http") {
            assert_eq!(second.external_ip, expected.parse().ok(), "{url}");
            assert_eq!(second.min_interval.map(|min| min.as_secs()), Some(900));
        }

        tell(&url, &peer(1002, 0, Event::Completed)).await;
        let request = ScrapeRequest::new([HASH.into(), [9; 20].into()]);
        let scrape = client().scrape(&url, &request, PATIENCE).await.unwrap();
        let stats = scrape.get(&HASH.into()).unwrap();
        assert_eq!(
            (stats.complete, stats.incomplete, stats.downloaded),
            (2, 0, 1),
            "{url}"
        );
        let unknown = scrape.get(&[9; 20].into()).copied().unwrap_or_default();
        assert_eq!((unknown.complete, unknown.incomplete), (0, 0), "{url}");

        tell(&url, &peer(1001, 0, Event::Stopped)).await;
        let third = tell(&url, &peer(1003, 5, Event::Started)).await;
        assert_eq!(ports(&third), [1002], "{url}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numwant_and_both_list_forms_are_honored() {
    let server = Server::start(config()).await.unwrap();
    let url = &urls(&server)[0];
    for port in 1001..=1020 {
        tell(url, &peer(port, 0, Event::Started)).await;
    }
    let mut request = peer(2000, 5, Event::Started);
    request.numwant = Some(7);
    for compact in [true, false] {
        for no_peer_id in [true, false] {
            (request.compact, request.no_peer_id) = (compact, no_peer_id);
            let response = tell(url, &request).await;
            assert_eq!(response.peers.len(), 7);
            let ids = response
                .peers
                .iter()
                .filter(|peer| peer.id.is_some())
                .count();
            assert_eq!(ids, if compact || no_peer_id { 0 } else { 7 });
        }
    }
    for url in urls(&server)
        .iter()
        .filter(|url| url.starts_with("udp://127"))
    {
        assert_eq!(tell(url, &request).await.peers.len(), 7);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_host_name_reaches_both_families() {
    let server = Server::start(config()).await.unwrap();
    for (addrs, scheme) in [(server.http_addrs(), "http"), (server.udp_addrs(), "udp")] {
        server.remove(HASH.into());
        let client = Client::new(TestNet::resolving_to(addrs));
        let url = format!("{scheme}://tracker.test:1/announce");
        client
            .announce(&url, &peer(1001, 0, Event::Started), PATIENCE)
            .await
            .unwrap();
        let found = client
            .announce(&url, &peer(1002, 5, Event::Started), PATIENCE)
            .await
            .unwrap();
        // Over HTTP a reply names both families, so we may meet our own other address.
        let mut found: Vec<String> = found
            .peers
            .iter()
            .map(|peer| peer.addr)
            .filter(|addr| addr.port() != 1002)
            .map(|addr| addr.to_string())
            .collect();
        found.sort();
        assert_eq!(found, ["127.0.0.1:1001", "[::1]:1001"], "{scheme}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tracker_refuses_and_says_why() {
    let server = Server::start(Config {
        closed: true,
        ..config()
    })
    .await
    .unwrap();
    for url in urls(&server) {
        let error = client()
            .announce(&url, &peer(1001, 0, Event::Started), PATIENCE)
            .await;
        let Err(Error::Reply(bt_tracker::ReplyError::Refused(failure))) = error else {
            panic!("{url}: {error:?}");
        };
        assert!(
            !failure.reason.is_empty() && failure.reason != "no reason given",
            "{url}"
        );
    }
    server.register_hash(HASH.into());
    for url in urls(&server) {
        tell(&url, &peer(1001, 0, Event::Started)).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passkeys_travel_in_the_path_over_http_and_in_options_over_udp() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("keys");
    std::fs::write(&list, "s3cretpasskey\n").unwrap();
    let config = Config {
        mode: Mode::Passkey,
        list: Some(list),
        ..config()
    };
    let server = Server::start(config).await.unwrap();
    for url in urls(&server) {
        server.remove(HASH.into());
        let with_key = url.replace("/announce", "/s3cretpasskey/announce");
        tell(&with_key, &peer(1001, 0, Event::Started)).await;
        for wrong in [
            url.clone(),
            url.replace("/announce", "/wr0ngpasskey/announce"),
        ] {
            let error = client()
                .announce(&wrong, &peer(1002, 0, Event::Started), PATIENCE)
                .await;
            assert!(error.is_err(), "{wrong}");
        }
        let request = ScrapeRequest::new([InfoHash::from(HASH)]);
        if url.starts_with("http") {
            let scrape = client()
                .scrape(&with_key, &request, PATIENCE)
                .await
                .unwrap();
            assert_eq!(
                scrape.get(&HASH.into()).map(|stats| stats.complete),
                Some(1)
            );
        }
    }
    server.stop().await;
}

/// Performs what the schedule asks for now; the events that were accepted, by URL.
async fn perform(schedule: &mut Schedule, now: Instant, left: u64) -> BTreeMap<String, Vec<Event>> {
    let mut events: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    while let Some(announce) = schedule.poll(now) {
        let mut request = peer(1001, left, Event::None);
        announce.apply(&mut request);
        match client()
            .announce(&announce.url, &request, announce.timeout)
            .await
        {
            Ok(response) => {
                schedule.succeeded(now, &announce.url, &response);
                events.entry(announce.url).or_default().push(announce.event);
            }
            Err(error) => schedule.failed(now, &announce.url, &error),
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_download_is_counted_right_by_every_tracker() {
    let server = Server::start(config()).await.unwrap();
    let scrape = |server: &Handle| -> Option<ScrapeStats> { server.scrape(HASH.into()) };
    for breadth in [Breadth::OneTracker, Breadth::AllTrackers] {
        server.remove(HASH.into());
        let dead = format!("http://{}/announce", dead_addr().await);
        let mut tiers = vec![vec![dead.clone()]];
        tiers.extend(urls(&server).into_iter().map(|url| vec![url]));
        let mut options = Options::default();
        options.breadth = breadth;
        let mut schedule = Schedule::with_options(&tiers, 1, false, options);
        let now = Instant::now();

        let events = perform(&mut schedule, now, 5).await;
        let told = if breadth == Breadth::OneTracker {
            1
        } else {
            urls(&server).len()
        };
        assert_eq!(events.len(), told);
        assert!(
            events.values().all(|events| *events == [Event::Started]),
            "{events:?}"
        );
        let stats = scrape(&server).unwrap();
        assert_eq!((stats.complete, stats.downloaded), (0, 0));
        assert!(stats.incomplete > 0);

        schedule.complete(now);
        let events = perform(&mut schedule, now, 0).await;
        assert_eq!(events.len(), told);
        assert!(
            events.values().all(|events| *events == [Event::Completed]),
            "{events:?}"
        );
        let stats = scrape(&server).unwrap();
        assert_eq!(stats.incomplete, 0);
        assert!(
            stats.complete > 0 && stats.downloaded == stats.complete,
            "{stats:?}"
        );

        schedule.stop(now);
        let events = perform(&mut schedule, now, 0).await;
        assert_eq!(events.len(), told);
        assert!(
            events.values().all(|events| *events == [Event::Stopped]),
            "{events:?}"
        );
        assert!(schedule.is_stopped());
        let stats = scrape(&server).unwrap_or_default();
        assert_eq!((stats.complete, stats.incomplete), (0, 0));
    }
    server.stop().await;
}
