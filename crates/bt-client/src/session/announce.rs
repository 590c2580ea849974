//! Announces: a short task each, over the session's own dialer.

use std::sync::Arc;

use bt_tracker::client::{self, Client};
use bt_tracker::schedule::Announce;
use bt_tracker::{AnnounceRequest, Event};

use super::config::SessionConfig;
use super::member::Member;
use super::session::Inner;
use crate::engine::Input;
use crate::net::Dialer;

/// The session's tracker client.
#[derive(Debug)]
pub(super) struct Trackers {
    client: Client,
}

impl Trackers {
    pub(super) fn new(dialer: Arc<Dialer>, config: &SessionConfig) -> Self {
        let mut settings = client::Config::default();
        settings.user_agent.clone_from(&config.user_agent);
        settings.both_families = config.ipv4 && config.ipv6 && config.bind.is_none();
        Self {
            client: Client::with_config(dialer, settings),
        }
    }
}

/// Performs an announce and hands the answer in.
pub(super) fn spawn(session: &Arc<Inner>, member: &Arc<Member>, announce: Announce, numwant: u32) {
    let client = session.trackers.client.clone();
    let mut request = AnnounceRequest::new(member.info_hash, session.peer_id, session.port);
    {
        let engine = member.engine();
        (request.uploaded, request.downloaded) = engine.totals();
        request.left = engine.left();
    }
    request.numwant = Some(numwant);
    announce.apply(&mut request);
    let member = Arc::clone(member);
    session.spawn(async move {
        let answer = client
            .announce(&announce.url, &request, announce.timeout)
            .await;
        if let Err(error) = &answer {
            let url = bt_tracker::http::redacted(&announce.url);
            tracing::info!(url, %error, "announce failed");
        }
        let goodbye = announce.event == Event::Stopped;
        let answer = answer.map_err(|error| (&error).into());
        member.handle(Input::Announced(announce.url, answer));
        if goodbye {
            // Whoever stops the torrent waits for this.
            member.changed.notify_waiters();
        }
    });
}
