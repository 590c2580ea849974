//! A directory on a disk that loses power, for the client's own journal.
//!
//! What is not synced is dropped, reordered by sectors, or torn at any byte; names come and go in their order; a sync or a
//! write may fail. While calls take their time, a kill or a cut finds them at any of them, by lot. Included by path in the
//! simulator and in the tests of `bt-client/src/state`; it must not know what is written.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::Storage;

/// What the system answers when a disk is broken.
const EIO: i32 = 5;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// A number below this one, by lot; 0 for 0.
pub(crate) type Lot<'a> = &'a mut dyn FnMut(usize) -> usize;

/// A change of one file that is not on the platters yet.
#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Debug, Clone)]
enum Naming {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// What the journal's code has asked for.
#[derive(Debug, Clone)]
enum Call {
    Name(Naming),
    Change(usize, Change),
    Sync(usize),
    /// A sync that has failed: the system drops what it was to write, and takes it for written from now on.
    Drop(usize),
    SyncNames,
}

/// One file: what is read, what a power cut leaves, and what stands between them.
#[derive(Debug, Clone, Default)]
struct Inode {
    live: Vec<u8>,
    stable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Debug, Clone, Default)]
struct Files {
    inodes: Vec<Inode>,
    live: BTreeMap<String, usize>,
    stable: BTreeMap<String, usize>,
    pending: Vec<Naming>,
}

/// What fails from now on.
#[allow(
    dead_code,
    reason = "none of those that include this file has a use for all of them"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Failing {
    #[default]
    Nothing,
    Writes,
    Syncs,
    /// The next sync of a file, and no other.
    OneSync,
    /// Writes, and names as well.
    Everything,
}

#[derive(Debug, Default)]
struct State {
    files: Files,
    failing: Failing,
    /// What was there before the calls that may be under way still, and these calls.
    under_way: Option<(Files, Vec<Call>)>,
}

/// See the module. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platter(Rc<RefCell<State>>);

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, data) => {
            let end = offset + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*offset..end].copy_from_slice(data);
        }
        Change::Length(length) => bytes.resize(*length, 0),
    }
}

fn rename(names: &mut BTreeMap<String, usize>, naming: &Naming) {
    match naming {
        Naming::Create(name, inode) => {
            names.insert(name.clone(), *inode);
        }
        Naming::Rename(from, to) => {
            if let Some(inode) = names.remove(from) {
                names.insert(to.clone(), inode);
            }
        }
        Naming::Remove(name) => {
            names.remove(name);
        }
    }
}

/// What a power cut leaves of changes that were not synced: nothing, all, some sectors in any order, or the beginning, up
/// to any byte.
fn tear(bytes: &mut Vec<u8>, mut pending: Vec<Change>, lot: Lot<'_>) {
    let mood = lot(4);
    if mood == 3 {
        let whole = lot(pending.len() + 1);
        let torn = pending.drain(whole..).next();
        pending.iter().for_each(|change| apply(bytes, change));
        if let Some(Change::Write(offset, mut data)) = torn {
            data.truncate(lot(data.len() + 1));
            apply(bytes, &Change::Write(offset, data));
        }
        return;
    }
    let keeps = |lot: Lot<'_>| mood == 1 || mood == 2 && lot(2) == 0;
    while !pending.is_empty() {
        let (offset, data) = match pending.swap_remove(lot(pending.len())) {
            Change::Write(offset, data) => (offset, data),
            length @ Change::Length(_) => {
                if keeps(lot) {
                    apply(bytes, &length);
                }
                continue;
            }
        };
        let mut at = 0;
        while at < data.len() {
            // Up to the next border of a sector of the file.
            let end = (at + SECTOR - (offset + at) % SECTOR).min(data.len());
            if keeps(lot) {
                apply(bytes, &Change::Write(offset + at, data[at..end].to_vec()));
            }
            at = end;
        }
    }
}

