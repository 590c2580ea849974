//! Faults of a disk, and what others do to files while we write to them.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;

use bt_metainfo::{FileIndex, Metainfo, PieceIndex, create};
use bytes::Bytes;

use crate::disk::{Content, Disk, DiskError, Fault, Site};

/// Pieces of 16 KiB, so that these files share all but one of them.
const LENGTHS: [usize; 3] = [20_000, 30_000, 10_000];

/// A torrent of these files, whose bytes are their numbers from 1 on.
fn torrent(names: &[&str]) -> Metainfo {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("t");
    std::fs::create_dir(&root).unwrap();
    for (number, name) in (1..).zip(names) {
        let length = LENGTHS[usize::from(number - 1) % 3];
        std::fs::write(root.join(name), vec![number; length]).unwrap();
    }
    let options = create::Options {
        piece_length: Some(16_384),
        ..create::Options::default()
    };
    let torrent = create::create(&root, &options).unwrap();
    Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap()
}

fn content(disk: &Disk, metainfo: &Metainfo, directory: &Path) -> Arc<Content> {
    let layout = Arc::new(metainfo.info().layout().clone());
    let metainfo = Arc::new(metainfo.clone());
    Content::new(
        disk,
        metainfo,
        layout,
        Site::plain(directory.to_owned()),
        Box::new(|_| {}),
    )
}

/// The bytes that belong to the content from `start` on.
fn bytes(content: &Content, start: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for extent in content.layout().extents(start, length as u64) {
        let number = u8::try_from(extent.file.0 + 1).unwrap();
        bytes.resize(
            bytes.len() + usize::try_from(extent.length).unwrap(),
            number,
        );
    }
    bytes
}

fn write(content: &Content, piece: u32) -> Result<(), DiskError> {
    let piece = PieceIndex(piece);
    let length = content.layout().piece_size(piece) as usize;
    let start = content.layout().piece_offset(piece);
    let bytes = bytes(content, start, length);
    content.write_run(start, &mut [IoSlice::new(&bytes)])
}

fn read(content: &Content, piece: u32) -> bool {
    let piece = PieceIndex(piece);
    let start = content.layout().piece_offset(piece);
    let mut found = vec![0; content.layout().piece_size(piece) as usize];
    let expected = bytes(content, start, found.len());
    content.read_at(start, &mut found).is_ok() && found == expected
}

fn all(_: FileIndex) -> bool {
    true
}

#[test]
fn a_failed_sync_is_not_followed_by_a_good_one_until_the_disk_was_read() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
    content.select(all, |_| true).unwrap();
    write(&content, 0).unwrap();
    // As a device that has failed: the system says so once.
    let error = DiskError::new("sync", dir.path(), rustix::io::Errno::IO.into());
    content.written.fails(error);
    for _ in 0..2 {
        assert!(content.sync().unwrap_err().is_final());
    }
    assert!(
        content
            .recheck(&[PieceIndex(0)], true, &false.into(), |_, good| assert!(
                good
            ))
            .is_ok()
    );
    content.doubt_no_more();
    content.sync().unwrap();
    disk.stop();
}

#[test]
fn what_could_not_be_synced_for_a_passing_reason_is_synced_the_next_time() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
    content.select(all, |_| true).unwrap();
    write(&content, 0).unwrap();
    content.close_files();
    let (file, away) = (dir.path().join("t/a"), dir.path().join("t/away"));
    std::fs::rename(&file, &away).unwrap();
    for _ in 0..2 {
        assert_eq!(content.sync().unwrap_err().fault(), Fault::Gone);
    }
    std::fs::rename(&away, &file).unwrap();
    content.sync().unwrap();
    disk.stop();
}

