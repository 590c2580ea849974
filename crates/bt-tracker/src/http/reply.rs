//! Replies as a client reads them. Trackers in the field are careless, so keys may be unsorted,
//! bytes may follow, and single bad peer records are skipped and counted; but a value that we need
//! and cannot understand is an error that names its key.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bt_bencode::{Dict, Kind, Limits, Options, Value};
use bt_metainfo::InfoHash;
use bt_wire::{PeerId, compact};

use crate::announce::words;
use crate::limits::{DEFAULT_INTERVAL, MAX_PEERS, MAX_REPLY_BODY, MAX_REPLY_DEPTH, MAX_TRACKER_ID};
use crate::{AnnounceResponse, Failure, Peer, ReplyError, RetryIn, ScrapeResponse, ScrapeStats};

/// Reads the body of the answer to an announce.
///
/// An absent `interval` is [`DEFAULT_INTERVAL`]; at most [`MAX_PEERS`] peers are kept.
///
/// # Errors
///
/// [`ReplyError::Refused`] for a `failure reason`; the other variants when the body is not a
/// tracker's.
pub fn decode_announce_reply(body: &[u8]) -> Result<AnnounceResponse, ReplyError> {
    let reply = root(body)?;
    let interval = seconds(&reply, "interval")?;
    if interval.is_none() && reply.get("peers").is_none() && reply.get("peers6").is_none() {
        return Err(ReplyError::malformed(
            "neither \"interval\" nor \"peers\" nor \"failure reason\" is there",
        ));
    }
    let mut response = AnnounceResponse::new(interval.unwrap_or(DEFAULT_INTERVAL));
    response.min_interval = seconds(&reply, "min interval")?;
    response.complete = count(&reply, "complete");
    response.incomplete = count(&reply, "incomplete");
    response.downloaded = count(&reply, "downloaded");
    response.downloaders = count(&reply, "downloaders");
    response.tracker_id = tracker_id(&reply)?;
    response.warning = text(&reply, "warning message");
    response.external_ip = external_ip(&reply)?;
    if let Some(peers) = reply.get("peers") {
        match peers.kind() {
            Kind::Bytes => {
                let records = compact::decode_v4(peers.as_bytes().unwrap_or_default());
                take_compact(&mut response, records);
            }
            Kind::List => take_full(&mut response, peers),
            Kind::Int | Kind::Dict => {
                return Err(wrong(peers, "peers", "a string or a list"));
            }
        }
    }
    if let Some(peers) = reply.get("peers6") {
        match peers.kind() {
            Kind::Bytes => {
                let records = compact::decode_v6(peers.as_bytes().unwrap_or_default());
                take_compact(&mut response, records);
            }
            Kind::List => take_full(&mut response, peers),
            Kind::Int | Kind::Dict => {
                return Err(wrong(peers, "peers6", "a string or a list"));
            }
        }
    }
    Ok(response)
}

/// What a tracker answers to one of many announces that were sent in one request.
#[derive(Debug)]
pub struct OneOfMany {
    /// Which torrent it is about, if the tracker says so.
    pub info_hash: Option<InfoHash>,
    /// The answer to its announce.
    pub reply: Result<AnnounceResponse, ReplyError>,
}

/// Reads the body of the answer to many announces at once, as trackers of ttorrent 2.0 give it: a
/// list of replies that each name their torrent in `torrentIdentifier`. No BEP describes it.
///
/// # Errors
///
/// [`ReplyError::Refused`] when all of them are refused at once; the other variants when the body
/// is no list, as it is from a tracker that does not know such requests.
pub fn decode_many_announce_replies(body: &[u8]) -> Result<Vec<OneOfMany>, ReplyError> {
    let parsed = options().parse_prefix(body)?;
    let Some(list) = parsed.value.as_list() else {
        root(body)?;
        return Err(ReplyError::malformed("it is one reply, not a list"));
    };
    let one = |value: Value<'_>| {
        let name = value.as_dict().and_then(|dict| {
            let name = dict.get("torrentIdentifier")?.as_bytes()?;
            std::str::from_utf8(name).ok()?.parse().ok()
        });
        OneOfMany {
            info_hash: name,
            reply: decode_announce_reply(value.raw()),
        }
    };
    Ok(list.iter().map(one).collect())
}

