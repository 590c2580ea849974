//! Proves that copies are what the original is, with plain reads and SHA-256: nothing of what
//! made the copies is used. It must not know pieces or sessions.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

/// Bytes read at a time.
const CHUNK: usize = 256 * 1024;

/// SHA-256 of each of these files below `root`, in their order.
pub(crate) type Digests = Vec<(PathBuf, [u8; 32])>;

/// Hashes the files below each root, every root on a thread of its own. The error names the file.
pub(crate) fn digests(
    roots: &[PathBuf],
    files: &[PathBuf],
) -> Result<Vec<Digests>, (PathBuf, io::Error)> {
    thread::scope(|scope| {
        let threads: Vec<_> = roots
            .iter()
            .map(|root| scope.spawn(move || tree(root, files)))
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

/// The files whose digest is not that of the original.
pub(crate) fn different<'a>(original: &'a Digests, copy: &Digests) -> Vec<&'a Path> {
    original
        .iter()
        .zip(copy)
        .filter(|((_, a), (_, b))| a != b)
        .map(|((path, _), _)| path.as_path())
        .collect()
}

fn tree(root: &Path, files: &[PathBuf]) -> Result<Digests, (PathBuf, io::Error)> {
    let mut chunk = vec![0; CHUNK];
    files
        .iter()
        .map(|file| {
            let path = root.join(file);
            match digest(&path, &mut chunk) {
                Ok(digest) => Ok((file.clone(), digest)),
                Err(error) => Err((path, error)),
            }
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
    use std::path::PathBuf;

    #[test]
    fn one_changed_byte_is_found_and_a_missing_file_is_named() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let roots = [a.path().to_owned(), b.path().to_owned()];
        let files = [PathBuf::from("same"), PathBuf::from("changed")];
        for root in &roots {
            std::fs::write(root.join("same"), vec![7; 600_000]).unwrap();
            std::fs::write(root.join("changed"), vec![7; 600_000]).unwrap();
        }
        let equal = digests(&roots, &files).unwrap();
        assert!(different(&equal[0], &equal[1]).is_empty());
        let mut content = vec![7; 600_000];
        content[599_999] = 8;
        std::fs::write(roots[1].join("changed"), content).unwrap();
        let changed = digests(&roots, &files).unwrap();
        assert_eq!(different(&changed[0], &changed[1]), [files[1].as_path()]);
        std::fs::remove_file(roots[1].join("same")).unwrap();
        assert_eq!(
            digests(&roots, &files).unwrap_err().0,
            roots[1].join("same")
        );
    }
}
