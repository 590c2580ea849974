//! Names that want to leave the directory, and names that are only odd: none escapes, none is
//! refused, and the odd ones stay readable.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use bt_metainfo::limits::{MAX_COMPONENT_BYTES, MAX_PATH_BYTES, MAX_PATH_DEPTH};
use bt_metainfo::{FileIndex, Metainfo};
use unicode_normalization::UnicodeNormalization;

use crate::torrents::{file, multi, parse, plain, single, warnings};

/// Names that mean harm, on any system.
const HOSTILE: [&[u8]; 96] = [
    b"",
    b".",
    b"..",
    b"...",
    b"....",
    b". ",
    b".. ",
    b" ..",
    b"..\0",
    b"\0",
    b"\0\0..",
    b"../x",
    b"../../x",
    b"x/..",
    b"x/../..",
    b"/",
    b"//",
    b"/x",
    b"//x",
    b"/../x",
    b"/etc/passwd",
    b"../../../../../../etc/passwd",
    b"..\\..\\..\\windows\\system32\\x",
    b"\\",
    b"\\\\",
    b"\\x",
    b"\\\\server\\share\\x",
    b"\\\\?\\C:\\x",
    b"\\\\.\\PhysicalDrive0",
    b"..\\x",
    b"x\\..\\..\\y",
    b"C:",
    b"C:\\",
    b"C:x",
    b"c:/x",
    b"C:\\Windows\\x",
    b"z:..",
    b"file:///etc/passwd",
    b"~",
    b"~root",
    b"~/.ssh/authorized_keys",
    b"$HOME",
    b"%2e%2e",
    b"%2e%2e%2f",
    b"..%2f..%2fx",
    b"..%c0%af",
    b"\xc0\xae\xc0\xae",
    b"\xc0\xae\xc0\xae/",
    b"\xe0\x80\xae\xe0\x80\xae",
    b"..\xc0\xafx",
    b"\xef\xbc\x8e\xef\xbc\x8e",
    b"\xef\xbc\x8f",
    b"\xe2\x80\xa5",
    b"..\xe2\x88\x95x",
    b"CON",
    b"con",
    b"PRN",
    b"AUX",
    b"NUL",
    b"nul.txt",
    b"NUL.",
    b"nul ",
    b"COM1",
    b"com9.log",
    b"LPT1",
    b"lpt9.",
    b"CONIN$",
    b"CONOUT$",
    b"CLOCK$",
    b"COM\xc2\xb9",
    b"aux.c",
    b"con.tar.gz",
    b"x\ny",
    b"x\ry",
    b"x\ty",
    b"\x1b[2J",
    b"\x07",
    b"\x7f",
    b"\xc2\x80",
    b"\xc2\x9b31m",
    b"x\xe2\x80\xaetxt.exe",
    b"\xe2\x81\xa6x\xe2\x81\xa9",
    b"\xe2\x80\xa8",
    b"\xff",
    b"\xff\xff\xff",
    b"\xf8\x88\x80\x80\x80",
    b"\xed\xa0\x80",
    b"x.",
    b"x..",
    b"x ",
    b"x . ",
    b"-rf",
    b"--",
    b"$(reboot)",
    b"x;reboot",
    b"`reboot`",
];

/// Names that are merely unusual and mostly stay as they are.
const ODD: [&str; 44] = [
    "Icon\r",
    ".DS_Store",
    ".hidden",
    "..data",
    "a..b",
    "name with spaces",
    " leading",
    "Thumbs.db",
    "[group] show - 01 (1080p).mkv",
    "it's",
    "\u{201c}quoted\u{201d}",
    "100%",
    "a&b",
    "a+b",
    "a=b",
    "a,b;c",
    "a@b",
    "a!b",
    "a^b",
    "{a}",
    "#1",
    "naïve",
    "nai\u{308}ve",
    "日本語.txt",
    "한국어",
    "Ελληνικά",
    "עברית",
    "العربية",
    "👩‍👩‍👧‍👦.jpg",
    "ß",
    "ﬁle",
    "Ω",
    "Å",
    "İ",
    "ı",
    "a\u{200d}b",
    "x.tar.gz",
    "x.",
    "COM10",
    "console",
    "nullable.rs",
    "lpt",
    "auxiliary",
    "prnt",
];

