//! From bytes to decisions: one read, one look of the owner.

use super::Guest;
use super::link::Ended;

impl Guest {
    pub(super) fn receive(&mut self) -> Result<(), Ended> {
        let now = (self.tools.now)();
        let result = self.link.read(now, &self.tools, &mut self.events);
        let read = *result.as_ref().unwrap_or(&0);
        self.tools.limits.received(now, read);
        // What was said before a failure still counts: the last block may complete a piece.
        if !self.events.is_empty() {
            self.host.received(self.key, read, &mut self.events);
            self.events.clear();
        }
        result.map(drop)
    }
}
