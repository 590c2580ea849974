//! Gets a .torrent from a web server. It must not know what it is wanted for.

use std::sync::Arc;

use bt_tracker::client::{Client, Direct, Error};

use super::Context;
use super::exit::Exit;
use super::report::Failure;

/// The body at `url`, of at most `limit` bytes; `None` when asked to stop meanwhile.
pub(crate) async fn url(url: &str, limit: usize, context: &Context) -> Result<Option<Vec<u8>>, Failure> {
    let client = Client::new(Arc::new(Direct));
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
    Failure::new(exit, format!("cannot get {url}")).cause(error)
}
