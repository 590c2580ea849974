//! The server around the pure parts. Placeholder while the room is being built.
