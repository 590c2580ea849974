//! Under which of two names a file lies, when one file's portable name is another one's own.
//!
//! `a<TAB>b` beside `a_b` is such a pair: shared from this machine they lie under their own names,
//! downloaded they are `a_b` and `a_b (2)`, so that `a_b` may be either. It must not know a disk:
//! whoever has one says what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Info;
use crate::FileIndex;

/// How the files of a torrent are named in one directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// Files with a path that is the other path of another file.
    ambiguous: BTreeSet<FileIndex>,
    /// The ambiguous files lie under their own names.
    native: bool,
}

impl Naming {
    /// Finds out by looking for files that can have only one of the names; `is_there` is asked
    /// about paths relative to the directory, and only where a torrent has ambiguous names.
    pub fn find(info: &Info, is_there: impl Fn(&Path) -> bool) -> Self {
        let stored = || {
            let layout = info.layout();
            layout.files().filter(|file| !layout.is_pad(*file))
        };
        let natives: Vec<(FileIndex, PathBuf)> = stored()
            .filter_map(|file| Some((file, info.native_path(file)?)))
            .collect();
        if natives.is_empty() {
            return Self::default();
        }
        let portable: BTreeSet<PathBuf> = stored().map(|file| info.disk_path(file)).collect();
        let native: BTreeSet<&Path> = natives.iter().map(|(_, path)| path.as_path()).collect();
        let ambiguous: BTreeSet<FileIndex> = natives
            .iter()
            .filter(|(file, own)| {
                portable.contains(own) || native.contains(info.disk_path(*file).as_path())
            })
            .map(|(file, _)| *file)
            .collect();
        let here = |file: &FileIndex| ambiguous.contains(file);
        let is_native = natives
            .iter()
            .filter(|(file, own)| here(file) && !portable.contains(own))
            .any(|(_, own)| is_there(own));
        let is_portable = || {
            let only_portable = ambiguous
                .iter()
                .map(|file| info.disk_path(*file))
                .filter(|path| !native.contains(path.as_path()));
            only_portable.into_iter().any(|path| is_there(&path))
        };
        Self {
            native: is_native && !is_portable(),
            ambiguous,
        }
    }

    /// Where a file may be, likeliest first: under the name it has everywhere, and under its own if
    /// this system can have that as well.
    pub fn paths(&self, info: &Info, file: FileIndex) -> impl Iterator<Item = PathBuf> + use<> {
        let portable = Some(info.disk_path(file));
        let native = info.native_path(file);
        let (first, second) = match (self.ambiguous.contains(&file), self.native) {
            (true, true) => (native, None),
            (true, false) => (portable, None),
            (false, _) => (portable, native),
        };
        first.into_iter().chain(second)
    }
}
