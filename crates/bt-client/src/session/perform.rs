//! Outputs become effects: the only place where a decision of the engine does something.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::events::EventKind;
use super::member::{Member, Seat};
use super::session::Inner;
use crate::engine::{CloseReason, Notice, Output, Outputs, PeerKey, State};
use crate::net::{self, Host, Order};

/// Performs `out`; orders for the peer whose task called go to `own` instead of its mailbox.
pub(super) fn perform(
    session: &Arc<Inner>,
    member: &Arc<Member>,
    out: Outputs,
    mut own: Option<(PeerKey, &mut Vec<Order>)>,
) {
    let mut others: BTreeMap<PeerKey, Vec<Order>> = BTreeMap::new();
    for output in out {
        let (peer, order) = match output {
            Output::Send(peer, message) => (peer, Order::Send(message)),
            Output::Serve(peer, block) => (peer, Order::Serve(block)),
            Output::Close(peer, reason) => (peer, Order::Close(reason)),
            Output::Dial(addr) => {
                let host: Arc<dyn Host> = Arc::new(Seat(Arc::clone(member)));
                session.spawn(net::call(host, addr, session.tools.clone()));
                continue;
            }
            Output::Announce { announce, numwant } => {
                super::announce::spawn(session, member, announce, numwant);
                continue;
            }
            Output::Watch(piece) => {
                member.content.watch(piece);
                continue;
            }
            Output::Notice(notice) => {
                tell(session, member, notice);
                continue;
            }
        };
        match &mut own {
            Some((key, orders)) if *key == peer => orders.push(order),
            _ => others.entry(peer).or_default().push(order),
        }
    }
    deliver(member, others);
}

fn deliver(member: &Member, orders: BTreeMap<PeerKey, Vec<Order>>) {
    if orders.is_empty() {
        return;
    }
    let mailboxes = member.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
    for (peer, orders) in orders {
        if let Some(mailbox) = mailboxes.get(&peer) {
            mailbox.leave(orders);
        }
    }
}

fn tell(session: &Arc<Inner>, member: &Arc<Member>, notice: Notice) {
    let send = |kind| session.events.send(member.info_hash, kind);
    match notice {
        Notice::State(state) => {
            if matches!(state, State::Paused | State::Stopped | State::Failed) {
                member.content.close();
            }
            send(EventKind::State(state));
        }
        Notice::Piece(piece) => {
            member.set_durable(false);
            send(EventKind::Piece(piece));
        }
        Notice::PieceFailed(piece) => send(EventKind::PieceFailed(piece)),
        Notice::Completed => complete(session, member),
        Notice::Banned(ip) => send(EventKind::Banned(ip)),
        Notice::TrackerWarning(url, text) => {
            send(EventKind::Warning { kind: "tracker", message: format!("{url}: {text}") });
        }
        Notice::TrackerFailed(url, text) => {
            send(EventKind::Warning { kind: "tracker", message: format!("announce to {url} failed: {text}") });
        }
        Notice::Failed(text) => {
            tracing::warn!(torrent = %member.info_hash, text, "storage failed");
            let (message, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
            send(EventKind::Failed { kind: "storage", message: message.to_owned(), hint: hint.to_owned() });
        }
    }
    member.changed.notify_waiters();
}

/// What we call complete survives a power cut: the event waits until the disk says so.
fn complete(session: &Arc<Inner>, member: &Arc<Member>) {
    let (events, member) = (Arc::clone(&session.events), Arc::clone(member));
    session.disk.run(move || match member.content.sync() {
        Ok(()) => {
            member.set_durable(true);
            events.send(member.info_hash, EventKind::Completed);
            member.changed.notify_waiters();
        }
        Err(error) => member.disk_failed(&error),
    });
}

/// Tells every peer of a torrent to go.
pub(super) fn close_all(member: &Member) {
    let mailboxes = member.mailboxes.lock().unwrap_or_else(PoisonError::into_inner);
    for mailbox in mailboxes.values() {
        mailbox.leave([Order::Close(CloseReason::Leaving)]);
    }
}
