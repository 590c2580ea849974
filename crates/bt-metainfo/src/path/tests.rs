//! Tests of the room: single names, whole paths, collisions and native paths.

use proptest::prelude::*;

use super::collisions::folded;
use super::*;
use crate::limits::{
    MAX_COMPONENT_BYTES, MAX_EXTENSION_BYTES, MAX_NATIVE_COMPONENT_BYTES, MAX_NATIVE_PATH_BYTES,
};

fn one(name: &[u8]) -> String {
    SafePath::sanitize([name]).to_string()
}

fn resolved(paths: &[&str]) -> Vec<String> {
    let mut paths: Vec<SafePath> = paths
        .iter()
        .map(|path| SafePath::sanitize(path.split('/').map(str::as_bytes)))
        .collect();
    resolve(&mut paths, MAX_PATH_BYTES, |_| false);
    paths.iter().map(ToString::to_string).collect()
}

#[test]
fn a_path_is_shown_quoted_and_knows_its_last_name() {
    let path = SafePath::sanitize([&b"a b"[..], b"c.txt"]);
    assert_eq!(path.file_name(), "c.txt");
    assert_eq!(path.as_ref(), "a b/c.txt");
    assert_eq!(format!("{path:?}"), r#""a b/c.txt""#);
    assert_eq!(SafePath::sanitize([&b"alone"[..]]).file_name(), "alone");
}

#[test]
fn a_plain_name_stays() {
    for name in [
        "a",
        "README.md",
        "naïve café.txt",
        "日本語",
        ".hidden",
        "..almost",
        "a..b",
        " leading",
        "com",
        "com10",
        "console",
        "lpt.d",
        "nulls",
        "-rf",
        "$(x)",
        "a;b",
        "👩‍👩‍👧.jpg",
        "~",
        "x - y [z] (2).tar.gz",
        "%41",
        "#1",
        "a&b",
    ] {
        assert_eq!(one(name.as_bytes()), name);
    }
}

#[test]
fn what_cannot_stand_is_replaced() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "_"),
        (b".", "_"),
        (b"..", "__"),
        (b"...", "___"),
        (b"/etc/passwd", "_etc_passwd"),
        (b"..\\..\\x", ".._.._x"),
        (b"a\0b", "a_b"),
        (b"Icon\r", "Icon_"),
        (b"x\x1b[31m", "x_[31m"),
        ("a\u{85}b".as_bytes(), "a_b"),
        ("exe\u{202e}gpj".as_bytes(), "exe_gpj"),
        (b"end.", "end_"),
        (b"end. .", "end___"),
        (b"c:", "c_"),
        (b"C:\\Windows", "C__Windows"),
        (b"con", "con_"),
        (b"CON.txt", "CON_.txt"),
        (b"con .txt", "con _.txt"),
        (b"aux.tar.gz", "aux_.tar.gz"),
        (b"COM1", "COM1_"),
        ("lpt¹.x".as_bytes(), "lpt¹_.x"),
        (b"NUL ", "NUL _"),
        (b"CONIN$", "CONIN$_"),
        (b"\xff\xfe.bin", "%FF%FE.bin"),
        (b"caf\xe9", "caf%E9"),
    ];
    for (name, expected) in cases {
        assert_eq!(one(name), *expected, "{name:?}");
    }
}

#[test]
fn a_long_name_is_cut_but_keeps_its_extension() {
    let fits = "a".repeat(MAX_COMPONENT_BYTES);
    assert_eq!(one(fits.as_bytes()), fits);
    let long = format!("{}.tar.gz", "é".repeat(200));
    let cut = one(long.as_bytes());
    assert!(
        cut.ends_with("é.gz") && cut.len() <= MAX_COMPONENT_BYTES,
        "{cut}"
    );
    for (length, is_kept) in [
        (MAX_EXTENSION_BYTES, true),
        (MAX_EXTENSION_BYTES + 1, false),
    ] {
        let extension = format!(".{}", "e".repeat(length - 1));
        let cut = one(format!("{}{extension}", "a".repeat(300)).as_bytes());
        assert_eq!(cut.ends_with(&extension), is_kept, "{length}");
    }
    assert!(one(&vec![b'x'; MAX_COMPONENT_BYTES + 1]).len() == MAX_COMPONENT_BYTES);
    assert!(one(&vec![0xff; 1 << 20]).len() <= MAX_COMPONENT_BYTES);
    assert!(!one(format!("{} {}", "a".repeat(239), "b".repeat(50)).as_bytes()).ends_with(' '));
}

