//! Content to move or to hash, and the torrent of it, in a folder that goes away with its owner.
//!
//! It must not know who moves it.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bt_metainfo::create::{Options, create};

/// Pieces of all torrents here.
pub(crate) const PIECE: u32 = 1 << 20;

/// The file of all torrents here.
pub(crate) const NAME: &str = "content.bin";

/// A folder for one group, on memory where there is such a file system.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(group: &str) -> Result<Self, String> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let path = parent.join(format!("bt-bench-{group}-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A folder below, made anew and empty.
    pub(crate) fn empty(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.0.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One file, and the torrent of it.
#[derive(Debug)]
pub(crate) struct Content {
    /// Holds the file.
    pub(crate) dir: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) torrent: PathBuf,
    pub(crate) bytes: u64,
}

impl Content {
    /// `mib` MiB without a pattern, in a folder of their own; `tracker` is named in the torrent, if given.
    pub(crate) fn make(folder: &Folder, mib: u64, tracker: Option<&str>) -> Result<Self, String> {
        let dir = folder.empty(&format!("content-{mib}"))?;
        let file = dir.join(NAME);
        fill(&file, mib).map_err(|error| format!("{}: {error}", file.display()))?;
        let torrent = folder.path().join(format!("content-{mib}.torrent"));
        let options = Options {
            piece_length: Some(PIECE),
            trackers: tracker
                .map(|url| vec![vec![url.to_owned()]])
                .unwrap_or_default(),
            ..Options::default()
        };
        let bytes = create(&file, &options)
            .map_err(|error| error.to_string())
            .and_then(|assembly| assembly.to_bytes().map_err(|error| error.to_string()))?;
        fs::write(&torrent, bytes).map_err(|error| format!("{}: {error}", torrent.display()))?;
        Ok(Self {
            dir,
            file,
            torrent,
            bytes: mib << 20,
        })
    }
}

impl Content {
    /// Whether `dir` holds the same bytes.
    pub(crate) fn is_in(&self, dir: &Path) -> std::io::Result<bool> {
        let mut ours = BufReader::with_capacity(1 << 20, File::open(&self.file)?);
        let mut theirs = BufReader::with_capacity(1 << 20, File::open(dir.join(NAME))?);
        let (mut one, mut other) = (vec![0; 1 << 20], vec![0; 1 << 20]);
        for _ in 0..self.bytes >> 20 {
            ours.read_exact(&mut one)?;
            theirs.read_exact(&mut other)?;
            if one != other {
                return Ok(false);
            }
        }
        Ok(theirs.read(&mut other)? == 0)
    }
}

/// Writes `mib` MiB of bytes without a pattern, the same in each run.
fn fill(path: &Path, mib: u64) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..mib << 17 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.write_all(&state.to_le_bytes())?;
    }
    out.flush()
}
