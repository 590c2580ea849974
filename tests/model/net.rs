//! The mailbox of a peer's task: what is left is taken.

#[path = "../../crates/bt-client/src/net/mailbox.rs"]
mod mailbox;

mod sync {
    pub(super) use crate::sync::{Mutex, Notify};
}

use std::sync::Arc;

use bt_metainfo::{BlockRef, PieceIndex};
use loom::future::block_on;

use crate::sync::{check, thread};
use mailbox::{Mailbox, Order};

fn block(number: u32) -> Order {
    Order::Serve(BlockRef {
        piece: PieceIndex(number),
        begin: 0,
        length: 1,
    })
}

fn number(order: &Order) -> u32 {
    match order {
        Order::Serve(block) => block.piece.0,
        _ => panic!("nobody left this"),
    }
}

#[test]
fn an_order_that_was_left_is_taken_and_those_of_one_hand_keep_their_order() {
    check("mailbox", || {
        let mailbox = Arc::new(Mailbox::default());
        let others = [0, 10].map(|first| {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                // As the host does: orders that can wait go with the one that wakes.
                mailbox.leave([block(first)], false);
                mailbox.leave([block(first + 1)], true);
            })
        });
        let mut taken = Vec::new();
        // A lost wake-up is a deadlock here, which loom reports.
        while taken.len() < 4 {
            block_on(mailbox.woken());
            mailbox.take(&mut taken);
        }
        for other in others {
            other.join().unwrap();
        }
        let numbers: Vec<u32> = taken.iter().map(number).collect();
        for first in [0, 10] {
            let of_one: Vec<u32> = numbers
                .iter()
                .copied()
                .filter(|number| number / 10 == first / 10)
                .collect();
            assert_eq!(of_one, [first, first + 1]);
        }
    });
}

#[test]
fn a_wait_that_is_given_up_takes_no_wake_up_with_it() {
    check("mailbox, abandoned wait", || {
        let mailbox = Arc::new(Mailbox::default());
        let other = {
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || mailbox.leave([block(1)], true))
        };
        // As `select!` does when another branch is ready first.
        let first = block_on(async {
            let mut woken = std::pin::pin!(mailbox.woken());
            std::future::poll_fn(|context| {
                std::task::Poll::Ready(woken.as_mut().poll(context).is_ready())
            })
            .await
        });
        if !first {
            block_on(mailbox.woken());
        }
        let mut taken = Vec::new();
        mailbox.take(&mut taken);
        assert_eq!(taken.len(), 1);
        other.join().unwrap();
    });
}
