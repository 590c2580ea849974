//! What threads meet at in this room, named in one place, so that `tests/model` can put in its own and try every order
//! of events on the very files that use it.

pub(super) use std::sync::atomic::{AtomicBool, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, mpsc};
pub(super) use std::thread::{self, JoinHandle};

pub(super) use tokio::time::sleep;
