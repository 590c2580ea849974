//! Who waits to be checked, and the threads that hash. It must not know how a torrent is checked.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::member::Member;

type Job = Box<dyn FnOnce() + Send>;

/// Torrents that wait to be checked. One thread takes them in turn and ends when there are none: each check uses all
/// cores, so two at once would only make the disk's head jump.
#[derive(Default)]
pub(super) struct Checks {
    queue: Arc<Mutex<Queue>>,
    /// Those that read the content in order to hash it.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// They are to end.
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Arc<Member>, Job)>,
    running: bool,
}

impl Checks {
    /// Does `work` on a thread of its own, which is given a flag to look at: once it is set, no other piece is to be begun.
    ///
    /// # Errors
    /// If the system gives us no thread, or the session ends.
    pub(super) fn spawn(
        &self,
        name: &str,
        work: impl FnOnce(&AtomicBool) + Send + 'static,
    ) -> io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = Arc::clone(&self.stop);
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("the session has ended"));
        }
        threads.retain(|thread| !thread.is_finished());
        let thread = std::thread::Builder::new().name(name.to_owned());
        threads.push(thread.spawn(move || work(&stop))?);
        Ok(())
    }

    /// Nothing is begun any more; returns when the threads have ended. Blocks; not to be called on one of them.
    pub(super) fn end(&self) {
        let threads = {
            let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            self.abandon();
            std::mem::take(&mut *threads)
        };
        for thread in threads {
            // What it does is caught, and told by whoever wanted it done.
            let _ = thread.join();
        }
    }

    /// Nothing is begun any more, and the threads end by themselves.
    pub(super) fn abandon(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Does `job`, which is work of this torrent, after those that wait already.
    ///
    /// # Errors
    /// As [`Checks::spawn`].
    pub(super) fn push(
        &self,
        member: &Arc<Member>,
        job: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.running {
            let queue = Arc::clone(&self.queue);
            self.spawn("check", move |stop| work(&queue, stop))?;
        }
        queue.running = true;
        queue.waiting.push_back((Arc::clone(member), Box::new(job)));
        Ok(())
    }
}

fn work(queue: &Mutex<Queue>, stop: &AtomicBool) {
    loop {
        let next = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            if stop.load(Ordering::Relaxed) {
                queue.waiting.clear();
            }
            let next = queue.waiting.pop_front();
            queue.running = next.is_some();
            next
        };
        let Some((member, job)) = next else {
            return;
        };
        // The next one is checked whatever becomes of this one.
        member.contained(job);
    }
}

#[cfg(test)]
mod tests {
    use super::Checks;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc;

    #[test]
    fn threads_that_hash_are_told_to_end_and_waited_for() {
        let checks = Checks::default();
        let ended = Arc::new(AtomicU32::new(0));
        let (began, begun) = mpsc::channel();
        for name in ["check", "recheck"] {
            let (ended, began) = (Arc::clone(&ended), began.clone());
            let work = move |stop: &AtomicBool| {
                began.send(()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                // As long as the piece takes that is being read.
                (0..10_000).for_each(|_| std::thread::yield_now());
                ended.fetch_add(1, Ordering::Relaxed);
            };
            checks.spawn(name, work).unwrap();
        }
        for _ in 0..2 {
            begun.recv().unwrap();
        }
        assert_eq!(ended.load(Ordering::Relaxed), 0);
        checks.end();
        assert_eq!(ended.load(Ordering::Relaxed), 2, "not waited for");
        assert!(checks.spawn("check", |_| {}).is_err(), "too late");
    }
}