#[test]
fn a_file_that_others_remove_or_replace_is_not_said_to_be_safe() {
    for replaced in [false, true] {
        let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
        let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
        content.select(all, |_| true).unwrap();
        (0..4).for_each(|piece| write(&content, piece).unwrap());
        content.sync().unwrap();
        let file = dir.path().join("t/a");
        if replaced {
            std::fs::write(dir.path().join("other"), vec![9; 20_000]).unwrap();
            std::fs::rename(dir.path().join("other"), &file).unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        assert_eq!(content.seal(&[FileIndex(1)], true).unwrap().len(), 1);
        assert_eq!(
            content.seal(&[FileIndex(0)], true).unwrap_err().fault(),
            Fault::Gone
        );
        assert_eq!(content.take_gone(), [FileIndex(0)]);
        content.close_files();
        if replaced {
            // It is not written to either.
            assert_eq!(write(&content, 0).unwrap_err().fault(), Fault::Gone);
            assert_eq!(std::fs::read(&file).unwrap(), vec![9; 20_000]);
        }
        assert_eq!(content.take_gone().is_empty(), !replaced);
        content.doubt_no_more();
        write(&content, 0).unwrap();
        content.sync().unwrap();
        assert!(content.take_gone().is_empty());
        disk.stop();
    }
}

#[test]
fn parts_stay_until_what_was_moved_out_of_them_and_the_note_of_it_are_safe() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let metainfo = torrent(&["a", "b", "c"]);
    let content = content(&disk, &metainfo, dir.path());
    let parts = dir.path().join(metainfo.info().parts_path());
    let mut kept = Vec::new();
    let only_b = |file| file == FileIndex(1);
    content
        .select(only_b, |absent| {
            kept = absent;
            true
        })
        .unwrap();
    assert_eq!(
        kept,
        [FileIndex(0), FileIndex(2)],
        "all of them, not only those that are cut in two"
    );
    (1..4).for_each(|piece| write(&content, piece).unwrap());
    assert!(parts.exists());
    let error = || DiskError::new("sync", dir.path(), rustix::io::Errno::IO.into());
    content.written.fails(error());
    assert!(content.select(all, |_| true).is_err());
    // Whatever is tried: nothing was moved as long as it is not safe.
    assert!(content.select(all, |_| true).is_err());
    assert!(parts.exists() && (1..4).all(|piece| read(&content, piece)));
    content.doubt_no_more();
    content.select(all, |_| false).unwrap();
    assert!(parts.exists(), "the next run would look there");
    content.select(all, |absent| absent.is_empty()).unwrap();
    assert!(!parts.exists() && (1..4).all(|piece| read(&content, piece)));
    disk.stop();
}

#[test]
fn files_that_come_to_stand_where_parts_were_kept_are_not_believed() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let metainfo = torrent(&["a", "b", "c"]);
    let parts = dir.path().join(metainfo.info().parts_path());
    {
        let content = content(&disk, &metainfo, dir.path());
        content
            .select(|file| file == FileIndex(1), |_| true)
            .unwrap();
        (1..4).for_each(|piece| write(&content, piece).unwrap());
    }
    std::fs::write(dir.path().join("t/c"), vec![7; 10_000]).unwrap();
    let of = |file: u32, pieces: &[u32]| {
        let of = |piece: &u32| (FileIndex(file), PieceIndex(*piece));
        pieces.iter().map(of).collect::<BTreeSet<_>>()
    };
    let both = || {
        of(0, &[1])
            .into_iter()
            .chain(of(2, &[3]))
            .collect::<BTreeSet<_>>()
    };
    let again = content(&disk, &metainfo, dir.path());
    let known = [FileIndex(0), FileIndex(2)];
    assert_eq!(again.find_apart(Some(&known)).unwrap(), both());
    assert!(
        (1..4).all(|piece| read(&again, piece)),
        "read from where they were written"
    );
    // Without that knowledge all that may lie there is in doubt.
    let all_shared = of(0, &[1])
        .into_iter()
        .chain(of(1, &[1, 3]))
        .chain(of(2, &[3]));
    assert_eq!(again.find_apart(None).unwrap(), all_shared.collect());
    // Without parts, too, a file that was not ours is not believed; one that is gone is gone.
    std::fs::remove_file(&parts).unwrap();
    assert_eq!(again.find_apart(Some(&known)).unwrap(), of(2, &[3]));
    disk.stop();
}

