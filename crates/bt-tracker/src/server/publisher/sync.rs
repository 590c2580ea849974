//! What threads meet at where an index is made, named in one place, so that `tests/model` can put in its own and try every
//! order of events on the very file that uses it.

pub(super) use std::sync::{Mutex, RwLock};
