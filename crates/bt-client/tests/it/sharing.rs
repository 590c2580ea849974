//! Torrents of one session whose files are the same files on the disk.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use bt_client::engine::State;
use bt_client::{AddTorrent, EventKind, EventStream, Session, SessionConfig, Torrent};
use bt_metainfo::{FileIndex, Metainfo};
use tokio::time::timeout;

use crate::content::{assert_same, share};

const PATIENCE: Duration = Duration::from_secs(60);
const LENGTH: usize = 300_000;

async fn session() -> Session {
    let config = SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    };
    Session::start(config).await.unwrap()
}

async fn add(session: &Session, metainfo: &Metainfo, directory: &Path) -> Torrent {
    let add = AddTorrent::new(metainfo.clone(), directory);
    session.add(add).await.unwrap()
}

async fn until(torrent: &Torrent, state: State) {
    let there = torrent.wait_for(|status| status.state == state);
    match timeout(PATIENCE, there).await {
        Ok(reached) => drop(reached.unwrap()),
        Err(_) => panic!("not {state:?} in time: {:?}", torrent.status()),
    }
}

/// The words with which `torrent` has failed.
async fn failure(torrent: &Torrent, events: &mut EventStream) -> (String, String) {
    loop {
        let next = timeout(PATIENCE, events.next()).await.expect("in time");
        let event = next.unwrap();
        if let EventKind::Failed {
            kind,
            message,
            hint,
        } = event.kind
            && event.info_hash == torrent.info_hash()
        {
            assert_eq!(kind, "storage");
            return (message, hint);
        }
    }
}

