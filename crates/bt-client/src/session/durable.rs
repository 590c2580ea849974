//! Pieces become durable here: one thread that syncs data, records what was synced, and only then says so.
//!
//! The order is the promise: data is synced, then recorded, then the record is synced, then whoever waits is told. A
//! sync that fails is final for what it covered: nothing of that is recorded, and the torrent stops.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};
use bt_wire::Bitfield;

use super::clock;
use super::events::{EventKind, Events};
use super::member::Member;
use super::sync::{Condvar, JoinHandle, Mutex, MutexGuard, mpsc, thread};
use crate::disk::{DiskError, Look};
use crate::state::knowledge::{Batch, IndexSet, Pending, Record, Stamp, spans};
use crate::state::{StateError, Store};

/// Torrents that are not in the journal have numbers from here on.
pub(super) const UNRECORDED: u32 = 1 << 31;

type Task = Box<dyn FnOnce() + Send>;

/// What is left to do for one torrent.
struct Account {
    member: Arc<Member>,
    /// Of each file, pieces that are not durable.
    missing: Vec<u32>,
    /// Pieces that are durable.
    proven: IndexSet,
    /// Files that the journal takes for written to.
    open: IndexSet,
    /// Pieces that verified and are not durable.
    unsettled: IndexSet,
    /// A sync has failed: what is unsettled is in doubt.
    failed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Commit, say how files were left, end.
    Ending,
    /// Commit, end.
    Abandoned,
    /// The thread is gone.
    Ended,
}

struct Desk {
    pending: Pending,
    accounts: BTreeMap<u32, Account>,
    /// To be done after the next commit.
    tasks: Vec<Task>,
    hurry: bool,
    phase: Phase,
    next_unrecorded: u32,
    /// The state cannot be kept, and that has been said.
    warned: bool,
}

struct Shared {
    store: Option<Store>,
    events: Arc<Events>,
    desk: Mutex<Desk>,
    wake: Condvar,
}

