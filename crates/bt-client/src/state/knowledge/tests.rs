//! What is believed at a start, as tables; how long a record may be.

use super::record::{Reader, Record, header};
use super::set::Span;
use super::{Change, FileNow, FileThen, Known, Origin, Plan, Stamp, decide, is_elsewhere};
use crate::limits::{MAX_RECORDED_INDEX, MAX_SPAN_BYTES};
use bt_metainfo::{FileIndex, Layout, PieceIndex};
use std::collections::{BTreeMap, BTreeSet};

const LENGTHS: [u64; 3] = [25, 20, 15];

/// Six pieces of ten bytes: 0-2 in file 0, 2-4 in file 1, 4-5 in file 2.
fn layout() -> Layout {
    Layout::new(10, LENGTHS.map(|length| (length, false))).unwrap()
}

fn stamp(size: u64, seconds: i64) -> Stamp {
    Stamp {
        size,
        seconds,
        nanos: 0,
    }
}

fn closed(file: u32) -> (u32, FileThen) {
    (
        file,
        FileThen::Closed(stamp(LENGTHS[file as usize], i64::from(file))),
    )
}

fn known(pieces: &[u32], files: impl IntoIterator<Item = (u32, FileThen)>) -> Known {
    Known {
        origin: Origin {
            info_hash: [1; 20],
            device: 1,
            inode: 1,
            directory: Vec::new(),
        },
        pieces: pieces.iter().copied().collect(),
        looked: true,
        files: files.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// Every file as [`closed`] says it was left, but for `other`.
fn check(
    known: &Known,
    other: Option<(u32, FileNow)>,
    expected: [&[u32]; 3],
    changes: &[Change],
) -> Plan {
    let now = |file: FileIndex| match other {
        Some((index, now)) if index == file.0 => now,
        _ => FileNow::There(stamp(LENGTHS[file.0 as usize], i64::from(file.0))),
    };
    let plan = decide(&layout(), known, now, &BTreeSet::new());
    let list = |set: &bt_wire::Bitfield| set.iter_ones().map(|p| p.0).collect::<Vec<_>>();
    let found = [list(&plan.trust), list(&plan.hash), list(&plan.forget)];
    assert_eq!(found, expected.map(<[u32]>::to_vec));
    assert_eq!(plan.changes, changes);
    plan
}

#[test]
fn after_a_clean_stop_everything_is_as_it_was_left() {
    let all = [0, 1, 2, 3, 4, 5];
    check(
        &known(&all, [0, 1, 2].map(closed)),
        None,
        [&all, &[], &[]],
        &[],
    );
    check(
        &known(&[1], [0, 1, 2].map(closed)),
        None,
        [&[1], &[], &[]],
        &[],
    );
}

#[test]
fn after_a_crash_only_what_was_under_way_is_hashed() {
    let files = [closed(0), (1, FileThen::Opened), closed(2)];
    let touched = Some((1, FileNow::There(stamp(20, 999))));
    check(
        &known(&[0, 1, 3, 5], files),
        touched,
        [&[0, 1, 3, 5], &[2, 4], &[]],
        &[],
    );
}

#[test]
fn a_file_that_changed_is_hashed_and_its_neighbors_are_not() {
    let files = [0, 1, 2].map(closed);
    let all = [0, 1, 2, 3, 4, 5];
    let now = Some((1, FileNow::There(stamp(20, 999))));
    check(
        &known(&all, files),
        now,
        [&[0, 1, 5], &[2, 3, 4], &[]],
        &[Change::Touched(FileIndex(1))],
    );
    let longer = Some((1, FileNow::There(stamp(21, 1))));
    check(
        &known(&all, files),
        longer,
        [&[0, 1, 5], &[2, 3, 4], &[]],
        &[Change::Touched(FileIndex(1))],
    );
}

#[test]
fn pieces_of_a_missing_or_short_file_are_forgotten() {
    let all = [0, 1, 2, 3, 4, 5];
    let gone = known(&all, [0, 1, 2].map(closed));
    check(
        &gone,
        Some((1, FileNow::Missing)),
        [&[0, 1, 5], &[], &[2, 3, 4]],
        &[Change::Missing(FileIndex(1))],
    );
    // 5 of 20 bytes are left: they are in piece 2, and the rest of it is in file 0.
    let short = Some((1, FileNow::There(stamp(5, 9))));
    check(
        &gone,
        short,
        [&[0, 1, 5], &[2], &[3, 4]],
        &[Change::Short(FileIndex(1))],
    );
    let open = known(&all, [closed(0), (1, FileThen::Opened), closed(2)]);
    check(
        &open,
        short,
        [&[0, 1, 2, 5], &[], &[3, 4]],
        &[Change::Short(FileIndex(1))],
    );
    let none_proven = known(&[], [0, 1, 2].map(closed));
    check(
        &none_proven,
        Some((1, FileNow::Missing)),
        [&[], &[], &[]],
        &[],
    );
}

#[test]
fn holes_say_something_of_what_only_we_can_have_written() {
    // Restored by somebody who leaves out zeros: file 1 has another time, and its pieces were proven.
    let files = [(0, FileThen::Opened), closed(1), (2, FileThen::Opened)];
    let touched = Some((1, FileNow::There(stamp(20, 999))));
    let known = known(&[0, 3], files);
    let plan = check(
        &known,
        touched,
        [&[0], &[1, 2, 3, 4, 5], &[]],
        &[Change::Touched(FileIndex(1))],
    );
    let list = |set: &bt_wire::Bitfield| set.iter_ones().map(|p| p.0).collect::<Vec<_>>();
    assert_eq!(
        list(&plan.may_be_hole),
        [1, 5],
        "2 and 4 are in file 1 as well"
    );
    let mut fresh = known.clone();
    fresh.looked = false;
    let now = |file: FileIndex| FileNow::There(stamp(LENGTHS[file.0 as usize], 7));
    let plan = decide(&layout(), &fresh, now, &BTreeSet::new());
    assert!(
        plan.may_be_hole.is_empty(),
        "it may have been there before us"
    );
}

#[test]
fn content_that_nobody_looked_at_is_hashed() {
    let mut fresh = known(&[], []);
    fresh.looked = false;
    let plan = check(&fresh, None, [&[], &[0, 1, 2, 3, 4, 5], &[]], &[]);
    assert!(!plan.was_cut_short);
    let gone = Some((0, FileNow::Missing));
    check(&fresh, gone, [&[], &[3, 4, 5], &[]], &[]);
    // The look was cut short: what it had proven stays proven.
    fresh.pieces = [3].into_iter().collect();
    check(&fresh, None, [&[3], &[0, 1, 2, 4, 5], &[]], &[]);
}

#[test]
fn a_disk_that_is_not_mounted_is_not_refilled() {
    let all = known(&[0, 1, 2, 3, 4, 5], [0, 1, 2].map(closed));
    let there = check(&all, None, [&[0, 1, 2, 3, 4, 5], &[], &[]], &[]);
    assert!(
        !is_elsewhere(&all.origin, 2, &there),
        "numbers of devices change, the content is there"
    );
    let one_gone = Some((1, FileNow::Missing));
    let plan = check(
        &all,
        one_gone,
        [&[0, 1, 5], &[], &[2, 3, 4]],
        &[Change::Missing(FileIndex(1))],
    );
    assert!(
        !is_elsewhere(&all.origin, 2, &plan),
        "its owner deleted one, and the others are there"
    );
    let plan = decide(&layout(), &all, |_| FileNow::Missing, &BTreeSet::new());
    assert!(is_elsewhere(&all.origin, 2, &plan));
    assert!(
        !is_elsewhere(&all.origin, 1, &plan),
        "deleted by its owner, as it seems"
    );
}

#[test]
fn bytes_that_lie_apart_from_their_file_are_hashed_whatever_the_file_looks_like() {
    let known = known(
        &[0, 1, 2, 4, 5],
        [closed(0), (1, FileThen::Opened), closed(2)],
    );
    // Pieces 2 and 4 hold bytes of file 1, which nobody wants.
    let apart = BTreeSet::from([2, 4].map(|piece| (FileIndex(1), PieceIndex(piece))));
    let there = |file: FileIndex| stamp(LENGTHS[file.0 as usize], i64::from(file.0));
    for (size, hashed) in [(None, vec![2, 4]), (Some(20), vec![2, 3, 4])] {
        let now = |file: FileIndex| match (file.0, size) {
            (1, None) => FileNow::Missing,
            (1, Some(size)) => FileNow::There(stamp(size, 7)),
            _ => FileNow::There(there(file)),
        };
        let plan = decide(&layout(), &known, now, &apart);
        let list = |set: &bt_wire::Bitfield| set.iter_ones().map(|p| p.0).collect::<Vec<_>>();
        assert_eq!(list(&plan.trust), [0, 1, 5]);
        assert_eq!(list(&plan.hash), hashed);
        assert_eq!((list(&plan.forget), plan.changes), (vec![], vec![]));
    }
}

#[test]
fn a_span_of_so_many_bytes_is_read_and_a_longer_one_has_no_meaning() {
    let longest = usize::from(u16::MAX) - 4;
    for (first, bytes, is_read) in [
        (0, MAX_SPAN_BYTES, true),
        (0, MAX_SPAN_BYTES + 1, false),
        // As much as the length of a record can say.
        (0, longest, false),
        (MAX_RECORDED_INDEX - 1, MAX_SPAN_BYTES, true),
        (MAX_RECORDED_INDEX, 1, false),
        (u32::MAX, 1, false),
    ] {
        let span = Span {
            first,
            bits: vec![1; bytes],
        };
        let record = Record::Verified {
            torrent: u32::MAX,
            pieces: span,
        };
        let mut bytes = header(9);
        record.encode(9, &mut bytes);
        let read = Reader::new(&bytes).unwrap().next().unwrap();
        match read {
            Ok(read) => assert!(is_read && read == record, "{first}"),
            Err(bad) => assert!(!is_read && bad.why == "the record has no meaning"),
        }
    }
}
