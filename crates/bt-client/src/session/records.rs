//! What the journal is told of a torrent: what is known no more, and how files were left.
//!
//! It must not know when, nor the thread that writes it.

use bt_metainfo::FileIndex;

use super::member::Member;
use crate::disk::{DiskError, Look};
use crate::state::StateError;
use crate::state::knowledge::{IndexSet, Record, Stamp, spans};

/// The journal is to know of these pieces no more.
pub(super) fn forgotten(torrent: u32, pieces: &IndexSet) -> Vec<Record> {
    let of = |pieces| Record::Forgotten { torrent, pieces };
    spans(pieces).into_iter().map(of).collect()
}

/// How the files of a torrent were left; `whole` ones have to be there.
pub(super) fn seal(
    member: &Member,
    torrent: u32,
    files: &[FileIndex],
    whole: bool,
) -> Result<Vec<Record>, DiskError> {
    let closed = |(file, look): (FileIndex, Look)| Record::Closed {
        torrent,
        file: file.0,
        stamp: stamp(look),
    };
    Ok(member
        .content
        .seal(files, whole)?
        .into_iter()
        .map(closed)
        .collect())
}

/// What a file looks like, as the journal has it.
pub(super) fn stamp(look: Look) -> Stamp {
    Stamp {
        size: look.size,
        seconds: look.seconds,
        nanos: look.nanos,
    }
}

/// The journal cannot be kept, for people.
pub(super) fn trouble(error: &StateError) -> String {
    format!(
        "{error}; the work goes on, and what is done is hashed again after a restart ({})",
        error.hint()
    )
}
