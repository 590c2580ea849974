//! Taking connections, and answering at once those whose request is already there.
//!
//! Most clients send one announce and close. Such a connection costs an accept, a read, a write
//! and a close: it never becomes a task and is never watched for events.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use tokio::io::unix::AsyncFd;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::contain;
use super::Http;
use super::connection::Connection;
use super::session::{Flow, Session};
use crate::limits::FILE_EVICTION_PAUSE;

/// Connections taken before other tasks get their turn.
const TURN: usize = 64;

pub(super) struct Acceptor {
    listener: AsyncFd<TcpListener>,
    http: Arc<Http>,
    tasks: TaskTracker,
    stop: CancellationToken,
    session: Session,
}

impl Acceptor {
    pub(super) fn new(
        listener: TcpListener,
        http: &Arc<Http>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types that change their \
            descriptor, which a listener does not"
        )]
        let listener = AsyncFd::new(listener)?;
        Ok(Self {
            listener,
            http: Arc::clone(http),
            tasks: tasks.clone(),
            stop: stop.clone(),
            session: Session::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        })
    }

    pub(super) async fn run(mut self) {
        let tracker = Arc::clone(&self.http.tracker);
        loop {
            match contain::catch_in(Arc::clone(&tracker), Box::pin(self.turn())).await {
                Ok(Ok(())) => tokio::task::yield_now().await,
                Ok(Err(error)) => {
                    self.http.cannot_accept(&error);
                    tokio::time::sleep(FILE_EVICTION_PAUSE).await;
                }
                Err(contain::Bug) => contain::pause().await,
            }
        }
    }

    async fn turn(&mut self) -> io::Result<()> {
        let mut ready = self.listener.readable().await?;
        for _ in 0..TURN {
            let accepted = rustix::net::acceptfrom_with(
                self.listener.get_ref(),
                SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            );
            match accepted {
                Ok((fd, address)) => {
                    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                    if let Some(address) = address {
                        let (http, tasks, stop) = (&self.http, &self.tasks, &self.stop);
                        let (stream, source) = (TcpStream::from(fd), address.ip());
                        let session = &mut self.session;
                        let work = || greet(stream, source, http, tasks, stop, session);
                        // A bug of ours ends that connection, and its buffers may be half filled.
                        if contain::catch(&http.tracker.stats, work).is_err() {
                            self.session = Session::new(source);
                        }
                    }
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    ready.clear_ready();
                    break;
                }
                // The client has gone already, or a signal came.
                Err(rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// Has the runtime watch a connection.
fn watched(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Answers what has come on a new connection, and makes a task of it if it lives on.
fn greet(
    stream: TcpStream,
    source: IpAddr,
    http: &Arc<Http>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    session: &mut Session,
) {
    session.renew(source);
    let mut flow = Flow::Read;
    let room = session.space().len();
    match rustix::net::recv(&stream, session.space(), RecvFlags::DONTWAIT) {
        Ok((_, 0)) => return,
        Ok((_, count)) => {
            session.received(count);
            flow = session.advance(Instant::now(), http);
            let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            let has_come_whole = !session.is_within_request() && count < room;
            if flow == Flow::Close && session.tail.is_empty() && has_come_whole {
                // The reply and the end of the connection travel in one segment, and the client is
                // woken up once: closing sends what is held back. With something unread it would
                // throw that away instead.
                flags |= SendFlags::MORE;
            }
            match rustix::net::send(&stream, &session.out, flags) {
                Ok(sent) => drop(session.out.drain(..sent)),
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(_) => return,
            }
            if flow == Flow::Close && !session.has_replies() {
                return;
            }
        }
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        Err(_) => return,
    }
    // Only those that are kept need a place: a full house still answers whoever asks at once.
    let Some(seat) = http.seat(source, stop) else {
        return;
    };
    match watched(stream) {
        Ok(stream) => {
            let connection = Connection::new(stream, session.split(), flow, http, seat);
            let tracker = Arc::clone(&http.tracker);
            tasks.spawn(contain::catch_in(tracker, Box::pin(connection.run())));
        }
        Err(error) => tracing::debug!(%error, "a connection was lost"),
    }
}
