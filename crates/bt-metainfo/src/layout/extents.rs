//! Which parts of which files a run of bytes covers.
//!
//! Knows offsets and lengths only; [`Layout::extents`](crate::Layout::extents) makes it.

use std::iter::FusedIterator;

use super::Span;
use crate::index::FileIndex;

/// A run of bytes inside one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// The file; never an empty one.
    pub file: FileIndex,
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes, at least 1.
    pub length: u64,
}

/// The extents of a run of bytes, in the order of the torrent.
#[derive(Clone, Debug)]
pub struct Extents<'a> {
    files: &'a [Span],
    /// The file that holds the byte at `position`, or the first one behind it.
    next: usize,
    /// `position <= end`; bytes before it are done.
    position: u64,
    end: u64,
}

impl<'a> Extents<'a> {
    /// `first` is the first file that ends behind `offset`.
    pub(super) fn new(files: &'a [Span], first: usize, offset: u64, length: u64) -> Self {
        Self {
            files,
            next: first,
            position: offset,
            end: offset.saturating_add(length),
        }
    }
}

impl Iterator for Extents<'_> {
    type Item = Extent;

    fn next(&mut self) -> Option<Extent> {
        let mut span = *self.files.get(self.next)?;
        if span.length == 0 {
            // A hostile torrent may have any number of empty files here: leap, do not walk.
            let rest = self.files.get(self.next..)?;
            self.next += rest.partition_point(|span| span.end() <= self.position);
            span = *self.files.get(self.next)?;
        }
        let start = self.position.max(span.offset);
        let stop = self.end.min(span.end());
        if start >= stop {
            self.next = self.files.len();
            return None;
        }
        let file = FileIndex(u32::try_from(self.next).ok()?);
        self.next += 1;
        self.position = stop;
        Some(Extent {
            file,
            offset: start - span.offset,
            length: stop - start,
        })
    }
}

impl FusedIterator for Extents<'_> {}
