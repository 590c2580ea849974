//! The files of `tests/bad-input/torrents` and `tests/bad-input/magnets`.

use bt_metainfo::{Magnet, Metainfo};

use crate::replay::replay;

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
