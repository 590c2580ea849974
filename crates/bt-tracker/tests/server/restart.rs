//! Swarms across restarts.

use bt_tracker::server::Config;

use crate::harness::{announce, config, hash, http, ports, put, start, torrent};

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_known_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = Some(dir.path().join("swarms"));
    let server = start(Config {
        snapshot: snapshot.clone(),
        ..config()
    })
    .await;
    for port in 1..=60 {
        announce(
            http(&server),
            1,
            port,
            u64::from(port % 2),
            "&event=completed",
        )
        .unwrap();
    }
    server.stop().await;
    let server = start(Config {
        snapshot: snapshot.clone(),
        ..config()
    })
    .await;
    let numbers = server.scrape(hash(1)).unwrap();
    assert_eq!(
        (numbers.complete, numbers.incomplete, numbers.downloaded),
        (30, 30, 60)
    );
    let response = announce(http(&server), 1, 1, 1, "&event=completed&numwant=100").unwrap();
    assert_eq!(ports(&response), (2..=60).collect::<Vec<_>>());
    assert_eq!(response.downloaded, Some(60), "completions stay counted");
    drop(server);

    let snapshot_path = snapshot.clone().unwrap();
    let bytes = std::fs::read(&snapshot_path).unwrap();
    std::fs::write(&snapshot_path, &bytes[..bytes.len() / 2]).unwrap();
    let server = start(Config {
        snapshot,
        ..config()
    })
    .await;
    assert_eq!(
        server.stats().torrents,
        0,
        "a torn snapshot is left out and the server starts"
    );
    announce(http(&server), 1, 1, 1, "").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_tracker_takes_back_only_what_it_still_knows() {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = Some(dir.path().join("swarms"));
    let server = start(Config {
        snapshot: snapshot.clone(),
        ..config()
    })
    .await;
    announce(http(&server), 1, 1, 1, "").unwrap();
    server.stop().await;
    let torrents = dir.path().join("torrents");
    std::fs::create_dir(&torrents).unwrap();
    put(&torrents, "a.torrent", &torrent("a").to_bytes());
    let server = start(Config {
        snapshot,
        torrents: Some(torrents),
        ..config()
    })
    .await;
    assert_eq!((server.stats().torrents, server.stats().peers_v4), (1, 0));
}
