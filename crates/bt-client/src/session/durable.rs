//! Pieces become durable here: one thread that syncs data, records what was synced, and only then says so.
//!
//! The order is the promise: data is synced, then recorded, then the record is synced, then whoever waits is told. A
//! sync that fails is final for what it covered: nothing of that is recorded, and the torrent stops. After a bug of ours
//! in the work for one torrent nothing more is recorded of that one; after any other, nothing of any.

use std::sync::{Arc, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex};
use bt_wire::Bitfield;

use super::account::{Account, Doubtful, Judged, Standing};
use super::clock;
use super::desk::{Desk, Phase, Task, Turn};
use super::events::{EventKind, Events};
use super::member::Member;
use super::records;
use super::sync::{Condvar, JoinHandle, Mutex, MutexGuard, mpsc, thread};
use crate::contain::{Bug, Bugs};
use crate::disk::DiskError;
use crate::state::knowledge::{Batch, IndexSet, Record, spans};
use crate::state::{StateError, Store};

/// Torrents that are not in the journal have numbers from here on.
pub(super) const UNRECORDED: u32 = 1 << 31;

struct Shared {
    store: Option<Store>,
    events: Arc<Events>,
    bugs: Arc<Bugs>,
    desk: Mutex<Desk>,
    wake: Condvar,
}

/// See the module.
pub(super) struct Durable {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Durable {
    pub(super) fn start(
        store: Option<Store>,
        events: Arc<Events>,
        bugs: Arc<Bugs>,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            store,
            events,
            bugs,
            desk: Mutex::new(Desk::default()),
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
        let account = Account::new(member, proven, open);
        let mut desk = self.shared.desk();
        let number = number.unwrap_or_else(|| {
            desk.next_unrecorded = desk.next_unrecorded.wrapping_add(1).max(UNRECORDED);
            desk.next_unrecorded
        });
        let number = *member.number.get_or_init(|| number);
        desk.accounts.insert(number, account);
    }

    /// A torrent has left; what was committed of it stays. Another one that has its number by now is left alone.
    pub(super) fn leave(&self, member: &Arc<Member>, number: u32) {
        let mut desk = self.shared.desk();
        let account = desk.accounts.get(&number);
        if account.is_some_and(|account| Arc::ptr_eq(&account.member, member)) {
            desk.pending.drop_torrent(number);
            desk.accounts.remove(&number);
        }
    }

    /// The settings of a torrent cannot be kept: nothing is recorded of it any more in this run.
    pub(super) fn mute(&self, number: u32) {
        let mut desk = self.shared.desk();
        if let Some(account) = desk.accounts.get_mut(&number) {
            account.muted = true;
        }
    }

    /// A bug of ours was met in the work of a torrent: what is not settled of it is in doubt, and nothing is recorded of it
    /// any more.
    pub(super) fn breaks(&self, number: u32) {
        self.shared.suspect(number);
        self.mute(number);
    }

    /// Nothing is recorded any more, since a bug of ours was met where no torrent alone was at work.
    pub(super) fn has_broken_down(&self) -> bool {
        self.shared.desk().is_broken
    }

    /// A piece verified and is written.
    pub(super) fn note(&self, number: u32, piece: PieceIndex, bytes: u64) {
        let mut desk = self.shared.desk();
        let Some(account) = desk.accounts.get_mut(&number) else {
            return;
        };
        if !account.note(piece.0) {
            return;
        }
        let now = clock::now();
        let first = desk.pending.wait(now).is_none();
        desk.pending.note(now, number, piece.0, bytes);
        if first || desk.pending.wait(now).is_some_and(|wait| wait.is_zero()) {
            self.shared.wake.notify_all();
        }
    }

    /// Whether all that was noted of a torrent would survive a power cut. One that has left promises nothing.
    pub(super) fn is_settled(&self, number: u32) -> bool {
        self.standing(number) == Standing::Settled
    }

