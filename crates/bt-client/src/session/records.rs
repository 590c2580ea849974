//! What the journal is told of a torrent: what is known no more, and how files were left.
//!
//! It must not know when, nor the thread that writes it.

use bt_metainfo::FileIndex;

use super::account::{Account, Standing};
use super::member::Member;
use crate::contain::Bugs;
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

/// How a torrent leaves the files that it wrote to when the session ends, once they are synced; none if something of it is
/// not settled, or cannot be synced, so that a start has to look.
pub(super) fn parting(torrent: u32, account: &Account, bugs: &Bugs) -> Option<Vec<Record>> {
    if account.muted || account.standing() != Standing::Settled {
        return None;
    }
    let member = &account.member;
    let open: Vec<FileIndex> = account.open.iter().map(FileIndex).collect();
    let sealed = bugs.catch(|| {
        member.content.sync()?;
        seal(member, torrent, &open, false)
    });
    match sealed {
        Ok(Ok(closed)) => Some(closed),
        Ok(Err(error)) => {
            tracing::warn!(torrent = %member.info_hash, %error, "cannot sync at the end");
            None
        }
        Err(bug) => {
            member.breaks(&bug);
            None
        }
    }
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
