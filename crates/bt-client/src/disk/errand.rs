//! What somebody waits for while a disk thread does it: blocks to serve, a look for room. Whoever waits is answered
//! whatever happens, a bug of ours included.
//!
//! It must not know who waits.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{Content, DiskError, Done, root};
use crate::contain::Bug;

impl Content {
    /// Finds out on a disk thread how many bytes are free where the content lies, and tells `then`.
    pub fn look_for_room(
        self: &Arc<Self>,
        then: impl FnOnce(Result<u64, DiskError>) + Send + 'static,
    ) {
        let content = Arc::clone(self);
        self.shared().run(move || {
            let free = content.or_breaks("look for room in", || {
                root::free_space(&content.directory())
            });
            then(free);
        });
    }

    /// Reads `length` bytes of the content from `start` on a disk thread and hands them to `then`.
    pub fn fetch(
        self: &Arc<Self>,
        start: u64,
        length: usize,
        then: impl FnOnce(Result<Bytes, DiskError>) + Send + 'static,
    ) {
        let content = Arc::clone(self);
        self.shared().run(move || {
            let read = content.or_breaks("read from", || {
                #[cfg(test)]
                content.planted.goes_off();
                let mut data = vec![0; length];
                content.read_at(start, &mut data)?;
                Ok(Bytes::from(data))
            });
            then(read);
        });
    }

    /// Does something that somebody waits for, who hears of a bug of ours as well, and so does the owner.
    fn or_breaks<T>(
        &self,
        action: &'static str,
        work: impl FnOnce() -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        self.shared().bugs.catch(work).unwrap_or_else(|bug| {
            self.breaks(&bug);
            let why = io::Error::other(bug.to_string());
            Err(DiskError::new(action, &self.directory(), why))
        })
    }

    /// A bug of ours was met in the work on this content; its owner sees to it.
    pub(super) fn breaks(&self, bug: &Bug) {
        self.report(Done::Broken(bug.cause().to_owned()));
    }
}
