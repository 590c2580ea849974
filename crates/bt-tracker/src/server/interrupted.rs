//! For tests: calls on sockets that are made once more when they were interrupted.

use std::io;

/// Makes a call until it is not interrupted.
///
/// The kernel does not restart a wait with a time limit after the process was stopped and continued, as happens to all of
/// a machine that is frozen for a moment (signal(7)).
///
/// # Panics
/// If the call fails otherwise.
pub(in crate::server) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> T {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done.unwrap(),
        }
    }
}
