//! What a session leaves on the disk, and what it does not.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use bt_client::engine::{Priority, State};
use bt_client::state::Store;
use bt_client::{AddTorrent, Check, EventKind, Session, SessionConfig, Torrent};
use bt_metainfo::{FileIndex, Metainfo};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::content::{assert_same, share};

const PATIENCE: Duration = Duration::from_secs(60);

/// Pieces are of 64 KiB, so that each of these shares its first and its last one.
const FILES: &[(&str, usize)] = &[
    ("a.bin", 200_000),
    ("d.bin", 150_000),
    ("empty", 0),
    ("sub/b.bin", 300_001),
    ("sub/c.bin", 10),
];

async fn session(tune: impl FnOnce(&mut SessionConfig)) -> Session {
    let mut config = SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    };
    tune(&mut config);
    Session::start(config).await.unwrap()
}

/// A seed of [`FILES`] in `a/`, and a session that downloads to `b/`.
struct Swarm {
    dir: TempDir,
    metainfo: Metainfo,
    seed: Session,
    leech: Session,
}

impl Swarm {
    async fn new(tune: impl FnOnce(&mut SessionConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
        let (seed, leech) = (session(|_| {}).await, session(tune).await);
        // One that spreads shows a lone peer also what that has not selected, and waits for it to be fetched.
        let add = AddTorrent {
            spread: Some(false),
            ..AddTorrent::initial_seeder(metainfo.clone(), dir.path().join("a"))
        };
        seed.add(add).await.unwrap();
        Self {
            dir,
            metainfo,
            seed,
            leech,
        }
    }

    fn add(&self, only: &[u32]) -> AddTorrent {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, self.seed.port()));
        AddTorrent {
            peers: vec![peer],
            only_files: Some(only.iter().map(|file| FileIndex(*file)).collect()),
            ..AddTorrent::new(self.metainfo.clone(), self.dir.path().join("b"))
        }
    }

    fn parts(&self) -> std::path::PathBuf {
        let name = self.metainfo.info().parts_path();
        self.dir.path().join("b").join(name)
    }

    /// The downloading session ends, and another begins.
    async fn restart(&mut self, tune: impl FnOnce(&mut SessionConfig)) {
        self.leech.stop().await;
        // The old one has to be gone before what it holds can be had.
        drop(std::mem::replace(&mut self.leech, session(|_| {}).await));
        self.leech = session(tune).await;
    }

    async fn stop(self) {
        self.seed.stop().await;
        self.leech.stop().await;
    }
}

/// Returns when the wish has come true.
async fn until(torrent: &Torrent, state: State) {
    let there = torrent.wait_for(|status| status.state == state);
    match timeout(PATIENCE, there).await {
        Ok(reached) => drop(reached.unwrap()),
        Err(_) => panic!("not {state:?} in time: {:?}", torrent.status()),
    }
}

