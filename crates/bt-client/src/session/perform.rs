//! Outputs become effects: the only place where a decision of the engine does something.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use bt_tracker::http::redacted;

use super::events::EventKind;
use super::member::{Member, Seat};
use super::session::Inner;
use crate::engine::{CloseReason, Input, Notice, Output, Outputs, PeerKey, State};
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
            Output::Notice(notice) => tell(session, member, notice),
            // Delivered before.
            Output::Send(..) | Output::Serve(..) | Output::Close(..) => {}
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
        Notice::Failed(text) => {
            tracing::warn!(torrent = %member.info_hash, text, "storage failed");
            let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            send(EventKind::Failed {
                kind: "storage",
                message: message.to_owned(),
                hint: hint.to_owned(),
            });
        }
    }
    member.changed.notify_waiters();
}

/// What we call complete survives a power cut: the event and the trackers wait until the disk says so.
fn complete(session: &Arc<Inner>, member: &Arc<Member>) {
    let (events, member) = (Arc::clone(&session.events), Arc::clone(member));
    session.durable.after_commit(move || {
        if member.is_durable() {
            events.send(member.info_hash, EventKind::Completed);
            member.handle(Input::CompletionIsSafe);
            member.changed.notify_waiters();
        } else if member.state() != State::Failed
            && let Some(session) = member.session.upgrade()
        {
            // Another piece came in between. If it has failed, that has been said.
            complete(&session, &member);
        }
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
