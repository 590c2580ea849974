//! What threads meet at in this room besides its locks, named in one place, so that `tests/model` can put in its own and
//! try every order of events on the very file that uses it.

pub(super) use std::sync::atomic::{AtomicU32, Ordering};
