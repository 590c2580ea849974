//! The crate from outside: its public API, against bytes as they come from a network.

/// Files of the bad-input corpus, with their verdicts.
mod bad_input;
/// Streams that no honest peer sends, each with the error it gives.
mod broken_streams;
/// Opening bytes in the shape in which other clients send them.
mod captured;
/// Any cut of a stream gives the same events.
mod chunking;
/// Reads the corpus.
#[path = "../../../../tests/bad-input/replay.rs"]
mod replay;
/// Every message comes back as it was.
mod roundtrip;
