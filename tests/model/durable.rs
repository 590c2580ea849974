//! The thread that makes pieces durable: whoever waits for a commit is answered, what was noted before is recorded by
//! then, and the thread ends however it is told to.

#[path = "../../crates/bt-client/src/session/durable.rs"]
#[expect(
    clippy::module_inception,
    reason = "the file is called so where it belongs"
)]
mod durable;

#[path = "../../crates/bt-client/src/session/account.rs"]
mod account;

#[path = "../../crates/bt-client/src/session/desk.rs"]
mod desk;

#[path = "../../crates/bt-client/src/session/records.rs"]
mod records;

mod sync {
    pub(super) use crate::sync::{Condvar, JoinHandle, Mutex, MutexGuard, mpsc, thread};
}

mod clock {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);

    pub(super) fn now() -> Instant {
        *START + crate::sync::elapsed()
    }
}

mod events {
    pub(super) enum EventKind {
        Warning { kind: &'static str, message: String },
    }

    pub(super) struct Events;

    impl Events {
        pub(super) fn send(&self, _: u8, kind: EventKind) {
            let EventKind::Warning { message, .. } = kind;
            panic!("{message}");
        }
    }
}

/// A torrent of one file of four pieces.
mod member {
    use std::ops::Range;
    use std::sync::OnceLock;

    use bt_metainfo::{FileIndex, PieceIndex};

    use crate::disk::{DiskError, Look};
    use crate::sync::{AtomicUsize, Notify, Ordering};

    pub(super) struct Member {
        pub(super) layout: Layout,
        pub(super) content: Content,
        pub(super) number: OnceLock<u32>,
        pub(super) info_hash: u8,
        pub(super) changed: Notify,
        pub(super) failures: AtomicUsize,
        pub(super) breaks: AtomicUsize,
    }

    pub(super) struct Layout;

    pub(super) struct Extent {
        pub(super) file: FileIndex,
    }

    impl Layout {
        pub(super) fn files(&self) -> impl Iterator<Item = FileIndex> {
            [FileIndex(0)].into_iter()
        }

        pub(super) fn pieces_of_file(&self, _: FileIndex) -> Range<u32> {
            0..4
        }

        pub(super) fn piece_extents(&self, _: PieceIndex) -> impl Iterator<Item = Extent> {
            [Extent { file: FileIndex(0) }].into_iter()
        }

        pub(super) fn piece_size(&self, _: PieceIndex) -> u32 {
            1
        }

        pub(super) fn is_pad(&self, _: FileIndex) -> bool {
            false
        }
    }

    pub(super) struct Content {
        pub(super) syncs: AtomicUsize,
        pub(super) fails: bool,
        /// The next sync does.
        pub(super) panics: AtomicUsize,
        /// There are no descriptors for so many syncs.
        pub(super) lacks: AtomicUsize,
    }

    impl Content {
        pub(super) fn sync(&self) -> Result<(), DiskError> {
            if self.panics.swap(0, Ordering::Relaxed) > 0 {
                crate::contain::panic_as_planned();
            }
            if self.fails {
                return Err(DiskError { is_passing: false });
            }
            let lacks = self.lacks.load(Ordering::Relaxed);
            if lacks > 0 {
                self.lacks.store(lacks - 1, Ordering::Relaxed);
                return Err(DiskError { is_passing: true });
            }
            self.syncs.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }

        pub(super) fn seal(
            &self,
            files: &[FileIndex],
            _: bool,
        ) -> Result<Vec<(FileIndex, Look)>, DiskError> {
            self.sync()?;
            let look = Look {
                size: 0,
                seconds: 0,
                nanos: 0,
            };
            Ok(files.iter().map(|file| (*file, look)).collect())
        }
    }

    impl Content {
        pub(super) fn take_gone(&self) -> Vec<FileIndex> {
            Vec::new()
        }
    }

    impl Member {
        pub(super) fn comes_by_sync(&self) {}

        pub(super) fn breaks(&self, _: &crate::contain::Bug) {
            self.breaks.fetch_add(1, Ordering::Relaxed);
        }

        pub(super) fn cannot_take_back(&self, _: &super::stand_in::StateError) {
            panic!("all can be recorded");
        }

        pub(super) fn disk_failed(&self, _: &DiskError) {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A journal in memory.
pub(crate) mod stand_in {
    use std::sync::{Arc, PoisonError};

    use crate::state::knowledge::Record;
    use crate::sync::{AtomicUsize, Mutex, Ordering};

    #[derive(Debug)]
    pub(crate) struct StateError;

    impl std::fmt::Display for StateError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the journal has failed")
        }
    }

    impl StateError {
        pub(crate) fn hint(&self) -> &'static str {
            "none"
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Store {
        pub(crate) records: Arc<Mutex<Vec<Record>>>,
        /// The next write panics.
        pub(crate) panics: Arc<AtomicUsize>,
    }

    impl Store {
        pub(crate) fn new() -> Self {
            Self {
                records: Arc::new(Mutex::new(Vec::new())),
                panics: Arc::new(AtomicUsize::new(0)),
            }
        }