pub(crate) fn check(torrent: &Metainfo) {
    let info = torrent.info();
    let mut seen = BTreeSet::new();
    for (number, entry) in (0..).zip(info.files()) {
        let path = info.disk_path(FileIndex(number));
        assert!(
            path.components()
                .all(|part| matches!(part, Component::Normal(_))),
            "{path:?}"
        );
        let text = path.to_str().unwrap();
        assert!(text.len() <= MAX_PATH_BYTES, "{text}");
        assert!(path.components().count() <= MAX_PATH_DEPTH + 1);
        for name in text.split('/') {
            assert!(
                !matches!(name, "" | "." | "..") && name.len() <= MAX_COMPONENT_BYTES,
                "{text}"
            );
            assert!(
                !name.contains(|c: char| c == '\\' || c.is_control()),
                "{text:?}"
            );
            assert!(!name.ends_with(['.', ' ']), "{text:?}");
            let stem = name
                .split('.')
                .next()
                .unwrap()
                .trim_end()
                .to_ascii_lowercase();
            assert!(
                !matches!(
                    &*stem,
                    "con" | "prn" | "aux" | "nul" | "com1" | "com9" | "lpt1" | "lpt9"
                ),
                "{text}"
            );
            assert!(!(name.len() > 1 && name.as_bytes()[1] == b':'), "{text}");
        }
        let folded: String = text.nfc().collect::<String>().to_lowercase();
        assert!(seen.insert(folded), "{text} twice");
        let exact = entry
            .path
            .components()
            .map(str::as_bytes)
            .eq(entry.original.components());
        assert_eq!(entry.renamed, !exact, "{:?}", entry.path);
        if let Some(native) = info.native_path(FileIndex(number)) {
            assert!(
                native
                    .components()
                    .all(|part| matches!(part, Component::Normal(_))),
                "{native:?}"
            );
            assert_ne!(native, path);
        }
    }
    for (a, b) in seen.iter().zip(seen.iter().skip(1)) {
        assert!(
            !b.starts_with(&format!("{a}/")),
            "{a} is a file and a directory"
        );
    }
    for text in warnings(torrent) {
        assert!(
            !text.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{text:?}"
        );
    }
}

/// P6 of `docs/SECURITY.md`.
#[test]
fn no_name_escapes_and_none_is_refused() {
    let names: Vec<&[u8]> = HOSTILE
        .iter()
        .copied()
        .chain(ODD.iter().map(|name| name.as_bytes()))
        .collect();
    assert!(names.len() >= 120);
    for name in &names {
        // As a file, as a directory, in the middle, twice in a row, and as the torrent's name.
        for path in [
            &[*name][..],
            &[name, b"x"],
            &[b"x", name, b"y"],
            &[name, name],
            &[b"x", name],
        ] {
            check(&parse(multi(vec![file(5, path), plain(5, "other")])).unwrap());
        }
        check(&parse(single().set("name", name.to_vec())).unwrap());
        check(&parse(multi(vec![file(5, &[name])]).set("name", name.to_vec())).unwrap());
        check(&parse(single().set("name", "x").set("name.utf-8", name.to_vec())).unwrap());
    }
    check(&parse(multi(names.iter().map(|name| file(5, &[name])).collect())).unwrap());
    check(
        &parse(multi(
            names
                .iter()
                .map(|name| file(5, &[name, b"a"]))
                .chain(names.iter().map(|name| file(5, &[name])))
                .collect(),
        ))
        .unwrap(),
    );
}

#[test]
fn odd_names_stay_as_they_are() {
    let changed: Vec<&str> = ODD
        .into_iter()
        .filter(|name| {
            parse(multi(vec![file(5, &[name.as_bytes()])]))
                .unwrap()
                .info()
                .files()[0]
                .renamed
        })
        .collect();
    assert_eq!(changed, ["Icon\r", "x."]);
}

