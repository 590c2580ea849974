//! What threads and tasks meet at, made of loom's parts: a clock that only timeouts move, a condition variable whose
//! waits can time out at any moment, a channel that notices when its sender is gone, and tokio's `Notify` as its
//! documentation describes it.
//!
//! Everything here lives inside one run of [`check`].

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(crate) use loom::sync::RwLock;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use loom::thread::JoinHandle;

/// How often a run takes the processor away from a thread that could go on. Two already find nearly all that is known
/// to go wrong in practice; `LOOM_MAX_PREEMPTIONS` asks for more.
const PREEMPTIONS: usize = 2;

thread_local! {
    /// Which of those who wait a condition variable wakes; the system promises nothing.
    static NEWEST_FIRST: Cell<bool> = const { Cell::new(false) };
    /// All threads of a run are played by one thread of the system, so this is the run's own clock.
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Plays `body` in every order that its threads can come to, and says in how many; once with condition variables that
/// wake whoever has waited longest, and once with such that wake whoever came last.
pub(crate) fn check(name: &str, body: impl Fn() + Send + Sync + 'static) {
    check_within(PREEMPTIONS, name, body);
}

/// The same with fewer preemptions, for stories whose orders would not end.
pub(crate) fn check_within(
    preemptions: usize,
    name: &str,
    body: impl Fn() + Send + Sync + 'static,
) {
    let body = Arc::new(body);
    for newest_first in [false, true] {
        NEWEST_FIRST.set(newest_first);
        explore(preemptions, name, Arc::clone(&body));
    }
}

fn explore(preemptions: usize, name: &str, body: Arc<impl Fn() + Send + Sync + 'static>) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(preemptions);
    model.max_branches = 20_000;
    let runs = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&runs);
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        NOW.set(Duration::ZERO);
        body();
    });
    let runs = runs.load(Ordering::Relaxed);
    assert!(runs > 1, "{name}: nothing happens at the same time");
    println!("{name}: {runs} orders");
}

/// What has passed on the clock.
pub(crate) fn elapsed() -> Duration {
    NOW.get()
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        Self(NOW.get())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        NOW.get() - self.0
    }
}

/// `std::thread` on a machine with two cores.
pub(crate) mod thread {
    pub(crate) use loom::thread::{Builder, spawn};

    use super::NonZeroUsize;

    pub(crate) fn available_parallelism() -> std::io::Result<NonZeroUsize> {
        NonZeroUsize::new(2).ok_or_else(|| std::io::ErrorKind::Unsupported.into())
    }
}

/// Loom's, with guards that know what they guard.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    of: &'a Mutex<T>,
    guard: loom::sync::MutexGuard<'a, T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { of: self, guard })
    }

    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let guard = self.0.try_lock().map_err(|_| TryLockError::WouldBlock)?;
        Ok(MutexGuard { of: self, guard })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A wait with a timeout may end by it at any moment.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    waiting: loom::sync::Mutex<VecDeque<Arc<Bell>>>,
}

struct Bell(loom::sync::Notify);

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bell")
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let bell = self.line_up();
        let of = guard.of;
        drop(guard);
        // Loom lets each bell ring once without reason; passing that on would let a sleeper turn round for ever.
        bell.0.wait();
        while self.queue().iter().any(|other| Arc::ptr_eq(other, &bell)) {
            bell.0.wait();
        }
        of.lock()
    }

    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        patience: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let bell = self.line_up();
        let of = guard.of;
        drop(guard);
        // Between these two lines anybody may ring.
        let timed_out = self.step_out(&bell);
        if timed_out {
            NOW.set(NOW.get() + patience);
        }
        let guard = of.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((guard, timed_out))
    }

    pub(crate) fn notify_one(&self) {
        let mut queue = self.queue();
        let first = if NEWEST_FIRST.get() {
            queue.pop_back()
        } else {
            queue.pop_front()
        };
        drop(queue);
        if let Some(bell) = first {
            bell.0.notify();
        }
    }

    pub(crate) fn notify_all(&self) {
        let all = std::mem::take(&mut *self.queue());
        for bell in all {
            bell.0.notify();
        }
    }

    fn line_up(&self) -> Arc<Bell> {
        let bell = Arc::new(Bell(loom::sync::Notify::new()));
        self.queue().push_back(Arc::clone(&bell));
        bell
    }

    /// Whether nobody has rung.
    fn step_out(&self, bell: &Arc<Bell>) -> bool {
        let mut queue = self.queue();
        let before = queue.len();
        queue.retain(|other| !Arc::ptr_eq(other, bell));
        queue.len() < before
    }

    fn queue(&self) -> loom::sync::MutexGuard<'_, VecDeque<Arc<Bell>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `std::sync::mpsc` as far as it is used. Loom's own does not notice that a sender is gone.
