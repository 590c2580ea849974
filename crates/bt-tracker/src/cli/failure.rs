//! Why a command failed, and how that is shown: what, cause, hint, and an exit code.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use bt_tracker::server;
use serde_json::json;

use super::options;
use super::output;

/// Exit codes of both programs.
const OTHER: u8 = 1;
const USAGE: u8 = 2;
const BAD_INPUT: u8 = 3;
const NETWORK: u8 = 4;
const STORAGE: u8 = 5;

/// What a list has to be.
const LIST_LINES: &str = "one info-hash of 40 hexadecimal digits, or one passkey and maybe a name, a line; # starts a comment";

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Failure {
    code: u8,
    kind: &'static str,
    what: String,
    causes: Vec<String>,
    hint: Option<String>,
    /// The name of the flag that says what is wrong, where there is one.
    setting: Option<&'static str>,
}

impl Failure {
    fn new(code: u8, kind: &'static str, what: impl Into<String>) -> Self {
        Self {
            code,
            kind,
            what: what.into(),
            causes: Vec::new(),
            hint: None,
            setting: None,
        }
    }

    pub(super) fn other(what: impl Into<String>) -> Self {
        Self::new(OTHER, "other", what)
    }

    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self::new(USAGE, "usage", what)
    }

    pub(super) fn network(what: impl Into<String>) -> Self {
        Self::new(NETWORK, "network", what)
    }

    pub(super) fn storage(what: impl Into<String>) -> Self {
        Self::new(STORAGE, "storage", what)
    }

    pub(super) fn bad_input(what: impl Into<String>) -> Self {
        Self::new(BAD_INPUT, "bad_input", what)
    }

    /// Adds an error and what caused it.
    pub(super) fn cause(mut self, error: &dyn StdError) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self = self.because(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds one cause, unless the line above it says the same.
    pub(super) fn because(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        if !self.causes.last().unwrap_or(&self.what).contains(&text) {
            self.causes.push(text);
        }
        self
    }

    /// Whether whoever wrote the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        self.code == USAGE
    }

    /// The same as the fault of a configuration file.
    pub(super) fn in_file(self, path: &Path) -> Self {
        let what = format!("the configuration file {} makes no sense", path.display());
        let mut failure = Self::bad_input(what).because(self.what);
        failure.causes.extend(self.causes);
        failure.hint = self.hint;
        failure
    }

    /// Names the variable of the environment that said it, if it is the setting of one of these flags.
    pub(super) fn in_environment(mut self, flags: &[String]) -> Self {
        if let Some(name) = self
            .setting
            .filter(|name| flags.iter().any(|flag| flag == name))
        {
            let variable = options::variable(name);
            self.hint = Some(format!("the environment variable {variable} says so"));
        }
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows it and gives the exit code. Programs get it on standard output, people always.
    pub(super) fn report(&self, json: bool) -> u8 {
        if json {
            let object = json!({
                "event": "error",
                "kind": self.kind,
                "message": self.what,
                "cause": (!self.causes.is_empty()).then(|| self.causes.join(": ")),
                "hint": self.hint,
            });
            // Where nobody reads, the code says it.
            let _ = output::line(&object.to_string());
        }
        let mut text = format!("error: {}", Printable(&self.what));
        for cause in &self.causes {
            let _ = write!(text, "\n  cause: {}", Printable(cause));
        }
        if let Some(hint) = &self.hint {
            let _ = write!(text, "\n  hint: {}", Printable(hint));
        }
        let _ = writeln!(std::io::stderr(), "{text}");
        self.code
    }

    pub(super) fn message(&self) -> String {
        self.causes
            .iter()
            .fold(self.what.clone(), |all, cause| format!("{all}: {cause}"))
    }
}

