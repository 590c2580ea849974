//! Tests of the public interface.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that panics has failed, and its numbers are small"
)]

/// New torrents from their parts.
mod assemble;
/// Files of the bad-input corpus, with their verdicts.
mod bad_input;
/// Torrents that must be refused, with their messages.
mod broken;
/// The same for version 2 and hybrids.
mod broken_v2;
/// Changes to torrent files.
mod edit;
/// Torrents that other programs made.
mod fixtures;
/// Names that want out.
mod hostile_paths;
/// The layout against a naive model.
mod layout_props;
/// Links between files.
mod links;
/// Torrents that are odd and must be read all the same.
mod odd;
/// Odd trackers, web seeds, nodes and texts.
mod odd_lists;
/// Reads the corpus.
#[path = "../../../../tests/bad-input/replay.rs"]
mod replay;
/// Torrents made by hand, for the other modules.
mod torrents;
