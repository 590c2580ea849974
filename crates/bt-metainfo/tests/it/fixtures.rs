//! Torrents made by other programs: read exactly, kept exactly.

use bt_metainfo::{FileIndex, Info, Magnet, Metainfo, PieceIndex, Version};

/// Reads a file of `tests/data`.
pub(crate) fn load(name: &str) -> (Vec<u8>, Metainfo) {
    let path = format!("{}/tests/data/{name}.torrent", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let torrent = Metainfo::parse(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    (bytes, torrent)
}

/// Names and both hashes as libtorrent 2.1.1 gives them.
pub(crate) const ALL: [(&str, Option<&str>, Option<&str>); 11] = [
    (
        "libtorrent-hybrid-single",
        Some("b86539e0abea3f5508731f3acad5f9d29076fbc6"),
        Some("6359ce5fdd47ce5055fce7796352989f905c997ebcf7ad54372f289b6bc2acc6"),
    ),
    (
        "libtorrent-hybrid-tree",
        Some("42ffba53b79d5a8f06b4493d082088d60b7984a4"),
        Some("de00c32a8790ab508aac033a5ded9cf244a41a3428090e2eb8c5e4490f5fb047"),
    ),
    (
        "libtorrent-v1-single",
        Some("b92564bf89c8ce532df28789c0abf9fef139f5b5"),
        None,
    ),
    (
        "libtorrent-v1-tree",
        Some("54de54b8d1ecbffb8bf711796ba9a2475c29ea42"),
        None,
    ),
    (
        "libtorrent-v2-single",
        None,
        Some("7f376a2861bd46c52197c695d11aa4377074d60fece869fa62441f69e82914f8"),
    ),
    (
        "libtorrent-v2-tree",
        None,
        Some("4876061e16db3c7701f25dd5da4560a0dcf3060dae8ae9067a7ab502b82e1627"),
    ),
    (
        "mktorrent-single",
        Some("af88b5c405bfb195b2dc46e0f2075668c2d1522a"),
        None,
    ),
    (
        "mktorrent-tree",
        Some("63b622bf5226b8b54a8273859d648d426f56501d"),
        None,
    ),
    (
        "torf-single",
        Some("af88b5c405bfb195b2dc46e0f2075668c2d1522a"),
        None,
    ),
    (
        "torf-tree",
        Some("ab65abfb3a598a2143d32f727f57b6ce6c55bb5d"),
        None,
    ),
    (
        "transmission-tree",
        Some("a2f91532d116ae1fdc6e56bceafe22458553836f"),
        None,
    ),
];

#[test]
fn hashes_are_those_of_libtorrent_and_bytes_stay() {
    for (name, v1, v2) in ALL {
        let (bytes, torrent) = load(name);
        assert_eq!(
            torrent
                .info_hash_v1()
                .map(|hash| hash.to_string())
                .as_deref(),
            v1,
            "{name}"
        );
        assert_eq!(
            torrent
                .info_hash_v2()
                .map(|hash| hash.to_string())
                .as_deref(),
            v2,
            "{name}"
        );
        assert_eq!(torrent.to_bytes(), bytes, "{name}");
        assert_eq!(torrent.warnings(), [], "{name}");
        let info = Info::parse(torrent.info().raw()).unwrap();
        assert_eq!(info.info_hash(), torrent.info_hash(), "{name}");
        let magnet: Magnet = torrent.magnet().to_string().parse().unwrap();
        assert_eq!(magnet.info_hash_v1(), torrent.info_hash_v1());
        assert_eq!(magnet.info_hash_v2(), torrent.info_hash_v2());
    }
}

#[test]
fn a_tree_has_the_files_that_were_put_in() {
    let lengths = [
        ("alpha.bin", 40_000),
        ("empty.txt", 0),
        ("sub dir/deep/naïve ☕.txt", 777),
        ("sub dir/exact.bin", 16_384),
        ("zeta", 16_385),
    ];
    for (name, ..) in ALL.iter().filter(|(name, ..)| name.ends_with("-tree")) {
        let (_, torrent) = load(name);
        let info = torrent.info();
        let mut files: Vec<(String, u64)> = info
            .files()
            .iter()
            .filter(|entry| !entry.attributes.pad)
            .map(|entry| (entry.path.to_string(), entry.length))
            .collect();
        files.sort();
        // Two of the programs leave empty files out.
        let expected: Vec<(String, u64)> = lengths
            .iter()
            .filter(|(path, length)| *length > 0 || files.iter().any(|(found, _)| found == path))
            .map(|&(path, length)| (path.to_owned(), length))
            .collect();
        assert_eq!(files, expected, "{name}");
        assert_eq!(info.name(), "tree");
        assert!(!info.is_single_file());
        assert_eq!(info.layout().content_length(), 73_546, "{name}");
    }
}

#[test]
fn a_single_file_is_the_name() {
    for (name, ..) in ALL.iter().filter(|(name, ..)| name.ends_with("-single")) {
        let (_, torrent) = load(name);
        let info = torrent.info();
        assert!(info.is_single_file(), "{name}");
        let file = &info.files()[0];
        assert_eq!(
            (info.name(), file.path.as_str()),
            ("one file.iso", "one file.iso")
        );
        assert_eq!(info.disk_path(FileIndex(0)).to_str(), Some("one file.iso"));
        assert_eq!(info.layout().content_length(), 70_001);
    }
}

#[test]
fn every_field_of_a_rich_torrent_is_there() {
    let (_, torrent) = load("libtorrent-v1-tree");
    assert_eq!(
        torrent.trackers(),
        [
            vec!["http://a.example/announce", "udp://b.example:6969"],
            vec!["http://c.example/announce"]
        ]
    );
    assert_eq!(
        torrent.web_seeds(),
        ["http://w.example/", "http://x.example/"]
    );
    assert_eq!(torrent.nodes()[0].to_string(), "router.example:6881");
    assert_eq!(torrent.comment(), Some("three trackers"));
    assert_eq!(torrent.created_by(), Some("libtorrent"));
    assert_eq!(torrent.creation_date(), Some(1_700_000_000));
    let info = torrent.info();
    assert!(!info.private());
    assert_eq!(info.version(), Version::V1);
    assert_eq!(info.piece_hashes().len(), 5);
    assert!(info.piece_hash(PieceIndex(5)).is_none());
    let zeta = info
        .files()
        .iter()
        .find(|entry| entry.path.as_str() == "zeta")
        .unwrap();
    assert!(zeta.attributes.executable && !zeta.attributes.hidden && !zeta.attributes.pad);

    let (_, torrent) = load("mktorrent-tree");
    assert!(torrent.info().private());
    assert_eq!(torrent.info().source(), Some("SRC"));
    assert_eq!(torrent.creation_date(), None);
    let (_, torrent) = load("transmission-tree");
    assert_eq!(torrent.encoding(), Some("UTF-8"));
}

#[test]
fn a_hybrid_torrent_is_laid_out_like_v1_and_has_trees() {
    let (_, torrent) = load("libtorrent-hybrid-tree");
    let info = torrent.info();
    let layout = info.layout();
    assert_eq!(info.version(), Version::Hybrid);
    for file in layout.files() {
        let entry = info.file(file).unwrap();
        assert_eq!(
            entry.pieces_root.is_some(),
            entry.length > 0 && !entry.attributes.pad
        );
        if entry.pieces_root.is_some() {
            assert_eq!(layout.file_offset(file) % u64::from(info.piece_length()), 0);
        }
    }
    let alpha = FileIndex(0);
    assert_eq!(torrent.piece_layer(alpha).unwrap().len(), 3);
    let exact = layout
        .files()
        .find(|&file| layout.file_length(file) == 16_384)
        .unwrap();
    assert_eq!(torrent.piece_layer(exact), None);
}

#[test]
fn a_v2_torrent_starts_each_file_at_a_piece() {
    let (_, torrent) = load("libtorrent-v2-tree");
    let info = torrent.info();
    let layout = info.layout();
    assert_eq!(info.version(), Version::V2);
    assert_eq!(info.piece_hashes().len(), 0);
    assert!(layout.is_piece_aligned());
    let sizes: Vec<u32> = layout
        .pieces()
        .map(|piece| layout.piece_size(piece))
        .collect();
    assert_eq!(sizes, [32_768, 7_232, 777, 16_384, 16_385]);
    assert_eq!(torrent.piece_layer(FileIndex(0)).unwrap().len(), 2);
    assert_eq!(
        torrent.info_hash(),
        torrent.info_hash_v2().unwrap().truncated()
    );
}
