//! What the disk can do to a torrent, as plain data.
//!
//! It must not know files or error numbers: whoever owns the disk sorts its faults into these kinds.

/// Why the disk cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TroubleKind {
    /// No room, or the quota is used up. It passes by itself, so that the torrent waits for it.
    Full,
    /// Anything else: somebody has to look. The torrent stops.
    Broken,
}

/// A fault of the disk, with words for the person whose disk it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Which kind.
    pub kind: TroubleKind,
    /// What failed, and with which file.
    pub message: String,
    /// What can be done about it.
    pub hint: String,
}
