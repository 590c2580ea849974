//! What becomes of a torrent when a bug of ours is met in the work on it: it stops for good, and nothing else does.
//!
//! What was being changed may be half changed. So the engine is replaced by a new one that knows nothing and claims
//! nothing, nothing more is recorded, the files are let go, and no command but its removal brings the torrent back. It
//! must not know what the work was.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use bt_wire::Bitfield;

use super::events::EventKind;
use super::member::Member;
use super::torrent::Torrent;
use super::{clock, perform};
use crate::contain::Bug;
use crate::engine::{
    self, Command, Input, Outputs, State, Torrent as Engine, Trouble, TroubleKind,
};
use crate::error::Error;
use crate::limits::AFTER_A_BUG;

/// What can be done about a torrent that has broken down.
const WAY_OUT: &str = "remove the torrent and add it again, or start again";

/// Whether a bug was met in the work on one torrent.
#[derive(Debug, Default)]
pub(super) struct Breakdown {
    is_broken: AtomicBool,
    /// Somebody sees to what follows.
    is_seen_to: AtomicBool,
    bug: OnceLock<Bug>,
    #[cfg(test)]
    pub(super) planted: Planted,
}

impl Member {
    /// Does some work of this torrent; `None` if a bug was met in it, which stops the torrent. No lock of the torrent is to
    /// be held by whoever calls this.
    pub(super) fn contained<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> Option<T> {
        let done = self.bugs.catch(work);
        done.map_err(|bug| self.breaks(&bug)).ok()
    }

    /// The same for work that whoever wanted it done is told of.
    pub(super) fn or_broken<T>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.is_sound()?;
        self.contained(work).unwrap_or_else(|| {
            self.is_sound()?;
            Err(Error::Stopped)
        })
    }

    /// Whether a bug was met. To be asked under the lock of the engine by whoever changes it.
    pub(super) fn is_broken(&self) -> bool {
        self.breakdown.is_broken.load(Ordering::Relaxed)
    }

    /// # Errors
    /// If a bug was met.
    pub(super) fn is_sound(&self) -> Result<(), Error> {
        match self.is_broken() {
            true => Err(Error::Bug(self.bug().cause().to_owned())),
            false => Ok(()),
        }
    }

    fn bug(&self) -> Bug {
        let unknown = || Bug::of("a thread broke off in the middle of its work".to_owned());
        self.breakdown.bug.get().cloned().unwrap_or_else(unknown)
    }

    /// A bug was met in the work of this torrent.
    pub(super) fn breaks(self: &Arc<Self>, bug: &Bug) {
        // Of several the first is told: the others may come of it.
        let _ = self.breakdown.bug.set(bug.clone());
        self.breakdown.is_broken.store(true, Ordering::Relaxed);
        if self.breakdown.is_seen_to.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(session) = self.session.upgrade() else {
            return;
        };
        // None of these steps keeps the others from being done.
        let step = |what: &dyn Fn()| drop(self.bugs.catch(what));
        step(&|| {
            if let Some(&number) = self.number.get() {
                session.durable.breaks(number);
            }
        });
        let mut was_here = true;
        let before = self.bugs.catch(|| {
            let mut engine = self.engine();
            let was_here = engine.state() != State::Stopped;
            (
                was_here,
                std::mem::replace(&mut *engine, self.blank(was_here)),
            )
        });
        if let Ok((here, before)) = before {
            was_here = here;
            drop(self.bugs.catch(move || drop(before)));
        }
        step(&|| perform::close_all(self));
        step(&|| {
            Torrent::cancel_check(self);
            let checking = self.checking.lock();
            *checking.unwrap_or_else(PoisonError::into_inner) = None;
        });
        step(&|| self.relocating.cancel());
        step(&|| {
            let content = Arc::clone(&self.content);
            // It waits for those who write.
            session.disk.run(move || content.retire());
        });
        if was_here {
            let message = self.bug().to_string();
            tracing::warn!(torrent = %self.info_hash, message, "the torrent is stopped");
            let send = |kind| session.events.send(self.info_hash, kind);
            send(EventKind::State(State::Failed));
            send(EventKind::Failed {
                kind: "internal",
                message,
                hint: format!("{}; {WAY_OUT}", Bug::HINT),
            });
        }
        self.changed.notify_waiters();
    }

    /// Somebody panicked while the engine was locked, whether that is caught anywhere or not: the next one who comes finds
    /// out. What was half changed is gone before anybody can look at it.
    pub(super) fn mended<'a>(
        &'a self,
        mut engine: MutexGuard<'a, Engine>,
    ) -> MutexGuard<'a, Engine> {
        self.breakdown.is_broken.store(true, Ordering::Relaxed);
        let was_here = engine.state() != State::Stopped;
        *engine = self.blank(was_here);
        if let (Some(session), Some(me)) = (self.session.upgrade(), self.me.upgrade()) {
            // Not here, since the engine is locked; and later, since whoever has caught it knows more.
            session.spawn(async move {
                tokio::time::sleep(AFTER_A_BUG).await;
                me.breaks(&me.bug());
            });
        }
        engine
    }

    /// An engine that has failed, or has stopped, and knows nothing.
    fn blank(&self, is_here: bool) -> Engine {
        let (now, pieces) = (clock::now(), self.layout.piece_count());
        let config = engine::Config::new(self.info_hash, bt_wire::PeerId::from([0; 20]), 0);
        let layout = Arc::clone(&self.layout);
        let mut engine = Engine::new(now, config, layout, Bitfield::full(pieces));
        let trouble = Trouble {
            kind: TroubleKind::Broken,
            message: self.bug().to_string(),
            hint: WAY_OUT.to_owned(),
        };
        // Whoever has to hear of it does so in another way.
        let mut out = Outputs::new();
        engine.handle(now, Input::StorageFailed(trouble), &mut out);
        if !is_here {
            engine.handle(now, Input::Command(Command::Stop), &mut out);
        }
        engine
    }
}

#[cfg(test)]
impl Member {
    pub(super) fn comes_by_sync(&self) {
        self.breakdown.planted.sync.goes_off();
    }
}

/// Where a test can plant a panic.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Planted {
    /// With the engine locked, in its timer.
    pub(super) timer: crate::contain::Planted,
    pub(super) check: crate::contain::Planted,
    pub(super) sync: crate::contain::Planted,
    /// With the engine locked, when it is asked for its status.
    pub(super) status: crate::contain::Planted,
}

#[cfg(test)]
mod tests;
