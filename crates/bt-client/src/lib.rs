//! A BitTorrent client to embed, and the program `bt-client`.

#[cfg(feature = "cli")]
pub mod cli;
pub mod disk;
pub mod engine;
mod error;
pub mod limits;
mod net;
pub mod session;

pub use error::Error;
pub use session::{
    AddTorrent, Check, EventKind, EventStream, Session, SessionConfig, SessionEvent, Torrent,
};
