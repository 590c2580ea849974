//! Torrents made by hand, whole or broken in one place.

use bt_bencode::OwnedValue;
use bt_metainfo::{Error, Metainfo};

/// A dictionary under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dict(Vec<(Vec<u8>, OwnedValue)>);

impl Dict {
    /// Sets a key.
    #[must_use]
    pub(crate) fn set(mut self, key: &str, value: impl Into<OwnedValue>) -> Self {
        self.0.retain(|(known, _)| known != key.as_bytes());
        self.0.push((key.into(), value.into()));
        self
    }

    /// Removes a key.
    #[must_use]
    pub(crate) fn without(mut self, key: &str) -> Self {
        self.0.retain(|(known, _)| known != key.as_bytes());
        self
    }
}

impl From<Dict> for OwnedValue {
    fn from(dict: Dict) -> Self {
        Self::Dict(dict.0.into_iter().collect())
    }
}

/// The info dictionary of one file of 5 bytes.
pub(crate) fn single() -> Dict {
    Dict::default()
        .set("length", 5)
        .set("name", "file.txt")
        .set("piece length", 16_384)
        .set("pieces", vec![b'h'; 20])
}

/// The info dictionary of a directory; the pieces fit unless it is monstrous.
pub(crate) fn multi(files: Vec<Dict>) -> Dict {
    let length = |file: &Dict| match file.0.iter().find(|(key, _)| key == b"length") {
        Some((_, OwnedValue::Int(length))) => usize::try_from(*length).unwrap_or(0),
        _ => 0,
    };
    let total = files.iter().map(length).fold(0, usize::saturating_add);
    let pieces = total.div_ceil(16_384).min(1_000);
    Dict::default()
        .set(
            "files",
            files.into_iter().map(OwnedValue::from).collect::<Vec<_>>(),
        )
        .set("name", "dir")
        .set("piece length", 16_384)
        .set("pieces", vec![b'h'; 20 * pieces])
}

/// A file of a directory.
pub(crate) fn file(length: i64, path: &[&[u8]]) -> Dict {
    Dict::default()
        .set("length", length)
        .set("path", strings(path))
}

/// A file by the text of its path.
pub(crate) fn plain(length: i64, path: &str) -> Dict {
    file(
        length,
        &path.split('/').map(str::as_bytes).collect::<Vec<_>>(),
    )
}

/// A list of strings.
pub(crate) fn strings(items: &[&[u8]]) -> OwnedValue {
    items.iter().map(|item| OwnedValue::from(*item)).collect()
}

/// A list of anything.
pub(crate) fn list<const N: usize>(items: [OwnedValue; N]) -> OwnedValue {
    OwnedValue::List(items.into())
}

/// A torrent around an info dictionary.
pub(crate) fn torrent(info: Dict) -> Dict {
    Dict::default()
        .set("announce", "http://t.example/announce")
        .set("info", info)
}

/// The bytes of a dictionary.
pub(crate) fn bytes(dict: Dict) -> Vec<u8> {
    OwnedValue::from(dict).encode()
}

/// Reads a torrent around an info dictionary.
pub(crate) fn parse(info: Dict) -> Result<Metainfo, Error> {
    Metainfo::parse(&bytes(torrent(info)))
}

/// The texts of all warnings.
pub(crate) fn warnings(torrent: &Metainfo) -> Vec<String> {
    torrent.warnings().iter().map(ToString::to_string).collect()
}
