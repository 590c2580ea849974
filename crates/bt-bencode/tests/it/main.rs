//! The public API of bt-bencode, seen from outside.

mod agreement; // Reader, parse and lenient parse tell the same story about any bytes.
mod allocation; // What is promised about the heap.
mod bad_input; // Files that break the grammar, each with its verdict.
#[cfg(feature = "fuzz")]
mod corpus; // The fuzz bodies over their corpus.
mod encoder; // The canonical writer.
mod grammar; // What is accepted and what is refused, where and why.
mod lenient; // Irregularities that are accepted and reported.
mod limits; // Each limit: at it, one beyond, and the largest number.
mod lookups; // Typed access and its errors.
mod oracle; // The same trees as another parser.
#[path = "../../../../tests/bad-input/replay.rs"]
mod replay; // Reads the bad-input corpus.
mod roundtrip; // Decode and encode are inverse.
#[cfg(feature = "serde")]
mod serde; // Rust types in and out.
mod trees; // Random values for the others.
mod truncation; // Input that stops early.
