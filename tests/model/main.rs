//! Model checks: the files below are compiled from the packages as they stand, with loom's threads, locks and atomics
//! instead of the real ones, and each story is played in every order that its threads can come to.
//!
//! A file takes what threads meet at from its room's `sync`; here that is `sync.rs`. What else it uses is stood in
//! for, so that nothing of sockets, files or tokio is here.
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    clippy::drop_non_drop,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    clippy::needless_pass_by_value,
    reason = "each included file has more than its story needs, and stand-ins keep the shape of what they stand for"
)]

mod disk;
mod durable;
mod net;
mod open;
mod pages;
mod relay;
mod session;
mod sync;

/// What the included files find at the root of bt-client: an engine that works, fails or has stopped.
mod engine {
    use std::sync::Arc;

    use bt_wire::{Bitfield, PeerId};

    use crate::session::member::Layout;

    #[derive(Debug)]
    pub(crate) struct CloseReason;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum State {
        Downloading,
        Failed,
        Stopped,
    }

    pub(crate) enum Command {
        Stop,
    }

    pub(crate) enum Input {
        Work,
        StorageFailed(Trouble),
        Command(Command),
    }

    pub(crate) struct Trouble {
        pub(crate) kind: TroubleKind,
        pub(crate) message: String,
        pub(crate) hint: String,
    }

    pub(crate) enum TroubleKind {
        Broken,
    }

    pub(crate) struct Outputs;

    impl Outputs {
        pub(crate) fn new() -> Self {
            Self
        }
    }

    pub(crate) struct Config;

    impl Config {
        pub(crate) fn new(_: u8, _: PeerId, _: u64) -> Self {
            Self
        }
    }

    pub(crate) struct Torrent {
        state: State,
        /// It has never done anything.
        pub(crate) is_blank: bool,
        /// Somebody has panicked in the middle of its work.
        pub(crate) is_half: bool,
        pub(crate) works: u32,
    }

    impl Torrent {
        pub(crate) fn of_work() -> Self {
            Self {
                state: State::Downloading,
                is_blank: false,
                is_half: false,
                works: 0,
            }
        }

        pub(crate) fn new((): (), _: Config, _: Arc<Layout>, _: Bitfield) -> Self {
            Self {
                is_blank: true,
                ..Self::of_work()
            }
        }

        pub(crate) fn state(&self) -> State {
            self.state
        }

        pub(crate) fn handle(&mut self, (): (), input: Input, _: &mut Outputs) {
            match input {
                Input::Work => self.works += 1,
                Input::StorageFailed(_) => self.state = State::Failed,
                Input::Command(Command::Stop) => self.state = State::Stopped,
            }
        }
    }
}

/// Faults of a session.
mod error {
    #[derive(Debug)]
    pub(crate) enum Error {
        Bug(String),
        Stopped,
    }
}

/// Catches what a story throws, and nothing that loom does.
mod contain {
    use std::any::Any;
    use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

    struct Planted;

    /// A bug of a story.
    pub(crate) fn panic_as_planned() -> ! {
        panic_any(Planted)
    }

    #[derive(Clone, Debug)]
    pub(crate) struct Bug(String);

    impl Bug {
        pub(crate) const HINT: &str = "none";

        pub(crate) fn of(words: String) -> Self {
            Self(words)
        }

        pub(crate) fn cause(&self) -> &str {
            &self.0
        }
    }

    impl std::fmt::Display for Bug {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Bugs;

    impl Bugs {
        pub(crate) fn catch<T>(&self, work: impl FnOnce() -> T) -> Result<T, Bug> {
            catch_unwind(AssertUnwindSafe(work)).map_err(bug)
        }
    }

    fn bug(thrown: Box<dyn Any + Send>) -> Bug {
        if thrown.is::<Planted>() {
            return Bug("as planned".to_owned());
        }
        resume_unwind(thrown)
    }
}

/// What the included files find at the root of their package: bounds of bt-tracker that a few threads can reach, and of
/// bt-client as they are.
mod limits {
    pub(crate) use bt_client::limits::{
        AFTER_A_BUG, COMMIT_AFTER, COMMIT_AFTER_BYTES, MAX_KEPT_ROOM, NO_DESCRIPTORS_PAUSE,
    };

    pub(crate) const INDEX_LIFE: std::time::Duration = std::time::Duration::from_secs(1);
    pub(crate) const INDEX_SHARE: u32 = 0;
    pub(crate) const MAX_RELAY_QUEUE: usize = 3;
}

/// What connections hold together, which an index counts among.
mod memory {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    pub(crate) struct Budget {
        held: AtomicUsize,
        most: usize,
    }

    #[derive(Debug)]
    pub(crate) struct Held(Arc<Budget>, usize);

    impl Budget {
        pub(crate) fn new(most: usize) -> Arc<Self> {
            let held = AtomicUsize::new(0);
            Arc::new(Self { held, most })
        }

        pub(crate) fn held(&self) -> usize {
            self.held.load(Ordering::Relaxed)
        }

        pub(crate) fn is_exceeded(&self) -> bool {
            self.held() > self.most
        }

        pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
            self.held.fetch_add(bytes, Ordering::Relaxed);
            Held(Arc::clone(self), bytes)
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.held.fetch_sub(self.1, Ordering::Relaxed);
        }
    }
}

/// What the index of torrents is of.
mod swarm {
    #[derive(Debug)]
    pub(crate) struct Swarms;
}

/// The real rules of what is known, and a journal in memory.
mod state {
    pub(crate) use bt_client::state::knowledge;

    pub(crate) use crate::durable::stand_in::{StateError, Store};
}