/// Every file and directory below, but not the parts.
fn visible(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path.clone());
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if !name.starts_with('.') {
                found.insert(name);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_selected_leave_no_trace_and_their_parts_move_in_when_they_are() {
    let swarm = Swarm::new(|_| {}).await;
    let b = swarm.dir.path().join("b");
    let torrent = swarm.leech.add(swarm.add(&[3])).await.unwrap();
    until(&torrent, State::Finished).await;
    let expected = ["stuff", "stuff/sub", "stuff/sub/b.bin"].map(str::to_owned);
    assert_eq!(visible(&b), BTreeSet::from(expected));
    assert!(
        swarm.parts().exists(),
        "its neighbors' bytes are kept for others"
    );

    // What came for the neighbors is served and found again by a check.
    torrent.remove().await;
    let mut again = swarm.add(&[3]);
    (again.check, again.peers) = (Check::Always, Vec::new());
    let torrent = swarm.leech.add(again).await.unwrap();
    until(&torrent, State::Finished).await;
    let had = torrent.status();
    assert_eq!(
        had.pieces_have, 5,
        "all pieces of the selected file, shared ones included"
    );
    torrent.remove().await;

    // Everything is wanted now: the parts move into the files.
    let torrent = swarm.leech.add(swarm.add(&[3])).await.unwrap();
    until(&torrent, State::Finished).await;
    let all: Vec<_> = (0..5)
        .map(|file| (FileIndex(file), Priority::Normal))
        .collect();
    torrent.set_priorities(&all).await.unwrap();
    until(&torrent, State::Seeding).await;
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert!(!swarm.parts().exists(), "nothing is left for it to hold");
    assert_same(&swarm.dir.path().join("a"), &b);
    let size = swarm.metainfo.info().layout().total_length();
    assert_eq!(
        torrent.status().downloaded,
        size - had.bytes_have,
        "no byte of the parts is fetched again"
    );
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_priorities_is_obeyed_within_two_seconds() {
    // Slow enough to be in the middle when the wish changes.
    let swarm = Swarm::new(|config| config.down_rate = Some(100_000)).await;
    let torrent = swarm.leech.add(swarm.add(&[0, 1, 2, 3, 4])).await.unwrap();
    let some = torrent.wait_for(|status| status.downloaded > 0);
    timeout(PATIENCE, some).await.expect("in time").unwrap();

    let began = Instant::now();
    let skip: Vec<_> = (0..5)
        .map(|file| (FileIndex(file), Priority::Skip))
        .collect();
    torrent.set_priorities(&skip).await.unwrap();
    until(&torrent, State::Finished).await;
    assert!(
        torrent.peers().iter().all(|peer| peer.requests == 0),
        "nothing is under way"
    );
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        began.elapsed()
    );

    torrent
        .set_priorities(&[(FileIndex(1), Priority::High)])
        .await
        .unwrap();
    assert_eq!(torrent.priorities()[1], Priority::High);
    until(&torrent, State::Downloading).await;
    until(&torrent, State::Finished).await;
    let (a, b) = ("a/stuff/d.bin", "b/stuff/d.bin");
    let read = |path: &str| std::fs::read(swarm.dir.path().join(path)).unwrap();
    assert!(read(a) == read(b));
    assert!(
        torrent
            .set_priorities(&[(FileIndex(9), Priority::Low)])
            .await
            .is_err()
    );
    swarm.stop().await;
}

/// Bytes that were hashed, and bytes that were trusted, at the next start.
async fn checked(session: &Session, add: AddTorrent) -> (Torrent, u64, u64) {
    let mut events = session.subscribe();
    let torrent = session.add(add).await.unwrap();
    loop {
        let next = timeout(PATIENCE, events.next()).await.expect("in time");
        if let EventKind::Checked { hashed, trusted } = next.unwrap().kind {
            return (torrent, hashed, trusted);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_finds_what_lies_among_the_parts_also_of_a_file_that_is_there_in_part() {
    let state = tempfile::tempdir().unwrap();
    let keep = |config: &mut SessionConfig| {
        config.state = Some(Store::open(state.path()).unwrap());
    };
    let mut swarm = Swarm::new(keep).await;
    let (a, b) = (swarm.dir.path().join("a"), swarm.dir.path().join("b"));
    let torrent = swarm.leech.add(swarm.add(&[3])).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();

    // The one piece that d.bin has for itself was under way when it was given up: it made the file.
    let piece = 65_536;
    let own = 4 * piece - 200_000;
    let whole = std::fs::read(a.join("stuff/d.bin")).unwrap();
    let mut part = vec![0; own];
    part.extend_from_slice(&whole[own..own + piece]);
    let half_made = b.join("stuff/d.bin");
    for found in [0, piece as u64] {
        swarm.restart(keep).await;
        if found > 0 {
            std::fs::write(&half_made, &part).unwrap();
        }
        let mut add = swarm.add(&[3]);
        add.peers = Vec::new();
        // Of b.bin the first and the last piece are shared; of d.bin that one is hashed as well.
        let (torrent, hashed, trusted) = checked(&swarm.leech, add).await;
        let last = swarm.metainfo.info().layout().total_length() - 9 * piece as u64;
        assert_eq!(
            (hashed, trusted),
            (piece as u64 + last + found, 3 * piece as u64)
        );
        until(&torrent, State::Finished).await;
        if found > 0 {
            // It is wanted now: the parts of it move in. Its first piece is missing, which a.bin shares.
            torrent
                .set_priorities(&[(FileIndex(1), Priority::High)])
                .await
                .unwrap();
            until(&torrent, State::Downloading).await;
            let there = std::fs::read(&half_made).unwrap();
            assert!(
                there[own..] == whole[own..],
                "moved, and nothing overwritten"
            );
        }
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_recheck_finds_lost_is_not_believed_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let keep = |config: &mut SessionConfig| {
        config.state = Some(Store::open(state.path()).unwrap());
    };
    let mut swarm = Swarm::new(keep).await;
    let torrent = swarm.leech.add(swarm.add(&[0, 1, 2, 3, 4])).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    for whole in [false, true] {
        swarm.restart(keep).await;
        let mut add = swarm.add(&[0, 1, 2, 3, 4]);
        add.peers = Vec::new();
        let (torrent, ..) = checked(&swarm.leech, add.clone()).await;
        let file = swarm.dir.path().join("b/stuff/sub/b.bin");
        let mut bytes = std::fs::read(&file).unwrap();
        // A byte of a piece that is good still.
        bytes[100_000 + 100_000 * usize::from(whole)] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let had = torrent.status().pieces_have;
        if whole {
            torrent.recheck();
        } else {
            torrent.recheck_file(FileIndex(3)).unwrap();
        }
        let lost = torrent
            .wait_for(|status| status.state == State::Downloading && status.pieces_have == had - 1);
        timeout(PATIENCE, lost).await.expect("in time").unwrap();

        swarm.restart(keep).await;
        let (torrent, ..) = checked(&swarm.leech, add).await;
        assert_eq!(torrent.status().pieces_have, had - 1, "whole: {whole}");
    }
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_found_by_a_recheck_and_repaired_from_the_swarm() {
    let swarm = Swarm::new(|_| {}).await;
    let torrent = swarm.leech.add(swarm.add(&[0, 1, 2, 3, 4])).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    let file = swarm.dir.path().join("b/stuff/sub/b.bin");
    let damage = || {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[150_000] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    };
    for whole in [false, true] {
        damage();
        let before = torrent.status().downloaded;
        if whole {
            torrent.recheck();
        } else {
            torrent.recheck_file(FileIndex(3)).unwrap();
        }
        let repaired = torrent.wait_for(|status| {
            status.state == State::Seeding && status.downloaded == before + 65_536
        });
        match timeout(PATIENCE, repaired).await {
            Ok(reached) => drop(reached.unwrap()),
            Err(_) => panic!("whole: {whole}, not in time: {:?}", torrent.status()),
        }
        assert_same(&swarm.dir.path().join("a"), &swarm.dir.path().join("b"));
    }
    assert!(torrent.recheck_file(FileIndex(5)).is_err());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_disk_has_lost_is_noticed_without_asking_and_repaired_from_the_swarm() {
    let swarm = Swarm::new(|config| config.scrub_rate = Some(1_000_000)).await;
    let mut events = swarm.leech.subscribe();
    let torrent = swarm.leech.add(swarm.add(&[0, 1, 2, 3, 4])).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    let before = torrent.status().downloaded;
    // One byte in place: a file that is written anew would be short for a moment.
    let path = swarm.dir.path().join("b/stuff/sub/b.bin");
    let file = std::fs::File::options().read(true).write(true).open(path);
    let (file, mut byte) = (file.unwrap(), [0]);
    file.read_exact_at(&mut byte, 150_000).unwrap();
    file.write_all_at(&[!byte[0]], 150_000).unwrap();
    let noticed = async {
        loop {
            if let EventKind::Warning {
                kind: "scrub",
                message,
            } = events.next().await.unwrap().kind
            {
                return message;
            }
        }
    };
    let message = timeout(PATIENCE, noticed).await.expect("in time");
    assert!(
        message.contains("sub/b.bin is no longer what it was"),
        "{message}"
    );
    let repaired = torrent
        .wait_for(|status| status.state == State::Seeding && status.downloaded == before + 65_536);
    timeout(PATIENCE, repaired).await.expect("in time").unwrap();
    assert_same(&swarm.dir.path().join("a"), &swarm.dir.path().join("b"));
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_the_content_removes_what_is_ours_and_nothing_else() {
    let swarm = Swarm::new(|_| {}).await;
    let b = swarm.dir.path().join("b");
    let torrent = swarm.leech.add(swarm.add(&[0, 3])).await.unwrap();
    until(&torrent, State::Finished).await;
    std::fs::write(b.join("stuff/notes.txt"), "mine").unwrap();
    std::fs::create_dir(b.join("stuff/d.bin")).unwrap();
    assert!(swarm.parts().exists());
    torrent.remove_with_data().await.unwrap();
    let left = ["stuff", "stuff/d.bin", "stuff/notes.txt"].map(str::to_owned);
    assert_eq!(visible(&b), BTreeSet::from(left));
    assert!(!swarm.parts().exists());

    // Without anything of others the directory goes as well; the download directory stays.
    std::fs::remove_file(b.join("stuff/notes.txt")).unwrap();
    std::fs::remove_dir(b.join("stuff/d.bin")).unwrap();
    let torrent = swarm.leech.add(swarm.add(&[0, 1, 2, 3, 4])).await.unwrap();
    until(&torrent, State::Seeding).await;
    torrent.remove_with_data().await.unwrap();
    assert_eq!(visible(&b), BTreeSet::new());
    swarm.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_replaced_stops_its_torrent_and_no_other() {
    let swarm = Swarm::new(|config| config.down_rate = Some(150_000)).await;
    let b = swarm.dir.path().join("b");
    let other = share(
        &swarm.dir.path().join("c"),
        "other",
        &[("x", 100_000)],
        65_536,
    );
    let other = AddTorrent::new(other, swarm.dir.path().join("c"));
    let other = swarm.leech.add(other).await.unwrap();
    let torrent = swarm.leech.add(swarm.add(&[0, 1, 2, 3, 4])).await.unwrap();
    let some = torrent.wait_for(|status| status.pieces_have >= 1);
    timeout(PATIENCE, some).await.expect("in time").unwrap();

    // As if its disk was unmounted: an empty directory stands in its place.
    std::fs::rename(&b, swarm.dir.path().join("away")).unwrap();
    std::fs::create_dir(&b).unwrap();
    until(&torrent, State::Failed).await;
    let reason = torrent.status().reason;
    assert!(
        reason.contains("not the directory that was used before"),
        "{reason}"
    );
    assert_eq!(
        visible(&b),
        BTreeSet::new(),
        "nothing is written in its place"
    );
    assert_eq!(other.state(), State::Seeding);

    // It is back: nothing that was verified is lost.
    let had = torrent.status().pieces_have;
    std::fs::remove_dir(&b).unwrap();
    std::fs::rename(swarm.dir.path().join("away"), &b).unwrap();
    torrent.resume();
    until(&torrent, State::Seeding).await;
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert!(had >= 1);
    assert_same(&swarm.dir.path().join("a"), &b);
    swarm.stop().await;
}
