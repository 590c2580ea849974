//! What threads and tasks meet at in this room, named in one place, so that `tests/model` can put in its own and try
//! every order of events on the very files that use it.

pub(super) use std::sync::Mutex;

pub(super) use tokio::sync::Notify;