/// Reads the body of the answer to a scrape (BEP 48). Entries whose key is no info-hash are
/// skipped.
///
/// # Errors
///
/// [`ReplyError::Refused`] for a `failure reason`; the other variants when the body is not a
/// tracker's.
pub fn decode_scrape_reply(body: &[u8]) -> Result<ScrapeResponse, ReplyError> {
    let reply = root(body)?;
    let Some(files) = reply.get("files") else {
        return Err(ReplyError::malformed(
            "neither \"files\" nor \"failure reason\" is there",
        ));
    };
    let Some(files) = files.as_dict() else {
        return Err(wrong(files, "files", "a dictionary"));
    };
    let mut response = ScrapeResponse::default();
    for (key, value) in files.iter() {
        let (Some(info_hash), Some(stats)) = (hash_key(key), value.as_dict()) else {
            continue;
        };
        response.files.push((
            info_hash,
            ScrapeStats {
                complete: count(&stats, "complete").unwrap_or(0),
                downloaded: count(&stats, "downloaded").unwrap_or(0),
                incomplete: count(&stats, "incomplete").unwrap_or(0),
                downloaders: count(&stats, "downloaders"),
            },
        ));
    }
    response.min_request_interval = reply
        .get("flags")
        .and_then(|flags| flags.as_dict())
        .and_then(|flags| count(&flags, "min_request_interval"));
    Ok(response)
}

/// An info-hash as a key. The server of bittorrent-tracker 11 writes each byte as a character of
/// UTF-8, which makes up to 40 bytes of the 20.
fn hash_key(key: &[u8]) -> Option<InfoHash> {
    if let Ok(info_hash) = InfoHash::try_from(key) {
        return Some(info_hash);
    }
    let mut hash = [0; 20];
    let mut characters = std::str::from_utf8(key).ok()?.chars();
    for byte in &mut hash {
        *byte = u8::try_from(characters.next()?).ok()?;
    }
    characters.next().is_none().then(|| InfoHash::from(hash))
}

/// Parses the outer dictionary and turns a refusal into an error.
fn root(body: &[u8]) -> Result<Dict<'_>, ReplyError> {
    // Scripts like to print a line break after the dictionary: what follows is not looked at.
    let parsed = options().parse_prefix(body)?;
    let Some(reply) = parsed.value.as_dict() else {
        return Err(ReplyError::malformed(format!(
            "it is {}, not a dictionary",
            kind_name(parsed.value.kind())
        )));
    };
    if let Some(reason) = reply.get("failure reason") {
        let retry_in = reply.get("retry in").and_then(retry_in);
        let reason = Failure::in_words(reason.as_bytes().unwrap_or_default());
        return Err(ReplyError::Refused(Failure { retry_in, ..reason }));
    }
    Ok(reply)
}

fn options() -> Options {
    let limits = Limits {
        max_depth: MAX_REPLY_DEPTH,
        max_bytes: MAX_REPLY_BODY,
        ..Limits::default()
    };
    Options::lenient().limits(limits)
}

/// BEP 31 shows the number as a string; we accept both forms. Zero and nonsense say nothing.
fn retry_in(value: Value<'_>) -> Option<RetryIn> {
    let minutes = match (value.as_int(), value.as_bytes()) {
        (Some(minutes), _) => minutes,
        (None, Some(b"never")) => return Some(RetryIn::Never),
        (None, Some(bytes)) => std::str::from_utf8(bytes).ok()?.trim().parse().ok()?,
        (None, None) => return None,
    };
    (minutes > 0).then(|| RetryIn::Minutes(u32::try_from(minutes).unwrap_or(u32::MAX)))
}

