//! What threads meet at in this room, named in one place, so that `tests/model` can put in its own and try every order
//! of events on the very files that use it.

pub(super) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
pub(super) use std::thread::{self, JoinHandle};
pub(super) use std::time::Instant;

pub(super) use tokio::sync::Notify;

/// Threads that hash, and do everything else: one for each core.
pub(super) fn hashers() -> usize {
    thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

/// Threads that only read, besides those that hash: a disk that turns, or a server far away, has many reads under way at
/// little more than the cost of one.
pub(super) fn readers() -> usize {
    4
}
