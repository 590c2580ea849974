//! The owner's handle on one torrent.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bt_metainfo::{FileIndex, InfoHash, Metainfo};

use super::account::Doubtful;
use super::member::Member;
use super::{check, clock, recheck, relocate, resume, selection};
use crate::engine::{Command, Input, PeerStatus, Priority, State, Status};
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
        self.member.keep(|settings| settings.paused = true);
        self.member.handle(Input::Command(Command::Pause));
    }

    /// Joins the swarm again after a pause or a failure. After a failure that has put pieces in doubt they are read back
    /// first: until then the torrent stays [`State::Failed`], which [`Torrent::wait_until_seeding`] takes for no failure.
    /// One that a bug of this program has stopped stays so.
    pub fn resume(&self) {
        if self.member.is_broken() {
            return;
        }
        self.member.keep(|settings| settings.paused = false);
        self.member.content.retry();
        let has_failed = self.state() == State::Failed;
        if has_failed && !self.member.engine().is_checked() {
            self.member.handle(Input::Command(Command::Resume));
            return check::again(&self.member);
        }
        if let Some(session) = self.member.session.upgrade()
            && let Some(number) = self.member.number.get()
        {
            match session.durable.take_doubtful(*number) {
                Doubtful::Nothing => {}
                // It goes on by itself.
                Doubtful::UnderWay => return,
                Doubtful::Pieces(recheck, doubtful) => {
                    return resume::recheck_doubtful(&self.member, recheck, doubtful);
                }
            }
        }
        self.member.handle(Input::Command(Command::Resume));
        relocate::try_again(&self.member);
        if has_failed {
            // The disk may have failed in the middle of what was wished.
            selection::obey_again(&self.member);
        }
    }

    /// What is wanted of each file, in the order of the torrent.
    #[must_use]
    pub fn priorities(&self) -> Vec<Priority> {
        self.member.selection.files()
    }

    /// Changes what is wanted of these files, also while the torrent runs; others stay as they are. Requests for what is
    /// no longer wanted are taken back at once, and bytes of a file that came with pieces of others move into it when it
    /// is wanted. Complete means: all that is wanted then. Returns when it is kept for later runs and requests are made
    /// by it; what the disk refuses meanwhile is the state of the torrent.
    ///
    /// # Errors
    /// If the torrent has no such file, has left the session, or what is wanted cannot be kept: nothing is changed then.
    /// Also if that is kept, but not which bytes lie among the parts for it: then it holds, and nothing more of the
    /// torrent is recorded in this run.
    pub async fn set_priorities(&self, wishes: &[(FileIndex, Priority)]) -> Result<(), Error> {
        let (member, wishes) = (Arc::clone(&self.member), wishes.to_vec());
        let change = move || member.or_broken(|| selection::change(&member, &wishes));
        let changed = tokio::task::spawn_blocking(change).await;
        changed.unwrap_or(Err(Error::Stopped))
    }

    /// Forgets what is here, hashes the whole content again and goes on with what is good. Peers are sent away meanwhile.
    pub fn recheck(&self) {
        recheck::all(&self.member);
    }

    /// Hashes the pieces of one file again while the torrent goes on. Those that are bad are fetched again.
    ///
    /// # Errors
    /// If the torrent has no such file, or the system gives us no thread.
    pub fn recheck_file(&self, file: FileIndex) -> Result<(), Error> {
        recheck::file(&self.member, file)
    }

    /// Announces to the trackers as soon as they allow it.
    pub fn reannounce(&self) {
        self.member.handle(Input::Command(Command::Reannounce));
    }

    /// Takes the content to another directory while the torrent runs: the torrent's own file or directory is below it
    /// afterwards. Within a file system files get other names; to another one they are copied, blocks go in and out
    /// meanwhile, and the old copy goes when the new one is on the disk to stay. After a crash the next run finds the
    /// content at one of the two places. With [`AddTorrent::incomplete_dir`](crate::AddTorrent::incomplete_dir) it is the
    /// place for what is complete that changes, as long as it is not. Returns when it is done.
    ///
    /// # Errors
    /// If something of the same name is there, the system refuses, or the torrent leaves the session; all is where it
    /// was then.
    pub async fn move_to(&self, directory: impl Into<PathBuf>) -> Result<(), Error> {
        let (member, directory) = (Arc::clone(&self.member), directory.into());
        let work = move || member.or_broken(|| relocate::move_to(&member, &directory));
        let moved = tokio::task::spawn_blocking(work).await;
        moved.unwrap_or(Err(Error::Stopped))
    }

    /// Gives a file another path below the torrent's own directory (`/` between names), or with `None` the directory
    /// itself another name; for a torrent of one file both mean that file. It stays so in later runs. What is shared is
    /// still called as the torrent says.
    ///
    /// # Errors
    /// If it cannot be a name on every system, something has that name, or the system refuses; nothing has changed then.
    pub async fn rename(
        &self,
        file: Option<FileIndex>,
        name: impl Into<String>,
    ) -> Result<(), Error> {
        let (member, name) = (Arc::clone(&self.member), name.into());
        let work = move || member.or_broken(|| relocate::rename(&member, file, &name));
        let renamed = tokio::task::spawn_blocking(work).await;
        renamed.unwrap_or(Err(Error::Stopped))
    }

    /// Where a file lies, or will.
    #[must_use]
    pub fn path(&self, file: FileIndex) -> PathBuf {
        self.member.content.path(file)
    }

    /// Returns when every wanted piece is here, on the disk to stay, and where it is to be.
    ///
    /// # Errors
    /// If the torrent fails or leaves the session before.
    pub async fn wait_until_seeding(&self) -> Result<(), Error> {
        loop {
            let changed = self.member.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.member.state() {
                State::Seeding | State::Finished
                    if self.member.is_durable() && self.member.is_home() =>
                {
                    return Ok(());
                }
                State::Failed if !self.member.is_mending.load(Ordering::Relaxed) => {
                    return Err(Error::Failed(self.status().reason));
                }
                State::Stopped => return Err(Error::Stopped),
                // Nobody makes anything durable any more.
                _ if self.member.session.strong_count() == 0 => return Err(Error::Stopped),
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
            // Without content to delete there is nothing that could fail.
            let _ = session.remove(&self.member, false).await;
        }
    }

    /// The same, and removes the content from the disk: the files that the torrent names and those parts of others that
    /// we kept, then directories that are empty without them. Nothing else is touched.
    ///
    /// # Errors
    /// If the system does not let us remove a file.
    pub async fn remove_with_data(&self) -> Result<(), Error> {
        let session = self.member.session.upgrade().ok_or(Error::Stopped)?;
        session.remove(&self.member, true).await
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