/// A time in seconds. Negative ones are 0: the schedule has a floor of its own.
fn seconds(reply: &Dict<'_>, key: &'static str) -> Result<Option<Duration>, ReplyError> {
    let Some(value) = reply.get(key) else {
        return Ok(None);
    };
    let Some(seconds) = value.as_int() else {
        return Err(wrong(value, key, "an integer"));
    };
    let seconds = u32::try_from(seconds.max(0)).unwrap_or(u32::MAX);
    Ok(Some(Duration::from_secs(u64::from(seconds))))
}

/// A number for people to see. Nonsense is as good as nothing: it must not cost us the peers.
fn count(reply: &Dict<'_>, key: &str) -> Option<u32> {
    let number = reply.get(key)?.as_int()?;
    (number >= 0).then(|| u32::try_from(number).unwrap_or(u32::MAX))
}

fn text(reply: &Dict<'_>, key: &str) -> Option<String> {
    let bytes = reply.get(key)?.as_bytes()?;
    (!bytes.is_empty()).then(|| words(bytes))
}

fn tracker_id(reply: &Dict<'_>) -> Result<Option<Vec<u8>>, ReplyError> {
    let Some(value) = reply.get("tracker id") else {
        return Ok(None);
    };
    let Some(bytes) = value.as_bytes() else {
        return Err(wrong(value, "tracker id", "a string"));
    };
    if bytes.len() > MAX_TRACKER_ID {
        return Err(ReplyError::malformed(format!(
            "\"tracker id\" has {} bytes, more than {MAX_TRACKER_ID}",
            bytes.len()
        )));
    }
    Ok(Some(bytes.to_vec()))
}

/// 4 or 16 bytes (BEP 24).
fn external_ip(reply: &Dict<'_>) -> Result<Option<IpAddr>, ReplyError> {
    let Some(bytes) = reply.get("external ip").and_then(|value| value.as_bytes()) else {
        return Ok(None);
    };
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Ok(Some(IpAddr::V4(Ipv4Addr::from(octets))));
    }
    if let Ok(octets) = <[u8; 16]>::try_from(bytes) {
        return Ok(Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()));
    }
    Err(ReplyError::malformed(format!(
        "\"external ip\" has {} bytes, it must have 4 or 16",
        bytes.len()
    )))
}

fn take_compact(response: &mut AnnounceResponse, records: compact::Records<'_>) {
    if records.remainder() != 0 {
        response.skipped = response.skipped.saturating_add(1);
    }
    for addr in records {
        // An IPv4 peer written as IPv6 is an IPv4 peer, as in the full form.
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        take_peer(response, Some(Peer { addr, id: None }));
    }
}

fn take_full(response: &mut AnnounceResponse, peers: Value<'_>) {
    for value in peers.as_list().iter().flat_map(|list| list.iter()) {
        take_peer(response, full_peer(value));
    }
}

/// One dictionary of the long form. Host names are not resolved: that would let a tracker make us
/// ask any name server about any name.
fn full_peer(value: Value<'_>) -> Option<Peer> {
    let peer = value.as_dict()?;
    let ip = std::str::from_utf8(peer.get("ip")?.as_bytes()?).ok()?;
    let ip: IpAddr = ip.parse().ok()?;
    let port = u16::try_from(peer.get("port")?.as_int()?).ok()?;
    let id = peer
        .get("peer id")
        .and_then(|id| id.as_bytes())
        .and_then(|bytes| <[u8; 20]>::try_from(bytes).ok());
    Some(Peer {
        addr: SocketAddr::new(ip.to_canonical(), port),
        id: id.map(PeerId::from),
    })
}

fn take_peer(response: &mut AnnounceResponse, peer: Option<Peer>) {
    match peer {
        Some(peer) if response.peers.len() < MAX_PEERS && peer.can_exist() => {
            response.peers.push(peer);
        }
        _ => response.skipped = response.skipped.saturating_add(1),
    }
}

fn wrong(value: Value<'_>, key: &'static str, expected: &'static str) -> ReplyError {
    ReplyError::malformed(Cow::Owned(format!(
        "\"{key}\" is {}, it must be {expected}",
        kind_name(value.kind())
    )))
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Int => "an integer",
        Kind::Bytes => "a string",
        Kind::List => "a list",
        Kind::Dict => "a dictionary",
    }
}
