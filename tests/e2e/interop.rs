//! 300 MiB from each of the others to us, and from us to each of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bt_client::{AddTorrent, Check, Session, SessionConfig};
use bt_metainfo::Metainfo;
use bt_tracker::server::{Config, Handle, Server};
use tokio::time::timeout;

use crate::content::shared;
use crate::peers::{Client, Role, leave_out, opentracker, program};

/// Transmission 3.00 moves about 10 MiB/s and begins late; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(240);

async fn tracker() -> Handle {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Server::start(Config {
        http: vec![any],
        udp: vec![any],
        workers: Some(1),
        ..Config::default()
    })
    .await
    .expect("a tracker")
}

async fn session() -> Session {
    Session::start(SessionConfig {
        ipv6: false,
        ..SessionConfig::default()
    })
    .await
    .expect("a session")
}

fn write_torrent(home: &Path, announce: &str) -> (Metainfo, PathBuf) {
    let (metainfo, bytes) = shared().torrent(announce);
    let file = home.join("it.torrent");
    std::fs::write(&file, bytes).expect("a torrent");
    (metainfo, file)
}

async fn from_other_to_us(client: Client) {
    if !client.is_here() {
        return leave_out(
            &format!("300 MiB from {} to us", client.name()),
            client.name(),
        );
    }
    let home = tempfile::tempdir().expect("a directory");
    let tracker = tracker().await;
    let (metainfo, file) = write_torrent(home.path(), &tracker.announce_url().expect("a URL"));
    let (parent, state) = (shared().parent.clone(), home.path().join("peer"));
    // Transmission says nothing when it seeds from the start: the download itself is the proof.
    let role = if matches!(client, Client::Transmission) {
        Role::Leech
    } else {
        Role::Seed
    };
    let peer = tokio::task::spawn_blocking(move || client.start(role, &file, &parent, &state))
        .await
        .expect("started");
    let session = session().await;
    let into = home.path().join("ours");
    let mut add = AddTorrent::new(metainfo, &into);
    // It may have announced itself before it listens, or not at all yet.
    add.peers = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, peer.port))];
    let torrent = session.add(add).await.expect("added");
    let done = timeout(PATIENCE, torrent.wait_until_seeding()).await;
    assert!(
        done.is_ok(),
        "{} to us: {:?}",
        client.name(),
        torrent.status()
    );
    done.expect("in time").expect("downloaded");
    shared().assert_arrived(&into);
    session.stop().await;
    tracker.stop().await;
}

async fn from_us_to_other(client: Client) {
    if !client.is_here() {
        return leave_out(
            &format!("300 MiB from us to {}", client.name()),
            client.name(),
        );
    }
    let home = tempfile::tempdir().expect("a directory");
    let tracker = tracker().await;
    let (metainfo, file) = write_torrent(home.path(), &tracker.announce_url().expect("a URL"));
    let session = session().await;
    let (into, state) = (home.path().join("theirs"), home.path().join("peer"));
    std::fs::create_dir(&into).expect("a directory");
    let parent = into.clone();
    let start = move || client.start(Role::Leech, &file, &parent, &state);
    let mut peer = tokio::task::spawn_blocking(start).await.expect("started");
    // Transmission takes no loopback address from a tracker, but lets us in when we call.
    let peers = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, peer.port))];
    let add = AddTorrent {
        check: Check::Trust,
        peers,
        ..AddTorrent::new(metainfo, &shared().parent)
    };
    let torrent = session.add(add).await.expect("added");
    let arrived = tokio::task::spawn_blocking(move || {
        peer.wait_until_seeding();
        peer
    });
    let done = timeout(PATIENCE, arrived).await;
    assert!(
        done.is_ok_and(|joined| joined.is_ok()),
        "us to {}: {:?} {:?}",
        client.name(),
        torrent.status(),
        torrent.peers()
    );
    if matches!(client, Client::Transmission) {
        shared().assert_arrived_without_empty_files(&into);
    } else {
        shared().assert_arrived(&into);
    }
    assert!(
        torrent.status().uploaded >= torrent.status().size,
        "it came from us"
    );
    session.stop().await;
    tracker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn libtorrent_to_us() {
    from_other_to_us(Client::Libtorrent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn us_to_libtorrent() {
    from_us_to_other(Client::Libtorrent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transmission_to_us() {
    from_other_to_us(Client::Transmission).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn us_to_transmission() {
    from_us_to_other(Client::Transmission).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aria2_to_us() {
    from_other_to_us(Client::Aria2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn us_to_aria2() {
    from_us_to_other(Client::Aria2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn us_to_us_by_way_of_opentracker() {
    if program("opentracker").is_none() {
        return leave_out("300 MiB by way of opentracker", "opentracker");
    }
    let home = tempfile::tempdir().expect("a directory");
    // The info-hash does not depend on the tracker, so it is known before the tracker runs.
    let (metainfo, _) = shared().torrent("http://127.0.0.1:1/announce");
    let hash = metainfo.info_hash().to_string();
    let (running, url) = opentracker(&[hash], &home.path().join("tracker"));
    let (metainfo, _) = shared().torrent(&url);
    let (seeder, leecher) = (session().await, session().await);
    let add = AddTorrent {
        check: Check::Trust,
        ..AddTorrent::new(metainfo.clone(), &shared().parent)
    };
    seeder.add(add).await.expect("added");
    let into = home.path().join("ours");
    let torrent = leecher
        .add(AddTorrent::new(metainfo, &into))
        .await
        .expect("added");
    let done = timeout(PATIENCE, torrent.wait_until_seeding()).await;
    assert!(
        done.is_ok_and(|result| result.is_ok()),
        "{:?}",
        torrent.status()
    );
    shared().assert_arrived(&into);
    leecher.stop().await;
    seeder.stop().await;
    drop(running);
}
