//! The word that somebody has to say before anything is changed, and how often wrong ones are heard.
//!
//! Must not know what is changed, nor how the word travels.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::Error;
use super::logins::{Logins, Verdict};
use crate::limits::MIN_TOKEN;

/// A secret that requests have to show.
pub(super) struct Token {
    word: Box<[u8]>,
    /// Who has shown wrong ones.
    logins: Mutex<Logins>,
}

impl Token {
    /// `complaint` says whose token is wrong, and `setting` where it was given.
    pub(super) fn new(
        words: &str,
        setting: &'static str,
        complaint: &'static str,
    ) -> Result<Self, Error> {
        let words = words.trim();
        if words.len() < MIN_TOKEN || !words.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::setting(setting, complaint));
        }
        Ok(Self {
            word: words.as_bytes().into(),
            logins: Mutex::default(),
        })
    }

    /// What to tell whoever at `source` shows this word.
    pub(super) fn judge(&self, given: &[u8], source: IpAddr, now: Instant) -> Verdict {
        let is_right = self.is(given);
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.judge(source, is_right, now)
    }

    /// Compares in a time that tells nothing of where the words differ.
    fn is(&self, given: &[u8]) -> bool {
        let pairs = self.word.iter().zip(given);
        let differs = pairs.fold(0, |differs, (a, b)| differs | (a ^ b));
        self.word.len() == given.len() && std::hint::black_box(differs) == 0
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
        let token = Token::new("0123456789abcdef\n", "admin-token", "wrong").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdefg",
            "0123456789abcdeF",
        ] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
        let shorter = &"0123456789abcdef"[..MIN_TOKEN - 1];
        for bad in [shorter, "0123456789 abcdef", "0123456789abcdeé"] {
            let error = Token::new(bad, "admin-token", "wrong").unwrap_err();
            assert_eq!(error.to_string(), "wrong");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }
}
