//! Which contents of a session use which files of the disk: none writes to a file in which another one counts pieces.
//!
//! It decides on plain data and must not look at the disk, nor know why a file is read or written.

use std::collections::{BTreeMap, HashMap};

use bt_metainfo::FileIndex;

/// Device and number of a file, which are the same by whatever name it is found.
pub(super) type Inode = (u64, u64);

/// What a file is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// What is in it counts, and any number of contents may say so at the same time.
    Reading,
    /// It is written to, by one content alone.
    Writing,
}

/// A file of one content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub(super) content: u64,
    pub(super) file: FileIndex,
}

/// Somebody else uses the file in a way that does not go together with what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Conflict {
    pub(super) with: Holder,
    pub(super) used_for: Use,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// If one of a file's holders writes, all of them are of its content.
    holders: HashMap<Inode, BTreeMap<Holder, Use>>,
    /// The same by content.
    inodes: HashMap<u64, BTreeMap<FileIndex, Inode>>,
}

impl Claims {
    /// From now on `holder` is this file, and is used for this as well.
    pub(super) fn enter(&mut self, inode: Inode, holder: Holder, how: Use) -> Result<(), Conflict> {
        if let Some(there) = self.holders.get(&inode) {
            let disturbs = |(other, used_for): (&Holder, &Use)| {
                let is_other = other.content != holder.content;
                (is_other && how.max(*used_for) == Use::Writing).then_some(Conflict {
                    with: *other,
                    used_for: *used_for,
                })
            };
            if let Some(conflict) = there.iter().find_map(disturbs) {
                return Err(conflict);
            }
        }
        let files = self.inodes.entry(holder.content).or_default();
        if let Some(before) = files.insert(holder.file, inode)
            && before != inode
        {
            self.forget(before, holder);
        }
        let used_for = self.holders.entry(inode).or_default();
        let used_for = used_for.entry(holder).or_insert(how);
        *used_for = how.max(*used_for);
        Ok(())
    }

    /// A copy that is about to get the name of a file of a content is that content's as well from now on, as the file
    /// is; until [`Claims::enter`] says that it has it, or [`Claims::release`] that it has not got it.
    pub(super) fn reserve(&mut self, inode: Inode, holder: Holder) {
        let now = self.inode(holder);
        let used_for = now.and_then(|now| self.holders.get(&now)?.get(&holder).copied());
        if let Some(used_for) = used_for {
            let there = self.holders.entry(inode).or_default();
            there.insert(holder, used_for);
        }
    }

    /// A file of a content is not written to any more; what is in it still counts.
    pub(super) fn lower(&mut self, holder: Holder) {
        if let Some(used_for) = self
            .inodes
            .get(&holder.content)
            .and_then(|files| files.get(&holder.file))
            .and_then(|inode| self.holders.get_mut(inode))
            .and_then(|there| there.get_mut(&holder))
        {
            *used_for = Use::Reading;
        }
    }

    /// A file of a content is not this one any more.
    pub(super) fn release(&mut self, inode: Inode, holder: Holder) {
        if let Some(files) = self.inodes.get_mut(&holder.content)
            && files.get(&holder.file) == Some(&inode)
        {
            files.remove(&holder.file);
        }
        self.forget(inode, holder);
    }

    /// A content uses no file any more. Gives those that it has used.
    pub(super) fn leave(&mut self, content: u64) -> Vec<(FileIndex, Use)> {
        let files = self.inodes.remove(&content).unwrap_or_default();
        let left = files.into_iter().filter_map(|(file, inode)| {
            let used_for = self.forget(inode, Holder { content, file })?;
            Some((file, used_for))
        });
        left.collect()
    }

    /// Another content that uses the file as well.
    pub(super) fn other(&self, inode: Inode, content: u64) -> Option<Holder> {
        let there = self.holders.get(&inode)?;
        there
            .keys()
            .find(|holder| holder.content != content)
            .copied()
    }

    /// All files of other contents that are this one.
    pub(super) fn others(&self, inode: Inode, content: u64) -> Vec<Holder> {
        let there = self.holders.get(&inode).into_iter();
        let holders = there.flat_map(BTreeMap::keys);
        holders
            .filter(|holder| holder.content != content)
            .copied()
            .collect()
    }

    /// Which file this one of a content is, if it is used.
    pub(super) fn inode(&self, holder: Holder) -> Option<Inode> {
        self.inodes.get(&holder.content)?.get(&holder.file).copied()
    }

    /// Whether nobody uses any file, and nothing is kept of anybody.
    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.holders.is_empty() && self.inodes.is_empty()
    }

    fn forget(&mut self, inode: Inode, holder: Holder) -> Option<Use> {
        let there = self.holders.get_mut(&inode)?;
        let used_for = there.remove(&holder);
        if there.is_empty() {
            self.holders.remove(&inode);
        }
        used_for
    }
}

#[cfg(test)]
mod tests {
    use super::Use::{Reading, Writing};
    use super::{Claims, Conflict, Holder};
    use bt_metainfo::FileIndex;

    const X: (u64, u64) = (1, 7);

    fn holder(content: u64) -> Holder {
        Holder {
            content,
            file: FileIndex(0),
        }
    }

    #[test]
    fn many_read_or_one_writes() {
        // What the first does, what the second wants, and whether it may.
        let table = [
            (Reading, Reading, true),
            (Reading, Writing, false),
            (Writing, Reading, false),
            (Writing, Writing, false),
        ];
        for (first, second, may) in table {
            let mut claims = Claims::default();
            claims.enter(X, holder(1), first).unwrap();
            let conflict = Conflict {
                with: holder(1),
                used_for: first,
            };
            let expected = if may { Ok(()) } else { Err(conflict) };
            let entered = claims.enter(X, holder(2), second);
            assert_eq!(entered, expected, "{first:?} {second:?}");
            let elsewhere = claims.enter((2, 7), holder(2), second);
            assert_eq!(elsewhere, Ok(()), "another device is another file");
            // The first one is done, or gone.
            claims.lower(holder(1));
            assert_eq!(
                claims.enter(X, holder(2), second).is_ok(),
                second == Reading
            );
            claims.leave(1);
            assert_eq!(claims.enter(X, holder(2), Writing), Ok(()));
        }
    }

    #[test]
    fn whoever_is_alone_may_begin_to_write_and_reading_takes_nothing_back() {
        let mut claims = Claims::default();
        for how in [Reading, Writing, Reading] {
            claims.enter(X, holder(1), how).unwrap();
        }
        assert!(claims.enter(X, holder(2), Reading).is_err());
        let twice = Holder {
            file: FileIndex(9),
            ..holder(1)
        };
        assert_eq!(claims.enter(X, twice, Writing), Ok(()), "one of its own");
        assert_eq!(claims.other(X, 1), None);
        assert_eq!(claims.other(X, 2), Some(holder(1)));
        let left = [(FileIndex(0), Writing), (FileIndex(9), Writing)];
        assert_eq!(claims.leave(1), left);
        assert_eq!(claims.leave(1), []);
    }

    #[test]
    fn a_file_that_was_replaced_is_free() {
        let mut claims = Claims::default();
        claims.enter(X, holder(1), Writing).unwrap();
        claims.enter((1, 8), holder(1), Reading).unwrap();
        assert_eq!(claims.enter(X, holder(2), Writing), Ok(()));
        claims.release(X, holder(2));
        assert_eq!(claims.enter(X, holder(3), Writing), Ok(()));
        assert!(claims.enter((1, 8), holder(3), Writing).is_err());
    }
}