#[test]
fn a_path_beyond_the_limits_becomes_one_name() {
    let name = [b'a'; 203];
    let fits = SafePath::sanitize([
        &name[..200],
        &name[..],
        &name[..],
        &name[..],
        &name[..],
        b"12",
    ]);
    assert!(fits.components().count() == 6, "{}", fits.as_str().len());
    let mut names = vec![&name[..]; 5];
    names.push(b"1234");
    let names = names;
    let long = SafePath::sanitize(names.iter().copied());
    assert_eq!(names.iter().map(|n| n.len() + 1).sum::<usize>() - 1, 1_024);
    assert_eq!(long.components().count(), 6);
    let longer = SafePath::sanitize(names.iter().copied().chain([&b"x"[..]]));
    assert_eq!(longer.components().count(), 1);
    assert!(longer.as_str().ends_with("-x"), "{longer}");

    let deep = |depth| {
        SafePath::sanitize(std::iter::repeat_n(&b"d"[..], depth))
            .components()
            .count()
    };
    assert_eq!(
        (
            deep(MAX_PATH_DEPTH),
            deep(MAX_PATH_DEPTH + 1),
            deep(100_000)
        ),
        (MAX_PATH_DEPTH, 1, 1)
    );
    assert_eq!(deep(0), 1);
}

#[test]
fn equal_paths_get_numbers_in_order() {
    assert_eq!(
        resolved(&["a.txt", "b", "a.txt", "A.TXT"]),
        ["a.txt", "b", "a (2).txt", "A (3).TXT"]
    );
    assert_eq!(
        resolved(&["a", "a", "a (2)", "a"]),
        ["a", "a (3)", "a (2)", "a (4)"]
    );
    assert_eq!(resolved(&["D/x", "d/X", "d/y"]), ["D/x", "d/X (2)", "d/y"]);
    // Composed and decomposed, and a letter with two lower forms.
    assert_eq!(
        resolved(&["\u{e9}", "e\u{301}"]),
        ["\u{e9}", "e\u{301} (2)"]
    );
    assert_eq!(resolved(&["ΟΔΟΣ", "οδος"]), ["ΟΔΟΣ", "οδος (2)"]);
    // Different names in every file system stay.
    assert_eq!(resolved(&["straße", "strasse"]), ["straße", "strasse"]);
}

#[test]
fn a_file_gives_way_to_a_directory() {
    assert_eq!(resolved(&["a", "a/b"]), ["a (2)", "a/b"]);
    assert_eq!(
        resolved(&["x/y/z", "X", "x/Y", "x"]),
        ["x/y/z", "X (2)", "x/Y (2)", "x (3)"]
    );
    assert_eq!(
        resolved(&["a", "a/b", "a (2)/c"]),
        ["a (3)", "a/b", "a (2)/c"]
    );
    assert_eq!(
        resolved(&["a", "a.b", "a b", "a-", "a/z"]),
        ["a (2)", "a.b", "a b", "a-", "a/z"]
    );
}

#[test]
fn numbers_fit_into_full_names_and_paths() {
    let full = "a".repeat(MAX_COMPONENT_BYTES);
    let paths = resolved(&[&full, &full, &full]);
    assert!(paths[1].ends_with(" (2)") && paths[2].ends_with(" (3)"));
    assert!(paths.iter().all(|path| path.len() <= MAX_COMPONENT_BYTES));
    let path = [&"d".repeat(203)[..]; 5].join("/") + "/1234";
    let paths = resolved(&[&path, &path]);
    assert_eq!(paths[0], path);
    assert!(
        paths[1].len() < 40 && paths[1].ends_with("-1234 (2)"),
        "{}",
        paths[1]
    );
}

/// The time for which this thread has had a processor, whatever else runs on the machine; `None` where the system does not
/// tell.
fn on_processor() -> Option<std::time::Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(std::time::Duration::from_nanos(nanoseconds))
}

#[test]
fn a_hundred_thousand_equal_names_take_less_than_a_second() {
    let check = |name: &dyn Fn(usize) -> String| {
        let mut paths: Vec<SafePath> = (0..100_000)
            .map(|i| SafePath::sanitize([name(i).as_bytes()]))
            .collect();
        let begin = on_processor();
        resolve(&mut paths, MAX_PATH_BYTES, |_| false);
        if let Some((begin, end)) = begin.zip(on_processor()) {
            let took = end.saturating_sub(begin);
            println!("{} ms", took.as_millis());
            assert!(took.as_secs() < 1, "{took:?}");
        }
        let unique: std::collections::BTreeSet<String> =
            paths.iter().map(|path| folded(path.as_str())).collect();
        assert_eq!(unique.len(), paths.len());
    };
    check(&|_| "same".to_owned());
    // Names that only differ where cutting takes them off.
    check(&|i| format!("{}{:07}", "x".repeat(233), i / 2));
    // Names that sit where numbers want to go.
    check(&|i| {
        if i % 2 == 0 {
            "a".to_owned()
        } else {
            format!("a ({i})")
        }
    });
}

