//! The files of `tests/bad-input/torrents` and `tests/bad-input/magnets`.

use std::collections::BTreeMap;
use std::path::Path;

use bt_metainfo::{Magnet, Metainfo};

use crate::replay::replay;

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_torrent_gets_its_verdict() {
    replay("torrents", |name, bytes| match Metainfo::parse(bytes) {
        Ok(torrent) => {
            for file in torrent.info().layout().files() {
                let path = torrent.info().disk_path(file);
                let stays = |part| matches!(part, std::path::Component::Normal(_));
                assert!(path.components().all(stays), "{name}: {path:?}");
            }
            let said = torrent.warnings().iter();
            Ok(said.map(|w| format!("{}: {w}; ", w.kind())).collect())
        }
        Err(error) => {
            let message = error.to_string();
            assert!(message.len() < 400, "{name}: {message}");
            assert!(!message.contains(char::is_control), "{name}: {message}");
            Err(message)
        }
    });
}

/// P6 of `docs/SECURITY.md`.
#[test]
fn every_magnet_gets_its_verdict() {
    replay("magnets", |name, bytes| {
        let text = std::str::from_utf8(bytes).expect(name);
        match Magnet::parse(text) {
            Ok(magnet) => {
                assert_eq!(Magnet::parse(&magnet.to_string()), Ok(magnet), "{name}");
                Ok(String::new())
            }
            Err(error) => Err(error.to_string()),
        }
    });
}

/// Names that a file system takes, in a folder of its own: what is written there is there, once
/// for each file, and nothing is anywhere else.
///
/// P6 of `docs/SECURITY.md`.
#[test]
fn every_name_lands_inside_a_real_folder() {
    let outer = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0_u32);
    replay("torrents", |name, bytes| {
        let torrent = match Metainfo::parse(bytes) {
            Ok(torrent) => torrent,
            Err(error) => return Err(error.to_string()),
        };
        number.set(number.get() + 1);
        let root = outer.path().join(number.get().to_string());
        let root_folder = std::fs::create_dir(&root).and_then(|()| root.canonicalize());
        let root = root_folder.unwrap();
        let layout = torrent.info().layout();
        for file in layout.files().filter(|file| !layout.is_pad(*file)) {
            let path = root.join(torrent.info().disk_path(file));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let made = std::fs::File::create_new(&path);
            made.unwrap_or_else(|error| panic!("{name}: {path:?}: {error}"));
            let real = path.canonicalize().unwrap();
            assert!(real.starts_with(&root) && real != root, "{name}: {real:?}");
        }
        let said = torrent.warnings().iter();
        Ok(said.map(|w| format!("{}: {w}; ", w.kind())).collect())
    });
    let folders = std::fs::read_dir(outer.path()).unwrap().count();
    assert_eq!(u32::try_from(folders), Ok(number.get()));
}

/// Where we are more lenient or stricter than libtorrent.
const UNLIKE_LIBTORRENT: [(&str, &str); 7] = [
    ("piece-length-above", "it has no such limit"),
    ("root-name-absolute", "we read it under a safe name"),
    ("root-name-dot-dot", "we read it under a safe name"),
    ("root-name-empty", "we read it under a safe name"),
    ("root-name-nul", "we read it under a safe name"),
    ("two-infos", "it takes one of them"),
    ("v2-no-layer", "it fetches the layer from peers, we do not"),
];

/// The same for torf, which also minds what is not needed to download.
const UNLIKE_TORF: [(&str, &str); 18] = [
    ("announce-dict", "left out with a warning"),
    ("announce-int", "left out with a warning"),
    ("announce-list", "left out with a warning"),
    ("announce-list-int", "left out with a warning"),
    ("announce-list-string", "left out with a warning"),
    ("announce-url-", "left out with a warning"),
    ("announce-url-2049", "left out with a warning"),
    ("announce-url-http", "left out with a warning"),
    ("announce-url-javascriptalert", "left out with a warning"),
    ("announce-url-m", "left out with a warning"),
    ("announce-url-notaurl", "left out with a warning"),
    ("creation-date-string", "left out with a warning"),
    ("file-path-dict", "it takes the keys for a path"),
    ("newline-after", "left out with a warning"),
    ("piece-length-5", "any length is a length (BEP 3)"),
    ("piece-length-u32", "it has no such limit"),
    ("v2-90-folders", "it knows no version 2"),
    ("v2-whole", "it knows no version 2"),
];

/// `tests/data/README.md` says how the verdicts were recorded.
#[test]
fn verdicts_differ_from_those_of_other_programs_only_where_we_want_it() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let recorded = here.join("tests/data/verdicts-on-bad-input.tsv");
    let recorded = std::fs::read_to_string(recorded).unwrap();
    let (mut unlike_libtorrent, mut unlike_torf) = (Vec::new(), Vec::new());
    let mut compared = 0;
    for line in recorded.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, libtorrent, torf] = columns[..] else {
            panic!("{line}: not three columns");
        };
        let bytes = std::fs::read(here.join("../../tests/bad-input/torrents").join(name));
        let ours = match Metainfo::parse(&bytes.expect(name)) {
            Ok(_) => "ok",
            Err(_) => "error",
        };
        unlike_libtorrent.extend((ours != libtorrent).then(|| name.to_owned()));
        unlike_torf.extend((ours != torf).then(|| name.to_owned()));
        compared += 1;
    }
    assert!(compared > 200, "only {compared} files");
    for (unlike, wanted) in [
        (unlike_libtorrent, BTreeMap::from(UNLIKE_LIBTORRENT)),
        (unlike_torf, BTreeMap::from(UNLIKE_TORF)),
    ] {
        assert!(
            unlike.iter().map(String::as_str).eq(wanted.into_keys()),
            "{unlike:?}"
        );
    }
}
