//! The disk's threads and their queue.
//!
//! Whole pieces wait a moment for company, because the machine hashes several at once at little more than the cost of
//! one; everything else runs in order of arrival, before them. Pieces that have waited take turns with the rest: reads
//! for many peers of a slow disk never end, and memory is free again only when pieces are done.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bt_metainfo::lanes;

use super::assembly::WholePiece;
use super::budget::Budget;
use super::files::Files;
use super::root::Root;
use super::sync::{
    AtomicBool, AtomicU64, Condvar, Instant, JoinHandle, Mutex, MutexGuard, Ordering, hashers,
    readers, thread,
};
use super::{Content, DiskError, worker};
use crate::contain::Bugs;

/// How long a whole piece may wait for others to be hashed with. Far below what a swarm notices, far above what a
/// fast peer takes to complete the next piece.
const LINGER: Duration = Duration::from_millis(8);

/// Pieces that one thread takes at once, as a multiple of the lanes: with several rounds in hand a lane that ends
/// early finds more work.
const BATCH_PER_LANE: usize = 2;

/// A piece in the queue.
pub(super) struct Waiting {
    pub(super) content: Arc<Content>,
    pub(super) whole: WholePiece,
    since: Instant,
    pub(super) held: Held,
}

/// The memory of a whole piece, which is given back when this is dropped, whatever ends the work on the piece.
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.give_back_whole(self.bytes);
    }
}

type Task = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    pieces: VecDeque<Waiting>,
    tasks: VecDeque<Task>,
    /// The last that a thread took was a task.
    after_task: bool,
    closing: bool,
}

/// What a thread takes from the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Everything; there is one for each core, since hashing needs one.
    Hasher,
    /// Tasks alone, which sleep while the disk turns.
    Reader,
}

pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Hashers wait here.
    wake: Condvar,
    /// Readers wait here.
    wake_reader: Condvar,
    pub(super) budget: Arc<Budget>,
    pub(super) files: Files,
    roots: Mutex<HashMap<PathBuf, Weak<Root>>>,
    next_id: AtomicU64,
    contents: Mutex<Vec<Weak<Content>>>,
    relieving: AtomicBool,
    pub(super) bugs: Arc<Bugs>,
}

/// The threads, the memory budget and the open files of a session's disk.
pub struct Disk {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk")
            .field("budget", &self.shared.budget)
            .finish_non_exhaustive()
    }
}

impl Disk {
    /// Starts one thread a core, and a few that only read; pieces under way may hold `memory` bytes.
    ///
    /// # Errors
    /// If the system gives us no thread.
    pub fn start(memory: usize) -> Result<Self, std::io::Error> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            wake_reader: Condvar::new(),
            budget: Arc::new(Budget::new(memory)),
            files: Files::new(),
            roots: Mutex::default(),
            next_id: AtomicU64::new(0),
            contents: Mutex::default(),
            relieving: AtomicBool::new(false),
            bugs: Arc::default(),
        });
        let hashers = hashers();
        let spawn = |number| {
            let shared = Arc::clone(&shared);
            let role = if number < hashers {
                Role::Hasher
            } else {
                Role::Reader
            };
            thread::Builder::new()
                .name(format!("disk-{number}"))
                .spawn(move || shared.work(role))
        };
        let threads = (0..hashers + readers())
            .map(spawn)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// The memory budget, to be asked before a socket is read.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.shared.budget
    }

    /// Where bugs are counted that are met on the threads.
    pub(crate) fn bugs(&self) -> &Arc<Bugs> {
        &self.shared.bugs
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Runs `task` on a disk thread.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) {
        self.shared.run(task);
    }

    /// The threads end by themselves once the queue is empty.
    pub fn close(&self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_all();
        self.shared.wake_reader.notify_all();
    }

    /// Finishes what is queued and ends the threads. Blocks; not to be called on a disk thread.
    pub fn stop(&self) {
        self.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // What is done on it is caught, and told by whoever wanted it done.
            let _ = thread.join();
        }
    }
}

impl Shared {
    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The opened directory at `path`, shared by all torrents in it.
    pub(super) fn root(&self, path: &Path, create: bool) -> Result<Arc<Root>, DiskError> {
        let mut roots = self.roots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = roots
            .get(path)
            .and_then(Weak::upgrade)
            .filter(|root| root.is_unchanged())
        {
            return Ok(root);
        }
        let root = Arc::new(Root::open(path, create)?);
        roots.insert(path.to_owned(), Arc::downgrade(&root));
        Ok(root)
    }

    pub(super) fn run(&self, task: impl FnOnce() + Send + 'static) {
        self.lock().tasks.push_back(Box::new(task));
        self.wake.notify_one();
        self.wake_reader.notify_one();
    }

