//! Outputs become effects: the only place where a decision of the engine does something.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use bt_tracker::http::redacted;

use super::account::Standing;
use super::events::EventKind;
use super::member::{Member, Seat};
use super::relocate;
use super::session::Inner;
use crate::disk::Fault;
use crate::engine::{CloseReason, Input, Notice, Output, Outputs, PeerKey, State, Trouble};
use crate::limits::LOOK_FOR_ROOM;
use crate::net::{self, Host, Mailbox, Order};

/// Takes the orders for peers out of `out` and leaves them in their mailboxes; all but `own` are woken.
pub(super) fn deliver(
    mailboxes: &BTreeMap<PeerKey, Arc<Mailbox>>,
    out: &mut Outputs,
    own: Option<PeerKey>,
) {
    let mut orders: BTreeMap<PeerKey, Vec<Order>> = BTreeMap::new();
    let mut rest = Outputs::new();
    for output in out.drain(..) {
        let (peer, order) = match output {
            Output::Send(peer, message) => (peer, Order::Send(message)),
            Output::Extend(peer, message) => (peer, Order::Extend(message)),
            Output::Serve(peer, block) => (peer, Order::Serve(block)),
            Output::Close(peer, reason) => (peer, Order::Close(reason)),
            other => {
                rest.push(other);
                continue;
            }
        };
        orders.entry(peer).or_default().push(order);
    }
    *out = rest;
    for (peer, orders) in orders {
        if let Some(mailbox) = mailboxes.get(&peer) {
            mailbox.leave(orders, own != Some(peer));
        }
    }
}

/// Performs what [`deliver`] has left.
pub(super) fn perform(session: &Arc<Inner>, member: &Arc<Member>, out: Outputs) {
    for output in out {
        match output {
            Output::Dial(addr) => {
                let host: Arc<dyn Host> = Arc::new(Seat(Arc::clone(member)));
                session.spawn(net::call(host, addr, session.tools.clone()));
            }
            Output::Announce { announce, numwant } => {
                super::announce::spawn(session, member, announce, numwant);
            }
            Output::Watch(piece) => member.content.watch(piece),
            Output::Forget => member.content.forget(),
            Output::ForgetPiece(piece) => member.content.forget_piece(piece),
            Output::LookForRoom => look_for_room(member),
            Output::Notice(notice) => tell(session, member, notice),
            // Delivered before.
            Output::Send(..) | Output::Extend(..) | Output::Serve(..) | Output::Close(..) => {}
        }
    }
}

fn tell(session: &Arc<Inner>, member: &Arc<Member>, notice: Notice) {
    let send = |kind| session.events.send(member.info_hash, kind);
    match notice {
        Notice::State(state) => {
            if matches!(state, State::Paused | State::Stopped | State::Failed) {
                member.content.close();
                session.durable.hurry();
            }
            send(EventKind::State(state));
        }
        Notice::Piece(piece) => send(EventKind::Piece(piece)),
        Notice::PieceFailed(piece) => send(EventKind::PieceFailed(piece)),
        Notice::Completed => complete(session, member),
        Notice::Banned(ip) => send(EventKind::Banned(ip)),
        Notice::TrackerWarning(url, text) => {
            send(EventKind::Warning {
                kind: "tracker",
                message: format!("{}: {text}", redacted(&url)),
            });
        }
        Notice::TrackerFailed(url, text) => {
            send(EventKind::Warning {
                kind: "tracker",
                message: format!("announce to {} failed: {text}", redacted(&url)),
            });
        }
        Notice::DiskFull(Trouble { message, hint, .. }) => {
            tracing::warn!(torrent = %member.info_hash, message, "the disk is full");
            send(EventKind::Warning {
                kind: "disk_full",
                message: format!("{message}; {hint}"),
            });
        }
        Notice::Failed(Trouble { message, hint, .. }) => {
            tracing::warn!(torrent = %member.info_hash, message, "storage failed");
            send(EventKind::Failed {
                kind: "storage",
                message,
                hint,
            });
        }
    }
    member.changed.notify_waiters();
}

/// Tells the engine how many bytes are free; without an answer it asks again by itself.
fn look_for_room(member: &Arc<Member>) {
    let asking = Arc::clone(member);
    member.content.look_for_room(move |free| match free {
        Ok(free) => asking.handle(Input::Room(free)),
        Err(error) => tracing::info!(%error, "cannot find out how much room there is"),
    });
}

/// What we call complete survives a power cut: the event and the trackers wait until the disk says so.
pub(super) fn complete(session: &Arc<Inner>, member: &Arc<Member>) {
    member.owes_completion.store(true, Ordering::Relaxed);
    let completing = Arc::clone(member);
    session.disk.run(move || {
        completing.contained(|| prepare_and_complete(&completing));
    });
}

fn prepare_and_complete(member: &Arc<Member>) {
    // Files without bytes may have found no room in their directory before.
    match member.prepare() {
        Ok(()) => {
            if let Some(session) = member.session.upgrade() {
                complete_when_safe(&session, member);
            }
        }
        Err(error) if error.fault() == Fault::Full && !error.is_final() => {
            member.disk_failed(&error);
            complete_later(member);
        }
        Err(error) => member.disk_failed(&error),
    }
}

