//! Bodies for fuzzing: each takes any bytes and panics when a promise of this crate is broken.
//!
//! An ordinary test runs them over the files of `tests/corpus/` at the top of the workspace.

use std::collections::BTreeSet;

use crate::index::BLOCK_SIZE;
use crate::{
    BlockRef, FileIndex, HostPort, Info, Layout, Magnet, Metainfo, PieceIndex, SafePath, Version,
    limits, merkle,
};

/// A torrent file: reading it, then every question about it.
pub fn torrent(data: &[u8]) {
    let Ok(torrent) = Metainfo::parse(data) else {
        return;
    };
    assert_eq!(torrent.to_bytes(), data);
    check_info(torrent.info());
    assert!(torrent.trackers().iter().all(|tier| !tier.is_empty()));
    assert!(torrent.warnings().len() <= limits::MAX_WARNINGS + 1);
    for warning in torrent.warnings() {
        assert!(!warning.to_string().contains(char::is_control));
    }

    let magnet = torrent.magnet();
    assert_eq!(Magnet::parse(&magnet.to_string()).as_ref(), Ok(&magnet));

    let mut edit = torrent.edit();
    edit.set_comment(Some("edited"));
    edit.add_tracker("udp://t.example:1")
        .expect("the URL is good");
    let edited = edit
        .finish()
        .expect("an edit leaves the info dictionary alone");
    assert_eq!(edited.info().raw(), torrent.info().raw());
    assert_eq!(edited.info_hash(), torrent.info_hash());
    assert_eq!(edited.comment(), Some("edited"));
    assert!(
        edited
            .trackers()
            .iter()
            .flatten()
            .any(|url| url == "udp://t.example:1")
    );
    assert_eq!(edited.web_seeds(), torrent.web_seeds());
    assert_eq!(edited.nodes(), torrent.nodes());
}

/// An info dictionary as peers send it.
pub fn info(data: &[u8]) {
    let Ok(info) = Info::parse(data) else { return };
    assert_eq!(info.raw(), data);
    check_info(&info);
    let torrent = Metainfo::from_info(info.clone());
    assert_eq!(torrent.info_hash(), info.info_hash());
    // Without trackers or layers there is nothing to edit, but the info dictionary must survive.
    let edited = torrent.edit().finish().expect("it has been read before");
    assert_eq!(edited.info(), &info);
    assert_eq!(edited, torrent);
}

fn check_info(info: &Info) {
    let layout = info.layout();
    assert_eq!(layout.file_count(), info.files().len());
    assert!(SafePath::sanitize([info.name().as_bytes()]).as_str() == info.name());
    if info.version() != Version::V2 {
        assert_eq!(
            info.piece_hashes().len() as u64,
            u64::from(layout.piece_count())
        );
    }
    let total: u64 = layout
        .pieces()
        .map(|piece| u64::from(layout.piece_size(piece)))
        .sum();
    assert_eq!(total, layout.total_length());
    let mut seen = BTreeSet::new();
    for (file, entry) in layout.files().zip(info.files()) {
        assert_eq!(layout.file_length(file), entry.length);
        assert_eq!(layout.is_pad(file), entry.attributes.pad);
        check_path(&entry.path);
        let path = info.disk_path(file);
        assert!(path.is_relative() && path.starts_with(info.name()));
        if !entry.attributes.pad {
            assert!(
                seen.insert(path.to_string_lossy().to_lowercase()),
                "{path:?} twice"
            );
        }
        if let Some(link) = &entry.attributes.symlink {
            check_path(link);
            assert_eq!(entry.length, 0);
        }
        if let Some(native) = info.native_path(file) {
            let stays = |part| matches!(part, std::path::Component::Normal(_));
            assert!(native.components().all(stays), "{native:?}");
        }
    }
}

fn check_path(path: &SafePath) {
    for name in path.components() {
        assert!(!matches!(name, "" | "." | ".."));
        assert!(name.len() <= limits::MAX_COMPONENT_BYTES);
        assert!(!name.contains(|c: char| matches!(c, '/' | '\\') || c.is_control()));
        assert!(!name.ends_with(['.', ' ']));
    }
    assert!(path.as_str().len() <= limits::MAX_PATH_BYTES);
    assert!(path.components().count() <= limits::MAX_PATH_DEPTH);
}

/// The text of a magnet link; bytes that are not UTF-8 are replaced first.
pub fn magnet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Magnet::parse(&text) {
        Ok(magnet) => {
            let printed = magnet.to_string();
            assert_eq!(Magnet::parse(&printed), Ok(magnet));
        }
        Err(error) => assert!(error.to_string().len() < 1_000),
    }
}

/// A host and a port, as magnets and node lists hold them.
pub fn host_port(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(node) = text.parse::<HostPort>() {
        assert!(node.port() != 0 && !node.host().is_empty());
        assert_eq!(node.to_string().parse(), Ok(node.clone()), "{text:?}");
        let (host, port) = text.rsplit_once(':').expect("it was read");
        let printed = format!("{host}:{}", port.trim_start_matches('0'));
        assert_eq!(node.to_string(), printed, "not what was read");
        if let Some(address) = node.socket_addr() {
            let again = HostPort::from(address);
            assert_eq!(again.socket_addr(), Some(address), "{text:?}");
        }
    }
}

