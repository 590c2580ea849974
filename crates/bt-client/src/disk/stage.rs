//! The stages of a relocation, which its owner keeps. It must not know how files are moved.

/// How far a relocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Copies are being made. The old site counts; copies are dropped after a crash.
    Copying,
    /// Files get their new names, and the others have theirs already; after a crash that is to be finished.
    Placing {
        /// They come from the copies, not from the old site.
        copied: bool,
    },
    /// All is at the new site. Copies that were made are still at the old one as well.
    Arrived,
    /// Nothing of it is at the old site any more.
    Gone,
    /// It could not be done: all is at the old site as it was.
    Abandoned,
}
