//! Relocations that the system refuses in their middle, and disks that are not what they were.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use bt_metainfo::{FileIndex, Metainfo, SafePath};
use rustix::io::Errno;

use super::{FILES, assert_whole, content, directories, names, next_run, write};
use crate::disk::stage::{Ended, Moment, Placing, Stage};
use crate::disk::{Allocation, Content, Disk, DiskError, Fault, Site};

type Answer = Box<dyn FnMut(&str, &Path) -> Option<Errno>>;

thread_local! {
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
    static COARSE: RefCell<bool> = const { RefCell::new(false) };
}

/// Asked before the system is: what it answers instead in this thread.
pub(in crate::disk::relocate) fn may_fail(
    action: &'static str,
    path: &Path,
) -> Result<(), DiskError> {
    let answer = ANSWER.with_borrow_mut(|answer| answer.as_mut()?(action, path));
    match answer {
        Some(errno) => Err(DiskError::new(action, path, errno.into())),
        None => Ok(()),
    }
}

/// The time that a copy gets, as the file system counts it.
pub(in crate::disk::relocate) fn as_counted(time: SystemTime) -> SystemTime {
    if !COARSE.with_borrow(|coarse| *coarse) {
        return time;
    }
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(since.as_secs())
}

/// While it lives, the system answers so.
struct Trouble;

impl Trouble {
    fn with(answer: impl FnMut(&str, &Path) -> Option<Errno> + 'static) -> Self {
        ANSWER.set(Some(Box::new(answer)));
        Self
    }

    /// The file system of the new place counts seconds.
    fn coarse() -> Self {
        COARSE.set(true);
        Self
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        ANSWER.set(None);
        COARSE.set(false);
    }
}

/// The moves that the file system is asked for are refused from the `first`, and `then` as well.
fn refuse(first: usize, errno: Errno, then: impl Fn(&str) -> bool + 'static) -> Trouble {
    let mut moves = 0;
    Trouble::with(move |action, _| {
        if action == "move a file to" {
            moves += 1;
            if moves == first {
                return Some(errno);
            }
        }
        (moves >= first && then(action)).then_some(Errno::IO)
    })
}

fn go(content: &Content, site: &Site) -> (Result<(), DiskError>, Vec<Stage>) {
    let mut stages = Vec::new();
    let keep = |stage| {
        stages.push(stage);
        Ok::<_, DiskError>(())
    };
    let done = content.relocate(site, &AtomicBool::new(false), keep, |_, _| {});
    (done, stages)
}

fn is_placing(stage: &Stage, copies: bool) -> bool {
    matches!(stage, Stage::Placing(placing) if placing.copied.is_some() == copies)
}

/// Two mounts of one file system have one device, and no name leads from one to the other.
fn across() -> Trouble {
    let is_across = |action: &str, path: &Path| {
        action == "move a file to" && !path.to_string_lossy().contains(".moving")
    };
    // Out of the directory of copies names lead to where they belong.
    let mut is_copied = false;
    Trouble::with(move |action, path| {
        is_copied |= action == "copy";
        (is_across(action, path) && !is_copied).then_some(Errno::XDEV)
    })
}

#[test]
fn between_two_mounts_of_one_file_system_content_is_copied() {
    let [(from, to), _] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let here = content(&disk, Site::plain(from.path().to_owned()));
    let _trouble = across();
    let (done, stages) = go(&here, &Site::plain(to.path().to_owned()));
    done.unwrap();
    assert_whole(&here, "after");
    assert_eq!(names(from.path()), [""; 0]);
    assert!(is_placing(&stages[0], false), "{stages:?}");
    assert_eq!(stages[1], Stage::Copying);
    assert!(is_placing(&stages[2], true), "{stages:?}");
    assert_eq!(stages[3..], [Stage::Arrived(Vec::new()), Stage::Gone]);
    disk.stop();
}

