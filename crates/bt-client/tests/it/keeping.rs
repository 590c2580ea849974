//! What is proven stays proven through faults, and what others have touched is not believed.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bt_client::engine::{Priority, State};
use bt_client::state::Store;
use bt_client::{AddTorrent, Check, Error, EventKind, Session, SessionConfig, Torrent};
use bt_metainfo::{FileIndex, Metainfo};
use tokio::time::timeout;

use crate::content::{assert_same, share};

const PATIENCE: Duration = Duration::from_secs(60);

/// Pieces are of 64 KiB: the last one is shared by three files.
const FILES: &[(&str, usize)] = &[
    ("a.bin", 300_000),
    ("b.bin", 150_000),
    ("c.bin", 10),
    ("empty", 0),
];

async fn session(state: &Path, tune: impl FnOnce(&mut SessionConfig)) -> Session {
    let mut config = SessionConfig {
        trackers: false,
        state: Some(Store::open(state).unwrap()),
        ..SessionConfig::default()
    };
    tune(&mut config);
    Session::start(config).await.unwrap()
}

/// Bytes that were hashed and that were trusted.
async fn checked(events: &mut bt_client::EventStream) -> (u64, u64) {
    loop {
        let next = timeout(PATIENCE, events.next()).await.expect("in time");
        if let EventKind::Checked { hashed, trusted } = next.unwrap().kind {
            return (hashed, trusted);
        }
    }
}

async fn begin(session: &Session, add: AddTorrent) -> (Torrent, u64, u64) {
    let mut events = session.subscribe();
    let torrent = session.add(add).await.unwrap();
    let (hashed, trusted) = checked(&mut events).await;
    (torrent, hashed, trusted)
}

async fn until(torrent: &Torrent, state: State) {
    let there = torrent.wait_for(|status| status.state == state);
    match timeout(PATIENCE, there).await {
        Ok(reached) => drop(reached.unwrap()),
        Err(_) => panic!("not {state:?} in time: {:?}", torrent.status()),
    }
}

async fn complete(torrent: &Torrent) {
    match timeout(PATIENCE, torrent.wait_until_seeding()).await {
        Ok(reached) => reached.unwrap(),
        Err(_) => panic!("not complete in time: {:?}", torrent.status()),
    }
}

