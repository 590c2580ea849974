//! Announces: a short task each, over the session's own dialer.

use std::sync::Arc;

use bt_tracker::client::{self, Client};
use bt_tracker::schedule::{Announce, Problem};
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
        let asking = Box::pin(client.announce(&announce.url, &request, announce.timeout));
        let answer = match member.bugs.catch_in(asking).await {
            Ok(answer) => answer.map_err(|error| Problem::from(&error)),
            // The client keeps nothing of a torrent: this one goes on as if the tracker had not answered.
            Err(bug) => Err(Problem::new(bug.to_string())),
        };
        if let Err(problem) = &answer {
            let (url, why) = (bt_tracker::http::redacted(&announce.url), &problem.message);
            tracing::info!(url, why, "announce failed");
        }
        let goodbye = announce.event == Event::Stopped;
        member.handle(Input::Announced(announce.url, answer));
        if goodbye {
            // Whoever stops the torrent waits for this.
            member.changed.notify_waiters();
        }
    });
}
