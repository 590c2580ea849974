//! Whether a torrent has broken down, and what is done about it: once, by whoever comes first, however many meet a bug of
//! it at one time, and whether it is stopped meanwhile or not.
//!
//! It must not know what the work was. `tests/model` plays this file as it stands.

use std::sync::{Arc, PoisonError};

use bt_wire::Bitfield;

use crate::contain::Bug;
use crate::engine::{
    self, Command, Input, Outputs, State, Torrent as Engine, Trouble, TroubleKind,
};
use crate::error::Error;
use crate::limits::AFTER_A_BUG;
use crate::session::events::EventKind;
use crate::session::member::Member;
use crate::session::sync::{AtomicBool, MutexGuard, OnceLock, Ordering, sleep};
use crate::session::torrent::Torrent;
use crate::session::{clock, perform};

/// What can be done about a torrent that has broken down.
const WAY_OUT: &str = "remove the torrent and add it again, or start again";

/// Whether a bug was met in the work on one torrent.
#[derive(Debug, Default)]
pub(crate) struct Breakdown {
    /// Set after `bug`, where that is known, so that whoever finds it set finds the words as well.
    is_broken: AtomicBool,
    /// Somebody sees to what follows.
    is_seen_to: AtomicBool,
    bug: OnceLock<Bug>,
    #[cfg(test)]
    pub(in crate::session) planted: super::Planted,
}

impl Member {
    /// Does some work of this torrent; `None` if a bug was met in it, which stops the torrent. No lock of the torrent is to
    /// be held by whoever calls this.
    pub(in crate::session) fn contained<T>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T,
    ) -> Option<T> {
        let done = self.bugs.catch(work);
        done.map_err(|bug| self.breaks(&bug)).ok()
    }

    /// The same for work that whoever wanted it done is told of.
    pub(in crate::session) fn or_broken<T>(
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
    pub(in crate::session) fn is_broken(&self) -> bool {
        self.breakdown.is_broken.load(Ordering::Acquire)
    }

    /// # Errors
    /// If a bug was met.
    pub(in crate::session) fn is_sound(&self) -> Result<(), Error> {
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
    pub(in crate::session) fn breaks(self: &Arc<Self>, bug: &Bug) {
        // Of several the first is told: the others may come of it.
        let _ = self.breakdown.bug.set(bug.clone());
        self.breakdown.is_broken.store(true, Ordering::Release);
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
    pub(in crate::session) fn mended<'a>(
        &'a self,
        mut engine: MutexGuard<'a, Engine>,
    ) -> MutexGuard<'a, Engine> {
        self.breakdown.is_broken.store(true, Ordering::Release);
        let was_here = engine.state() != State::Stopped;
        *engine = self.blank(was_here);
        if let (Some(session), Some(me)) = (self.session.upgrade(), self.me.upgrade()) {
            // Not here, since the engine is locked; and later, since whoever has caught it knows more.
            session.spawn(async move {
                sleep(AFTER_A_BUG).await;
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