/// The names of a path, with line feeds between them.
pub fn path(data: &[u8]) {
    let path = SafePath::sanitize(data.split(|&byte| byte == b'\n'));
    check_path(&path);
    assert_eq!(
        SafePath::sanitize(path.components().map(str::as_bytes)),
        path
    );
}

/// A layout of a few files, checked against the bytes laid out one by one.
///
/// Two bytes are the piece length, one says whether files are aligned; then each pair is a file.
pub fn layout(data: &[u8]) {
    let Some((&[high, low, aligned], files)) = data.split_first_chunk() else {
        return;
    };
    let piece_length = u32::from(u16::from_be_bytes([high, low]));
    let lengths: Vec<(u64, bool)> = files
        .chunks_exact(2)
        .take(16)
        .map(|pair| match pair {
            [a, b] => (u64::from(u16::from_be_bytes([*a, *b])) % 1_000, b % 5 == 0),
            _ => (0, false),
        })
        .collect();
    let made = if aligned % 2 == 1 {
        Layout::piece_aligned(piece_length, lengths.iter().copied())
    } else {
        Layout::new(piece_length, lengths.iter().copied())
    };
    let Ok(layout) = made else {
        assert!(piece_length == 0);
        return;
    };
    let mut covered = vec![0_u64; lengths.len()];
    for piece in layout.pieces() {
        let size = layout.piece_size(piece);
        assert!(size > 0 && size <= piece_length);
        assert_eq!(
            layout.blocks(piece).map(|block| block.length).sum::<u32>(),
            size
        );
        assert!(layout.blocks(piece).all(|block| layout.contains(block)));
        assert!(!layout.contains(BlockRef::new(piece, 0, size + 1)));
        let mut sum = 0;
        for extent in layout.piece_extents(piece) {
            assert!(layout.pieces_of_file(extent.file).contains(&piece.0));
            let file = usize::try_from(extent.file.0).unwrap_or(usize::MAX);
            let done = covered.get_mut(file).expect("the file is there");
            assert_eq!(*done, extent.offset);
            *done += extent.length;
            sum += extent.length;
        }
        assert_eq!(sum, u64::from(size));
    }
    assert!(!layout.contains(BlockRef::new(PieceIndex(layout.piece_count()), 0, 1)));
    assert!(lengths.iter().map(|&(length, _)| length).eq(covered));
    assert_eq!(layout.file_length(FileIndex(u32::MAX)), 0);
}

/// A layer of hashes, each made of one byte: the first byte says how much content one stands for. Its root is that of the
/// whole tree down to blocks, and of any layer in between (BEP 52).
pub fn merkle(data: &[u8]) {
    let Some((&levels, hashes)) = data.split_first() else {
        return;
    };
    let (levels, hashes) = (u32::from(levels % 5), hashes.get(..64).unwrap_or(hashes));
    let layer: Vec<merkle::Node> = hashes.iter().map(|&byte| [byte; 32]).collect();
    let piece_length = BLOCK_SIZE << levels;
    let root = merkle::root_of_layer(&layer, piece_length);
    let Some(first) = layer.first() else {
        return assert_eq!(root, [0; 32]);
    };
    if layer.len() == 1 {
        return assert_eq!(root, *first);
    }
    // One level up, where each stands for twice as much: what an odd one lacks is the root of nothing but zeros.
    let nothing = merkle::root_of_layer(&vec![[0; 32]; 1 << levels], BLOCK_SIZE);
    let above: Vec<merkle::Node> = layer
        .chunks(2)
        .map(|pair| {
            let pair = [pair[0], pair.get(1).copied().unwrap_or(nothing)];
            merkle::root_of_layer(&pair, piece_length)
        })
        .collect();
    assert_eq!(merkle::root_of_layer(&above, piece_length * 2), root);
    // The order of hashes is part of what they say.
    let mut other = layer;
    other.reverse();
    if !data[1..]
        .iter()
        .take(64)
        .eq(data[1..].iter().take(64).rev())
    {
        assert_ne!(merkle::root_of_layer(&other, piece_length), root);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Runs a body over its folder and says how many files there were.
    fn replay(folder: &str, body: fn(&[u8])) -> usize {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/corpus")
            .join(folder);
        let entries =
            std::fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{corpus:?}: {error}"));
        entries
            .map(|entry| {
                let path = entry.unwrap().path();
                // The output shows which file it was when a body panics.
                println!("{}", path.display());
                body(&std::fs::read(&path).unwrap());
            })
            .count()
    }

    #[test]
    fn the_corpus_breaks_nothing() {
        assert!(replay("metainfo_torrent", super::torrent) > 10);
        assert!(replay("metainfo_info", super::info) > 3);
        assert!(replay("metainfo_magnet", super::magnet) > 5);
        assert!(replay("metainfo_path", super::path) > 3);
        assert!(replay("metainfo_host_port", super::host_port) > 3);
        assert!(replay("metainfo_layout", super::layout) > 3);
        assert!(replay("metainfo_merkle", super::merkle) > 3);
    }
}
