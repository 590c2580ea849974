//! One seeder, eight leechers and our own tracker, on one machine.

use std::time::Duration;

use bt_client::{AddTorrent, Check, Session, SessionConfig};
use bt_metainfo::{Metainfo, create};
use bt_tracker::server::{Config, Handle, Server};
use tokio::time::timeout;

use crate::content::assert_same;
use crate::filler::bytes;

const PATIENCE: Duration = Duration::from_secs(120);
const SIZE: usize = 24 * 1024 * 1024;

async fn tracker() -> Handle {
    let any = "127.0.0.1:0".parse().unwrap();
    Server::start(Config {
        http: vec![any],
        workers: Some(1),
        closed: true,
        ..Config::default()
    })
    .await
    .unwrap()
}

async fn session() -> Session {
    Session::start(SessionConfig {
        ipv6: false,
        ..SessionConfig::default()
    })
    .await
    .unwrap()
}

fn describe(content: &std::path::Path, tracker: &Handle) -> Metainfo {
    let trackers = vec![vec![tracker.announce_url().unwrap()]];
    let options = create::Options {
        trackers,
        piece_length: Some(256 * 1024),
        ..create::Options::default()
    };
    let metainfo = Metainfo::parse(
        &create::create(content, &options)
            .unwrap()
            .to_bytes()
            .unwrap(),
    )
    .unwrap();
    tracker.register(&metainfo);
    metainfo
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_leechers_finish_from_little_more_than_one_copy_and_trackers_count_them() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("big.bin"), bytes(SIZE, 7)).unwrap();
    let tracker = tracker().await;
    let metainfo = describe(&source.join("big.bin"), &tracker);

    let seeder = session().await;
    let seeding = seeder
        .add(AddTorrent {
            check: Check::Trust,
            ..AddTorrent::new(metainfo.clone(), &source)
        })
        .await
        .unwrap();
    let mut leechers = Vec::new();
    for number in 0..8 {
        let session = session().await;
        let into = dir.path().join(format!("leecher-{number}"));
        let torrent = session
            .add(AddTorrent::new(metainfo.clone(), &into))
            .await
            .unwrap();
        leechers.push((session, torrent, into));
    }
    for (_, torrent, into) in &leechers {
        timeout(PATIENCE, torrent.wait_until_seeding())
            .await
            .expect("in time")
            .unwrap();
        assert_same(&source, into);
    }
    let uploaded = seeding.status().uploaded;
    assert!(
        uploaded <= SIZE as u64 * 3 / 2,
        "the seeder sent {uploaded} of {SIZE}"
    );

    // Each leecher says `completed` once; the initial seeder never does.
    let hash = metainfo.info_hash();
    let counted = async {
        while tracker
            .scrape(hash)
            .is_none_or(|stats| stats.downloaded < 8)
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.expect("in time");
    for (session, ..) in &leechers {
        session.stop().await;
    }
    seeder.stop().await;
    let stats = tracker.scrape(hash).unwrap();
    assert_eq!(
        (stats.complete, stats.incomplete, stats.downloaded),
        (0, 0, 8),
        "all said goodbye"
    );
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_swarm_goes_on_when_the_seeder_dies_after_one_copy_is_out() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("big.bin"), bytes(SIZE, 8)).unwrap();
    let tracker = tracker().await;
    let metainfo = describe(&source.join("big.bin"), &tracker);
    let seeder = session().await;
    seeder
        .add(AddTorrent {
            check: Check::Trust,
            ..AddTorrent::new(metainfo.clone(), &source)
        })
        .await
        .unwrap();
    let slow = SessionConfig {
        ipv6: false,
        down_rate: Some(8 << 20),
        ..SessionConfig::default()
    };
    let mut leechers = Vec::new();
    for number in 0..3 {
        let session = Session::start(slow.clone()).await.unwrap();
        let into = dir.path().join(format!("leecher-{number}"));
        let torrent = session
            .add(AddTorrent::new(metainfo.clone(), &into))
            .await
            .unwrap();
        leechers.push((session, torrent, into));
    }
    let pieces = metainfo.info().layout().piece_count();
    let one_copy = async {
        loop {
            let have: Vec<_> = leechers
                .iter()
                .map(|(_, torrent, _)| torrent.status().have)
                .collect();
            let out = metainfo
                .info()
                .layout()
                .pieces()
                .filter(|piece| have.iter().any(|have| have.get(*piece)));
            if out.count() == pieces as usize {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, one_copy)
        .await
        .expect("one copy gets out");
    // Dropped, not stopped: like a machine that dies.
    drop(seeder);
    for (_, torrent, into) in &leechers {
        timeout(PATIENCE, torrent.wait_until_seeding())
            .await
            .expect("in time")
            .unwrap();
        assert_same(&source, into);
    }
    for (session, ..) in &leechers {
        session.stop().await;
    }
}
