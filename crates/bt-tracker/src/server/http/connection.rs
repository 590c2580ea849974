//! One connection that is kept: read, answer, write, until it has had its time.

use std::io;
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::Http;
use super::session::{Flow, Session};

/// A request must come within this time, from its first byte or from the connection's start.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The wait for the next request on a connection that had one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A client must take a reply within this time.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    stream: TcpStream,
    session: Session,
    flow: Flow,
    http: Arc<Http>,
    deadline: Instant,
    /// Rings at the deadline or earlier: it is only set anew when it rings too early, which is
    /// far cheaper than setting it for each request.
    alarm: Pin<Box<Sleep>>,
}

impl Connection {
    pub(super) fn new(
        stream: StdStream,
        session: Session,
        flow: Flow,
        http: &Arc<Http>,
    ) -> io::Result<Self> {
        let stream = TcpStream::from_std(stream)?;
        stream.set_nodelay(true)?;
        let deadline = Instant::now() + HEAD_TIMEOUT;
        http.tracker.stats.connections.add(1);
        Ok(Self {
            stream,
            session,
            flow,
            http: Arc::clone(http),
            deadline,
            alarm: Box::pin(tokio::time::sleep_until(deadline.into())),
        })
    }

    pub(super) async fn run(mut self) {
        // An error of the socket means that the client is gone; nobody is left to be told.
        if let Err(error) = self.serve().await
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.http.tracker.stats.connections_timed_out.add(1);
        }
    }

    async fn serve(&mut self) -> io::Result<()> {
        loop {
            if !self.session.out.is_empty() {
                self.write().await?;
            }
            let was_within = self.session.is_within_request();
            match self.flow {
                Flow::Close => return self.stream.shutdown().await,
                Flow::Again => {}
                Flow::Read => {
                    if !self.read().await? {
                        return Ok(());
                    }
                }
            }
            let now = Instant::now();
            self.flow = self.session.advance(now, &self.http);
            if !self.session.is_within_request() {
                self.deadline = now + IDLE_TIMEOUT;
            } else if !was_within || !self.session.out.is_empty() {
                self.set_deadline(now + HEAD_TIMEOUT);
            }
        }
    }

    /// Returns false when the client has closed its side.
    async fn read(&mut self) -> io::Result<bool> {
        loop {
            tokio::select! {
                biased;
                count = self.stream.read(self.session.space()) => {
                    let count = count?;
                    self.session.received(count);
                    return Ok(count > 0);
                }
                () = &mut self.alarm => {
                    if Instant::now() >= self.deadline {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    self.alarm.as_mut().reset(self.deadline.into());
                }
            }
        }
    }

    async fn write(&mut self) -> io::Result<()> {
        match self.stream.try_write(&self.session.out) {
            Ok(count) if count == self.session.out.len() => {}
            Ok(count) => self.write_rest(count).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.write_rest(0).await?,
            Err(error) => return Err(error),
        }
        self.session.out.clear();
        Ok(())
    }

    async fn write_rest(&mut self, from: usize) -> io::Result<()> {
        let rest = self.session.out.get(from..).unwrap_or_default();
        tokio::time::timeout(WRITE_TIMEOUT, self.stream.write_all(rest)).await?
    }

    fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if self.alarm.deadline().into_std() > deadline {
            self.alarm.as_mut().reset(deadline.into());
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.http.tracker.stats.connections.sub(1);
    }
}