    pub(super) fn push(&self, content: &Arc<Content>, pieces: Vec<WholePiece>) {
        if pieces.is_empty() {
            return;
        }
        let since = Instant::now();
        let memory = pieces.iter().map(WholePiece::memory).sum();
        self.budget.became_whole(memory);
        let mut queue = self.lock();
        for whole in pieces {
            let held = Held {
                budget: Arc::clone(&self.budget),
                bytes: whole.memory(),
            };
            queue.pieces.push_back(Waiting {
                content: Arc::clone(content),
                whole,
                since,
                held,
            });
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Takes note of a content, so that its blocks can be taken out of memory when another one needs the room.
    pub(super) fn enroll(&self, content: &Arc<Content>) {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        contents.retain(|content| content.strong_count() > 0);
        contents.push(Arc::downgrade(content));
    }

    /// The content that holds the most blocks of incomplete pieces.
    pub(super) fn heaviest(&self) -> Option<Arc<Content>> {
        let contents: Vec<Arc<Content>> = {
            let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
            contents.iter().filter_map(Weak::upgrade).collect()
        };
        contents.into_iter().max_by_key(|content| content.held())
    }

    /// The content of which this is true.
    pub(super) fn find(&self, is_it: impl Fn(&Content) -> bool) -> Option<Arc<Content>> {
        let contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        let contents = contents.iter().filter_map(Weak::upgrade);
        // Not one is dropped under the lock: whoever drops the last closes its files.
        let contents: Vec<Arc<Content>> = contents.collect();
        contents.into_iter().find(|content| is_it(content))
    }

    /// Whether blocks have to be taken out of memory, and nobody is about to; the caller has to see to it then.
    pub(super) fn needs_relief(&self) -> bool {
        self.budget.is_tight() && !self.has_pieces() && !self.relieving.swap(true, Ordering::AcqRel)
    }

    /// From now on a new need is a new task.
    pub(super) fn relief_begins(&self) {
        self.relieving.store(false, Ordering::Release);
    }

    /// Whether any whole piece waits or is about to be hashed.
    pub(super) fn has_pieces(&self) -> bool {
        !self.lock().pieces.is_empty()
    }

    fn work(&self, role: Role) {
        while let Some(work) = self.next(role) {
            match work {
                // Whoever waits for it has been answered, or is when what the task held is dropped.
                Work::Task(task) => drop(self.bugs.catch(task)),
                Work::Pieces(pieces) => {
                    let of = |piece: &Waiting| Arc::clone(&piece.content);
                    let contents: Vec<Arc<Content>> = pieces.iter().map(of).collect();
                    // A bug in the work on one piece is met there. Of this one nobody knows whose it is.
                    if let Err(bug) = self.bugs.catch(|| worker::verify(self, pieces)) {
                        contents.iter().for_each(|content| content.breaks(&bug));
                    }
                }
            }
        }
    }

    fn next(&self, role: Role) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            let linger = match role {
                Role::Hasher => self.linger(&queue),
                Role::Reader => None,
            };
            let is_due = linger.is_some_and(|linger| linger.is_zero());
            if !(is_due && queue.after_task)
                && let Some(task) = queue.tasks.pop_front()
            {
                queue.after_task = true;
                // The wake-up may have been meant for what is left, and a task can take its time.
                if !queue.pieces.is_empty() || !queue.tasks.is_empty() {
                    self.wake.notify_one();
                }
                if !queue.tasks.is_empty() {
                    self.wake_reader.notify_one();
                }
                return Some(Work::Task(task));
            }
            if is_due {
                queue.after_task = false;
                let batch = lanes::sha1_width() * BATCH_PER_LANE;
                let take = queue.pieces.len().min(batch);
                return Some(Work::Pieces(queue.pieces.drain(..take).collect()));
            }
            if queue.closing {
                return None;
            }
            queue = match (role, linger) {
                (Role::Hasher, Some(linger)) => {
                    let waited = self.wake.wait_timeout(queue, linger);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                (Role::Hasher, None) => awake(self.wake.wait(queue)),
                (Role::Reader, _) => awake(self.wake_reader.wait(queue)),
            };
        }
    }

    /// How long whole pieces should still wait for company; zero if they should not, nothing if there are none.
    fn linger(&self, queue: &Queue) -> Option<Duration> {
        let oldest = queue.pieces.front()?;
        let enough = queue.pieces.len() >= lanes::sha1_width();
        let at_once = enough || queue.closing || self.budget.is_half_used();
        Some(if at_once {
            Duration::ZERO
        } else {
            LINGER.saturating_sub(oldest.since.elapsed())
        })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn awake<T>(waited: Result<T, PoisonError<T>>) -> T {
    waited.unwrap_or_else(PoisonError::into_inner)
}

enum Work {
    Task(Task),
    Pieces(Vec<Waiting>),
}
