//! Announces: a short task each, over the session's own dialer. Many torrents want one in the same moment, so that they
//! take turns; whoever stops before its turn is not announced at all. It must not know when a torrent is to announce.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_tracker::client::{self, Client};
use bt_tracker::schedule::{Announce, Problem};
use bt_tracker::{AnnounceRequest, Event};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

use super::clock;
use super::config::SessionConfig;
use super::member::Member;
use super::session::Inner;
use crate::engine::Input;
use crate::limits::{ANNOUNCES_PER_SECOND, MAX_ANNOUNCES};
use crate::net::{Dialer, Pace};

/// The session's tracker client.
#[derive(Debug)]
pub(super) struct Trackers {
    client: Client,
    turns: Turns,
}

impl Trackers {
    /// For a process that may open `descriptors`.
    pub(super) fn new(dialer: Arc<Dialer>, config: &SessionConfig, descriptors: usize) -> Self {
        let mut settings = client::Config::default();
        settings.user_agent.clone_from(&config.user_agent);
        settings.both_families = config.ipv4 && config.ipv6 && config.bind.is_none();
        Self {
            client: Client::with_config(dialer, settings),
            turns: Turns::new(descriptors),
        }
    }
}

/// Whose turn it is.
#[derive(Debug)]
struct Turns {
    /// Held by who is next, so that those who give up behind it leave no gap.
    pace: Mutex<Pace>,
    places: Arc<Semaphore>,
    /// Goodbyes have their own: a session that ends must not wait behind trackers that answer nobody.
    goodbyes: Arc<Semaphore>,
}

impl Turns {
    /// An announce takes two sockets at most, so that a quarter of `descriptors` goes to them and to goodbyes each.
    fn new(descriptors: usize) -> Self {
        let places = MAX_ANNOUNCES.min(descriptors / 8).max(1);
        Self {
            pace: Mutex::new(Pace::new(ANNOUNCES_PER_SECOND)),
            places: Arc::new(Semaphore::new(places)),
            goodbyes: Arc::new(Semaphore::new(places)),
        }
    }

    /// Waits for the turn of an announce, which lasts as long as what is given back; `None` never comes, as nobody closes
    /// the places.
    async fn next(&self, now: impl Fn() -> Instant, event: Event) -> Option<OwnedSemaphorePermit> {
        if event == Event::Stopped {
            return Arc::clone(&self.goodbyes).acquire_owned().await.ok();
        }
        let mut pace = self.pace.lock().await;
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        let wait = pace.book(now(), Duration::MAX).unwrap_or_default();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Some(place)
    }
}

/// Performs an announce when its turn comes and hands the answer in.
pub(super) fn spawn(session: &Arc<Inner>, member: &Arc<Member>, announce: Announce, numwant: u32) {
    let (inner, member) = (Arc::clone(session), Arc::clone(member));
    session.spawn(async move {
        let turns = &inner.trackers.turns;
        let turn = turns.next(clock::now, announce.event);
        let place = tokio::select! {
            // Whose turn it is already is announced.
            biased;
            place = turn => place,
            () = has_fallen_silent(&member), if announce.event != Event::Stopped => {
                match announce.event {
                    // It will not be said again, and `stopped` comes behind it.
                    Event::Completed => turns.next(clock::now, Event::Stopped).await,
                    _ => None,
                }
            }
        };
        match place {
            Some(_place) => perform(&inner, &member, announce, numwant).await,
            None => member.handle(Input::Withdrawn(announce.url)),
        }
        // Whoever stops the torrent waits for this.
        member.changed.notify_waiters();
    });
}

/// Waits until the torrent is not to be announced any more.
async fn has_fallen_silent(member: &Member) {
    loop {
        let changed = member.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !member.engine().is_announcing() {
            return;
        }
        changed.await;
    }
}

async fn perform(session: &Inner, member: &Arc<Member>, announce: Announce, numwant: u32) {
    let mut request = AnnounceRequest::new(member.info_hash, session.peer_id, session.port);
    {
        let engine = member.engine();
        (request.uploaded, request.downloaded) = engine.totals();
        request.left = engine.left();
    }
    request.numwant = Some(numwant);
    announce.apply(&mut request);
    let client = &session.trackers.client;
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
    member.handle(Input::Announced(announce.url, answer));
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bt_tracker::Event;
    use futures::FutureExt as _;

    use super::Turns;
    use crate::limits::{ANNOUNCES_PER_SECOND, MAX_ANNOUNCES};

    /// What comes without waiting, however much of it the task has had in this round of the runtime.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::task::unconstrained(future).now_or_never()
    }

    #[tokio::test]
    async fn so_many_announces_are_under_way_and_goodbyes_do_not_wait_for_them() {
        let turns = Turns::new(usize::MAX);
        let mut now = Instant::now();
        // So late that the pace holds nobody up.
        let mut next = |event| {
            now += Duration::from_secs(1);
            at_once(turns.next(|| now, event)).flatten()
        };
        let mut places: Vec<_> = (0..MAX_ANNOUNCES).map(|_| next(Event::None)).collect();
        assert!(places.iter().all(Option::is_some), "at the limit");
        assert!(next(Event::Started).is_none(), "one above");
        let goodbyes: Vec<_> = (0..=MAX_ANNOUNCES).map(|_| next(Event::Stopped)).collect();
        let given = goodbyes.iter().filter(|place| place.is_some()).count();
        assert_eq!(given, MAX_ANNOUNCES, "as many of them");
        places.pop();
        assert!(next(Event::Started).is_some(), "one was answered");
    }

    #[tokio::test]
    async fn a_process_with_few_descriptors_announces_few_at_a_time() {
        for (descriptors, places) in [(0, 1), (64, 8), (8 * MAX_ANNOUNCES - 1, MAX_ANNOUNCES - 1)] {
            let turns = Turns::new(descriptors);
            let now = Instant::now();
            let goodbye = || at_once(turns.next(|| now, Event::Stopped)).flatten();
            let given: Vec<_> = std::iter::from_fn(goodbye).collect();
            assert_eq!(given.len(), places, "{descriptors}");
        }
    }

    #[tokio::test]
    async fn in_one_moment_no_more_begin_than_the_pace_allows() {
        let turns = Turns::new(usize::MAX);
        let now = Instant::now();
        let begun = |_: &u32| at_once(turns.next(|| now, Event::None)).is_some();
        let begun = (0..2 * ANNOUNCES_PER_SECOND).filter(begun).count();
        assert_eq!(begun, ANNOUNCES_PER_SECOND as usize);
    }
}
