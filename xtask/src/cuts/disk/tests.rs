//! What survives, case by case.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{Disk, Moment, ROOT, Survival, Trouble};
use crate::bytes::SECTOR;
use crate::chance::Chance;

const THEN: SystemTime = SystemTime::UNIX_EPOCH;

fn name(text: &str) -> &OsStr {
    OsStr::new(text)
}

/// A file of a directory of its own, both with names that last.
fn disk() -> (Disk, u64, u64) {
    let mut disk = Disk::new(THEN);
    let directory = disk.create(ROOT, name("d"), true, 0o700, THEN).unwrap();
    let file = disk
        .create(directory.inode, name("f"), false, 0o600, THEN)
        .unwrap();
    disk.sync(ROOT, false).unwrap();
    disk.sync(directory.inode, false).unwrap();
    (disk, directory.inode, file.inode)
}

fn bytes(disk: &Disk) -> Vec<u8> {
    disk.bytes(Path::new("d/f")).unwrap().all.clone()
}

#[test]
fn what_was_synced_survives_whatever_chance_says() {
    for seed in 0..200 {
        let (mut disk, _, file) = disk();
        disk.write(file, 0, &[1; 3_000], THEN).unwrap();
        disk.sync(file, true).unwrap();
        disk.write(file, 1_000, &[2; 5_000], THEN).unwrap();
        disk.cut(Survival::Chance, &mut Chance::new(seed));
        let left = bytes(&disk);
        assert!(left.len() >= 3_000 && left[..1_000] == [1; 1_000]);
        assert!(left[1_000..3_000].iter().all(|byte| [1, 2].contains(byte)));
        assert!(left[3_000..].iter().all(|byte| [0, 2].contains(byte)));
    }
}

#[test]
fn what_was_not_synced_is_dropped_reordered_and_torn() {
    let (mut dropped, mut kept, mut torn, mut reordered) = (0, 0, 0, 0);
    for seed in 0..200 {
        let (mut disk, _, file) = disk();
        disk.write(file, 0, &[1; 4 * SECTOR], THEN).unwrap();
        disk.write(file, 8 * SECTOR as u64, &[2; SECTOR], THEN)
            .unwrap();
        disk.cut(Survival::Chance, &mut Chance::new(seed));
        let left = bytes(&disk);
        let first = left.iter().filter(|byte| **byte == 1).count();
        let is_later_there = left.len() > 8 * SECTOR;
        dropped += usize::from(left.is_empty());
        kept += usize::from(first == 4 * SECTOR && is_later_there);
        torn += usize::from(first > 0 && first < 4 * SECTOR);
        reordered += usize::from(first == 0 && is_later_there);
        assert_eq!(first % SECTOR, 0, "a sector is there or not");
    }
    assert!(dropped > 0 && kept > 0 && torn > 0 && reordered > 0);
    let (mut disk, _, file) = disk();
    disk.write(file, 0, &[1], THEN).unwrap();
    disk.cut(Survival::Nothing, &mut Chance::new(0));
    assert!(bytes(&disk).is_empty());
}

#[test]
fn a_name_lasts_when_its_directory_is_synced_and_not_when_its_file_is() {
    let (mut disk, directory, _) = disk();
    let new = disk
        .create(directory, name("new"), false, 0o600, THEN)
        .unwrap();
    disk.write(new.inode, 0, b"hello", THEN).unwrap();
    disk.sync(new.inode, false).unwrap();
    let mut unsynced = Disk::new(THEN);
    std::mem::swap(&mut unsynced, &mut disk);
    unsynced.cut(Survival::Nothing, &mut Chance::new(1));
    assert_eq!(
        unsynced.look_up(directory, name("new")).unwrap_err(),
        Trouble::NotFound
    );

    let (mut disk, directory, file) = self::disk();
    disk.write(file, 0, b"old", THEN).unwrap();
    disk.sync(file, false).unwrap();
    let new = disk
        .create(directory, name("f.new"), false, 0o600, THEN)
        .unwrap();
    disk.write(new.inode, 0, b"new", THEN).unwrap();
    disk.sync(new.inode, false).unwrap();
    disk.rename((directory, name("f.new")), (directory, name("f")), true)
        .unwrap();
    assert_eq!(bytes(&disk), b"new");
    assert_eq!(disk.synced(Path::new("d"), name("f")).unwrap(), b"old");
    disk.sync(directory, false).unwrap();
    assert_eq!(disk.synced(Path::new("d"), name("f")).unwrap(), b"new");
    disk.cut(Survival::Nothing, &mut Chance::new(1));
    assert_eq!(bytes(&disk), b"new");
    assert_eq!(disk.names_in(Path::new("d")), ["f"]);
}

#[test]
fn a_directory_whose_own_name_was_not_synced_takes_all_in_it_along() {
    let mut disk = Disk::new(THEN);
    let directory = disk.create(ROOT, name("d"), true, 0o700, THEN).unwrap();
    let file = disk
        .create(directory.inode, name("f"), false, 0o600, THEN)
        .unwrap();
    disk.write(file.inode, 0, b"lost", THEN).unwrap();
    disk.sync(file.inode, false).unwrap();
    disk.sync(directory.inode, false).unwrap();
    disk.cut(Survival::Nothing, &mut Chance::new(3));
    assert!(disk.names_in(Path::new("")).is_empty());
    assert_eq!(disk.look(file.inode).unwrap_err(), Trouble::NotFound);
}

#[test]
fn the_time_of_a_file_lasts_with_fsync_only() {
    let later = THEN + Duration::from_secs(9);
    for (only_data, expected) in [(true, THEN), (false, later)] {
        let (mut disk, _, file) = disk();
        disk.write(file, 0, &[1], later).unwrap();
        disk.sync(file, only_data).unwrap();
        disk.cut(Survival::Nothing, &mut Chance::new(1));
        assert_eq!(disk.look(file).unwrap().modified, expected);
    }
}

#[test]
fn holes_are_where_nothing_was_written() {
    let (mut disk, _, file) = disk();
    disk.set_length(file, 20_000, THEN).unwrap();
    disk.write(file, 5_000, &[1; 100], THEN).unwrap();
    let mut seek = |offset, for_data| disk.seek(file, offset, for_data);
    assert_eq!(seek(0, false), Ok(0));
    assert_eq!(seek(0, true), Ok(4_096));
    assert_eq!(seek(5_000, false), Ok(8_192));
    assert_eq!(seek(9_000, true), Err(Trouble::NoData));
    assert_eq!(seek(20_000, false), Err(Trouble::NoData));
}

#[test]
fn the_power_goes_at_the_moment_that_was_named() {
    let (mut disk, _, file) = disk();
    disk.power_on(Some(Moment::Sync(2)));
    assert_eq!(disk.sync(file, true), Ok(()));
    assert_eq!(disk.sync(file, true), Err(Trouble::Dead));
    disk.power_on(Some(Moment::Request(2)));
    disk.write(file, 0, &[1], THEN).unwrap();
    assert_eq!(disk.write(file, 1, &[2], THEN), Err(Trouble::Dead));
    assert_eq!(disk.look(file).unwrap_err(), Trouble::Dead);
    assert_eq!(bytes(&disk), [1]);
    disk.power_on(None);
    assert!(disk.look(file).is_ok());
    assert!(disk.is_below(Path::new("d"), file) && !disk.is_below(Path::new("e"), file));
}
