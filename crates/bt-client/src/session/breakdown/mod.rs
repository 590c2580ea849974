//! What becomes of a torrent when a bug of ours is met in the work on it: it stops for good, and nothing else does.
//!
//! What was being changed may be half changed. So the engine is replaced by a new one that knows nothing and claims
//! nothing, nothing more is recorded, the files are let go, and no command but its removal brings the torrent back. It
//! must not know what the work was.

mod breaking;

pub(super) use breaking::Breakdown;

#[cfg(test)]
impl super::member::Member {
    pub(super) fn comes_by_sync(&self) {
        self.breakdown.planted.sync.goes_off();
    }
}

/// Where a test can plant a panic.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Planted {
    /// With the engine locked, in its timer.
    pub(super) timer: crate::contain::Planted,
    pub(super) check: crate::contain::Planted,
    pub(super) sync: crate::contain::Planted,
    /// With the engine locked, when it is asked for its status.
    pub(super) status: crate::contain::Planted,
}

#[cfg(test)]
mod tests;
