//! File selections: `0,2,4,6-8` (BEP 53).

use std::fmt;
use std::ops::RangeInclusive;

use crate::index::FileIndex;

/// A set of files by number, kept as ranges so that no number costs memory.
///
/// ```
/// use bt_metainfo::{FileIndex, Selection};
///
/// let selection: Selection = [4..=4, 0..=1, 2..=2].into_iter().collect();
/// assert_eq!(selection.to_string(), "0-2,4");
/// assert!(selection.contains(FileIndex(1)) && !selection.contains(FileIndex(3)));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Sorted, and with a gap of at least one number between neighbors.
    ranges: Vec<RangeInclusive<u32>>,
}

impl Selection {
    /// Reads numbers and ranges between commas; the error is the part that is neither.
    pub(super) fn parse(text: &str) -> Result<Self, &str> {
        text.split(',')
            .map(str::trim)
            .map(|part| {
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                number(first)
                    .zip(number(last))
                    .filter(|(a, b)| a <= b)
                    .map(|(a, b)| a..=b)
                    .ok_or(part)
            })
            .collect()
    }

    /// Whether a file is selected.
    pub fn contains(&self, file: FileIndex) -> bool {
        let place = self.ranges.partition_point(|range| *range.end() < file.0);
        self.ranges
            .get(place)
            .is_some_and(|range| range.contains(&file.0))
    }

    /// Whether no file is selected.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges in ascending order; neighbors have a gap between them.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.ranges
    }

    /// The selected files among the first `file_count`.
    pub fn files(&self, file_count: u32) -> impl Iterator<Item = FileIndex> {
        let last = file_count.checked_sub(1);
        self.ranges
            .iter()
            .filter_map(move |range| Some(*range.start()..=*range.end().min(&last?)))
            .flatten()
            .map(FileIndex)
    }

    /// Adds the files of another selection.
    pub(super) fn extend(&mut self, other: &Self) {
        *self = self.ranges.iter().chain(&other.ranges).cloned().collect();
    }
}

impl FromIterator<RangeInclusive<u32>> for Selection {
    fn from_iter<T: IntoIterator<Item = RangeInclusive<u32>>>(ranges: T) -> Self {
        let mut unmerged: Vec<_> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        unmerged.sort_unstable_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u32>> = Vec::new();
        for range in unmerged {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Self { ranges: merged }
    }
}

impl FromIterator<FileIndex> for Selection {
    fn from_iter<T: IntoIterator<Item = FileIndex>>(files: T) -> Self {
        files.into_iter().map(|file| file.0..=file.0).collect()
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            write!(f, "{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

fn number(text: &str) -> Option<u32> {
    // `parse` alone would take a leading plus.
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}
