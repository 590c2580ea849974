//! The peer's requests that wait for an answer: each is in exactly one of two queues.
//!
//! Knows nothing of choking, rejects or data. A block that was asked for twice waits twice and is
//! answered twice (BEP 6: every request has exactly one response).

use std::collections::VecDeque;

use bt_metainfo::BlockRef;

/// Requests without an answer.
///
/// Invariant: `asked.len() + queued.len() <= limit`. Both are searched from the front, where answers
/// usually belong.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The owner knows of these and has not decided.
    asked: VecDeque<BlockRef>,
    /// The owner has the data; these leave in this order.
    queued: VecDeque<BlockRef>,
    /// How many may wait.
    pub(super) limit: usize,
}

impl Requests {
    /// Takes a request in, unless too many wait.
    pub(super) fn ask(&mut self, block: BlockRef) -> bool {
        let fits = self.len() < self.limit;
        if fits {
            self.asked.push_back(block);
        }
        fits
    }

    /// Moves a request of which the owner knows to those that leave.
    pub(super) fn enqueue(&mut self, block: BlockRef) -> bool {
        let found = remove(&mut self.asked, block);
        if found {
            self.queued.push_back(block);
        }
        found
    }

    /// Removes a block that was to leave.
    pub(super) fn unqueue(&mut self, block: BlockRef) -> bool {
        remove(&mut self.queued, block)
    }

    /// Removes a request: one that the owner has not decided on, else one that was to leave.
    pub(super) fn answer(&mut self, block: BlockRef) -> bool {
        remove(&mut self.asked, block) || self.unqueue(block)
    }

    /// The next block that leaves; it is answered thereby.
    pub(super) fn next_queued(&mut self) -> Option<BlockRef> {
        self.queued.pop_front()
    }

    /// Removes all requests for which `over` holds, those that were to leave first.
    pub(super) fn drain(&mut self, over: impl Fn(&BlockRef) -> bool) -> Vec<BlockRef> {
        let mut drained = Vec::new();
        for queue in [&mut self.queued, &mut self.asked] {
            queue.retain(|block| {
                let over = over(block);
                if over {
                    drained.push(*block);
                }
                !over
            });
        }
        drained
    }

    pub(super) fn len(&self) -> usize {
        self.asked.len() + self.queued.len()
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }
}

fn remove(queue: &mut VecDeque<BlockRef>, block: BlockRef) -> bool {
    let position = queue.iter().position(|waiting| *waiting == block);
    position.is_some_and(|position| queue.remove(position).is_some())
}