impl Files {
    fn perform(&mut self, call: &Call) {
        match call {
            Call::Name(naming) => {
                if let Naming::Create(_, inode) = naming
                    && *inode == self.inodes.len()
                {
                    self.inodes.push(Inode::default());
                }
                rename(&mut self.live, naming);
                self.pending.push(naming.clone());
            }
            Call::Change(inode, change) => {
                let inode = &mut self.inodes[*inode];
                apply(&mut inode.live, change);
                inode.pending.push(change.clone());
            }
            // Not all that is read: what a failed sync has dropped comes no more.
            Call::Sync(inode) => {
                let inode = &mut self.inodes[*inode];
                for change in std::mem::take(&mut inode.pending) {
                    apply(&mut inode.stable, &change);
                }
            }
            Call::Drop(inode) => self.inodes[*inode].pending.clear(),
            Call::SyncNames => {
                self.pending.clear();
                self.stable.clone_from(&self.live);
            }
        }
    }

    /// The power goes.
    fn cut(&mut self, lot: Lot<'_>) {
        for inode in &mut self.inodes {
            let pending = std::mem::take(&mut inode.pending);
            tear(&mut inode.stable, pending, lot);
            inode.live.clone_from(&inode.stable);
        }
        let kept = lot(self.pending.len() + 1);
        for naming in self.pending.drain(..).take(kept) {
            rename(&mut self.stable, &naming);
        }
        self.live.clone_from(&self.stable);
    }
}

impl State {
    fn perform(&mut self, call: Call) {
        self.files.perform(&call);
        if let Some((_, calls)) = &mut self.under_way {
            calls.push(call);
        }
    }

    fn name(&mut self, naming: Naming) -> io::Result<()> {
        if self.failing == Failing::Everything {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        self.perform(Call::Name(naming));
        Ok(())
    }
}

impl Platter {
    /// From here on calls take time, until [`Platter::arrive`].
    pub(crate) fn depart(&self, failing: Failing) {
        let mut state = self.0.borrow_mut();
        state.failing = failing;
        state.under_way = Some((state.files.clone(), Vec::new()));
    }

    /// All calls so far have been made.
    pub(crate) fn arrive(&self) {
        let mut state = self.0.borrow_mut();
        state.failing = Failing::Nothing;
        state.under_way = None;
    }

    /// The program is gone, in the middle of what it was about if that takes time.
    pub(crate) fn crash(&self, lot: Lot<'_>, power_cut: bool) {
        let mut state = self.0.borrow_mut();
        state.failing = Failing::Nothing;
        if let Some((files, calls)) = state.under_way.take() {
            let made = lot(calls.len() + 1);
            state.files = files;
            calls[..made]
                .iter()
                .for_each(|call| state.files.perform(call));
        }
        if power_cut {
            state.files.cut(lot);
        }
    }
}

impl Storage for Platter {
    type File = usize;

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let state = self.0.borrow();
        let inode = state.files.live.get(name);
        Ok(inode.map(|inode| state.files.inodes[*inode].live.clone()))
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.0.borrow().files.live.contains_key(name))
    }

    fn create(&self, name: &str) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let there = state.files.live.get(name).copied();
        let inode = there.unwrap_or(state.files.inodes.len());
        if there.is_none() {
            state.name(Naming::Create(name.to_owned(), inode))?;
        }
        state.perform(Call::Change(inode, Change::Length(0)));
        Ok(inode)
    }

    fn open(&self, name: &str) -> io::Result<usize> {
        let found = self.0.borrow().files.live.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write_at(&self, file: &usize, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if matches!(state.failing, Failing::Writes | Failing::Everything) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let offset = usize::try_from(offset).expect("a small file");
        state.perform(Call::Change(*file, Change::Write(offset, bytes.to_vec())));
        Ok(())
    }

    fn set_len(&self, file: &usize, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).expect("a small file");
        let change = Call::Change(*file, Change::Length(length));
        self.0.borrow_mut().perform(change);
        Ok(())
    }

    fn sync(&self, file: &usize) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        if matches!(state.failing, Failing::Syncs | Failing::OneSync) {
            if state.failing == Failing::OneSync {
                state.failing = Failing::Nothing;
            }
            state.perform(Call::Drop(*file));
            return Err(io::Error::from_raw_os_error(EIO));
        }
        state.perform(Call::Sync(*file));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let naming = Naming::Rename(from.to_owned(), to.to_owned());
        self.0.borrow_mut().name(naming)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let naming = Naming::Remove(name.to_owned());
        self.0.borrow_mut().name(naming)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.borrow_mut().perform(Call::SyncNames);
        Ok(())
    }
}