/// Looks after each commit whether all is on the disk to stay.
pub(super) fn complete_when_safe(session: &Arc<Inner>, member: &Arc<Member>) {
    let member = Arc::clone(member);
    session.durable.after_commit(move || {
        member.contained(|| match (member.standing(), member.session.upgrade()) {
            (Standing::Settled, _) if lacks_something(&member) => {}
            (Standing::Settled, _) => relocate::go_home(&member),
            // Another piece came in between.
            (Standing::Waiting, Some(session)) => complete_when_safe(&session, &member),
            // That it has failed has been said; when what is in doubt was found good, it is complete once more.
            _ => {}
        });
    });
}

/// Whether something that is wanted is not here, or not any more: pieces may be lost between the last one and the commit
/// after it. Whoever has lost them looks again, and fetches them first.
fn lacks_something(member: &Member) -> bool {
    member.losses.load(Ordering::Relaxed) > 0 || !member.engine().is_complete()
}

/// All is where it is to be, and on the disk to stay.
pub(super) fn completed(member: &Arc<Member>) {
    if lacks_something(member) {
        return;
    }
    if member.owes_completion.swap(false, Ordering::Relaxed)
        && let Some(session) = member.session.upgrade()
    {
        session.events.send(member.info_hash, EventKind::Completed);
        member.handle(Input::CompletionIsSafe);
    }
    member.changed.notify_waiters();
}

/// Some of what is wanted found no room on the disk, though all pieces are here: tries again until there is.
pub(super) fn prepare_later(member: &Arc<Member>) {
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let waiting = Arc::clone(member);
    session.spawn(async move {
        tokio::time::sleep(LOOK_FOR_ROOM).await;
        let Some(session) = waiting.session.upgrade() else {
            return;
        };
        session.disk.run(move || {
            waiting.contained(|| prepare_again(&waiting));
        });
    });
}

fn prepare_again(member: &Arc<Member>) {
    if matches!(member.state(), State::Stopped | State::Failed) {
        return;
    }
    match member.prepare() {
        Ok(()) => member.changed.notify_waiters(),
        Err(error) if error.fault() == Fault::Full && !error.is_final() => prepare_later(member),
        Err(error) => member.disk_failed(&error),
    }
}

fn complete_later(member: &Arc<Member>) {
    let Some(session) = member.session.upgrade() else {
        return;
    };
    let (inner, member) = (Arc::clone(&session), Arc::clone(member));
    session.spawn(async move {
        tokio::time::sleep(LOOK_FOR_ROOM).await;
        complete(&inner, &member);
    });
}

/// Tells every peer of a torrent to go.
pub(super) fn close_all(member: &Member) {
    let mailboxes = member
        .mailboxes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    for mailbox in mailboxes.values() {
        mailbox.leave([Order::Close(CloseReason::Leaving)], true);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use bt_metainfo::{Metainfo, PieceIndex, create};
    use tokio::time::timeout;

    use super::*;
    use crate::engine::PieceVerdict;
    use crate::session::recheck::{self, UnderWay};
    use crate::{AddTorrent, EventStream, Session, SessionConfig};

    const PATIENCE: Duration = Duration::from_secs(120);

    /// What is told up to the completion: pieces, and whether it is complete.
    async fn told(events: &mut EventStream) -> Vec<Option<PieceIndex>> {
        let mut told = Vec::new();
        while told.last() != Some(&None) {
            let event = timeout(PATIENCE, events.next()).await.expect("in time");
            match event.expect("the session is there").kind {
                EventKind::Piece(piece) => told.push(Some(piece)),
                EventKind::Completed => told.push(None),
                _ => {}
            }
        }
        told
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_lost_before_its_commit_is_not_told_to_be_complete() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), vec![7; 100_000]).unwrap();
        let torrent = create::create(&dir.path().join("a"), &create::Options::default());
        let metainfo = Metainfo::parse(&torrent.unwrap().to_bytes().unwrap()).unwrap();
        let config = SessionConfig {
            trackers: false,
            ..SessionConfig::default()
        };
        let session = Session::start(config).await.unwrap();
        let torrent = session.add(AddTorrent::new(metainfo, dir.path())).await;
        let torrent = torrent.unwrap();
        let here = timeout(PATIENCE, torrent.wait_until_seeding()).await;
        here.expect("in time").unwrap();
        let mut events = session.subscribe();
        let member = Arc::clone(&torrent.member);
        // All has come and waits for its commit, and then a piece is lost.
        let work = move || {
            let inner = member.session.upgrade().expect("it runs");
            member.owes_completion.store(true, Ordering::Relaxed);
            let under_way = UnderWay::begin(&member);
            completed(&member);
            let piece = PieceIndex(0);
            recheck::lost(&member, vec![piece], &AtomicBool::new(false));
            drop(under_way);
            completed(&member);
            complete_when_safe(&inner, &member);
            inner.durable.commit();
            // It comes once more, and all is here.
            member.content.mark_written(piece);
            member.note(piece);
            let digests = Vec::new();
            member.handle(Input::PieceChecked(piece, PieceVerdict::Good { digests }));
        };
        tokio::task::spawn_blocking(work).await.unwrap();
        assert_eq!(told(&mut events).await, [Some(PieceIndex(0)), None]);
        session.stop().await;
    }
}
