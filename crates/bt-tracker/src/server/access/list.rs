//! The list file: one entry a line, read as a whole or not at all, and edited in one step.
//!
//! The file is the only truth: what is changed while the server runs is changed there, and so
//! holds after a restart. Comments and order stay as their author left them.

use std::io::Write as _;
use std::path::Path;

use bt_metainfo::InfoHash;

use super::super::accounts::Listed;
use super::super::{Error, durable, read_bounded_text};
use crate::limits::MAX_LIST_FILE;

/// Passkeys are this long, in bytes: shorter ones can be guessed, longer ones are no keys.
const PASSKEY_LENGTH: std::ops::RangeInclusive<usize> = 8..=128;

/// Bytes of a user's name.
const MAX_NAME: usize = 64;

pub(super) fn text(path: &Path) -> Result<String, Error> {
    read_bounded_text(path, MAX_LIST_FILE).map_err(|source| Error::ReadList {
        path: path.into(),
        source,
    })
}

/// All entries of a list, or what is wrong with the first bad one.
pub(super) fn entries<T>(
    path: &Path,
    text: &str,
    parse: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Error> {
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let entry = entry(line);
        if !entry.is_empty() {
            let bad = |problem| Error::BadList {
                path: path.into(),
                line: at + 1,
                problem,
            };
            entries.push(parse(entry).map_err(bad)?);
        }
    }
    Ok(entries)
}

/// Whether two first words are about the same entry.
pub(super) type Same = fn(&str, &str) -> bool;

/// Info-hashes may be written in either case.
pub(super) fn same_hash(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// Keys may not: two that differ in case alone are two users.
pub(super) fn same_key(a: &str, b: &str) -> bool {
    a == b
}

/// The text with one more entry, in the place of those that are about the same; the rest of their lines stays.
pub(super) fn with(text: &str, new: &str, same: Same) -> String {
    let mut out = String::with_capacity(text.len() + new.len() + 2);
    let mut is_there = false;
    for line in text.split_inclusive('\n') {
        let is_it = is_about(line, first_word(new), same);
        is_there |= is_it;
        match line.split_once(entry(line)) {
            // Each of them, since the last one holds.
            Some((before, behind)) if is_it => out.extend([before, new, behind]),
            _ => out.push_str(line),
        }
    }
    if !is_there {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(new);
        out.push('\n');
    }
    out
}

/// The text without an entry; `None` when it has none.
pub(super) fn without(text: &str, old: &str, same: Same) -> Option<String> {
    let lines = text.split_inclusive('\n');
    let keep: String = lines.filter(|line| !is_about(line, old, same)).collect();
    (keep.len() < text.len()).then_some(keep)
}

/// Puts a new text in the place of the file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Error> {
    let result = durable::replace(path, durable::SECRET, |file| {
        file.write_all(text.as_bytes())
    });
    result.map_err(|source| Error::WriteList {
        path: path.into(),
        source,
    })
}

pub(super) fn info_hash(entry: &str) -> Result<InfoHash, &'static str> {
    let problem = "not an info-hash of 40 hexadecimal digits";
    if entry.len() == 40 {
        entry.parse().map_err(|_| problem)
    } else {
        Err(problem)
    }
}

/// `KEY` or `KEY NAME`.
pub(super) fn user(entry: &str) -> Result<Listed, &'static str> {
    let mut words = entry.split_whitespace();
    let key = words.next().unwrap_or_default();
    let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !PASSKEY_LENGTH.contains(&key.len()) || !key.bytes().all(is_key) {
        return Err("not a passkey of 8 to 128 letters, digits, - and _");
    }
    let is_name = |byte: u8| is_key(byte) || matches!(byte, b'.' | b'@');
    let name = words.next();
    if name.is_some_and(|name| name.len() > MAX_NAME || !name.bytes().all(is_name))
        || words.next().is_some()
    {
        return Err("after the passkey: not a name of 1 to 64 letters, digits, - _ . and @");
    }
    Ok(Listed {
        key: key.into(),
        name: name.map(Into::into),
    })
}

