//! Runs a target on one input and judges what happened.

use std::cell::RefCell;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::counters;
use crate::targets::Target;

/// What an execution showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every property held.
    Fine,
    /// The target panicked, with the message and the place.
    Panicked(String),
    /// The target held more memory than an input of this length may cost.
    TooMuchMemory {
        /// The most it held at once, in bytes.
        peak: usize,
        /// What it may hold, in bytes.
        limit: usize,
    },
    /// The target took longer than an input of this length may take, each time.
    TooSlow {
        /// The shortest time that it needed of a processor.
        time: Duration,
        /// What it may take.
        limit: Duration,
    },
}

/// How often an input that took too long is tried again, as the machine has other things to do as well.
const SECOND_CHANCES: usize = 4;

/// One execution.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) verdict: Verdict,
    /// The most bytes held at once.
    pub(crate) peak: usize,
    pub(crate) time: Duration,
}

impl Verdict {
    pub(crate) const fn is_fine(&self) -> bool {
        matches!(self, Self::Fine)
    }

    /// Whether two failures have the same cause: the same place, or both memory.
    pub(crate) fn same_cause(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Panicked(a), Self::Panicked(b)) => a.split(": ").next() == b.split(": ").next(),
            (Self::TooMuchMemory { .. }, Self::TooMuchMemory { .. })
            | (Self::TooSlow { .. }, Self::TooSlow { .. }) => true,
            _ => self == other,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fine => f.write_str("fine"),
            Self::Panicked(message) => write!(f, "panicked at {message}"),
            Self::TooMuchMemory { peak, limit } => {
                write!(f, "held {peak} bytes where {limit} are allowed")
            }
            Self::TooSlow { time, limit } => {
                write!(f, "took {time:.1?} where {limit:?} are allowed")
            }
        }
    }
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Whether panics are also printed in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Panics {
    /// Millions of executions: only the verdict tells of them.
    Silent,
    /// One execution that a person looks at.
    Printed,
}

/// Keeps panic messages for the verdict.
pub(crate) fn watch_panics(panics: Panics) {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info
            .location()
            .map_or_else(String::new, ToString::to_string);
        let payload = info.payload_as_str().unwrap_or("(no message)");
        let first = payload.lines().next().unwrap_or_default();
        let message = format!("{place}: {first}");
        LAST_PANIC.with_borrow_mut(|last| *last = message);
        if panics == Panics::Printed {
            print(info);
        }
    }));
}

static EXECUTIONS: AtomicU64 = AtomicU64::new(0);

/// How many executions this process has begun.
pub(crate) fn executions() -> u64 {
    EXECUTIONS.load(Ordering::Relaxed)
}

/// What this thread has had of a processor so far: a machine that does other things as well makes no input slow.
fn processor_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or(0),
        u32::try_from(now.tv_nsec).unwrap_or(0),
    )
}

/// The shortest time of several if all of them are too long. The body was fine with this input before, and took `first`
/// by the clock on the wall, which costs less to read.
fn too_long(target: &Target, input: &[u8], first: Duration, most: Duration) -> Option<Duration> {
    let mut shortest = first;
    for _ in 0..SECOND_CHANCES {
        if shortest <= most {
            return None;
        }
        let started = processor_time();
        (target.body)(input);
        shortest = shortest.min(processor_time().saturating_sub(started));
    }
    (shortest > most).then_some(shortest)
}

/// Runs the target once.
pub(crate) fn execute(target: &Target, input: &[u8]) -> Run {
    EXECUTIONS.fetch_add(1, Ordering::Relaxed);
    let body = target.body;
    let before = counters::start_of_memory();
    let started = Instant::now();
    let result = panic::catch_unwind(AssertUnwindSafe(|| body(input)));
    let time = started.elapsed();
    let peak = counters::peak_since(before);
    let limit = target.memory_limit(input.len());
    let most = target.time_limit(input.len());
    let verdict = if result.is_err() {
        Verdict::Panicked(LAST_PANIC.with_borrow(Clone::clone))
    } else if peak > limit {
        Verdict::TooMuchMemory { peak, limit }
    } else if let Some(time) = too_long(target, input, time, most) {
        Verdict::TooSlow { time, limit: most }
    } else {
        Verdict::Fine
    };
    Run {
        verdict,
        peak,
        time,
    }
}
