//! The disk's queue and its memory budget: every piece and task is done once, whoever waits for room gets it, and the
//! threads end.

#[path = "../../crates/bt-client/src/disk/budget.rs"]
mod budget;
#[path = "../../crates/bt-client/src/disk/pool.rs"]
mod pool;

mod sync {
    pub(super) use crate::sync::{
        AtomicBool, AtomicU64, AtomicUsize, Condvar, Instant, JoinHandle, Mutex, MutexGuard,
        Notify, Ordering, thread,
    };

    thread_local! {
        /// How many hash, and how many only read.
        pub(super) static ROLES: std::cell::Cell<(usize, usize)> = const { std::cell::Cell::new((2, 0)) };
    }

    pub(super) fn hashers() -> usize {
        ROLES.get().0
    }

    pub(super) fn readers() -> usize {
        ROLES.get().1
    }
}

mod assembly {
    pub(super) struct WholePiece(pub(super) usize);

    impl WholePiece {
        pub(super) fn memory(&self) -> usize {
            1
        }
    }
}

mod files {
    pub(super) struct Files;

    impl Files {
        pub(super) fn new() -> Self {
            Self
        }
    }
}

mod root {
    use super::DiskError;

    pub(super) struct Root;

    impl Root {
        pub(super) fn open(_: &std::path::Path, _: bool) -> Result<Self, DiskError> {
            Ok(Self)
        }

        pub(super) fn is_unchanged(&self) -> bool {
            true
        }
    }
}

/// Marks pieces as done, and gives their memory back.
mod worker {
    use super::pool::{Shared, Waiting};
    use super::sync::Ordering;

    pub(super) fn verify(_: &Shared, waiting: Vec<Waiting>) {
        for waiting in waiting {
            let Waiting {
                content,
                whole,
                held,
                ..
            } = waiting;
            if content.panics {
                crate::contain::panic_as_planned();
            }
            drop(held);
            content.done[whole.0].fetch_add(1, Ordering::Relaxed);
            content.news.notify_one();
        }
    }
}

#[derive(Debug)]
pub struct DiskError {
    pub(crate) is_passing: bool,
}

impl DiskError {
    pub(crate) fn is_passing(&self) -> bool {
        self.is_passing
    }
}

impl std::fmt::Display for DiskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the disk has failed")
    }
}

/// What a file looks like; nobody looks here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    pub(crate) size: u64,
    pub(crate) seconds: i64,
    pub(crate) nanos: u32,
}

/// How often each piece was verified.
pub struct Content {
    done: [sync::AtomicUsize; 2],
    news: sync::Notify,
    /// The work on its pieces does.
    panics: bool,
    breaks: sync::AtomicUsize,
}

impl Content {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            done: [0, 0].map(sync::AtomicUsize::new),
            news: sync::Notify::new(),
            panics: false,
            breaks: sync::AtomicUsize::new(0),
        })
    }

    fn that_panics() -> Arc<Self> {
        let mut content = Self::new();
        let own = Arc::get_mut(&mut content).expect("nobody else has it");
        own.panics = true;
        content
    }

    fn breaks(&self, _: &crate::contain::Bug) {
        self.breaks.fetch_add(1, Ordering::Relaxed);
        self.news.notify_one();
    }

    fn held(&self) -> usize {
        0
    }

    fn times(&self) -> [usize; 2] {
        [0, 1].map(|at: usize| self.done[at].load(Ordering::Relaxed))
    }
}

use std::sync::Arc;

use loom::future::block_on;

use crate::sync::{Ordering, check, check_within, thread};
use assembly::WholePiece;
use budget::Budget;
use pool::Disk;

#[test]
fn whoever_waits_for_room_gets_it() {
    check("budget", || {
        let budget = Arc::new(Budget::new(2));
        budget.take(2);
        let others = [1, 1].map(|bytes| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.give_back(bytes))
        });
        block_on(budget.wait());
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn two_who_wait_for_room_both_get_it() {
    check("budget, two wait", || {
        let budget = Arc::new(Budget::new(1));
        budget.take(1);
        let waiting = [(); 2].map(|()| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || {
                block_on(budget.wait());
                // Each may go over by one read, and gives it back.
                budget.take(1);
                budget.give_back(1);
            })
        });
        budget.give_back(1);
        for other in waiting {
            other.join().unwrap();
        }
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn whoever_waits_for_whole_pieces_to_leave_goes_on() {
    check("budget, whole pieces", || {
        let budget = Arc::new(Budget::new(8));
        budget.take(3);
        budget.became_whole(3);
        let others = [1, 2].map(|bytes| {
            let budget = Arc::clone(&budget);
            thread::spawn(move || budget.give_back_whole(bytes))
        });
        block_on(budget.wait());
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn what_is_queued_before_the_stop_is_done_once_and_the_threads_end() {
    // Two that take everything meet each other; one of them meets one that leaves pieces alone.
    for (name, roles) in [("pool, stop", (2, 0)), ("pool, stop, reader", (1, 1))] {
        check(name, move || queue_and_stop(roles));
    }
}

fn queue_and_stop(roles: (usize, usize)) {
    sync::ROLES.set(roles);
    let disk = Disk::start(100).unwrap();
    let content = Content::new();
    let tasks = Arc::new(sync::AtomicUsize::new(0));
    disk.budget().take(1);
    disk.shared().push(&content, vec![WholePiece(0)]);
    let done = Arc::clone(&tasks);
    disk.shared().run(move || {
        done.fetch_add(1, Ordering::Relaxed);
    });
    disk.stop();
    assert_eq!(content.times(), [1, 0]);
    assert_eq!(tasks.load(Ordering::Relaxed), 1);
    assert_eq!(disk.budget().used(), 0);
}

#[test]
fn a_piece_is_verified_without_a_stop_and_its_memory_comes_back() {
    check_within(1, "pool, piece", || {
        sync::ROLES.set((1, 1));
        let disk = Disk::start(1).unwrap();
        let content = Content::new();
        disk.budget().take(1);
        disk.shared().push(&content, vec![WholePiece(0)]);
        // The thread that verifies it may be asleep, about to sleep, or lingering.
        block_on(disk.budget().wait());
        block_on(content.news.notified());
        assert_eq!(content.times(), [1, 0]);
        disk.stop();
    });
}

#[test]
fn a_lingering_piece_is_verified_when_its_time_has_come() {
    check_within(1, "pool, linger", || {
        sync::ROLES.set((1, 1));
        let disk = Disk::start(100).unwrap();
        let content = Content::new();
        disk.budget().take(1);
        disk.shared().push(&content, vec![WholePiece(0)]);
        block_on(content.news.notified());
        assert_eq!(content.times(), [1, 0]);
        disk.stop();
    });
}

#[test]
fn a_panic_in_the_work_on_a_piece_or_in_a_task_takes_no_thread_and_no_memory() {
    check_within(1, "pool, panic", || {
        sync::ROLES.set((1, 1));
        let disk = Disk::start(100).unwrap();
        let (broken, sound) = (Content::that_panics(), Content::new());
        disk.budget().take(2);
        disk.shared().run(|| crate::contain::panic_as_planned());
        disk.shared().push(&broken, vec![WholePiece(0)]);
        // In a batch of its own: the next one is left when that is done.
        block_on(broken.news.notified());
        disk.shared().push(&sound, vec![WholePiece(0)]);
        disk.stop();
        assert_eq!(broken.breaks.load(Ordering::Relaxed), 1);
        assert_eq!((sound.times(), disk.budget().used()), ([1, 0], 0));
    });
}