    /// Where what was noted of a torrent stands.
    pub(super) fn standing(&self, number: u32) -> Standing {
        let desk = self.shared.desk();
        let account = desk.accounts.get(&number);
        account.map_or(Standing::Gone, Account::standing)
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
            account.open_files()
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
    /// them, and their files may be written from when this returns. If that can neither be recorded nor the journal be
    /// removed, the torrent has failed by then. Blocks; not to be called on the thread that commits.
    pub(super) fn forget(&self, member: &Member, number: u32, pieces: &IndexSet) {
        let (shared, of, lost) = (Arc::clone(&self.shared), number, pieces.clone());
        let (done, wait) = mpsc::channel();
        // What was noted before is recorded first, so that the record that takes it back stands behind it; and on that
        // thread, so that nothing of it is under way when what could not be synced yet is dropped.
        self.after_commit(move || {
            shared.forget(of, &lost);
            let _ = done.send(());
        });
        if wait.recv().is_err() {
            // The thread has ended, and records nothing any more.
            self.shared.forget(number, pieces);
        }
        self.open(member, number, false);
    }

    /// What is not settled of a torrent is in doubt from now on.
    pub(super) fn suspect(&self, number: u32) {
        self.shared.suspect(number);
    }

    /// These files are not the ones that were written to: nothing that was proven of them holds. When it returns, the
    /// journal does not say so either. Blocks; to be called on the thread that commits, so that no record of them is
    /// under way.
    pub(super) fn disown(&self, number: u32, files: &[FileIndex]) {
        self.shared.disown(number, files);
    }

    /// Takes the pieces that are in doubt, to read them from the disk. They are not settled before [`Durable::judge`]
    /// says so.
    pub(super) fn take_doubtful(&self, number: u32) -> Doubtful {
        let mut desk = self.shared.desk();
        desk.rechecks += 1;
        let recheck = desk.rechecks;
        let Some(account) = desk.accounts.get_mut(&number) else {
            return Doubtful::Nothing;
        };
        account.take_doubtful(recheck)
    }

    /// The verdicts on what [`Durable::take_doubtful`] gave for `recheck`, all so far.
    pub(super) fn judge(
        &self,
        number: u32,
        recheck: u64,
        good: &IndexSet,
        lost: &IndexSet,
    ) -> Judged {
        let mut desk = self.shared.desk();
        let desk = &mut *desk;
        let Some(account) = desk.accounts.get_mut(&number) else {
            return Judged::Overtaken;
        };
        let judged = account.judge(recheck, good, lost);
        if !matches!(judged, Judged::Settled) {
            return judged;
        }
        let now = clock::now();
        for piece in account.unsettled.iter() {
            let bytes = account.member.layout.piece_size(PieceIndex(piece));
            desk.pending.note(now, number, piece, u64::from(bytes));
        }
        self.shared.wake.notify_all();
        Judged::Settled
    }

    /// What was in doubt could not be read either.
    pub(super) fn give_up(&self, number: u32, recheck: u64) {
        let mut desk = self.shared.desk();
        if let Some(account) = desk.accounts.get_mut(&number) {
            account.give_up(recheck);
        }
    }

    /// Whatever was noted of a torrent and is not settled means nothing: all of it is looked at anew. Says whether some
    /// of it was in doubt.
    pub(super) fn begin_anew(&self, number: u32) -> bool {
        let mut desk = self.shared.desk();
        let Some(account) = desk.accounts.get_mut(&number) else {
            return false;
        };
        let was_in_doubt = account.begin_anew();
        desk.pending.drop_torrent(number);
        was_in_doubt
    }

    /// Pieces of a torrent that are proven.
    pub(super) fn proven(&self, number: u32) -> IndexSet {
        let desk = self.shared.desk();
        let account = desk.accounts.get(&number);
        account
            .map(|account| account.proven.clone())
            .unwrap_or_default()
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
            // A bug that ends it has been told.
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
            match self.bugs.catch(|| self.turn()).flatten() {
                Ok(Phase::Running) => {}
                Ok(_) => return self.ends(),
                Err(bug) => return self.breaks(&bug),
            }
        }
    }

    /// Commits once, and gives what is to come then.
    fn turn(&self) -> Result<Phase, Bug> {
        let (batch, tasks, phase) = self.wait();
        if let Err(bug) = self.bugs.catch(|| self.commit(batch)) {
            // Whoever waits for a task is answered when it is known that nothing is safe, and not by the unwinding.
            self.desk().tasks.extend(tasks);
            return Err(bug);
        }
        for task in tasks {
            // Each is of one torrent, which sees to itself; whoever waits for it is answered by its end.
            drop(self.bugs.catch(task));
        }
        if phase == Phase::Ending {
            self.close();
        }
        Ok(phase)
    }

    fn ends(&self) {
        let mut desk = self.desk();
        desk.phase = Phase::Ended;
        // Whoever waits for them must not wait for ever.
        let tasks = std::mem::take(&mut desk.tasks);
        drop(desk);
        drop(tasks);
    }

    /// What is known of all torrents may be half changed: none of it is recorded, or told to be safe, from here on.
    fn breaks(&self, bug: &Bug) {
        let accounts = {
            let mut desk = self.desk();
            desk.is_broken = true;
            std::mem::take(&mut desk.accounts)
        };
        self.ends();
        for account in accounts.values() {
            account.member.breaks(bug);
        }
    }

