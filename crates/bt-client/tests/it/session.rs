//! What an owner of a session can rely on, beyond the transfer itself.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bt_client::engine::State;
use bt_client::{AddTorrent, Check, Error, Session, SessionConfig};
use bt_metainfo::{Metainfo, create};
use bt_wire::{Handshake, PeerId, Reserved};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::content::{assert_same, share};

const PATIENCE: Duration = Duration::from_secs(60);
const FILES: &[(&str, usize)] = &[("one.bin", 1_500_000), ("two.bin", 600_000)];

async fn session(tune: impl FnOnce(&mut SessionConfig)) -> Session {
    let mut config = SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    };
    tune(&mut config);
    Session::start(config).await.unwrap()
}

fn at(session: &Session) -> Vec<SocketAddr> {
    vec![SocketAddr::from((Ipv4Addr::LOCALHOST, session.port()))]
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_download_that_is_complete_returns_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(dir.path(), "stuff", FILES, 65_536);
    let session = session(|_| {}).await;
    let torrent = session
        .add(AddTorrent::new(metainfo.clone(), dir.path()))
        .await
        .unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    let again = session.add(AddTorrent::new(metainfo, dir.path())).await;
    assert!(matches!(again, Err(Error::Duplicate(_))));
    session.stop().await;
    assert_eq!(torrent.state(), State::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_that_is_paused_and_resumed_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
    let (seed, leech) = (
        session(|_| {}).await,
        session(|config| config.down_rate = Some(1_000_000)).await,
    );
    seed.add(AddTorrent::initial_seeder(
        metainfo.clone(),
        dir.path().join("a"),
    ))
    .await
    .unwrap();
    let add = AddTorrent {
        peers: at(&seed),
        ..AddTorrent::new(metainfo, dir.path().join("b"))
    };
    let torrent = leech.add(add).await.unwrap();
    let some = torrent.wait_for(|status| status.pieces_have >= 3);
    let before = timeout(PATIENCE, some).await.expect("in time").unwrap();
    torrent.pause();
    assert_eq!((torrent.state(), torrent.peers().len()), (State::Paused, 0));
    torrent.resume();
    assert!(torrent.status().pieces_have >= before.pieces_have);
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert_same(&dir.path().join("a"), &dir.path().join("b"));
    seed.stop().await;
    leech.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_holds_for_all_peers_together() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
    let seeds = [
        session(|_| {}).await,
        session(|_| {}).await,
        session(|_| {}).await,
    ];
    for seed in &seeds {
        seed.add(AddTorrent::initial_seeder(
            metainfo.clone(),
            dir.path().join("a"),
        ))
        .await
        .unwrap();
    }
    let leech = session(|config| config.down_rate = Some(700_000)).await;
    let peers = seeds.iter().flat_map(at).collect();
    let began = Instant::now();
    let add = AddTorrent {
        peers,
        ..AddTorrent::new(metainfo, dir.path().join("b"))
    };
    let torrent = leech.add(add).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    let took = began.elapsed().as_secs_f64();
    // 2.1 MB at 0.7 MB/s, less the burst that a bucket starts with.
    assert!((2.2..20.0).contains(&took), "it took {took} s");
    leech.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_find_each_other_over_ipv6() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
    let six = |config: &mut SessionConfig| {
        config.ipv4 = false;
        config.bind = Some(Ipv6Addr::LOCALHOST.into());
    };
    let (seed, leech) = (session(six).await, session(six).await);
    seed.add(AddTorrent::initial_seeder(
        metainfo.clone(),
        dir.path().join("a"),
    ))
    .await
    .unwrap();
    let peers = vec![SocketAddr::from((Ipv6Addr::LOCALHOST, seed.port()))];
    let torrent = leech
        .add(AddTorrent {
            peers,
            ..AddTorrent::new(metainfo, dir.path().join("b"))
        })
        .await
        .unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert_same(&dir.path().join("a"), &dir.path().join("b"));
    seed.stop().await;
    leech.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_tracker_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let source = dir.path().join("a");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("x.bin"), crate::filler::bytes(300_000, 4)).unwrap();
    let url = format!("http://{}/announce", silent.local_addr().unwrap());
    let torrent =
        create::create(&source.join("x.bin"), &create::Options::for_tracker(url)).unwrap();
    let metainfo = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
    let (seed, leech) = (
        session(|c| c.trackers = true).await,
        session(|c| c.trackers = true).await,
    );
    let began = Instant::now();
    seed.add(AddTorrent::initial_seeder(metainfo.clone(), &source))
        .await
        .unwrap();
    let add = AddTorrent {
        peers: at(&seed),
        ..AddTorrent::new(metainfo, dir.path().join("b"))
    };
    let torrent = leech.add(add).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "it waited for the tracker"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_file_of_the_same_name_is_not_cut_and_a_seeded_one_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
    let seeded = dir.path().join("a/stuff/one.bin");
    let modified = std::fs::metadata(&seeded).unwrap().modified().unwrap();
    let longer = dir.path().join("b/stuff/one.bin");
    std::fs::create_dir_all(longer.parent().unwrap()).unwrap();
    std::fs::write(&longer, vec![7; 1_600_000]).unwrap();

    let (seed, leech) = (session(|_| {}).await, session(|_| {}).await);
    let mut add = AddTorrent::new(metainfo.clone(), dir.path().join("a"));
    add.check = Check::Always;
    seed.add(add).await.unwrap();
    let add = AddTorrent {
        peers: at(&seed),
        ..AddTorrent::new(metainfo, dir.path().join("b"))
    };
    let torrent = leech.add(add).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    seed.stop().await;
    assert_eq!(
        std::fs::metadata(&seeded).unwrap().modified().unwrap(),
        modified
    );
    let bytes = std::fs::read(&longer).unwrap();
    assert_eq!(bytes.len(), 1_600_000);
    assert_eq!(bytes[..1_500_000], std::fs::read(&seeded).unwrap());
    assert!(
        bytes[1_500_000..].iter().all(|byte| *byte == 7),
        "what lies behind is the owner's"
    );
    leech.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chosen_files_arrive_and_the_torrent_is_finished_not_seeding() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("a"), "stuff", FILES, 65_536);
    let (seed, leech) = (session(|_| {}).await, session(|_| {}).await);
    seed.add(AddTorrent::initial_seeder(
        metainfo.clone(),
        dir.path().join("a"),
    ))
    .await
    .unwrap();
    let mut add = AddTorrent {
        peers: at(&seed),
        ..AddTorrent::new(metainfo, dir.path().join("b"))
    };
    add.only_files = Some(vec![bt_metainfo::FileIndex(1)]);
    let torrent = leech.add(add).await.unwrap();
    timeout(PATIENCE, torrent.wait_until_seeding())
        .await
        .expect("in time")
        .unwrap();
    assert_eq!(torrent.state(), State::Finished);
    let read = |side| std::fs::read(dir.path().join(side).join("stuff/two.bin")).unwrap();
    assert!(read("a") == read("b"));
    seed.stop().await;
    leech.stop().await;
}

