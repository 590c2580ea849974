//! New torrents are what other creators write for the same options.

use bt_metainfo::assemble::{Assembly, Content, File};
use bt_metainfo::{Error, Metainfo};
use proptest::prelude::*;

use crate::fixtures;

/// The parts of a torrent that another program made.
fn parts(torrent: &Metainfo) -> Assembly {
    let info = torrent.info();
    let content = if info.is_single_file() {
        Content::Single {
            length: info.files()[0].length,
            md5sum: None,
        }
    } else {
        Content::Multi(
            info.files()
                .iter()
                .map(|entry| File {
                    path: entry.path.components().map(str::to_owned).collect(),
                    length: entry.length,
                    md5sum: None,
                    attr: if entry.attributes.executable {
                        "x".into()
                    } else {
                        String::new()
                    },
                })
                .collect(),
        )
    };
    Assembly {
        name: info.name().to_owned(),
        content,
        piece_length: info.piece_length(),
        pieces: info.piece_hashes().to_vec(),
        private: info.private(),
        source: info.source().map(str::to_owned),
        trackers: torrent.trackers().to_vec(),
        web_seeds: torrent.web_seeds().to_vec(),
        http_seeds: torrent.http_seeds().to_vec(),
        nodes: torrent.nodes().to_vec(),
        comment: torrent.comment().map(str::to_owned),
        created_by: torrent.created_by().map(str::to_owned),
        creation_date: torrent.creation_date(),
    }
}

#[test]
fn the_info_dictionary_is_that_of_other_creators() {
    for (name, ..) in fixtures::ALL {
        let (bytes, torrent) = fixtures::load(name);
        if torrent.info_hash_v2().is_some() {
            continue;
        }
        let assembly = parts(&torrent);
        assert_eq!(
            assembly.info_bytes().unwrap(),
            torrent.info().raw(),
            "{name}"
        );
        assert_eq!(Ok(torrent.info_hash()), assembly.info_hash(), "{name}");
        // Beyond it, programs differ in habits: torf writes one web seed as a list, transmission
        // names the encoding.
        if !matches!(name, "torf-tree" | "transmission-tree") {
            assert_eq!(assembly.to_bytes().unwrap(), bytes, "{name}");
        }
    }
}

#[test]
fn parts_that_make_no_torrent_are_refused() {
    let good = Assembly {
        name: "dir".into(),
        content: Content::Multi(vec![File::new(vec!["a".into()], 5)]),
        piece_length: 16_384,
        pieces: vec![[0; 20]],
        ..Assembly::default()
    };
    assert!(good.to_bytes().is_ok());
    let with = |change: &dyn Fn(&mut Assembly)| {
        let mut assembly = good.clone();
        change(&mut assembly);
        assembly.to_bytes().map(|_| ()).unwrap_err()
    };
    let path = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        with(&|a| a.content = Content::Multi(vec![File::new(names.clone(), 5)])).to_string()
    };
    assert!(path(&[]).contains("it is empty"));
    assert!(path(&["a", ""]).contains("it is empty"));
    assert!(path(&["..", "x"]).contains("\"..\""));
    assert!(path(&["."]).contains("stands for a directory"));
    assert!(path(&["a/b"]).contains("separator"));
    assert!(path(&["a\0"]).contains("NUL"));
    assert!(matches!(with(&|a| a.name.clear()), Error::Name { .. }));
    assert!(matches!(
        with(&|a| a.name = "../x".into()),
        Error::Name { .. }
    ));
    assert_eq!(
        with(&|a| a.content = Content::Multi(vec![])),
        Error::NoFiles
    );
    assert_eq!(
        with(&|a| a.pieces.clear()),
        Error::PieceCount {
            expected: 1,
            found: 0
        }
    );
    assert_eq!(
        with(&|a| a.pieces.push([1; 20])),
        Error::PieceCount {
            expected: 1,
            found: 2
        }
    );
    assert!(matches!(with(&|a| a.piece_length = 0), Error::Layout(_)));
    assert!(matches!(
        with(&|a| a.piece_length = u32::MAX),
        Error::Layout(_)
    ));
    for url in ["", " ", "a b", "http://x/\n", &"u".repeat(2_049)] {
        assert!(
            matches!(
                with(&|a| a.trackers = vec![vec![url.into()]]),
                Error::Url { .. }
            ),
            "{url:?}"
        );
        assert!(
            matches!(with(&|a| a.web_seeds = vec![url.into()]), Error::Url { .. }),
            "{url:?}"
        );
    }
}

