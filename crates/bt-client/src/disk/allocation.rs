//! How much of a file is there before its bytes are. It must not know torrents.

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

/// What happens to a file when its first bytes are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Allocation {
    /// It grows as bytes come.
    None,
    /// It has its full size at once, and takes room as bytes come.
    #[default]
    Sparse,
    /// It takes all its room at once, so that the disk cannot be full in its middle.
    Full,
}

impl From<Allocation> for u8 {
    /// As it is kept.
    fn from(how: Allocation) -> Self {
        match how {
            Allocation::None => 0,
            Allocation::Sparse => 1,
            Allocation::Full => 2,
        }
    }
}

impl From<u8> for Allocation {
    /// The usual one for what no version has written.
    fn from(kept: u8) -> Self {
        match kept {
            0 => Self::None,
            2 => Self::Full,
            _ => Self::Sparse,
        }
    }
}

/// Gives a file that is to have `length` bytes what it should have before they come. One that is longer stays so.
pub(super) fn allocate(file: &File, length: u64, how: Allocation) -> io::Result<()> {
    let size = file.metadata()?.len();
    if how == Allocation::Full && length > 0 && size < length {
        match fallocate(file, FallocateFlags::empty(), 0, length) {
            // The file system cannot: sparse is the next best.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            other => return Ok(other?),
        }
    }
    if how != Allocation::None && size < length {
        file.set_len(length)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Allocation, allocate};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_has_its_size_and_its_room_as_asked() {
        let table = [
            (Allocation::None, 0, false),
            (Allocation::Sparse, 1 << 20, false),
            (Allocation::Full, 1 << 20, true),
        ];
        for (how, size, takes_room) in table {
            let file = tempfile::tempfile().unwrap();
            allocate(&file, 1 << 20, how).unwrap();
            let meta = file.metadata().unwrap();
            assert_eq!(meta.len(), size, "{how:?}");
            assert_eq!(meta.blocks() * 512 >= 1 << 20, takes_room, "{how:?}");
            allocate(&file, 10, how).unwrap();
            assert_eq!(file.metadata().unwrap().len(), size, "never cut");
        }
    }
}
