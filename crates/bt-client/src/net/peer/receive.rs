//! From bytes to decisions: one read, one look of the owner.

use super::Guest;
use super::link::Ended;
use crate::limits::MAX_KEPT_ROOM;

impl Guest {
    pub(super) fn receive(&mut self) -> Result<(), Ended> {
        let now = (self.tools.now)();
        let result = self.link.read(now, &self.tools, &mut self.events);
        let read = *result.as_ref().unwrap_or(&0);
        self.tools.limits.received(now, read);
        // What was said before a failure still counts: the last block may complete a piece.
        self.hand_in(read);
        result.map(drop)
    }

    /// Hands in what was said in `read` bytes.
    pub(super) fn hand_in(&mut self, read: usize) {
        if !self.events.is_empty() {
            self.host.received(self.key, read, &mut self.events);
            self.events.clear();
            // The room is used again, but a burst must not keep it for the life of the connection.
            self.events.shrink_to(MAX_KEPT_ROOM);
        }
    }
}
