//! Whether the files on disk are those of a torrent.
//!
//! [`verify`] reads what is there on all cores and says of each piece whether it is good, bad or
//! missing, and of each file what is wrong with it. It is meant for a person who asks once as well
//! as for a client that checks what it has before it shares it, piece by piece as the verdicts come
//! in.
//!
//! Nothing is written. Below the folder that the caller names, no symbolic link is followed,
//! neither at a file nor at a folder on the way to it: a file behind a link counts as a problem,
//! not as content. The folder named may itself be a link.
//!
//! This room must not know peers, and which pieces a download still wants.

mod check;
pub(crate) mod content;
mod error;
mod place;
pub(crate) mod presence;
mod report;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;

pub use check::{Event, Options, verify};
pub use error::Error;
pub use place::Place;
pub use report::{FileProblem, Problem, Report, Verdict};
pub use sweep::MAX_BUFFERS;
