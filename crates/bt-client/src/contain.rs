//! A panic is a bug of ours. It ends the piece of work that it is met in and nothing else: here it is caught, put into
//! words and counted.
//!
//! It must not know torrents: what a piece of work belongs to, and what becomes of that, is for its owner to say.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

thread_local! {
    /// How many pieces of work of this thread are watched, one within the other.
    static WATCHED: Cell<u32> = const { Cell::new(0) };
}

/// A bug of ours that was met, in the words of the panic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bug(String);

impl Bug {
    /// What whoever meets one can do.
    pub(crate) const HINT: &str = "please report it, with what you did; -v says where it is";

    /// In these words.
    pub(crate) fn of(words: String) -> Self {
        Self(words)
    }

    /// Of what a panic was thrown with.
    pub(crate) fn new(thrown: &(dyn Any + Send)) -> Self {
        let words = thrown.downcast_ref::<&str>().copied();
        let words = words.or_else(|| thrown.downcast_ref::<String>().map(String::as_str));
        Self(words.unwrap_or("it left no message").to_owned())
    }

    /// The words of the panic alone.
    pub(crate) fn cause(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a bug of this program: {}", self.0)
    }
}

/// How many bugs were met in the work of a session.
#[derive(Debug, Default)]
pub(crate) struct Bugs(AtomicU64);

impl Bugs {
    /// Does a piece of work. What it has changed when it panics may be half changed: the caller sees to it that nobody
    /// relies on that.
    pub(crate) fn catch<T>(&self, work: impl FnOnce() -> T) -> Result<T, Bug> {
        watched(work).inspect_err(|bug| self.met(bug))
    }

    /// The same for a task. It is on the heap by itself, because a future takes up its room once more in each future
    /// that it is handed to: a dialed connection of 4 KiB took 26 in that way.
    pub(crate) async fn catch_in<F: Future>(
        &self,
        mut task: Pin<Box<F>>,
    ) -> Result<F::Output, Bug> {
        let done = std::future::poll_fn(|context| {
            match watched(|| task.as_mut().poll(context)) {
                Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
                Ok(Poll::Pending) => Poll::Pending,
                // It is not polled again.
                Err(bug) => Poll::Ready(Err(bug)),
            }
        });
        done.await.inspect_err(|bug| self.met(bug))
    }

    /// So many so far.
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn met(&self, bug: &Bug) {
        self.0.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(cause = bug.cause(), "a bug of this program");
    }
}

/// Whether somebody tells of a panic on this thread, so that whoever sees all of them need not.
#[cfg(feature = "cli")]
pub(crate) fn is_watched() -> bool {
    WATCHED.get() > 0
}

/// Does a piece of work whose panic is told of by the caller, who throws it on.
pub(crate) fn watched<T>(work: impl FnOnce() -> T) -> Result<T, Bug> {
    WATCHED.set(WATCHED.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    WATCHED.set(WATCHED.get() - 1);
    done.map_err(|thrown| {
        let bug = Bug::new(&*thrown);
        // What was thrown may do anything when it is dropped, panic again included.
        std::mem::forget(thrown);
        bug
    })
}

/// A panic that a test has planted, to see what becomes of the rest.
#[cfg(test)]
#[derive(Debug, Default)]
pub(crate) struct Planted(std::sync::atomic::AtomicBool);

#[cfg(test)]
impl Planted {
    /// The next time that work comes by, it panics.
    pub(crate) fn plant(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn goes_off(&self) {
        assert!(!self.0.swap(false, Ordering::SeqCst), "planted");
    }
}

#[cfg(test)]
mod tests {
    use super::{Bug, Bugs};

    #[test]
    fn a_panic_is_put_into_words_and_counted_and_work_goes_on() {
        let bugs = Bugs::default();
        assert_eq!(bugs.catch(|| 7), Ok(7));
        let number = 3;
        let met = bugs.catch(|| -> u8 { panic!("piece {number} is not there") });
        let bug = met.unwrap_err();
        assert_eq!(
            bug.to_string(),
            "a bug of this program: piece 3 is not there"
        );
        let met = bugs.catch(|| std::panic::panic_any(5));
        assert_eq!(met.unwrap_err().cause(), "it left no message");
        let met = bugs.catch(|| bugs.catch(|| panic!("within")).unwrap_err());
        assert_eq!(met, Ok(Bug("within".to_owned())));
        assert_eq!(bugs.count(), 3, "each once");
    }

    #[tokio::test]
    async fn a_task_that_panics_after_it_has_waited_is_caught() {
        let bugs = Bugs::default();
        let task = Box::pin(async {
            tokio::task::yield_now().await;
            panic!("late");
        });
        let met: Result<(), Bug> = bugs.catch_in(task).await;
        assert_eq!(met.unwrap_err().cause(), "late");
        assert_eq!(bugs.count(), 1);
    }
}
