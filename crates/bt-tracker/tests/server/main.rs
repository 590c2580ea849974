//! The server from outside: real sockets on the loopback address, and the real program.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// What the tests share: starting servers, sending requests, making torrents.
mod harness;

/// Programs of others.
#[cfg(feature = "bin")]
mod others;

/// Announces, scrapes and connections over HTTP.
mod http;

/// Announces, scrapes and connection ids over UDP.
mod udp;

/// Lists, passkeys, and reading them again.
mod access;

/// The directory of torrents.
mod publisher;

/// The numbers for operators.
mod admin;

/// What operators change while it runs.
mod manage;

/// What strangers try.
mod hostile;

/// Swarms across restarts.
mod restart;

/// Swarms shared through Redis.
#[cfg(feature = "bin")]
mod redis_store;

/// Signalling for browsers.
#[cfg(feature = "bin")]
mod websocket;

/// Announces over TLS.
#[cfg(feature = "bin")]
mod https;

/// Clients and trackers of others.
#[cfg(feature = "bin")]
mod interop;

/// Uploads to the directory.
mod upload;

/// The program with its flags and signals.
#[cfg(feature = "bin")]
mod cli;

/// What the program says to whoever does not know it.
#[cfg(feature = "bin")]
mod newcomer;

/// Where settings come from, and in which words.
#[cfg(feature = "bin")]
mod options;

/// Reads the bad-input corpus.
#[cfg(feature = "bin")]
#[path = "../../../../tests/bad-input/replay.rs"]
mod replay;

/// The program as a service: sockets handed over, killed and started again, watched.
#[cfg(feature = "bin")]
mod service;

/// What the program does besides tracking.
#[cfg(feature = "bin")]
mod tools;
