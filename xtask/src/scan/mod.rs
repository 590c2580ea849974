//! Reads Rust source just well enough to tell code from comments, literals and tests.
//!
//! It is a tokenizer, not a parser: it must never know what a name means. Every view it gives has
//! the same length and the same line breaks as the file, so a byte offset found in a view is an
//! offset in the file.

mod functions;
mod imports;
mod lexer;
mod regions;

#[cfg(test)]
mod tests;

pub(crate) use functions::functions;
pub(crate) use imports::{imports, inline_paths};

/// One source file in four views of equal length.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Code only: comments and literals are blanked.
    pub(crate) code: String,
    /// Comments only, doc comments included.
    pub(crate) comments: String,
    /// Code outside items under `#[cfg(test)]`; empty for files that only tests use.
    pub(crate) production: String,
}

impl Source {
    /// Scans `text`; `is_test` says that the whole file belongs to tests.
    pub(crate) fn scan(text: &str, is_test: bool) -> Self {
        let kinds = lexer::classify(text);
        let code = view(text, &kinds, lexer::Kind::Code);
        let comments = view(text, &kinds, lexer::Kind::Comment);
        let production = if is_test {
            blank(&code, std::slice::from_ref(&(0..code.len())))
        } else {
            blank(&code, &regions::test_items(&code))
        };
        Self {
            code,
            comments,
            production,
        }
    }

    /// How many lines of the file are production: not part of an item under `#[cfg(test)]`.
    ///
    /// Comments and empty lines count, because a reader has to scroll past them too.
    pub(crate) fn production_lines(&self, text: &str) -> usize {
        let in_tests: usize = regions::test_items(&self.code)
            .iter()
            .map(|range| line_of(text, range.end) - line_of(text, range.start) + 1)
            .sum();
        text.lines().count().saturating_sub(in_tests)
    }
}

/// The 1-based line of a byte offset.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(offset)
        .filter(|&&byte| byte == b'\n')
        .count()
        + 1
}

/// Whether `byte` can be part of an identifier.
pub(crate) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Offsets where `needle` stands in `hay` as a whole word (or path) of its own.
pub(crate) fn words<'a>(hay: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    hay.match_indices(needle)
        .map(|(at, _)| at)
        .filter(move |&at| {
            let bytes = hay.as_bytes();
            let before = at.checked_sub(1).and_then(|i| bytes.get(i)).copied();
            let after = bytes.get(at + needle.len()).copied();
            let first = needle.as_bytes().first().copied().unwrap_or(b' ');
            let last = needle.as_bytes().last().copied().unwrap_or(b' ');
            let open_left = !is_word(first) || !before.is_some_and(is_word);
            let open_right = !is_word(last) || !after.is_some_and(is_word);
            open_left && open_right
        })
}

/// Keeps the bytes of one kind and blanks the rest, line breaks excepted.
fn view(text: &str, kinds: &[lexer::Kind], keep: lexer::Kind) -> String {
    text.char_indices()
        .flat_map(|(at, c)| {
            let kept = c == '\n' || kinds.get(at) == Some(&keep);
            let (shown, times) = if kept { (c, 1) } else { (' ', c.len_utf8()) };
            std::iter::repeat_n(shown, times)
        })
        .collect()
}

/// Blanks ranges of a view, line breaks excepted.
fn blank(text: &str, ranges: &[std::ops::Range<usize>]) -> String {
    text.char_indices()
        .flat_map(|(at, c)| {
            let hidden = c != '\n' && ranges.iter().any(|range| range.contains(&at));
            let (shown, times) = if hidden { (' ', c.len_utf8()) } else { (c, 1) };
            std::iter::repeat_n(shown, times)
        })
        .collect()
}
