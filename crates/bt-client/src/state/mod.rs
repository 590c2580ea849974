//! What survives the process: a journal of proven pieces, a copy of each torrent with its settings, and the locks that
//! keep two programs apart. It must not know peers, engines, or how content is written and hashed.
//!
//! [`Store`] is one session's directory; [`Home`] is the place where the program keeps the directories of all. What is
//! decided on plain data is in [`knowledge`].

mod error;
mod home;
mod journal;
pub mod knowledge;
mod lock;
mod reserve;
mod storage;
mod store;
#[cfg(test)]
mod tests;

pub use error::StateError;
pub(crate) use home::is_same_place;
pub use home::{Home, Place};
pub use journal::{Journal, Notice};
pub use storage::{Folder, Storage};
pub use store::{Saved, Store};
