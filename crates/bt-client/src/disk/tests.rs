//! Tests of files that the model checks include (`tests/model`), which have to stand outside of them.

use std::sync::Arc;

use super::Budget;

#[test]
fn whole_pieces_that_wait_use_less_than_all_of_the_memory() {
    let budget = Budget::new(64);
    budget.take(40);
    budget.became_whole(23);
    assert!(!budget.is_exhausted());
    budget.became_whole(1);
    assert!(budget.is_exhausted(), "24 of 64 wait to be hashed");
    budget.give_back_whole(1);
    assert!(!budget.is_exhausted());
    budget.take(25);
    assert!(budget.is_exhausted(), "64 are held in all");
    budget.give_back_whole(23);
    budget.give_back(41);
    assert_eq!(budget.used(), 0);
}

#[tokio::test]
async fn who_waits_goes_on_when_pieces_leave() {
    let budget = Arc::new(Budget::new(64));
    budget.take(30);
    budget.became_whole(30);
    let waiter = Arc::clone(&budget);
    let waiting = tokio::spawn(async move { waiter.wait().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    budget.give_back_whole(30);
    waiting.await.expect("it goes on");
}
