//! Bytes from outside, made fit for terminals and logs.

use std::fmt;

/// Prints bytes between double quotes; what is not plain printable text is escaped, so that
/// neither control characters nor bidirectional marks reach a terminal.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '"' | '\\' => write!(f, "\\{character}")?,
                    ' '..='~' => write!(f, "{character}")?,
                    _ if character.is_alphanumeric() => write!(f, "{character}")?,
                    _ => write!(f, "{}", character.escape_unicode())?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes of a value that `Debug` shows.
const MAX_EXCERPT: usize = 128;

/// Like [`Quoted`], but cut if there are many bytes.
pub(crate) struct Excerpt<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(..MAX_EXCERPT) {
            Some(head) if self.0.len() > MAX_EXCERPT => {
                write!(f, "{}… {} bytes", Quoted(head), self.0.len())
            }
            _ => Quoted(self.0).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_shown_and_everything_else_escaped() {
        assert_eq!(Quoted(b"piece length").to_string(), r#""piece length""#);
        assert_eq!(
            Quoted("caf\u{e9} \u{65e5}".as_bytes()).to_string(),
            "\"caf\u{e9} \u{65e5}\""
        );
        assert_eq!(Quoted(b"a\x1b[0m\n").to_string(), r#""a\u{1b}[0m\u{a}""#);
        assert_eq!(Quoted(b"\xff\x00a").to_string(), r#""\xff\u{0}a""#);
        assert_eq!(
            Quoted("\u{202e}\u{9b}".as_bytes()).to_string(),
            r#""\u{202e}\u{9b}""#
        );
        assert_eq!(Quoted(b"\"\\").to_string(), r#""\"\\""#);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(Excerpt(b"abc").to_string(), "\"abc\"");
        assert_eq!(
            Excerpt(&[b'a'; MAX_EXCERPT]).to_string().len(),
            MAX_EXCERPT + 2
        );
        let cut = Excerpt(&[b'a'; 1000]).to_string();
        assert!(cut.ends_with("… 1000 bytes") && cut.len() < MAX_EXCERPT + 20);
    }
}
