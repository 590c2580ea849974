//! All tokens of a value that a validating pass has accepted, in one pass.

use crate::error::Result;
use crate::limits::Limits;
use crate::reader::{Frames, KeyOrder, NO_FRAMES, Place, Progress, Token, Window, step};

/// Walks through accepted bytes. On other bytes it ends early.
pub(crate) struct Walk<'a> {
    window: Window<'a>,
    progress: Progress<'a>,
    frames: Frames<'a>,
}

/// One step of a [`Walk`].
pub(crate) struct Step<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) offset: usize,
    /// Whether the token is a key.
    pub(crate) is_key: bool,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(accepted: &'a [u8]) -> Self {
        let limits = Limits {
            max_tokens: usize::MAX,
            ..Limits::DEFAULT
        };
        Self {
            window: Window::new(accepted, limits),
            progress: Progress::START,
            frames: NO_FRAMES,
        }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Step<'a>;

    fn next(&mut self) -> Option<Step<'a>> {
        if self.progress.place == Place::Done {
            return None;
        }
        let offset = self.progress.position;
        let at_key = self.progress.place == Place::Key;
        let token = step(
            &self.window,
            &mut self.progress,
            &mut self.frames,
            &mut AnyOrder,
        )
        .ok()?;
        Some(Step {
            token,
            offset,
            is_key: at_key && token != Token::End,
        })
    }
}

/// Accepts any order of keys without a word: it was the business of the validating pass.
struct AnyOrder;

impl<'a> KeyOrder<'a> for AnyOrder {
    fn out_of_order(&mut self, _: &'a [u8], _: &'a [u8], _: usize) -> Result<()> {
        Ok(())
    }
}
