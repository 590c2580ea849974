//! The public API from outside: codecs against broken input, the client against small servers in
//! the same process.

mod broken_replies;
#[cfg(feature = "client")]
mod http_client;
#[cfg(feature = "tls")]
mod https_client;
#[cfg(feature = "client")]
mod support;
#[cfg(feature = "client")]
mod udp_client;
