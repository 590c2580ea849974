//! Files of the tracker's owner, read no further than any honest one is long: a device, or a file that was named by
//! mistake, must not take all memory.
//!
//! It must not know what is in them.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

/// The whole of a file of at most so many bytes.
///
/// # Errors
/// When it cannot be read or is longer.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let too_long = || {
        io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it has more than {most} bytes"),
        )
    };
    // Devices and pipes have no length.
    if file.metadata()?.len() > most {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(too_long());
    }
    Ok(bytes)
}

/// The same of a file that has to be text.
///
/// # Errors
/// When it cannot be read, is longer, or is no text.
pub fn read_bounded_text(path: &Path, most: u64) -> io::Result<String> {
    String::from_utf8(read_bounded(path, most)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no text in UTF-8"))
}

/// The bytes of a file of ours, which begins with this mark: of one that does not, only the beginning is read. It may be
/// a device without an end, or a disk; how long one of ours is depends on what its owner has the tracker keep.
pub(super) fn read_marked(path: &Path, mark: &[u8]) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    let length = u64::try_from(mark.len()).unwrap_or(u64::MAX);
    (&mut file).take(length).read_to_end(&mut bytes)?;
    if bytes == mark {
        file.read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_CONFIG_FILE;

    #[test]
    fn files_are_read_up_to_their_limit_and_devices_without_an_end_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_bounded_text(&path, 5).unwrap(), "12345");
        assert_eq!(read_bounded(&path, u64::MAX).unwrap(), b"12345");
        let longer = read_bounded(&path, 4).unwrap_err();
        assert_eq!(longer.to_string(), "it has more than 4 bytes");
        let endless = read_bounded(Path::new("/dev/zero"), MAX_CONFIG_FILE).unwrap_err();
        assert_eq!(endless.kind(), ErrorKind::FileTooLarge);
        std::fs::write(&path, b"mark and more").unwrap();
        assert_eq!(read_marked(&path, b"mark").unwrap(), b"mark and more");
        assert_eq!(read_marked(&path, b"other").unwrap(), b"mark ");
        std::fs::write(&path, b"\xff").unwrap();
        let binary = read_bounded_text(&path, 5).unwrap_err();
        assert_eq!(binary.to_string(), "it is no text in UTF-8");
    }
}
