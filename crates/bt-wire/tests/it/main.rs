//! The crate from outside: its public API, against bytes as they come from a network.

/// Streams that no honest peer sends, each with the error it gives.
mod broken_streams;
/// Opening bytes in the shape in which other clients send them.
mod captured;
/// Any cut of a stream gives the same events.
mod chunking;
/// Every message comes back as it was.
mod roundtrip;
