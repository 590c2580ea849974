//! The owner's handle on one torrent.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bt_metainfo::{InfoHash, Metainfo};

use super::config::Check;
use super::member::Member;
use super::{check, clock, resume};
use crate::engine::{Command, Input, PeerStatus, State, Status};
use crate::error::Error;

/// How often a condition on figures that change all the time is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// A torrent in a session. Clones are handles on the same torrent.
#[derive(Debug, Clone)]
pub struct Torrent {
    pub(super) member: Arc<Member>,
}

impl Torrent {
    /// Its info-hash, as spoken on the wire.
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.member.info_hash
    }

    /// What it holds.
    #[must_use]
    pub fn metainfo(&self) -> &Metainfo {
        &self.member.metainfo
    }

    /// What it looks like now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.member.status(clock::now())
    }

    /// What it is doing; cheaper than [`Torrent::status`].
    #[must_use]
    pub fn state(&self) -> State {
        self.member.state()
    }

    /// Its connected peers.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.member.engine().peer_statuses(clock::now())
    }

    /// Leaves the swarm and keeps what is here.
    pub fn pause(&self) {
        self.keep_paused(true);
        self.member.handle(Input::Command(Command::Pause));
    }

    /// Joins the swarm again after a pause or a failure.
    pub fn resume(&self) {
        self.keep_paused(false);
        self.member.content.retry();
        if let Some(session) = self.member.session.upgrade()
            && let Some(number) = self.member.number.get()
            && let Some(doubtful) = session.durable.take_doubtful(*number)
        {
            return resume::recheck_doubtful(&self.member, doubtful);
        }
        let failed_check = !self.member.engine().is_checked() && self.state() == State::Failed;
        self.member.handle(Input::Command(Command::Resume));
        if failed_check {
            check::begin(&self.member, Check::Auto, None);
        }
    }

    /// Whether it is paused outlives the session; it is written by the thread that commits.
    fn keep_paused(&self, paused: bool) {
        let settings = {
            let mut settings = self
                .member
                .settings
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            settings.paused = paused;
            settings.clone()
        };
        if let Some(session) = self.member.session.upgrade()
            && let Some(store) = session.durable.store().cloned()
        {
            let member = Arc::clone(&self.member);
            session.durable.after_commit(move || {
                if let Err(error) = store.save(&member.metainfo, &settings)
                    && let Some(session) = member.session.upgrade()
                {
                    session.durable.cannot_keep(&member, &error);
                }
            });
        }
    }

    /// Announces to the trackers as soon as they allow it.
    pub fn reannounce(&self) {
        self.member.handle(Input::Command(Command::Reannounce));
    }

    /// Returns when every wanted piece is here and on the disk to stay.
    ///
    /// # Errors
    /// If the torrent fails or leaves the session before.
    pub async fn wait_until_seeding(&self) -> Result<(), Error> {
        loop {
            let changed = self.member.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.member.state() {
                State::Seeding | State::Finished if self.member.is_durable() => return Ok(()),
                State::Failed => return Err(Error::Failed(self.status().reason)),
                State::Stopped => return Err(Error::Stopped),
                _ => changed.await,
            }
        }
    }

    /// Returns when `condition` holds.
    ///
    /// # Errors
    /// If the torrent leaves the session before.
    pub async fn wait_for(&self, condition: impl Fn(&Status) -> bool) -> Result<Status, Error> {
        loop {
            let changed = self.member.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let status = self.status();
            if condition(&status) {
                return Ok(status);
            }
            if status.state == State::Stopped {
                return Err(Error::Stopped);
            }
            // Figures change without an event; waiting on both keeps this prompt for states and cheap for figures.
            let _ = tokio::time::timeout(LOOK_AGAIN, changed).await;
        }
    }

    /// Takes the torrent out of the session: says goodbye to peers and trackers. The content stays.
    pub async fn remove(&self) {
        if let Some(session) = self.member.session.upgrade() {
            session.remove(&self.member).await;
        }
    }

    pub(super) fn cancel_check(member: &Member) {
        if let Some(checking) = &*member
            .checking
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
        {
            checking.cancel();
        }
    }
}