/// The same with a crash before and after each stage was kept; the next run asks what is kept and not the devices.
#[test]
fn after_a_crash_between_two_mounts_the_content_is_found() {
    for crash in 0..10 {
        let [(from, to), _] = directories();
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        let old = Site::plain(from.path().to_owned());
        let new = Site::plain(to.path().to_owned());
        let here = content(&disk, old.clone());
        let trouble = across();
        let kept = super::cut(&here, &new, crash);
        if crash > 1 {
            drop(trouble);
        }
        next_run(
            &disk,
            &old,
            &new,
            kept.clone(),
            &format!("{crash} {kept:?}"),
        );
        disk.stop();
    }
}

#[test]
fn a_move_that_is_taken_back_says_so_before_its_copies_go() {
    let [_, (from, to)] = directories();
    let (old, new) = [&from, &to]
        .map(|dir| Site::plain(dir.path().to_owned()))
        .into();
    for crash in 0..8 {
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        let here = content(&disk, Site::clone(&old));
        let trouble = refuse(2, Errno::IO, |_| false);
        let kept = super::cut(&here, &new, crash);
        drop(trouble);
        next_run(
            &disk,
            &old,
            &new,
            kept.clone(),
            &format!("{crash} {kept:?}"),
        );
        disk.stop();
        for dir in [&from, &to] {
            for entry in std::fs::read_dir(dir.path()).unwrap() {
                let path = entry.unwrap().path();
                let _ = std::fs::remove_dir_all(&path).or_else(|_| std::fs::remove_file(&path));
            }
        }
    }
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let here = content(&disk, old);
    let _trouble = refuse(2, Errno::IO, |_| false);
    let (done, stages) = go(&here, &new);
    assert!(done.unwrap_err().to_string().contains("move a file to"));
    assert!(is_placing(&stages[1], true));
    assert_eq!(stages[2..], [Stage::Copying, Stage::Abandoned]);
    assert_whole(&here, "where it was");
    assert_eq!(names(to.path()), [""; 0]);
    disk.stop();
}

#[test]
fn copies_stay_when_it_cannot_be_kept_that_they_are_not_needed() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let (old, new) = (from.path(), Site::plain(to.path().to_owned()));
    let here = content(&disk, Site::plain(old.to_owned()));
    let trouble = refuse(2, Errno::IO, |_| false);
    let mut kept = Vec::new();
    let keep = |stage| match kept.iter().any(|kept| is_placing(kept, true)) {
        true => Err(DiskError::replaced(Path::new("state"))),
        false => {
            kept.push(stage);
            Ok(())
        }
    };
    here.relocate(&new, &AtomicBool::new(false), keep, |_, _| {})
        .unwrap_err();
    drop(trouble);
    assert_whole(&here, "where it was");
    let old = Site::plain(old.to_owned());
    // The process ends, and uses the files no more.
    drop(here);
    next_run(&disk, &old, &new, kept.pop(), "with its copies");
    disk.stop();
}

#[test]
fn old_names_that_may_not_be_there_to_stay_are_not_taken_for_given_back() {
    let [(from, to), _] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let (old, new) = (from.path().to_owned(), Site::plain(to.path().to_owned()));
    let here = content(&disk, Site::plain(old.clone()));
    let trouble = refuse(2, Errno::IO, |action| action == "sync");
    let (done, mut stages) = go(&here, &new);
    drop(trouble);
    assert!(done.unwrap_err().to_string().contains("move a file to"));
    assert!(is_placing(stages.last().unwrap(), false), "{stages:?}");
    next_run(&disk, &Site::plain(old), &new, stages.pop(), "finished");
    disk.stop();
}