/// A line without its comment.
fn entry(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

fn first_word(entry: &str) -> &str {
    entry.split_whitespace().next().unwrap_or_default()
}

/// A line without an entry is about nothing, whatever is asked for.
fn is_about(line: &str, word: &str, same: Same) -> bool {
    let found = first_word(entry(line));
    !found.is_empty() && same(found, word)
}

/// A list for the fuzzer: what is added to a good one is there, whatever it was called before, and gone after it was taken
/// out; the others and the comments stay as they were.
#[cfg(any(test, feature = "fuzz"))]
pub(in super::super) fn fuzz(bytes: &[u8]) {
    /// Each costs a dozen passes over the whole.
    const LOOKED_AT: usize = 3;
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let users = edits::users(text);
    for key in users.iter().flatten().map(|(key, _)| key).take(LOOKED_AT) {
        edits::user(text, key);
        edits::user(text, &format!("{key} other"));
        edits::user(text, &key.to_ascii_uppercase());
    }
    let hashes = edits::hashes(text);
    for hash in hashes.iter().flatten().take(LOOKED_AT) {
        edits::hash(text, *hash);
    }
    if users.is_some() {
        edits::user(text, "key-of-a-new-one new");
    }
    if hashes.is_some() {
        edits::hash(text, InfoHash::from([0xab; 20]));
    }
}

/// What edits of a list have to do, in terms of sets.
#[cfg(any(test, feature = "fuzz"))]
pub(super) mod edits {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use bt_metainfo::InfoHash;

    use super::{Same, entry, same_hash, same_key, with, without};

    /// The users of a good list, each by its last name.
    pub(in super::super) fn users(text: &str) -> Option<BTreeMap<Box<str>, Option<Box<str>>>> {
        let listed = super::entries(Path::new("list"), text, super::user).ok()?;
        Some(listed.into_iter().map(|one| (one.key, one.name)).collect())
    }

    /// The torrents of a good list.
    pub(in super::super) fn hashes(text: &str) -> Option<BTreeSet<InfoHash>> {
        let listed = super::entries(Path::new("list"), text, super::info_hash).ok()?;
        Some(listed.into_iter().collect())
    }

    /// Adds a user to a good list and takes it out again.
    pub(in super::super) fn user(text: &str, new: &str) {
        let listed = super::user(new).expect("a key and maybe a name");
        let mut expected = users(text).expect("a good list");
        let added = with(text, &listed.to_string(), same_key);
        expected.insert(listed.key.clone(), listed.name);
        assert_eq!(users(&added), Some(expected.clone()), "{new:?} was added");
        expected.remove(&listed.key);
        let left = taken_out(text, &added, &listed.key, same_key);
        assert_eq!(users(&left), Some(expected), "{new:?} was taken out");
    }

    /// The same with a torrent, in either case.
    pub(in super::super) fn hash(text: &str, hash: InfoHash) {
        let mut expected = hashes(text).expect("a good list");
        let added = with(text, &hash.to_string(), same_hash);
        expected.insert(hash);
        assert_eq!(hashes(&added), Some(expected.clone()), "{hash} was added");
        expected.remove(&hash);
        let word = hash.to_string().to_ascii_uppercase();
        let left = taken_out(text, &added, &word, same_hash);
        assert_eq!(hashes(&left), Some(expected), "{hash} was taken out");
    }

    /// What is left without an entry; comments are seen to.
    fn taken_out(text: &str, added: &str, word: &str, same: Same) -> String {
        let comments = |text: &str| {
            let comments = text.lines().filter_map(|line| line.split_once('#'));
            comments
                .map(|(_, comment)| comment.trim_end().to_owned())
                .collect()
        };
        let (before, after): (Vec<String>, Vec<String>) = (comments(text), comments(added));
        assert_eq!(before, after, "comments stay");
        let left = without(added, word, same).expect("it is there");
        let alone = |text: &str| {
            let alone = text.lines().filter(|line| entry(line).is_empty());
            alone
                .map(|line| line.trim_end().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(alone(text), alone(&left), "lines without an entry stay");
        assert_eq!(without(&left, word, same), None, "it is gone");
        assert_eq!(without(&left, "", same), None, "nothing is no entry");
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_edited_without_touching_the_rest() {
        let text = "# ours\nkey-1111 ann # since May\n\nkey-2222";
        let added = with(text, "key-3333 eve", same_key);
        assert_eq!(
            added,
            "# ours\nkey-1111 ann # since May\n\nkey-2222\nkey-3333 eve\n"
        );
        assert_eq!(
            with(&added, "key-2222 bob", same_key),
            "# ours\nkey-1111 ann # since May\n\nkey-2222 bob\nkey-3333 eve\n"
        );
        assert_eq!(
            without(text, "key-1111", same_key).unwrap(),
            "# ours\n\nkey-2222"
        );
        assert_eq!(without(text, "ours", same_key), None);
        assert_eq!(without(text, "KEY-1111", same_key), None);
        let (upper, lower) = ("AB".repeat(20), "ab".repeat(20));
        assert_eq!(
            without(&format!("{upper}\n"), &lower, same_hash).unwrap(),
            ""
        );
        assert_eq!(with("", "key-1111", same_key), "key-1111\n");
    }

    /// The comment behind an entry was lost when that got another name.
    #[test]
    fn a_comment_behind_an_entry_stays_when_that_is_changed() {
        assert_eq!(
            with("\tkey-1111 ann# since May\n", "key-1111 eve", same_key),
            "\tkey-1111 eve# since May\n"
        );
    }

    #[test]
    fn lines_end_as_they_did() {
        let text = "# ours\r\nkey-1111 ann\r\nkey-2222";
        assert_eq!(
            with(text, "key-1111", same_key),
            "# ours\r\nkey-1111\r\nkey-2222"
        );
        assert_eq!(
            with(text, "key-3333", same_key),
            format!("{text}\nkey-3333\n")
        );
    }

    /// The last one of several holds, and the first one was changed.
    #[test]
    fn an_entry_that_is_there_twice_is_changed_in_both_places() {
        let text = "key-1111 ann\nkey-2222\nkey-1111 bob\n";
        assert_eq!(
            with(text, "key-1111 eve", same_key),
            "key-1111 eve\nkey-2222\nkey-1111 eve\n"
        );
    }

    /// A key of 40 hexadecimal digits was taken for an info-hash: whoever was taken out took somebody else along.
    #[test]
    fn keys_that_look_like_info_hashes_are_two_if_they_differ_in_case() {
        let (upper, lower) = ("AB".repeat(20), "ab".repeat(20));
        let both = with(&format!("{upper} ann\n"), &lower, same_key);
        assert_eq!(both, format!("{upper} ann\n{lower}\n"));
        let left = without(&both, &lower, same_key);
        assert_eq!(left.unwrap(), format!("{upper} ann\n"));
    }

    /// Nothing was an entry of each line that has none: comments went, and empty lines.
    #[test]
    fn nothing_is_no_entry() {
        for same in [same_key, same_hash] {
            assert_eq!(without("# ours\n\nkey-1111\n", "", same), None);
        }
    }

    #[test]
    fn users_have_a_key_and_maybe_a_name() {
        let listed = user("0123456789abcdef  ann@example.org").unwrap();
        assert_eq!(listed.name.as_deref(), Some("ann@example.org"));
        assert_eq!(user("0123456789abcdef").unwrap().name, None);
        let long = "n".repeat(65);
        for bad in [
            "short",
            "sp€cial-key",
            "0123456789abcdef two names",
            "0123456789abcdef \"quoted\"",
            &format!("0123456789abcdef {long}"),
        ] {
            assert!(user(bad).is_err(), "{bad}");
        }
        assert!(user(&format!("0123456789abcdef {}", &long[1..])).is_ok());
    }
}
