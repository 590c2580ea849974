//! What the program says: results on standard output, errors on standard error, and the
//! escaping that keeps names from outside from steering the terminal. It must not know any
//! command, torrent or session.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use bt_tracker::server::steers;

use super::events::Event;
use super::exit::Exit;
use super::screen::Screen;
use super::signals::{Stop, StopReason};
use crate::limits::MAX_ERROR_TEXT;

/// Why a command ended without doing what it was asked, in the words the user reads.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    options: &'static [&'static str],
}

/// What every command returns.
pub(crate) type Outcome = Result<Exit, Failure>;

impl Failure {
    /// A failure that ends the program with `exit`; `message` says what and where.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hint: None,
            options: &[],
        }
    }

    /// It lies in what one of these options says, which need not have been typed.
    pub(crate) fn of(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// The long names of the options that it may lie in.
    pub(crate) fn options(&self) -> &'static [&'static str] {
        self.options
    }

    /// The same as trouble of another place, of which it becomes the cause.
    pub(crate) fn within(mut self, exit: Exit, place: String) -> Self {
        let message = std::mem::replace(&mut self.message, place);
        self.causes.insert(0, message);
        self.exit = exit;
        self
    }

    /// The same with what stands before it.
    pub(crate) fn behind(mut self, before: &str) -> Self {
        self.message = format!("{before}: {}", self.message);
        self
    }

    /// What happened, without causes and hint.
    pub(crate) fn what(&self) -> &str {
        &self.message
    }

    /// Adds an error and everything that it names as its source.
    pub(crate) fn cause(mut self, error: &dyn Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self = self.because(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds one cause, unless the line above it says the same.
    pub(crate) fn because(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !self.causes.last().unwrap_or(&self.message).contains(&text) {
            self.causes.push(text);
        }
        self
    }

    /// Says what the user can do about it.
    pub(crate) fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }

    /// The code that the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The same as an event for `--json`.
    fn event(&self) -> Event<'_> {
        let causes: Vec<_> = self.causes.iter().map(|cause| shortened(cause)).collect();
        Event::Error {
            kind: self.exit.kind(),
            message: shortened(&self.message),
            cause: (!causes.is_empty()).then(|| causes.join(": ")),
            hint: self.hint.as_deref().map(shortened),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", escape(&shortened(&self.message)))?;
        for cause in &self.causes {
            write!(f, "\n  cause: {}", escape(&shortened(cause)))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {}", escape(&shortened(hint)))?;
        }
        Ok(())
    }
}

/// The mouth of the program. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    json: bool,
    quiet: bool,
    screen: Arc<Screen>,
    stop: Stop,
    broken: Arc<Mutex<Option<io::Error>>>,
}

impl Report {
    /// `json` turns every result into one JSON object a line; `quiet` leaves only errors on
    /// standard error.
    pub(crate) fn new(json: bool, quiet: bool, screen: Arc<Screen>, stop: Stop) -> Self {
        Self {
            json,
            quiet,
            screen,
            stop,
            broken: Arc::default(),
        }
    }

    /// Whether results are JSON.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// One line of a result for people; nothing with `--json`.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        if !self.json {
            self.write(&format!("{}\n", escape(text.as_ref())));
        }
    }

    /// Text that is wholly our own, such as a script, as it is.
    pub(crate) fn verbatim(&self, text: &str) {
        if !self.json {
            self.write(text);
        }
    }

    /// What is no text, for whoever asked for it on standard output.
    pub(crate) fn bytes(&self, bytes: &[u8]) {
        self.put(bytes);
    }

    /// Many lines at once, for results that can be long.
    pub(crate) fn lines<S: AsRef<str>>(&self, lines: impl IntoIterator<Item = S>) {
        if self.json {
            return;
        }
        let mut text = String::new();
        for line in lines {
            text.push_str(&escape(line.as_ref()));
            text.push('\n');
        }
        self.write(&text);
    }

    /// One JSON object; nothing without `--json`.
    pub(crate) fn emit(&self, value: &impl Serialize) {
        if self.json {
            self.write(&format!("{}\n", json_line(value)));
        }
    }

    /// Something that the user should know though the command goes on.
    pub(crate) fn warning(&self, kind: &str, message: &str) {
        self.emit(&Event::Warning { kind, message });
        self.caution(message);
    }

    /// The same for people only.
    pub(crate) fn caution(&self, message: &str) {
        if !self.quiet {
            self.screen.line(&format!("warning: {}", escape(message)));
        }
    }

    /// A remark about what goes on, for people who watch.
    pub(crate) fn note(&self, message: &str) {
        if !self.quiet && !self.json {
            self.screen.line(&escape(message));
        }
    }

    /// The last words of a command that failed.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.emit(&failure.event());
        self.screen.clear();
        self.screen.line(&failure.to_string());
    }

    /// What went wrong with standard output, unless its reader just went away.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        self.screen.clear();
        match self
            .broken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe && !self.stop.is_hung_up() => {
                Err(Failure::new(Exit::Storage, "cannot write to standard output").cause(&error))
            }
            _ => Ok(()),
        }
    }

    /// Why work whose output could not be written was stopped. What else was wrong with it is told at the end.
    pub(crate) fn end_of_output(&self) -> &'static str {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match broken.as_ref().is_some_and(is_left) {
            true => "nobody reads standard output any more: stopped",
            false => "stopped",
        }
    }

    /// Writes to standard output. When nobody can read it any more the work loses its purpose,
    /// so that a running command is asked to stop as by a signal.
    fn write(&self, text: &str) {
        self.put(text.as_bytes());
    }

    fn put(&self, bytes: &[u8]) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if broken.is_some() {
            return;
        }
        self.screen.clear();
        let mut out = io::stdout().lock();
        if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
            self.stop.request(StopReason::OutputClosed);
            *broken = Some(error);
        }
    }
}

