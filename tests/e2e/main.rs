//! Our client and tracker with everyone else's, over real sockets and real files.
//!
//! Each story needs another program; where it is missing, the story says so and is left out.

mod content;
mod interop;
mod peers;