#[test]
fn the_same_torrent_always_gets_the_same_names() {
    let info = || multi(HOSTILE.iter().map(|name| file(1, &[name])).collect());
    let paths = |torrent: &Metainfo| {
        torrent
            .info()
            .files()
            .iter()
            .map(|entry| entry.path.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        paths(&parse(info()).unwrap()),
        paths(&parse(info()).unwrap())
    );
}

#[test]
fn both_names_are_there_and_people_are_told() {
    let torrent = parse(
        multi(vec![
            file(5, &[b"..", b"a.txt"]),
            plain(5, "b"),
            plain(5, "B"),
        ])
        .set("name", ".."),
    )
    .unwrap();
    let info = torrent.info();
    assert_eq!((info.name(), info.original_name()), ("__", &b".."[..]));
    let first = &info.files()[0];
    assert_eq!(
        (first.path.to_string(), first.original.to_string()),
        ("__/a.txt".into(), "../a.txt".into())
    );
    assert_eq!(info.disk_path(FileIndex(0)), Path::new("__/__/a.txt"));
    assert_eq!(
        warnings(&torrent),
        [
            "the torrent's name \"..\" becomes \"__\"",
            "file 1: \"../a.txt\" becomes \"__/a.txt\"",
            "file 3: \"B\" becomes \"B (2)\""
        ]
    );
}

#[test]
fn long_names_and_paths_leave_room_for_the_directory() {
    let long = vec![b'n'; MAX_COMPONENT_BYTES];
    let path = |count: usize, last: &[u8]| {
        let names: Vec<&[u8]> = std::iter::repeat_n(&long[..], count)
            .chain([last])
            .collect();
        file(5, &names)
    };
    // 240 + 1 + 3 * 241 = 964 bytes are taken, so 60 are left for the last name.
    for (last, whole) in [(60, true), (61, false)] {
        let torrent =
            parse(multi(vec![path(3, &vec![b'l'; last])]).set("name", long.clone())).unwrap();
        check(&torrent);
        assert_eq!(
            torrent.info().files()[0].path.components().count() == 4,
            whole,
            "{last}"
        );
    }
    let twins = (0..50).map(|_| path(3, &[b'l'; 60])).collect();
    check(&parse(multi(twins).set("name", long.clone())).unwrap());
    let deep = |depth: usize| file(5, &vec![&b"d"[..]; depth]);
    check(&parse(multi(vec![deep(100), deep(101), deep(102), deep(5_000)])).unwrap());
    check(&parse(single().set("name", vec![b'n'; 100_000])).unwrap());
}

#[cfg(unix)]
#[test]
fn content_with_names_of_this_system_can_be_found() {
    let torrent = parse(
        multi(vec![
            plain(5, "src/aux.c"),
            plain(5, "xt_TCPMSS.h"),
            plain(5, "xt_tcpmss.h"),
            plain(5, "plain"),
        ])
        .set("name", "linux."),
    )
    .unwrap();
    let info = torrent.info();
    let paths: Vec<_> = (0..4)
        .map(|i| {
            (
                info.disk_path(FileIndex(i)),
                info.native_path(FileIndex(i)).unwrap(),
            )
        })
        .collect();
    let text: Vec<(&str, &str)> = paths
        .iter()
        .map(|(a, b)| (a.to_str().unwrap(), b.to_str().unwrap()))
        .collect();
    assert_eq!(
        text,
        [
            ("linux_/src/aux_.c", "linux./src/aux.c"),
            ("linux_/xt_TCPMSS.h", "linux./xt_TCPMSS.h"),
            ("linux_/xt_tcpmss (2).h", "linux./xt_tcpmss.h"),
            ("linux_/plain", "linux./plain")
        ]
    );
    assert_eq!(
        parse(single()).unwrap().info().native_path(FileIndex(0)),
        None
    );
    assert_eq!(
        parse(single().set("name", "nul"))
            .unwrap()
            .info()
            .native_path(FileIndex(0))
            .as_deref(),
        Some(Path::new("nul"))
    );
    // Where native names clash with others, there are none.
    let torrent = parse(multi(vec![plain(5, "a"), plain(5, "a"), plain(5, "b.")])).unwrap();
    assert!((0..3).all(|i| torrent.info().native_path(FileIndex(i)).is_none()));
}
