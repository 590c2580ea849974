//! Torrents whose names lead elsewhere, meet each other, or only look dangerous.

use super::Cases;
use super::make::string;
use super::torrents::{around, file, file_of, multi, single};

pub(super) fn fill(cases: &mut Cases) {
    replaced(cases);
    told_apart(cases);
}

fn replaced(cases: &mut Cases) {
    cases.because(
        "a name that leads elsewhere, or that a system cannot hold, is replaced and never refused",
    );
    let long = [b'x'; 241];
    let odd: &[(&str, &[&[u8]])] = &[
        ("dot-dot", &[b"..", b"..", b"etc", b"passwd"]),
        ("dot-dot-only", &[b".."]),
        ("dot-dot-slash", &[b"../../x"]),
        ("dot-dot-backslash", &[b"..\\..\\x"]),
        ("absolute", &[b"/etc/passwd"]),
        ("absolute-parts", &[b"/", b"etc", b"passwd"]),
        ("drive", &[b"C:", b"windows", b"system.ini"]),
        ("drive-backslash", &[b"C:\\x"]),
        ("unc", &[b"\\\\host\\share\\x"]),
        ("nul", &[b"a\0b"]),
        ("newline", &[b"a\nb"]),
        ("escape", &[b"a\x1b[2Jb"]),
        ("delete", &[b"a\x7fb"]),
        ("right-to-left", &["photo\u{202e}gpj.exe".as_bytes()]),
        ("not-utf8", &[b"\xff\xfe"]),
        ("overlong-slash", &[b"\xc0\xaf"]),
        ("con", &[b"CON"]),
        ("con-txt", &[b"con.txt"]),
        ("aux", &[b"aux"]),
        ("com1", &[b"COM1.log"]),
        ("dot-after", &[b"name."]),
        ("space-after", &[b"name "]),
        ("icon-return", &[b"Icon\r"]),
        ("long", &[&long]),
    ];
    for (name, path) in odd {
        let bytes = around(multi(&[file(1, path).bytes()]));
        cases.odd(&format!("name-{name}"), bytes, "renamed");
    }
}

fn told_apart(cases: &mut Cases) {
    cases.because("names that differ in nothing that a file system sees are told apart");
    cases.odd(
        "names-equal",
        around(multi(&[file_of(1), file_of(1)])),
        "renamed",
    );
    cases.odd(
        "names-differ-in-case",
        around(multi(&[
            file(1, &[b"README"]).bytes(),
            file(1, &[b"readme"]).bytes(),
        ])),
        "renamed",
    );
    cases.odd(
        "names-differ-in-composition",
        around(multi(&[
            file(1, &["e\u{301}".as_bytes()]).bytes(),
            file(1, &["\u{e9}".as_bytes()]).bytes(),
        ])),
        "renamed",
    );
    cases.odd(
        "name-is-file-and-folder",
        around(multi(&[
            file(1, &[b"a"]).bytes(),
            file(1, &[b"a", b"b"]).bytes(),
        ])),
        "renamed",
    );
    cases.because("plain names stay as they are");
    for (name, text) in [
        ("dots", "a..b"),
        ("leading-dot", ".hidden"),
        ("spaces", "a b c"),
        ("emoji", "\u{1f600}"),
        ("greek", "\u{3b1}\u{3b2}"),
        ("dash", "-rf"),
        ("dollar", "$(x)"),
        ("tilde", "~root"),
        ("stream", "file.txt:evil"),
        ("question-mark", "what?"),
        ("star", "*"),
        ("pipe", "a|b"),
    ] {
        cases.good(
            &format!("plain-{name}"),
            around(single().set("name", string(text))),
        );
    }
    cases.because("the torrent's own name obeys the same rules");
    for (name, text) in [
        ("dot-dot", ".."),
        ("slash", "a/b"),
        ("absolute", "/"),
        ("nul", "\0"),
        ("empty", ""),
        ("space", " "),
    ] {
        cases.odd(
            &format!("root-name-{name}"),
            around(single().set("name", string(text))),
            "renamed",
        );
    }
}
