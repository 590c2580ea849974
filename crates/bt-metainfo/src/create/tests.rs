//! Torrents of real folders, hashed against the plain definition.

use std::fs;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::sha1::Digest as _;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Blame, Error, Options, Plan, Progress, Warning, create, creation_date};
use crate::assemble::{Assembly, Content};
use crate::{Metainfo, Version};

/// A folder with these files, each with bytes of its own.
fn folder(files: &[(&str, usize)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (seed, &(path, length)) in files.iter().enumerate() {
        write(folder.path(), path, &bytes(seed, length));
    }
    folder
}

fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn bytes(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| ((at * 31 + seed * 7) ^ (at >> 9)).to_le_bytes()[0])
        .collect()
}

fn named(name: &str) -> Options {
    Options {
        name: Some(name.into()),
        ..Options::default()
    }
}

fn paths(torrent: &Assembly) -> Vec<String> {
    match &torrent.content {
        Content::Single { .. } => vec![torrent.name.clone()],
        Content::Multi(files) => files.iter().map(|file| file.path.join("/")).collect(),
    }
}

fn warnings(plan: &Plan, folder: &Path) -> Vec<String> {
    let folder = format!("{}/", fs::canonicalize(folder).unwrap().display());
    plan.warnings()
        .iter()
        .map(|warning| warning.to_string().replace(&folder, ""))
        .collect()
}

#[test]
fn files_are_ordered_by_the_bytes_of_their_whole_paths() {
    let folder = folder(&[
        ("a/x", 1),
        ("a.txt", 1),
        ("a-b", 1),
        ("a b/x", 1),
        ("B", 1),
        ("aa", 1),
        ("é", 1),
        ("~", 1),
        (".hid", 1),
        ("a/Z", 0),
    ]);
    let torrent = create(folder.path(), &Options::default()).unwrap();
    assert_eq!(
        paths(&torrent),
        [
            ".hid", "B", "a b/x", "a-b", "a.txt", "a/Z", "a/x", "aa", "~", "é"
        ]
    );
}

#[test]
fn the_same_content_gives_the_same_bytes_in_any_order_of_writing() {
    let files = [("b", 10), ("a/c", 20_000), ("a/b", 5), ("z", 0)];
    let one = folder(&files);
    let other = tempfile::tempdir().unwrap();
    for (seed, (path, length)) in files.iter().enumerate().rev() {
        write(other.path(), path, &bytes(seed, *length));
    }
    let of = |folder: &TempDir| {
        create(folder.path(), &named("n"))
            .unwrap()
            .to_bytes()
            .unwrap()
    };
    assert_eq!(of(&one), of(&other));
}

#[test]
fn a_file_and_a_folder_with_that_file_are_different_torrents() {
    let folder = folder(&[("f", 100)]);
    let alone = create(&folder.path().join("f"), &Options::default()).unwrap();
    let inside = create(folder.path(), &named("f")).unwrap();
    assert_eq!(
        alone.content,
        Content::Single {
            length: 100,
            md5sum: None
        }
    );
    assert_eq!(paths(&inside), ["f"]);
    assert_eq!(alone.name, "f");
    assert_eq!(alone.pieces, inside.pieces);
    assert_ne!(alone.info_hash().unwrap(), inside.info_hash().unwrap());
}

#[test]
fn all_options_reach_the_torrent() {
    let folder = folder(&[("f", 100_000)]);
    let options = Options {
        trackers: vec![
            vec!["http://a/announce".into(), "udp://b:1".into()],
            vec!["http://c/".into()],
        ],
        web_seeds: vec!["http://d/".into()],
        nodes: vec![crate::HostPort::new("router.example", 6881).unwrap()],
        piece_length: Some(32_768),
        private: true,
        name: Some("other".into()),
        comment: Some("a comment".into()),
        source: Some("SRC".into()),
        created_by: Some("tests".into()),
        creation_date: Some(1_234),
        ..Options::default()
    };
    let torrent = create(folder.path(), &options).unwrap().to_bytes().unwrap();
    let torrent = Metainfo::parse(&torrent).unwrap();
    assert_eq!(torrent.trackers(), options.trackers);
    assert_eq!(torrent.web_seeds(), options.web_seeds);
    assert_eq!(torrent.nodes(), options.nodes);
    assert_eq!(torrent.info().piece_length(), 32_768);
    assert_eq!(torrent.info().layout().piece_count(), 4);
    assert!(torrent.info().private());
    assert_eq!(torrent.info().name(), "other");
    assert_eq!(torrent.comment(), Some("a comment"));
    assert_eq!(torrent.info().source(), Some("SRC"));
    assert_eq!(torrent.created_by(), Some("tests"));
    assert_eq!(torrent.creation_date(), Some(1_234));
}

