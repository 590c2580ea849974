//! The network room: sockets in, connection events out. It moves bytes and must never know which pieces are wanted,
//! who is choked, or which torrents exist: it asks its [`Host`].
//!
//! Every outgoing connection is opened in `dial.rs` and every listening socket in `listen.rs`, so that binding,
//! proxies and block lists have one place each.

mod buffers;
mod callers;
mod dial;
mod host;
mod listen;
mod mailbox;
mod pace;
mod peer;
mod places;
mod rates;
mod stream;
mod sync;

pub(crate) use buffers::Buffers;
pub(crate) use callers::{Caller, Callers};
pub(crate) use dial::Dialer;
pub(crate) use host::{Host, Lobby, Tools};
pub(crate) use listen::{Socketed, listen};
pub(crate) use mailbox::{Mailbox, Order};
pub(crate) use pace::Pace;
pub(crate) use peer::{call, receive_caller};
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use places::Place;
pub(crate) use places::Places;
pub(crate) use rates::RateLimits;
