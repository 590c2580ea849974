//! Proves that copies are what the original is, with plain reads and SHA-256: nothing of what
//! made the copies is used. It must not know pieces or sessions.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// One copy: paths of its files, in the same order for all of them. Names may differ, because one that another system
/// cannot have is replaced in what is downloaded.
pub(crate) type Copy = Vec<PathBuf>;
/// SHA-256 of each file of a copy, in their order.
pub(crate) type Digests = Vec<(PathBuf, [u8; 32])>;

/// Hashes the files of each copy, every copy on a thread of its own. The error names the file.
pub(crate) fn digests(copies: &[Copy]) -> Result<Vec<Digests>, (PathBuf, io::Error)> {
    thread::scope(|scope| {
        let threads: Vec<_> = copies
            .iter()
            .map(|files| scope.spawn(move || digest_all(files)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err((PathBuf::new(), io::Error::other("a thread died"))))
            })
            .collect()
    })
}

/// The files of a copy whose digest is not that of the original.
pub(crate) fn different<'a>(original: &Digests, copy: &'a Digests) -> Vec<&'a Path> {
    copy.iter()
        .zip(original)
        .filter(|((_, a), (_, b))| a != b)
        .map(|((path, _), _)| path.as_path())
        .collect()
}

fn digest_all(files: &Copy) -> Result<Digests, (PathBuf, io::Error)> {
    let mut chunk = vec![0; CHUNK];
    files
        .iter()
        .map(|path| match digest(path, &mut chunk) {
            Ok(digest) => Ok((path.clone(), digest)),
            Err(error) => Err((path.clone(), error)),
        })
        .collect()
}

fn digest(path: &Path, chunk: &mut [u8]) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    loop {
        match file.read(chunk) {
            Ok(0) => return Ok(hash.finalize().into()),
            Ok(read) => hash.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{different, digests};
    use std::path::Path;

    #[test]
    fn one_changed_byte_is_found_and_a_missing_file_is_named() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let files = |root: &Path| [root.join("same"), root.join("changed")].to_vec();
        let copies = [files(a.path()), files(b.path())];
        for file in copies.iter().flatten() {
            std::fs::write(file, vec![7; 600_000]).unwrap();
        }
        let equal = digests(&copies).unwrap();
        assert!(different(&equal[0], &equal[1]).is_empty());
        let mut content = vec![7; 600_000];
        content[599_999] = 8;
        std::fs::write(&copies[1][1], content).unwrap();
        let changed = digests(&copies).unwrap();
        assert_eq!(
            different(&changed[0], &changed[1]),
            [copies[1][1].as_path()]
        );
        std::fs::remove_file(&copies[1][0]).unwrap();
        assert_eq!(digests(&copies).unwrap_err().0, copies[1][0]);
    }
}
