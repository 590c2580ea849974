//! Looks at pieces again while nobody asks for it, so that what a disk has lost is noticed while others still have it.
//!
//! Which piece is looked at and when is decided elsewhere.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bt_metainfo::{InfoHash, PieceIndex};

use super::clock;
use super::events::EventKind;
use super::member::Member;
use super::recheck;
use super::session::Inner;
use crate::engine::State;
use crate::limits::LOOK_FOR_ROOM;
use crate::scrub::Scrub;

/// One piece after the other until the session ends.
pub(super) async fn run(session: Arc<Inner>, rate: u64) {
    let mut scrub = Scrub::new(clock::now(), rate);
    loop {
        tokio::time::sleep(scrub.wait(clock::now())).await;
        let members = session.members_in_order();
        let torrents: Vec<InfoHash> = members.iter().map(|member| member.info_hash).collect();
        let of = |torrent| members.iter().find(|member| member.info_hash == torrent);
        let next = |torrent, from| first_here(of(torrent)?, from);
        let Some((torrent, piece)) = scrub.pick(&torrents, next) else {
            // As seldom as a full disk is looked at: there may be something soon.
            tokio::time::sleep(LOOK_FOR_ROOM).await;
            continue;
        };
        let Some(member) = of(torrent).map(Arc::clone) else {
            continue;
        };
        scrub.read(clock::now(), u64::from(member.layout.piece_size(piece)));
        let _ = tokio::task::spawn_blocking(move || look(&member, piece)).await;
    }
}

fn first_here(member: &Member, from: u32) -> Option<PieceIndex> {
    let engine = member.engine();
    let is_at_work = matches!(
        engine.state(),
        State::Downloading | State::Seeding | State::Finished | State::DiskFull
    );
    let have = engine.have();
    if !is_at_work || have.is_empty() {
        return None;
    }
    // From there on, and not from the start: it is asked for each piece.
    let mut rest = (from..have.len()).map(PieceIndex);
    rest.find(|piece| have.get(*piece))
}

fn look(member: &Arc<Member>, piece: PieceIndex) {
    let mut is_good = None;
    let never = AtomicBool::new(false);
    // From the disk: what memory holds was good when it came.
    let looked = member
        .content
        .recheck(&[piece], true, &never, |_, good| is_good = Some(good));
    let why = match (looked, is_good) {
        (Ok(unreadable), Some(false)) => match unreadable.first() {
            Some(error) => error.to_string(),
            None => "no longer what it was".to_owned(),
        },
        (Err(error), _) => {
            // Whoever needs the files will say so.
            tracing::info!(torrent = %member.info_hash, %error, "cannot look at a piece");
            return;
        }
        _ => return,
    };
    // It may have been given up, or all of it checked again, in between.
    if !member.engine().have().get(piece) {
        return;
    }
    if let Some(session) = member.session.upgrade() {
        let path = member
            .layout
            .piece_extents(piece)
            .find(|extent| !member.layout.is_pad(extent.file))
            .map(|extent| member.content.path(extent.file));
        let path = path.unwrap_or_default();
        let message = format!(
            "piece {piece} in {} is {why}; it is fetched again",
            path.display()
        );
        let kind = "scrub";
        session
            .events
            .send(member.info_hash, EventKind::Warning { kind, message });
    }
    recheck::lost(member, vec![piece]);
}
