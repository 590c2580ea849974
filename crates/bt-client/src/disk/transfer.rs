//! Bytes between memory and one open file, whatever the system does in between: short, interrupted or not at once.
//!
//! It must not know which file it is.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// One read of at most `length` bytes into the first of `slices`.
pub(super) fn read_part(
    file: &File,
    slices: &mut [IoSliceMut<'_>],
    length: usize,
    offset: u64,
    flags: ReadWriteFlags,
) -> Result<usize, Errno> {
    let mut left = length;
    let whole = slices
        .iter()
        .take_while(|slice| {
            let fits = slice.len() <= left;
            left -= if fits { slice.len() } else { 0 };
            fits
        })
        .count();
    if whole > 0 {
        return preadv2(file.as_fd(), &mut slices[..whole], offset, flags);
    }
    // The first slice belongs to the next file as well.
    let Some(first) = slices.first_mut() else {
        return Ok(0);
    };
    let mut part = [IoSliceMut::new(&mut first[..length])];
    preadv2(file.as_fd(), &mut part, offset, flags)
}

/// Zeros for a pad file, which is never kept on the disk.
pub(super) fn fill_zeros(slices: &mut &mut [IoSliceMut<'_>], length: usize) -> usize {
    let mut left = length;
    while left > 0 {
        let Some(first) = slices.first_mut() else {
            break;
        };
        let part = first.len().min(left);
        first[..part].fill(0);
        left -= part;
        IoSliceMut::advance_slices(slices, part);
    }
    length - left
}

/// Writes the first `length` bytes of `slices` and advances them.
pub(super) fn write_exact(
    file: &File,
    slices: &mut &mut [IoSlice<'_>],
    length: usize,
    offset: u64,
) -> io::Result<()> {
    let mut done = 0;
    while done < length {
        let (count, last) = upto(slices, length - done);
        let written = if last == slices[count - 1].len() {
            rustix::io::pwritev(file, &slices[..count], offset + done as u64)
        } else if count > 1 {
            // The last slice belongs to the next file as well: first the whole ones, then the part.
            rustix::io::pwritev(file, &slices[..count - 1], offset + done as u64)
        } else {
            rustix::io::pwrite(file, &slices[0][..last], offset + done as u64)
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                done += written;
                IoSlice::advance_slices(slices, written);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// How many slices the first `length` bytes reach into, and how many bytes of the last of them.
fn upto(slices: &[IoSlice<'_>], length: usize) -> (usize, usize) {
    let mut left = length;
    for (count, slice) in (1..).zip(slices) {
        if slice.len() >= left {
            return (count, left);
        }
        left -= slice.len();
    }
    (slices.len(), slices.last().map_or(0, |slice| slice.len()))
}

/// Fills `into` from `offset` on, as far as the file goes.
pub(super) fn read_up_to(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
