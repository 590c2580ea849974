//! Checks of real folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Error, Event, Options, Place, Problem, Report, Verdict, verify};
use crate::assemble::{Assembly, Content, File};
use crate::create;
use crate::lanes::sha1_each;
use crate::{FileIndex, Metainfo, PieceIndex};

const PIECE: usize = 16 << 10;

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| ((at * 31 + seed * 7) ^ (at >> 9)).to_le_bytes()[0])
        .collect()
}

/// A folder `name` with these files inside a temporary folder, and its torrent.
fn torrent(name: &str, files: &[(&str, usize)]) -> (TempDir, Metainfo) {
    let parent = tempfile::tempdir().unwrap();
    for (seed, &(path, length)) in files.iter().enumerate() {
        let path = parent.path().join(name).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes(seed, length)).unwrap();
    }
    let options = create::Options {
        piece_length: Some(16 << 10),
        ..create::Options::default()
    };
    let torrent = create::create(&parent.path().join(name), &options).unwrap();
    (
        parent,
        Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap(),
    )
}

fn check(torrent: &Metainfo, path: &Path) -> Report {
    verify(
        torrent.info(),
        path,
        &Options::default(),
        &AtomicBool::new(false),
        |_| {},
    )
    .unwrap()
}

/// One letter for each piece.
fn letters(report: &Report) -> String {
    let letter = |verdict: &Verdict| match verdict {
        Verdict::Good => 'g',
        Verdict::Bad => 'b',
        Verdict::Missing => 'm',
        Verdict::Unchecked => '-',
    };
    report.verdicts.iter().map(letter).collect()
}

fn problems(report: &Report, parent: &Path) -> Vec<String> {
    let parent = format!("{}/", parent.display());
    report
        .files
        .iter()
        .map(|file| file.to_string().replace(&parent, ""))
        .collect()
}

#[test]
fn content_is_found_by_its_own_path_and_by_its_parents() {
    let (parent, torrent) = torrent("t", &[("a", 40_000), ("sub/b", 10), ("empty", 0)]);
    for path in [parent.path().to_path_buf(), parent.path().join("t")] {
        let report = check(&torrent, &path);
        assert_eq!(letters(&report), "ggg");
        assert!(report.is_complete(), "{report:?}");
    }
    let renamed = parent.path().join("other");
    fs::rename(parent.path().join("t"), &renamed).unwrap();
    assert!(check(&torrent, &renamed).is_complete());
    assert_eq!(letters(&check(&torrent, parent.path())), "mmm");
}

#[test]
fn a_single_file_is_found_by_its_own_path_and_by_its_parents() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("f.bin");
    fs::write(&file, bytes(1, 40_000)).unwrap();
    let torrent = create::create(&file, &create::Options::default()).unwrap();
    let torrent = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
    assert!(check(&torrent, parent.path()).is_complete());
    assert!(check(&torrent, &file).is_complete());
    let renamed = parent.path().join("g");
    fs::rename(&file, &renamed).unwrap();
    assert!(check(&torrent, &renamed).is_complete());
    let report = check(&torrent, parent.path());
    assert_eq!(problems(&report, parent.path()), ["f.bin: missing"]);
    // A link that the caller names is meant; see the next test for those found below.
    let link = parent.path().join("link");
    symlink("g", &link).unwrap();
    assert!(check(&torrent, &link).is_complete());
}

#[test]
fn a_folder_in_the_torrent_named_like_the_torrent_confuses_nobody() {
    let (parent, torrent) = torrent("t", &[("t/a", 40_000), ("b", 40_000)]);
    for path in [parent.path().to_path_buf(), parent.path().join("t")] {
        assert!(check(&torrent, &path).is_complete(), "{}", path.display());
    }
    let check_as = |place, path: &Path| {
        let options = Options {
            place,
            ..Options::default()
        };
        verify(
            torrent.info(),
            path,
            &options,
            &AtomicBool::new(false),
            |_| {},
        )
        .unwrap()
        .is_complete()
    };
    assert!(check_as(Place::Parent, parent.path()));
    assert!(check_as(Place::Content, &parent.path().join("t")));
    assert!(!check_as(Place::Content, parent.path()));
    assert!(!check_as(Place::Parent, &parent.path().join("t")));
}

