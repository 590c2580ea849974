//! Torrents made by `create` against those that other programs make of the same content.
//!
//! A program that is not installed is left out by name; where all of them must be there, in CI, a missing one
//! is a failure.

#![cfg(feature = "create")]

mod programs;
mod trees;

use std::path::Path;

use bt_metainfo::create::{Options, create};
use bt_metainfo::{Metainfo, verify};
use programs::Program;
use trees::{Tree, trees};

/// What is asked of every program.
#[derive(Clone, Debug)]
struct Wish {
    piece_length: u32,
    private: bool,
    source: Option<&'static str>,
}

fn wishes() -> Vec<Wish> {
    let plain = |piece_length| Wish { piece_length, private: false, source: None };
    vec![
        plain(32 << 10),
        plain(256 << 10),
        plain(4 << 20),
        Wish { private: true, ..plain(64 << 10) },
        Wish { source: Some("SOURCE"), ..plain(64 << 10) },
        Wish { private: true, source: Some("quelle é"), ..plain(128 << 10) },
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
    Metainfo::parse(&torrent.to_bytes().expect("the parts make a torrent")).expect("our torrents can be read")
}

/// Compares the torrents of every tree and wish. `exclude` is what the program leaves out by itself.
fn compare(program: Program, exclude: &[&str], takes: impl Fn(&Tree, &Wish) -> bool) {
    if !program.is_installed() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut compared = 0;
    for tree in trees() {
        let path = tree.write(folder.path());
        for wish in wishes() {
            if !takes(&tree, &wish) {
                continue;
            }
            let torrent = folder.path().join("theirs.torrent");
            program.create(&path, &wish, &torrent);
            let bytes = std::fs::read(&torrent).expect("the program wrote a torrent");
            std::fs::remove_file(&torrent).expect("the torrent can be removed");
            let theirs = Metainfo::parse(&bytes).expect("their torrents can be read");
            let ours = ours(&path, &wish, exclude);
            let what = format!("{program:?}: {} with {wish:?}", tree.name);
            assert_eq!(
                String::from_utf8_lossy(without_pieces(&ours)),
                String::from_utf8_lossy(without_pieces(&theirs)),
                "{what}"
            );
            assert_eq!(ours.info_hash(), theirs.info_hash(), "{what}");
            let report = verify::verify(
                theirs.info(),
                folder.path(),
                &verify::Options::default(),
                &std::sync::atomic::AtomicBool::new(false),
                |_| {},
            )
            .expect("the content can be checked");
            assert!(report.is_complete(), "{what}: {report:?}");
            compared += 1;
        }
    }
    assert!(compared > 10, "{program:?}: only {compared} torrents were compared");
}

/// The part of the info dictionary that people can read, for messages that say what differs.
fn without_pieces(torrent: &Metainfo) -> &[u8] {
    let raw = torrent.info().raw();
    let end = raw.windows(8).position(|bytes| bytes == b"6:pieces").unwrap_or(raw.len());
    &raw[..end]
}

#[test]
fn mktorrent_makes_the_same_torrents() {
    compare(Program::Mktorrent, &[], |_, _| true);
}

#[test]
fn torf_makes_the_same_torrents() {
    // It leaves out hidden files, and orders by names instead of whole paths.
    compare(Program::Torf, &[".*"], |tree, _| !tree.depends_on_order);
}

#[test]
fn libtorrent_makes_the_same_torrents() {
    // It has no option for the source.
    compare(Program::Libtorrent, &[], |_, wish| wish.source.is_none());
}
