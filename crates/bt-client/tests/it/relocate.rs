//! Content that changes its place or its names while the torrent runs, and that a later run finds there.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bt_client::engine::State;
use bt_client::limits::MAX_SUFFIX_BYTES;
use bt_client::state::Store;
use bt_client::state::knowledge::{Footing, Leaving, Moving, Settings, Stand};
use bt_client::{AddTorrent, Allocation, Check, Error, EventKind, Session, SessionConfig, Torrent};
use bt_metainfo::{FileIndex, Metainfo};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::content::{assert_same, share};

const PATIENCE: Duration = Duration::from_secs(60);

const FILES: &[(&str, usize)] = &[
    ("a.bin", 2_000_000),
    ("empty", 0),
    ("sub/b.bin", 1_000_001),
    ("sub/c", 9),
];
const SIZE: u64 = 3_000_010;

/// A seed, and a session with a state that downloads from it.
struct Pair {
    dir: TempDir,
    metainfo: Metainfo,
    seed: Session,
    leech: Session,
}

async fn session(state: Option<&Path>, down: Option<u64>) -> Session {
    let config = SessionConfig {
        trackers: false,
        state: state.map(|state| Store::open(state).unwrap()),
        down_rate: down,
        ..SessionConfig::default()
    };
    Session::start(config).await.unwrap()
}

impl Pair {
    async fn new(down: Option<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metainfo = share(&dir.path().join("source"), "stuff", FILES, 65_536);
        let seed = session(None, None).await;
        let add = AddTorrent {
            spread: Some(false),
            ..AddTorrent::initial_seeder(metainfo.clone(), dir.path().join("source"))
        };
        seed.add(add).await.unwrap();
        let leech = session(Some(&dir.path().join("state")), down).await;
        Self {
            dir,
            metainfo,
            seed,
            leech,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn add(&self, name: &str) -> AddTorrent {
        AddTorrent {
            peers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, self.seed.port()))],
            ..AddTorrent::new(self.metainfo.clone(), self.path(name))
        }
    }

    /// As a process that ends and one that begins.
    async fn restart(&mut self) -> Vec<Torrent> {
        self.leech.stop().await;
        drop(std::mem::replace(
            &mut self.leech,
            session(None, None).await,
        ));
        self.leech = session(Some(&self.path("state")), None).await;
        let restored = self.leech.restore().await.unwrap();
        assert!(restored.failed.is_empty(), "{:?}", restored.failed);
        restored.torrents
    }

    /// Changes what the last run has kept.
    async fn edit(&mut self, change: impl FnOnce(&mut Settings)) {
        self.leech.stop().await;
        let none = session(None, None).await;
        drop(std::mem::replace(&mut self.leech, none));
        let store = Store::open(&self.path("state")).unwrap();
        let mut saved = store.torrents().unwrap().pop().unwrap();
        change(&mut saved.settings);
        store.save(&saved.metainfo, &saved.settings).unwrap();
        store.close().unwrap();
        self.leech = session(Some(&self.path("state")), None).await;
    }

    async fn stop(self) {
        self.seed.stop().await;
        self.leech.stop().await;
    }
}

async fn complete(torrent: &Torrent) {
    match timeout(PATIENCE, torrent.wait_until_seeding()).await {
        Ok(done) => done.unwrap(),
        Err(_) => panic!("not complete in time: {:?}", torrent.status()),
    }
}

async fn until_some(torrent: &Torrent) {
    let some = torrent.wait_for(|status| status.pieces_have >= 5);
    let some = timeout(PATIENCE, some).await.expect("in time").unwrap();
    assert_eq!(
        some.state,
        State::Downloading,
        "too fast to be in the middle"
    );
}

/// A directory on another file system.
fn other_disk() -> TempDir {
    tempfile::tempdir_in("/dev/shm").expect("a second file system")
}

