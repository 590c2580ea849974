//! How much memory the connections of a server hold together for what strangers send and are sent.
//!
//! Knows nothing of connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub(super) struct Budget {
    held: AtomicU64,
    most: u64,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicU64::new(0),
            most: most as u64,
        })
    }

    pub(super) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether more is held than may be.
    pub(super) fn is_exceeded(&self) -> bool {
        self.held() > self.most
    }

    /// Counts these bytes, whether they fit or not.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        let mut held = Held {
            budget: Arc::clone(self),
            bytes: 0,
        };
        held.set(bytes);
        held
    }
}

impl Held {
    /// Says how many bytes are held now.
    pub(super) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let sum = &self.budget.held;
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => drop(sum.fetch_add(more, Ordering::Relaxed)),
            None => drop(sum.fetch_sub(self.bytes - bytes, Ordering::Relaxed)),
        }
        self.bytes = bytes;
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.bytes == 0
    }

    /// Whether all that is held together is too much.
    pub(super) fn is_too_much(&self) -> bool {
        self.budget.is_exceeded()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_the_sum_of_what_each_holds_now() {
        let budget = Budget::new(100);
        let mut one = budget.hold(60);
        let other = budget.hold(40);
        assert!(!budget.is_exceeded());
        one.set(61);
        assert!(budget.is_exceeded() && one.is_too_much());
        one.set(7);
        assert_eq!(budget.held(), 47);
        drop(other);
        assert_eq!(budget.held(), 7);
        drop(one);
        assert_eq!(budget.held(), 0);
    }
}
