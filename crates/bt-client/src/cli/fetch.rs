//! Gets a .torrent from a web server, over the same addresses and families as everything else. It
//! must not know what it is wanted for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bt_tracker::client::{BoxFuture, Client, Config, Error, Net};
use tokio::net::{TcpStream, UdpSocket};

use super::Context;
use super::exit::Exit;
use super::report::Failure;
use crate::SessionConfig;
use crate::limits::CONNECT_TIMEOUT;
use crate::net::Dialer;

/// The body at `url`, of at most `limit` bytes; `None` when asked to stop meanwhile.
pub(crate) async fn url(
    url: &str,
    limit: usize,
    config: &SessionConfig,
    context: &Context,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut settings = Config::default();
    settings.user_agent.clone_from(&config.user_agent);
    let sockets = Sockets(Dialer::new(config.bind, config.ipv4, config.ipv6));
    let client = Client::with_config(Arc::new(sockets), settings);
    tokio::select! {
        _ = context.stop.requested() => Ok(None),
        body = client.fetch(url, limit) => body.map(Some).map_err(|error| failure(url, &error)),
    }
}

/// Lends the dialer of sessions to the web client, so that `--bind` holds here too.
#[derive(Debug)]
struct Sockets(Dialer);

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

fn failure(url: &str, error: &Error) -> Failure {
    let exit = match error {
        Error::Url { .. } | Error::Scheme { .. } => Exit::Usage,
        Error::TooLarge { .. } => Exit::BadInput,
        _ => Exit::Network,
    };
    Failure::new(exit, format!("cannot get {url}")).cause(error)
}
