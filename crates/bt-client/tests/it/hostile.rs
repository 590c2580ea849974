//! Torrents made to write outside of their directory, while somebody swaps directories for links under our hands.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bt_client::disk::{Content, Disk, Done, Site};
use bt_metainfo::{Layout, Metainfo, lanes};
use bytes::Bytes;
use rustix::fs::{Mode, OFlags, RenameFlags, mkdirat, open, openat, renameat_with};

/// A longer run: `BT_HOSTILE_SECONDS=60`.
const SECONDS: u64 = 2;

/// Names as bytes: up, absolute, drives, devices, links to be, empty, and much too long.
const NAMES: [&[u8]; 18] = [
    b"stuff",
    b"sub",
    b"..",
    b".",
    b"",
    b"../outside",
    b"../../outside/canary",
    b"/",
    b"/tmp/outside",
    b"a/../../outside",
    b"..\\..\\outside",
    b"C:\\outside",
    b"con",
    b"stuff\0",
    b"\xff\xfe",
    b"link",
    b"outside",
    &[b'x'; 300],
];

fn string(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

/// A torrent of `top` with a file at `path`, one at `sub/canary` and an empty one.
fn torrent(top: &[u8], path: [&[u8]; 2], data: &[u8]) -> Option<Metainfo> {
    let file = |length: usize, path: [&[u8]; 2]| {
        let names = path.map(string).concat();
        let head = format!("d6:lengthi{length}e4:pathl");
        [head.as_bytes(), &names, b"ee"].concat()
    };
    let files = [
        file(data.len() - 10, path),
        file(10, [b"sub", b"canary"]),
        file(0, [b"sub", b"new"]),
    ];
    let hash = lanes::sha1_each(&[&[data]])[0];
    let info = [
        b"d5:filesl".as_slice(),
        &files.concat(),
        b"e4:name",
        &string(top),
        b"12:piece lengthi16384e6:pieces",
        &string(&hash),
        b"e",
    ];
    Metainfo::parse(&[b"d4:info".as_slice(), &info.concat(), b"e"].concat()).ok()
}

/// Every file below, with its bytes.
fn picture(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(picture(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}

/// Downloads one torrent from memory and deletes it again; whatever the disk says to that.
fn attack(disk: &Disk, metainfo: Metainfo, root: &Path, data: &[u8]) {
    let layout: Arc<Layout> = Arc::new(metainfo.info().layout().clone());
    let (sender, verdict) = mpsc::channel();
    let report = Box::new(move |done| {
        let _ = sender.send(matches!(done, Done::Good { .. }));
    });
    let metainfo = Arc::new(metainfo);
    let site = Site::plain(root.to_path_buf());
    let content = Content::new(disk, metainfo, Arc::clone(&layout), site, report);
    let _ = content.select(|_| true, |_| true);
    let blocks = layout.pieces().flat_map(|piece| layout.blocks(piece));
    let whole = Bytes::copy_from_slice(data);
    content.store(blocks.map(|block| (block, whole.clone())));
    verdict
        .recv_timeout(Duration::from_secs(30))
        .expect("a verdict on the piece");
    let _ = content.sync();
    let _ = content.delete();
}

#[test]
fn hostile_torrents_touch_nothing_outside_while_directories_become_links() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    for path in ["canary", "sub/canary", "sub/sub/canary"] {
        let path = outside.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"untouched!").unwrap();
    }
    let before = picture(&outside);
    let root = dir.path().join("root");
    std::fs::create_dir_all(root.join("stuff/sub")).unwrap();
    symlink(&outside, root.join("link")).unwrap();
    symlink(outside.join("sub"), root.join("link2")).unwrap();

    let data: Vec<u8> = (0..110u8).collect();
    let mut torrents = Vec::new();
    for top in NAMES {
        for path in NAMES {
            torrents.extend(torrent(top, [path, b"canary"], &data));
        }
    }
    assert!(torrents.len() >= 300, "only {} load", torrents.len());

    let stop = Arc::new(AtomicBool::new(false));
    let racer = std::thread::spawn({
        let (stop, root) = (Arc::clone(&stop), root.clone());
        move || {
            let mut swaps = 0u64;
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let (mode, exchange) = (Mode::from_raw_mode(0o777), RenameFlags::EXCHANGE);
            let root = open(&root, flags, Mode::empty()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let _ = mkdirat(&root, "stuff", mode);
                // By descriptor: the racer itself must not follow a link and carry a canary away.
                if let Ok(stuff) = openat(&root, "stuff", flags, Mode::empty()) {
                    let _ = mkdirat(&stuff, "sub", mode);
                    for _ in 0..2 {
                        let done = renameat_with(&stuff, "sub", &root, "link2", exchange);
                        swaps += u64::from(done.is_ok());
                    }
                }
                for _ in 0..2 {
                    let done = renameat_with(&root, "stuff", &root, "link", exchange);
                    swaps += u64::from(done.is_ok());
                }
            }
            swaps
        }
    });
    let seconds = std::env::var("BT_HOSTILE_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |text| text.parse().unwrap());
    let disk = Disk::start(1 << 20).unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut attacks = 0u64;
    while Instant::now() < end || attacks < 300 {
        let number = usize::try_from(attacks).unwrap() % torrents.len();
        attack(&disk, torrents[number].clone(), &root, &data);
        attacks += 1;
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = racer.join().unwrap();
    println!("{attacks} attacks, {swaps} swaps in {seconds} s");
    assert!(swaps > 100, "nobody raced");
    assert_eq!(picture(&outside), before);
}