    /// Until there is something to commit and it is time.
    fn wait(&self) -> (Batch, Vec<Task>, Phase) {
        let mut desk = self.desk();
        loop {
            desk = match desk.turn(clock::now()) {
                Turn::Now => {
                    desk.hurry = false;
                    let tasks = std::mem::take(&mut desk.tasks);
                    return (desk.pending.take(), tasks, desk.phase);
                }
                Turn::In(wait) => {
                    let waited = self.wake.wait_timeout(desk, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Turn::WhenCalled => self.wake.wait(desk).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn commit(&self, batch: Batch) {
        let mut closed = Vec::new();
        let (synced, failed) = batch.sync(|torrent, pieces| -> Result<(), Option<DiskError>> {
            let Some(member) = self.member(torrent) else {
                // It has left, and nobody has synced what it wrote.
                return Err(None);
            };
            let synced = self.bugs.catch(|| {
                #[cfg(test)]
                member.comes_by_sync();
                member.content.sync()?;
                let whole = self.whole_files(torrent, pieces);
                records::seal(&member, torrent, &whole, true)
            });
            match synced {
                Ok(synced) => {
                    closed.extend(synced.map_err(Some)?);
                    Ok(())
                }
                Err(bug) => {
                    member.breaks(&bug);
                    Err(None)
                }
            }
        });
        for (torrent, pieces, error) in failed {
            let Some(error) = error else {
                continue;
            };
            if error.is_passing() {
                self.put_back(torrent, &pieces);
            } else {
                self.fail(torrent, &error);
            }
        }
        let mut records = synced.records();
        records.append(&mut closed);
        records.retain(|record| self.is_recorded(record.torrent()));
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

    /// Whether the journal is to hear of a torrent. What of it one that has left was synced for, nobody knows.
    fn is_recorded(&self, torrent: u32) -> bool {
        let desk = self.desk();
        let account = desk.accounts.get(&torrent);
        torrent < UNRECORDED && account.is_some_and(|account| !account.muted)
    }

    /// Nothing is wrong with these pieces: the next commit tries again, when what it lacked may be there.
    fn put_back(&self, torrent: u32, pieces: &IndexSet) {
        self.desk().put_back(clock::now(), torrent, pieces);
    }

    /// Files of which `pieces` are the last that were missing.
    fn whole_files(&self, torrent: u32, pieces: &IndexSet) -> Vec<FileIndex> {
        let desk = self.desk();
        let account = desk.accounts.get(&torrent);
        account.map_or_else(Vec::new, |account| account.whole_files(pieces))
    }

    /// These pieces are durable.
    fn settle(&self, torrent: u32, pieces: &IndexSet, records: &[Record]) {
        let mut desk = self.desk();
        if let Some(account) = desk.accounts.get_mut(&torrent) {
            account.settle(torrent, pieces, records);
        }
    }

    /// What was written since the last good sync cannot be relied on.
    fn fail(&self, torrent: u32, error: &DiskError) {
        self.suspect(torrent);
        let Some(member) = self.member(torrent) else {
            return;
        };
        let gone = member.content.take_gone();
        if !gone.is_empty() {
            self.disown(torrent, &gone);
        }
        member.disk_failed(error);
    }

    fn suspect(&self, torrent: u32) {
        let mut desk = self.desk();
        desk.pending.drop_torrent(torrent);
        if let Some(account) = desk.accounts.get_mut(&torrent) {
            account.suspect();
        }
    }

    fn disown(&self, torrent: u32, files: &[FileIndex]) {
        let (member, lost) = {
            let mut desk = self.desk();
            desk.pending.drop_torrent(torrent);
            let Some(account) = desk.accounts.get_mut(&torrent) else {
                return;
            };
            let lost = account.disown(files);
            (Arc::clone(&account.member), lost)
        };
        if torrent < UNRECORDED {
            self.write(&member, &records::forgotten(torrent, &lost));
        }
    }

    fn forget(&self, torrent: u32, pieces: &IndexSet) {
        let member = {
            let mut desk = self.desk();
            let desk = &mut *desk;
            let Some(account) = desk.accounts.get_mut(&torrent) else {
                return;
            };
            account.drop_pieces(pieces);
            desk.pending.drop_pieces(torrent, pieces);
            Arc::clone(&account.member)
        };
        if torrent < UNRECORDED {
            self.write(&member, &records::forgotten(torrent, pieces));
        }
    }

    fn write(&self, member: &Member, records: &[Record]) {
        if let Some(store) = &self.store
            && let Err(error) = store.write(records)
        {
            self.cannot_keep(member, &error);
            let is_too_much = |number: &u32| store.overclaims(*number);
            if member.number.get().is_some_and(is_too_much) {
                member.cannot_take_back(&error);
            }
        }
    }

    /// The data is safe without its record; what is lost is that a restart knows it.
    fn cannot_keep(&self, member: &Member, error: &StateError) {
        if std::mem::replace(&mut self.desk().warned, true) {
            return;
        }
        let (kind, message) = ("state", records::trouble(error));
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
        let recorded = accounts.iter().filter(|(number, _)| **number < UNRECORDED);
        for (torrent, account) in recorded {
            match records::parting(*torrent, account, &self.bugs) {
                Some(closed) => records.extend(closed),
                None => clean = false,
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
