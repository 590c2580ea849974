//! One file copied to another file system: shared where the file system can, else by the kernel, else through memory.
//! Holes stay holes.
//!
//! It must not know torrents.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, copy_file_range, ioctl_ficlone, seek};
use rustix::io::Errno;

use super::transfer::read_up_to;

/// Bytes that one call of the kernel copies: so often is it looked whether to go on.
const AT_ONCE: u64 = 8 * 1024 * 1024;

/// The same through memory.
const CHUNK: usize = 256 * 1024;

/// Copies all of `from` into `to`, which is empty, and gives it the same length. `went` is told of bytes that need not
/// be waited for any more, and says whether to go on; `false` is returned when it did not.
pub(super) fn copy(from: &File, to: &File, mut went: impl FnMut(u64) -> bool) -> io::Result<bool> {
    let length = from.metadata()?.len();
    if length > 0 && ioctl_ficlone(to, from).is_ok() {
        return Ok(went(length));
    }
    to.set_len(length)?;
    let mut at = 0;
    while at < length {
        let (start, end) = next_data(from, at, length);
        if !went(start - at) || !copy_range(from, to, start, end, &mut went)? {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
}

/// Copies the bytes from `start` up to `end`, as far as the file goes.
pub(super) fn copy_range(
    from: &File,
    to: &File,
    start: u64,
    end: u64,
    mut went: impl FnMut(u64) -> bool,
) -> io::Result<bool> {
    let mut at = start;
    while at < end {
        let wish = usize::try_from((end - at).min(AT_ONCE)).unwrap_or(CHUNK);
        let (mut source, mut target) = (at, at);
        let copied = match copy_file_range(from, Some(&mut source), to, Some(&mut target), wish) {
            Ok(copied) => copied as u64,
            // Not between these file systems, or not at all.
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {
                through_memory(from, to, at, wish)?
            }
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        // Some file systems of the kernel have no data to give this way and say that they are at their end.
        let copied = match copied {
            0 => through_memory(from, to, at, wish)?,
            copied => copied,
        };
        if copied == 0 {
            return Ok(true);
        }
        at += copied;
        if !went(copied) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn through_memory(from: &File, to: &File, at: u64, wish: usize) -> io::Result<u64> {
    let mut chunk = vec![0; wish.min(CHUNK)];
    let read = read_up_to(from, &mut chunk, at)?;
    to.write_all_at(&chunk[..read], at)?;
    Ok(read as u64)
}

/// The next stretch that is no hole, from `at` on; at the end of the file if there is none. A file system that knows no
/// holes has one stretch.
fn next_data(file: &File, at: u64, length: u64) -> (u64, u64) {
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start.clamp(at, length),
        Err(Errno::NXIO) => return (length, length),
        Err(_) => return (at, length),
    };
    let end = match seek(file, SeekFrom::Hole(start)) {
        Ok(end) if end > start => end.min(length),
        _ => length,
    };
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::{copy, copy_range};
    use std::os::unix::fs::{FileExt, MetadataExt};

    /// On the same file system, and from memory to a disk.
    fn pairs() -> [(std::fs::File, std::fs::File); 2] {
        let file = || tempfile::tempfile().unwrap();
        let other = match tempfile::tempfile_in("/dev/shm") {
            Ok(other) => other,
            Err(_) => file(),
        };
        [(file(), file()), (other, file())]
    }

    #[test]
    fn a_copy_has_the_same_bytes_and_holes_and_can_be_ended() {
        const END: u64 = 64 << 20;
        for (from, to) in pairs() {
            from.write_all_at(&[7; 10_000], 1 << 20).unwrap();
            from.write_all_at(b"end", END - 3).unwrap();
            let mut total = 0;
            let all = copy(&from, &to, |bytes| {
                total += bytes;
                true
            });
            assert!(all.unwrap());
            assert_eq!((total, to.metadata().unwrap().len()), (END, END));
            assert!(
                to.metadata().unwrap().blocks() * 512 < 1 << 20,
                "holes stay"
            );
            let mut there = [0; 10_002];
            to.read_exact_at(&mut there, (1 << 20) - 1).unwrap();
            assert!(there[0] == 0 && there[10_001] == 0 && there[1..10_001] == [7; 10_000]);
            let mut there = [0; 3];
            to.read_exact_at(&mut there, END - 3).unwrap();
            assert_eq!(&there, b"end");

            from.write_all_at(b"new", 100).unwrap();
            assert!(copy_range(&from, &to, 0, 1 << 20, |_| true).unwrap());
            to.read_exact_at(&mut there, 100).unwrap();
            assert_eq!(&there, b"new");
            assert!(copy_range(&from, &to, END - 3, END + 100, |_| true).unwrap());
            assert_eq!(
                to.metadata().unwrap().len(),
                END,
                "no further than the file goes"
            );
            assert!(!copy(&from, &to, |_| false).unwrap());
        }
    }
}
