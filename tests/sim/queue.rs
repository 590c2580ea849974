//! What is still to happen, in order of time; what is due at the same time happens in the order in which it was added.
//!
//! The heap holds 24 bytes an entry and an index: swarms of ten thousand keep a million entries in it. It must not know
//! what happens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    order: u64,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            order: 0,
        }
    }

    pub(crate) fn push(&mut self, at: Duration, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 events wait")
        });
        self.slots[slot as usize] = Some(what);
        self.order += 1;
        let at = u64::try_from(at.as_nanos()).expect("a run is shorter than 500 years");
        self.heap.push(Reverse((at, self.order, slot)));
    }

    /// When the next one is due.
    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.heap
            .peek()
            .map(|Reverse((at, _, _))| Duration::from_nanos(*at))
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let Reverse((_, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        self.slots[slot as usize].take()
    }
}
