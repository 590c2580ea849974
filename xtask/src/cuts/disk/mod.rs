//! A file system in memory that keeps what was synced apart from what was not, and can lose its power.
//!
//! The rules are those of POSIX, taken at its word: `fsync` of a file makes its bytes and its size last, `fdatasync` not
//! its time; the names in a directory last when the directory is synced, and not when the file is. Of everything else
//! any part may be there after a cut, in any order, torn at sectors. It must not know FUSE, nor who is writing.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::SystemTime;

use super::bytes::{Bytes, Change, PAGE};
use super::chance::Chance;

/// The number of the topmost directory, as FUSE has it.
pub(super) const ROOT: u64 = 1;

/// Why something could not be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    NotFound,
    Exists,
    NotEmpty,
    NotADirectory,
    IsADirectory,
    /// Nothing but a hole, or nothing at all, from there on.
    NoData,
    /// The power is off.
    Dead,
}

#[derive(Debug, Default)]
struct File {
    live: Bytes,
    stable: Bytes,
    pending: Vec<Change>,
}

type Names = BTreeMap<OsString, u64>;

#[derive(Debug, Default)]
struct Directory {
    live: Names,
    stable: Names,
}

#[derive(Debug)]
enum Body {
    File(File),
    Directory(Directory),
}

#[derive(Debug)]
struct Inode {
    body: Body,
    mode: u16,
    modified: SystemTime,
    stable_modified: SystemTime,
}

/// A change of names that is not on the disk yet.
#[derive(Debug, Clone)]
enum Naming {
    Add(u64, OsString, u64),
    Remove(u64, OsString),
    Move {
        from: (u64, OsString),
        to: (u64, OsString),
        inode: u64,
    },
}

impl Naming {
    fn touches(&self, directory: u64) -> bool {
        match self {
            Self::Add(of, ..) | Self::Remove(of, _) => *of == directory,
            Self::Move { from, to, .. } => from.0 == directory || to.0 == directory,
        }
    }
}

/// What is known of an inode from outside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) inode: u64,
    pub(super) is_directory: bool,
    pub(super) size: u64,
    /// Bytes that take room.
    pub(super) room: u64,
    pub(super) mode: u16,
    pub(super) modified: SystemTime,
}

/// How much of what was not synced survives a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survival {
    /// Nothing: the cruellest that is allowed.
    Nothing,
    /// What chance will have, of each file and each name.
    Chance,
}

/// When the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before the change or sync of this number since the power came; the first is 1.
    Request(u64),
    /// Before the sync of this number.
    Sync(u64),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Disk {
    inodes: BTreeMap<u64, Inode>,
    next: u64,
    pending: Vec<Naming>,
    /// Changes and syncs that were asked for since the power came.
    requests: u64,
    /// Syncs among them.
    syncs: u64,
    cut_before: Option<Moment>,
    is_dead: bool,
}

impl Disk {
    pub(super) fn new(now: SystemTime) -> Self {
        let mut disk = Self {
            inodes: BTreeMap::new(),
            next: ROOT,
            pending: Vec::new(),
            requests: 0,
            syncs: 0,
            cut_before: None,
            is_dead: false,
        };
        disk.add_inode(Body::Directory(Directory::default()), 0o755, now);
        disk
    }

    fn add_inode(&mut self, body: Body, mode: u16, now: SystemTime) -> u64 {
        let inode = self.next;
        self.next += 1;
        let node = Inode {
            body,
            mode,
            modified: now,
            stable_modified: now,
        };
        self.inodes.insert(inode, node);
        inode
    }

    /// The power is on, until that moment if one is given.
    pub(super) fn power_on(&mut self, cut_before: Option<Moment>) {
        (self.requests, self.syncs) = (0, 0);
        self.cut_before = cut_before;
        self.is_dead = false;
    }

    /// Nothing works from now on.
    pub(super) fn power_off(&mut self) {
        self.is_dead = true;
    }

    pub(super) fn is_dead(&self) -> bool {
        self.is_dead
    }

