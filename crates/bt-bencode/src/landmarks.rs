//! Where the longest values end, so that they need not be walked through to step over them.
//!
//! Most of a large torrent is one list of files in one dictionary (or one tree of files beside one
//! dictionary of hashes). Without landmarks each lookup of a key behind them would read megabytes.

/// The levels that have a landmark: the children of the outermost value, and theirs.
const LEVELS: usize = 2;

/// The longest list or dictionary of each of the outer levels.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Landmarks {
    levels: [Landmark; LEVELS],
}

/// A list or dictionary, by its offsets in the parsed input; empty if there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Landmark {
    start: u32,
    end: u32,
}

impl Landmarks {
    /// The length of the list or dictionary at this offset, if it is a landmark.
    #[inline]
    pub(crate) fn length_at(&self, offset: u32) -> Option<usize> {
        self.levels
            .iter()
            .find(|mark| mark.start == offset && mark.end > offset)
            .map(|mark| (mark.end - mark.start) as usize)
    }
}

/// Finds the landmarks while a value is validated.
#[derive(Debug, Default)]
pub(crate) struct Surveyor {
    starts: [u32; LEVELS],
    found: Landmarks,
}

impl Surveyor {
    /// A list or dictionary has begun at `start` inside `depth` others.
    #[inline(always)]
    pub(crate) fn opened(&mut self, depth: usize, start: usize) {
        if let Some(slot) = self.starts.get_mut(depth.wrapping_sub(1)) {
            *slot = u32::try_from(start).unwrap_or_default();
        }
    }

    /// A list or dictionary inside `depth` others ends before `end`.
    #[inline(always)]
    pub(crate) fn closed(&mut self, depth: usize, end: usize) {
        let level = depth.wrapping_sub(1);
        if let (Some(&start), Some(mark)) =
            (self.starts.get(level), self.found.levels.get_mut(level))
        {
            let end = u32::try_from(end).unwrap_or_default();
            if end.saturating_sub(start) > mark.end - mark.start {
                *mark = Landmark { start, end };
            }
        }
    }

    pub(crate) fn found(self) -> Landmarks {
        self.found
    }
}