#[test]
fn empty_files_are_there_to_stay() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/t");
    std::fs::create_dir_all(&root).unwrap();
    std::fs::write(root.join("empty"), []).unwrap();
    std::fs::write(root.join("x"), [1]).unwrap();
    let torrent = create::create(&root, &create::Options::default()).unwrap();
    let metainfo = Metainfo::parse(&torrent.to_bytes().unwrap()).unwrap();
    let disk = Disk::start(1 << 20).unwrap();
    let content = content(&disk, &metainfo, &dir.path().join("b"));
    let error = DiskError::new("sync", dir.path(), rustix::io::Errno::IO.into());
    content.written.fails(error);
    assert!(content.select(all, |_| true).is_err(), "it is not synced");
    content.doubt_no_more();
    content.select(all, |_| true).unwrap();
    assert!(dir.path().join("b/t/empty").exists());
    disk.stop();
}

#[test]
fn two_names_that_are_one_to_the_file_system_are_not_two_files() {
    let metainfo = torrent(&["README", "readme"]);
    let info = metainfo.info();
    let names = [0, 1].map(|file| info.disk_path(FileIndex(file)));
    assert_eq!(
        info.native_path(FileIndex(1)).unwrap(),
        Path::new("t/readme")
    );
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    for is_there_before in [true, false] {
        let dir = dir.path().join(is_there_before.to_string());
        std::fs::create_dir_all(dir.join("t")).unwrap();
        let content = content(&disk, &metainfo, &dir);
        let alias = || {
            // As where case does not count: the one name leads to the other's file.
            std::fs::hard_link(dir.join(&names[0]), dir.join("t/readme")).unwrap();
        };
        if is_there_before {
            std::fs::write(dir.join(&names[0]), []).unwrap();
            alias();
        }
        write(&content, 0).unwrap();
        if !is_there_before {
            alias();
        }
        (1..4).for_each(|piece| write(&content, piece).unwrap());
        assert!(
            (0..4).all(|piece| read(&content, piece)),
            "one was written over the other"
        );
        assert_eq!(std::fs::read(dir.join(&names[1])).unwrap(), vec![2; 30_000]);
    }
    // On their own, they are taken as they are.
    let native = dir.path().join("native");
    std::fs::create_dir_all(native.join("t")).unwrap();
    std::fs::write(native.join("t/README"), vec![1; 20_000]).unwrap();
    std::fs::write(native.join("t/readme"), vec![2; 30_000]).unwrap();
    let content = content(&disk, &metainfo, &native);
    assert!((0..4).all(|piece| read(&content, piece)));
    disk.stop();
}

#[test]
fn what_comes_late_does_not_make_deleted_content_anew() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
    content.select(all, |_| true).unwrap();
    write(&content, 0).unwrap();
    content.delete().unwrap();
    let blocks: Vec<_> = content.layout().blocks(PieceIndex(1)).collect();
    let data = |length| Bytes::from(bytes(&content, 16_384, length as usize));
    content.store(blocks.into_iter().map(|block| (block, data(block.length))));
    assert!(content.select(all, |_| true).is_err());
    disk.stop();
    assert!(!dir.path().join("t").exists());
}

#[test]
fn without_descriptors_fewer_files_are_open_and_it_is_tried_again() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
    let attempts = std::cell::Cell::new(0);
    let attempt = || {
        attempts.set(attempts.get() + 1);
        match attempts.get() {
            1 => Err(DiskError::new(
                "open",
                dir.path(),
                rustix::io::Errno::MFILE.into(),
            )),
            _ => Ok(()),
        }
    };
    content.patiently(attempt).unwrap();
    assert_eq!(attempts.get(), 2);
    disk.stop();
}

#[test]
fn a_sync_that_fails_for_whoever_reads_fails_for_whoever_commits() {
    // A file that can be read and looked at, and that the system refuses to sync.
    let text =
        "d4:infod6:lengthi1e4:name4:comm12:piece lengthi16384e6:pieces20:hhhhhhhhhhhhhhhhhhhhee";
    let metainfo = Metainfo::parse(text.as_bytes()).unwrap();
    for all in [false, true] {
        let disk = Disk::start(1 << 20).unwrap();
        let content = content(&disk, &metainfo, Path::new("/proc/self"));
        content.sync().unwrap();
        match all {
            true => content.forget_all_pages().unwrap(),
            false => {
                let found = content.recheck(&[PieceIndex(0)], true, &false.into(), |_, _| {});
                assert!(found.is_ok(), "the disk decides");
            }
        }
        for _ in 0..2 {
            assert!(content.sync().unwrap_err().is_final());
        }
        disk.stop();
    }
}

