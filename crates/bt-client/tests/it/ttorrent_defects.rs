//! What went wrong in ttorrent and its issues, held against a session of ours.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use bt_bencode::OwnedValue;
use bt_client::{AddTorrent, Session, SessionConfig};
use bt_metainfo::{Metainfo, create};
use tokio::time::timeout;

use crate::content::share;

const PATIENCE: Duration = Duration::from_secs(60);

async fn session(trackers: bool) -> Session {
    let config = SessionConfig {
        trackers,
        ipv6: false,
        ..SessionConfig::default()
    };
    Session::start(config).await.unwrap()
}

fn dict(pairs: Vec<(&str, OwnedValue)>) -> OwnedValue {
    let pairs = pairs.into_iter();
    OwnedValue::Dict(pairs.map(|(key, value)| (key.into(), value)).collect())
}

/// Percentages of nothing divide by zero there; here nothing is complete at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_torrent_of_empty_files_is_complete_and_leaves_them_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = OwnedValue::List(vec![name.into()]);
        dict(vec![("length", 0.into()), ("path", path)])
    };
    let info = dict(vec![
        ("files", OwnedValue::List(vec![file("x"), file("y")])),
        ("name", "none".into()),
        ("piece length", 65_536.into()),
        ("pieces", "".into()),
    ]);
    let metainfo = Metainfo::parse(&dict(vec![("info", info)]).encode()).unwrap();
    assert_eq!(metainfo.info().layout().piece_count(), 0);
    let session = session(false).await;
    let into = dir.path().join("b");
    let add = AddTorrent::new(metainfo, &into);
    let torrent = session.add(add).await.unwrap();
    let waited = timeout(PATIENCE, torrent.wait_until_seeding()).await;
    waited.expect("in time").unwrap();
    for name in ["x", "y"] {
        let file = into.join("none").join(name);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "{file:?}");
    }
    session.stop().await;
}

/// `left` overflowed there from 2 GiB on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_five_gibibytes_is_announced_in_full() {
    const LENGTH: i64 = 5 << 30;
    const PIECE: i64 = 4 << 20;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let hashes = vec![b'h'; usize::try_from(LENGTH / PIECE).unwrap() * 20];
    let info = dict(vec![
        ("length", LENGTH.into()),
        ("name", "large.bin".into()),
        ("piece length", PIECE.into()),
        ("pieces", hashes.into()),
    ]);
    let whole = dict(vec![("announce", url.as_str().into()), ("info", info)]);
    let metainfo = Metainfo::parse(&whole.encode()).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let session = session(true).await;
    let add = AddTorrent::new(metainfo, dir.path());
    let _torrent = session.add(add).await.unwrap();
    let request = tokio::task::spawn_blocking(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    });
    let request = timeout(PATIENCE, request)
        .await
        .expect("an announce")
        .unwrap();
    assert!(request.contains("&left=5368709120&"), "{request}");
    session.stop().await;
}

/// Set for the process that counts its own threads, apart from those of other tests.
const ALONE: &str = "BT_TEST_COUNTS_THREADS";

/// Whether this is the process that runs this test alone; otherwise it has run in one, and has passed.
fn is_alone(name: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let command = command.args(["--exact", name, "--nocapture"]);
    let output = command.env(ALONE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
    false
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Threads piled up there with each torrent (mpetazzoni/ttorrent#95).
#[test]
fn threads_do_not_grow_with_torrents() {
    if !is_alone("ttorrent_defects::threads_do_not_grow_with_torrents") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let session = session(false).await;
        let mut counts = Vec::new();
        let mut torrents = Vec::new();
        for number in 0..60_u16 {
            let name = format!("t{number}");
            let metainfo = share(
                dir.path(),
                &name,
                &[("f", 1_000 + usize::from(number))],
                65_536,
            );
            let add = AddTorrent {
                peers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 9))],
                ..AddTorrent::new(metainfo, dir.path())
            };
            let torrent = session.add(add).await.unwrap();
            let waited = timeout(PATIENCE, torrent.wait_until_seeding()).await;
            waited.expect("in time").unwrap();
            torrents.push(torrent);
            counts.push(threads());
        }
        // The pool may start one more where its last one has ended its work but not yet said so.
        assert!(
            counts[59] < counts[9] + 10,
            "threads with 1 … 60 torrents: {counts:?}"
        );
        session.stop().await;
    });
}

/// And with each peer.
#[test]
fn threads_do_not_grow_with_peers() {
    if !is_alone("ttorrent_defects::threads_do_not_grow_with_peers") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let metainfo = share(dir.path(), "t", &[("f", 100_000)], 65_536);
        let info_hash = *metainfo.info_hash().as_bytes();
        let session = session(false).await;
        let torrent = session.add(AddTorrent::new(metainfo, dir.path()));
        let torrent = torrent.await.unwrap();
        let waited = timeout(PATIENCE, torrent.wait_until_seeding()).await;
        waited.expect("in time").unwrap();
        let (mut peers, mut counts) = (Vec::new(), Vec::new());
        for number in 0..40_u8 {
            let mut peer = TcpStream::connect((Ipv4Addr::LOCALHOST, session.port())).unwrap();
            peer.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut id = *b"-XX0001-000000000000";
            id[19] = number;
            let head = [&b"\x13BitTorrent protocol"[..], &[0; 8]].concat();
            let hello = [&head[..], &info_hash, &id].concat();
            peer.write_all(&hello).unwrap();
            let mut answer = [0; 68];
            peer.read_exact(&mut answer).unwrap();
            assert_eq!(answer[28..48], info_hash);
            peers.push(peer);
            counts.push(threads());
        }
        assert!(
            counts[39] < counts[9] + 10,
            "threads with 1 … 40 peers: {counts:?}"
        );
        session.stop().await;
    });
}

/// Torrents shared one thread for their trackers there, and it waited for one that was silent.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_udp_tracker_keeps_no_other_torrent_from_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(true).await;
    let mut kept = Vec::new();
    for name in ["one", "two"] {
        // Both are silent; the second is asked although the first has not answered.
        let tracker = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        tracker.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("udp://{}/announce", tracker.local_addr().unwrap());
        let file = dir.path().join(name);
        std::fs::write(&file, name).unwrap();
        let options = create::Options::for_tracker(url);
        let torrent = create::create(&file, &options).unwrap();
        let metainfo = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
        let add = AddTorrent::new(metainfo, dir.path());
        let torrent = session.add(add).await.unwrap();
        let heard = tokio::task::spawn_blocking(move || {
            // A machine that is frozen for a moment interrupts waits with a time limit.
            let received = loop {
                match tracker.recv(&mut [0; 100]) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    received => break received,
                }
            };
            (received.expect("an announce"), tracker)
        });
        let (length, tracker) = heard.await.unwrap();
        assert_eq!(length, 16, "a connect request");
        // It stays there, and says nothing.
        kept.push((torrent, tracker));
    }
    session.stop().await;
}
