//! The one owner of standard error: keeps the moving progress rows and the lines that stay
//! apart. It must not know what the rows say.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::report::escape;

/// Columns when the terminal does not tell.
const FALLBACK_WIDTH: usize = 80;

/// Standard error with rows at its end that are redrawn in place.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: bool,
    rows: Mutex<Vec<String>>,
}

impl Screen {
    /// Looks at what standard error is.
    pub(crate) fn new() -> Self {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            terminal: io::stderr().is_terminal() && !dumb,
            rows: Mutex::default(),
        }
    }

    /// Whether rows can be redrawn in place.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Columns of the terminal now.
    pub(crate) fn width(&self) -> usize {
        rustix::termios::tcgetwinsize(io::stderr())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .filter(|columns| *columns > 0)
            .unwrap_or(FALLBACK_WIDTH)
    }

    /// Shows these rows in place of the last ones. Each must be narrower than the terminal.
    pub(crate) fn draw(&self, new: Vec<String>) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("{}{}", erase(rows.len()), show(&new));
        *rows = new;
        put(&text);
    }

    /// Takes the rows away.
    pub(crate) fn clear(&self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if !rows.is_empty() {
            put(&erase(rows.len()));
            rows.clear();
        }
    }

    /// Prints a line that stays, above the rows. The text is safe already.
    pub(crate) fn line(&self, text: &str) {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        put(&format!("{}{text}\n{}", erase(rows.len()), show(&rows)));
    }
}

/// Lets the log write through the screen, one whole line at a time.
#[derive(Debug, Clone)]
pub(crate) struct LogWriter(pub(crate) Arc<Screen>);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.0.line(&escape(line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moves to the first of `rows` rows and erases to the end of the screen.
fn erase(rows: usize) -> String {
    match rows {
        0 => String::new(),
        1 => "\r\u{1b}[J".to_owned(),
        more => format!("\r\u{1b}[{}A\u{1b}[J", more - 1),
    }
}

/// The rows without a line break behind the last, so that the cursor stays on it.
fn show(rows: &[String]) -> String {
    rows.join("\n")
}

/// Writes at once, so that lines of several threads do not mix. Nobody is left to be told when
/// standard error itself fails.
fn put(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use super::erase;

    #[test]
    fn erasing_goes_up_to_the_first_row() {
        assert_eq!(erase(0), "");
        assert_eq!(erase(1), "\r\u{1b}[J");
        assert_eq!(erase(3), "\r\u{1b}[2A\u{1b}[J");
    }
}
