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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::reader::{Strict, Window};
    use crate::scan::validate;

    fn survey(input: &str) -> Landmarks {
        let window = Window::new(input.as_bytes(), Limits::DEFAULT);
        validate(&window, &mut Strict).unwrap().1
    }

    /// All landmarks as text.
    fn marked(input: &str) -> Vec<&str> {
        let landmarks = survey(input);
        (0..input.len())
            .filter_map(|at| {
                let length = landmarks.length_at(u32::try_from(at).unwrap())?;
                Some(&input[at..at + length])
            })
            .collect()
    }

    #[test]
    fn the_longest_list_or_dictionary_of_each_level_is_marked() {
        assert_eq!(marked("i1e"), [""; 0]);
        assert_eq!(marked("9:lllllllll"), [""; 0]);
        assert_eq!(marked("le"), [""; 0]);
        assert_eq!(marked("llee"), ["le"]);
        assert_eq!(marked("lledee"), ["le"]);
        assert_eq!(marked("llelli1ei2eeee"), ["lli1ei2eee", "li1ei2ee"]);
        assert_eq!(marked("llli1ei2eeelee"), ["lli1ei2eee", "li1ei2ee"]);
    }

    #[test]
    fn the_shape_of_a_torrent_has_its_info_and_its_files_marked() {
        let files = "ld6:lengthi1e4:pathl1:aeed6:lengthi2e4:pathl1:beee";
        let info = format!("d5:files{files}4:name1:xe");
        let torrent = format!("d13:announce-listll1:aee4:info{info}8:url-listlee");
        assert_eq!(marked(&torrent), [info.as_str(), files]);
    }
}
