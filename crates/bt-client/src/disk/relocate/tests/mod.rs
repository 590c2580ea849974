//! Relocations that end at each of their stages, as a crash ends them, and what the next run makes of it.

pub(super) mod trouble;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bt_metainfo::{FileIndex, Metainfo, SafePath};

use super::{Placing, Stage};
use crate::disk::{Content, Disk, DiskError, Ended, Moment, Site};

/// `t/x`, `t/x.part` (which is what `x` is called with a suffix), `t/d/y`, a hole among them, and an empty file.
const FILES: [(&str, usize); 4] = [
    ("x", 20_000),
    ("x.part", 30_000),
    ("d/y", 2_500_000),
    ("e", 0),
];

fn metainfo() -> Metainfo {
    let file = |(path, length): &(&str, usize)| {
        let parts: String = path
            .split('/')
            .map(|part| format!("{}:{part}", part.len()))
            .collect();
        format!("d6:lengthi{length}e4:pathl{parts}ee")
    };
    let files: String = FILES.iter().map(file).collect();
    let total: usize = FILES.iter().map(|(_, length)| length).sum();
    let hashes = "h".repeat(20 * total.div_ceil(16_384));
    let text = format!(
        "d4:infod5:filesl{files}e4:name1:t12:piece lengthi16384e6:pieces{}:{hashes}ee",
        hashes.len()
    );
    Metainfo::parse(text.as_bytes()).unwrap()
}

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| seed.wrapping_add((at / 7).to_le_bytes()[0]))
        .collect()
}

fn content(disk: &Disk, site: Site) -> Arc<Content> {
    let metainfo = Arc::new(metainfo());
    let layout = Arc::new(metainfo.info().layout().clone());
    Content::new(disk, metainfo, layout, site, Box::new(|_| {}))
}