/// As after a crash in the middle, when the disk is not mounted at the next start.
#[test]
fn a_move_is_not_finished_where_its_disk_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["inc", "done"].map(|name| Site::plain(dir.path().join(name)));
    let disk = Disk::start(1 << 20).unwrap();
    for copied in [None, Some(Moment::default())] {
        let placing = Placing {
            copied,
            ..Placing::default()
        };
        let here = content(&disk, old.clone());
        let ended = here.finish_relocation(&new, &placing, true).unwrap();
        assert_eq!(ended, Ended::Elsewhere, "nothing is anywhere");
        assert!(!new.directory.exists());

        write(&old.directory, "");
        let ended = here.finish_relocation(&new, &placing, false).unwrap();
        assert_eq!(ended, Ended::Elsewhere, "another disk");
        assert!(!new.directory.exists());
        assert_whole(&here, "where it was");
        std::fs::remove_dir_all(&old.directory).unwrap();
    }
    // The disk is there, and the copies are not.
    write(&old.directory, "");
    let here = content(&disk, old);
    let placing = Placing {
        copied: Some(Moment::default()),
        ..Placing::default()
    };
    let ended = here.finish_relocation(&new, &placing, true).unwrap();
    assert_eq!(ended, Ended::Back);
    assert_whole(&here, "where it was");
    disk.stop();
}

#[test]
fn times_that_cannot_be_kept_are_told_and_keep_no_old_copy() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let here = content(&disk, Site::plain(from.path().to_owned()));
    let before = here.look(FileIndex(2)).unwrap();
    let _trouble = Trouble::coarse();
    let (done, mut stages) = go(&here, &Site::plain(to.path().to_owned()));
    done.unwrap();
    assert_eq!(names(from.path()), [""; 0]);
    let after = here.look(FileIndex(2)).unwrap();
    assert_ne!(before, after);
    assert_eq!(stages.pop(), Some(Stage::Gone));
    let Some(Stage::Arrived(retimed)) = stages.pop() else {
        panic!("{stages:?}");
    };
    let it = retimed.iter().find(|retimed| retimed.file == FileIndex(2));
    let it = it.unwrap();
    assert_eq!((Some(it.before), Some(it.after)), (before, after));
    disk.stop();
}

#[test]
fn after_a_crash_times_that_could_not_be_kept_are_told() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let (old, new) = [&from, &to]
        .map(|dir| Site::plain(dir.path().to_owned()))
        .into();
    let here = content(&disk, Site::clone(&old));
    let before = here.look(FileIndex(2)).unwrap();
    let trouble = Trouble::coarse();
    // Placing is kept, and nothing has its name.
    let kept = super::cut(&here, &new, 3);
    drop(trouble);
    let Some(Stage::Placing(placing)) = kept else {
        panic!("{kept:?}");
    };
    let again = content(&disk, old.clone());
    let ended = again.finish_relocation(&new, &placing, true).unwrap();
    let Ended::Arrived(retimed) = ended else {
        panic!("{ended:?}");
    };
    let it = retimed.iter().find(|retimed| retimed.file == FileIndex(2));
    let it = it.unwrap();
    assert_eq!(
        (Some(it.before), Some(it.after)),
        (before, again.look(FileIndex(2)).unwrap())
    );
    again.leave(&old, placing.copied).unwrap();
    assert_whole(&again, "there");
    assert_eq!(names(from.path()), [""; 0]);
    disk.stop();
}