#[test]
fn a_file_that_changes_between_its_check_and_the_commit_is_not_recorded() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
    content.select(all, |_| true).unwrap();
    (0..4).for_each(|piece| write(&content, piece).unwrap());
    content.sync().unwrap();
    let files = [FileIndex(0), FileIndex(1)];
    let hashed = |content: &Content| {
        let look = |file: FileIndex| Some((file, content.look(file).unwrap()?));
        files.into_iter().filter_map(look).collect::<Vec<_>>()
    };
    content.keep_in_mind(hashed(&content));
    let path = dir.path().join("t/b");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    let touch = || {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(later).unwrap();
    };
    touch();
    assert_eq!(content.seal(&files[..1], true).unwrap().len(), 1);
    let error = content.seal(&files[1..], true).unwrap_err();
    assert!(error.to_string().contains("t/b: it was changed"), "{error}");
    assert_eq!(content.take_gone(), [FileIndex(1)]);
    assert_eq!(
        content.seal(&files[1..], true).unwrap().len(),
        1,
        "said once"
    );

    // What we write ourselves is no reason.
    content.keep_in_mind(hashed(&content));
    content.close_files();
    write(&content, 2).unwrap();
    content.sync().unwrap();
    assert_eq!(content.seal(&files[1..], true).unwrap().len(), 1);
    disk.stop();
}

#[test]
fn a_file_of_two_contents_is_written_by_neither_while_it_counts_for_the_other() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let metainfo = torrent(&["a", "b", "c"]);
    let [one, other] = [(); 2].map(|()| content(&disk, &metainfo, dir.path()));
    one.select(all, |_| true).unwrap();
    write(&one, 0).unwrap();
    let refused = |result: Result<(), DiskError>| {
        let error = result.unwrap_err();
        assert_eq!(error.fault(), Fault::Shared, "{error}");
        let words = error.to_string();
        assert!(words.contains("t/a") && words.contains(&metainfo.info_hash().to_string()));
        assert!(
            error.hint().contains("another directory"),
            "{}",
            error.hint()
        );
    };
    // Neither read nor written, by whatever name: nothing in it is safe yet.
    refused(other.hold(|_| false));
    refused(write(&other, 0));
    let found = other.recheck(&[PieceIndex(0)], false, &false.into(), |_, _| {});
    refused(found.map(drop));

    // It is whole: both may count it, and none may write.
    (1..4).for_each(|piece| write(&one, piece).unwrap());
    one.sync().unwrap();
    let files: Vec<_> = one.layout().files().collect();
    one.seal(&files, true).unwrap();
    other.hold(|_| false).unwrap();
    assert!((0..4).all(|piece| read(&other, piece) && read(&one, piece)));
    for content in [&one, &other] {
        let strange = [7; 16_384];
        refused(content.write_run(0, &mut [IoSlice::new(&strange)]));
        // What is there already is not written.
        let modified = || dir.path().join("t/a").metadata().unwrap().modified();
        let before = modified().unwrap();
        write(content, 0).unwrap();
        assert_eq!(modified().unwrap(), before);
    }
    assert!(read(&one, 0) && read(&other, 0));
    // What is left for the other one is not deleted with the first.
    one.delete().unwrap();
    assert!(read(&other, 0));
    one.retire();
    write(&other, 0).unwrap();
    other.delete().unwrap();
    assert!(!dir.path().join("t").exists());
    disk.stop();
}

#[test]
fn files_that_are_linked_are_one_file_and_those_that_are_gone_are_none() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let metainfo = torrent(&["a", "b", "c"]);
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let [one, other] = [&here, &there].map(|directory| content(&disk, &metainfo, directory));
    one.select(all, |_| true).unwrap();
    write(&one, 0).unwrap();
    std::fs::create_dir_all(there.join("t")).unwrap();
    std::fs::hard_link(here.join("t/a"), there.join("t/a")).unwrap();
    let error = write(&other, 0).unwrap_err();
    assert_eq!(error.fault(), Fault::Shared, "{error}");
    // Somebody removes the file of the first: what lies there now is the other one's alone.
    std::fs::remove_file(here.join("t/a")).unwrap();
    write(&other, 0).unwrap();
    disk.stop();
}

