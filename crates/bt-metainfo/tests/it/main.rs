//! Tests of the public interface.

/// New torrents from their parts.
mod assemble;
/// Torrents that must be refused, with their messages.
mod broken;
/// Changes to torrent files.
mod edit;
/// Torrents that other programs made.
mod fixtures;
/// Paths and links that want out.
mod hostile_paths;
/// The layout against a naive model.
mod layout_props;
/// Torrents that are odd and must be read all the same.
mod odd;
/// Torrents made by hand, for the other modules.
mod torrents;
