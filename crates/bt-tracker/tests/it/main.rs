//! The public API from outside: codecs against broken input, the client against small servers in
//! the same process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bad_input;
mod broken_replies;
#[cfg(all(feature = "client", feature = "server"))]
mod client_and_server;
#[cfg(feature = "client")]
mod http_client;
#[cfg(feature = "tls")]
mod https_client;
#[cfg(feature = "client")]
mod many_announces;
#[path = "../../../../tests/bad-input/replay.rs"]
mod replay;
#[cfg(feature = "client")]
mod support;
#[cfg(feature = "client")]
mod udp_client;