pub(crate) mod mpsc {
    use super::{Arc, Condvar, Mutex, PoisonError};
    use std::sync::mpsc::{RecvError, SendError};

    #[derive(Debug)]
    struct Channel<T> {
        /// What was sent, and whether more can come.
        state: Mutex<(Option<T>, bool)>,
        wake: Condvar,
    }

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Channel<T>>);

    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Channel<T>>);

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let channel = Arc::new(Channel {
            state: Mutex::new((None, true)),
            wake: Condvar::new(),
        });
        (Sender(Arc::clone(&channel)), Receiver(channel))
    }

    impl<T> Sender<T> {
        pub(crate) fn send(&self, value: T) -> Result<(), SendError<T>> {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 = Some(value);
            drop(state);
            self.0.wake.notify_one();
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.1 = false;
            drop(state);
            self.0.wake.notify_one();
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                if let Some(value) = state.0.take() {
                    return Ok(value);
                }
                if !state.1 {
                    return Err(RecvError);
                }
                state = self
                    .0
                    .wake
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// The timer of the runtime: it may end at any moment, and nobody waits.
pub(crate) async fn sleep(time: Duration) {
    loom::thread::yield_now();
    NOW.set(NOW.get() + time);
}

/// `std::sync::OnceLock`: whoever comes too late to set it finds it set, and whoever finds it set finds what was set.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    /// What the real one tells threads by.
    is_set: AtomicBool,
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self {
            value: std::sync::OnceLock::new(),
            is_set: AtomicBool::new(false),
        }
    }
}

impl<T> OnceLock<T> {
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let done = self.value.set(value);
        if done.is_ok() {
            self.is_set.store(true, Ordering::Release);
        }
        while !self.is_set.load(Ordering::Acquire) {
            loom::thread::yield_now();
        }
        done
    }

    pub(crate) fn get(&self) -> Option<&T> {
        let is_set = self.is_set.load(Ordering::Acquire);
        self.value.get().filter(|_| is_set)
    }
}

/// `tokio::sync::Notify`: at most one permit is kept for the next who asks; `notify_waiters` keeps none, and reaches
/// everybody whose future exists.
#[derive(Debug, Default)]
pub(crate) struct Notify {
    book: loom::sync::Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    permit: bool,
    /// Calls of `notify_waiters`.
    calls: usize,
    next: usize,
    waiting: BTreeMap<usize, Seat>,
}

#[derive(Debug, Default)]
struct Seat {
    told: Option<Told>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Alone,
    WithAll,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            of: self,
            calls: self.book().calls,
            seat: None,
            done: false,
        }
    }

    pub(crate) fn notify_one(&self) {
        let mut book = self.book();
        let first = book.waiting.values_mut().find(|seat| seat.told.is_none());
        let waker = match first {
            Some(seat) => {
                seat.told = Some(Told::Alone);
                seat.waker.take()
            }
            None => {
                book.permit = true;
                None
            }
        };
        drop(book);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let mut book = self.book();
        book.calls += 1;
        let mut wakers = Vec::new();
        for seat in book.waiting.values_mut().filter(|seat| seat.told.is_none()) {
            seat.told = Some(Told::WithAll);
            wakers.extend(seat.waker.take());
        }
        drop(book);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn book(&self) -> loom::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Notified<'a> {
    of: &'a Notify,
    calls: usize,
    seat: Option<usize>,
    done: bool,
}

impl Notified<'_> {
    pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
        self.get_mut().look(None)
    }

    fn look(&mut self, waker: Option<&Waker>) -> bool {
        if self.done {
            return true;
        }
        let mut book = self.of.book();
        match self.seat {
            None if book.calls != self.calls => self.done = true,
            None if book.permit => {
                book.permit = false;
                self.done = true;
            }
            None => {
                let number = book.next;
                book.next += 1;
                let waker = waker.cloned();
                book.waiting.insert(number, Seat { told: None, waker });
                self.seat = Some(number);
            }
            Some(number) => {
                let seat = book.waiting.entry(number).or_default();
                if seat.told.is_some() {
                    book.waiting.remove(&number);
                    self.done = true;
                } else if let Some(waker) = waker {
                    seat.waker = Some(waker.clone());
                }
            }
        }
        self.done
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.get_mut().look(Some(context.waker())) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(number) = self.seat.filter(|_| !self.done) else {
            return;
        };
        let seat = self.of.book().waiting.remove(&number);
        // Whoever leaves hands on what was meant for one.
        if seat.is_some_and(|seat| seat.told == Some(Told::Alone)) {
            self.of.notify_one();
        }
    }
}
