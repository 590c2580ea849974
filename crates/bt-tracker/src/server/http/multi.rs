//! Many announces in one request, as clients of ttorrent 2.0 send them: a POST to the announce
//! URL with one announce URL a line, answered by a list of replies that each name their torrent
//! in `torrentIdentifier`. No BEP describes it.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Instant;

use super::super::tracker::{Tracker, Transport};
use super::route::{self, Reply};
use crate::http::{PeerForm, decode_announce_query, encode_announce_reply, encode_failure};
use crate::limits::{MAX_ANNOUNCES_IN_REQUEST, MAX_PEERS_IN_REPLY};
use crate::{AnnounceRequest, Failure};

pub(super) fn announce(
    body: &[u8],
    source: IpAddr,
    key: Option<&[u8]>,
    now: Instant,
    tracker: &Tracker,
    reply: &mut Reply<'_>,
) {
    let lines = body.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.filter(|line| !line.is_empty());
    if lines.clone().count() > MAX_ANNOUNCES_IN_REQUEST {
        tracker.stats.http.malformed.add(1);
        let reason = format!("more than {MAX_ANNOUNCES_IN_REQUEST} announces in one request");
        return route::fail(reply, &Failure::new(reason));
    }
    reply.body.clear();
    reply.body.push(b'l');
    for line in lines {
        let query = line
            .iter()
            .position(|&byte| byte == b'?')
            .and_then(|at| line.get(at + 1..));
        let mut request = match decode_announce_query(query.unwrap_or_default()) {
            Ok(request) => request,
            Err(error) => {
                tracker.stats.http.malformed.add(1);
                encode_failure(&Failure::new(error.to_string()), reply.body);
                continue;
            }
        };
        if reply.body.len() >= MAX_PEERS_IN_REPLY {
            request.numwant = Some(0);
        }
        let result = tracker.announce(now, &request, source, key, Transport::Http, reply.scratch);
        match result {
            Ok(()) => {
                let response = &reply.scratch.response;
                encode_announce_reply(response, PeerForm::Compact, reply.body);
            }
            Err(failure) => {
                tracker.stats.http.failures.add(1);
                // `retry in` would come before the identifier, which is all the same to clients.
                encode_failure(&Failure::new(failure.reason), reply.body);
            }
        }
        identify(&request, reply.body);
    }
    reply.body.push(b'e');
    route::send_text(reply);
}

/// Adds the torrent to the dictionary that has just been written. No key of it sorts after
/// `torrentIdentifier`.
fn identify(request: &AnnounceRequest, body: &mut Vec<u8>) {
    body.pop();
    write!(body, "17:torrentIdentifier40:{}e", request.info_hash)
        .expect("writing to a Vec cannot fail");
}
