//! Looks again at what is on the disk, all of it or one file, because the owner asks.
//!
//! It must not know why; what is checked before a torrent starts is decided elsewhere.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bt_metainfo::{FileIndex, PieceIndex};

use super::check;
use super::config::Check;
use super::member::Member;
use super::scrub;
use super::torrent::Torrent;
use crate::disk::DiskError;
use crate::engine::{Command, Input, PieceVerdict};
use crate::error::Error;

/// Forgets what is here and hashes everything; the torrent is in the state `checking` meanwhile.
pub(super) fn all(member: &Arc<Member>) {
    Torrent::cancel_check(member);
    member.handle(Input::Command(Command::Recheck));
    member.content.close();
    member.content.retry();
    check::begin(member, Check::Always, None, &[]);
}

/// Hashes the pieces of one file while the torrent goes on; those that are bad now are missing again.
pub(super) fn file(member: &Arc<Member>, file: FileIndex) -> Result<(), Error> {
    if file.0 as usize >= member.layout.file_count() {
        return Err(Error::NoSuchFile(file.0));
    }
    let pieces = member.layout.pieces_of_file(file).map(PieceIndex);
    let pieces: Vec<PieceIndex> = pieces.collect();
    let session = member.session.upgrade().ok_or(Error::Stopped)?;
    let member = Arc::clone(member);
    let started = session.checks.spawn("recheck", move |stop| {
        if let Err(error) = look(&member, &pieces, stop) {
            member.disk_failed(&error);
        }
    });
    started.map_err(Error::Threads)
}

fn look(member: &Arc<Member>, pieces: &[PieceIndex], stop: &AtomicBool) -> Result<(), DiskError> {
    // A piece that is written while we look may seem bad: only what was here before can turn out lost.
    let before = member.engine().have().clone();
    let (mut good, mut lost) = (Vec::new(), Vec::new());
    let found = |piece, is_good| match (is_good, before.get(piece)) {
        (true, false) => good.push(piece),
        (false, true) => lost.push(piece),
        _ => {}
    };
    let unreadable = member.content.recheck(pieces, false, stop, found)?;
    check::warn_of(member, &unreadable);
    if !lost.is_empty() {
        self::lost(member, lost);
    }
    for piece in good {
        member.content.mark_written(piece);
        member.note(piece);
        let digests = Vec::new();
        member.handle(Input::PieceChecked(piece, PieceVerdict::Good { digests }));
    }
    Ok(())
}

/// These pieces are not on the disk any more: that is recorded, and they are missing. Other torrents of the session that
/// have them in the same files look as well, before anybody fetches them. Blocks the thread.
pub(super) fn lost(member: &Arc<Member>, pieces: Vec<PieceIndex>) {
    for (content, theirs) in member.content.sharers(&pieces) {
        let session = member.session.upgrade();
        let members = session.map_or_else(Vec::new, |session| session.members_in_order());
        let is_its = |other: &&Arc<Member>| Arc::ptr_eq(&other.content, &content);
        if let Some(other) = members.iter().find(is_its) {
            let bad = scrub::find_bad(other, theirs);
            lost_alone(other, bad);
        }
    }
    lost_alone(member, pieces);
}

fn lost_alone(member: &Arc<Member>, pieces: Vec<PieceIndex>) {
    if pieces.is_empty() {
        return;
    }
    if let (Some(session), Some(&number)) = (member.session.upgrade(), member.number.get()) {
        let pieces = pieces.iter().map(|piece| piece.0).collect();
        session.durable.forget(member, number, &pieces);
    }
    // Before they are asked for: what has come is taken back by whoever has written it.
    member.content.lose(&pieces);
    member.handle(Input::Lost(pieces));
}
