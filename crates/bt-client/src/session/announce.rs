//! Announces: a short task each, over the session's own dialer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bt_tracker::client::{self, BoxFuture, Client, Net};
use bt_tracker::schedule::Announce;
use bt_tracker::{AnnounceRequest, Event};
use tokio::net::{TcpStream, UdpSocket};

use super::config::SessionConfig;
use super::member::Member;
use super::session::Inner;
use crate::engine::Input;
use crate::limits::CONNECT_TIMEOUT;
use crate::net::Dialer;

/// The session's tracker client.
#[derive(Debug)]
pub(super) struct Trackers {
    client: Client,
}

impl Trackers {
    pub(super) fn new(dialer: Arc<Dialer>, config: &SessionConfig) -> Self {
        let mut settings = client::Config::default();
        settings.user_agent.clone_from(&config.user_agent);
        settings.both_families = config.ipv4 && config.ipv6 && config.bind.is_none();
        Self {
            client: Client::with_config(Arc::new(Sockets(dialer)), settings),
        }
    }
}

/// Lends our one dialer to the tracker client.
#[derive(Debug)]
struct Sockets(Arc<Dialer>);

impl Net for Sockets {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(self.0.resolve(host, port))
    }

    fn connect(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<TcpStream>> {
        Box::pin(self.0.tcp(addr, CONNECT_TIMEOUT))
    }

    fn udp(&self, remote: SocketAddr) -> BoxFuture<'_, io::Result<UdpSocket>> {
        Box::pin(self.0.udp(remote))
    }
}

/// Performs an announce and hands the answer in.
pub(super) fn spawn(session: &Arc<Inner>, member: &Arc<Member>, announce: Announce, numwant: u32) {
    let client = session.trackers.client.clone();
    let mut request = AnnounceRequest::new(member.info_hash, session.peer_id, session.port);
    {
        let engine = member.engine();
        (request.uploaded, request.downloaded) = engine.totals();
        request.left = engine.left();
    }
    request.numwant = Some(numwant);
    announce.apply(&mut request);
    let member = Arc::clone(member);
    session.spawn(async move {
        let answer = client
            .announce(&announce.url, &request, announce.timeout)
            .await;
        if let Err(error) = &answer {
            let url = bt_tracker::http::redacted(&announce.url);
            tracing::info!(url, %error, "announce failed");
        }
        let goodbye = announce.event == Event::Stopped;
        let answer = answer.map_err(|error| (&error).into());
        member.handle(Input::Announced(announce.url, answer));
        if goodbye {
            // Whoever stops the torrent waits for this.
            member.changed.notify_waiters();
        }
    });
}