#[test]
fn a_name_comes_from_the_path_as_written() {
    let folder = folder(&[("real/f", 1)]);
    symlink("real", folder.path().join("link")).unwrap();
    let name =
        |path: &Path| Plan::new(path, &Options::default()).map(|plan| plan.name().to_owned());
    assert_eq!(name(&folder.path().join("real")).unwrap(), "real");
    assert_eq!(name(&folder.path().join("link")).unwrap(), "link");
    assert_eq!(name(&folder.path().join("real/.")).unwrap(), "real");
    assert_eq!(name(&folder.path().join("real/../real/")).unwrap(), "real");
}

#[test]
fn what_cannot_be_shared_is_left_out_and_reported() {
    let folder = folder(&[("sub/f", 10), ("deep/er/g", 10)]);
    let path = folder.path();
    fs::create_dir_all(path.join("empty")).unwrap();
    symlink("f", path.join("sub/link")).unwrap();
    symlink("/nowhere/at/all", path.join("dead")).unwrap();
    symlink("..", path.join("sub/up")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();

    let plan = Plan::new(path, &named("n")).unwrap();
    assert_eq!(
        warnings(&plan, path),
        [
            "dead: left out, a symbolic link",
            "empty: left out, a torrent cannot hold an empty folder",
            "pipe: left out, a pipe",
            "socket: left out, a socket",
            "sub/link: left out, a symbolic link",
            "sub/up: left out, a symbolic link",
        ]
    );
    assert_eq!(plan.layout().file_count(), 2);

    let follow = Options {
        follow_symlinks: true,
        ..named("n")
    };
    let plan = Plan::new(path, &follow).unwrap();
    assert_eq!(
        warnings(&plan, path),
        [
            "dead: left out, a symbolic link that leads nowhere new",
            "empty: left out, a torrent cannot hold an empty folder",
            "pipe: left out, a pipe",
            "socket: left out, a socket",
            "sub/up: left out, a symbolic link that leads nowhere new",
        ]
    );
    let torrent = plan.hash(&AtomicBool::new(false), |_| {}).unwrap();
    assert_eq!(paths(&torrent), ["deep/er/g", "sub/f", "sub/link"]);
    assert!(
        plan.warnings()
            .iter()
            .any(|warning| matches!(warning, Warning::DeadLink { .. }))
    );
}

#[test]
fn globs_and_hidden_files_are_left_out_without_a_warning() {
    let folder = folder(&[
        ("a.mkv", 1),
        ("x/b.mkv", 1),
        ("x/c.txt", 1),
        (".git/d.mkv", 1),
        ("tmp/e.mkv", 1),
    ]);
    let options = Options {
        include: vec!["*.mkv".into()],
        exclude: vec!["/tmp/".into()],
        hidden: false,
        ..Options::default()
    };
    let plan = Plan::new(folder.path(), &options).unwrap();
    assert!(plan.warnings().is_empty());
    let torrent = plan.hash(&AtomicBool::new(false), |_| {}).unwrap();
    assert_eq!(paths(&torrent), ["a.mkv", "x/b.mkv"]);
}

/// The error of making a torrent of `path`, and its text without the folder's own path.
fn refusal(path: &Path, options: &Options) -> (Error, String) {
    let error = create(path, options).unwrap_err();
    let text = error
        .to_string()
        .replace(&path.display().to_string(), "PATH");
    (error, text)
}

#[test]
fn content_that_makes_no_torrent_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let (error, text) = refusal(path, &Options::default());
    assert_eq!(
        (text.as_str(), error.blame()),
        ("PATH: the folder holds no files", Blame::Content)
    );

    write(path, "sub/empty", b"");
    write(path, "other", b"");
    let (error, text) = refusal(path, &Options::default());
    assert_eq!(
        (text.as_str(), error.blame()),
        (
            "PATH: nothing to share, as all files are empty (2)",
            Blame::Content
        )
    );
    let (_, text) = refusal(&path.join("other"), &Options::default());
    assert_eq!(text, "PATH: nothing to share, as all files are empty (1)");

    let all = Options {
        exclude: vec!["*".into()],
        ..Options::default()
    };
    let (_, text) = refusal(path, &all);
    assert_eq!(text, "PATH: the options leave out all 2 files and folders");
    // A file that is named by itself as well, but not because it is hidden.
    write(path, ".hidden", b"bytes");
    let file = path.join(".hidden");
    let (error, text) = refusal(&file, &all);
    assert_eq!(
        (text.as_str(), error.blame()),
        ("PATH: the options leave out the only file", Blame::Content)
    );
    let others = Options {
        include: vec!["*.txt".into()],
        ..Options::default()
    };
    let (_, text) = refusal(&file, &others);
    assert_eq!(text, "PATH: the options leave out the only file");
    Plan::new(&file, &Options::default()).unwrap();
    fs::remove_file(&file).unwrap();

    let (error, text) = refusal(&path.join("absent"), &Options::default());
    assert_eq!(
        (text.as_str(), error.blame()),
        ("PATH: no such file or folder", Blame::Storage)
    );

    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(path.join(name), "x").unwrap();
    let (error, text) = refusal(path, &Options::default());
    assert!(matches!(error, Error::NotUtf8 { .. }));
    assert!(
        text.ends_with("the name is not UTF-8; rename or exclude it"),
        "{text}"
    );
    let without = Options {
        exclude: vec!["caf*".into()],
        ..Options::default()
    };
    assert!(matches!(
        create(path, &without).unwrap_err(),
        Error::OnlyEmptyFiles { .. }
    ));
}

