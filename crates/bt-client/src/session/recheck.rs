//! Looks again at what is on the disk, all of it or one file, because the owner asks.
//!
//! It must not know why; what is checked before a torrent starts is decided elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bt_metainfo::{FileIndex, PieceIndex};

use super::check;
use super::config::Check;
use super::member::Member;
use super::torrent::Torrent;
use super::{perform, scrub};
use crate::disk::DiskError;
use crate::engine::{Command, Input, PieceVerdict};
use crate::error::Error;

/// Forgets what is here and hashes everything; the torrent is in the state `checking` meanwhile.
pub(super) fn all(member: &Arc<Member>) {
    if member.is_broken() {
        return;
    }
    Torrent::cancel_check(member);
    member.handle(Input::Command(Command::Recheck));
    member.content.close();
    member.content.retry();
    member.contained(|| check::begin(member, Check::Always, None, &[]));
}

/// Hashes the pieces of one file while the torrent goes on; those that are bad now are missing again.
pub(super) fn file(member: &Arc<Member>, file: FileIndex) -> Result<(), Error> {
    if file.0 as usize >= member.layout.file_count() {
        return Err(Error::NoSuchFile(file.0));
    }
    member.is_sound()?;
    let pieces = member.layout.pieces_of_file(file).map(PieceIndex);
    let pieces: Vec<PieceIndex> = pieces.collect();
    let session = member.session.upgrade().ok_or(Error::Stopped)?;
    let member = Arc::clone(member);
    let started = session.checks.spawn("recheck", move |stop| {
        if let Some(Err(error)) = member.contained(|| look(&member, &pieces, stop)) {
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
        self::lost(member, lost, stop);
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
/// have them in the same files look as well, and nobody fetches anything before all of them have given up what is bad:
/// what one of them still counts, no other may change. Blocks the thread; after `stop` nobody looks any further.
pub(super) fn lost(member: &Arc<Member>, pieces: Vec<PieceIndex>, stop: &AtomicBool) {
    let all = with_sharers(member, pieces, stop);
    // Before a commit can settle what is left without them, and take that for all.
    let under_way: Vec<UnderWay> = (all.iter())
        .map(|loss| UnderWay::begin(&loss.member))
        .collect();
    for loss in &all {
        let pieces: Vec<PieceIndex> = loss.bad.iter().copied().collect();
        if let (Some(session), Some(&number)) =
            (loss.member.session.upgrade(), loss.member.number.get())
        {
            let pieces = pieces.iter().map(|piece| piece.0).collect();
            session.durable.forget(&loss.member, number, &pieces);
        }
        // Before they are asked for: what has come is taken back by whoever has written it.
        loss.member.content.lose(&pieces);
    }
    for (loss, under_way) in all.into_iter().zip(under_way) {
        let member = &loss.member;
        member.handle(Input::Lost(loss.bad.into_iter().collect()));
        drop(under_way);
        if member.owes_completion.load(Ordering::Relaxed)
            && let Some(session) = member.session.upgrade()
        {
            // What was lost may be nothing that is wanted.
            perform::complete_when_safe(&session, member);
        }
    }
}

/// A loss that is known, but not yet to the engine: as long as it lives, nobody is told that all is here.
pub(super) struct UnderWay(Arc<Member>);

impl UnderWay {
    pub(super) fn begin(member: &Arc<Member>) -> Self {
        member.losses.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(member))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.losses.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one torrent has lost.
struct Loss {
    member: Arc<Member>,
    /// Those that were looked at.
    seen: BTreeSet<PieceIndex>,
    /// Those of them that are bad.
    bad: BTreeSet<PieceIndex>,
}

/// What a torrent has lost, and what others have lost with it. A bad piece of another torrent may be longer than the one
/// that it was found by, and reach into more that is bad; each piece of each torrent is looked at once.
fn with_sharers(member: &Arc<Member>, pieces: Vec<PieceIndex>, stop: &AtomicBool) -> Vec<Loss> {
    let session = member.session.upgrade();
    let members = session.map_or_else(Vec::new, |session| session.members_in_order());
    let mut all = vec![Loss {
        member: Arc::clone(member),
        seen: pieces.iter().copied().collect(),
        bad: pieces.iter().copied().collect(),
    }];
    let mut to_follow = vec![(Arc::clone(member), pieces)];
    while let Some((from, pieces)) = to_follow.pop() {
        for (content, theirs) in from.content.sharers(&pieces) {
            let is_its = |other: &&Arc<Member>| Arc::ptr_eq(&other.content, &content);
            let Some(other) = members.iter().find(is_its) else {
                continue;
            };
            let of = |loss: &Loss| Arc::ptr_eq(&loss.member, other);
            let at = all.iter().position(of).unwrap_or_else(|| {
                all.push(Loss {
                    member: Arc::clone(other),
                    seen: BTreeSet::new(),
                    bad: BTreeSet::new(),
                });
                all.len() - 1
            });
            let new: Vec<PieceIndex> = (theirs.into_iter())
                .filter(|piece| all[at].seen.insert(*piece))
                .collect();
            let bad = scrub::find_bad(other, new, stop);
            if !bad.is_empty() {
                all[at].bad.extend(&bad);
                to_follow.push((Arc::clone(other), bad));
            }
        }
    }
    all.retain(|loss| !loss.bad.is_empty());
    all
}
