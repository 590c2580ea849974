//! Announces: a short task each, over the session's own dialer. Many torrents want one in the same moment, so that they
//! take turns; whoever stops before its turn is not announced at all. It must not know when a torrent is to announce.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, Weak};
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
use crate::limits::{ANNOUNCE_SHARE, ANNOUNCES_PER_SECOND, MAX_ANNOUNCES};
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
    places: Places,
    /// Goodbyes have their own: a session that ends must not wait behind trackers that answer nobody.
    goodbyes: Places,
}

impl Turns {
    /// An announce takes two sockets at most, so that an eighth of `descriptors` goes to them and to goodbyes each.
    fn new(descriptors: usize) -> Self {
        let places = MAX_ANNOUNCES.min(descriptors / 16).max(1);
        Self {
            pace: Mutex::new(Pace::new(ANNOUNCES_PER_SECOND)),
            places: Places::new(places),
            goodbyes: Places::new(places),
        }
    }

    /// Waits for the turn of an announce to `url`, which lasts as long as what is given back; `None` never comes, as
    /// nobody closes the places.
    async fn next(&self, now: impl Fn() -> Instant, event: Event, url: &str) -> Option<Place> {
        if event == Event::Stopped {
            return self.goodbyes.take(self.goodbyes.of(url).await?).await;
        }
        // Before the pace: whoever waits for its own tracker holds up nobody else.
        let share = self.places.of(url).await?;
        let mut pace = self.pace.lock().await;
        let place = self.places.take(share).await?;
        let wait = pace.book(now(), Duration::MAX).unwrap_or_default();
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Some(place)
    }
}

/// Places of one kind, of which each tracker has a share.
#[derive(Debug)]
struct Places {
    free: Arc<Semaphore>,
    share: usize,
    shares: std::sync::Mutex<Shares>,
}

/// What is left of the share of each tracker, as long as somebody waits or has a place.
#[derive(Debug, Default)]
struct Shares {
    left: BTreeMap<String, Weak<Semaphore>>,
    /// With so many, those that are not in use are looked for.
    many: usize,
}

/// One of the places, and of its tracker's share; free again when it is dropped.
#[derive(Debug)]
struct Place {
    _place: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

impl Places {
    fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            share: (count / ANNOUNCE_SHARE).max(1),
            shares: std::sync::Mutex::default(),
        }
    }

    /// Waits for a part of the share of the tracker at `url`.
    async fn of(&self, url: &str) -> Option<OwnedSemaphorePermit> {
        let share = {
            let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
            shares.of(host(url), self.share)
        };
        share.acquire_owned().await.ok()
    }

    async fn take(&self, share: OwnedSemaphorePermit) -> Option<Place> {
        let place = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Place {
            _place: place,
            _share: share,
        })
    }
}

impl Shares {
    fn of(&mut self, host: &str, whole: usize) -> Arc<Semaphore> {
        if let Some(share) = self.left.get(host).and_then(Weak::upgrade) {
            return share;
        }
        if self.left.len() >= self.many {
            self.left.retain(|_, share| share.strong_count() > 0);
            self.many = 2 * self.left.len() + 16;
        }
        let share = Arc::new(Semaphore::new(whole));
        self.left.insert(host.to_owned(), Arc::downgrade(&share));
        share
    }
}

/// The host and port in a tracker's URL as they are written there, which is enough to tell trackers apart.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

