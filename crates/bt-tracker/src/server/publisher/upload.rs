//! Torrents that come over the network from somebody with the token, put into the directory.
//!
//! A file appears whole or not at all, and never in the place of another torrent. Knows nothing of
//! HTTP.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use bt_metainfo::{InfoHash, Metainfo};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::super::shown::steers;
use super::Publisher;
use crate::limits::MAX_UPLOAD_NAME;
use crate::swarm::Swarms;

/// What became of an upload.
#[derive(Debug)]
pub(in super::super) struct Uploaded {
    /// Its name in the directory.
    pub(in super::super) file: String,
    pub(in super::super) info_hash: InfoHash,
    /// It was not there before.
    pub(in super::super) is_new: bool,
}

/// Why an upload was refused.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Refused {
    #[error("not a torrent: {0}")]
    NotATorrent(String),
    #[error("the file name must end in .torrent, must not begin with a dot, and holds no slashes")]
    Name,
    #[error("another torrent has this file name")]
    Taken,
    #[error("there is no directory of torrents")]
    NoDirectory,
    #[error("cannot write into the directory of torrents: {0}")]
    Disk(String),
}

impl Publisher {
    /// Puts a torrent into the directory and offers it at once. Waits for the disk.
    pub(in super::super) fn upload(
        &self,
        file: Option<&str>,
        bytes: &[u8],
        swarms: &Swarms,
    ) -> Result<Uploaded, Refused> {
        let dir = self.dir.as_deref().ok_or(Refused::NoDirectory)?;
        if file.is_some_and(|file| !is_good(file)) {
            return Err(Refused::Name);
        }
        let metainfo =
            Metainfo::parse(bytes).map_err(|error| Refused::NotATorrent(error.to_string()))?;
        let info_hash = metainfo.info_hash();
        let catalog = self.catalog();
        if let Some((known, torrent)) = catalog.by_hash(info_hash)
            && torrent.stamp.is_some()
            && file.is_none_or(|file| file == known)
        {
            // The same content; the file around it, such as its trackers, may be another.
            let known = known.to_owned();
            if torrent.bytes != bytes {
                write(dir, &known, bytes, Place::Replace).map_err(|error| disk(&error))?;
                self.rescan(dir, swarms)?;
            }
            return Ok(Uploaded {
                file: known,
                info_hash,
                is_new: false,
            });
        }
        let named = |file: &str| write(dir, file, bytes, Place::New);
        let file = match file {
            Some(file) => named(file).map(|()| file.to_owned()),
            None => {
                let stem = stem(metainfo.info().name());
                let (short, long) = (
                    format!("{stem}.torrent"),
                    format!("{stem}-{info_hash}.torrent"),
                );
                match named(&short) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        named(&long).map(|()| long)
                    }
                    other => other.map(|()| short),
                }
            }
        };
        let file = file.map_err(|error| disk(&error))?;
        self.rescan(dir, swarms)?;
        Ok(Uploaded {
            file,
            info_hash,
            is_new: true,
        })
    }

    fn rescan(&self, dir: &Path, swarms: &Swarms) -> Result<(), Refused> {
        let scanned = self.scan(dir, swarms);
        scanned
            .map(drop)
            .map_err(|error| Refused::Disk(error.to_string()))
    }
}

fn disk(error: &io::Error) -> Refused {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Refused::Taken,
        _ => Refused::Disk(error.to_string()),
    }
}

/// What may already be where a file goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing.
    New,
    /// An older file of the same torrent.
    Replace,
}

/// Writes beside the place and then moves there, so that nobody sees half a file.
fn write(dir: &Path, file: &str, bytes: &[u8], place: Place) -> io::Result<()> {
    let mut random = [0; 8];
    super::super::random::fill(&mut random).map_err(io::Error::other)?;
    let beside = dir.join(format!(".{:016x}.upload", u64::from_ne_bytes(random)));
    let path = dir.join(file);
    let written = (|| {
        let mut written = File::options().write(true).create_new(true).open(&beside)?;
        written.write_all(bytes)?;
        written.sync_all()?;
        match place {
            Place::Replace => fs::rename(&beside, &path),
            Place::New => move_to(&beside, &path),
        }
    })();
    // After a rename it is gone already.
    let _ = fs::remove_file(&beside);
    written?;
    File::open(dir)?.sync_all()
}

/// Moves a file to where no other is. Some file systems have no hard links, others cannot rename in
/// this way; none that people keep torrents on lacks both.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(from, to),
        moved => Ok(moved?),
    }
}

/// Whether a file of this name stays in the directory, is seen there, and can be shown.
fn is_good(file: &str) -> bool {
    file.len() <= MAX_UPLOAD_NAME
        && file
            .strip_suffix(".torrent")
            .is_some_and(|stem| !stem.is_empty())
        && !file.starts_with('.')
        && !file.chars().any(is_bad)
}

fn is_bad(character: char) -> bool {
    matches!(character, '/' | '\\') || steers(character)
}

/// The name of a torrent as the beginning of a file name, with room for a hash.
fn stem(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| if is_bad(c) { '_' } else { c })
        .collect();
    let name = name.trim_start_matches('.').trim();
    let stem = &name[..name.floor_char_boundary(MAX_UPLOAD_NAME - 60)];
    if stem.is_empty() {
        "torrent".into()
    } else {
        stem.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_the_directory() {
        let of = |length: usize| format!("{}.torrent", "x".repeat(length - ".torrent".len()));
        let (longest, long) = (of(MAX_UPLOAD_NAME), of(MAX_UPLOAD_NAME + 1));
        for good in ["a.torrent", "ä b (1).torrent", "a..torrent", &longest] {
            assert!(is_good(good), "{good}");
        }
        for bad in [
            "",
            ".torrent",
            "a.txt",
            "../a.torrent",
            "a/b.torrent",
            "a\\b.torrent",
            ".a.torrent",
            "a\0.torrent",
            "a\n.torrent",
            "\u{202e}a.torrent",
            long.as_str(),
        ] {
            assert!(!is_good(bad), "{bad}");
        }
        for name in [
            "../../etc/passwd",
            "",
            "...",
            "a\0b",
            "x/y",
            &"é".repeat(300),
        ] {
            let file = format!("{}-{}.torrent", stem(name), "0".repeat(40));
            assert!(is_good(&file), "{file}");
        }
    }
}