impl From<server::Error> for Failure {
    fn from(error: server::Error) -> Self {
        use server::Error;
        let (code, kind, hint) = match &error {
            Error::Bind { source, protocol, .. } => {
                let hint = match source.kind() {
                    ErrorKind::AddrInUse => {
                        let flag = if *protocol == "stats" { "stats-addr" } else { protocol };
                        format!("another program listens there; choose another port with --{flag}")
                    }
                    ErrorKind::PermissionDenied => {
                        "ports below 1024 need the capability CAP_NET_BIND_SERVICE".into()
                    }
                    ErrorKind::AddrNotAvailable => {
                        "the address must be one of this machine's, or 0.0.0.0 or [::]".into()
                    }
                    _ => String::new(),
                };
                (NETWORK, "network", hint)
            }
            Error::NoList(_) => (USAGE, "usage", "give it with --list FILE".into()),
            Error::IdleList => (
                USAGE,
                "usage",
                "--mode allow-list or --mode deny-list? A list of passkeys needs --mode passkey".into(),
            ),
            Error::Tls { .. } => (
                BAD_INPUT,
                "bad_input",
                "--tls-cert is a chain of certificates in PEM, --tls-key the key of the first".into(),
            ),
            Error::Store { .. } => (
                USAGE,
                "usage",
                "give it as redis://[user:password@]host[:port][/number], or memory".into(),
            ),
            Error::Setting { name, .. } => (USAGE, "usage", remedy(name)),
            Error::BadList { .. } => (
                BAD_INPUT,
                "bad_input",
                LIST_LINES.into(),
            ),
            Error::Accounts { .. } => (
                BAD_INPUT,
                "bad_input",
                "it was left alone; move it away to begin with empty accounts".into(),
            ),
            Error::ReadSnapshot { .. } => (
                BAD_INPUT,
                "bad_input",
                "bt-tracker serve sets a torn one aside, and leaves other files alone: name another file with \
                 --snapshot, or move this one away"
                    .into(),
            ),
            Error::ReadList { source, .. }
                if matches!(source.kind(), ErrorKind::InvalidData | ErrorKind::FileTooLarge) =>
            {
                (BAD_INPUT, "bad_input", LIST_LINES.into())
            }
            Error::ReadList { .. } | Error::Torrents { .. } => (
                BAD_INPUT,
                "bad_input",
                "it must be there, and the tracker's user must be allowed to read it".into(),
            ),
            Error::NotATorrent { .. } => (
                BAD_INPUT,
                "bad_input",
                "bt-tracker serve leaves such files out; take it out of the directory".into(),
            ),
            _ => (OTHER, "other", String::new()),
        };
        let mut failure = Self::new(code, kind, error.to_string());
        if let Error::Setting { name, .. } = &error {
            failure.setting = Some(*name);
        }
        if let Some(source) = error.source() {
            failure = failure.cause(source);
        }
        if hint.is_empty() {
            failure
        } else {
            failure.hint(hint)
        }
    }
}

/// What to do about a setting that makes no sense, by the name of its flag.
fn remedy(setting: &str) -> String {
    match setting {
        "https" => "give all three: --https ADDR, --tls-cert FILE and --tls-key FILE".into(),
        "stats-addr" => "give --stats-addr ADDR, or leave --admin-token-file away".into(),
        "torrents" => "give --torrents DIR, or leave --upload-token-file away".into(),
        "accounts" => "give --mode passkey and --list FILE, or leave --accounts away".into(),
        "admin-token-file" | "upload-token-file" => {
            let name = setting.trim_end_matches("-file");
            let variable = options::variable(name);
            format!(
                "the file of --{setting} holds it, or the variable {variable}; openssl rand -hex 16 makes one"
            )
        }
        "http" => "give one with --http, --udp or --https".into(),
        name => format!("it is what --{name} says, or its line in the configuration file"),
    }
}

/// Text without what could change a terminal or turn the line around.
pub(super) struct Printable<'a>(pub(super) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\n    ")?,
                _ if server::steers(character) => write!(f, "{}", character.escape_default())?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_says_what_stands_above_is_left_out() {
        let failure = Failure::network("cannot get x: refused")
            .because("refused")
            .because("nobody listens")
            .because("nobody listens");
        assert_eq!(failure.message(), "cannot get x: refused: nobody listens");
    }

    #[test]
    fn nothing_from_outside_reaches_the_terminal_as_a_command() {
        let shown = Printable("a\u{1b}[31m\u{202e}b\rc\nd\u{9b}").to_string();
        assert_eq!(shown, "a\\u{1b}[31m\\u{202e}b\\rc\n    d\\u{9b}");
    }
}
