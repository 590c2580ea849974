//! Content goes from one session to others.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bt_client::engine::State;
use bt_client::{AddTorrent, Check, Session, SessionConfig};
use tokio::time::timeout;

use crate::content::{assert_same, share};

const PATIENCE: Duration = Duration::from_secs(60);

const FILES: &[(&str, usize)] = &[
    ("readme.txt", 11),
    ("nested/deep er/big.bin", 3_000_000),
    ("nested/åäö ✓.bin", 70_000),
    ("empty", 0),
    ("exactly one piece", 32_768),
];

fn local(session: &Session) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, session.port()))
}

async fn session() -> Session {
    Session::start(SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_from_seed_to_leecher_and_on_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 32_768);
    let (seed, middle, last) = (session().await, session().await, session().await);

    let mut add = AddTorrent::new(metainfo.clone(), dir.path().join("a"));
    add.check = Check::Trust;
    let seeding = seed.add(add).await.unwrap();
    assert_eq!(seeding.state(), State::Seeding);

    let mut add = AddTorrent::new(metainfo.clone(), dir.path().join("b"));
    add.peers = vec![local(&seed)];
    let first = middle.add(add).await.unwrap();
    timeout(PATIENCE, first.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert_same(&dir.path().join("a"), &dir.path().join("b"));

    // The first seed leaves: the leecher has become a seed.
    seed.stop().await;
    let mut add = AddTorrent::new(metainfo, dir.path().join("c"));
    add.peers = vec![local(&middle)];
    let second = last.add(add).await.unwrap();
    timeout(PATIENCE, second.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert_same(&dir.path().join("a"), &dir.path().join("c"));
    middle.stop().await;
    last.stop().await;
}
