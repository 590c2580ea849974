//! A panic is a bug of ours. It ends the request, the connection or the chore that it is met in; here it is caught and
//! counted, and what is to last is begun anew.
//!
//! It must not know what the work is.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::stats::Stats;
use super::tracker::Tracker;

/// What is to last is begun anew after this: a bug that it runs into each time then costs next to nothing.
const AFTER_A_BUG: Duration = Duration::from_secs(1);

/// A bug was met; it has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bug;

/// Does a piece of work.
pub(super) fn catch<T>(stats: &Stats, work: impl FnOnce() -> T) -> Result<T, Bug> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|thrown| {
        stats.panics.add(1);
        // What was thrown may do anything when it is dropped, panic again included.
        std::mem::forget(thrown);
        Bug
    })
}

/// The same for a task. It is on the heap by itself, because a future takes up its room once more in each future that it
/// is handed to.
pub(super) async fn catch_in<F: Future>(
    tracker: Arc<Tracker>,
    mut task: Pin<Box<F>>,
) -> Result<F::Output, Bug> {
    let polled = std::future::poll_fn(move |context| {
        match catch(&tracker.stats, || task.as_mut().poll(context)) {
            Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
            Ok(Poll::Pending) => Poll::Pending,
            // It is not polled again.
            Err(bug) => Poll::Ready(Err(bug)),
        }
    });
    polled.await
}

/// A task that ends when it has done its work, or with the token; after a bug it is begun anew, though not at once.
pub(super) async fn lasting<F: Future>(
    tracker: Arc<Tracker>,
    stop: CancellationToken,
    mut task: impl FnMut() -> F,
) {
    while catch_in(Arc::clone(&tracker), Box::pin(task()))
        .await
        .is_err()
    {
        if stop.run_until_cancelled(pause()).await.is_none() {
            return;
        }
    }
}

/// Between a bug and the next attempt.
pub(super) async fn pause() {
    tokio::time::sleep(AFTER_A_BUG).await;
}

#[cfg(test)]
pub(super) mod tests;
