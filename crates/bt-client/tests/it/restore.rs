//! A session that comes back: its torrents, their settings, and what was proven of their content.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use bt_client::engine::{Priority, State};
use bt_client::limits::ANNOUNCES_PER_SECOND;
use bt_client::state::Store;
use bt_client::{AddTorrent, Check, Error, Session, SessionConfig};
use bt_metainfo::{FileIndex, Metainfo, create};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::content::share;

const FILES: &[(&str, usize)] = &[("one.bin", 500_000), ("two.bin", 300_000)];

async fn session(state: &std::path::Path) -> Session {
    let config = SessionConfig {
        trackers: false,
        state: Some(Store::open(state).unwrap()),
        ..SessionConfig::default()
    };
    Session::start(config).await.unwrap()
}

/// P4 of `docs/SECURITY.md`.
#[tokio::test(flavor = "multi_thread")]
async fn torrents_come_back_with_their_settings_and_leave_for_good_when_removed() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
    let other = share(&dir.path().join("b"), "other", FILES, 32_768);
    let first = session(&state).await;
    let torrent = first
        .add(AddTorrent::new(metainfo.clone(), dir.path().join("a")))
        .await
        .unwrap();
    torrent.wait_until_seeding().await.unwrap();
    let mut add = AddTorrent::new(other, dir.path().join("b"));
    add.only_files = Some(vec![FileIndex(1)]);
    let second = first.add(add).await.unwrap();
    second.wait_until_seeding().await.unwrap();
    second
        .set_priorities(&[(FileIndex(1), Priority::High)])
        .await
        .unwrap();
    torrent.pause();
    first.stop().await;
    drop((torrent, second, first));

    let again = session(&state).await;
    let restored = again.restore().await.unwrap();
    assert_eq!((restored.torrents.len(), restored.failed.len()), (2, 0));
    for torrent in &restored.torrents {
        let is_first = Some(torrent.info_hash()) == metainfo.info_hash_v1();
        // All of it is known at once: nothing is hashed.
        assert!(torrent.status().checking.is_none());
        assert!(torrent.status().have.is_full());
        assert_eq!(torrent.state() == State::Paused, is_first);
        let wishes = match is_first {
            true => [Priority::Normal; 2],
            false => [Priority::Skip, Priority::High],
        };
        assert_eq!(torrent.priorities(), wishes);
        if is_first {
            torrent.remove().await;
        }
    }
    again.stop().await;
    drop((restored, again));

    let last = session(&state).await;
    assert_eq!(last.restore().await.unwrap().torrents.len(), 1);
    last.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_session_cannot_have_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let first = session(dir.path()).await;
    let refused = Store::open(dir.path()).map_err(Error::from);
    assert!(matches!(refused, Err(Error::State(_))));
    first.stop().await;
}

/// `RESTORE_TORRENTS=10000` for the real thing.
#[tokio::test(flavor = "multi_thread")]
async fn many_torrents_come_back_without_hashing() {
    let count = std::env::var("RESTORE_TORRENTS").map_or(100, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("content"));
    std::fs::create_dir(&content).unwrap();
    let first = session(&state).await;
    for number in 0..count {
        let path = content.join(format!("file-{number}"));
        std::fs::write(&path, format!("content {number}")).unwrap();
        let torrent = create::create(&path, &create::Options::default()).unwrap();
        let metainfo = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
        first
            .add(AddTorrent::new(metainfo, &content))
            .await
            .unwrap();
    }
    for torrent in first.torrents() {
        torrent.wait_until_seeding().await.unwrap();
    }
    first.stop().await;
    drop(first);
    let begun = Instant::now();
    let again = session(&state).await;
    let restored = again.restore().await.unwrap();
    let took = begun.elapsed();
    println!("{} torrents came back in {took:?}", restored.torrents.len());
    assert_eq!(restored.torrents.len(), count);
    let is_ready = |torrent: &bt_client::Torrent| torrent.state() == State::Seeding;
    assert!(
        restored.torrents.iter().all(is_ready),
        "one is being hashed"
    );
    assert!(took < Duration::from_secs(30));
    again.stop().await;
}

/// Hears the request of somebody who announces and says no, so that nobody needs a goodbye.
async fn refuse(tracker: &tokio::net::TcpListener) {
    const NO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\nd14:failure reason4:nope!e";
    let (mut stream, _) = tracker.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
    stream.write_all(NO).await.unwrap();
}

/// Many torrents that want the same tracker in the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn torrents_that_come_back_together_are_announced_one_after_the_other() {
    const TORRENTS: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let (state, content) = (dir.path().join("state"), dir.path().join("content"));
    let tracker = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/announce", tracker.local_addr().unwrap());
    let first = session(&state).await;
    std::fs::create_dir(&content).unwrap();
    for number in 0..TORRENTS {
        let path = content.join(format!("file-{number}"));
        std::fs::write(&path, format!("content {number}")).unwrap();
        let mut torrent = create::create(&path, &create::Options::default()).unwrap();
        torrent.trackers = vec![vec![url.clone()]];
        let metainfo = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
        let add = AddTorrent::new(metainfo, &content);
        first.add(add).await.unwrap();
    }
    first.stop().await;
    drop(first);

    let begun = Instant::now();
    let config = SessionConfig {
        state: Some(Store::open(&state).unwrap()),
        ..SessionConfig::default()
    };
    let again = Session::start(config).await.unwrap();
    let restored = again.restore().await.unwrap();
    assert_eq!(restored.torrents.len(), TORRENTS);
    let paced = ANNOUNCES_PER_SECOND as usize * 3 / 2;
    for _ in 0..paced {
        refuse(&tracker).await;
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(480), "{paced} in {took:?}");
    // Those whose turn has not come are not announced any more, and nobody waits for them.
    let asked = tokio::spawn(async move {
        for asked in paced.. {
            refuse(&tracker).await;
            assert!(asked < TORRENTS, "all were announced");
        }
    });
    again.stop().await;
    assert!(!asked.is_finished());
    asked.abort();
}

/// A disk that is not mounted: the same path leads to another device, and the content is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_suddenly_on_another_device_is_not_filled() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("disk"), "stuff", FILES, 65_536);
    let path = dir.path().join("folder");
    std::os::unix::fs::symlink(dir.path().join("disk"), &path).unwrap();
    let first = session(&dir.path().join("state")).await;
    let torrent = first
        .add(AddTorrent::new(metainfo.clone(), &path))
        .await
        .unwrap();
    torrent.wait_until_seeding().await.unwrap();
    first.stop().await;
    drop((torrent, first));

    let device = |path: &std::path::Path| std::fs::metadata(path).unwrap().dev();
    let other = ["/dev/shm", "/tmp", "/var/tmp"]
        .map(std::path::Path::new)
        .into_iter()
        .find(|other| other.exists() && device(other) != device(dir.path()))
        .expect("a second file system");
    let other = tempfile::tempdir_in(other).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(other.path(), &path).unwrap();
    let second = session(&dir.path().join("state")).await;
    let refused = second.add(AddTorrent::new(metainfo.clone(), &path)).await;
    assert!(matches!(refused, Err(Error::Elsewhere(_))), "{refused:?}");
    assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 0);

    // Its owner may insist.
    let mut add = AddTorrent::new(metainfo, &path);
    add.check = Check::Always;
    let torrent = second.add(add).await.unwrap();
    let empty = |status: &bt_client::engine::Status| status.state == State::Downloading;
    torrent.wait_for(empty).await.unwrap();
    second.stop().await;
}