prop_compose! {
    fn assemblies()(
        name in "[a-z]{1,9}",
        files in proptest::collection::vec((proptest::collection::vec("[a-z0-9]{1,4}", 1..4), 0_u64..40_000, any::<bool>()), 1..6),
        single in any::<Option<u16>>(),
        exponent in 10_u32..20,
        private in any::<bool>(),
        source in proptest::option::of("\\PC{0,9}"),
        trackers in proptest::collection::vec(proptest::collection::vec("udp://[a-z]{1,9}:[1-9]", 0..3), 0..3),
        web_seeds in proptest::collection::btree_set("http://[a-z]{1,9}/", 0..3),
        comment in proptest::option::of("\\PC{0,20}"),
        creation_date in any::<Option<i64>>(),
    ) -> Assembly {
        let content = match single {
            Some(length) => Content::Single { length: length.into(), md5sum: Some("0".repeat(32)) },
            None => Content::Multi(files.into_iter().map(|(path, length, hidden)| File {
                path, length, md5sum: None, attr: if hidden { "h".into() } else { String::new() },
            }).collect()),
        };
        let total = match &content {
            Content::Single { length, .. } => *length,
            Content::Multi(files) => files.iter().map(|file| file.length).sum(),
        };
        let piece_length = 1 << exponent;
        let pieces = (0..total.div_ceil(u64::from(piece_length))).map(|n| [u8::try_from(n % 251).unwrap(); 20]).collect();
        Assembly {
            name, content, piece_length, pieces, private, source, trackers,
            web_seeds: web_seeds.into_iter().collect(),
            comment, creation_date, ..Assembly::default()
        }
    }
}

proptest! {
    #[test]
    fn what_is_assembled_reads_back(assembly in assemblies()) {
        let bytes = assembly.to_bytes().unwrap();
        prop_assert_eq!(&bytes, &assembly.to_bytes().unwrap());
        bt_bencode::parse(&bytes).expect("new torrents are canonical");
        let torrent = Metainfo::parse(&bytes).unwrap();
        let info = torrent.info();
        prop_assert_eq!(info.name(), &assembly.name);
        prop_assert_eq!(info.private(), assembly.private);
        prop_assert_eq!(info.source(), assembly.source.as_deref());
        prop_assert_eq!(info.piece_hashes(), &assembly.pieces);
        prop_assert_eq!(torrent.comment(), assembly.comment.as_deref());
        prop_assert_eq!(torrent.creation_date(), assembly.creation_date);
        prop_assert_eq!(torrent.web_seeds(), &assembly.web_seeds);
        let mut urls: Vec<&String> = torrent.trackers().iter().flatten().collect();
        let mut wanted: Vec<&String> = assembly.trackers.iter().flatten().collect();
        urls.sort();
        wanted.sort();
        wanted.dedup();
        prop_assert_eq!(urls, wanted);
        if let Content::Multi(files) = &assembly.content {
            for (entry, file) in info.files().iter().zip(files) {
                prop_assert_eq!(entry.length, file.length);
                prop_assert!(entry.original.components().eq(file.path.iter().map(String::as_bytes)));
                prop_assert_eq!(entry.attributes.hidden, !file.attr.is_empty());
            }
        }
    }
}
