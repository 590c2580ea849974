//! Who may announce what, in each mode, and lists that are edited: always the set that a plain one would be.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn access(mode: Mode, list: &Path) -> Result<Access, Error> {
    Access::new(&Config {
        mode,
        list: Some(list.into()),
        ..Config::default()
    })
}

fn may(access: &Access, info_hash: &InfoHash) -> bool {
    access.admit(info_hash, None).is_ok()
}

#[test]
fn lists_allow_and_deny_and_a_bad_list_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list");
    let (a, b) = (InfoHash::from([0xaa; 20]), InfoHash::from([0xbb; 20]));
    std::fs::write(&path, format!("# ours\n\n {a} # the first\r\n")).unwrap();
    let allow = access(Mode::AllowList, &path).unwrap();
    let deny = access(Mode::DenyList, &path).unwrap();
    assert!(may(&allow, &a) && !may(&allow, &b));
    assert!(!may(&deny, &a) && may(&deny, &b));

    std::fs::write(&path, format!("{b}\n{a}zz\n")).unwrap();
    let error = allow.reload().unwrap_err().to_string();
    assert!(
        error.ends_with("line 2: not an info-hash of 40 hexadecimal digits"),
        "{error}"
    );
    assert!(may(&allow, &a) && !may(&allow, &b));

    std::fs::write(&path, b.to_string()).unwrap();
    let change = allow.reload().unwrap();
    assert_eq!((change.entries, change.forbidden), (Some(1), vec![a]));
    assert_eq!(deny.reload().unwrap().forbidden, [b]);
    assert!(!may(&allow, &a) && may(&allow, &b));

    std::fs::remove_file(&path).unwrap();
    assert!(allow.reload().is_err());
    assert!(may(&allow, &b));
}

#[test]
fn keys_are_needed_and_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    std::fs::write(&path, "0123456789abcdef # ann\n").unwrap();
    let access_ = access(Mode::Passkey, &path).unwrap();
    let hash = InfoHash::from([1; 20]);
    assert!(access_.needs_key());
    let refusal = |key: Option<&[u8]>| access_.admit(&hash, key).unwrap_err();
    assert!(refusal(None).contains("needs a passkey"));
    assert!(refusal(Some(b"0123456789abcdee")).contains("not known"));
    assert!(access_.admit(&hash, Some(b"0123456789abcdef")).is_ok());
    std::fs::write(&path, "short\n").unwrap();
    assert!(
        access(Mode::Passkey, &path)
            .unwrap_err()
            .to_string()
            .contains("line 1")
    );
}

