//! Finds the items that exist only for tests.

use std::ops::Range;

/// Keywords that open an item; anything else behind an attribute is a field, arm or statement.
const ITEM_KEYWORDS: [&str; 15] = [
    "mod", "fn", "use", "pub", "struct", "enum", "impl", "const", "static", "trait", "type",
    "unsafe", "extern", "async", "let",
];

/// Ranges of items under an attribute that is only true while testing, attribute included.
///
/// `code` is the view without comments and literals.
pub(super) fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        if found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let condition_at = start + "#[cfg(".len();
        let Some(close) = closing(code, condition_at - 1) else {
            continue;
        };
        let condition = code.get(condition_at..close).unwrap_or_default();
        if is_test_condition(condition) {
            found.push(start..item_end(code, start));
        }
    }
    found
}

/// True for `test` and `all(test, …)`: conditions that never hold in a shipped build.
fn is_test_condition(condition: &str) -> bool {
    let condition = condition.trim();
    if let Some(inner) = condition.strip_prefix("all(") {
        let inner = inner.strip_suffix(')').unwrap_or(inner);
        return inner.split(',').any(|part| part.trim() == "test");
    }
    condition == "test"
}

/// The end of the item that starts with the attribute at `start`.
fn item_end(code: &str, start: usize) -> usize {
    let bytes = code.as_bytes();
    let mut at = start;
    while let Some(next) = skip_attribute(code, at) {
        at = next;
    }
    let word = code.get(at..).unwrap_or_default();
    let word = word
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    let is_item = word.is_some_and(|word| ITEM_KEYWORDS.contains(&word));
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'{' if depth == 0 => return closing(code, at).map_or(bytes.len(), |end| end + 1),
            b'(' | b'[' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => return at,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            b',' if depth == 0 && !is_item => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Behind the attribute at `at` and the blanks after it; `None` if there is no attribute.
fn skip_attribute(code: &str, at: usize) -> Option<usize> {
    let rest = code.get(at..)?;
    if !rest.starts_with("#[") {
        return None;
    }
    let end = closing(code, at + 1)? + 1;
    let blanks = code.get(end..)?;
    Some(end + blanks.len() - blanks.trim_start().len())
}

/// The offset of the bracket that closes the one at `open`, whatever its kind.
pub(super) fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