/// Performs an announce when its turn comes and hands the answer in.
pub(super) fn spawn(session: &Arc<Inner>, member: &Arc<Member>, announce: Announce, numwant: u32) {
    let (inner, member) = (Arc::clone(session), Arc::clone(member));
    session.spawn(async move {
        let turns = &inner.trackers.turns;
        let turn = turns.next(clock::now, announce.event, &announce.url);
        let place = tokio::select! {
            // Whose turn it is already is announced.
            biased;
            place = turn => place,
            () = has_fallen_silent(&member), if announce.event != Event::Stopped => {
                match announce.event {
                    // It will not be said again, and `stopped` comes behind it.
                    Event::Completed => {
                        turns.next(clock::now, Event::Stopped, &announce.url).await
                    }
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

    use super::{Arc, Place, Shares, Turns, host};
    use crate::limits::{ANNOUNCE_SHARE, ANNOUNCES_PER_SECOND, MAX_ANNOUNCES};

    /// What comes without waiting, however much of it the task has had in this round of the runtime.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::task::unconstrained(future).now_or_never()
    }

    /// The next that is announced at once to the tracker of this number.
    fn next(turns: &Turns, now: Instant, event: Event, tracker: usize) -> Option<Place> {
        let url = format!("http://user@{tracker}.example:80/announce?key=@");
        at_once(turns.next(|| now, event, &url)).flatten()
    }

    #[tokio::test]
    async fn so_many_announces_are_under_way_and_goodbyes_do_not_wait_for_them() {
        let turns = Turns::new(usize::MAX);
        let mut now = Instant::now();
        // So late that the pace holds nobody up.
        let mut next = |event, tracker| {
            now += Duration::from_secs(1);
            next(&turns, now, event, tracker)
        };
        let mut places: Vec<_> = (0..MAX_ANNOUNCES).map(|n| next(Event::None, n)).collect();
        assert!(places.iter().all(Option::is_some), "at the limit");
        assert!(next(Event::Started, MAX_ANNOUNCES).is_none(), "one above");
        let goodbyes: Vec<_> = (0..=MAX_ANNOUNCES)
            .map(|n| next(Event::Stopped, n))
            .collect();
        let given = goodbyes.iter().filter(|place| place.is_some()).count();
        assert_eq!(given, MAX_ANNOUNCES, "as many of them");
        places.pop();
        assert!(next(Event::Started, 7).is_some(), "one was answered");
    }

    #[tokio::test]
    async fn a_tracker_that_answers_nobody_holds_up_no_other() {
        let turns = Turns::new(usize::MAX);
        let mut now = Instant::now();
        let share = MAX_ANNOUNCES / ANNOUNCE_SHARE;
        for event in [Event::Started, Event::Stopped] {
            let mut next = |tracker| {
                now += Duration::from_secs(1);
                next(&turns, now, event, tracker)
            };
            let silent: Vec<_> = (0..=share).map(|_| next(0)).collect();
            let given = silent.iter().filter(|place| place.is_some()).count();
            assert_eq!(given, share, "the limit, and one above");
            assert!(next(1).is_some(), "another");
            drop(silent);
            assert!(next(0).is_some(), "it has answered");
        }
    }

    #[test]
    fn trackers_that_nobody_asks_any_more_are_forgotten() {
        let mut shares = Shares::default();
        let held = shares.of("held", 1);
        for n in 0..10_000 {
            let _ = shares.of(&n.to_string(), 1);
            assert!(shares.left.len() <= 32);
        }
        assert!(Arc::ptr_eq(&held, &shares.of("held", 1)));
        assert_eq!(host("udp://[::1]:6969"), "[::1]:6969");
        assert_eq!(host("http://a:b@c.example/x@y?z://"), "c.example");
        assert_eq!(host("nonsense"), "nonsense");
    }

    #[tokio::test]
    async fn a_process_with_few_descriptors_announces_few_at_a_time() {
        for (descriptors, places) in [(0, 1), (64, 4), (16 * MAX_ANNOUNCES - 1, MAX_ANNOUNCES - 1)]
        {
            let turns = Turns::new(descriptors);
            let now = Instant::now();
            let given: Vec<_> = (0..=MAX_ANNOUNCES)
                .map_while(|n| next(&turns, now, Event::Stopped, n))
                .collect();
            assert_eq!(given.len(), places, "{descriptors}");
        }
    }

    #[tokio::test]
    async fn in_one_moment_no_more_begin_than_the_pace_allows() {
        let turns = Turns::new(usize::MAX);
        let now = Instant::now();
        let count = 2 * ANNOUNCES_PER_SECOND as usize;
        let begun = (0..count).filter(|n| next(&turns, now, Event::None, *n).is_some());
        assert_eq!(begun.count(), ANNOUNCES_PER_SECOND as usize);
    }
}