/// Two torrents that call their only file the same; what is in it differs.
fn two(directory: &Path) -> [(Metainfo, Vec<u8>); 2] {
    ["one", "other"].map(|name| {
        let directory = directory.join(name);
        // Of the second torrent the file has other bytes: it is its second file.
        let files: &[(&str, usize)] = match name {
            "one" => &[("x", LENGTH)],
            _ => &[("w", 10), ("x", LENGTH)],
        };
        let metainfo = share(&directory, "stuff", files, 65_536);
        (metainfo, std::fs::read(directory.join("stuff/x")).unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_does_not_write_into_a_file_that_another_one_serves() {
    let dir = tempfile::tempdir().unwrap();
    let [(one, bytes), (other, _)] = two(dir.path());
    let content = dir.path().join("one");
    let session = session().await;
    let seeding = add(&session, &one, &content).await;
    until(&seeding, State::Seeding).await;

    // Once in the same directory, once by a link from another one.
    let linked = dir.path().join("linked");
    std::fs::create_dir_all(linked.join("stuff")).unwrap();
    std::fs::hard_link(content.join("stuff/x"), linked.join("stuff/x")).unwrap();
    let mut events = session.subscribe();
    for directory in [&content, &linked] {
        let second = add(&session, &other, directory).await;
        let (message, hint) = failure(&second, &mut events).await;
        let file = directory.join("stuff/x");
        for part in [
            &*file.to_string_lossy(),
            "stuff",
            &seeding.info_hash().to_string(),
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(hint.contains("another directory"), "{hint}");
        assert_eq!(seeding.state(), State::Seeding);
        assert!(std::fs::read(&file).unwrap() == bytes, "it was written to");
        second.remove().await;
    }

    // Without the first one it is nobody's.
    let second = add(&session, &other, &content).await;
    failure(&second, &mut events).await;
    seeding.remove().await;
    second.resume();
    until(&second, State::Downloading).await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_does_not_count_what_another_one_writes_over() {
    let dir = tempfile::tempdir().unwrap();
    let [(one, _), (other, _)] = two(dir.path());
    let content = dir.path().join("other");
    let session = session().await;
    // The bytes are those of the second one: the first is going to replace them.
    let writing = add(&session, &one, &content).await;
    until(&writing, State::Downloading).await;
    let mut events = session.subscribe();
    let complete = add(&session, &other, &content).await;
    let (message, _) = failure(&complete, &mut events).await;
    assert!(message.contains("writes to the same file"), "{message}");
    assert_eq!(writing.state(), State::Downloading);
    writing.remove().await;
    complete.resume();
    until(&complete, State::Seeding).await;
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_content_is_shared_by_any_number_of_torrents() {
    let dir = tempfile::tempdir().unwrap();
    let content = dir.path().join("one");
    let files: &[(&str, usize)] = &[("x", LENGTH), ("d/y", 70_000)];
    let torrents = [65_536, 32_768, 16_384].map(|piece| share(&content, "stuff", files, piece));
    let session = session().await;
    for metainfo in &torrents {
        let torrent = add(&session, metainfo, &content).await;
        until(&torrent, State::Seeding).await;
    }
    // One of them goes elsewhere, or goes with its content: the others keep theirs.
    let torrents = session.torrents();
    let elsewhere = dir.path().join("elsewhere");
    let refused = torrents[0].move_to(&elsewhere).await.unwrap_err();
    assert!(refused.to_string().contains("stuff ("), "{refused}");
    torrents[0].remove_with_data().await.unwrap();
    for torrent in &torrents[1..] {
        torrent.recheck();
        until(torrent, State::Seeding).await;
    }
    session.stop().await;
}

/// A session with two torrents of one content, with long pieces and with short ones, and a seed of both.
struct House {
    dir: tempfile::TempDir,
    seed: Session,
    session: Session,
    torrents: Vec<Torrent>,
}

impl House {
    async fn new(scrub_rate: Option<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (source, content) = (dir.path().join("source"), dir.path().join("content"));
        let files: &[(&str, usize)] = &[("x", LENGTH), ("y", 70_000)];
        let metainfos = [65_536, 16_384].map(|piece| share(&source, "stuff", files, piece));
        let seed = session().await;
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, seed.port()));
        let config = SessionConfig {
            trackers: false,
            scrub_rate,
            ..SessionConfig::default()
        };
        let session = Session::start(config).await.unwrap();
        let mut torrents = Vec::new();
        for metainfo in metainfos {
            let add = AddTorrent {
                spread: Some(false),
                ..AddTorrent::initial_seeder(metainfo.clone(), &source)
            };
            seed.add(add).await.unwrap();
            let add = AddTorrent {
                peers: vec![peer],
                ..AddTorrent::new(metainfo, &content)
            };
            let torrent = session.add(add).await.unwrap();
            let complete = timeout(PATIENCE, torrent.wait_until_seeding());
            complete.await.expect("in time").unwrap();
            torrents.push(torrent);
        }
        Self {
            dir,
            seed,
            session,
            torrents,
        }
    }

    /// Other bytes in a file behind everybody's back.
    fn spoil(&self, file: &str, start: u64, length: usize) {
        let path = self.dir.path().join("content/stuff").join(file);
        let file = std::fs::File::options().read(true).write(true).open(path);
        let (file, mut bytes) = (file.unwrap(), vec![0; length]);
        file.read_exact_at(&mut bytes, start).unwrap();
        bytes.iter_mut().for_each(|byte| *byte = !*byte);
        file.write_all_at(&bytes, start).unwrap();
    }

    /// Both lose something, and have it again. Gives how many were told of what was found bad.
    async fn until_repaired(&self, mut events: EventStream) -> usize {
        let (mut noticed, mut repaired) = (BTreeSet::new(), BTreeSet::new());
        let mut told = BTreeSet::new();
        let both = async {
            while repaired.len() < 2 {
                let event = events.next().await.unwrap();
                match event.kind {
                    EventKind::Warning { kind: "scrub", .. } => drop(told.insert(event.info_hash)),
                    EventKind::State(State::Downloading) => drop(noticed.insert(event.info_hash)),
                    EventKind::State(State::Seeding) if noticed.contains(&event.info_hash) => {
                        repaired.insert(event.info_hash);
                    }
                    EventKind::Failed { message, .. } => panic!("{message}"),
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, both).await.expect("both in time");
        let path = |name| self.dir.path().join(name);
        assert_same(&path("source"), &path("content"));
        told.len()
    }

    async fn close(self) {
        self.session.stop().await;
        self.seed.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_goes_bad_in_a_shared_file_is_repaired_and_stops_nobody() {
    let house = House::new(Some(1_000_000)).await;
    let events = house.session.subscribe();
    // Within one piece of the one torrent and over several of the other.
    house.spoil("x", 132_000, 58_000);
    assert_eq!(house.until_repaired(events).await, 2);
    // What is known of it now is so.
    for torrent in &house.torrents {
        torrent.recheck();
        until(torrent, State::Seeding).await;
    }
    house.close().await;
}

/// A long piece lies in both files and is bad in both; of the short ones only those of the first file are looked at. What is
/// fetched of the long one differs from what the other torrent counts in the second file, unless that was found out before.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_beyond_what_was_looked_at_is_given_up_by_all_before_it_is_fetched() {
    let house = House::new(None).await;
    let events = house.session.subscribe();
    house.spoil("x", 270_000, 1);
    house.spoil("y", 15_000, 1);
    house.torrents[1].recheck_file(FileIndex(0)).unwrap();
    house.until_repaired(events).await;
    house.close().await;
}