#[test]
fn what_has_gone_bad_in_a_file_of_two_contents_is_mended_once_both_know() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let metainfo = torrent(&["a", "b", "c"]);
    let [one, other] = [(); 2].map(|()| content(&disk, &metainfo, dir.path()));
    one.select(all, |_| true).unwrap();
    (0..4).for_each(|piece| write(&one, piece).unwrap());
    one.sync().unwrap();
    let files: Vec<_> = one.layout().files().collect();
    one.seal(&files, true).unwrap();
    other.hold(|_| false).unwrap();
    let (path, bad) = (dir.path().join("t/b"), PieceIndex(1));
    let damage = || {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"!!", 100).unwrap();
    };
    let modified = || std::fs::metadata(&path).unwrap().modified().unwrap();
    for _ in 0..2 {
        damage();
        assert!(!read(&one, 1) && !read(&other, 1));
        let sharers = one.sharers(&[bad]);
        assert!(sharers.len() == 1 && Arc::ptr_eq(&sharers[0].0, &other));
        assert_eq!(sharers[0].1, [bad]);
        // As long as one of them counts it, nobody else changes it.
        one.lose(&[bad]);
        assert_eq!(write(&one, 1).unwrap_err().fault(), Fault::Shared);
        assert!(!read(&one, 1));
        other.lose(&[bad]);
        write(&one, 1).unwrap();
        assert!(read(&one, 1) && read(&other, 1));
        // The other one gets it as well, and finds it there.
        let time = modified();
        write(&other, 1).unwrap();
        assert_eq!(modified(), time, "it was written once more");
        for content in [&one, &other] {
            content.mark_written(bad);
            content.sync().unwrap();
            content.seal(&files, true).unwrap();
        }
    }
    disk.stop();
}

#[test]
fn a_write_that_fails_in_its_middle_is_no_strangers_change() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let content = content(&disk, &torrent(&["a", "b", "c"]), dir.path());
    content.select(all, |_| true).unwrap();
    let (path, file) = (dir.path().join("t/b"), FileIndex(1));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, [2; 10]).unwrap();
    let hashed = || content.look(file).unwrap().map(|look| (file, look));
    content.keep_in_mind(hashed());
    // It gets its size, and on a full disk no byte after that.
    content.open_at(&content.places(), file, true).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 30_000);
    assert_eq!(content.seal(&[file], false).unwrap().len(), 1);
    assert!(content.take_gone().is_empty());

    // A change before that is one.
    content.close_files();
    content.keep_in_mind(hashed());
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(10);
    let touched = std::fs::File::options().write(true).open(&path).unwrap();
    touched.set_modified(later).unwrap();
    let error = write(&content, 2).unwrap_err();
    assert!(error.to_string().contains("t/b: it was changed"), "{error}");
    assert_eq!(content.take_gone(), [file]);

    // Once it has been found out that pieces are bad, nothing is in the way of good ones.
    content.retry();
    content.keep_in_mind(hashed());
    let even_later = later + std::time::Duration::from_secs(10);
    touched.set_modified(even_later).unwrap();
    content.lose(&[PieceIndex(2)]);
    write(&content, 2).unwrap();
    disk.stop();
}

#[test]
fn whoever_reads_late_keeps_no_file_from_those_who_come_after() {
    let (dir, disk) = (tempfile::tempdir().unwrap(), Disk::start(1 << 20).unwrap());
    let metainfo = torrent(&["a", "b", "c"]);
    let [gone, next] = [(); 2].map(|()| content(&disk, &metainfo, dir.path()));
    gone.select(all, |_| true).unwrap();
    write(&gone, 0).unwrap();
    gone.retire();
    assert!(!read(&gone, 0), "it has left");
    next.hold(|_| true).unwrap();
    write(&next, 0).unwrap();
    disk.stop();
}
