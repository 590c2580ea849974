//! The disk room: bytes in, bytes out, hashes. It knows files and pieces and must never know peers or the network.
//!
//! A [`Disk`] is the threads and the memory budget of a whole session; a [`Content`] is the files of one torrent.
//! Blocks are handed in by reference to the buffer they were received in ([`Content::store`]), hashed several pieces
//! at a time when a piece is complete, and written only if they verify. What came of it is reported to the content's
//! [`Report`], on a disk thread.

mod allocation;
pub(crate) mod assembly;
mod budget;
mod claims;
mod content;
mod copy;
mod delete;
mod durable;
mod errand;
mod error;
mod files;
mod ground;
mod holding;
mod mend;
mod places;
mod pool;
mod recheck;
mod relocate;
mod root;
mod selection;
mod site;
mod stage;
mod sync;
#[cfg(test)]
mod tests;
mod transfer;
mod worker;

pub use allocation::Allocation;
pub use budget::Budget;
pub use content::{Content, Done, Report};
pub use durable::{CloseLook, Identity, Look};
pub use error::{DiskError, Fault};
pub use ground::Ground;
pub use pool::Disk;
pub use site::Site;
pub use stage::{Ended, Moment, Placing, Retimed, Stage};
