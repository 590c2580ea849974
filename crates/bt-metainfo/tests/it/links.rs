//! Links between files (BEP 47): kept only while they stay inside the torrent.

use crate::hostile_paths::check;
use crate::torrents::{Dict, multi, parse, plain, strings, warnings};

fn link(path: &str, target: &[&[u8]]) -> Dict {
    plain(0, path)
        .set("attr", "l")
        .set("symlink path", strings(target))
}

fn links(files: Vec<Dict>) -> (Vec<Option<String>>, Vec<String>) {
    let torrent = parse(multi(files)).unwrap();
    check(&torrent);
    let links = torrent
        .info()
        .files()
        .iter()
        .map(|entry| entry.attributes.symlink.as_ref().map(ToString::to_string))
        .collect();
    (links, warnings(&torrent))
}

#[test]
fn links_inside_the_torrent_stay() {
    let (kept, told) = links(vec![
        plain(5, "lib/x.so.1.2"),
        link("lib/x.so.1", &[b"lib", b"x.so.1.2"]),
        link("lib/x.so", &[b"lib", b"x.so.1"]),
        link("current", &[b"lib"]),
        link("no-length", &[b"lib"]).without("length"),
    ]);
    let text: Vec<&str> = kept
        .iter()
        .skip(1)
        .map(|link| link.as_deref().unwrap())
        .collect();
    assert_eq!(text, ["lib/x.so.1.2", "lib/x.so.1", "lib", "lib"]);
    assert_eq!(told, [""; 0]);
}

#[test]
fn links_that_leave_dangle_or_circle_become_empty_files() {
    let cases: [(Vec<Dict>, &str); 12] = [
        (
            vec![link("l", &[b"..", b"etc", b"passwd"])],
            "its target is not a safe path",
        ),
        (
            vec![link("l", &[b"/etc/passwd"])],
            "its target is not a safe path",
        ),
        (
            vec![link("l", &[b"", b"etc"])],
            "its target is not a safe path",
        ),
        (vec![link("l", &[])], "its target is not a safe path"),
        (
            vec![link("l", &[b"a", b"..", b".."])],
            "its target is not a safe path",
        ),
        (
            vec![link("l", &[b"nowhere"])],
            "its target is not in the torrent",
        ),
        (
            vec![link("l", &[b"d", b"nowhere"])],
            "its target is not in the torrent",
        ),
        (vec![link("l", &[b"l"])], "it leads in a circle"),
        (
            vec![link("l", &[b"m"]), link("m", &[b"n"]), link("n", &[b"m"])],
            "it leads in a circle",
        ),
        (
            vec![link("d/l", &[b"d"])],
            "its target holds the link itself",
        ),
        (
            vec![link("l", &[b"l", b"x"])],
            "its target is not in the torrent",
        ),
        (
            vec![link("l", &[b"L2"]), link("L2", &[b"l"])],
            "it leads in a circle",
        ),
    ];
    for (mut files, reason) in cases {
        let count = files.len();
        files.push(plain(5, "d/file"));
        let (kept, told) = links(files);
        assert!(kept.iter().all(Option::is_none), "{reason}: {kept:?}");
        assert_eq!(told.len(), count, "{told:?}");
        assert!(told.iter().all(|text| text.ends_with(reason)), "{told:?}");
    }
    let (kept, told) = links(vec![
        plain(5, "a"),
        plain(3, "b")
            .set("attr", "l")
            .set("symlink path", strings(&[b"a"])),
        plain(0, "c").set("attr", "l"),
    ]);
    assert!(kept.iter().all(Option::is_none));
    assert_eq!(
        told,
        [
            "info.files[1].attr is left out: a link has no bytes of its own",
            "info.files[2].attr is left out: a link needs a \"symlink path\""
        ]
    );
}

#[test]
fn links_follow_their_target_to_its_new_name() {
    let (kept, _) = links(vec![
        plain(5, "A"),
        plain(5, "a"),
        link("l", &[b"A"]),
        plain(5, "x/y"),
        link("x", &[b"A"]),
        link("m", &[b"x"]),
    ]);
    // "x" is a directory and a link, so the link becomes "x (2)".
    assert_eq!(kept[2].as_deref(), Some("A"));
    assert_eq!(kept[4].as_deref(), Some("A"));
    assert_eq!(kept[5].as_deref(), Some("x (2)"));
}

#[test]
fn a_long_chain_of_links_costs_no_more_than_its_length() {
    let mut files: Vec<Dict> = (0..20_000)
        .map(|i| link(&i.to_string(), &[(i + 1).to_string().as_bytes()]))
        .collect();
    files.push(plain(5, "20000"));
    let (kept, told) = links(files);
    assert_eq!(kept.iter().flatten().count(), 20_000);
    assert_eq!(told, [""; 0]);
}