/// Content that is downloaded goes on being written as soon as it has arrived.
#[test]
fn an_old_copy_goes_though_the_new_one_is_written_to_already() {
    let [_, (from, to)] = directories();
    for is_crash in [false, true] {
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        let (old, new) = [&from, &to]
            .map(|dir| Site::plain(dir.path().to_owned()))
            .into();
        let here = content(&disk, Site::clone(&old));
        let mut until = None;
        let keep = |stage: Stage| {
            if let Stage::Placing(placing) = &stage {
                until = placing.copied;
            }
            if matches!(stage, Stage::Arrived(_)) {
                let file = File::options().append(true).open(to.path().join("t/d/y"));
                file.unwrap().set_modified(SystemTime::now()).unwrap();
                assert!(!is_crash, "the power is cut");
            }
            Ok::<_, DiskError>(())
        };
        let run = std::panic::AssertUnwindSafe(|| {
            here.relocate(&new, &AtomicBool::new(false), keep, |_, _| {})
        });
        let done = std::panic::catch_unwind(run);
        assert_eq!(done.is_err(), is_crash);
        if is_crash {
            // Nobody but us: what somebody has put there since stays.
            std::fs::remove_file(from.path().join("t/x")).unwrap();
            std::fs::write(from.path().join("t/x"), super::bytes(9, 20_000)).unwrap();
            let again = content(&disk, new);
            again.leave(&old, until).unwrap();
            assert_eq!(names(&from.path().join("t")), ["x"]);
        } else {
            assert_eq!(names(from.path()), [""; 0]);
            std::fs::remove_dir_all(to.path().join("t")).unwrap();
            std::fs::remove_file(to.path().join(names(to.path()).pop().unwrap())).unwrap();
        }
        disk.stop();
    }
}

fn one_file(length: u64) -> Arc<Metainfo> {
    const PIECE: u64 = 64 << 20;
    let hashes = "h".repeat(20 * usize::try_from(length.div_ceil(PIECE)).unwrap());
    let text = format!(
        "d4:infod6:lengthi{length}e4:name1:f12:piece lengthi{PIECE}e6:pieces{}:{hashes}ee",
        hashes.len()
    );
    Arc::new(Metainfo::parse(text.as_bytes()).unwrap())
}

fn single(disk: &Disk, length: u64, directory: &Path) -> Arc<Content> {
    let metainfo = one_file(length);
    let layout = Arc::new(metainfo.info().layout().clone());
    let site = Site::plain(directory.to_owned());
    Content::new(disk, metainfo, layout, site, Box::new(|_| {}))
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_copied() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    // More than any disk of a test machine has.
    let here = single(&disk, 1 << 44, from.path());
    here.set_allocation(Allocation::Full);
    std::fs::write(from.path().join("f"), "some").unwrap();
    let mut told = 0;
    let error = here
        .relocate(
            &Site::plain(to.path().to_owned()),
            &AtomicBool::new(false),
            |_| Ok::<_, DiskError>(()),
            |done, _| told += done,
        )
        .unwrap_err();
    assert_eq!((error.fault(), error.action), (Fault::Full, "move to"));
    assert!(
        error.to_string().contains("17592186044416 bytes"),
        "{error}"
    );
    assert_eq!(told, 0);
    assert_eq!(names(to.path()), [""; 0]);
    assert_eq!(std::fs::read(from.path().join("f")).unwrap(), b"some");
    disk.stop();
}

#[test]
fn files_that_have_all_their_room_have_it_at_the_new_place_as_well() {
    const LENGTH: u64 = 3 << 20;
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    let here = single(&disk, LENGTH, from.path());
    here.set_allocation(Allocation::Full);
    let slices = &mut [std::io::IoSlice::new(b"some")];
    here.write_run(0, slices).unwrap();
    let (done, _) = go(&here, &Site::plain(to.path().to_owned()));
    done.unwrap();
    let meta = std::fs::metadata(to.path().join("f")).unwrap();
    assert_eq!(meta.len(), LENGTH);
    assert!(meta.blocks() * 512 >= LENGTH, "{} blocks", meta.blocks());
    disk.stop();
}

#[test]
fn nothing_that_has_not_changed_is_synced_while_others_wait() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let here = content(&disk, Site::plain(from.path().to_owned()));
    let watched = Arc::clone(&here);
    // While nobody waits, and while others do.
    let synced = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let counts = Arc::clone(&synced);
    let trouble = Trouble::with(move |action, _| {
        if action == "sync a copy" {
            let is_held = watched.places.try_read().is_err();
            counts[usize::from(is_held)].fetch_add(1, Ordering::Relaxed);
        }
        None
    });
    let (done, _) = go(&here, &Site::plain(to.path().to_owned()));
    drop(trouble);
    done.unwrap();
    let synced = [0, 1].map(|at: usize| synced[at].load(Ordering::Relaxed));
    assert_eq!(synced, [FILES.len() + 1, 0]);
    assert_whole(&here, "there");
    disk.stop();
}

