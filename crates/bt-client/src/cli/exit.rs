//! Exit codes: the promise that scripts rely on. It must not know any command.

use std::process::ExitCode;

/// How a run ended, as the number that the shell sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did what it was asked.
    Success,
    /// Anything that has no number of its own.
    Other,
    /// The command line cannot be understood or contradicts itself.
    Usage,
    /// A torrent, a magnet or a configuration file is broken.
    BadInput,
    /// No network, a time-out, or no peers.
    Network,
    /// Disk full, no permission, I/O error, or nothing at the given path.
    Storage,
    /// The content is not what the torrent says.
    Unverified,
    /// Stopped while a download was not finished, though no signal asked for it.
    Unfinished,
    /// Ended by this signal, after the state was saved.
    Signal(u8),
}

impl Exit {
    /// The number for the shell.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::BadInput => 3,
            Self::Network => 4,
            Self::Storage => 5,
            Self::Unverified => 6,
            Self::Unfinished => 7,
            Self::Signal(number) => 128u8.saturating_add(number),
        }
    }

    /// The word that stands for this code in `error` events.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Other => "other",
            Self::Usage => "usage",
            Self::BadInput => "bad_input",
            Self::Network => "network",
            Self::Storage => "storage",
            Self::Unverified => "unverified",
            Self::Unfinished => "unfinished",
            Self::Signal(_) => "signal",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table of `bt-client --help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0 success · 1 other error · 2 usage · 3 bad torrent, magnet or configuration
  4 network, time-out or no peers · 5 storage · 6 data failed verification
  7 stopped with an unfinished download
  130, 143, 129 ended by SIGINT, SIGTERM or a terminal that closed, state saved
  (a seeder that is asked to stop exits 0; a second SIGINT or SIGTERM ends at once)";

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn signals_map_to_the_numbers_shells_use() {
        assert_eq!(Exit::Signal(2).code(), 130);
        assert_eq!(Exit::Signal(15).code(), 143);
        assert_eq!(Exit::Signal(255).code(), 255);
    }
}