#[test]
fn every_kind_of_damage_has_its_verdict_and_its_name() {
    // Ten files of two pieces each.
    let names: Vec<String> = (0..10).map(|i| format!("f{i}")).collect();
    let files: Vec<(&str, usize)> = names
        .iter()
        .map(|name| (name.as_str(), 2 * PIECE))
        .collect();
    let (parent, torrent) = torrent("t", &files);
    let at = |name: &str| parent.path().join("t").join(name);
    let mut damaged = bytes(0, 2 * PIECE);
    damaged[PIECE] ^= 1;
    fs::write(at("f0"), damaged).unwrap();
    fs::remove_file(at("f1")).unwrap();
    fs::File::options()
        .write(true)
        .open(at("f2"))
        .unwrap()
        .set_len(PIECE as u64)
        .unwrap();
    fs::File::options()
        .write(true)
        .open(at("f3"))
        .unwrap()
        .set_len(PIECE as u64 + 1)
        .unwrap();
    fs::write(at("f4"), [bytes(4, 2 * PIECE), b"more".to_vec()].concat()).unwrap();
    fs::remove_file(at("f5")).unwrap();
    fs::create_dir(at("f5")).unwrap();
    fs::rename(at("f6"), parent.path().join("elsewhere")).unwrap();
    symlink("../elsewhere", at("f6")).unwrap();
    fs::write(at("f7"), "").unwrap();
    fs::remove_file(at("f8")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("f8"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();

    let report = check(&torrent, parent.path());
    assert_eq!(letters(&report), "gbmmgmgbggmmmmmmmmgg");
    assert!(!report.is_complete());
    assert_eq!(
        problems(&report, parent.path()),
        [
            "t/f1: missing",
            "t/f2: 16384 bytes long instead of 32768",
            "t/f3: 16385 bytes long instead of 32768",
            "t/f4: 32772 bytes long instead of 32768; the rest is not part of the torrent",
            "t/f5: not a file",
            "t/f6: behind a symbolic link, or below something that is no folder",
            "t/f7: 0 bytes long instead of 32768",
            "t/f8: not a file",
        ]
    );
    let bad: Vec<_> = report.pieces(Verdict::Bad).collect();
    assert_eq!(bad, [PieceIndex(1), PieceIndex(7)]);
    assert_eq!(report.pieces(Verdict::Good).count(), 7);
}

#[test]
fn no_link_is_followed_on_the_way_to_a_file() {
    let (parent, torrent) = torrent("t", &[("sub/deep/f", 100), ("g", 100)]);
    let outside = parent.path().join("outside");
    fs::rename(parent.path().join("t/sub"), &outside).unwrap();
    symlink(&outside, parent.path().join("t/sub")).unwrap();
    let report = check(&torrent, parent.path());
    assert_eq!(letters(&report), "b");
    assert!(
        matches!(report.files[0].problem, Problem::Link),
        "{report:?}"
    );
    assert_eq!(report.files[0].file, FileIndex(1));
}

#[test]
fn a_missing_empty_file_is_not_complete_and_a_longer_one_is() {
    let (parent, torrent) = torrent("t", &[("a", 10), ("empty", 0)]);
    fs::remove_file(parent.path().join("t/empty")).unwrap();
    let report = check(&torrent, parent.path());
    assert_eq!(letters(&report), "g");
    assert_eq!(problems(&report, parent.path()), ["t/empty: missing"]);
    assert!(!report.is_complete());
    fs::write(parent.path().join("t/empty"), "no").unwrap();
    let report = check(&torrent, parent.path());
    assert_eq!(report.files.len(), 1);
    assert!(report.is_complete());
}

#[test]
fn pad_files_are_zeros_that_need_not_be_stored() {
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("t")).unwrap();
    let (a, b) = (bytes(1, 100), bytes(2, 200));
    fs::write(parent.path().join("t/a"), &a).unwrap();
    fs::write(parent.path().join("t/b"), &b).unwrap();
    let pad = vec![0; PIECE - 100];
    let file = |name: &str, length: usize, attr: &str| File {
        attr: attr.into(),
        ..File::new(name.split('/').map(Into::into).collect(), length as u64)
    };
    let torrent = Assembly {
        name: "t".into(),
        content: Content::Multi(vec![
            file("a", 100, ""),
            file(".pad/1", pad.len(), "p"),
            file("b", 200, ""),
        ]),
        piece_length: 16 << 10,
        pieces: sha1_each(&[&[&a, &pad], &[&b]]),
        ..Assembly::default()
    };
    let torrent = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
    let report = check(&torrent, parent.path());
    assert!(report.is_complete(), "{report:?}");
    fs::remove_file(parent.path().join("t/a")).unwrap();
    assert_eq!(letters(&check(&torrent, parent.path())), "mg");
}

#[test]
fn only_the_pieces_asked_for_are_checked_and_each_is_told_once() {
    let (parent, torrent) = torrent(
        "t",
        &[("a", 5 * PIECE), ("b", 3 * PIECE), ("c", 0), ("d", PIECE)],
    );
    fs::remove_file(parent.path().join("t/b")).unwrap();
    fs::remove_file(parent.path().join("t/c")).unwrap();
    fs::remove_file(parent.path().join("t/d")).unwrap();
    let options = Options {
        pieces: Some([6, 1, 4, 99].map(PieceIndex).to_vec()),
        ..Options::default()
    };
    let mut told = Vec::new();
    let mut last = (0, 0);
    let report = verify(
        torrent.info(),
        parent.path(),
        &options,
        &AtomicBool::new(false),
        |event| match event {
            Event::Piece { piece, verdict } => told.push((piece.0, verdict)),
            Event::Progress { done, total } => {
                assert!(done > last.0);
                last = (done, total);
            }
        },
    )
    .unwrap();
    told.sort_unstable_by_key(|(piece, _)| *piece);
    assert_eq!(
        told,
        [
            (1, Verdict::Good),
            (4, Verdict::Good),
            (6, Verdict::Missing)
        ]
    );
    assert_eq!(last, (3 * PIECE as u64, 3 * PIECE as u64));
    assert_eq!(letters(&report), "-g--g-m--");
    assert_eq!(problems(&report, parent.path()), ["t/b: missing"]);
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let (parent, torrent) = torrent("t", &[("a", 10)]);
    let cancel = AtomicBool::new(false);
    let run = |path: &Path, cancel: &AtomicBool| {
        verify(torrent.info(), path, &Options::default(), cancel, |_| {}).unwrap_err()
    };
    assert!(matches!(
        run(&parent.path().join("absent"), &cancel),
        Error::NotFound { .. }
    ));
    let error = run(&parent.path().join("t/a"), &cancel);
    assert!(
        error
            .to_string()
            .ends_with(r#"t/a: this is a file, and the torrent is of the folder "t""#),
        "{error}"
    );
    cancel.store(true, Ordering::Relaxed);
    assert!(matches!(run(parent.path(), &cancel), Error::Canceled));
}

#[test]
fn v2_torrents_are_refused_until_their_trees_can_be_checked() {
    let torrent = include_bytes!("../../tests/data/libtorrent-v2-tree.torrent");
    let torrent = Metainfo::parse(torrent).unwrap();
    let here = Path::new(".");
    let never = AtomicBool::new(false);
    let error = verify(torrent.info(), here, &Options::default(), &never, |_| {}).unwrap_err();
    assert!(matches!(error, Error::NotYet), "{error}");
}

#[test]
fn canceling_stops_before_the_end() {
    let (parent, torrent) = torrent("t", &[("a", 30_000_000)]);
    let cancel = AtomicBool::new(false);
    let mut pieces = 0;
    let result = verify(
        torrent.info(),
        parent.path(),
        &Options::default(),
        &cancel,
        |event| {
            cancel.store(true, Ordering::Relaxed);
            pieces += usize::from(matches!(event, Event::Piece { .. }));
        },
    );
    assert!(matches!(result, Err(Error::Canceled)));
    assert!(pieces < 1_832, "all pieces were checked");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn one_damaged_byte_is_one_bad_piece(
        lengths in proptest::collection::vec(prop_oneof![0..3usize, 0..70_000usize, Just(16_384)], 1..30),
        at in any::<prop::sample::Index>(),
    ) {
        let total: usize = lengths.iter().sum();
        prop_assume!(total > 0);
        let files: Vec<_> = lengths.iter().enumerate().map(|(i, &n)| (format!("{i:02}"), n)).collect();
        let (parent, torrent) = torrent("t", &files.iter().map(|(path, n)| (path.as_str(), *n)).collect::<Vec<_>>());
        prop_assert!(check(&torrent, parent.path()).is_complete());

        let at = at.index(total);
        let layout = torrent.info().layout();
        let extent = layout.extents(at as u64, 1).next().unwrap();
        let path = parent.path().join(torrent.info().disk_path(extent.file));
        let mut content = fs::read(&path).unwrap();
        content[usize::try_from(extent.offset).unwrap()] ^= 0x10;
        fs::write(&path, content).unwrap();
        let report = check(&torrent, parent.path());
        prop_assert_eq!(report.pieces(Verdict::Bad).collect::<Vec<_>>(), [layout.piece_at(at as u64).unwrap()]);
        prop_assert_eq!(report.pieces(Verdict::Good).count(), report.verdicts.len() - 1);
        prop_assert!(report.files.is_empty());
    }
}

#[test]
fn a_name_that_is_another_files_portable_name_is_not_mistaken_for_it() {
    let files = [("a\tb", 40_000), ("a_b", 50_000), ("other", 20_000)];
    let (parent, torrent) = torrent("odd", &files);
    let report = check(&torrent, parent.path());
    assert!(report.is_complete(), "as shared: {report:?}");

    // As downloaded, both have their portable names.
    let info = torrent.info();
    let copy = tempfile::tempdir().unwrap();
    for (file, (name, _)) in info.layout().files().zip(files) {
        let to = copy.path().join(info.disk_path(file));
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(parent.path().join("odd").join(name), to).unwrap();
    }
    let report = check(&torrent, copy.path());
    assert!(report.is_complete(), "as downloaded: {report:?}");
    assert!(check(&torrent, &copy.path().join("odd")).is_complete());
}

#[test]
fn pieces_are_found_among_the_parts_of_files_that_are_not_there() {
    // Pieces of 16 KiB: 0 and 1 of a, 2 of a and b, 3 of b, 4 of b and c.
    let (parent, torrent) = torrent("t", &[("a", 40_000), ("b", 30_000), ("c", 5_000)]);
    let info = torrent.info();
    let b = fs::read(parent.path().join("t/b")).unwrap();
    fs::remove_file(parent.path().join("t/b")).unwrap();
    fs::remove_file(parent.path().join("t/c")).unwrap();
    assert_eq!(letters(&check(&torrent, parent.path())), "ggbmm");

    let map = crate::PartsMap::new(info.layout());
    let place = map.place(info.layout(), FileIndex(1), 0).unwrap();
    let mut parts = vec![0; usize::try_from(place).unwrap()];
    parts.extend_from_slice(&b[..3 * PIECE - 40_000]);
    fs::write(parent.path().join(info.parts_path()), parts).unwrap();
    let report = check(&torrent, parent.path());
    assert_eq!(letters(&report), "gggmm");
    assert_eq!(
        report.files.len(),
        2,
        "both are missing all the same: {report:?}"
    );
}
