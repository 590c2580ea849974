//! The session through its public API, over loopback and real files.

mod content;
mod transfer;
