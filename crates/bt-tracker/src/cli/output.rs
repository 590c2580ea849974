//! Standard output: what a command has to say goes there, and that it could not be written is told like every failure.
//!
//! It must not know what is said.

use std::io::{self, ErrorKind, Write};

use super::failure::Failure;

/// Whether somebody still reads. Whoever closed a pipe has seen enough, which is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Reads,
    Left,
}

/// Prints a line.
pub(super) fn line(line: &str) -> Result<Reader, Failure> {
    text(&format!("{}\n", line.trim_end_matches('\n')))
}

/// Prints text as it is.
pub(super) fn text(text: &str) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    judge(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What came of writing to standard output.
pub(super) fn judge(written: io::Result<()>) -> Result<Reader, Failure> {
    match written {
        Ok(()) => Ok(Reader::Reads),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Left),
        Err(error) => Err(Failure::storage("cannot write to standard output").cause(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pipe_that_was_closed_is_no_failure() {
        assert_eq!(judge(Ok(())).unwrap(), Reader::Reads);
        let closed = judge(Err(ErrorKind::BrokenPipe.into()));
        assert_eq!(closed.unwrap(), Reader::Left);
        let full = judge(Err(ErrorKind::StorageFull.into())).unwrap_err();
        assert!(
            full.message()
                .starts_with("cannot write to standard output: ")
        );
    }
}