fn write(directory: &Path, suffix: &str) {
    for (seed, (path, length)) in (1..).zip(FILES) {
        let path = directory.join("t").join(format!("{path}{suffix}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes(seed, length)).unwrap();
    }
    std::fs::write(directory.join(metainfo().info().parts_path()), "parts").unwrap();
}

/// All of the content can be read at the site that `content` takes for its own, and lies there under these names.
#[track_caller]
fn assert_whole(content: &Content, what: &str) {
    let site = content.site();
    let mut at = 0;
    for (seed, (path, length)) in (1..).zip(FILES) {
        let top = site.top.as_ref().map_or("t", SafePath::as_str);
        let path = site
            .directory
            .join(top)
            .join(format!("{path}{}", site.suffix));
        assert_eq!(
            std::fs::metadata(&path).unwrap().len(),
            length as u64,
            "{what}: {path:?}"
        );
        let mut there = vec![0; length];
        content
            .read_at(at, &mut there)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(there == bytes(seed, length), "{what}: {path:?}");
        at += length as u64;
    }
    let parts = site.directory.join(metainfo().info().parts_path());
    assert_eq!(std::fs::read(parts).unwrap(), b"parts", "{what}");
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A directory here and one on another file system.
fn directories() -> [(tempfile::TempDir, tempfile::TempDir); 2] {
    let here = || tempfile::tempdir().unwrap();
    let other = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| here());
    [(here(), here()), (other, here())]
}

#[test]
fn content_that_moves_is_there_with_its_times_and_nothing_of_it_stays() {
    for (from, to) in directories() {
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        std::fs::write(from.path().join("t/mine.txt"), "not ours").unwrap();
        let here = content(&disk, Site::plain(from.path().to_owned()));
        let look = here.look(FileIndex(2)).unwrap();
        // Opened before, so that the old one must not be used any longer.
        assert_whole(&here, "before");
        let mut stages = Vec::new();
        let site = Site {
            top: Some(SafePath::sanitize([b"new".as_slice()])),
            ..Site::plain(to.path().to_owned())
        };
        let keep = |stage| {
            stages.push(stage);
            Ok::<_, DiskError>(())
        };
        here.relocate(&site, &AtomicBool::new(false), keep, |_, _| {})
            .unwrap();
        assert_whole(&here, "after");
        assert_eq!(here.look(FileIndex(2)).unwrap(), look, "size and time");
        assert_eq!(names(from.path()), ["t"], "what is not ours stays");
        assert_eq!(names(&from.path().join("t")), ["mine.txt"]);
        assert_eq!(stages.last(), Some(&Stage::Gone));
        assert!(
            !names(to.path())
                .iter()
                .any(|name| name.ends_with(".moving"))
        );
        disk.stop();
    }
}

#[test]
fn what_is_written_while_it_is_copied_arrives_as_well() {
    let [_, (from, to)] = directories();
    let disk = Disk::start(1 << 20).unwrap();
    write(from.path(), "");
    let here = content(&disk, Site::plain(from.path().to_owned()));
    let (writer, cancel) = (Arc::clone(&here), AtomicBool::new(false));
    let site = Site::plain(to.path().to_owned());
    let mut changed = false;
    let tell = |done, total| {
        // Behind what has been copied already.
        if done == total && !std::mem::replace(&mut changed, true) {
            let slices = &mut [std::io::IoSlice::new(b"late")];
            writer.write_run(60_000, slices).unwrap();
        }
    };
    here.relocate(&site, &cancel, |_| Ok::<_, DiskError>(()), tell)
        .unwrap();
    let mut late = [0; 4];
    here.read_at(60_000, &mut late).unwrap();
    assert_eq!(&late, b"late");
    disk.stop();
}

#[test]
fn strangers_are_not_replaced_and_two_files_do_not_get_one_name() {
    for (from, to) in directories() {
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        std::fs::create_dir_all(to.path().join("t/d")).unwrap();
        std::fs::write(to.path().join("t/d/y"), "a stranger").unwrap();
        let here = content(&disk, Site::plain(from.path().to_owned()));
        let go = |site: &Site| {
            let keep = |stage| -> Result<(), DiskError> { panic!("{stage:?}") };
            let error = here.relocate(site, &AtomicBool::new(false), keep, |_, _| {});
            error.unwrap_err()
        };
        let error = go(&Site::plain(to.path().to_owned()));
        assert!(error.to_string().contains("t/d/y"), "{error}");
        assert_eq!(error.fault(), crate::disk::Fault::InTheWay);
        for name in ["x.part", "d", "d/y/z"] {
            let mut site = here.site();
            let safe = SafePath::sanitize(name.split('/').map(str::as_bytes));
            site.names.insert(FileIndex(0), safe);
            go(&site);
        }
        assert_whole(&here, "as it was");
        assert_eq!(
            std::fs::read(to.path().join("t/d/y")).unwrap(),
            b"a stranger"
        );
        disk.stop();
    }
}

#[test]
fn a_relocation_that_is_called_off_or_cannot_be_kept_leaves_all_as_it_was() {
    for (from, to) in directories() {
        let disk = Disk::start(1 << 20).unwrap();
        write(from.path(), "");
        let here = content(&disk, Site::plain(from.path().to_owned()));
        let site = Site::plain(to.path().to_owned());
        for refused in [Stage::Copying, Stage::Placing(Placing::default())] {
            let mut abandoned = false;
            let kind = std::mem::discriminant::<Stage>;
            let keep = |stage| {
                abandoned |= stage == Stage::Abandoned;
                match kind(&stage) == kind(&refused) {
                    true => Err(DiskError::replaced(Path::new("x"))),
                    false => Ok(()),
                }
            };
            let done = here.relocate(&site, &AtomicBool::new(false), keep, |_, _| {});
            if done.is_err() {
                assert_whole(&here, "refused");
                assert_eq!(names(to.path()), [""; 0], "{refused:?}");
                assert!(abandoned || refused == Stage::Copying);
            } else {
                let back = Site::plain(from.path().to_owned());
                here.relocate(
                    &back,
                    &AtomicBool::new(false),
                    |_| Ok::<_, DiskError>(()),
                    |_, _| {},
                )
                .unwrap();
            }
        }
        let other_device = std::os::unix::fs::MetadataExt::dev;
        let device = |path: &Path| other_device(&std::fs::metadata(path).unwrap());
        if device(from.path()) != device(to.path()) {
            let keep = |_| Ok::<_, DiskError>(());
            here.relocate(&site, &AtomicBool::new(true), keep, |_, _| {})
                .unwrap_err();
            assert_whole(&here, "called off");
            assert_eq!(names(to.path()), [""; 0]);
        }
        disk.stop();
    }
}

/// Every stage, with the crash before and after it was kept.
#[test]
fn after_a_crash_at_any_stage_the_content_is_found() {
    for crash in 0..8 {
        for (from, to) in directories() {
            let disk = Disk::start(1 << 20).unwrap();
            // Also the names change, in an order that matters.
            write(from.path(), ".part");
            let old = Site {
                suffix: ".part".to_owned(),
                ..Site::plain(from.path().to_owned())
            };
            let new = Site::plain(to.path().to_owned());
            let here = content(&disk, old.clone());
            let kept = cut(&here, &new, crash);
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
}

/// Relocates, and cuts the power before or after a stage is kept; gives what is kept then. Of copies it is kept until the
/// end when their originals were changed.
fn cut(here: &Content, new: &Site, crash: usize) -> Option<Stage> {
    let (mut calls, mut kept) = (0, None);
    let keep = |stage| {
        calls += 1;
        if calls > crash / 2 {
            if crash % 2 == 1 {
                kept = Some(stage);
            }
            panic!("the power is cut");
        }
        kept = Some(stage);
        Ok::<_, DiskError>(())
    };
    let run = std::panic::AssertUnwindSafe(|| {
        here.relocate(new, &AtomicBool::new(false), keep, |_, _| {})
    });
    let _ = std::panic::catch_unwind(run);
    kept
}

/// What the session does at its start.
#[track_caller]
fn next_run(disk: &Disk, old: &Site, new: &Site, kept: Option<Stage>, what: &str) {
    let again = content(disk, old.clone());
    match kept {
        None | Some(Stage::Abandoned) => {}
        Some(Stage::Copying) => again.drop_copies(new).unwrap(),
        Some(Stage::Placing(placing)) => {
            match again.finish_relocation(new, &placing, true).unwrap() {
                Ended::Arrived(_) => again.leave(old, placing.copied).unwrap(),
                Ended::Back => again.drop_copies(new).unwrap(),
                Ended::Elsewhere => panic!("{what}: it is here"),
            }
        }
        Some(Stage::Arrived(_) | Stage::Gone) => {
            again.set_site(new);
            // Whatever was kept of it: nobody has touched the old copies.
            let copied = Moment {
                seconds: i64::MAX,
                nanos: 0,
            };
            again.leave(old, Some(copied)).unwrap();
        }
    }
    assert_whole(&again, what);
    let here = names(&again.site().directory);
    assert!(
        !here.iter().any(|name| name.ends_with(".moving")),
        "{what}: {here:?}"
    );
    let is_old = again.site() == *old;
    let other = if is_old { new } else { old };
    assert!(
        !other.directory.exists()
            || names(&other.directory).is_empty()
            || other.directory == again.site().directory,
        "{what}: left {:?}",
        names(&other.directory)
    );
}

/// Between any two renames, here also within one directory, where old names become new names of others.
#[test]
fn after_a_crash_between_two_names_the_others_follow() {
    let steps = ["d/y", "e", "x", "x.part"];
    for done in 0..=steps.len() {
        for same in [true, false] {
            let (from, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let disk = Disk::start(1 << 20).unwrap();
            write(from.path(), ".part");
            let old = Site {
                suffix: ".part".to_owned(),
                ..Site::plain(from.path().to_owned())
            };
            let to = if same { from.path() } else { elsewhere.path() };
            let new = Site::plain(to.to_owned());
            for name in &steps[..done] {
                let target = to.join("t").join(name);
                std::fs::create_dir_all(target.parent().unwrap()).unwrap();
                std::fs::rename(from.path().join("t").join(format!("{name}.part")), target)
                    .unwrap();
            }
            let stage = Stage::Placing(Placing::default());
            next_run(&disk, &old, &new, Some(stage), &format!("{done} {same}"));
            disk.stop();
        }
    }
}

#[test]
fn blocks_that_come_after_a_move_are_written_at_the_new_place() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = Disk::start(1 << 20).unwrap();
    let here = content(&disk, Site::plain(from.path().join("not there yet")));
    let site = Site::plain(to.path().to_owned());
    let keep = |_| Ok::<_, DiskError>(());
    here.relocate(&site, &AtomicBool::new(false), keep, |_, _| {})
        .unwrap();
    here.select(|_| true, |_| true).unwrap();
    let slices = &mut [std::io::IoSlice::new(b"here")];
    here.write_run(0, slices).unwrap();
    assert_eq!(&std::fs::read(to.path().join("t/x")).unwrap()[..4], b"here");
    assert!(!from.path().join("not there yet").exists());
    disk.stop();
}