#[test]
fn ignored_paths_are_not_in_the_way() {
    let mut paths = [
        SafePath::sanitize([&b"a"[..]]),
        SafePath::sanitize([&b"a"[..]]),
    ];
    assert_eq!(resolve(&mut paths, MAX_PATH_BYTES, |i| i == 0), []);
    assert_eq!(paths[1].as_str(), "a");
}

#[cfg(unix)]
#[test]
fn native_paths_keep_what_unix_keeps() {
    let native = |names: &[&[u8]]| {
        let path = SafePath::sanitize(names.iter().copied());
        native_path(names.iter().copied(), &path).map(|path| path.to_str().map(str::to_owned))
    };
    assert_eq!(native(&[b"src", b"aux.c"]), Some(Some("src/aux.c".into())));
    assert_eq!(native(&[b"end."]), Some(Some("end.".into())));
    assert_eq!(native(&[b"\xff"]), None);
    assert_eq!(native(&[b"plain"]), None);
    for unsafe_name in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
        assert_eq!(native(&[unsafe_name]), None, "{unsafe_name:?}");
    }
    let name = [b'n'; MAX_NATIVE_COMPONENT_BYTES + 1];
    assert_eq!(native(&[&name]), None, "one above");
    let longest = &name[1..];
    assert!(native(&[longest]).is_some(), "at the limit");
    let whole = [longest; MAX_NATIVE_PATH_BYTES / (MAX_NATIVE_COMPONENT_BYTES + 1)];
    assert!(native(&whole).is_some(), "a path at the limit");
    // One byte more: the last name in two, which takes a separator.
    let more = [&whole[1..], &[&longest[1..100], &longest[99..]]].concat();
    let bytes: usize = more.iter().map(|name| name.len() + 1).sum();
    assert_eq!(bytes, MAX_NATIVE_PATH_BYTES + 1);
    assert_eq!(native(&more), None, "a path one above");
}

#[test]
fn native_paths_must_be_unique_together() {
    let safe = |name: &str| SafePath::sanitize(name.split('/').map(str::as_bytes));
    let unique = |paths: &[(Option<&str>, &str)]| {
        let paths: Vec<_> = paths
            .iter()
            .map(|(native, path)| (native.map(Path::new), safe(path)))
            .collect();
        unique_natives(paths.iter().map(|(native, path)| (*native, path)))
    };
    assert!(unique(&[
        (Some("A"), "A"),
        (Some("a"), "a (2)"),
        (None, "b/c"),
        (None, "b-")
    ]));
    assert!(!unique(&[(Some("a"), "a"), (Some("a"), "a (2)")]));
    assert!(!unique(&[(Some("a"), "a"), (None, "a/b")]));
}

proptest! {
    #[test]
    fn any_names_make_a_path_that_stays(names in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..8)) {
        let path = SafePath::sanitize(names.iter().map(Vec::as_slice));
        prop_assert!(path.as_str().len() <= MAX_PATH_BYTES);
        for name in path.components() {
            prop_assert!(!name.is_empty() && name.len() <= MAX_COMPONENT_BYTES);
            prop_assert!(!name.contains(['/', '\\', '\0']) && !name.ends_with(['.', ' ']));
            prop_assert!(!name.chars().any(char::is_control));
        }
        prop_assert!(path.to_path_buf().is_relative());
        // Once clean, a path stays as it is.
        prop_assert!(SafePath::sanitize(path.components().map(str::as_bytes)) == path);
    }

    #[test]
    fn resolved_paths_are_different_for_every_file_system(paths in proptest::collection::vec("[aAbB/ .()2]{1,6}", 1..40)) {
        let resolved = resolved(&paths.iter().map(String::as_str).collect::<Vec<_>>());
        let keys: Vec<String> = resolved.iter().map(|path| folded(path)).collect();
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                prop_assert!(i == j || (a != b && !b.starts_with(&format!("{a}/"))), "{a} {b}");
            }
        }
        prop_assert_eq!(&resolved, &self::resolved(&paths.iter().map(String::as_str).collect::<Vec<_>>()));
    }
}
