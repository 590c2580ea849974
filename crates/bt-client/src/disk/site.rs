//! Where the content of one torrent lies, and what its files are called there.
//!
//! It must not know what is on the disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bt_metainfo::{FileIndex, Info, SafePath};

/// Where the content of one torrent lies: in which directory, and under which names where they are not those of the
/// torrent. Two torrents never share one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Site {
    /// The directory that holds the content: the parent of the torrent's own file or directory.
    pub directory: PathBuf,
    /// What the torrent's own directory is called, if not as the torrent says; a torrent of a single file has none.
    pub top: Option<SafePath>,
    /// Files with another path than the torrent gives them: below the torrent's own directory, or for a single file
    /// below [`Site::directory`].
    pub names: BTreeMap<FileIndex, SafePath>,
    /// Stands behind the name of each file, for as long as not all that is wanted is here.
    pub suffix: String,
}

impl Site {
    /// `directory`, where everything is called as the torrent says.
    #[must_use]
    pub fn plain(directory: PathBuf) -> Self {
        Self {
            directory,
            ..Self::default()
        }
    }

    /// Where a file lies, relative to the directory; `given` is the path by the torrent alone.
    pub(super) fn path(&self, info: &Info, file: FileIndex, given: &Path) -> PathBuf {
        let name = self.names.get(&file).map(SafePath::to_path_buf);
        let path = if info.is_single_file() {
            name.unwrap_or_else(|| given.to_owned())
        } else {
            let mut parts = given.components();
            let top = parts.next().map(|part| PathBuf::from(part.as_os_str()));
            let top = self.top.as_ref().map(SafePath::to_path_buf).or(top);
            let below = name.unwrap_or_else(|| parts.as_path().to_owned());
            top.unwrap_or_default().join(below)
        };
        if self.suffix.is_empty() {
            return path;
        }
        let mut path = path.into_os_string();
        path.push(&self.suffix);
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::Site;
    use bt_metainfo::{FileIndex, Info, SafePath};
    use std::path::{Path, PathBuf};

    fn info(raw: &str) -> Info {
        let hash = "x".repeat(20);
        let raw = raw.replace("HASH", &format!("6:pieces20:{hash}"));
        Info::parse(raw.as_bytes()).unwrap()
    }

    #[test]
    fn names_of_its_own_and_a_suffix_stand_where_the_torrents_names_stood() {
        let single = info("d6:lengthi5e4:name1:a12:piece lengthi16384eHASHe");
        let several =
            info("d5:filesld6:lengthi5e4:pathl1:d1:beee4:name1:a12:piece lengthi16384eHASHe");
        let safe = |text: &str| SafePath::sanitize(text.split('/').map(str::as_bytes));
        let mut site = Site::plain(PathBuf::from("/x"));
        let file = FileIndex(0);
        let path = |site: &Site, info: &Info| site.path(info, file, &info.disk_path(file));
        assert_eq!(path(&site, &single), Path::new("a"));
        assert_eq!(path(&site, &several), Path::new("a/d/b"));
        site.suffix = ".part".to_owned();
        site.top = Some(safe("top"));
        assert_eq!(path(&site, &single), Path::new("a.part"), "it has no top");
        assert_eq!(path(&site, &several), Path::new("top/d/b.part"));
        site.names.insert(file, safe("e/f"));
        assert_eq!(path(&site, &single), Path::new("e/f.part"));
        assert_eq!(path(&site, &several), Path::new("top/e/f.part"));
    }
}
