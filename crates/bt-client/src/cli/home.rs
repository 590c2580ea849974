//! Where the program keeps its state, and the state of one download or seed. It must not know what is kept there.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bt_metainfo::Metainfo;

use super::Context;
use super::exit::Exit;
use super::report::Failure;
use crate::state::{Home, Place, StateError, Store, is_same_place};

/// The state of one torrent in one folder, ours until it is dropped.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) store: Store,
    _places: Vec<Place>,
    _home: Home,
}

/// The folder of state by the XDG rules, or below the home that the user named; `None` when there is no home at all.
pub(crate) fn folder(
    home: Option<&Path>,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Option<PathBuf> {
    match home {
        Some(home) => Some(home.join("state")),
        // The base directory specification: a relative path must be ignored.
        None => Some(
            variable("XDG_STATE_HOME")
                .filter(|path| path.is_absolute())
                .or_else(|| Some(variable("HOME")?.join(".local/state")))?
                .join("bt-client"),
        ),
    }
}

/// Takes the state of a torrent that is only to be served. Who serves writes nothing, and so may do it beside another process
/// that works on the same content; only the state is that one's.
pub(crate) fn take_if_free(
    context: &Context,
    metainfo: &Metainfo,
    dir: &Path,
) -> Result<Option<Kept>, Failure> {
    let taken = take(context, metainfo, dir, None);
    taken.or_else(|failure| {
        let message = format!(
            "{}; the content is checked and served all the same",
            failure.what()
        );
        context.report.warning("state", &message);
        Ok(None)
    })
}

/// Takes the state of a torrent whose content is in `dir`, or goes there from `apart` or from where an earlier run has
/// left it. Without a place for it the work goes on, with a warning: what is lost is that a later run knows of this one.
pub(crate) fn take(
    context: &Context,
    metainfo: &Metainfo,
    dir: &Path,
    apart: Option<&Path>,
) -> Result<Option<Kept>, Failure> {
    let (Some(folder), Some(info_hash)) = (&context.state, metainfo.info_hash_v1()) else {
        return Ok(None);
    };
    // Where somebody else was met.
    let mut at = dir.to_owned();
    let taken = Home::shared(folder).and_then(|home| {
        let store = home.download(info_hash, dir)?;
        // What cannot be read is said when the torrent is to begin.
        let left = store.settings(info_hash).ok().flatten();
        let left = left.map(|settings| PathBuf::from(OsString::from_vec(settings.stand.directory)));
        let mut places = Vec::new();
        let mut taken = vec![dir.to_owned()];
        for place in apart.map(Path::to_owned).into_iter().chain(left) {
            if taken.iter().any(|other| is_one(other, &place)) {
                continue;
            }
            at.clone_from(&place);
            places.push(home.place(info_hash, &place)?);
            taken.push(place);
        }
        Ok(Kept {
            store,
            _places: places,
            _home: home,
        })
    });
    match taken {
        Ok(kept) => {
            for notice in kept.store.take_notices() {
                context.report.warning("state", &notice);
            }
            Ok(Some(kept))
        }
        Err(error @ StateError::Busy { .. }) => Err(busy(metainfo, &at, folder, &error)),
        Err(error) => {
            let message = format!(
                "{error}; this run cannot be taken up later ({})",
                error.hint()
            );
            context.report.warning("state", &message);
            Ok(None)
        }
    }
}

fn is_one(one: &Path, other: &Path) -> bool {
    let [one, other] = [one, other].map(|path| {
        let absolute = std::path::absolute(path);
        absolute.unwrap_or_else(|_| path.to_owned())
    });
    is_same_place(one.as_os_str().as_bytes(), other.as_os_str().as_bytes())
}

fn busy(metainfo: &Metainfo, dir: &Path, folder: &Path, error: &StateError) -> Failure {
    if matches!(error, StateError::Busy { path, .. } if path == folder) {
        return Failure::new(
            Exit::Storage,
            "the home is in use by a program that needs it alone",
        )
        .cause(error)
        .hint("stop that, or choose another home with --home DIR");
    }
    let name = metainfo.info().name();
    let what = format!("another process works on {name} in {}", dir.display());
    Failure::new(Exit::Storage, what)
        .cause(error)
        .hint("stop it first, or choose another folder")
}

#[cfg(test)]
mod tests {
    use super::folder;
    use std::path::{Path, PathBuf};

    #[test]
    fn home_moves_it_and_xdg_is_followed() {
        let found = |home: Option<&str>, xdg: Option<&str>| {
            let variable = |name: &str| match name {
                "HOME" => Some(PathBuf::from("/home/u")),
                "XDG_STATE_HOME" => xdg.map(PathBuf::from),
                _ => None,
            };
            folder(home.map(Path::new), variable).unwrap()
        };
        let plain = Path::new("/home/u/.local/state/bt-client");
        assert_eq!(found(None, None), plain);
        assert_eq!(found(None, Some("relative")), plain);
        assert_eq!(found(None, Some("/var")), Path::new("/var/bt-client"));
        assert_eq!(found(Some("/h"), Some("/var")), Path::new("/h/state"));
        assert_eq!(folder(None, |_| None), None);
    }
}
