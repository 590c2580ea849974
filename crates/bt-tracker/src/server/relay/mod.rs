//! Swarms shared with other trackers through Redis or Valkey (feature `redis`).
//!
//! Every announce is answered from memory and noted in [`Relay`]; a task of its own writes the
//! notes to a stream in Redis and carries out those of other trackers. So an announce never waits
//! for Redis, and every tracker holds all swarms. Redis forgets what is older than the
//! time-to-live of peers by itself. Must not know transports or what is answered.

#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod queue;
mod record;
mod stream;
mod sync;

#[cfg(any(test, feature = "fuzz"))]
pub(super) use fuzz::replies;
#[cfg(any(test, feature = "fuzz"))]
pub(super) use record::fuzz;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use queue::Queue;

use super::stats::{Counter, StoreSnapshot};
use super::tracker::Tracker;
use super::{Config, Error, Store, contain};
use crate::swarm::{Announce, Stored};

/// What is to be told to other trackers, and how the connection is.
pub(super) struct Relay {
    client: Client,
    /// Tells our own notes from those of others.
    origin: [u8; 8],
    peer_ttl: Duration,
    queue: Queue,
    link: Mutex<Link>,
    /// Records that Redis has taken.
    sent: Counter,
    /// Records of other trackers that were carried out.
    received: Counter,
    /// Records that were not noted because too many were waiting.
    dropped: Counter,
    /// Entries of the stream that make no sense.
    malformed: Counter,
    /// Connections made.
    connects: Counter,
}

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    Up,
    /// Away since then, and why.
    Away(Instant, String),
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client would show its password.
        f.debug_struct("Relay")
            .field("link", &self.link())
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// `None` when swarms are kept in memory only. Connects to nothing.
    pub(super) fn new(config: &Config) -> Result<Option<Arc<Self>>, Error> {
        let Store::Redis(url) = &config.store else {
            return Ok(None);
        };
        let client = Client::open(url.as_str()).map_err(|error| Error::Store {
            problem: error.to_string(),
        })?;
        let mut origin = [0; 8];
        super::random::fill(&mut origin)?;
        Ok(Some(Arc::new(Self {
            client,
            origin,
            peer_ttl: config.effective_peer_ttl(),
            queue: Queue::default(),
            link: Mutex::new(Link::Connecting),
            sent: Counter::default(),
            received: Counter::default(),
            dropped: Counter::default(),
            malformed: Counter::default(),
            connects: Counter::default(),
        })))
    }

    /// Notes an announce that has been carried out here.
    pub(super) fn note(&self, announce: &Announce, stored: Stored) {
        let leaves = announce.event == crate::Event::Stopped;
        match stored {
            Stored::New | Stored::Updated | Stored::Removed => {}
            // Another tracker may know a peer that is gone from here.
            Stored::No if leaves && announce.peer.port() != 0 => {}
            Stored::No | Stored::OverPerIp | Stored::OverPeers => return,
        }
        if !self.queue.add(|out| record::encode(announce, out)) {
            self.dropped.add(1);
        }
    }

    pub(super) fn link(&self) -> Link {
        lock(&self.link).clone()
    }

    /// One line for operators.
    pub(super) fn describe(&self, now: Instant) -> String {
        match self.link() {
            Link::Connecting => "store: connecting to redis, serving from local memory".into(),
            Link::Up => "store: redis is connected".into(),
            Link::Away(since, why) => format!(
                "store: redis has been away for {} s ({why}), serving from local memory",
                now.saturating_duration_since(since).as_secs()
            ),
        }
    }

    pub(super) fn snapshot(&self) -> StoreSnapshot {
        StoreSnapshot {
            up: self.link() == Link::Up,
            sent: self.sent.get(),
            received: self.received.get(),
            dropped: self.dropped.get(),
            malformed: self.malformed.get(),
            connects: self.connects.get(),
            queued_bytes: self.queue.len() as u64,
        }
    }

    fn take(&self) -> Vec<u8> {
        self.queue.take()
    }

    /// Puts back what could not be sent, and counts what was dropped for it.
    fn put_back(&self, unsent: Vec<u8>) {
        self.dropped.add(self.queue.put_back(unsent));
    }
}

/// Connects, and stays connected until the token is cancelled.
pub(super) fn start(tracker: &Arc<Tracker>, tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some(relay) = tracker.relay.clone() {
        let (own, until) = (Arc::clone(tracker), stop.clone());
        let run = move || stream::run(Arc::clone(&relay), Arc::clone(&own), until.clone());
        tasks.spawn(contain::lasting(Arc::clone(tracker), stop.clone(), run));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::limits::MAX_RELAY_QUEUE;
    use crate::swarm::Families;

    fn announce(port: u16) -> Announce {
        Announce {
            info_hash: [1; 20].into(),
            peer: ([192, 0, 2, 1], port).into(),
            peer_id: None,
            left: 0,
            event: Event::None,
            wanted: 0,
            families: Families::Own,
            with_ids: false,
        }
    }

    fn relay() -> Arc<Relay> {
        let config = Config {
            store: Store::Redis("redis://:secret@127.0.0.1:1/".into()),
            ..Config::default()
        };
        Relay::new(&config).unwrap().unwrap()
    }

    #[test]
    fn a_queue_that_nobody_empties_stays_within_its_bound_and_counts_what_it_drops() {
        let relay = relay();
        let fits = MAX_RELAY_QUEUE as u64 / 27;
        for _ in 0..fits + 1000 {
            relay.note(&announce(1), Stored::New);
        }
        let before = relay.snapshot();
        assert!(before.queued_bytes <= MAX_RELAY_QUEUE as u64);
        assert!((990..=1002).contains(&before.dropped), "{}", before.dropped);

        let unsent = relay.take();
        assert_eq!(unsent.len() as u64, before.queued_bytes);
        for _ in 0..10 {
            relay.note(&announce(2), Stored::New);
        }
        relay.put_back(unsent);
        let after = relay.snapshot();
        assert!(after.queued_bytes <= MAX_RELAY_QUEUE as u64);
        assert!(after.dropped >= before.dropped + 9, "{}", after.dropped);
    }

    #[test]
    fn only_what_changes_a_swarm_is_noted() {
        let relay = relay();
        for stored in [Stored::No, Stored::OverPerIp, Stored::OverPeers] {
            relay.note(&announce(1), stored);
        }
        assert_eq!(relay.snapshot().queued_bytes, 0);
        let mut leaving = announce(1);
        leaving.event = Event::Stopped;
        relay.note(&leaving, Stored::No);
        assert_eq!(relay.snapshot().queued_bytes, 27);
    }

    #[test]
    fn the_password_is_not_shown() {
        let shown = format!("{:?} {}", relay(), relay().describe(Instant::now()));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
