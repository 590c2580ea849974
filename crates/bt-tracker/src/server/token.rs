//! The word that somebody has to say before anything is changed.

use super::Error;

/// Bytes of a token, at least: shorter ones can be guessed.
const SHORTEST: usize = 16;

/// A secret that requests have to show.
#[derive(Clone)]
pub(super) struct Token(Box<[u8]>);

impl Token {
    /// `complaint` says whose token is wrong.
    pub(super) fn new(words: &str, complaint: &'static str) -> Result<Self, Error> {
        let words = words.trim();
        if words.len() < SHORTEST || !words.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Setting(complaint));
        }
        Ok(Self(words.as_bytes().into()))
    }

    /// Compares in a time that tells nothing of where the words differ.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let pairs = self.0.iter().zip(given);
        let differs = pairs.fold(0, |differs, (a, b)| differs | (a ^ b));
        self.0.len() == given.len() && std::hint::black_box(differs) == 0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token_and_it_is_never_shown() {
        let token = Token::new("0123456789abcdef\n", "wrong").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdefg",
            "0123456789abcdeF",
        ] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        for bad in ["short", "0123456789 abcdef", "0123456789abcdeé"] {
            let error = Token::new(bad, "wrong").unwrap_err();
            assert_eq!(error.to_string(), "wrong");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }
}
