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
