//! Our client and tracker with everyone else's, over real sockets and real files.
//!
//! Each story needs another program; where it is missing, the story says so and is left out.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "what is unexpected in a test fails it"
)]

mod content;
mod faults;
#[path = "../filler.rs"]
mod filler;
mod interop;
mod kill;
mod peers;
