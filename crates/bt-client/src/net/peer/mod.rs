//! One connection: read, let the owner decide, write.
//!
//! The task of a peer owns the socket and the wire state and nothing else. It wakes when bytes come, when bytes can
//! go, when somebody left an order, or when a time-out is due.

mod batch;
mod link;
mod meet;
mod receive;
mod transmit;

use std::sync::Arc;
use std::time::Instant;

use bt_wire::Event;
use bt_wire::limits::MAX_CONTROL_BYTES;
use tokio::io::Interest;
use tokio::time::Instant as TokioInstant;

use self::link::{Ended, Link};
use self::transmit::Blocked;
use super::{Host, Mailbox, Order, Tools};
use crate::engine::PeerKey;
use crate::limits::MAX_KEPT_ROOM;

pub(crate) use self::meet::{call, receive_caller};

/// A peer that the owner let in.
struct Guest {
    link: Link,
    host: Arc<dyn Host>,
    key: PeerKey,
    mailbox: Arc<Mailbox>,
    tools: Tools,
    orders: Vec<Order>,
    events: Vec<Event>,
    /// Since when we do not listen to it: memory is full, or others have their turn under a limit.
    unread_since: Option<Instant>,
}

impl Guest {
    /// Serves the connection until it ends.
    async fn run(mut self) -> Ended {
        let sleep = tokio::time::sleep_until(TokioInstant::from_std(
            self.link.deadline((self.tools.now)()),
        ));
        tokio::pin!(sleep);
        loop {
            self.mailbox.take(&mut self.orders);
            if let Err(ended) = self.obey() {
                return ended;
            }
            let blocked = match self.transmit() {
                Ok(blocked) => blocked,
                Err(ended) => return ended,
            };
            let now = (self.tools.now)();
            let deadline = TokioInstant::from_std(self.link.deadline(now).min(blocked.until(now)));
            if deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            }
            match self.wait(&blocked, &mut sleep).await {
                // Others may have used the memory up since we began to wait.
                Ok(true) if self.tools.budget.is_exhausted() => {}
                Ok(true) => {
                    if let Err(ended) = self.receive() {
                        return ended;
                    }
                }
                Ok(false) => {}
                Err(ended) => return ended,
            }
        }
    }

    /// Waits for anything to do; true when there may be bytes to read.
    async fn wait(
        &mut self,
        blocked: &Blocked,
        sleep: &mut std::pin::Pin<&mut tokio::time::Sleep>,
    ) -> Result<bool, Ended> {
        let now = (self.tools.now)();
        let held_back = self.tools.limits.down_wait(now);
        let may_read = !self.tools.budget.is_exhausted() && held_back.is_none();
        self.was_unread(now);
        self.unread_since = (!may_read).then_some(now);
        let interest = match (may_read, matches!(blocked, Blocked::Full)) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        };
        if let Some(wait) = held_back {
            let until = TokioInstant::from_std(now + wait);
            if until < sleep.deadline() {
                sleep.as_mut().reset(until);
            }
        }
        tokio::select! {
            ready = self.link.ready(interest) => Ok(ready?),
            () = self.mailbox.woken() => Ok(false),
            // Others come first, but no timer is as fine as a turn is short.
            () = tokio::task::yield_now(), if matches!(blocked, Blocked::Turn) => Ok(false),
            () = self.tools.budget.wait(), if !may_read && held_back.is_none() => Ok(false),
            () = sleep.as_mut() => {
                let now = (self.tools.now)();
                self.was_unread(now);
                self.link.timeout(now)?;
                sleep.as_mut().reset(TokioInstant::from_std(self.link.deadline(now)));
                Ok(false)
            }
        }
    }

    /// It is no fault of a peer that we do not listen to it.
    fn was_unread(&mut self, now: Instant) {
        if let Some(since) = self.unread_since.take() {
            self.link.connection.did_not_listen(now, since);
        }
    }

    fn obey(&mut self) -> Result<(), Ended> {
        let mut orders = std::mem::take(&mut self.orders);
        for order in orders.drain(..) {
            match order {
                Order::Send(message) => {
                    tracing::trace!(peer = %self.key, message = message.name(), "send");
                    self.link.connection.send(message);
                    if self.link.connection.queued_bytes() > MAX_CONTROL_BYTES / 2 {
                        // A peer that reads takes it now: many pieces may be told of at once.
                        self.transmit()?;
                    }
                }
                Order::Extend(message) => {
                    self.link.connection.send_extension(&message);
                }
                Order::Serve(block) => {
                    self.link.connection.send_block(block);
                }
                Order::Close(reason) => return Err(Ended::ByUs(reason)),
            }
        }
        // The room is used again, but a burst must not keep it for the life of the connection.
        orders.shrink_to(MAX_KEPT_ROOM);
        self.orders = orders;
        Ok(())
    }
}