    /// Each change and each sync begins with this.
    fn count(&mut self) -> Result<(), Trouble> {
        self.requests += 1;
        self.is_dead |= self.cut_before == Some(Moment::Request(self.requests));
        self.alive()
    }

    fn alive(&self) -> Result<(), Trouble> {
        if self.is_dead {
            Err(Trouble::Dead)
        } else {
            Ok(())
        }
    }

    fn node(&self, inode: u64) -> Result<&Inode, Trouble> {
        self.inodes.get(&inode).ok_or(Trouble::NotFound)
    }

    fn file(&mut self, inode: u64) -> Result<(&mut File, &mut SystemTime), Trouble> {
        let node = self.inodes.get_mut(&inode).ok_or(Trouble::NotFound)?;
        match &mut node.body {
            Body::File(file) => Ok((file, &mut node.modified)),
            Body::Directory(_) => Err(Trouble::IsADirectory),
        }
    }

    fn names(&mut self, inode: u64) -> Result<&mut Directory, Trouble> {
        match self.inodes.get_mut(&inode).map(|node| &mut node.body) {
            Some(Body::Directory(directory)) => Ok(directory),
            Some(Body::File(_)) => Err(Trouble::NotADirectory),
            None => Err(Trouble::NotFound),
        }
    }

    pub(super) fn look(&self, inode: u64) -> Result<Look, Trouble> {
        self.alive()?;
        let node = self.node(inode)?;
        let (is_directory, size, pages) = match &node.body {
            Body::File(file) => (false, file.live.all.len(), file.live.pages.len()),
            Body::Directory(_) => (true, PAGE, 1),
        };
        Ok(Look {
            inode,
            is_directory,
            size: size as u64,
            room: (pages * PAGE) as u64,
            mode: node.mode,
            modified: node.modified,
        })
    }

    pub(super) fn look_up(&mut self, directory: u64, name: &OsStr) -> Result<Look, Trouble> {
        self.alive()?;
        let found = self.names(directory)?.live.get(name).copied();
        self.look(found.ok_or(Trouble::NotFound)?)
    }

    /// Names and inodes of a directory, in their order.
    pub(super) fn list(&mut self, directory: u64) -> Result<Vec<(OsString, u64)>, Trouble> {
        self.alive()?;
        let names = &self.names(directory)?.live;
        Ok(names
            .iter()
            .map(|(name, inode)| (name.clone(), *inode))
            .collect())
    }

    pub(super) fn read(
        &mut self,
        inode: u64,
        offset: u64,
        size: usize,
    ) -> Result<Vec<u8>, Trouble> {
        self.alive()?;
        let bytes = &self.file(inode)?.0.live.all;
        let start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let end = start.saturating_add(size).min(bytes.len());
        Ok(bytes[start..end].to_vec())
    }

    /// The next byte that is there (`for_data`) or the next hole.
    pub(super) fn seek(&mut self, inode: u64, offset: u64, for_data: bool) -> Result<u64, Trouble> {
        self.alive()?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = self.file(inode)?.0.live.seek(offset, for_data)?;
        Ok(found as u64)
    }

    fn change(&mut self, inode: u64, change: Change, now: SystemTime) -> Result<(), Trouble> {
        self.count()?;
        let (file, modified) = self.file(inode)?;
        file.live.apply(&change, || true);
        file.pending.push(change);
        *modified = now;
        Ok(())
    }

