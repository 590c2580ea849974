//! Looks at pieces again while nobody asks for it, so that what a disk has lost is noticed while others still have it.
//!
//! Which piece is looked at and when is decided elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bt_metainfo::{InfoHash, PieceIndex};

use super::clock;
use super::events::EventKind;
use super::member::Member;
use super::recheck;
use super::session::Inner;
use crate::disk::DiskError;
use crate::limits::LOOK_FOR_CONTENT;
use crate::scrub::Scrub;

/// One turn after the other until the session ends.
pub(super) async fn run(session: Arc<Inner>, rate: u64) {
    let mut scrub = Scrub::new(clock::now(), rate);
    loop {
        tokio::time::sleep(scrub.wait(clock::now())).await;
        let turn = turn(&session.members_in_order(), &mut scrub);
        if turn.is_empty() {
            scrub.rest(clock::now(), LOOK_FOR_CONTENT);
            continue;
        }
        let look = move || {
            for (member, pieces) in &turn {
                member.contained(|| look(member, pieces));
            }
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }
}

/// What is read at once, for each torrent together. `members` are in the order of their info-hashes.
fn turn(members: &[Arc<Member>], scrub: &mut Scrub) -> Vec<(Arc<Member>, Vec<PieceIndex>)> {
    let torrents: Vec<InfoHash> = members.iter().map(|member| member.info_hash).collect();
    let of = |torrent| members.get(torrents.binary_search(&torrent).ok()?);
    let next = |torrent, from| first_here(of(torrent)?, from);
    let mut turn: Vec<(Arc<Member>, Vec<PieceIndex>)> = Vec::new();
    let (mut bytes, mut first) = (0, None);
    while turn.is_empty() || bytes < scrub.turn() {
        let Some((torrent, piece)) = scrub.pick(&torrents, next) else {
            break;
        };
        // There is no more than this.
        if first == Some((torrent, piece)) {
            break;
        }
        first.get_or_insert((torrent, piece));
        let Some(member) = of(torrent) else {
            break;
        };
        let size = u64::from(member.layout.piece_size(piece));
        scrub.read(clock::now(), size);
        bytes += size;
        match turn.last_mut() {
            Some((last, pieces)) if last.info_hash == torrent => pieces.push(piece),
            _ => turn.push((Arc::clone(member), vec![piece])),
        }
    }
    turn
}

fn first_here(member: &Member, from: u32) -> Option<PieceIndex> {
    let engine = member.engine();
    let have = engine.have();
    if !engine.is_active() || have.is_empty() {
        return None;
    }
    // From there on, and not from the start: it is asked for each piece.
    let mut rest = (from..have.len()).map(PieceIndex);
    rest.find(|piece| have.get(*piece))
}

fn look(member: &Arc<Member>, pieces: &[PieceIndex]) {
    // A turn is short, and nobody waits for it when the session ends; of others each piece that lies in a bad one is read once.
    let never = AtomicBool::new(false);
    let bad = find_bad(member, pieces.to_vec(), &never);
    if !bad.is_empty() {
        recheck::lost(member, bad, &never);
    }
}

/// Which of these pieces that are here are not what they were; says so of each. After `stop` the rest is not looked at.
pub(super) fn find_bad(
    member: &Member,
    mut pieces: Vec<PieceIndex>,
    stop: &AtomicBool,
) -> Vec<PieceIndex> {
    let is_here = |piece: &PieceIndex| member.engine().have().get(*piece);
    pieces.retain(is_here);
    let mut bad = Vec::new();
    // From the disk: what memory holds was good when it came.
    let looked = member
        .content
        .recheck(&pieces, true, stop, |piece, is_good| {
            if !is_good {
                bad.push(piece);
            }
        });
    let unreadable = match looked {
        Ok(unreadable) => unreadable,
        Err(error) => {
            // Whoever needs the files will say so.
            tracing::info!(torrent = %member.info_hash, %error, "cannot look at a piece");
            return Vec::new();
        }
    };
    // They may have been given up, or all of it checked again, in between.
    bad.retain(is_here);
    bad.sort_unstable();
    for piece in &bad {
        tell(member, *piece, &unreadable);
    }
    bad
}

fn tell(member: &Member, piece: PieceIndex, unreadable: &[DiskError]) {
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let extents = member.layout.piece_extents(piece);
    let stored = extents.filter(|extent| !member.layout.is_pad(extent.file));
    let paths: Vec<PathBuf> = stored
        .map(|extent| member.content.path(extent.file))
        .collect();
    let why = match unreadable.iter().find(|error| paths.contains(&error.path)) {
        Some(error) => error.to_string(),
        None => "no longer what it was".to_owned(),
    };
    let path = paths.into_iter().next().unwrap_or_default();
    let message = format!(
        "piece {piece} in {} is {why}; it is fetched again",
        path.display()
    );
    let kind = "scrub";
    session
        .events
        .send(member.info_hash, EventKind::Warning { kind, message });
}
