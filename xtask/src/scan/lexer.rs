//! Tells for every byte of a source file whether it is code, comment or literal.

/// What a byte of source belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything the compiler acts on, except text in literals.
    Code,
    /// Line, block and doc comments, with their markers.
    Comment,
    /// String, byte-string and character literals, with their quotes.
    Literal,
}

/// Classifies every byte; the result has exactly `text.len()` entries.
pub(super) fn classify(text: &str) -> Vec<Kind> {
    let bytes = text.as_bytes();
    let mut kinds = vec![Kind::Code; bytes.len()];
    let mut at = 0;
    while at < bytes.len() {
        let (kind, end) = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => (Kind::Comment, line_end(bytes, at)),
            b'/' if bytes.get(at + 1) == Some(&b'*') => (Kind::Comment, block_end(bytes, at)),
            b'"' => (Kind::Literal, string_end(bytes, at + 1)),
            b'r' if starts_word(bytes, at) => match raw_string_end(bytes, at + 1) {
                Some(end) => (Kind::Literal, end),
                None => (Kind::Code, word_end(bytes, at)),
            },
            b'\'' => match char_end(text, at) {
                Some(end) => (Kind::Literal, end),
                None => (Kind::Code, at + 1),
            },
            _ => (Kind::Code, at + 1),
        };
        for slot in kinds.iter_mut().take(end).skip(at) {
            *slot = kind;
        }
        at = end;
    }
    kinds
}

/// A raw string may follow nothing, or the one-letter prefixes `b` and `c` of a word of their own.
fn starts_word(bytes: &[u8], at: usize) -> bool {
    let before = |back: usize| at.checked_sub(back).and_then(|i| bytes.get(i)).copied();
    match before(1) {
        Some(b'b' | b'c') => !before(2).is_some_and(super::is_word),
        Some(byte) => !super::is_word(byte),
        None => true,
    }
}

fn word_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.iter().skip(at);
    at + rest.take_while(|&&b| super::is_word(b)).count().max(1)
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.iter().skip(at);
    at + rest.take_while(|&&b| b != b'\n').count()
}

/// Block comments nest.
fn block_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'*')) => {
                depth += 1;
                at += 2;
            }
            (b'*', Some(b'/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a string whose opening quote is already passed.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string whose `r` is already passed; `None` if none starts here.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes.iter().skip(at).take_while(|&&b| b == b'#').count();
    if bytes.get(at + hashes) != Some(&b'"') {
        return None;
    }
    let mut end = at + hashes + 1;
    while end < bytes.len() {
        let closing = bytes
            .iter()
            .skip(end + 1)
            .take(hashes)
            .take_while(|&&b| b == b'#')
            .count();
        if bytes[end] == b'"' && closing == hashes {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(bytes.len())
}

/// The end of a character literal that opens at `at`; `None` if the quote starts a lifetime.
fn char_end(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at + 1..)?;
    if rest.starts_with('\\') {
        // The escaped character may itself be a quote, so the search starts behind it.
        let close = rest.get(2..)?.find('\'')?;
        return Some(at + 1 + 2 + close + 1);
    }
    let first = rest.chars().next()?;
    let after = at + 1 + first.len_utf8();
    (text.as_bytes().get(after) == Some(&b'\'') && first != '\'').then_some(after + 1)
}
