//! A torrent in whose work a bug is met: it is stopped once, whoever else reports one or stops it at that moment; nobody
//! finds what is half changed, and whoever finds it broken is told why.

#[path = "../../crates/bt-client/src/session/breakdown/breaking.rs"]
mod breaking;

pub(crate) mod sync {
    pub(crate) use crate::sync::{AtomicBool, MutexGuard, OnceLock, Ordering, sleep};
}

pub(crate) mod clock {
    pub(crate) fn now() {}
}

pub(crate) mod events {
    use crate::engine::State;

    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) enum EventKind {
        State(State),
        Failed {
            kind: &'static str,
            message: String,
            hint: String,
        },
    }
}

pub(crate) mod perform {
    use super::member::Member;
    use crate::sync::Ordering;

    pub(crate) fn close_all(member: &Member) {
        member.closed.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) mod torrent {
    use super::member::Member;
    use crate::sync::Ordering;

    pub(crate) struct Torrent;

    impl Torrent {
        pub(crate) fn cancel_check(member: &Member) {
            member.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A session and its torrent, as far as a breakdown reaches.
pub(crate) mod member {
    use std::future::Future;
    use std::pin::Pin;
    use std::sync::{Arc, Weak};

    use loom::future::block_on;

    use super::breaking::Breakdown;
    use super::events::EventKind;
    use crate::contain::Bugs;
    use crate::engine::{Command, Input, Outputs, Torrent as Engine};
    use crate::sync::{AtomicUsize, JoinHandle, Mutex, MutexGuard, Notify, Ordering, thread};

    pub(crate) struct Member {
        pub(crate) session: Weak<Inner>,
        pub(crate) me: Weak<Self>,
        pub(crate) bugs: Bugs,
        pub(crate) breakdown: Breakdown,
        pub(crate) number: std::sync::OnceLock<u32>,
        pub(crate) info_hash: u8,
        pub(crate) layout: Arc<Layout>,
        pub(crate) content: Arc<Content>,
        pub(crate) checking: Mutex<Option<()>>,
        pub(crate) relocating: Relocating,
        pub(crate) changed: Notify,
        pub(crate) closed: AtomicUsize,
        pub(crate) cancelled: AtomicUsize,
        engine: Mutex<Engine>,
    }

    pub(crate) struct Layout;

    impl Layout {
        pub(crate) fn piece_count(&self) -> u32 {
            1
        }
    }

    #[derive(Default)]
    pub(crate) struct Content(pub(crate) AtomicUsize);

    impl Content {
        pub(crate) fn retire(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    pub(crate) struct Relocating(pub(crate) AtomicUsize);

    impl Relocating {
        pub(crate) fn cancel(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    pub(crate) struct Inner {
        pub(crate) durable: Durable,
        pub(crate) disk: Disk,
        pub(crate) events: Events,
        tasks: Mutex<Vec<JoinHandle<()>>>,
    }

    #[derive(Default)]
    pub(crate) struct Durable(pub(crate) AtomicUsize);

    impl Durable {
        pub(crate) fn breaks(&self, _: u32) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[derive(Default)]
    pub(crate) struct Disk;

    impl Disk {
        pub(crate) fn run(&self, work: impl FnOnce()) {
            work();
        }
    }

    #[derive(Default)]
    pub(crate) struct Events(pub(crate) Mutex<Vec<EventKind>>);

    impl Events {
        pub(crate) fn send(&self, _: u8, kind: EventKind) {
            self.0.lock().unwrap().push(kind);
        }
    }

    impl Inner {
        pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
            let task: Pin<Box<dyn Future<Output = ()>>> = Box::pin(task);
            let task = thread::spawn(move || block_on(task));
            self.tasks.lock().unwrap().push(task);
        }

        /// Until all that was put off is done.
        pub(crate) fn join(&self) {
            loop {
                let task = self.tasks.lock().unwrap().pop();
                match task {
                    Some(task) => task.join().unwrap(),
                    None => return,
                }
            }
        }
    }

    impl Member {
        pub(crate) fn new() -> (Arc<Inner>, Arc<Self>) {
            let session = Arc::new(Inner::default());
            let member = Arc::new_cyclic(|me| Self {
                session: Arc::downgrade(&session),
                me: Weak::clone(me),
                bugs: Bugs,
                breakdown: Breakdown::default(),
                number: std::sync::OnceLock::from(1),
                info_hash: 0,
                layout: Arc::new(Layout),
                content: Arc::default(),
                checking: Mutex::default(),
                relocating: Relocating::default(),
                changed: Notify::new(),
                closed: AtomicUsize::new(0),
                cancelled: AtomicUsize::new(0),
                engine: Mutex::new(Engine::of_work()),
            });
            (session, member)
        }

        /// A lock that somebody has panicked under is noticed by the next one, as with the standard library's.
        pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
            let engine = self.engine.lock().unwrap();
            match engine.is_half {
                true => self.mended(engine),
                false => engine,
            }
        }

        /// As the real one: nothing but the end is done by an engine that has broken down. Returns whether it was one that
        /// has never worked, in the place of the one that did.
        pub(crate) fn turn(self: &Arc<Self>, input: Input) -> bool {
            let is_the_end = matches!(input, Input::Command(Command::Stop));
            let mut engine = self.engine();
            if !self.is_broken() || is_the_end {
                engine.handle((), input, &mut Outputs::new());
            }
            engine.is_blank
        }

        /// Work that panics while the engine is half changed.
        pub(crate) fn turn_that_panics(self: &Arc<Self>) {
            self.contained(|| {
                let mut engine = self.engine();
                if self.is_broken() {
                    return;
                }
                engine.is_half = true;
                engine.works += 1;
                drop(engine);
                crate::contain::panic_as_planned();
            });
        }
    }
}

/// Where the unit tests plant their panics.
pub(crate) type Planted = ();

use std::sync::Arc;

use loom::future::block_on;

use crate::contain::Bug;
use crate::engine::{Command, Input, State};
use crate::error::Error;
use crate::sync::{Ordering, check, thread};
use events::EventKind;
use member::{Inner, Member};

/// What was told of failures, each by its words.
fn told(session: &Inner) -> Vec<String> {
    let events = session.events.0.lock().unwrap();
    let failed = events.iter().filter_map(|event| match event {
        EventKind::Failed { message, .. } => Some(message.clone()),
        EventKind::State(state) => {
            assert_eq!(*state, State::Failed);
            None
        }
    });
    failed.collect()
}

/// All that follows from a breakdown was done, and each step once.
fn was_seen_to_once(session: &Inner, member: &Member) {
    let steps = [
        &session.durable.0,
        &member.content.0,
        &member.relocating.0,
        &member.closed,
        &member.cancelled,
    ];
    let times = steps.map(|step| step.load(Ordering::Relaxed));
    assert_eq!(times, [1; 5], "each step once");
}

#[test]
fn a_bug_that_two_report_at_once_is_told_once_in_the_words_of_one_of_them() {
    check("breakdown, two reports", || {
        let (session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.breaks(&Bug::of("one".to_owned())))
        };
        member.breaks(&Bug::of("another".to_owned()));
        other.join().unwrap();
        was_seen_to_once(&session, &member);
        let told = told(&session);
        assert!(told == ["one"] || told == ["another"], "{told:?}");
        assert_eq!(member.engine().state(), State::Failed);
        // Who asks later hears the same.
        let Err(Error::Bug(words)) = member.is_sound() else {
            panic!("it is broken");
        };
        assert_eq!(told, [words]);
    });
}

#[test]
fn a_torrent_that_breaks_down_while_it_is_stopped_is_stopped_and_its_files_are_let_go_once() {
    check("breakdown, stop", || {
        let (session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.breaks(&Bug::of("one".to_owned())))
        };
        member.turn(Input::Command(Command::Stop));
        assert_eq!(
            member.engine().state(),
            State::Stopped,
            "it may not come back"
        );
        other.join().unwrap();
        assert_eq!(
            member.engine().state(),
            State::Stopped,
            "it may not come back"
        );
        was_seen_to_once(&session, &member);
        assert!(told(&session).len() <= 1, "told twice");
    });
}

#[test]
fn a_failure_is_told_unless_the_torrent_was_stopped_before() {
    check("breakdown, news", || {
        let (session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.turn(Input::Command(Command::Stop)))
        };
        member.breaks(&Bug::of("one".to_owned()));
        // Whether the failure came before the end.
        let is_blank = other.join().unwrap();
        assert_eq!(told(&session).len(), usize::from(is_blank));
        assert!(member.engine().is_blank);
    });
}

#[test]
fn what_comes_to_a_torrent_that_breaks_down_does_not_bring_it_back() {
    check("breakdown, work", || {
        let (session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.turn(Input::Work))
        };
        member.breaks(&Bug::of("one".to_owned()));
        assert_eq!(member.engine().state(), State::Failed);
        other.join().unwrap();
        let engine = member.engine();
        assert_eq!((engine.state(), engine.works), (State::Failed, 0));
        drop(engine);
        assert_eq!(told(&session), ["one"]);
    });
}

#[test]
fn whoever_finds_a_torrent_broken_is_told_why() {
    check("breakdown, words", || {
        let (_session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.breaks(&Bug::of("one".to_owned())))
        };
        if let Err(error) = member.is_sound() {
            assert!(matches!(error, Error::Bug(words) if words == "one"));
        }
        other.join().unwrap();
        assert!(member.is_sound().is_err());
    });
}

#[test]
fn whoever_waits_for_a_change_learns_of_a_breakdown() {
    check("breakdown, waiter", || {
        let (_session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.breaks(&Bug::of("one".to_owned())))
        };
        loop {
            let mut changed = std::pin::pin!(member.changed.notified());
            changed.as_mut().enable();
            if member.engine().state() == State::Failed {
                break;
            }
            // A lost wake-up is a deadlock, which loom reports.
            block_on(changed);
        }
        other.join().unwrap();
    });
}

#[test]
fn what_is_half_changed_is_found_by_nobody_and_the_failure_is_told_once() {
    check("breakdown, half changed", || {
        let (session, member) = Member::new();
        let other = {
            let member = Arc::clone(&member);
            thread::spawn(move || member.turn_that_panics())
        };
        let engine = member.engine();
        assert!(!engine.is_half && engine.works == 0);
        assert!(matches!(engine.state(), State::Downloading | State::Failed));
        drop(engine);
        other.join().unwrap();
        session.join();
        was_seen_to_once(&session, &member);
        assert_eq!(told(&session).len(), 1);
        assert_eq!(member.engine().state(), State::Failed);
    });
}
