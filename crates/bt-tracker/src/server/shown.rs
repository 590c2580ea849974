//! Names from outside, where people read them.
//!
//! It must not know where that is.

use std::fmt::{self, Write as _};

/// Whether a character can steer a terminal or deceive a reader: it moves the cursor, breaks the line, turns the direction
/// of text around, or is invisible and serves nothing else.
#[must_use]
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text without what [`steers`].
pub(super) struct Shown<T>(pub(super) T);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            if steers(character) {
                write!(f, "{}", character.escape_default())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Shown, steers};

    #[test]
    fn what_steers_is_escaped_and_the_rest_is_left_alone() {
        assert_eq!(
            Shown("a\u{1b}[2J\u{202e}\u{61c}\u{200b}b").to_string(),
            "a\\u{1b}[2J\\u{202e}\\u{61c}\\u{200b}b"
        );
        let plain = "ünïcode 漢字 👩‍👩‍👧";
        assert_eq!(Shown(plain).to_string(), plain);
        assert!(steers('\n') && !steers(' '));
    }
}
