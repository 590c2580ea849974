//! Secrets from the system.

use std::io;

use super::Error;

/// Fills the buffer with bytes that nobody can predict.
pub(super) fn fill(buffer: &mut [u8]) -> Result<(), Error> {
    let refused = |source| Error::System {
        what: "random bytes",
        source,
    };
    let mut filled = 0;
    while filled < buffer.len() {
        let rest = buffer.get_mut(filled..).unwrap_or_default();
        let got = rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
            .map_err(|errno| refused(io::Error::from(errno)))?;
        filled += got;
    }
    Ok(())
}