#[test]
fn content_that_is_written_faster_than_it_is_copied_stays_where_it_is() {
    const LENGTH: u64 = 80 << 20;
    let [_, (from, to)] = directories();
    for rounds in [3, usize::MAX] {
        let disk = Disk::start(1 << 20).unwrap();
        let here = single(&disk, LENGTH, from.path());
        let writer = Arc::clone(&here);
        let fill = move || {
            for at in (0..LENGTH).step_by(1 << 20) {
                let slices = &mut [std::io::IoSlice::new(b"new")];
                writer.write_run(at, slices).unwrap();
            }
        };
        fill();
        let mut round = 0;
        let trouble = Trouble::with(move |action, _| {
            if matches!(action, "copy" | "copy again") && round < rounds {
                round += 1;
                fill();
            }
            None
        });
        let (done, stages) = go(&here, &Site::plain(to.path().to_owned()));
        drop(trouble);
        let mut there = [0; 3];
        here.read_at(LENGTH - (1 << 20), &mut there).unwrap();
        assert_eq!(&there, b"new");
        if rounds == 3 {
            done.unwrap();
            assert_eq!(stages.last(), Some(&Stage::Gone));
            assert_eq!(names(from.path()), [""; 0]);
            std::fs::remove_file(to.path().join("f")).unwrap();
        } else {
            let error = done.unwrap_err();
            assert!(error.hint().contains("lower its rate"), "{error}");
            assert_eq!(stages, [Stage::Copying, Stage::Abandoned]);
            assert_eq!(names(to.path()), [""; 0]);
        }
        disk.stop();
    }
}

/// `a<TAB>b` beside `a_b`, as they are called when they are downloaded.
#[test]
fn after_a_crash_no_file_gets_the_name_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let hashes = "h".repeat(20);
    let text = format!(
        "d4:infod5:filesld6:lengthi4e4:pathl3:a\tbeed6:lengthi6e4:pathl3:a_beee4:name1:t12:piece lengthi16384e6:pieces20:{hashes}ee"
    );
    let metainfo = Arc::new(Metainfo::parse(text.as_bytes()).unwrap());
    let layout = Arc::new(metainfo.info().layout().clone());
    let [first, second] = [0, 1].map(|file| metainfo.info().disk_path(FileIndex(file)));
    std::fs::create_dir(dir.path().join("t")).unwrap();
    std::fs::write(dir.path().join(&first), "four").unwrap();
    std::fs::write(dir.path().join(&second), "sixsix").unwrap();
    let disk = Disk::start(1 << 20).unwrap();
    let old = Site::plain(dir.path().to_owned());
    let here = Content::new(&disk, metainfo, layout, old, Box::new(|_| {}));
    let mut new = here.site();
    new.names
        .insert(FileIndex(1), SafePath::sanitize([b"z".as_slice()]));
    let ended = here
        .finish_relocation(&new, &Placing::default(), true)
        .unwrap();
    assert_eq!(ended, Ended::Arrived(Vec::new()));
    let read = |path: &Path| std::fs::read(dir.path().join(path)).unwrap();
    assert_eq!(read(&first), b"four");
    assert_eq!(read(Path::new("t/z")), b"sixsix");
    disk.stop();
}