/// See the module.
pub(super) struct Durable {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Durable {
    pub(super) fn start(store: Option<Store>, events: Arc<Events>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            events,
            desk: Mutex::new(Desk {
                pending: Pending::default(),
                accounts: BTreeMap::new(),
                tasks: Vec::new(),
                hurry: false,
                phase: Phase::Running,
                next_unrecorded: UNRECORDED,
                warned: false,
            }),
            wake: Condvar::new(),
        });
        let work = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("commit".to_owned())
            .spawn(move || work.work())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.shared.store.as_ref()
    }

    /// A torrent begins, and these pieces are durable. `number` is that in the journal, `open` what the journal takes
    /// for written to.
    pub(super) fn enter(
        &self,
        member: &Arc<Member>,
        number: Option<u32>,
        proven: &Bitfield,
        open: IndexSet,
    ) {
        let missing = member
            .layout
            .files()
            .map(|file| {
                let pieces = member.layout.pieces_of_file(file);
                let missing = pieces.filter(|piece| !proven.get(PieceIndex(*piece)));
                u32::try_from(missing.count()).unwrap_or(u32::MAX)
            })
            .collect();
        let account = Account {
            member: Arc::clone(member),
            missing,
            proven: proven.iter_ones().map(|piece| piece.0).collect(),
            open,
            unsettled: IndexSet::default(),
            failed: false,
        };
        let mut desk = self.shared.desk();
        let number = number.unwrap_or_else(|| {
            desk.next_unrecorded = desk.next_unrecorded.wrapping_add(1).max(UNRECORDED);
            desk.next_unrecorded
        });
        let number = *member.number.get_or_init(|| number);
        desk.accounts.insert(number, account);
    }

    /// A torrent has left; what was committed of it stays.
    pub(super) fn leave(&self, number: u32) {
        let mut desk = self.shared.desk();
        desk.pending.drop_torrent(number);
        desk.accounts.remove(&number);
    }

    /// A piece verified and is written.
    pub(super) fn note(&self, number: u32, piece: PieceIndex, bytes: u64) {
        let mut desk = self.shared.desk();
        let Some(account) = desk.accounts.get_mut(&number) else {
            return;
        };
        if account.proven.contains(piece.0) {
            return;
        }
        let is_new = !account.unsettled.contains(piece.0);
        account.unsettled.insert(piece.0);
        // What a failed sync has put in doubt is not taken up before it was read again.
        if account.failed || !is_new {
            return;
        }
        let now = clock::now();
        let first = desk.pending.wait(now).is_none();
        desk.pending.note(now, number, piece.0, bytes);
        if first || desk.pending.wait(now).is_some_and(|wait| wait.is_zero()) {
            self.shared.wake.notify_all();
        }
    }

    /// Whether all that was noted of a torrent would survive a power cut.
    pub(super) fn is_settled(&self, number: u32) -> bool {
        let desk = self.shared.desk();
        desk.accounts
            .get(&number)
            .is_none_or(|account| account.unsettled.is_empty())
    }

    /// Commits as soon as possible.
    pub(super) fn hurry(&self) {
        self.shared.desk().hurry = true;
        self.shared.wake.notify_all();
    }

    /// Commits as soon as possible, and then does this on the thread that commits.
    pub(super) fn after_commit(&self, task: impl FnOnce() + Send + 'static) {
        let mut desk = self.shared.desk();
        if desk.phase == Phase::Ended {
            return;
        }
        desk.tasks.push(Box::new(task));
        desk.hurry = true;
        self.shared.wake.notify_all();
    }

    /// Commits, and returns when that is done. Blocks; not to be called on the thread that commits.
    pub(super) fn commit(&self) {
        let (done, wait) = mpsc::channel();
        self.after_commit(move || {
            let _ = done.send(());
        });
        // Without an answer the thread has ended, and with it everything that could be waited for.
        let _ = wait.recv();
    }

    /// Says that files with missing pieces may be written from now on, and, with `looked`, that what is not proven is
    /// not there. When it returns, they may be. Blocks.
    pub(super) fn open(&self, member: &Member, number: u32, looked: bool) {
        if !self.is_settled(number) {
            self.commit();
        }
        let files = {
            let mut desk = self.shared.desk();
            let Some(account) = desk.accounts.get_mut(&number) else {
                return;
            };
            let fresh: IndexSet = (0u32..)
                .zip(&account.missing)
                .filter(|(file, missing)| **missing > 0 && !account.open.contains(*file))
                .map(|(file, _)| file)
                .collect();
            fresh.iter().for_each(|file| account.open.insert(file));
            fresh
        };
        let mut records: Vec<Record> = spans(&files)
            .into_iter()
            .map(|files| Record::Opened {
                torrent: number,
                files,
            })
            .collect();
        records.extend(looked.then_some(Record::Looked { torrent: number }));
        if number < UNRECORDED {
            self.shared.write(member, &records);
        }
    }

    /// These pieces are not on the disk any more, or somebody is about to look whether they are: nothing is known of
    /// them, and their files may be written from when this returns. Blocks; not to be called on the thread that commits.
    pub(super) fn forget(&self, member: &Member, number: u32, pieces: &IndexSet) {
        // What was noted before is recorded first, so that the record that takes it back stands behind it.
        self.commit();
        {
            let mut desk = self.shared.desk();
            let Some(account) = desk.accounts.get_mut(&number) else {
                return;
            };
            let mut lost = IndexSet::default();
            for piece in pieces
                .iter()
                .filter(|piece| account.proven.contains(*piece))
            {
                lost.insert(piece);
            }
            let touched: Vec<FileIndex> = files_of(account, &lost).map(|(file, _)| file).collect();
            for file in touched {
                if let Some(missing) = account.missing.get_mut(file.0 as usize) {
                    *missing += 1;
                }
            }
            lost.iter().for_each(|piece| account.proven.remove(piece));
        }
        let records: Vec<Record> = spans(pieces)
            .into_iter()
            .map(|pieces| Record::Forgotten {
                torrent: number,
                pieces,
            })
            .collect();
        if number < UNRECORDED {
            self.shared.write(member, &records);
        }
        self.open(member, number, false);
    }

    /// Takes the pieces that a failed sync has put in doubt; the torrent begins anew. `None` if nothing is.
    pub(super) fn take_doubtful(&self, number: u32) -> Option<Vec<PieceIndex>> {
        let mut desk = self.shared.desk();
        let account = desk.accounts.get_mut(&number)?;
        if !std::mem::take(&mut account.failed) {
            return None;
        }
        let doubtful = std::mem::take(&mut account.unsettled);
        Some(doubtful.iter().map(PieceIndex).collect())
    }

    /// The state of a torrent cannot be kept: says so, once a session.
    pub(super) fn cannot_keep(&self, member: &Member, error: &StateError) {
        self.shared.cannot_keep(member, error);
    }

    /// Commits, says how every file was left, and ends. Blocks.
    pub(super) fn end(&self) {
        self.finish(Phase::Ending);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // A thread that panicked has said so; there is nothing to add.
            let _ = thread.join();
        }
    }

    /// The thread commits once more and ends by itself.
    pub(super) fn abandon(&self) {
        self.finish(Phase::Abandoned);
    }

    fn finish(&self, phase: Phase) {
        let mut desk = self.shared.desk();
        if desk.phase == Phase::Running {
            desk.phase = phase;
        }
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let (batch, tasks, phase) = self.wait();
            self.commit(batch);
            tasks.into_iter().for_each(|task| task());
            if phase == Phase::Running {
                continue;
            }
            if phase == Phase::Ending {
                self.close();
            }
            let mut desk = self.desk();
            desk.phase = Phase::Ended;
            // Whoever waits for them must not wait for ever.
            let tasks = std::mem::take(&mut desk.tasks);
            drop(desk);
            drop(tasks);
            return;
        }
    }

    /// Until there is something to commit and it is time.
    fn wait(&self) -> (Batch, Vec<Task>, Phase) {
        let mut desk = self.desk();
        loop {
            let wait = desk.pending.wait(clock::now());
            let due = wait.is_some_and(|wait| wait.is_zero());
            if due || desk.hurry || desk.phase != Phase::Running {
                desk.hurry = false;
                let tasks = std::mem::take(&mut desk.tasks);
                return (desk.pending.take(), tasks, desk.phase);
            }
            desk = match wait {
                Some(wait) => {
                    let waited = self.wake.wait_timeout(desk, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.wake.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn commit(&self, batch: Batch) {
        let mut closed = Vec::new();
        let (synced, failed) = batch.sync(|torrent, pieces| {
            let Some(member) = self.member(torrent) else {
                // It has left, and nobody has synced what it wrote.
                return Err(None);
            };
            let synced = member.content.sync().and_then(|()| {
                let whole = self.whole_files(torrent, pieces);
                closed.extend(seal(&member, torrent, &whole)?);
                Ok(())
            });
            synced.map_err(Some)
        });
        for (torrent, _, error) in failed {
            if let Some(error) = error {
                self.fail(torrent, &error);
            }
        }
        let mut records = synced.records();
        records.append(&mut closed);
        records.retain(|record| record.torrent() < UNRECORDED);
        let some = synced.iter().find_map(|(torrent, _)| self.member(torrent));
        if let Some(member) = some {
            self.write(&member, &records);
        }
        for (torrent, pieces) in synced.iter() {
            self.settle(torrent, pieces, &records);
        }
    }

    fn member(&self, torrent: u32) -> Option<Arc<Member>> {
        let desk = self.desk();
        let account = desk.accounts.get(&torrent)?;
        Some(Arc::clone(&account.member))
    }

    /// Files of which `pieces` are the last that were missing.
    fn whole_files(&self, torrent: u32, pieces: &IndexSet) -> Vec<FileIndex> {
        let desk = self.desk();
        let Some(account) = desk.accounts.get(&torrent) else {
            return Vec::new();
        };
        let mut left: BTreeMap<FileIndex, u32> = BTreeMap::new();
        for (file, _) in files_of(account, pieces) {
            let missing = account.missing.get(file.0 as usize).copied().unwrap_or(0);
            let left = left.entry(file).or_insert(missing);
            *left = left.saturating_sub(1);
        }
        let is_whole = |(file, left): (FileIndex, u32)| (left == 0).then_some(file);
        left.into_iter().filter_map(is_whole).collect()
    }

    /// These pieces are durable.
    fn settle(&self, torrent: u32, pieces: &IndexSet, records: &[Record]) {
        let mut desk = self.desk();
        let Some(account) = desk.accounts.get_mut(&torrent) else {
            return;
        };
        let touched: Vec<FileIndex> = files_of(account, pieces).map(|(file, _)| file).collect();
        for file in touched {
            if let Some(missing) = account.missing.get_mut(file.0 as usize) {
                *missing = missing.saturating_sub(1);
            }
        }
        for record in records {
            if let Record::Closed {
                torrent: of, file, ..
            } = record
                && *of == torrent
            {
                account.open.remove(*file);
            }
        }
        for piece in pieces.iter() {
            account.unsettled.remove(piece);
            account.proven.insert(piece);
        }
        if account.unsettled.is_empty() {
            account.member.changed.notify_waiters();
        }
    }

    /// What was written since the last good sync cannot be relied on.
    fn fail(&self, torrent: u32, error: &DiskError) {
        let member = {
            let mut desk = self.desk();
            desk.pending.drop_torrent(torrent);
            desk.accounts.get_mut(&torrent).map(|account| {
                account.failed = true;
                Arc::clone(&account.member)
            })
        };
        if let Some(member) = member {
            member.disk_failed(error);
        }
    }

    fn write(&self, member: &Member, records: &[Record]) {
        if let Some(store) = &self.store
            && let Err(error) = store.write(records)
        {
            self.cannot_keep(member, &error);
        }
    }

    /// The data is safe without its record; what is lost is that a restart knows it.
    fn cannot_keep(&self, member: &Member, error: &StateError) {
        if std::mem::replace(&mut self.desk().warned, true) {
            return;
        }
        let message = format!(
            "{error}; the work goes on, and what is done is hashed again after a restart ({})",
            error.hint()
        );
        let kind = "state";
        self.events
            .send(member.info_hash, EventKind::Warning { kind, message });
    }

    /// How every file was left, and that nothing is under way.
    fn close(&self) {
        let accounts = std::mem::take(&mut self.desk().accounts);
        let Some(store) = &self.store else {
            return;
        };
        let mut records = Vec::new();
        let mut clean = true;
        for (torrent, account) in accounts
            .iter()
            .filter(|(torrent, _)| **torrent < UNRECORDED)
        {
            let open: Vec<FileIndex> = account.open.iter().map(FileIndex).collect();
            if account.failed || !account.unsettled.is_empty() {
                clean = false;
                continue;
            }
            match account
                .member
                .content
                .sync()
                .and_then(|()| seal(&account.member, *torrent, &open))
            {
                Ok(closed) => records.extend(closed),
                Err(error) => {
                    tracing::warn!(torrent = %account.member.info_hash, %error, "cannot sync at the end");
                    clean = false;
                }
            }
        }
        let written = store.write(&records);
        let closed = if clean {
            written.and_then(|()| store.close())
        } else {
            written
        };
        if let Err(error) = closed {
            tracing::warn!(%error, "cannot save the state");
        }
    }
}

/// Each file that a piece of the set touches, once for each piece.
fn files_of<'a>(
    account: &'a Account,
    pieces: &'a IndexSet,
) -> impl Iterator<Item = (FileIndex, u32)> + 'a {
    let layout = &account.member.layout;
    pieces.iter().flat_map(move |piece| {
        layout
            .piece_extents(PieceIndex(piece))
            .filter(|extent| !layout.is_pad(extent.file))
            .map(move |extent| (extent.file, piece))
    })
}

fn seal(member: &Member, torrent: u32, files: &[FileIndex]) -> Result<Vec<Record>, DiskError> {
    let closed = |(file, look): (FileIndex, Look)| Record::Closed {
        torrent,
        file: file.0,
        stamp: stamp(look),
    };
    Ok(member
        .content
        .seal(files)?
        .into_iter()
        .map(closed)
        .collect())
}

pub(super) fn stamp(look: Look) -> Stamp {
    Stamp {
        size: look.size,
        seconds: look.seconds,
        nanos: look.nanos,
    }
}
