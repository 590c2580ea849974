//! Links between the files of one torrent (BEP 47): only those that stay inside are kept.
//!
//! Decides from the list of files alone. Creating links, and never following them, is for whoever
//! writes to a disk.

use super::draft::Draft;
use super::entry::FileEntry;
use crate::error::shown;
use crate::index::FileIndex;
use crate::path::SafePath;
use crate::warning::{Warning, Warnings};

/// Where a link leads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A file, by number; it may be a link again.
    File(usize),
    /// A directory that some file of the torrent is below.
    Directory,
}

/// Sets the links of all entries whose draft has one, or warns why it is dropped.
///
/// `wanted` are the paths of the files before equal ones got numbers, because links use those.
pub(super) fn resolve(
    entries: &mut [FileEntry],
    drafts: &[Draft],
    wanted: &[SafePath],
    warnings: &mut Warnings,
) {
    let mut sorted: Vec<(Vec<&str>, usize)> = wanted
        .iter()
        .enumerate()
        .filter(|&(i, _)| drafts.get(i).is_some_and(|draft| !draft.attributes.pad))
        .map(|(i, path)| (path.components().collect(), i))
        .collect();
    sorted.sort_unstable();

    let mut targets: Vec<Option<Target>> = Vec::with_capacity(drafts.len());
    let mut reasons = Vec::new();
    for (i, draft) in drafts.iter().enumerate() {
        let found = draft.link.as_ref().map(|link| {
            let path = SafePath::sanitize(link.components());
            if !path.is(link.components()) {
                return Err("its target is not a safe path");
            }
            find(&sorted, &path, wanted.get(i))
        });
        targets.push(found.and_then(Result::ok));
        if let Some(Err(reason)) = found {
            reasons.push((i, reason));
        }
    }
    for i in circular(&targets) {
        reasons.push((i, "it leads in a circle"));
        if let Some(target) = targets.get_mut(i) {
            *target = None;
        }
    }
    reasons.sort_unstable();
    for (i, reason) in reasons {
        let Some(entry) = entries.get(i) else {
            continue;
        };
        let file = FileIndex(u32::try_from(i).unwrap_or(u32::MAX));
        warnings.push(Warning::Link {
            file,
            path: shown(entry.path.as_str()),
            reason,
        });
    }
    for (i, target) in targets.iter().enumerate() {
        let path = match target {
            None => continue,
            Some(Target::File(other)) => entries.get(*other).map(|entry| entry.path.clone()),
            Some(Target::Directory) => drafts
                .get(i)
                .and_then(|draft| draft.link.as_ref())
                .map(|link| SafePath::sanitize(link.components())),
        };
        if let Some(entry) = entries.get_mut(i) {
            entry.attributes.symlink = path;
        }
    }
}

/// Looks a target up among all paths, sorted by names.
fn find(
    sorted: &[(Vec<&str>, usize)],
    path: &SafePath,
    link: Option<&SafePath>,
) -> Result<Target, &'static str> {
    let names: Vec<&str> = path.components().collect();
    let place = sorted.partition_point(|(other, _)| *other < names);
    match sorted.get(place) {
        Some((other, file)) if *other == names => Ok(Target::File(*file)),
        Some((other, _)) if other.starts_with(&names) => {
            let link: Vec<&str> = link.into_iter().flat_map(SafePath::components).collect();
            if link.starts_with(&names) {
                Err("its target holds the link itself")
            } else {
                Ok(Target::Directory)
            }
        }
        _ => Err("its target is not in the torrent"),
    }
}

/// The links that, followed from link to link, never reach a file or directory.
fn circular(targets: &[Option<Target>]) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        Unseen,
        OnTrail,
        Ends,
        Circles,
    }
    let mut marks = vec![Mark::Unseen; targets.len()];
    for start in 0..targets.len() {
        let mut trail = Vec::new();
        let mut at = start;
        let end = loop {
            match marks.get(at) {
                Some(Mark::Unseen) => {}
                Some(Mark::OnTrail) => break Mark::Circles,
                Some(&known) => break known,
                None => break Mark::Ends,
            }
            let Some(Some(Target::File(next))) = targets.get(at) else {
                break Mark::Ends;
            };
            if let Some(mark) = marks.get_mut(at) {
                *mark = Mark::OnTrail;
            }
            trail.push(at);
            at = *next;
        };
        for link in trail {
            if let Some(mark) = marks.get_mut(link) {
                *mark = end;
            }
        }
    }
    (0..targets.len())
        .filter(|&i| marks.get(i) == Some(&Mark::Circles))
        .collect()
}
