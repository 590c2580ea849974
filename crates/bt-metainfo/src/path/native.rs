//! Names as they are, where the running system can hold them.
//!
//! A [`SafePath`] suits every system; a directory that was shared from this machine may hold
//! names that suit only this one, such as `aux.c` or two that differ in case. This file gives the
//! path under which such content lies. On systems other than Unix there is none.

use std::path::{Path, PathBuf};

use super::SafePath;
use crate::limits::{MAX_NATIVE_COMPONENT_BYTES, MAX_NATIVE_PATH_BYTES};

/// The path that holds the names unchanged, if it differs from `path` and is just as unable to
/// leave its directory. Names that are not UTF-8 have none.
pub(crate) fn native_path<'a>(
    names: impl Iterator<Item = &'a [u8]> + Clone,
    path: &SafePath,
) -> Option<Box<Path>> {
    let bytes = names.clone().map(|name| name.len() + 1).sum::<usize>();
    if cfg!(not(unix)) || bytes == 0 || bytes > MAX_NATIVE_PATH_BYTES || path.is(names.clone()) {
        return None;
    }
    let mut native = PathBuf::new();
    for name in names {
        if matches!(name, b"" | b"." | b"..")
            || name.len() > MAX_NATIVE_COMPONENT_BYTES
            || name.iter().any(|byte| matches!(byte, b'/' | 0))
        {
            return None;
        }
        native.push(str::from_utf8(name).ok()?);
    }
    Some(native.into())
}

/// Whether no two files share a path and none stands where others need a directory, when each
/// lies at its native path or else at its safe one.
pub(crate) fn unique_natives<'a>(
    files: impl Iterator<Item = (Option<&'a Path>, &'a SafePath)> + Clone,
) -> bool {
    // Safe paths alone are unique already, and nearly all torrents have nothing else.
    if files.clone().all(|(native, _)| native.is_none()) {
        return true;
    }
    let mut paths: Vec<PathBuf> = files
        .map(|(native, safe)| native.map_or_else(|| safe.to_path_buf(), Path::to_path_buf))
        .collect();
    // Paths compare name by name, so what is below a path sorts right behind it.
    paths.sort_unstable();
    paths
        .iter()
        .zip(paths.iter().skip(1))
        .all(|(path, next)| !next.starts_with(path))
}
