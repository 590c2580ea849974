//! One name: what cannot stand in a file name is replaced.
//!
//! Knows nothing of the names beside it.

use std::fmt::Write;

use crate::limits::{MAX_COMPONENT_BYTES, MAX_EXTENSION_BYTES};

/// Makes any bytes a name that can stand in a path on every system. Doing it twice changes
/// nothing more.
pub(super) fn sanitize(name: &[u8]) -> String {
    let mut out = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        out.extend(
            chunk
                .valid()
                .chars()
                .map(|c| if stands(c) { c } else { '_' }),
        );
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    replace_drive(&mut out);
    if out.is_empty() {
        out.push('_');
    }
    split_device(&mut out);
    let mut out = cut(out, MAX_COMPONENT_BYTES);
    replace_trailing(&mut out);
    out
}

/// Puts a tag before a name and keeps the whole within the limit.
pub(super) fn with_prefix(tag: &str, name: &str) -> String {
    let mut out = cut(name.to_owned(), MAX_COMPONENT_BYTES - tag.len());
    replace_trailing(&mut out);
    out.insert_str(0, tag);
    out
}

/// Splits a name before the dot of its extension, if it has one worth keeping.
pub(super) fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION_BYTES => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The longest beginning of at most `limit` bytes that ends between two characters.
pub(super) fn head(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

/// Shortens a name from the end of its stem, so that programs still know the kind of file.
fn cut(name: String, limit: usize) -> String {
    if name.len() <= limit {
        return name;
    }
    let (stem, extension) = split_extension(&name);
    let mut out = head(stem, limit - extension.len()).to_owned();
    out.push_str(extension);
    out
}

/// Whether a character can stand in a name.
fn stands(c: char) -> bool {
    match c {
        '/' | '\\' => false,
        // Windows has no other names with these, and ':' there opens a second stream of a file.
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => cfg!(not(windows)),
        // Line separators, and marks that make a name read in another order than it is spelled.
        '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => false,
        _ => !c.is_control(),
    }
}

/// `C:` at the start of a name means a drive on Windows, whatever follows.
fn replace_drive(name: &mut String) {
    let bytes = name.as_bytes();
    if bytes.get(1) == Some(&b':') && bytes.first().is_some_and(u8::is_ascii_alphabetic) {
        name.replace_range(1..2, "_");
    }
}

/// Windows drops dots and spaces at the end of a name, which also takes care of `.` and `..`.
fn replace_trailing(name: &mut String) {
    let kept = name.trim_end_matches(['.', ' ']).len();
    let count = name.len() - kept;
    name.truncate(kept);
    name.extend(std::iter::repeat_n('_', count));
}

/// Puts a `_` behind a stem that Windows opens as a device, with any extension.
fn split_device(name: &mut String) {
    let stem = name.split('.').next().unwrap_or_default();
    if is_device(stem.trim_end_matches(' ')) {
        name.insert(stem.len(), '_');
    }
}

fn is_device(stem: &str) -> bool {
    if ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
        .iter()
        .any(|device| stem.eq_ignore_ascii_case(device))
    {
        return true;
    }
    let Some((kind, number)) = stem.split_at_checked(3) else {
        return false;
    };
    let mut digits = number.chars();
    (kind.eq_ignore_ascii_case("com") || kind.eq_ignore_ascii_case("lpt"))
        && digits
            .next()
            .is_some_and(|c| matches!(c, '0'..='9' | '¹' | '²' | '³'))
        && digits.next().is_none()
}
