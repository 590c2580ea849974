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

/// The text with one more entry, in the place of one with the same first word.
pub(super) fn with(text: &str, new: &str) -> String {
    let mut out = String::with_capacity(text.len() + new.len() + 1);
    let mut is_there = false;
    for line in text.lines() {
        let is_it = !is_there && is_about(line, first_word(new));
        is_there |= is_it;
        out.push_str(if is_it { new } else { line });
        out.push('\n');
    }
    if !is_there {
        out.push_str(new);
        out.push('\n');
    }
    out
}

/// The text without an entry; `None` when it has none.
pub(super) fn without(text: &str, old: &str) -> Option<String> {
    let is_there = text.lines().any(|line| is_about(line, old));
    let keep = text.lines().filter(|line| !is_about(line, old));
    is_there.then(|| keep.flat_map(|line| [line, "\n"]).collect())
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

fn is_about(line: &str, word: &str) -> bool {
    let found = first_word(entry(line));
    // Info-hashes may be written in either case; keys may not.
    let is_hash = word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    found == word || is_hash && found.eq_ignore_ascii_case(word)
}

/// A list for the fuzzer: each entry of a good one prints as it was read, is there after it was added, and gone after it
/// was taken out; others stay readable.
#[cfg(any(test, feature = "fuzz"))]
pub(in super::super) fn fuzz(bytes: &[u8]) {
    /// Each costs two copies of the whole.
    const LOOKED_AT: usize = 8;
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("list");
    for listed in entries(path, text, user)
        .unwrap_or_default()
        .iter()
        .take(LOOKED_AT)
    {
        let entry = listed.to_string();
        let (added, removed) = edited(text, &entry, &listed.key);
        let is_it = |other: &Listed| (&other.key, &other.name) == (&listed.key, &listed.name);
        let there = entries(path, &added, user).expect("it was good before");
        assert!(there.iter().any(is_it), "{entry} was added");
        let left = entries(path, &removed, user).expect("it was good before");
        assert!(
            left.iter().all(|other| other.key != listed.key),
            "{entry} was taken out"
        );
    }
    for hash in entries(path, text, info_hash)
        .unwrap_or_default()
        .iter()
        .take(LOOKED_AT)
    {
        let entry = hash.to_string();
        let (added, removed) = edited(text, &entry, &entry);
        let there = entries(path, &added, info_hash).expect("it was good before");
        assert!(there.contains(hash), "{entry} was added");
        let left = entries(path, &removed, info_hash).expect("it was good before");
        assert!(!left.contains(hash), "{entry} was taken out");
    }
}

/// The list with an entry, and then without those that begin with `word`.
#[cfg(any(test, feature = "fuzz"))]
fn edited(text: &str, entry: &str, word: &str) -> (String, String) {
    let added = with(text, entry);
    let removed = without(&added, word).expect("it is there");
    (added, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_edited_without_touching_the_rest() {
        let text = "# ours\nkey-1111 ann # since May\n\nkey-2222";
        let added = with(text, "key-3333 eve");
        assert_eq!(
            added,
            "# ours\nkey-1111 ann # since May\n\nkey-2222\nkey-3333 eve\n"
        );
        assert_eq!(
            with(&added, "key-2222 bob"),
            "# ours\nkey-1111 ann # since May\n\nkey-2222 bob\nkey-3333 eve\n"
        );
        assert_eq!(without(text, "key-1111").unwrap(), "# ours\n\nkey-2222\n");
        assert_eq!(without(text, "ours"), None);
        assert_eq!(without(text, "KEY-1111"), None);
        let (upper, lower) = ("AB".repeat(20), "ab".repeat(20));
        assert_eq!(without(&format!("{upper}\n"), &lower).unwrap(), "");
        assert_eq!(with("", "key-1111"), "key-1111\n");
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
