//! A BitTorrent client to embed, and the program `bt-client`.

pub mod disk;
pub mod engine;
mod error;
pub mod limits;
mod net;
pub mod session;
#[cfg(feature = "cli")]
pub mod cli;

pub use error::Error;
pub use session::{AddTorrent, Check, EventKind, EventStream, Session, SessionConfig, SessionEvent, Torrent};