#[test]
fn options_that_make_no_torrent_are_refused_by_name() {
    let folder = folder(&[("f", 1)]);
    for version in [Version::V2, Version::Hybrid] {
        let (error, _) = refusal(
            folder.path(),
            &Options {
                version,
                ..Options::default()
            },
        );
        assert!(matches!(error, Error::NotYet { version: refused } if refused == version));
        assert_eq!(error.blame(), Blame::Options);
    }
    for found in [0, 1, 8_192, 16_385, 100_000, 128 << 20, u32::MAX] {
        let (error, _) = refusal(
            folder.path(),
            &Options {
                piece_length: Some(found),
                ..Options::default()
            },
        );
        assert!(matches!(error, Error::PieceLength { found: refused } if refused == found));
    }
    for shortest_and_longest in [16 << 10, 64 << 20] {
        let options = Options {
            piece_length: Some(shortest_and_longest),
            ..Options::default()
        };
        assert!(create(folder.path(), &options).is_ok());
    }
    let (error, _) = refusal(
        folder.path(),
        &Options {
            include: vec!["{a".into()],
            ..Options::default()
        },
    );
    assert!(matches!(error, Error::Glob { glob, .. } if glob == "{a"));
    let (error, text) = refusal(folder.path(), &named("a/b"));
    assert_eq!(error.blame(), Blame::Options);
    assert!(text.contains("a/b"), "{text}");
    let url = Options {
        trackers: vec![vec!["not a url".into()]],
        ..Options::default()
    };
    let error = Plan::new(folder.path(), &url).unwrap_err();
    assert_eq!(error.blame(), Blame::Options);
    assert!(error.to_string().contains("not a url"), "{error}");
}

