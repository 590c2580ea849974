//! Requests that cannot be answered in passing: uploads, which wait for a disk, and upgrades to
//! WebSocket, after which the connection speaks something else.
//!
//! Decides that there is one; the owner of the socket carries it out.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use super::super::contain;
use super::super::logins::Verdict;
#[cfg(feature = "websocket")]
use super::super::paths::Place;
use super::super::publisher::{Refused, Uploaded};
use super::super::tracker::Tracker;
use super::head::{Head, Method};
use super::route::{self, Reply};
use super::session::Flow;
use super::{Http, Status};

/// What a request needs besides an answer.
#[derive(Debug)]
pub(super) enum Detour {
    Upload(Upload),
    /// The upgrade has been answered already.
    #[cfg(feature = "websocket")]
    WebSocket {
        source: IpAddr,
        /// The passkey of the URL.
        key: Option<Box<[u8]>>,
    },
}

/// A torrent that somebody with the token wants published.
#[derive(Debug)]
pub(super) struct Upload {
    /// As in the URL; `None` when the torrent shall name the file.
    file: Option<String>,
    bytes: Vec<u8>,
    keep_alive: bool,
}

/// Refuses uploads of those that do not have the token. Other requests are not looked at, nor is it
/// asked who their `source` is.
pub(super) fn may_upload(
    head: &Head<'_>,
    source: impl FnOnce() -> IpAddr,
    now: Instant,
    tracker: &Tracker,
) -> Result<(), Status> {
    if !is_upload(head) {
        return Ok(());
    }
    let Some(token) = &tracker.upload_token else {
        return Err(Status::MethodNotAllowed);
    };
    let given = head.authorization.and_then(|value| {
        let (scheme, given) = value.split_at_checked(7)?;
        scheme
            .eq_ignore_ascii_case(b"bearer ")
            .then_some(given.trim_ascii())
    });
    let Some(given) = given else {
        return Err(Status::Unauthorized);
    };
    let refused = match token.judge(given, source(), now) {
        Verdict::Welcome => return Ok(()),
        Verdict::Wrong => Status::Forbidden,
        Verdict::Wait(_) => Status::TooManyRequests,
    };
    tracker.stats.wrong_tokens.add(1);
    Err(refused)
}

/// The detour that a request takes, if it takes one. Uploads have gone through [`may_upload`].
pub(super) fn needed(
    head: &Head<'_>,
    body: &[u8],
    source: IpAddr,
    http: &Http,
    reply: &mut Reply<'_>,
) -> Option<Detour> {
    #[cfg(feature = "websocket")]
    if let Some(key) = head.websocket_key
        && let Some(passkey) = signals_at(head, &http.tracker)
    {
        route::upgrade(&super::super::signal::accept_key(key), reply);
        let key = passkey.map(Into::into);
        return Some(Detour::WebSocket { source, key });
    }
    let _ = (source, http, &reply);
    if !is_upload(head) {
        return None;
    }
    let file = head.path.strip_prefix("/torrents/").unwrap_or_default();
    Some(Detour::Upload(Upload {
        file: (!file.is_empty()).then(|| file.to_owned()),
        bytes: body.to_vec(),
        keep_alive: head.keep_alive,
    }))
}

/// Whether browsers find each other at this path; with the passkey in it.
#[cfg(feature = "websocket")]
fn signals_at<'a>(head: &Head<'a>, tracker: &Tracker) -> Option<Option<&'a [u8]>> {
    if head.method != Method::Get {
        return None;
    }
    match tracker.paths.find(head.path) {
        Some(Place::Announce(key)) => Some(key),
        _ => (head.path == "/").then_some(None),
    }
}

pub(super) fn is_upload(head: &Head<'_>) -> bool {
    match head.method {
        Method::Put => head.path.starts_with("/torrents/"),
        Method::Post => head.path == "/torrents/",
        Method::Get | Method::Head => false,
    }
}

impl Upload {
    /// Publishes the torrent and appends the reply.
    pub(super) async fn carry_out(&mut self, tracker: &Arc<Tracker>, out: &mut Vec<u8>) {
        let (file, bytes) = (self.file.take(), std::mem::take(&mut self.bytes));
        let (tracker, own) = (Arc::clone(tracker), Arc::clone(tracker));
        let upload = move || publish(file.as_deref(), &bytes, &tracker);
        let upload = move || contain::catch(&own.stats, upload);
        let done = tokio::task::spawn_blocking(upload).await;
        self.reply(done.ok().and_then(Result::ok), out);
    }

    /// The same on this thread.
    #[cfg(any(test, feature = "fuzz"))]
    pub(super) fn carry_out_here(&mut self, tracker: &Tracker, out: &mut Vec<u8>) {
        let done = publish(self.file.as_deref(), &self.bytes, tracker);
        self.reply(Some(done), out);
    }

    fn reply(&self, done: Option<Result<Uploaded, Refused>>, out: &mut Vec<u8>) {
        let (status, text) = match done {
            Some(Ok(uploaded)) => done_with(&uploaded),
            Some(Err(refused)) => (status_of(&refused), object("error", &refused.to_string())),
            None => (
                Status::ServerError,
                object("error", "a bug of this program"),
            ),
        };
        if status == Status::ServerError {
            tracing::error!(reply = %text, "a torrent was not published");
        }
        route::json_reply(status, text.as_bytes(), self.keep_alive, out);
    }

    /// What to do when it is done.
    pub(super) fn flow(&self) -> Flow {
        if self.keep_alive {
            Flow::Again
        } else {
            Flow::Close
        }
    }
}

/// Puts the torrent into the directory, under the name in the URL if there is one. Waits for the disk.
fn publish(file: Option<&str>, bytes: &[u8], tracker: &Tracker) -> Result<Uploaded, Refused> {
    let file = match file {
        None => None,
        Some(file) => Some(route::decoded(file).ok_or(Refused::Name)?),
    };
    tracker
        .publisher
        .upload(file.as_deref(), bytes, &tracker.swarms)
}

fn done_with(uploaded: &Uploaded) -> (Status, String) {
    let status = if uploaded.is_new {
        Status::Created
    } else {
        Status::Ok
    };
    let text = serde_json::json!({
        "file": uploaded.file,
        "url": format!("/torrents/{}", super::super::publisher::escaped(&uploaded.file)),
        "info_hash": uploaded.info_hash.to_string(),
    });
    (status, text.to_string())
}

fn status_of(refused: &Refused) -> Status {
    match refused {
        Refused::NotATorrent(_) | Refused::Name => Status::BadRequest,
        Refused::Taken => Status::Conflict,
        Refused::NoDirectory => Status::MethodNotAllowed,
        Refused::Disk(_) => Status::ServerError,
    }
}

fn object(key: &str, value: &str) -> String {
    serde_json::json!({ key: value }).to_string()
}
