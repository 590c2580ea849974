//! The session's news: a stream of numbered events that any number of listeners may follow.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use bt_metainfo::{InfoHash, PieceIndex};
use futures::Stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::engine::State;
use crate::limits::EVENT_BACKLOG;

/// Something that happened to a torrent.
#[derive(Debug, Clone)]
pub struct SessionEvent {
    /// Counts up by one from event to event.
    pub sequence: u64,
    /// Which torrent.
    pub info_hash: InfoHash,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// The torrent was added.
    Added,
    /// So much of the content has been hashed, in bytes.
    Checking {
        /// Hashed.
        done: u64,
        /// To be hashed in all.
        total: u64,
    },
    /// It is known what is there; comes once at the start.
    Checked {
        /// Bytes that were hashed for it.
        hashed: u64,
        /// Bytes that were proven before and were not hashed again.
        trusted: u64,
    },
    /// It does something else now.
    State(State),
    /// A piece verified and is written.
    Piece(PieceIndex),
    /// A piece did not verify and is fetched again.
    PieceFailed(PieceIndex),
    /// Every wanted piece is here, verified, and on the disk to stay. Comes once, and not if all were here at the start.
    Completed,
    /// An address sent data that was proved bad, and is banned.
    Banned(IpAddr),
    /// Something to read that does not stop the torrent.
    Warning {
        /// What it is about: `tracker`, `file`, `state`, `disk_full`, `scrub`.
        kind: &'static str,
        /// In words.
        message: String,
    },
    /// The torrent has stopped working.
    Failed {
        /// What failed: `storage`, or `internal`: this program, by a bug that was met in the work of the torrent.
        kind: &'static str,
        /// In words.
        message: String,
        /// What can be done.
        hint: String,
    },
    /// The content is copied to another file system; so many bytes are.
    Moving {
        /// Copied.
        done: u64,
        /// To be copied in all.
        total: u64,
    },
    /// The content has moved, or got other names.
    Moved {
        /// It lies in this directory now.
        directory: std::path::PathBuf,
    },
    /// It has left the session.
    Removed,
}

/// Where events are sent.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<SessionEvent>,
    sequence: AtomicU64,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            sender: broadcast::channel(EVENT_BACKLOG).0,
            sequence: AtomicU64::new(0),
        }
    }

    pub(crate) fn send(&self, info_hash: InfoHash, kind: EventKind) {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        // Nobody listening is no error.
        let _ = self.sender.send(SessionEvent {
            sequence,
            info_hash,
            kind,
        });
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream {
            receiver: self.sender.subscribe(),
        }
    }
}

/// News from the moment it was asked for.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<SessionEvent>,
}

impl EventStream {
    /// The next event; `None` when the session is gone. A listener that falls far behind misses events: the sequence
    /// numbers then have a gap.
    pub async fn next(&mut self) -> Option<SessionEvent> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// The same as a [`Stream`].
    pub fn into_stream(self) -> impl Stream<Item = SessionEvent> {
        futures::stream::unfold(self, async |mut events| {
            Some((events.next().await?, events))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{EventKind, Events};
    use crate::limits::EVENT_BACKLOG;
    use bt_metainfo::InfoHash;

    #[tokio::test]
    async fn a_listener_may_fall_behind_by_the_backlog_and_then_sees_a_gap() {
        for (sent, first) in [(EVENT_BACKLOG, 0), (EVENT_BACKLOG + 1, 1)] {
            let events = Events::new();
            let mut stream = events.subscribe();
            for _ in 0..sent {
                events.send(InfoHash::from([1; 20]), EventKind::Removed);
            }
            let seen = stream.next().await.map(|event| event.sequence);
            assert_eq!(seen, Some(first), "{sent} sent");
        }
    }
}