#[test]
fn files_that_lie_under_their_own_names_are_kept_as_such() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hashes = "h".repeat(20);
    let text = format!(
        "d4:infod5:filesld6:lengthi4e4:pathl3:a\tbeed6:lengthi6e4:pathl1:ceee4:name1:t12:piece lengthi16384e6:pieces20:{hashes}ee"
    );
    let metainfo = Arc::new(Metainfo::parse(text.as_bytes()).unwrap());
    let layout = Arc::new(metainfo.info().layout().clone());
    std::fs::create_dir(from.path().join("t")).unwrap();
    std::fs::write(from.path().join("t/a\tb"), "four").unwrap();
    std::fs::write(from.path().join("t/c"), "sixsix").unwrap();
    let disk = Disk::start(1 << 20).unwrap();
    let (old, new) = [&from, &to]
        .map(|dir| Site::plain(dir.path().to_owned()))
        .into();
    let make = || {
        let site = Site::clone(&old);
        Content::new(
            &disk,
            Arc::clone(&metainfo),
            Arc::clone(&layout),
            site,
            Box::new(|_| {}),
        )
    };
    let Some(Stage::Placing(placing)) = super::cut(&make(), &new, 1) else {
        panic!("the first stage");
    };
    assert_eq!(placing.native, [FileIndex(0)]);
    make().finish_relocation(&new, &placing, true).unwrap();
    assert_eq!(std::fs::read(to.path().join("t/a\tb")).unwrap(), b"four");
    assert_eq!(std::fs::read(to.path().join("t/c")).unwrap(), b"sixsix");
    disk.stop();
}

/// In the moment in which copies have got their names and nobody has said so yet.
#[test]
fn copies_are_in_use_under_their_new_names_at_once() {
    for (from, to) in directories() {
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        let here = content(&disk, Site::plain(from.path().to_owned()));
        here.hold(|_| false).unwrap();
        let stranger = content(&disk, Site::plain(to.path().to_owned()));
        let tried = Arc::new(AtomicUsize::new(0));
        let tries = Arc::clone(&tried);
        let _trouble = Trouble::with(move |action, path| {
            if action == "sync" && path == Path::new("names") {
                let refused = stranger.write_run(0, &mut [std::io::IoSlice::new(b"mine")]);
                assert_eq!(refused.unwrap_err().fault(), Fault::Shared);
                tries.fetch_add(1, Ordering::Relaxed);
            }
            None
        });
        let (done, _) = go(&here, &Site::plain(to.path().to_owned()));
        done.unwrap();
        assert_eq!(tried.load(Ordering::Relaxed), 1);
        assert_whole(&here, "after");
        disk.stop();
    }
}

#[test]
fn copies_that_do_not_get_their_names_are_nobodys() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let here = content(&disk, Site::plain(from.path().to_owned()));
    here.hold(|_| false).unwrap();
    let new = Site::plain(to.path().to_owned());
    {
        let _trouble = refuse(3, Errno::ACCESS, |_| false);
        let (done, _) = go(&here, &new);
        assert_eq!(done.unwrap_err().fault(), Fault::Denied);
    }
    assert_whole(&here, "as it was");
    // What it has is still what it has.
    let again = content(&disk, Site::plain(from.path().to_owned()));
    assert_eq!(again.hold(|_| true).unwrap_err().fault(), Fault::Shared);
    disk.stop();
}

/// Another torrent comes to share the old files while they are copied.
#[test]
fn old_files_that_another_content_has_come_to_share_stay() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let old = Site::plain(from.path().to_owned());
    let [here, sharer] = [(); 2].map(|()| content(&disk, old.clone()));
    here.hold(|_| false).unwrap();
    let mut is_copied = false;
    let keep = |stage| {
        if let Stage::Placing(placing) = &stage {
            is_copied = placing.copied.is_some();
            sharer.hold(|_| false).unwrap();
        }
        Ok::<_, DiskError>(())
    };
    let new = Site::plain(to.path().to_owned());
    here.relocate(&new, &AtomicBool::new(false), keep, |_, _| {})
        .unwrap();
    assert_whole(&here, "after");
    assert!(is_copied, "there is no second file system");
    assert!(
        from.path().join("t/x").exists() && from.path().join("t/d/y").exists(),
        "they were taken away from the other one"
    );
    disk.stop();
}
