//! Records that wait to be told to other trackers, one after the other and within a bound.
//!
//! Any thread adds and one task takes. Must not know Redis.

use std::sync::PoisonError;

use super::record;
use super::sync::{Mutex, Notify};
use crate::limits::MAX_RELAY_QUEUE;

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// At most [`MAX_RELAY_QUEUE`] bytes.
    records: Mutex<Vec<u8>>,
    wake: Notify,
}

impl Queue {
    /// Has a record written to the end, unless it may not fit; says whether it was.
    pub(super) fn add(&self, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = records.is_empty();
        if records.len() + record::MAX_LENGTH > MAX_RELAY_QUEUE {
            return false;
        }
        encode(&mut records);
        drop(records);
        if was_empty {
            self.wake.notify_one();
        }
        true
    }

    /// Takes all records.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *records)
    }

    /// Puts back what could not be sent, before what has come since. What does not fit is dropped,
    /// the newest first, since peers announce again; says how many records that were.
    pub(super) fn put_back(&self, mut unsent: Vec<u8>) -> u64 {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let (whole, dropped) = record::fitting(&records, MAX_RELAY_QUEUE - unsent.len());
        unsent.extend_from_slice(records.get(..whole).unwrap_or_default());
        *records = unsent;
        dropped
    }

    /// Bytes that wait.
    pub(super) fn len(&self) -> usize {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Returns once a record has been added to an empty queue since the last time.
    pub(super) async fn filled(&self) {
        self.wake.notified().await;
    }
}
