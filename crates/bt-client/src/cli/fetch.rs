//! Gets a .torrent from a web server, over the same addresses and families as everything else. It
//! must not know what it is wanted for.

use std::sync::Arc;
use std::time::Duration;

use bt_tracker::client::{Client, Config, Error};
use bt_tracker::http::redacted;

use super::Context;
use super::exit::Exit;
use super::report::Failure;
use crate::SessionConfig;
use crate::net::Dialer;

/// The body at `url`, of at most `limit` bytes; `None` when asked to stop meanwhile. It may take as long as `patience`
/// says, but no longer than any request does.
pub(crate) async fn url(
    url: &str,
    limit: usize,
    patience: Option<Duration>,
    config: &SessionConfig,
    context: &Context,
) -> Result<Option<Vec<u8>>, Failure> {
    let mut settings = Config::default();
    settings.user_agent.clone_from(&config.user_agent);
    if let Some(patience) = patience {
        settings.fetch_timeout = settings.fetch_timeout.min(patience);
    }
    // The dialer of sessions, so that `--bind` holds here too.
    let dialer = Dialer::new(config.bind, config.ipv4, config.ipv6);
    let client = Client::with_config(Arc::new(dialer), settings);
    tokio::select! {
        _ = context.stop.requested() => Ok(None),
        body = client.fetch(url, limit) => body.map(Some).map_err(|error| failure(url, &error)),
    }
}

fn failure(url: &str, error: &Error) -> Failure {
    let exit = match error {
        Error::Url { .. } | Error::Scheme { .. } => Exit::Usage,
        Error::TooLarge { .. } => Exit::BadInput,
        _ => Exit::Network,
    };
    Failure::new(exit, format!("cannot get {}", redacted(url))).cause(error)
}
