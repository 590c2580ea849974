//! Torrents at the end of what is allowed: terabytes of which little is here, and very many files.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use bt_client::engine::State;
use bt_client::{AddTorrent, Session, SessionConfig, Torrent};
use bt_metainfo::{Metainfo, create};
use sha2::Digest as _;
use tokio::time::timeout;

/// Generous: what is measured is printed.
const PATIENCE: Duration = Duration::from_secs(300);

async fn session() -> Session {
    let config = SessionConfig {
        trackers: false,
        ..SessionConfig::default()
    };
    Session::start(config).await.unwrap()
}

/// Bytes of memory of this process, the tests beside this one included.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let number = line.split_ascii_whitespace().nth(1).unwrap();
    number.parse::<u64>().unwrap() * 1024
}

fn tell(what: &str, since: Instant) {
    eprintln!(
        "{what}: {:?}, {} MiB of memory",
        since.elapsed(),
        resident() >> 20
    );
}

async fn until(torrent: &Torrent, pieces: u32) {
    let there =
        torrent.wait_for(|status| status.pieces_have >= pieces && status.state != State::Checking);
    match timeout(PATIENCE, there).await {
        Ok(there) => drop(there.unwrap()),
        Err(_) => panic!("not in time: {:?}", torrent.status()),
    }
}

const TERABYTES: u64 = 4 << 40;
const PIECE: u64 = 16 << 20;

/// One file of four terabytes, of which three pieces have the bytes that the torrent says.
fn huge(path: &Path) -> Metainfo {
    let file = File::create(path).unwrap();
    file.set_len(TERABYTES).unwrap();
    let mut pieces = vec![b'?'; usize::try_from(TERABYTES / PIECE).unwrap() * 20];
    for piece in [0, 131_000, TERABYTES / PIECE - 1] {
        let bytes: Vec<u8> = (0..PIECE)
            .map(|at| (at * 7 + piece).to_le_bytes()[0])
            .collect();
        file.write_all_at(&bytes, piece * PIECE).unwrap();
        let hash = bt_metainfo::lanes::sha1_each(&[&[bytes.as_slice()]]);
        let at = usize::try_from(piece).unwrap() * 20;
        pieces[at..at + 20].copy_from_slice(&hash[0]);
    }
    let head = format!(
        "d4:infod6:lengthi{TERABYTES}e4:name4:huge12:piece lengthi{PIECE}e6:pieces{}:",
        pieces.len()
    );
    let mut torrent = head.into_bytes();
    torrent.extend(pieces);
    torrent.extend(b"ee");
    Metainfo::parse(&torrent).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn four_terabytes_with_three_pieces_cost_three_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::create_dir(&a).unwrap();
    let metainfo = huge(&a.join("huge"));
    let (seed, leech) = (session().await, session().await);
    let begun = Instant::now();
    let source = seed
        .add(AddTorrent::new(metainfo.clone(), &a))
        .await
        .unwrap();
    until(&source, 3).await;
    tell("4 TiB of holes looked at", begun);
    assert_eq!(source.status().pieces_have, 3, "and no more");

    let begun = Instant::now();
    let add = AddTorrent {
        peers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, seed.port()))],
        ..AddTorrent::new(metainfo, &b)
    };
    let torrent = leech.add(add).await.unwrap();
    until(&torrent, 3).await;
    tell("its three pieces downloaded", begun);
    let other = tempfile::tempdir_in("/dev/shm").expect("a second file system");
    let begun = Instant::now();
    torrent.move_to(other.path()).await.unwrap();
    tell("moved to another file system", begun);
    let meta = std::fs::metadata(other.path().join("huge")).unwrap();
    assert_eq!(meta.len(), TERABYTES);
    assert!(meta.blocks() * 512 < 8 * PIECE, "{} blocks", meta.blocks());
    leech.stop().await;
    seed.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_are_shared() {
    const FILES: usize = 100_000;
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let content = |number: usize| format!("file {number:06}");
    let path = |number: usize| format!("many/{:03}/{number}", number / 500);
    for number in 0..FILES {
        let file = a.join(path(number));
        if number % 500 == 0 {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        }
        std::fs::write(file, content(number)).unwrap();
    }
    let begun = Instant::now();
    let torrent = create::create(&a.join("many"), &create::Options::default()).unwrap();
    let metainfo = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
    tell("a torrent made of 100,000 files", begun);
    let pieces = metainfo.info().layout().piece_count();
    let (seed, leech) = (session().await, session().await);
    let begun = Instant::now();
    let source = seed
        .add(AddTorrent::new(metainfo.clone(), &a))
        .await
        .unwrap();
    until(&source, pieces).await;
    tell("100,000 files hashed", begun);
    let begun = Instant::now();
    let add = AddTorrent {
        peers: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, seed.port()))],
        ..AddTorrent::new(metainfo, &b)
    };
    let torrent = leech.add(add).await.unwrap();
    match timeout(PATIENCE, torrent.wait_until_seeding()).await {
        Ok(done) => done.unwrap(),
        Err(_) => panic!("not in time: {:?}", torrent.status()),
    }
    tell("100,000 files downloaded and safe", begun);
    let begun = Instant::now();
    torrent.rename(None, "others").await.unwrap();
    tell("100,000 files given other names", begun);
    let digest = |root: &Path, top: &str| {
        let mut all = sha2::Sha256::new();
        for number in (0..FILES).step_by(7) {
            let name = path(number).replacen("many", top, 1);
            all.update(std::fs::read(root.join(name)).unwrap());
        }
        all.finalize().to_vec()
    };
    assert_eq!(digest(&a, "many"), digest(&b, "others"));
    leech.stop().await;
    seed.stop().await;
}