/// What we send is limited to a block in half a minute; what we ask for must not wait behind it.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_limit_does_not_slow_down_a_download_from_the_same_peer() {
    const HALVES: &[(&str, usize)] = &[("a.bin", 23 * 65_536), ("b.bin", 3_000_000)];
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(&dir.path().join("all"), "stuff", HALVES, 65_536);
    for (session, file) in [("one", "a.bin"), ("two", "b.bin")] {
        let to = dir.path().join(session).join("stuff");
        std::fs::create_dir_all(&to).unwrap();
        std::fs::copy(dir.path().join("all/stuff").join(file), to.join(file)).unwrap();
    }
    let (limited, free) = (
        session(|config| config.up_rate = Some(500)).await,
        session(|_| {}).await,
    );
    let other = AddTorrent::new(metainfo.clone(), dir.path().join("two"));
    let other = free.add(other).await.unwrap();
    let ready =
        other.wait_for(|status| status.pieces_have > 40 && status.state == State::Downloading);
    timeout(PATIENCE, ready).await.expect("in time").unwrap();
    let add = AddTorrent {
        peers: at(&free),
        ..AddTorrent::new(metainfo, dir.path().join("one"))
    };
    let torrent = limited.add(add).await.unwrap();
    let done = timeout(PATIENCE, torrent.wait_until_seeding()).await;
    done.expect("in time").unwrap();
    let uploaded = torrent.status().uploaded;
    assert!(
        uploaded <= 4 * 16_384,
        "{uploaded} bytes were uploaded first"
    );
    limited.stop().await;
    free.stop().await;
}

/// The side that dials was hung up on before it could see whose id it was, and called again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_told_to_call_itself_finds_out_and_forgets_the_address() {
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(dir.path(), "stuff", FILES, 65_536);
    let session = session(|_| {}).await;
    let add = AddTorrent {
        peers: at(&session),
        ..AddTorrent::new(metainfo, dir.path())
    };
    let torrent = session.add(add).await.unwrap();
    // What a user named is forgotten for no other reason.
    let forgotten = torrent.wait_for(|status| status.candidates == 0);
    timeout(PATIENCE, forgotten)
        .await
        .expect("in time")
        .unwrap();
    session.stop().await;
}

/// A peer that has sent its handshake and heard ours.
async fn caller(to: SocketAddr, metainfo: &Metainfo, number: u64) -> TcpStream {
    let handshake = Handshake {
        reserved: Reserved::default().with_fast(),
        info_hash: metainfo.info_hash(),
        peer_id: PeerId::generate("-XX0001-", number),
    };
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(&handshake.encode()).await.unwrap();
    stream.read_exact(&mut [0; 68]).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_come_and_go_leave_no_task_behind() {
    const PEERS: u8 = 30;
    let dir = tempfile::tempdir().unwrap();
    let metainfo = share(dir.path(), "stuff", FILES, 65_536);
    let session = session(|_| {}).await;
    let add = AddTorrent::new(metainfo.clone(), dir.path());
    let torrent = session.add(add).await.unwrap();
    torrent.wait_until_seeding().await.unwrap();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = tasks();
    for round in 0..3_u8 {
        let mut peers = Vec::new();
        for number in 0..PEERS {
            let seed = u64::from(round * PEERS + number);
            peers.push(caller(at(&session)[0], &metainfo, seed).await);
        }
        assert!(
            tasks() >= before + usize::from(PEERS),
            "one at least for each"
        );
        drop(peers);
        let all_gone = async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        };
        let gone = timeout(PATIENCE, all_gone).await;
        assert!(gone.is_ok(), "{} tasks, {before} before", tasks());
    }
    session.stop().await;
}