    pub(super) fn write(
        &mut self,
        inode: u64,
        offset: u64,
        data: &[u8],
        now: SystemTime,
    ) -> Result<(), Trouble> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        self.change(inode, Change::Write(offset, data.to_vec()), now)
    }

    pub(super) fn set_length(
        &mut self,
        inode: u64,
        length: u64,
        now: SystemTime,
    ) -> Result<(), Trouble> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.change(inode, Change::Length(length), now)
    }

    pub(super) fn set_mode(&mut self, inode: u64, mode: u16) -> Result<(), Trouble> {
        self.count()?;
        let node = self.inodes.get_mut(&inode).ok_or(Trouble::NotFound)?;
        node.mode = mode & 0o7777;
        Ok(())
    }

    pub(super) fn set_modified(&mut self, inode: u64, to: SystemTime) -> Result<(), Trouble> {
        self.count()?;
        let node = self.inodes.get_mut(&inode).ok_or(Trouble::NotFound)?;
        node.modified = to;
        Ok(())
    }

    /// A new file or directory.
    pub(super) fn create(
        &mut self,
        directory: u64,
        name: &OsStr,
        is_directory: bool,
        mode: u16,
        now: SystemTime,
    ) -> Result<Look, Trouble> {
        self.count()?;
        if self.names(directory)?.live.contains_key(name) {
            return Err(Trouble::Exists);
        }
        let body = if is_directory {
            Body::Directory(Directory::default())
        } else {
            Body::File(File::default())
        };
        let inode = self.add_inode(body, mode & 0o7777, now);
        self.name(Naming::Add(directory, name.to_owned(), inode));
        self.look(inode)
    }

    pub(super) fn remove(&mut self, directory: u64, name: &OsStr) -> Result<(), Trouble> {
        self.count()?;
        let found = self.names(directory)?.live.get(name).copied();
        let inode = found.ok_or(Trouble::NotFound)?;
        if let Body::Directory(inside) = &self.node(inode)?.body
            && !inside.live.is_empty()
        {
            return Err(Trouble::NotEmpty);
        }
        self.name(Naming::Remove(directory, name.to_owned()));
        Ok(())
    }

    pub(super) fn rename(
        &mut self,
        from: (u64, &OsStr),
        to: (u64, &OsStr),
        may_replace: bool,
    ) -> Result<(), Trouble> {
        self.count()?;
        let found = self.names(from.0)?.live.get(from.1).copied();
        let inode = found.ok_or(Trouble::NotFound)?;
        if self.names(to.0)?.live.contains_key(to.1) && !may_replace {
            return Err(Trouble::Exists);
        }
        self.name(Naming::Move {
            from: (from.0, from.1.to_owned()),
            to: (to.0, to.1.to_owned()),
            inode,
        });
        Ok(())
    }

    fn name(&mut self, naming: Naming) {
        self.rename_in(&naming, |directory| &mut directory.live);
        self.pending.push(naming);
    }

    fn rename_in(&mut self, naming: &Naming, which: fn(&mut Directory) -> &mut Names) {
        let mut change = |directory: u64, name: &OsString, to: Option<u64>, was: Option<u64>| {
            // A directory may be gone by now, and then nothing in it matters.
            let Ok(directory) = self.names(directory) else {
                return;
            };
            let names = which(directory);
            match to {
                Some(inode) => {
                    names.insert(name.clone(), inode);
                }
                // Another file may have taken the name since.
                None if was.is_none_or(|was| names.get(name) == Some(&was)) => {
                    names.remove(name);
                }
                None => {}
            }
        };
        match naming {
            Naming::Add(directory, name, inode) => change(*directory, name, Some(*inode), None),
            Naming::Remove(directory, name) => change(*directory, name, None, None),
            Naming::Move { from, to, inode } => {
                change(from.0, &from.1, None, Some(*inode));
                change(to.0, &to.1, Some(*inode), None);
            }
        }
    }

    /// `fsync` of a file or a directory; `only_data` is `fdatasync`.
    pub(super) fn sync(&mut self, inode: u64, only_data: bool) -> Result<(), Trouble> {
        self.syncs += 1;
        self.is_dead |= self.cut_before == Some(Moment::Sync(self.syncs));
        self.count()?;
        let node = self.inodes.get_mut(&inode).ok_or(Trouble::NotFound)?;
        if !only_data {
            node.stable_modified = node.modified;
        }
        if let Body::File(file) = &mut node.body {
            for change in file.pending.drain(..) {
                file.stable.apply(&change, || true);
            }
            return Ok(());
        }
        let (now, later) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|naming| naming.touches(inode));
        self.pending = later;
        let now: Vec<Naming> = now;
        for naming in &now {
            self.rename_in(naming, |directory| &mut directory.stable);
        }
        Ok(())
    }

    /// The power has gone: what is left is what was synced, and of the rest what chance leaves.
    pub(super) fn cut(&mut self, survival: Survival, chance: &mut Chance) {
        let moods = if survival == Survival::Nothing { 1 } else { 4 };
        for node in self.inodes.values_mut() {
            let mood = chance.below(moods);
            if mood == 1 || mood > 1 && chance.below(2) == 0 {
                node.stable_modified = node.modified;
            }
            node.modified = node.stable_modified;
            let Body::File(file) = &mut node.body else {
                continue;
            };
            let mut pending = std::mem::take(&mut file.pending);
            while !pending.is_empty() {
                let at = usize::try_from(chance.below(pending.len() as u64)).unwrap_or(0);
                // The order of writing is kept by nobody, but for a whole that is all there.
                let change = if mood == 1 {
                    pending.remove(0)
                } else {
                    pending.swap_remove(at)
                };
                let keep_whole = chance.below(2) == 0;
                file.stable.apply(&change, || match mood {
                    0 => false,
                    1 => true,
                    2 => keep_whole,
                    _ => chance.below(2) == 0,
                });
            }
            file.live = file.stable.clone();
        }
        self.cut_names(chance.below(moods), chance);
        self.drop_unnamed();
    }

    fn cut_names(&mut self, mood: u64, chance: &mut Chance) {
        let pending = std::mem::take(&mut self.pending);
        let first = chance.below(pending.len() as u64 + 1);
        for (number, naming) in (0..).zip(&pending) {
            let is_kept = match mood {
                0 => false,
                1 => true,
                2 => number < first,
                _ => chance.below(2) == 0,
            };
            if is_kept {
                self.rename_in(naming, |directory| &mut directory.stable);
            }
        }
        for node in self.inodes.values_mut() {
            if let Body::Directory(directory) = &mut node.body {
                directory.live = directory.stable.clone();
            }
        }
    }

    fn drop_unnamed(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut waiting = vec![ROOT];
        while let Some(inode) = waiting.pop() {
            if let Some(Body::Directory(directory)) = self.inodes.get(&inode).map(|node| &node.body)
            {
                let new = directory
                    .live
                    .values()
                    .filter(|inode| reached.insert(**inode));
                waiting.extend(new);
            }
        }
        self.inodes.retain(|inode, _| reached.contains(inode));
    }

    /// The inode of a path, as the program sees it, also when the power is off.
    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        path.iter()
            .try_fold(ROOT, |inode, name| match &self.inodes.get(&inode)?.body {
                Body::Directory(directory) => directory.live.get(name).copied(),
                Body::File(_) => None,
            })
    }

    /// Whether a file is this one, or lies somewhere below this directory.
    pub(super) fn is_below(&self, path: &Path, inode: u64) -> bool {
        let mut waiting: Vec<u64> = self.find(path).into_iter().collect();
        while let Some(here) = waiting.pop() {
            if here == inode {
                return true;
            }
            if let Some(Body::Directory(directory)) = self.inodes.get(&here).map(|node| &node.body)
            {
                waiting.extend(directory.live.values());
            }
        }
        false
    }

    /// The bytes of a file, as the program sees them, also when the power is off.
    pub(super) fn bytes(&self, path: &Path) -> Option<&Bytes> {
        match &self.inodes.get(&self.find(path)?)?.body {
            Body::File(file) => Some(&file.live),
            Body::Directory(_) => None,
        }
    }

    /// The bytes of a file of which a sync was answered, as was one of its name in this directory.
    pub(super) fn synced(&self, directory: &Path, name: &OsStr) -> Option<&[u8]> {
        let Body::Directory(directory) = &self.inodes.get(&self.find(directory)?)?.body else {
            return None;
        };
        match &self.inodes.get(directory.stable.get(name)?)?.body {
            Body::File(file) => Some(&file.stable.all),
            Body::Directory(_) => None,
        }
    }

    /// The names in a directory, as the program sees them, also when the power is off.
    pub(super) fn names_in(&self, path: &Path) -> Vec<OsString> {
        let inode = self.find(path).and_then(|inode| self.inodes.get(&inode));
        match inode.map(|node| &node.body) {
            Some(Body::Directory(directory)) => directory.live.keys().cloned().collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