#[test]
fn what_is_changed_while_it_runs_is_in_the_file_and_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    std::fs::write(&path, "key-of-ann ann # since May\n").unwrap();
    let keys = access(Mode::Passkey, &path).unwrap();
    let hash = InfoHash::from([1; 20]);
    let knows = |key: &str| keys.admit(&hash, Some(key.as_bytes())).is_ok();
    assert_eq!(keys.add("key-of-bob bob").unwrap().entries, Some(2));
    assert!(knows("key-of-ann") && knows("key-of-bob"));
    // A name cannot smuggle a line in.
    keys.add("key-of-eve\nkey-of-mal").unwrap();
    assert!(knows("key-of-eve") && !knows("key-of-mal"));
    assert!(matches!(keys.add("short"), Err(Error::BadEntry { .. })));
    assert_eq!(keys.remove("key-of-ann").unwrap().dropped.len(), 1);
    assert!(!knows("key-of-ann"));
    assert!(matches!(keys.remove("key-of-ann"), Err(Error::NotListed)));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "key-of-bob bob\nkey-of-eve key-of-mal\n");
    // A list that somebody broke meanwhile is not made worse.
    std::fs::write(&path, "short\n").unwrap();
    assert!(matches!(keys.add("key-of-ann"), Err(Error::BadList { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "short\n");
    let open = Access::new(&Config::default()).unwrap();
    assert!(matches!(open.add("key-of-ann"), Err(Error::NoListToEdit)));
}

#[test]
fn a_mode_that_needs_a_list_says_so() {
    let config = Config {
        mode: Mode::AllowList,
        ..Config::default()
    };
    let error = Access::new(&config).unwrap_err();
    assert_eq!(error.to_string(), "mode allow-list needs a list");
}

/// A line as people write them: an entry, a comment, both, nothing; with spaces around and a carriage return behind.
fn line(entry: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let comment = prop_oneof![
        4 => Just(String::new()),
        1 => "#[ -~]{0,12}",
        1 => "# (key-1111|[0-9a-f]{40})",
    ];
    let entry = prop_oneof![3 => entry, 1 => Just(String::new())];
    (entry, comment, "[ \t]{0,2}", "[ \t]{0,2}", "\r?")
        .prop_map(|(entry, comment, a, b, end)| [a, entry, b, comment, end].concat())
}

/// A list of such lines; the last one may lack its end.
fn list_of(entry: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let end = prop_oneof![Just("\n"), Just("")];
    (vec(line(entry), 0..8), end).prop_map(|(lines, end)| lines.join("\n") + end)
}

/// Few keys, so that they come twice; some differ in case alone, some look like info-hashes.
fn key() -> impl Strategy<Value = String> {
    let long = prop_oneof![Just("ab".repeat(20)), Just("AB".repeat(20))];
    prop_oneof!["(key|KEY)-111[12]", long]
}

fn user() -> impl Strategy<Value = String> {
    (key(), "( (ann|bob|eve@x))?").prop_map(|(key, name)| key + &name)
}

/// One of four torrents.
fn torrent() -> impl Strategy<Value = InfoHash> {
    (0xa8..0xac_u8).prop_map(|n| InfoHash::from([n; 20]))
}

/// In either case.
fn written() -> impl Strategy<Value = String> {
    (torrent(), any::<bool>()).prop_map(|(hash, is_upper)| match is_upper {
        true => hash.to_string().to_ascii_uppercase(),
        false => hash.to_string(),
    })
}

proptest! {
    #[test]
    fn users_are_added_and_taken_out_as_in_a_map((text, new) in (list_of(user()), user())) {
        list::edits::user(&text, &new);
        fuzz(text.as_bytes());
    }

    #[test]
    fn torrents_are_added_and_taken_out_as_in_a_set((text, new) in (list_of(written()), torrent())) {
        list::edits::hash(&text, new);
        fuzz(text.as_bytes());
    }

    /// A list is read as a whole or not at all: a line that is no entry is named, and it is the first.
    #[test]
    fn one_bad_line_is_named(
        (before, bad, behind) in (
            vec(line(written()), 0..5),
            "[0-9a-f]{0,39}[g-z]|[0-9a-f]{41}|[0-9a-f]{39}|[0-9a-f]{20} [0-9a-f]{19}",
            vec(line(written()), 0..5),
        ),
    ) {
        let at = before.len();
        let text = [before, vec![bad], behind].concat().join("\n");
        match list::entries(Path::new("list"), &text, list::info_hash) {
            Err(Error::BadList { line, .. }) => prop_assert_eq!(line, at + 1),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

#[derive(Clone, Debug)]
enum Edit {
    Add(String),
    Remove(String),
    Reload,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => written().prop_map(Edit::Add),
        3 => written().prop_map(Edit::Remove),
        1 => prop_oneof![Just(""), Just("#"), Just("key-1111")].prop_map(|bad| Edit::Remove(bad.into())),
        1 => Just(Edit::Reload),
    ]
}

proptest! {
    // Each edit is synced.
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A tracker whose list is edited lets in whom a set with the same edits lets in, and so does one that reads its file.
    #[test]
    fn a_tracker_with_an_edited_list_is_one_with_an_edited_set(
        (text, edits, denies) in (list_of(written()), vec(edit(), 1..8), any::<bool>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        std::fs::write(&path, &text).unwrap();
        let mode = if denies { Mode::DenyList } else { Mode::AllowList };
        let ours = access(mode, &path).unwrap();
        let mut set = list::edits::hashes(&text).unwrap();
        for edit in edits {
            let before = set.clone();
            let change = match &edit {
                Edit::Add(word) => {
                    set.insert(word.parse().unwrap());
                    ours.add(word)
                }
                Edit::Remove(word) => {
                    let is_there = word.parse().is_ok_and(|hash| set.remove(&hash));
                    let change = ours.remove(word);
                    if !is_there {
                        prop_assert!(matches!(change, Err(Error::NotListed)), "{:?}", edit);
                        continue;
                    }
                    change
                }
                Edit::Reload => ours.reload(),
            };
            let change = change.unwrap();
            prop_assert_eq!(change.entries, Some(set.len()));
            let forbidden: BTreeSet<InfoHash> = change.forbidden.iter().copied().collect();
            let gone = if denies { &set - &before } else { &before - &set };
            prop_assert_eq!(forbidden, gone, "{:?}", edit);
            let fresh = access(mode, &path).unwrap();
            for n in 0xa0..=0xaf_u8 {
                let hash = InfoHash::from([n; 20]);
                let expected = set.contains(&hash) != denies;
                prop_assert_eq!((may(&ours, &hash), may(&fresh, &hash)), (expected, expected));
            }
        }
    }
}
