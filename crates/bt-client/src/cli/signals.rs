//! Being asked to stop: the first SIGINT, SIGTERM or SIGHUP asks kindly, a second SIGINT or SIGTERM ends at once. It
//! must not know what is being stopped.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::exit::Exit;
use super::screen::Screen;

/// Why we were asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// This signal came.
    Signal(u8),
    /// Nobody reads standard output any more.
    OutputClosed,
}

impl StopReason {
    /// How a command ends that had to leave work undone.
    pub(crate) fn exit(self) -> Exit {
        match self {
            Self::Signal(number) => Exit::Signal(number),
            Self::OutputClosed => Exit::Unfinished,
        }
    }
}

/// The request to stop, shared by everybody who works. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    reason: Arc<watch::Sender<Option<StopReason>>>,
    flag: Arc<AtomicBool>,
}

impl Stop {
    /// Nobody has asked yet.
    pub(crate) fn new() -> Self {
        Self {
            reason: Arc::new(watch::Sender::new(None)),
            flag: Arc::default(),
        }
    }

    /// Asks to stop; only the first reason counts.
    pub(crate) fn request(&self, reason: StopReason) {
        self.flag.store(true, Ordering::Relaxed);
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }

    /// The reason, once there is one.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        *self.reason.borrow()
    }

    /// Whether the terminal has gone, so that nothing can be said there any more.
    pub(crate) fn is_hung_up(&self) -> bool {
        let hangup = SignalKind::hangup().as_raw_value();
        matches!(self.reason(), Some(StopReason::Signal(number)) if i32::from(number) == hangup)
    }

    /// Waits for the request.
    pub(crate) async fn requested(&self) -> StopReason {
        let mut changes = self.reason.subscribe();
        loop {
            if let Some(reason) = *changes.borrow_and_update() {
                return reason;
            }
            if changes.changed().await.is_err() {
                // The sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// For code without a runtime: true once we were asked.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.flag
    }

    /// Listens to signals for the rest of the program. Must run on the runtime.
    pub(crate) fn listen(&self, screen: &Arc<Screen>) -> io::Result<()> {
        // A handler, even one that nobody waits for, makes a file that grows above `ulimit -f` an error of that file; by
        // default it would end us without a word.
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
        let asked_before = Arc::new(AtomicBool::new(false));
        for kind in [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ] {
            let is_hangup = kind == SignalKind::hangup();
            // Whoever started us with nohup wants us to outlive the terminal.
            if is_hangup && hangup_is_ignored() {
                continue;
            }
            let mut signals = signal(kind)?;
            let number = u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX);
            let (stop, screen, asked_before) =
                (self.clone(), Arc::clone(screen), Arc::clone(&asked_before));
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    // A terminal that closes hangs up twice, for the shell and for itself, and nobody is impatient.
                    if asked_before.swap(true, Ordering::Relaxed) && !is_hangup {
                        screen.clear();
                        std::process::exit(i32::from(Exit::Signal(number).code()));
                    }
                    stop.request(StopReason::Signal(number));
                    if screen.is_terminal() && !is_hangup {
                        screen.line("stopping (once more ends at once)");
                    }
                }
            });
        }
        Ok(())
    }
}

/// Whether SIGHUP was set to be ignored by whoever started us. Where the system does not tell it is not.
fn hangup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, SignalKind::hangup().as_raw_value())
}

/// What `/proc/PID/status` says of a signal: `SigIgn:` is a mask in hexadecimal, with the lowest bit for signal 1.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(signal - 1)
        .ok()
        .and_then(|place| 1u64.checked_shl(place));
    mask.zip(bit).is_some_and(|(mask, bit)| mask & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::{Stop, StopReason, ignores};

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(ignores(status, 1));
        assert!(ignores(status, 13));
        for signal in [0, 2, 64, 65, -1] {
            assert!(!ignores(status, signal), "{signal}");
        }
        assert!(!ignores("SigIgn:\tzz\n", 1));
        assert!(!ignores("", 1));
    }

    #[tokio::test]
    async fn the_first_reason_counts() {
        let stop = Stop::new();
        assert_eq!(stop.reason(), None);
        stop.request(StopReason::Signal(15));
        stop.request(StopReason::OutputClosed);
        assert_eq!(stop.requested().await, StopReason::Signal(15));
        assert!(stop.flag().load(std::sync::atomic::Ordering::Relaxed));
    }
}
