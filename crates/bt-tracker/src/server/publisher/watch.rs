//! Hearing from the system that the directory has changed (inotify). Knows nothing of torrents.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Changes that come within this time are looked at together: files come in crowds.
const GATHER: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(in super::super) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Begins to listen. Must be called in a runtime.
    pub(in super::super) fn new(dir: &Path) -> io::Result<Self> {
        let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let changes = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE;
        add_watch(&events, dir, changes)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that change their \
            descriptor, which an owned one does not"
        )]
        let events = AsyncFd::with_interest(events, Interest::READABLE)?;
        Ok(Self(events))
    }

    /// Waits until something has changed.
    pub(in super::super) async fn changed(&self) -> io::Result<()> {
        self.0.readable().await?.retain_ready();
        tokio::time::sleep(GATHER).await;
        let mut buffer = [0; 4096];
        loop {
            let mut ready = self.0.readable().await?;
            match rustix::io::read(&self.0, &mut buffer) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    return Ok(());
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}
