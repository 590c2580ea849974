//! The relay's queue: what was added is taken or counted as dropped, never both and never neither.

#[path = "../../crates/bt-tracker/src/server/relay/queue.rs"]
mod queue;

mod sync {
    pub(super) use crate::sync::{Mutex, Notify};
}

/// Records of one byte.
mod record {
    pub(super) const MAX_LENGTH: usize = 1;

    pub(super) fn fitting(bytes: &[u8], room: usize) -> (usize, u64) {
        let whole = bytes.len().min(room);
        (whole, (bytes.len() - whole) as u64)
    }
}

use std::sync::Arc;

use loom::future::block_on;

use crate::limits::MAX_RELAY_QUEUE;
use crate::sync::{check, thread};
use queue::Queue;

#[test]
fn whoever_waits_for_records_gets_all_of_them() {
    check("relay queue", || {
        let queue = Arc::new(Queue::default());
        let others = [1, 2].map(|who| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || assert!(queue.add(|out| out.push(who))))
        });
        let mut taken = Vec::new();
        // As the task does: it looks before it waits.
        loop {
            taken.extend(queue.take());
            if taken.len() == 2 {
                break;
            }
            block_on(queue.filled());
        }
        for other in others {
            other.join().unwrap();
        }
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    });
}

#[test]
fn what_comes_back_keeps_its_place_and_the_bound_holds() {
    check("relay queue, put back", || {
        let queue = Arc::new(Queue::default());
        assert!(queue.add(|out| out.push(0)));
        let others = [1, 2].map(|who| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let added = [who, who + 10].map(|one| queue.add(|out| out.push(one)));
                added.into_iter().filter(|added| !added).count()
            })
        });
        let unsent = queue.take();
        let first = unsent.first().copied();
        let dropped = queue.put_back(unsent);
        assert!(queue.len() <= MAX_RELAY_QUEUE);
        let refused: usize = others.map(|other| other.join().unwrap()).iter().sum();
        let left = queue.take();
        assert_eq!(left.first().copied(), first);
        assert_eq!(left.len() + refused + usize::try_from(dropped).unwrap(), 5);
    });
}