        pub(crate) fn write(&self, records: &[Record]) -> Result<(), StateError> {
            if self.panics.swap(0, Ordering::Relaxed) > 0 {
                crate::contain::panic_as_planned();
            }
            self.records
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(records.iter().cloned());
            Ok(())
        }

        pub(crate) fn overclaims(&self, _: u32) -> bool {
            false
        }

        pub(crate) fn close(&self) -> Result<(), StateError> {
            self.write(&[Record::CleanStop])
        }
    }
}

use std::sync::Arc;

use bt_metainfo::PieceIndex;
use bt_wire::Bitfield;
use loom::future::block_on;

use crate::state::knowledge::{IndexSet, Record};
use crate::sync::{AtomicUsize, Notify, Ordering, check, check_within, thread};
use durable::Durable;
use member::{Content, Layout, Member};
use stand_in::Store;

fn member(fails: bool) -> Arc<Member> {
    Arc::new(Member {
        layout: Layout,
        content: Content {
            syncs: AtomicUsize::new(0),
            fails,
            panics: AtomicUsize::new(0),
            lacks: AtomicUsize::new(0),
        },
        number: std::sync::OnceLock::new(),
        info_hash: 0,
        changed: Notify::new(),
        failures: AtomicUsize::new(0),
        breaks: AtomicUsize::new(0),
    })
}

/// A thread that commits, its journal, and a torrent of which nothing is proven.
fn begin(fails: bool) -> (Arc<Durable>, Store, Arc<Member>) {
    let store = Store::new();
    let (events, bugs) = (Arc::new(events::Events), Arc::default());
    let durable = Durable::start(Some(store.clone()), events, bugs).unwrap();
    let member = member(fails);
    durable.enter(&member, Some(1), &Bitfield::new(4), IndexSet::default());
    (Arc::new(durable), store, member)
}

fn has_verified(store: &Store) -> bool {
    let records = store.records.lock().unwrap();
    let verified = |record: &Record| matches!(record, Record::Verified { torrent: 1, .. });
    records.iter().any(verified)
}

fn ended_well(store: &Store) -> bool {
    let records = store.records.lock().unwrap();
    matches!(records.last(), Some(Record::CleanStop))
}

#[test]
fn a_commit_is_answered_after_what_was_noted_is_recorded() {
    check("durable, commit", || {
        let (durable, store, member) = begin(false);
        durable.note(1, PieceIndex(0), 1);
        durable.commit();
        assert!(has_verified(&store));
        assert!(durable.is_settled(1));
        assert!(member.content.syncs.load(Ordering::Relaxed) > 0);
        durable.end();
        assert!(ended_well(&store));
    });
}

#[test]
fn what_is_noted_is_recorded_in_time_without_being_asked_for() {
    check("durable, timer", || {
        let (durable, store, member) = begin(false);
        durable.note(1, PieceIndex(0), 1);
        while !durable.is_settled(1) {
            let mut changed = std::pin::pin!(member.changed.notified());
            if !changed.as_mut().enable() && !durable.is_settled(1) {
                block_on(changed);
            }
        }
        assert!(has_verified(&store));
        durable.end();
    });
}

#[test]
fn whoever_asks_for_a_commit_while_the_session_ends_is_answered() {
    check("durable, end", || {
        let (durable, store, _member) = begin(false);
        durable.note(1, PieceIndex(0), 1);
        let other = {
            let durable = Arc::clone(&durable);
            // An answer that is lost is a deadlock, which loom reports.
            thread::spawn(move || durable.commit())
        };
        durable.end();
        other.join().unwrap();
        assert!(has_verified(&store));
        assert!(ended_well(&store));
    });
}

#[test]
fn a_journal_that_says_it_is_complete_says_so_last_and_is() {
    check("durable, note at the end", || {
        let (durable, store, _member) = begin(false);
        let other = {
            let durable = Arc::clone(&durable);
            thread::spawn(move || {
                durable.note(1, PieceIndex(0), 1);
                // Without an account there was nothing to settle.
                durable.standing(1) == account::Standing::Waiting
            })
        };
        durable.end();
        let was_noted = other.join().unwrap();
        let records = store.records.lock().unwrap();
        let stop = |record: &Record| matches!(record, Record::CleanStop);
        let ends = records.iter().position(stop);
        assert!(ends.is_none_or(|at| at + 1 == records.len()));
        drop(records);
        if was_noted && ended_well(&store) {
            assert!(has_verified(&store), "complete without what was noted");
        }
    });
}

#[test]
fn whoever_asks_for_a_commit_while_the_thread_is_abandoned_is_answered() {
    check("durable, abandon", || {
        let (durable, store, _member) = begin(false);
        durable.note(1, PieceIndex(0), 1);
        let other = {
            let durable = Arc::clone(&durable);
            thread::spawn(move || durable.commit())
        };
        durable.abandon();
        other.join().unwrap();
        durable.end();
        assert!(has_verified(&store));
        assert!(!ended_well(&store));
    });
}

#[test]
fn what_is_in_doubt_is_settled_by_nobody_but_whoever_reads_it_back() {
    check("durable, doubt", || {
        let (durable, _store, _member) = begin(true);
        durable.note(1, PieceIndex(0), 1);
        durable.commit();
        let account::Doubtful::Pieces(recheck, pieces) = durable.take_doubtful(1) else {
            panic!("a sync has failed");
        };
        assert_eq!(pieces, [PieceIndex(0)]);
        // Who resumes it a second time meanwhile, or waits for it to be safe, is not told that all is well.
        let other = {
            let durable = Arc::clone(&durable);
            thread::spawn(move || {
                assert!(matches!(
                    durable.take_doubtful(1),
                    account::Doubtful::UnderWay
                ));
                durable.note(1, PieceIndex(1), 1);
                durable.is_settled(1)
            })
        };
        assert!(!other.join().unwrap());
        let good = |pieces: &[u32]| pieces.iter().copied().collect::<IndexSet>();
        let none = IndexSet::default();
        let judged = durable.judge(1, recheck, &good(&[0]), &none);
        assert!(matches!(judged, account::Judged::More(more) if more == [PieceIndex(1)]));
        let judged = durable.judge(1, recheck, &good(&[0, 1]), &none);
        assert!(matches!(judged, account::Judged::Settled));
        assert!(!durable.is_settled(1), "a commit settles them");
        durable.abandon();
        durable.end();
    });
}

#[test]
fn a_sync_that_fails_settles_nothing_and_is_answered() {
    check("durable, failed sync", || {
        let (durable, store, member) = begin(true);
        durable.note(1, PieceIndex(0), 1);
        let other = {
            let durable = Arc::clone(&durable);
            thread::spawn(move || durable.note(1, PieceIndex(1), 1))
        };
        durable.commit();
        assert!(!durable.is_settled(1));
        other.join().unwrap();
        durable.end();
        assert!(member.failures.load(Ordering::Relaxed) > 0);
        assert!(!has_verified(&store));
        assert!(!ended_well(&store));
    });
}

#[test]
fn what_is_forgotten_while_there_are_no_descriptors_is_not_recorded_later() {
    check_within(1, "durable, forget without descriptors", || {
        let (durable, store, member) = begin(false);
        member.content.lacks.store(1, Ordering::Relaxed);
        durable.note(1, PieceIndex(0), 1);
        let other = {
            let durable = Arc::clone(&durable);
            thread::spawn(move || durable.commit())
        };
        durable.forget(&member, 1, &[0].into_iter().collect());
        other.join().unwrap();
        durable.end();
        let records = store.records.lock().unwrap();
        let at = |is_it: &dyn Fn(&Record) -> bool| records.iter().rposition(is_it);
        let verified = at(&|record| matches!(record, Record::Verified { .. }));
        let forgotten = at(&|record| matches!(record, Record::Forgotten { .. }));
        assert!(forgotten.is_some() && verified < forgotten, "{records:?}");
    });
}

#[test]
fn a_sync_that_panics_stops_its_torrent_and_whoever_waits_is_answered() {
    check("durable, sync that panics", || {
        let (durable, store, broken) = begin(false);
        let other = member(false);
        durable.enter(&other, Some(2), &Bitfield::new(4), IndexSet::default());
        broken.content.panics.store(1, Ordering::Relaxed);
        durable.note(1, PieceIndex(0), 1);
        durable.note(2, PieceIndex(0), 1);
        durable.commit();
        assert_eq!(broken.breaks.load(Ordering::Relaxed), 1);
        assert!(!has_verified(&store) && !durable.is_settled(1));
        assert_eq!(other.breaks.load(Ordering::Relaxed), 0);
        assert!(durable.is_settled(2), "the thread goes on");
        durable.abandon();
        durable.end();
    });
}

#[test]
fn after_a_task_that_panics_the_next_one_is_done() {
    check("durable, task that panics", || {
        let (durable, store, member) = begin(false);
        durable.after_commit(|| crate::contain::panic_as_planned());
        durable.note(1, PieceIndex(0), 1);
        durable.commit();
        assert!(has_verified(&store) && durable.is_settled(1));
        assert_eq!(
            member.breaks.load(Ordering::Relaxed),
            0,
            "it sees to itself"
        );
        durable.end();
        assert!(ended_well(&store));
    });
}

#[test]
fn a_journal_that_panics_ends_the_thread_acknowledges_nothing_and_answers_all() {
    check("durable, journal that panics", || {
        let (durable, store, member) = begin(false);
        store.panics.store(1, Ordering::Relaxed);
        durable.note(1, PieceIndex(0), 1);
        let other = {
            let durable = Arc::clone(&durable);
            // An answer that is lost is a deadlock, which loom reports.
            thread::spawn(move || durable.commit())
        };
        durable.commit();
        other.join().unwrap();
        assert!(!durable.is_settled(1));
        durable.end();
        assert!(durable.has_broken_down());
        assert_eq!(member.breaks.load(Ordering::Relaxed), 1);
        assert!(!has_verified(&store) && !ended_well(&store));
    });
}