#[tokio::test(flavor = "multi_thread")]
async fn content_moves_while_it_is_downloaded_and_served_and_is_found_there_again() {
    let mut pair = Pair::new(Some(500_000)).await;
    let other = other_disk();
    let torrent = pair.leech.add(pair.add("one")).await.unwrap();
    until_some(&torrent).await;
    // Within the file system, then to another one, and again within that.
    let places = [
        pair.path("two"),
        other.path().join("three"),
        other.path().join("four"),
    ];
    for place in &places {
        torrent.move_to(place).await.unwrap();
        assert!(place.join("stuff/a.bin").exists());
    }
    for left in [
        pair.path("one"),
        pair.path("two"),
        other.path().join("three"),
    ] {
        assert_eq!(
            std::fs::read_dir(left).unwrap().count(),
            0,
            "nothing of it stays"
        );
    }
    complete(&torrent).await;
    assert_eq!(torrent.status().hash_failures, 0);
    assert_same(&pair.path("source"), &places[2]);

    // As a seed, with times that say that nobody has touched it.
    torrent.move_to(pair.path("five")).await.unwrap();
    assert_same(&pair.path("source"), &pair.path("five"));
    drop(torrent);
    let torrents = pair.restart().await;
    let status = torrents[0].status();
    assert_eq!(
        (status.bytes_have, status.state),
        (SIZE, State::Seeding),
        "known at once"
    );
    drop(torrents);
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_where_others_have_files_of_that_name_is_refused() {
    let pair = Pair::new(None).await;
    let torrent = pair.leech.add(pair.add("one")).await.unwrap();
    complete(&torrent).await;
    std::fs::create_dir_all(pair.path("two/stuff")).unwrap();
    std::fs::write(pair.path("two/stuff/a.bin"), "mine").unwrap();
    let Err(Error::Disk(error)) = torrent.move_to(pair.path("two")).await else {
        panic!("it was not refused");
    };
    assert!(error.to_string().contains("two/stuff/a.bin"), "{error}");
    assert!(error.hint().contains("nothing that is there is replaced"));
    assert_eq!(
        std::fs::read(pair.path("two/stuff/a.bin")).unwrap(),
        b"mine"
    );
    assert_eq!(torrent.state(), State::Seeding);
    assert_same(&pair.path("source"), &pair.path("one"));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_content_lies_apart_until_it_is_complete_also_over_a_restart() {
    for is_other in [false, true] {
        let mut pair = Pair::new(Some(500_000)).await;
        let other = other_disk();
        let apart = if is_other {
            other.path().join("apart")
        } else {
            pair.path("apart")
        };
        let add = AddTorrent {
            incomplete_dir: Some(apart.clone()),
            incomplete_suffix: Some(".part".to_owned()),
            allocation: Allocation::Full,
            ..pair.add("done")
        };
        let torrent = pair.leech.add(add).await.unwrap();
        until_some(&torrent).await;
        assert!(apart.join("stuff/a.bin.part").exists());
        assert!(!pair.path("done").exists(), "nothing is there before");
        drop(torrent);

        let torrents = pair.restart().await;
        let torrent = &torrents[0];
        let had = torrent.status().bytes_have;
        assert!(had >= 4 * 65_536, "{had} bytes are known");
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, pair.seed.port()));
        drop(torrents);
        // The same once more by its owner, who need not say again where it lies.
        pair.leech.stop().await;
        drop(std::mem::replace(
            &mut pair.leech,
            session(None, None).await,
        ));
        pair.leech = session(Some(&pair.path("state")), None).await;
        let mut events = pair.leech.subscribe();
        let torrent = pair
            .leech
            .add(AddTorrent {
                peers: vec![addr],
                ..pair.add("done")
            })
            .await
            .unwrap();
        complete(&torrent).await;
        assert_same(&pair.path("source"), &pair.path("done"));
        assert_eq!(torrent.status().downloaded, SIZE - had);
        assert_eq!(std::fs::read_dir(&apart).unwrap().count(), 0);
        let completed = async {
            loop {
                match events.next().await.unwrap().kind {
                    EventKind::Moved { directory } => assert_eq!(directory, pair.path("done")),
                    EventKind::Completed => return,
                    _ => {}
                }
            }
        };
        timeout(PATIENCE, completed).await.expect("in time");
        drop(torrent);
        let torrents = pair.restart().await;
        assert_eq!(torrents[0].status().bytes_have, SIZE);
        drop(torrents);
        pair.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_content_that_cannot_go_where_it_belongs_says_so_and_goes_later() {
    let pair = Pair::new(None).await;
    // No file, so that the content is not taken to be there already.
    std::fs::create_dir_all(pair.path("done/stuff/a.bin")).unwrap();
    let add = AddTorrent {
        incomplete_dir: Some(pair.path("apart")),
        ..pair.add("done")
    };
    let torrent = pair.leech.add(add).await.unwrap();
    let refused = timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time");
    match refused {
        Err(Error::Failed(why)) => assert!(why.contains("done/stuff/a.bin"), "{why}"),
        other => panic!("{other:?}"),
    }
    std::fs::remove_dir(pair.path("done/stuff/a.bin")).unwrap();
    torrent.resume();
    complete(&torrent).await;
    assert_same(&pair.path("source"), &pair.path("done"));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_complete_at_its_place_stays_there() {
    let pair = Pair::new(None).await;
    let add = AddTorrent {
        incomplete_dir: Some(pair.path("apart")),
        incomplete_suffix: Some(".part".to_owned()),
        ..pair.add("source")
    };
    let torrent = pair.leech.add(add).await.unwrap();
    complete(&torrent).await;
    assert_eq!(torrent.status().downloaded, 0);
    assert!(!pair.path("apart").exists());
    let session = session(None, None).await;
    let suffixed = |suffix: &str| AddTorrent {
        incomplete_suffix: Some(suffix.to_owned()),
        ..AddTorrent::new(pair.metainfo.clone(), pair.path("else"))
    };
    // Bytes count, not characters.
    let longest = "é".repeat(MAX_SUFFIX_BYTES / 2) + "x";
    assert_eq!(longest.len(), MAX_SUFFIX_BYTES);
    let long = [longest.clone() + "y", "é".repeat(MAX_SUFFIX_BYTES)];
    for bad in ["/x", "\0", &long[0], &long[1]] {
        let refused = session.add(suffixed(bad)).await;
        assert!(matches!(refused, Err(Error::Suffix(_))), "{bad:?}");
    }
    assert!(session.add(suffixed(&longest)).await.is_ok());
    session.stop().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_places_that_are_one_ask_for_no_move() {
    let pair = Pair::new(None).await;
    std::fs::create_dir(pair.path("done")).unwrap();
    std::os::unix::fs::symlink(pair.path("done"), pair.path("link")).unwrap();
    for apart in [pair.path("./done"), pair.path("link")] {
        let add = AddTorrent {
            incomplete_dir: Some(apart),
            incomplete_suffix: Some(String::new()),
            ..pair.add("done")
        };
        let torrent = pair.leech.add(add).await.unwrap();
        complete(&torrent).await;
        assert_same(&pair.path("source"), &pair.path("done"));
        torrent.move_to(pair.path("link")).await.unwrap();
        assert_same(&pair.path("source"), &pair.path("done"));
        torrent.remove_with_data().await.unwrap();
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_change_while_it_runs_and_stay_so() {
    let mut pair = Pair::new(Some(500_000)).await;
    let torrent = pair.leech.add(pair.add("one")).await.unwrap();
    until_some(&torrent).await;
    torrent.rename(None, "other").await.unwrap();
    torrent
        .rename(Some(FileIndex(2)), "deep/er/ü.bin")
        .await
        .unwrap();
    assert_eq!(
        torrent.path(FileIndex(2)),
        pair.path("one/other/deep/er/ü.bin")
    );
    for bad in ["", "../x", "/x", "a//b", "con", "a\0b"] {
        let refused = torrent.rename(Some(FileIndex(0)), bad).await;
        assert!(
            matches!(refused, Err(Error::Name { .. })),
            "{bad:?}: {refused:?}"
        );
    }
    assert!(matches!(
        torrent.rename(None, "a/b").await,
        Err(Error::Name { .. })
    ));
    assert!(matches!(
        torrent.rename(Some(FileIndex(9)), "x").await,
        Err(Error::NoSuchFile(9))
    ));
    let taken = torrent.rename(Some(FileIndex(0)), "deep/er/ü.bin").await;
    assert!(matches!(taken, Err(Error::Disk(_))), "{taken:?}");
    complete(&torrent).await;

    let renamed = |dir: PathBuf| {
        std::fs::create_dir_all(dir.join("stuff/sub")).unwrap();
        std::fs::rename(dir.join("other/a.bin"), dir.join("stuff/a.bin")).unwrap();
        std::fs::rename(dir.join("other/empty"), dir.join("stuff/empty")).unwrap();
        std::fs::rename(dir.join("other/deep/er/ü.bin"), dir.join("stuff/sub/b.bin")).unwrap();
        std::fs::rename(dir.join("other/sub/c"), dir.join("stuff/sub/c")).unwrap();
        std::fs::remove_dir_all(dir.join("other")).unwrap();
    };
    drop(torrent);
    let torrents = pair.restart().await;
    assert_eq!(
        torrents[0].status().bytes_have,
        SIZE,
        "found under its new names"
    );
    // Hashed in full it is found as well.
    torrents[0].recheck();
    complete(&torrents[0]).await;
    assert_eq!(torrents[0].status().downloaded, 0);
    drop(torrents);
    renamed(pair.path("one"));
    assert_same(&pair.path("source"), &pair.path("one"));
    pair.stop().await;
}

/// All that is below a directory that is a file.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn stand(directory: &Path) -> Stand {
    use std::os::unix::ffi::OsStrExt;
    Stand {
        directory: directory.as_os_str().as_bytes().to_vec(),
        ..Stand::default()
    }
}

/// A link to another file system stands for a mount, and an empty directory in its place for a mount point.
#[tokio::test(flavor = "multi_thread")]
async fn content_does_not_go_where_a_disk_was_that_is_not_mounted_any_more() {
    let pair = Pair::new(Some(500_000)).await;
    let (other, mount) = (other_disk(), pair.path("mount"));
    std::os::unix::fs::symlink(other.path(), &mount).unwrap();
    let add = AddTorrent {
        incomplete_dir: Some(pair.path("apart")),
        ..pair.add("mount/done")
    };
    let torrent = pair.leech.add(add).await.unwrap();
    until_some(&torrent).await;
    std::fs::remove_file(&mount).unwrap();
    std::fs::create_dir(&mount).unwrap();
    let refused = timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time");
    match refused {
        Err(Error::Failed(why)) => assert!(why.contains("mount/done"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(std::fs::read_dir(&mount).unwrap().count(), 0);

    std::fs::remove_dir(&mount).unwrap();
    std::os::unix::fs::symlink(other.path(), &mount).unwrap();
    torrent.resume();
    complete(&torrent).await;
    assert_same(&pair.path("source"), &pair.path("mount/done"));
    pair.stop().await;
}

/// As after a crash while names were given on a disk that is not mounted at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_disk_is_not_mounted_at_the_next_start_is_not_ended_without_it() {
    let mut pair = Pair::new(None).await;
    let torrent = pair.leech.add(pair.add("mount/one")).await.unwrap();
    complete(&torrent).await;
    drop(torrent);
    let (one, two) = (pair.path("mount/one"), pair.path("mount/two"));
    let moving = Moving {
        to: stand(&two),
        placing: true,
        ground: Some(Footing {
            path: stand(&two).directory,
            device: 0,
            inode: 0,
        }),
        ..Moving::default()
    };
    pair.edit(|settings| settings.moving = Some(moving)).await;
    // One file has its new name, and then all is gone.
    std::fs::create_dir_all(two.join("stuff")).unwrap();
    std::fs::rename(one.join("stuff/a.bin"), two.join("stuff/a.bin")).unwrap();
    std::fs::rename(pair.path("mount"), pair.path("away")).unwrap();
    std::fs::create_dir(pair.path("mount")).unwrap();
    let refused = pair.leech.add(pair.add("mount/one")).await;
    assert!(matches!(refused, Err(Error::Elsewhere(_))), "{refused:?}");
    assert_eq!(std::fs::read_dir(pair.path("mount")).unwrap().count(), 0);

    std::fs::remove_dir(pair.path("mount")).unwrap();
    std::fs::rename(pair.path("away"), pair.path("mount")).unwrap();
    let restored = pair.leech.restore().await.unwrap();
    assert!(restored.failed.is_empty(), "{:?}", restored.failed);
    assert_eq!(restored.torrents[0].status().bytes_have, SIZE);
    assert_same(&pair.path("source"), &two);
    assert!(files(&one).is_empty(), "nothing of it stays");
    drop(restored);
    pair.stop().await;
}

/// Its owner may insist on the directories as they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_whose_disk_is_gone_for_good_can_be_given_up() {
    let mut pair = Pair::new(None).await;
    let torrent = pair.leech.add(pair.add("one")).await.unwrap();
    complete(&torrent).await;
    drop(torrent);
    let moving = Moving {
        to: stand(&pair.path("gone")),
        placing: true,
        ..Moving::default()
    };
    pair.edit(|settings| settings.moving = Some(moving)).await;
    std::fs::remove_dir_all(pair.path("one")).unwrap();
    let refused = pair.leech.add(pair.add("one")).await;
    assert!(matches!(refused, Err(Error::Elsewhere(_))), "{refused:?}");
    let add = AddTorrent {
        check: Check::Always,
        ..pair.add("one")
    };
    let torrent = pair.leech.add(add).await.unwrap();
    complete(&torrent).await;
    assert_same(&pair.path("source"), &pair.path("one"));
    assert!(!pair.path("gone").exists());
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_leaves_while_it_moves_leaves_one_copy_or_none() {
    for with_data in [false, true] {
        let pair = Pair::new(None).await;
        let other = other_disk();
        let torrent = pair.leech.add(pair.add("one")).await.unwrap();
        complete(&torrent).await;
        let mut events = pair.leech.subscribe();
        let moves = async {
            // Whether it is called off or done in time is the same here.
            let _ = torrent.move_to(other.path()).await;
        };
        let leaves = async {
            loop {
                if let EventKind::Moving { .. } = events.next().await.unwrap().kind {
                    break;
                }
            }
            match with_data {
                false => torrent.remove().await,
                true => torrent.remove_with_data().await.unwrap(),
            }
        };
        let both = futures::future::join(moves, leaves);
        timeout(PATIENCE, both).await.expect("in time");
        let [here, there] = [pair.path("one"), other.path().to_owned()];
        let left = [files(&here), files(&there)];
        assert!(left.iter().any(Vec::is_empty), "{left:?}");
        if with_data {
            assert!(left.iter().all(Vec::is_empty), "{left:?}");
        } else {
            let place = if left[0].is_empty() { there } else { here };
            assert_same(&pair.path("source"), &place);
        }
        pair.stop().await;
    }
}

/// The old copy could not be removed in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_leaves_takes_the_old_copy_of_its_content_along() {
    let mut pair = Pair::new(None).await;
    let torrent = pair.leech.add(pair.add("two")).await.unwrap();
    complete(&torrent).await;
    drop(torrent);
    let old = pair.path("old");
    let leaving = Leaving {
        from: stand(&old),
        until: Some((i64::MAX, 0)),
    };
    pair.edit(|settings| settings.leaving = Some(leaving)).await;
    // It cannot be opened at the next start.
    std::os::unix::fs::symlink(&old, &old).unwrap();
    let mut restored = pair.leech.restore().await.unwrap();
    let torrent = restored.torrents.pop().unwrap();
    std::fs::remove_file(&old).unwrap();
    std::fs::create_dir_all(old.join("stuff")).unwrap();
    std::fs::copy(pair.path("two/stuff/a.bin"), old.join("stuff/a.bin")).unwrap();
    torrent.remove().await;
    assert_eq!(std::fs::read_dir(&old).unwrap().count(), 0);
    assert_same(&pair.path("source"), &pair.path("two"));
    pair.stop().await;
}

/// A directory stands for the mount point, and then a link to another file system for what is mounted there.
#[tokio::test(flavor = "multi_thread")]
async fn content_goes_to_a_disk_that_was_mounted_after_the_torrent_was_added() {
    let pair = Pair::new(Some(500_000)).await;
    let (other, mount) = (other_disk(), pair.path("mount"));
    std::fs::create_dir(&mount).unwrap();
    let add = AddTorrent {
        incomplete_dir: Some(pair.path("apart")),
        ..pair.add("mount/done")
    };
    let torrent = pair.leech.add(add).await.unwrap();
    until_some(&torrent).await;
    std::fs::remove_dir(&mount).unwrap();
    std::os::unix::fs::symlink(other.path(), &mount).unwrap();
    complete(&torrent).await;
    assert_same(&pair.path("source"), &other.path().join("done"));
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_whose_files_were_removed_is_put_apart_anew_and_what_is_left_of_it_is_not() {
    let mut pair = Pair::new(None).await;
    let torrent = pair.leech.add(pair.add("done")).await.unwrap();
    complete(&torrent).await;
    drop(torrent);
    // Files of others say nothing of the content.
    std::fs::write(pair.path("done/stuff/notes.txt"), "mine").unwrap();
    for (is_any_left, place) in [(true, "done"), (false, "apart")] {
        pair.edit(|_| {}).await;
        for name in ["a.bin", "sub/b.bin", "sub/c"] {
            std::fs::remove_file(pair.path("done/stuff").join(name)).unwrap();
        }
        // A file without bytes is of the content, too.
        if !is_any_left {
            std::fs::remove_file(pair.path("done/stuff/empty")).unwrap();
        }
        let add = AddTorrent {
            incomplete_dir: Some(pair.path("apart")),
            ..pair.add("done")
        };
        let torrent = pair.leech.add(add).await.unwrap();
        let path = torrent.path(FileIndex(0));
        assert!(path.starts_with(pair.path(place)), "{}", path.display());
        complete(&torrent).await;
        assert!(pair.path("done/stuff/a.bin").exists());
    }
    pair.stop().await;
}
