//! A panic that is planted in the work of one torrent, in a session that has two.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bt_metainfo::{InfoHash, Metainfo, create};
use tokio::time::timeout;

use crate::engine::State;
use crate::state::Store;
use crate::{AddTorrent, Error, EventKind, EventStream, Session, SessionConfig, Torrent};

const PATIENCE: Duration = Duration::from_secs(120);

/// A file of its own content, and the torrent of it.
fn share(directory: &Path, name: &str) -> Metainfo {
    let mut state = name.len() as u64 + 77;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.to_be_bytes()
    };
    let bytes: Vec<u8> = (0..100_000).flat_map(|_| next()).collect();
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join(name), bytes).unwrap();
    let options = create::Options {
        piece_length: Some(65_536),
        ..create::Options::default()
    };
    let torrent = create::create(&directory.join(name), &options).unwrap();
    Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap()
}

async fn session(state: Option<Store>, rate: Option<u64>) -> Session {
    let config = SessionConfig {
        trackers: false,
        state,
        down_rate: rate,
        ..SessionConfig::default()
    };
    Session::start(config).await.unwrap()
}

/// One session that has two torrents, and one that fetches both of it, slowly.
struct Pair {
    dir: tempfile::TempDir,
    seed: Session,
    leech: Session,
    events: EventStream,
    a: Torrent,
    b: Torrent,
}

impl Pair {
    /// `plant` is asked to plant something in the first before it has a peer.
    async fn start(plant: impl FnOnce(&Torrent)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let (seed, leech) = (
            session(None, None).await,
            session(Some(store), Some(400_000)).await,
        );
        let events = leech.subscribe();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let mut torrents = Vec::new();
        for name in ["a", "bb"] {
            let metainfo = share(&from, name);
            let add = AddTorrent::initial_seeder(metainfo.clone(), &from);
            let add = AddTorrent {
                spread: Some(false),
                ..add
            };
            seed.add(add).await.unwrap();
            let add = AddTorrent {
                paused: true,
                ..Self::add(&seed, metainfo, &to)
            };
            torrents.push(leech.add(add).await.unwrap());
        }
        let (b, a) = (torrents.pop().unwrap(), torrents.pop().unwrap());
        plant(&a);
        a.resume();
        b.resume();
        Self {
            dir,
            seed,
            leech,
            events,
            a,
            b,
        }
    }

    fn add(seed: &Session, metainfo: Metainfo, to: &Path) -> AddTorrent {
        AddTorrent {
            peers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, seed.port()))],
            ..AddTorrent::new(metainfo, to)
        }
    }

    /// The first is told to have failed by a bug of ours, and claims nothing; no command brings it back.
    async fn first_breaks(&mut self) {
        let of = self.a.info_hash();
        assert_eq!(
            breaks(&mut self.events, of).await,
            "a bug of this program: planted"
        );
        let status = self.a.status();
        assert_eq!((status.state, status.pieces_have), (State::Failed, 0));
        assert_eq!(status.reason, "a bug of this program: planted");
        self.a.resume();
        self.a.recheck();
        assert_eq!(self.a.state(), State::Failed);
        let waited = timeout(PATIENCE, self.a.wait_until_seeding()).await;
        assert!(matches!(waited.expect("in time"), Err(Error::Failed(_))));
        let moved = self.a.move_to(self.dir.path().join("elsewhere")).await;
        assert!(matches!(moved, Err(Error::Bug(_))), "{moved:?}");
    }

    /// The second is downloaded to the end, and the first once more after it was removed.
    async fn others_go_on(self) -> PathBuf {
        complete(&self.b).await;
        assert_eq!(self.leech.bugs(), 1);
        let (metainfo, to) = (self.a.metainfo().clone(), self.dir.path().join("to"));
        self.a.remove().await;
        assert_eq!(self.a.state(), State::Stopped);
        let again = Self::add(&self.seed, metainfo, &to);
        complete(&self.leech.add(again).await.unwrap()).await;
        for name in ["a", "bb"] {
            let read = |side| std::fs::read(self.dir.path().join(side).join(name)).unwrap();
            assert!(read("from") == read("to"), "{name} differs");
        }
        self.leech.stop().await;
        self.seed.stop().await;
        self.dir.keep()
    }
}

/// In which words.
async fn breaks(events: &mut EventStream, of: InfoHash) -> String {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("in time");
        let event = event.expect("the session is there");
        match event.kind {
            EventKind::Completed if event.info_hash == of => panic!("told to be complete"),
            EventKind::Failed { kind, message, .. } => {
                assert_eq!((event.info_hash, kind), (of, "internal"));
                return message;
            }
            _ => {}
        }
    }
}

async fn complete(torrent: &Torrent) {
    match timeout(PATIENCE, torrent.wait_until_seeding()).await {
        Ok(done) => done.unwrap(),
        Err(_) => panic!("not complete in time: {:?}", torrent.status()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_the_timer_of_a_torrent_stops_that_one_alone() {
    let mut pair = Pair::start(|a| a.member.breakdown.planted.timer.plant()).await;
    pair.first_breaks().await;
    std::fs::remove_dir_all(pair.others_go_on().await).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_the_work_on_a_piece_stops_its_torrent_alone() {
    let mut pair = Pair::start(|a| a.member.content.planted.plant()).await;
    pair.first_breaks().await;
    std::fs::remove_dir_all(pair.others_go_on().await).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_bug_in_a_commit_nothing_of_that_torrent_is_told_to_be_safe() {
    let mut pair = Pair::start(|a| a.member.breakdown.planted.sync.plant()).await;
    pair.first_breaks().await;
    // What another one commits from now on has nothing of it.
    complete(&pair.b).await;
    let known = |torrent: &Torrent| {
        let session = torrent.member.session.upgrade().unwrap();
        let known = session.durable.store().unwrap().known(torrent.info_hash());
        known.unwrap().1.pieces.iter().count()
    };
    assert_eq!((known(&pair.a), known(&pair.b)), (0, 13));
    std::fs::remove_dir_all(pair.others_go_on().await).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_comes_after_a_panic_with_the_engine_locked_finds_the_torrent_stopped() {
    let mut pair = Pair::start(|_| {}).await;
    let some = pair.a.wait_for(|status| status.pieces_have > 0);
    timeout(PATIENCE, some).await.expect("in time").unwrap();
    pair.a.member.breakdown.planted.status.plant();
    // Nobody of ours catches it: it is the thread of whoever embeds the session.
    assert!(catch_unwind(AssertUnwindSafe(|| pair.a.status())).is_err());
    assert_eq!(pair.a.status().pieces_have, 0);
    let words = breaks(&mut pair.events, pair.a.info_hash()).await;
    assert!(words.ends_with("a thread broke off in the middle of its work"));
    complete(&pair.b).await;
    pair.leech.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_a_check_leaves_the_next_one_in_the_queue_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let here = session(None, None).await;
    let mut torrents = Vec::new();
    for name in ["a", "bb"] {
        let add = AddTorrent::new(share(dir.path(), name), dir.path());
        torrents.push(here.add(add).await.unwrap());
        complete(&torrents[torrents.len() - 1]).await;
    }
    let mut events = here.subscribe();
    torrents[0].member.breakdown.planted.check.plant();
    torrents[0].recheck();
    torrents[1].recheck();
    breaks(&mut events, torrents[0].info_hash()).await;
    complete(&torrents[1]).await;
    assert_eq!(torrents[0].state(), State::Failed);
    assert!(torrents[0].status().checking.is_none());
    here.stop().await;
}