/// Serializes to one line in which no character can steer a terminal, while every parser still
/// reads the exact text.
pub(crate) fn json_line(value: &impl Serialize) -> String {
    let text =
        serde_json::to_string(value).expect("our own types have string keys and no failing parts");
    if !text.chars().any(steers) {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut units = [0; 2];
    for c in text.chars() {
        if steers(c) {
            // Raw control characters below U+0020 are escaped by the serializer already, so this
            // is inside a string, where JSON takes UTF-16 escapes.
            for unit in c.encode_utf16(&mut units) {
                write!(safe, "\\u{unit:04x}").expect("writing to a String cannot fail");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Text without its middle, if it is longer than people read: the start says what was given, and the end what is wrong
/// with it.
fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_ERROR_TEXT {
        return Cow::Borrowed(text);
    }
    let third = MAX_ERROR_TEXT / 3;
    let head = text.floor_char_boundary(2 * third);
    let tail = text.ceil_char_boundary(text.len() - third);
    let left_out = tail - head;
    Cow::Owned(format!(
        "{}… ({left_out} bytes left out) …{}",
        &text[..head],
        &text[tail..]
    ))
}

/// Makes control and direction-changing characters visible.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            c if steers(c) => {
                write!(safe, "\\u{{{:x}}}", u32::from(c)).expect("writing to a String cannot fail");
            }
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::{Exit, Failure, MAX_ERROR_TEXT, escape, json_line, shortened};

    #[test]
    fn names_cannot_steer_the_terminal() {
        let table = [
            ("plain ünïcode 漢字 👩‍👩‍👧", "plain ünïcode 漢字 👩‍👩‍👧"),
            ("a\u{1b}[31mb", "a\\u{1b}[31mb"),
            ("txt.\u{202e}exe", "txt.\\u{202e}exe"),
            ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("\u{9b}0m\u{7f}", "\\u{9b}0m\\u{7f}"),
            (
                "\u{2066}\u{2069}\u{feff}\u{e0041}",
                "\\u{2066}\\u{2069}\\u{feff}\\u{e0041}",
            ),
        ];
        for (name, expected) in table {
            assert_eq!(escape(name), expected);
        }
    }

    #[test]
    fn json_keeps_the_exact_name_in_safe_characters() {
        let name = "a\u{1b}\u{9b}\u{202e}\u{e0041}ü";
        let line = json_line(&name);
        assert_eq!(line, "\"a\\u001b\\u009b\\u202e\\udb40\\udc41ü\"");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), name);
    }

    #[test]
    fn a_failure_prints_what_why_and_what_to_do() {
        let io = std::io::Error::other("disk\u{7} on fire");
        let failure = Failure::new(Exit::Storage, "cannot write \"x\"")
            .cause(&io)
            .hint("leave the house");
        assert_eq!(
            failure.to_string(),
            "error: cannot write \"x\"\n  cause: disk\\u{7} on fire\n  hint: leave the house"
        );
    }

    #[test]
    fn long_words_lose_their_middle() {
        let most = "ü".repeat(MAX_ERROR_TEXT / 2);
        assert_eq!(shortened(&most), most);
        for count in [MAX_ERROR_TEXT / 2 + 1, 60_000] {
            let text = format!("what{}why", "ü".repeat(count));
            let short = shortened(&text);
            assert!(short.len() <= MAX_ERROR_TEXT + 40, "{}", short.len());
            assert!(short.starts_with("whatü") && short.ends_with("üwhy"));
            assert!(short.contains(" bytes left out"), "{short}");
        }
    }

    #[test]
    fn a_cause_that_repeats_the_message_is_left_out() {
        let failure = Failure::new(Exit::Other, "cannot read: gone").because("gone");
        assert_eq!(failure.to_string(), "error: cannot read: gone");
    }
}
