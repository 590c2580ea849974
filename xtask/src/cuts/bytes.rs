//! The bytes of a file: whole, in sectors, with holes. It must not know which of them would survive.

use std::collections::BTreeSet;

use super::disk::Trouble;

/// What a disk writes at once.
pub(super) const SECTOR: usize = 512;

/// What a file system takes room in; a hole is at least this long.
pub(super) const PAGE: usize = 4096;

/// The bytes of a file, and which pages of it were ever written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) all: Vec<u8>,
    pub(super) pages: BTreeSet<usize>,
}

/// Something that happened to the bytes of a file.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Bytes {
    /// Applies a change, sector by sector as far as `keep` says yes.
    pub(super) fn apply(&mut self, change: &Change, mut keep: impl FnMut() -> bool) {
        match change {
            Change::Length(length) => {
                if keep() {
                    self.all.resize(*length, 0);
                    let _ = self.pages.split_off(&length.div_ceil(PAGE));
                }
            }
            Change::Write(offset, data) => {
                let mut at = 0;
                while at < data.len() {
                    let start = offset + at;
                    let end = (at + SECTOR - start % SECTOR).min(data.len());
                    if keep() {
                        let needed = offset + end;
                        if self.all.len() < needed {
                            self.all.resize(needed, 0);
                        }
                        self.all[start..needed].copy_from_slice(&data[at..end]);
                        self.pages.insert(start / PAGE);
                    }
                    at = end;
                }
            }
        }
    }

    /// Whether all of these bytes have been written, or their neighbors on the same pages.
    pub(super) fn holds(&self, offset: usize, length: usize) -> bool {
        let last = (offset + length).div_ceil(PAGE);
        offset + length <= self.all.len()
            && (offset / PAGE..last).all(|page| self.pages.contains(&page))
    }

    /// The next byte that is there, or the next hole.
    pub(super) fn seek(&self, offset: usize, for_data: bool) -> Result<usize, Trouble> {
        if offset >= self.all.len() {
            return Err(Trouble::NoData);
        }
        let pages = offset / PAGE..self.all.len().div_ceil(PAGE);
        let found = pages
            .into_iter()
            .find(|page| self.pages.contains(page) == for_data);
        match found {
            Some(page) => Ok((page * PAGE).max(offset)),
            None if for_data => Err(Trouble::NoData),
            None => Ok(self.all.len()),
        }
    }
}