async fn seed(dir: &Path) -> (Metainfo, Session, SocketAddr) {
    let metainfo = share(&dir.join("a"), "stuff", FILES, 65_536);
    let seed = session(&dir.join("seed"), |_| {}).await;
    let add = AddTorrent {
        spread: Some(false),
        ..AddTorrent::initial_seeder(metainfo.clone(), dir.join("a"))
    };
    seed.add(add).await.unwrap();
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, seed.port()));
    (metainfo, seed, peer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_failed_goes_on_with_what_was_known() {
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("a"));
    let metainfo = share(&content, "stuff", FILES, 65_536);
    let size = metainfo.info().layout().total_length();
    let first = session(&state, |_| {}).await;
    let (torrent, hashed, _) = begin(&first, AddTorrent::new(metainfo.clone(), &content)).await;
    complete(&torrent).await;
    assert_eq!(hashed, size);
    first.stop().await;
    drop((torrent, first));

    // Something stands where a file without bytes belongs.
    let empty = content.join("stuff/empty");
    std::fs::remove_file(&empty).unwrap();
    std::fs::create_dir(&empty).unwrap();
    let second = session(&state, |_| {}).await;
    let torrent = second
        .add(AddTorrent::new(metainfo, &content))
        .await
        .unwrap();
    until(&torrent, State::Failed).await;
    std::fs::remove_dir(&empty).unwrap();
    let mut events = second.subscribe();
    torrent.resume();
    assert_eq!(checked(&mut events).await, (0, size));
    complete(&torrent).await;
    assert!(empty.is_file());
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_removed_while_it_is_downloaded_is_not_reported_complete() {
    let dir = tempfile::tempdir().unwrap();
    let (metainfo, seed, peer) = seed(dir.path()).await;
    let slow = |config: &mut SessionConfig| config.down_rate = Some(150_000);
    let leech = session(&dir.path().join("state"), slow).await;
    let b = dir.path().join("b");
    let add = AddTorrent {
        peers: vec![peer],
        sequential: true,
        ..AddTorrent::new(metainfo, &b)
    };
    let torrent = leech.add(add).await.unwrap();
    let some = torrent.wait_for(|status| status.pieces_have >= 1);
    timeout(PATIENCE, some).await.expect("in time").unwrap();
    std::fs::remove_file(b.join("stuff/a.bin")).unwrap();
    until(&torrent, State::Failed).await;
    let reason = torrent.status().reason;
    assert!(reason.contains("a.bin"), "{reason}");
    // Nothing is wrong with the disk: what is gone is fetched again.
    torrent.resume();
    complete(&torrent).await;
    assert_same(&dir.path().join("a"), &b);
    seed.stop().await;
    leech.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_somebody_elses_in_the_place_of_one_that_nobody_selected_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (metainfo, seed, peer) = seed(dir.path()).await;
    let (state, b) = (dir.path().join("state"), dir.path().join("b"));
    let add = || AddTorrent {
        peers: vec![peer],
        only_files: Some(vec![FileIndex(1)]),
        ..AddTorrent::new(metainfo.clone(), &b)
    };
    let first = session(&state, |_| {}).await;
    let torrent = first.add(add()).await.unwrap();
    complete(&torrent).await;
    first.stop().await;
    drop((torrent, first));
    std::fs::write(b.join("stuff/c.bin"), [0; 10]).unwrap();

    // Once with what is known of the parts, once after that was damaged.
    for is_damaged in [false, true] {
        if is_damaged {
            let hash = metainfo.info_hash_v1().unwrap();
            let settings = state.join(format!("torrents/{hash}.settings"));
            std::fs::write(settings, "damaged").unwrap();
        }
        let next = session(&state, |_| {}).await;
        let mut alone = add();
        alone.peers = Vec::new();
        let (torrent, ..) = begin(&next, alone).await;
        let had = torrent.status().pieces_have;
        torrent.recheck_file(FileIndex(1)).unwrap();
        if is_damaged {
            assert!(
                had < 3,
                "the last piece is claimed, and its end is not where it is looked for"
            );
        } else {
            until(&torrent, State::Finished).await;
        }
        next.stop().await;
        drop((torrent, next));
    }
    let last = session(&state, |_| {}).await;
    let torrent = last.add(add()).await.unwrap();
    complete(&torrent).await;
    let all: Vec<_> = (0..4)
        .map(|file| (FileIndex(file), Priority::Normal))
        .collect();
    torrent.set_priorities(&all).await.unwrap();
    until(&torrent, State::Seeding).await;
    complete(&torrent).await;
    assert_same(&dir.path().join("a"), &b);
    seed.stop().await;
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wishes_that_cannot_be_kept_are_refused_and_do_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("a"));
    let metainfo = share(&content, "stuff", FILES, 65_536);
    let session = session(&state, |_| {}).await;
    let torrent = session
        .add(AddTorrent::new(metainfo, &content))
        .await
        .unwrap();
    complete(&torrent).await;
    let before = torrent.priorities();
    let wishes = [
        (FileIndex(0), Priority::High),
        (FileIndex(2), Priority::Low),
    ];

    let (settings, away) = (state.join("torrents"), state.join("away"));
    std::fs::rename(&settings, &away).unwrap();
    std::fs::write(&settings, "in the way").unwrap();
    let refused = torrent.set_priorities(&wishes).await;
    assert!(matches!(refused, Err(Error::State(_))), "{refused:?}");
    assert_eq!(torrent.priorities(), before);

    std::fs::remove_file(&settings).unwrap();
    std::fs::rename(&away, &settings).unwrap();
    torrent.set_priorities(&wishes).await.unwrap();
    assert_eq!(torrent.priorities()[2], Priority::Low);
    session.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_was_removed_does_not_come_back_and_may_be_added_again() {
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("a"));
    let metainfo = share(&content, "stuff", FILES, 65_536);
    let session = session(&state, |_| {}).await;
    let torrent = session
        .add(AddTorrent::new(metainfo.clone(), &content))
        .await
        .unwrap();
    complete(&torrent).await;
    torrent.remove().await;
    // A handle that is left has nothing to write any more.
    torrent.pause();
    torrent.resume();
    let again = session
        .add(AddTorrent::new(metainfo, &content))
        .await
        .unwrap();
    complete(&again).await;
    torrent.remove().await;
    assert_eq!(session.torrents().len(), 1, "it was another one");
    again.remove().await;
    again.pause();
    session.stop().await;
    let left: Vec<_> = std::fs::read_dir(state.join("torrents")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_directory_by_two_names_is_one_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("a"));
    let metainfo = share(&content, "stuff", FILES, 65_536);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&content, &link).unwrap();
    let size = metainfo.info().layout().total_length();
    for (path, expected) in [(&link, size), (&content, 0), (&link, 0)] {
        let session = session(&state, |_| {}).await;
        let (torrent, hashed, _) = begin(&session, AddTorrent::new(metainfo.clone(), path)).await;
        complete(&torrent).await;
        assert_eq!(hashed, expected, "{}", path.display());
        session.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_after_its_check_and_before_the_session_begins_is_hashed_again() {
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("a"));
    let metainfo = share(&content, "stuff", FILES, 65_536);
    let size = metainfo.info().layout().total_length();
    let pieces = metainfo.info().layout().piece_count();
    let before = bt_client::session::looks(None, &metainfo, &content).unwrap();
    let add = || AddTorrent {
        check: Check::Proven,
        looks: before.clone(),
        ..AddTorrent::new(metainfo.clone(), &content)
    };
    // As it was: nothing is hashed.
    let first = session(&state, |_| {}).await;
    let mut events = first.subscribe();
    let torrent = first.add(add()).await.unwrap();
    complete(&torrent).await;
    first.stop().await;
    let mut is_hashed = false;
    loop {
        match events.next().await.unwrap().kind {
            EventKind::Checked { .. } => is_hashed = true,
            EventKind::Removed => break,
            _ => {}
        }
    }
    assert!(!is_hashed);
    drop((torrent, first));

    let file = std::fs::File::options()
        .write(true)
        .open(content.join("stuff/a.bin"));
    std::os::unix::fs::FileExt::write_all_at(&file.unwrap(), &[0; 8], 70_000).unwrap();
    let second = session(&state, |_| {}).await;
    let (torrent, hashed, _) = begin(&second, add()).await;
    assert_eq!(hashed, size);
    until(&torrent, State::Downloading).await;
    assert_eq!(torrent.status().pieces_have, pieces - 1);
    second.stop().await;
}
