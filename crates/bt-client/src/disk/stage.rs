//! The stages of a relocation, which its owner keeps. It must not know how files are moved.

use bt_metainfo::FileIndex;

use super::Look;

/// How far a relocation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Copies are being made, or they are about to be dropped. The old site counts; copies are dropped after a crash.
    Copying,
    /// Files get their new names, and the others have theirs already; after a crash that is to be finished.
    Placing(Placing),
    /// All is at the new site. Copies that were made are still at the old one as well.
    Arrived(Vec<Retimed>),
    /// Nothing of it is at the old site any more.
    Gone,
    /// It could not be done: all is at the old site as it was.
    Abandoned,
}

/// What has to be known to give the others their names after a crash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placing {
    /// They come from copies, not from the old site; and when the last of their originals was changed.
    pub copied: Option<Moment>,
    /// Files that lie under their own names, as shared from this machine; the others under the portable ones.
    pub native: Vec<FileIndex>,
}

/// A time as a file system counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Since 1970.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanos: u32,
}

/// A copy that could not get the very time of its original, because its file system counts in longer steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retimed {
    /// Which.
    pub file: FileIndex,
    /// The original.
    pub before: Look,
    /// The copy.
    pub after: Look,
}

/// What a relocation that was cut short while files got their names has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All is at the new site: see [`Stage::Arrived`].
    Arrived(Vec<Retimed>),
    /// None of it is at the new site: the old one counts.
    Back,
    /// A disk is not mounted, most likely: there is nothing at either site, or another directory in place of the new one.
    Elsewhere,
}
