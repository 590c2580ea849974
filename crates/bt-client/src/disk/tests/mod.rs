//! Tests of files that the model checks include (`tests/model`), which have to stand outside of them; and of the claims,
//! against a model.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use bt_metainfo::{BlockRef, Metainfo, PieceIndex};
use bytes::Bytes;

use super::pool::Shared;
use super::{Budget, Content, Disk, Done};
use crate::limits::DEFAULT_MEMORY_BUDGET;

mod claims;

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

#[test]
fn the_last_byte_of_the_memory_is_used_before_anybody_waits() {
    // With one byte the disk threads would have nothing to do if whole pieces left a part of it free.
    for limit in [2, 64, DEFAULT_MEMORY_BUDGET, usize::MAX] {
        let budget = Budget::new(limit);
        budget.take(limit - 1);
        assert!(!budget.is_exhausted(), "one below {limit}");
        budget.take(1);
        assert!(budget.is_exhausted(), "at {limit}");
        budget.give_back(1);
        assert!(!budget.is_exhausted(), "one below {limit} again");
        budget.take(1);
        if limit < usize::MAX {
            // One turn of a thread may exceed it.
            budget.take(1);
            assert!(budget.is_exhausted(), "one above {limit}");
            budget.give_back(1);
            assert!(budget.is_exhausted(), "at {limit} again");
        }
        budget.give_back(limit);
        assert_eq!(budget.used(), 0);
    }
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

/// A task that is followed by another one until somebody says stop, like the reads of a peer that always wants more.
fn for_ever(shared: &Arc<Shared>, stop: Arc<AtomicBool>) {
    if !stop.load(Ordering::Relaxed) {
        let next = Arc::clone(shared);
        shared.run(move || for_ever(&next, stop));
    }
}

/// A content of one piece of five bytes that are not what they should be, and what it reports.
fn content(disk: &Disk, directory: &Path) -> (Arc<Content>, BlockRef, mpsc::Receiver<Done>) {
    let (tell, told) = mpsc::channel();
    let torrent =
        "d4:infod6:lengthi5e4:name1:t12:piece lengthi16384e6:pieces20:01234567890123456789ee";
    let metainfo = Arc::new(Metainfo::parse(torrent.as_bytes()).expect("a torrent"));
    let layout = Arc::new(metainfo.info().layout().clone());
    let block = layout.block(PieceIndex(0), 0);
    let report = Box::new(move |done| tell.send(done).expect("somebody listens"));
    let content = Content::new(
        disk,
        metainfo,
        layout,
        super::Site::plain(directory.to_owned()),
        report,
    );
    (content, block, told)
}

#[test]
fn pieces_are_verified_while_tasks_never_end() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::start(1 << 20).expect("threads");
    let (content, block, told) = content(&disk, directory.path());
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..100 {
        for_ever(disk.shared(), Arc::clone(&stop));
    }
    content.store([(block, Bytes::from_static(b"wrong"))]);
    let verdict = told.recv_timeout(Duration::from_secs(60));
    stop.store(true, Ordering::Relaxed);
    disk.stop();
    assert!(verdict.is_ok(), "tasks went first for ever");
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn tasks_that_panic_take_no_thread_away() {
    let disk = Disk::start(1 << 20).expect("threads");
    let (answer, wait) = mpsc::channel();
    // More than there are threads on any machine.
    for number in 0..2_000 {
        let answer = answer.clone();
        disk.run(move || {
            assert!(number % 2 > 0, "planted");
            answer.send(number).expect("somebody waits");
        });
    }
    drop(answer);
    assert_eq!(wait.iter().count(), 1_000);
    disk.stop();
    assert_eq!(disk.bugs().count(), 1_000);
}

#[test]
fn whoever_waits_for_a_read_is_answered_when_it_panics_and_so_is_the_owner() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::start(1 << 20).expect("threads");
    let (content, _, told) = content(&disk, directory.path());
    std::fs::write(directory.path().join("t"), b"right").expect("a file");
    let read = || {
        let (answer, wait) = mpsc::channel();
        content.fetch(0, 5, move |read| answer.send(read).expect("somebody waits"));
        wait.recv_timeout(PATIENCE).expect("an answer")
    };
    content.planted.plant();
    let error = read().expect_err("planted").to_string();
    assert!(error.ends_with("a bug of this program: planted"), "{error}");
    let told = told.recv_timeout(PATIENCE).expect("news");
    assert!(matches!(told, Done::Broken(words) if words == "planted"));
    assert_eq!(&read().expect("the disk goes on")[..], b"right");
    disk.stop();
}

#[test]
fn a_piece_whose_work_panics_is_reported_and_its_memory_given_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = Disk::start(1 << 20).expect("threads");
    let (content, block, told) = content(&disk, directory.path());
    content.planted.plant();
    content.store([(block, Bytes::from_static(b"wrong"))]);
    let first = told.recv_timeout(PATIENCE).expect("news");
    assert!(matches!(first, Done::Broken(_)), "{first:?}");
    assert_eq!(disk.budget().used(), 0);
    disk.stop();
}