#[test]
fn a_file_that_changes_under_way_is_named() {
    let hash_after = |change: fn(&Path)| {
        let folder = folder(&[("a", 50_000), ("b", 50_000)]);
        let plan = Plan::new(folder.path(), &Options::default()).unwrap();
        change(&folder.path().join("b"));
        let error = plan.hash(&AtomicBool::new(false), |_| {}).unwrap_err();
        assert!(error.to_string().contains("/b: "), "{error}");
        assert_eq!(error.blame(), Blame::Storage);
        error
    };
    let error = hash_after(|b| fs::remove_file(b).unwrap());
    assert!(matches!(error, Error::Vanished { .. }), "{error}");
    let error = hash_after(|b| fs::write(b, "short").unwrap());
    assert!(
        matches!(
            error,
            Error::Changed {
                expected: 50_000,
                found: 5,
                ..
            }
        ),
        "{error}"
    );
    let error = hash_after(|b| fs::write(b, vec![0; 50_001]).unwrap());
    assert!(
        matches!(
            error,
            Error::Changed {
                expected: 50_000,
                found: 50_001,
                ..
            }
        ),
        "{error}"
    );
    let error = hash_after(|b| {
        let later = SystemTime::now() + Duration::from_secs(10);
        fs::File::options()
            .write(true)
            .open(b)
            .unwrap()
            .set_modified(later)
            .unwrap();
    });
    assert!(
        matches!(
            error,
            Error::Changed {
                expected: 50_000,
                found: 50_000,
                ..
            }
        ),
        "{error}"
    );
    let error = hash_after(|b| {
        fs::rename(b, b.with_file_name("c")).unwrap();
        symlink("c", b).unwrap();
    });
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    let error = hash_after(|b| {
        fs::remove_file(b).unwrap();
        fs::create_dir(b).unwrap();
    });
    assert!(matches!(error, Error::Changed { .. }), "{error}");
}

#[test]
fn progress_ends_at_the_total_and_never_goes_back() {
    let folder = folder(&[("a", 9_000_000), ("b", 70_000)]);
    let plan = Plan::new(folder.path(), &Options::default()).unwrap();
    let mut seen = Vec::new();
    plan.hash(&AtomicBool::new(false), |progress| seen.push(progress))
        .unwrap();
    let total = 9_070_000;
    assert_eq!(seen.first(), Some(&Progress { done: 0, total }));
    assert_eq!(seen.last(), Some(&Progress { done: total, total }));
    assert!(
        seen.windows(2)
            .all(|two| two[0].done <= two[1].done && two[1].total == total)
    );
}

#[test]
fn canceling_stops_before_the_end() {
    let folder = folder(&[("a", 30_000_000)]);
    let plan = Plan::new(folder.path(), &Options::default()).unwrap();
    let cancel = AtomicBool::new(false);
    let mut last = 0;
    let result = plan.hash(&cancel, |progress| {
        last = progress.done;
        cancel.store(true, Ordering::Relaxed);
    });
    assert!(matches!(result, Err(Error::Canceled)));
    assert!(last < 30_000_000, "{last} bytes were read");
    cancel.store(false, Ordering::Relaxed);
    assert!(plan.hash(&cancel, |_| {}).is_ok());
}

#[test]
fn canceling_ends_the_search_too() {
    let folder = folder(&[("a", 1), ("b/c", 1)]);
    let search =
        |cancel| Plan::search(folder.path(), &Options::default(), &AtomicBool::new(cancel));
    assert!(matches!(search(true), Err(Error::Canceled)));
    assert!(search(false).is_ok());
}

#[test]
fn the_creation_date_is_that_of_the_build_if_there_is_one() {
    let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_eq!(creation_date(None, now).unwrap(), 1_700_000_000);
    assert_eq!(creation_date(Some("315532800"), now).unwrap(), 315_532_800);
    for bad in ["", "-1", "today", "99999999999999999999"] {
        assert!(
            matches!(
                creation_date(Some(bad), now),
                Err(Error::SourceDateEpoch { .. })
            ),
            "{bad}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn hashes_are_those_of_the_files_laid_end_to_end(
        lengths in proptest::collection::vec(prop_oneof![0..3usize, 0..70_000usize, Just(16_384), Just(65_536)], 1..40),
        doublings in 0..4u32,
        threads in 1..4usize,
    ) {
        prop_assume!(lengths.iter().any(|&length| length > 0));
        let files: Vec<_> = lengths.iter().enumerate().map(|(i, &n)| (format!("{:02}/f", i), n)).collect();
        let folder = folder(&files.iter().map(|(path, n)| (path.as_str(), *n)).collect::<Vec<_>>());
        let piece_length = (16 << 10) << doublings;
        let options = Options {
            piece_length: Some(piece_length),
            threads: NonZeroUsize::new(threads),
            ..Options::default()
        };
        let torrent = create(folder.path(), &options).unwrap();
        let content: Vec<u8> = lengths.iter().enumerate().flat_map(|(seed, &n)| bytes(seed, n)).collect();
        let expected: Vec<[u8; 20]> =
            content.chunks(piece_length as usize).map(|piece| ::sha1::Sha1::digest(piece).into()).collect();
        prop_assert_eq!(torrent.pieces, expected);
    }
}
