//! The glue: it starts the rooms, owns time and randomness, and performs what engines want done.
//!
//! Its rules are none of its own: what to ask, whom to choke and when to announce is decided in the engine.

mod account;
mod announce;
mod breakdown;
mod chance;
mod check;
mod checks;
mod clock;
mod config;
mod desk;
mod durable;
mod events;
mod member;
mod perform;
mod recheck;
mod records;
mod relocate;
mod resume;
mod scrub;
mod selection;
#[expect(
    clippy::module_inception,
    reason = "the session is the noun of this file"
)]
mod session;
mod shares;
mod sync;
mod timers;
mod torrent;

pub use config::{AddTorrent, Allocation, Check, CloseLook, SessionConfig};
pub use events::{EventKind, EventStream, SessionEvent};
pub use resume::{is_proven, looks, read_from_disk};
pub use session::{Restored, Session};
pub use torrent::Torrent;
