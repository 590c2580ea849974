//! What others want of a peer's task: orders that wait until it wakes.

use std::sync::PoisonError;

use bt_metainfo::BlockRef;
use bt_wire::{Message, ext};

use super::sync::{Mutex, Notify};
use crate::engine::CloseReason;
use crate::limits::MAX_KEPT_ROOM;

/// One thing that a peer's task is to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Queue a message.
    Send(Message),
    /// Queue a message of an extension, if the peer speaks it.
    Extend(ext::Message),
    /// Queue a block of ours.
    Serve(BlockRef),
    /// Close the connection.
    Close(CloseReason),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    orders: Mutex<Vec<Order>>,
    wake: Notify,
}

impl Mailbox {
    /// Leaves orders; with `wake`, the task is woken.
    pub(crate) fn leave(&self, orders: impl IntoIterator<Item = Order>, wake: bool) {
        self.orders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(orders);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Wakes the task without an order: something it waits for may have come.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Moves all orders to the end of `into`.
    pub(crate) fn take(&self, into: &mut Vec<Order>) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        into.append(&mut orders);
        orders.shrink_to(MAX_KEPT_ROOM);
    }

    /// Returns once the task has been woken since the last time.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
