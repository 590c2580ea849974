//! One connection that is kept: read, answer, write, until it has had its time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Sleep, timeout};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::super::handle::DRAIN;
use super::super::memory::Held;
use super::crowd::Seat;
use super::detour::Detour;
use super::session::{Flow, Session};
use super::{Http, Status};
use crate::limits::{
    IDLE_TIMEOUT, REQUEST_TIMEOUT, UPLOAD_STEP, UPLOAD_TIMEOUT, WRITE_STEP, WRITE_TIMEOUT,
};

pub(super) struct Connection<S> {
    stream: S,
    session: Session,
    flow: Flow,
    http: Arc<Http>,
    deadline: Instant,
    /// The upload that is coming.
    upload: Option<Upload>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    seat: Seat,
    /// What requests and replies under way take beyond what every connection may keep.
    held: Held,
    /// When the connection ends in any case, once the server stops.
    drained: Option<Instant>,
    /// Rings at the deadline or earlier: it is only set anew when it rings too early, which is
    /// far cheaper than setting it for each request.
    alarm: Pin<Box<Sleep>>,
}

/// How far an upload has come.
struct Upload {
    until: Instant,
    /// Bytes that had come when its deadline was set.
    marked: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// The connection ends after the request under way once the server stops, and at once when it
    /// has to make room.
    pub(super) fn new(
        stream: S,
        session: Session,
        flow: Flow,
        http: &Arc<Http>,
        seat: Seat,
    ) -> Self {
        let now = Instant::now();
        let deadline = now + REQUEST_TIMEOUT;
        http.tracker.stats.connections.add(1);
        if session.is_within_request() {
            seat.asks_since(now);
        }
        Self {
            stream,
            session,
            flow,
            http: Arc::clone(http),
            deadline,
            upload: None,
            drained: None,
            stop: Box::pin(seat.leave().clone().cancelled_owned()),
            held: http.tracker.memory.hold(0),
            seat,
            alarm: Box::pin(tokio::time::sleep_until(deadline.into())),
        }
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
            self.weigh();
            if self.session.has_replies() {
                self.write().await?;
                self.held.set(self.session.held());
            }
            let was_within = self.session.is_within_request();
            match self.flow {
                Flow::Close => return timeout(WRITE_TIMEOUT, self.stream.shutdown()).await?,
                // Whoever sends a thousand requests at once is not alone here.
                Flow::Again => tokio::task::yield_now().await,
                Flow::Detour => match self.session.detour.take() {
                    None => {}
                    Some(Detour::Upload(mut upload)) => {
                        self.seat.is_busy();
                        upload
                            .carry_out(&self.http.tracker, &mut self.session.out)
                            .await;
                        self.seat.is_idle_since(Instant::now());
                        self.flow = upload.flow();
                        continue;
                    }
                    #[cfg(feature = "websocket")]
                    Some(Detour::WebSocket { source, key }) => {
                        let seat = &self.seat;
                        seat.is_browser_since(Instant::now());
                        let came = self.session.take_rest();
                        let tracker = &self.http.tracker;
                        let talk = crate::server::signal::serve(
                            &mut self.stream,
                            came,
                            source,
                            key,
                            tracker,
                            || seat.is_browser_since(Instant::now()),
                        );
                        tokio::select! {
                            () = talk => {}
                            () = &mut self.stop => {
                                if seat.is_evicted() {
                                    tracker.stats.connections_evicted.add(1);
                                }
                            }
                        }
                        return Ok(());
                    }
                },
                Flow::Read => {
                    if !self.read().await? {
                        return Ok(());
                    }
                }
            }
            let now = Instant::now();
            self.flow = self.session.advance(now, &self.http);
            self.follow_upload(now);
            if self.upload.is_some() {
                self.seat.is_busy();
                continue;
            }
            if self.session.has_replies() {
                self.seat.is_idle_since(now);
            }
            if !self.session.is_within_request() {
                self.deadline = now + IDLE_TIMEOUT;
                if was_within {
                    self.seat.asks_nothing();
                }
            } else if !was_within || self.session.has_replies() {
                self.set_deadline(now + REQUEST_TIMEOUT);
                self.seat.asks_since(now);
            }
        }
    }

    /// Counts what the connection holds, and refuses what it asks when all together hold too much.
    fn weigh(&mut self) {
        self.held.set(self.session.held());
        if !self.held.is_nothing() && self.held.is_too_much() {
            self.session.refuse(Status::Overloaded);
            self.held.set(0);
            self.flow = Flow::Close;
            self.http.tracker.stats.overloaded.add(1);
        }
    }

    /// Gives an upload its own time.
    fn follow_upload(&mut self, now: Instant) {
        if !self.session.awaits_upload {
            self.upload = None;
            return;
        }
        let come = self.session.come();
        let upload = self.upload.get_or_insert(Upload {
            until: now + UPLOAD_TIMEOUT,
            marked: 0,
        });
        if upload.marked == 0 || come >= upload.marked + UPLOAD_STEP {
            upload.marked = come;
            let deadline = (now + REQUEST_TIMEOUT).min(upload.until);
            self.set_deadline(deadline);
        }
    }

    /// Returns false when the client has closed its side, or when the server stops and no request
    /// has begun to come.
    async fn read(&mut self) -> io::Result<bool> {
        if self.drained.is_some() && !self.session.is_within_request() {
            return Ok(false);
        }
        loop {
            tokio::select! {
                biased;
                count = self.stream.read(self.session.space()) => {
                    let count = count?;
                    self.session.received(count);
                    return Ok(count > 0);
                }
                () = &mut self.stop, if self.drained.is_none() => {
                    if self.seat.is_evicted() {
                        self.http.tracker.stats.connections_evicted.add(1);
                        return Ok(false);
                    }
                    if !self.session.is_within_request() {
                        return Ok(false);
                    }
                    self.drained = Some(Instant::now() + DRAIN);
                    self.set_deadline(self.deadline);
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
        // Nearly always all of it fits into the kernel's buffer, and no timer is needed.
        let (stream, out) = (&mut self.stream, &self.session.out);
        let sent = poll_fn(|context| {
            let count = match Pin::new(&mut *stream).poll_write(context, out) {
                Poll::Ready(count) => count?,
                Poll::Pending => 0,
            };
            let flushed = Pin::new(&mut *stream).poll_flush(context)?.is_ready();
            Poll::Ready(Ok::<_, io::Error>((count, flushed)))
        });
        let (count, flushed) = sent.await?;
        if count < self.session.out.len() || !flushed || !self.session.tail.is_empty() {
            self.write_rest(count).await?;
        }
        self.session.sent();
        Ok(())
    }

    async fn write_rest(&mut self, from: usize) -> io::Result<()> {
        let rest = self.session.out.get(from..).unwrap_or_default();
        let steps = rest.chunks(WRITE_STEP);
        let (stream, tail) = (&mut self.stream, &self.session.tail);
        let send = async {
            for step in steps.chain(tail.chunks(WRITE_STEP)) {
                timeout(WRITE_TIMEOUT, stream.write_all(step)).await??;
            }
            timeout(WRITE_TIMEOUT, stream.flush()).await?
        };
        let mut send = std::pin::pin!(send);
        tokio::select! {
            biased;
            sent = send.as_mut() => sent,
            () = &mut self.stop => timeout(DRAIN, send).await?,
        }
    }

    fn set_deadline(&mut self, deadline: Instant) {
        let deadline = self.drained.map_or(deadline, |end| end.min(deadline));
        self.deadline = deadline;
        if self.alarm.deadline().into_std() > deadline {
            self.alarm.as_mut().reset(deadline.into());
        }
    }
}

impl<S> Drop for Connection<S> {
    fn drop(&mut self) {
        self.http.tracker.stats.connections.sub(1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio_util::sync::CancellationToken;

    use super::super::fuzz::open_server;
    use super::*;
    use crate::limits::FILE_EVICTION_PAUSE;

    #[tokio::test]
    async fn a_request_that_is_coming_is_not_cut_off_when_the_system_has_no_files_left() {
        const FIRST: &[u8] = b"GET /nowhere HTTP/1.1\r\n\r\n";
        let (http, stop) = (Arc::new(open_server()), CancellationToken::new());
        let (source, start) = (IpAddr::from([192, 0, 2, 1]), Instant::now());
        let mut session = Session::new(source);
        session.space()[..10].copy_from_slice(&FIRST[..10]);
        session.received(10);
        let seat = http.crowd.enter(Some(source), start, &stop).unwrap();
        let (mut client, server) = tokio::io::duplex(4096);
        let connection = Connection::new(server, session, Flow::Read, &http, seat);
        let served = tokio::spawn(connection.run());
        assert!(!http.crowd.spare_files(start), "half a request has come");

        let mut reply = [0; 1024];
        let (rest, half) = (&FIRST[10..], &FIRST[..10]);
        client.write_all(&[rest, half].concat()).await.unwrap();
        assert!(client.read(&mut reply).await.unwrap() > 0);
        let turn = |turn| start + FILE_EVICTION_PAUSE * turn;
        assert!(!http.crowd.spare_files(turn(1)), "so it has of another");

        client.write_all(rest).await.unwrap();
        assert!(client.read(&mut reply).await.unwrap() > 0);
        assert!(http.crowd.spare_files(turn(2)), "nothing is on its way");
        assert_eq!(client.read(&mut reply).await.unwrap(), 0);
        served.await.unwrap();
    }
}
