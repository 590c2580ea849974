//! Torrents made by `create` against those that other programs make of the same content.
//!
//! A program that is not installed is left out by name; where all of them must be there, in CI, a
//! missing one is a failure.

#![cfg(feature = "create")]

mod programs;
mod trees;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use bt_metainfo::create::{Options, create};
use bt_metainfo::verify::Verdict;
use bt_metainfo::{Metainfo, Version, verify};
use programs::Program;
use trees::{Tree, trees};

/// What is asked of every program.
#[derive(Clone, Copy, Debug)]
struct Wish {
    piece_length: u32,
    private: bool,
    source: Option<&'static str>,
}

fn wishes() -> Vec<Wish> {
    let plain = |piece_length| Wish {
        piece_length,
        private: false,
        source: None,
    };
    vec![
        plain(32 << 10),
        plain(256 << 10),
        plain(4 << 20),
        Wish {
            private: true,
            ..plain(64 << 10)
        },
        Wish {
            source: Some("SOURCE"),
            ..plain(64 << 10)
        },
        Wish {
            private: true,
            source: Some("quelle é"),
            ..plain(128 << 10)
        },
    ]
}

fn ours(path: &Path, wish: &Wish, exclude: &[&str]) -> Metainfo {
    let options = Options {
        trackers: vec![vec![programs::TRACKER.into()]],
        piece_length: Some(wish.piece_length),
        private: wish.private,
        source: wish.source.map(Into::into),
        exclude: exclude.iter().map(|&glob| glob.into()).collect(),
        ..Options::default()
    };
    let torrent = create(path, &options).expect("the content makes a torrent");
    Metainfo::parse(&torrent.to_bytes().expect("the parts make a torrent"))
        .expect("our torrents can be read")
}

/// Compares the torrents of every tree and wish. `exclude` is what the program leaves out by itself,
/// `orders` which trees it puts in our order, and `knows` which wishes it has options for.
fn compare(
    program: Program,
    exclude: &[&str],
    orders: fn(&Tree) -> bool,
    knows: fn(&Wish) -> bool,
) {
    if !program.is_installed() {
        return;
    }
    let wishes: Vec<Wish> = wishes().into_iter().filter(knows).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut compared = 0;
    for tree in trees().into_iter().filter(orders) {
        let path = tree.write(folder.path());
        let torrents = program.create(&path, &wishes, folder.path());
        for (wish, theirs) in wishes.iter().zip(torrents) {
            let theirs = Metainfo::parse(&theirs).expect("their torrents can be read");
            let ours = ours(&path, wish, exclude);
            let what = format!("{program:?}: {} with {wish:?}", tree.name);
            assert_eq!(
                String::from_utf8_lossy(without_pieces(&ours)),
                String::from_utf8_lossy(without_pieces(&theirs)),
                "{what}"
            );
            assert_eq!(ours.info_hash(), theirs.info_hash(), "{what}");
            let report = check(&theirs, folder.path());
            assert!(report.is_complete(), "{what}: {report:?}");
            compared += 1;
        }
    }
    assert!(
        compared > 10,
        "{program:?}: only {compared} torrents were compared"
    );
}

fn check(torrent: &Metainfo, path: &Path) -> verify::Report {
    let (options, never) = (verify::Options::default(), AtomicBool::new(false));
    verify::verify(torrent.info(), path, &options, &never, |_| {})
        .expect("the content can be checked")
}

/// The part of the info dictionary that people can read, for messages that say what differs.
fn without_pieces(torrent: &Metainfo) -> &[u8] {
    let raw = torrent.info().raw();
    let end = raw
        .windows(8)
        .position(|bytes| bytes == b"6:pieces")
        .unwrap_or(raw.len());
    &raw[..end]
}

#[test]
fn mktorrent_makes_the_same_torrents() {
    compare(Program::Mktorrent, &[], |_| true, |_| true);
}

#[test]
fn torf_makes_the_same_torrents() {
    // It leaves out hidden files, and orders by names instead of whole paths.
    compare(
        Program::Torf,
        &[".*"],
        |tree| !tree.depends_on_order,
        |_| true,
    );
}

#[test]
fn libtorrent_makes_the_same_torrents() {
    // It has no option for the source.
    compare(
        Program::Libtorrent,
        &[],
        |_| true,
        |wish| wish.source.is_none(),
    );
}

#[test]
fn content_of_hybrid_torrents_is_checked_without_their_padding() {
    if !Program::Libtorrent.is_installed() {
        return;
    }
    let wish = Wish {
        piece_length: 32 << 10,
        private: false,
        source: None,
    };
    // Where order matters, libtorrent 2.1.1 writes files in an order that it then refuses itself.
    for tree in trees().into_iter().filter(|tree| !tree.depends_on_order) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = tree.write(folder.path());
        let torrent = Program::create_hybrid(&path, wish, folder.path());
        let torrent = Metainfo::parse(&torrent).expect("their torrents can be read");
        let info = torrent.info();
        assert_eq!(info.version(), Version::Hybrid);
        let report = check(&torrent, folder.path());
        assert!(report.is_complete(), "{}: {report:?}", tree.name);

        let longest = info
            .layout()
            .files()
            .filter(|&file| !info.layout().is_pad(file));
        let longest = longest
            .max_by_key(|&file| info.layout().file_length(file))
            .expect("a file");
        let file = folder.path().join(info.disk_path(longest));
        let mut bytes = fs::read(&file).expect("the file is there");
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        fs::write(&file, bytes).expect("the file can be written");
        let bad: Vec<_> = check(&torrent, folder.path())
            .pieces(Verdict::Bad)
            .map(|piece| piece.0)
            .collect();
        assert_eq!(
            bad,
            [info.layout().pieces_of_file(longest).end - 1],
            "{}",
            tree.name
        );
    }
}
