//! Requests: query string ↔ [`AnnounceRequest`] and [`ScrapeRequest`].
//!
//! Decoding is on the server's hot path: it walks the bytes once and uses no heap for a request
//! without `trackerid`.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use bt_metainfo::InfoHash;
use bt_wire::PeerId;

use super::percent;
use crate::limits::{MAX_ADDRESS_TEXT, MAX_QUERY, MAX_SCRAPE, MAX_TRACKER_ID};
use crate::{AnnounceRequest, Event, RequestError, ScrapeRequest};

/// The largest number that trackers with signed integers can read. Values from here on mean that
/// the peer does not know.
const UNKNOWN_LEFT: u64 = i64::MAX.unsigned_abs();

/// Appends the announce as a query, without a leading `?` or `&`.
///
/// Numbers are cut at 2⁶³ − 1, which signed trackers can read; an unknown `left` is sent as that.
pub fn encode_announce_query(request: &AnnounceRequest, out: &mut String) {
    out.push_str("info_hash=");
    percent::encode(request.info_hash.as_bytes(), out);
    out.push_str("&peer_id=");
    percent::encode(request.peer_id.as_bytes(), out);
    put_number(out, "port", u64::from(request.port));
    put_number(out, "uploaded", request.uploaded.min(UNKNOWN_LEFT));
    put_number(out, "downloaded", request.downloaded.min(UNKNOWN_LEFT));
    put_number(out, "left", request.left.min(UNKNOWN_LEFT));
    if request.key != 0 {
        write!(out, "&key={:08X}", request.key).expect("writing to a String cannot fail");
    }
    put_number(out, "compact", u64::from(request.compact));
    put_number(out, "no_peer_id", u64::from(request.no_peer_id));
    if let Some(numwant) = request.numwant {
        put_number(out, "numwant", u64::from(numwant));
    }
    if let Some(event) = request.event.name() {
        out.push_str("&event=");
        out.push_str(event);
    }
    if let Some(tracker_id) = &request.tracker_id {
        out.push_str("&trackerid=");
        percent::encode(tracker_id, out);
    }
    put_address(out, "ip", request.ip);
    put_address(out, "ipv4", request.ipv4.map(IpAddr::from));
    put_address(out, "ipv6", request.ipv6.map(IpAddr::from));
}

/// Reads an announce from the bytes after `?`.
///
/// Parameters that we do not know are skipped. A known parameter that comes twice counts the last
/// time, so that what a client appends wins over what stands in the announce URL; only
/// `info_hash` must come once. Absent numbers are 0, except `left`, which is then unknown; absent
/// `compact` means yes (BEP 23).
///
/// # Errors
///
/// [`RequestError`] when `info_hash`, `peer_id` or `port` is missing, when a value is none, or
/// when the query is longer than [`MAX_QUERY`].
pub fn decode_announce_query(query: &[u8]) -> Result<AnnounceRequest, RequestError> {
    check_length(query)?;
    let mut info_hash: Option<InfoHash> = None;
    let mut peer_id: Option<PeerId> = None;
    let mut port: Option<u16> = None;
    let blank = AnnounceRequest::new(InfoHash::from([0; 20]), PeerId::from([0; 20]), 0);
    let mut request = AnnounceRequest {
        no_peer_id: false,
        ..blank
    };
    for (name, value) in pairs(query) {
        match name {
            b"info_hash" => {
                if info_hash.is_some() {
                    return Err(invalid("info_hash", "one for each announce"));
                }
                info_hash = Some(hash(value)?);
            }
            b"peer_id" => {
                let id = percent::decode_exact::<20>(value)
                    .ok_or(invalid("peer_id", "20 bytes, percent-encoded"))?;
                peer_id = Some(PeerId::from(id));
            }
            b"port" => {
                let number = number(value, "port", "a number from 0 to 65535")?;
                port = Some(
                    u16::try_from(number)
                        .map_err(|_| invalid("port", "a number from 0 to 65535"))?,
                );
            }
            b"uploaded" => request.uploaded = number(value, "uploaded", "a number of bytes")?,
            b"downloaded" => request.downloaded = number(value, "downloaded", "a number of bytes")?,
            b"left" => request.left = left(value)?,
            b"event" => {
                request.event = Event::from_name(value).ok_or(invalid(
                    "event",
                    "started, completed, stopped, paused or nothing",
                ))?;
            }
            b"numwant" => request.numwant = numwant(value)?,
            b"key" => request.key = key(value)?,
            b"trackerid" => request.tracker_id = Some(tracker_id(value)?),
            b"compact" => request.compact = value != b"0",
            b"no_peer_id" => request.no_peer_id = value == b"1",
            b"ip" => request.ip = address(value),
            b"ipv4" => request.ipv4 = ipv4(value),
            b"ipv6" => request.ipv6 = ipv6(value),
            _ => {}
        }
    }
    request.info_hash = info_hash.ok_or(RequestError::Missing { name: "info_hash" })?;
    request.peer_id = peer_id.ok_or(RequestError::Missing { name: "peer_id" })?;
    request.port = port.ok_or(RequestError::Missing { name: "port" })?;
    Ok(request)
}

/// Appends the scrape as a query, without a leading `?` or `&`. Empty for an empty request.
pub fn encode_scrape_query(request: &ScrapeRequest, out: &mut String) {
    for (n, info_hash) in request.info_hashes.iter().enumerate() {
        out.push_str(if n == 0 { "info_hash=" } else { "&info_hash=" });
        percent::encode(info_hash.as_bytes(), out);
    }
}

/// Reads a scrape from the bytes after `?`. Without any `info_hash` the request is empty: the
/// peer asks for everything.
///
/// # Errors
///
/// [`RequestError`] when an `info_hash` is none, when there are more than [`MAX_SCRAPE`], or when
/// the query is longer than [`MAX_QUERY`].
pub fn decode_scrape_query(query: &[u8]) -> Result<ScrapeRequest, RequestError> {
    let mut request = ScrapeRequest::default();
    decode_scrape_query_into(query, &mut request.info_hashes)?;
    Ok(request)
}

/// Like [`decode_scrape_query`], with a buffer that the caller keeps. Earlier contents are
/// dropped.
///
/// # Errors
///
/// As for [`decode_scrape_query`].
pub fn decode_scrape_query_into(
    query: &[u8],
    info_hashes: &mut Vec<InfoHash>,
) -> Result<(), RequestError> {
    info_hashes.clear();
    check_length(query)?;
    for (name, value) in pairs(query) {
        if name == b"info_hash" {
            if info_hashes.len() == MAX_SCRAPE {
                return Err(RequestError::TooMany { limit: MAX_SCRAPE });
            }
            info_hashes.push(hash(value)?);
        }
    }
    Ok(())
}

fn put_number(out: &mut String, name: &str, number: u64) {
    write!(out, "&{name}={number}").expect("writing to a String cannot fail");
}

fn put_address(out: &mut String, name: &str, address: Option<IpAddr>) {
    if let Some(address) = address {
        write!(out, "&{name}=").expect("writing to a String cannot fail");
        percent::encode(address.to_string().as_bytes(), out);
    }
}

fn check_length(query: &[u8]) -> Result<(), RequestError> {
    if query.len() > MAX_QUERY {
        return Err(RequestError::TooLong {
            name: "request",
            limit: MAX_QUERY,
        });
    }
    Ok(())
}

/// Names and values, still encoded. A pair without `=` has an empty value.
fn pairs(query: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    query.split(|&byte| byte == b'&').map(|pair| {
        let name_end = pair
            .iter()
            .position(|&byte| byte == b'=')
            .unwrap_or(pair.len());
        let (name, value) = pair.split_at(name_end);
        (name, value.get(1..).unwrap_or_default())
    })
}

fn invalid(name: &'static str, expected: &'static str) -> RequestError {
    RequestError::Invalid { name, expected }
}

fn hash(value: &[u8]) -> Result<InfoHash, RequestError> {
    percent::decode_exact::<20>(value)
        .map(InfoHash::from)
        .ok_or(invalid("info_hash", "20 bytes, percent-encoded"))
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

fn number(value: &[u8], name: &'static str, expected: &'static str) -> Result<u64, RequestError> {
    digits(value).ok_or(invalid(name, expected))
}

/// Clients that do not know the size yet send −1 or the largest number they have.
fn left(value: &[u8]) -> Result<u64, RequestError> {
    let (negative, magnitude) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let number = number(magnitude, "left", "a number of bytes")?;
    Ok(if (negative && number > 0) || number >= UNKNOWN_LEFT {
        u64::MAX
    } else {
        number
    })
}

fn numwant(value: &[u8]) -> Result<Option<u32>, RequestError> {
    if let Some(rest) = value.strip_prefix(b"-") {
        number(rest, "numwant", "a number of peers")?;
        return Ok(None);
    }
    let number = number(value, "numwant", "a number of peers")?;
    Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
}

/// Most clients send eight hexadecimal digits. Others may send any text; its hash identifies them
/// as well.
fn key(value: &[u8]) -> Result<u32, RequestError> {
    const FNV_OFFSET: u32 = 0x811C_9DC5;
    const FNV_PRIME: u32 = 0x0100_0193;
    let mut number = Some(0u32);
    let mut hash = FNV_OFFSET;
    let mut length = 0;
    for byte in percent::decode(value) {
        let byte = byte.map_err(|_| invalid("key", "percent-encoded bytes"))?;
        hash = (hash ^ u32::from(byte)).wrapping_mul(FNV_PRIME);
        length += 1;
        let digit = char::from(byte).to_digit(16);
        number = number.zip(digit).map(|(number, digit)| number << 4 | digit);
    }
    Ok(match number {
        Some(number) if length <= 8 => number,
        _ => hash,
    })
}

fn tracker_id(value: &[u8]) -> Result<Vec<u8>, RequestError> {
    let mut id = Vec::new();
    for byte in percent::decode(value) {
        if id.len() == MAX_TRACKER_ID {
            return Err(RequestError::TooLong {
                name: "trackerid",
                limit: MAX_TRACKER_ID,
            });
        }
        id.push(byte.map_err(|_| invalid("trackerid", "percent-encoded bytes"))?);
    }
    Ok(id)
}

/// Applies `parse` to the decoded text. Host names and nonsense are `None`: a claimed address is
/// never worth refusing an announce.
fn text<T>(value: &[u8], parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let mut buffer = [0; MAX_ADDRESS_TEXT];
    let bytes = percent::decode_into(value, &mut buffer)?;
    parse(std::str::from_utf8(bytes).ok()?)
}

fn address(value: &[u8]) -> Option<IpAddr> {
    text(value, |text| text.parse().ok())
}

fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    text(value, |text| {
        text.parse()
            .ok()
            .or_else(|| text.parse::<SocketAddrV4>().ok().map(|addr| *addr.ip()))
    })
}

fn ipv6(value: &[u8]) -> Option<Ipv6Addr> {
    text(value, |text| {
        text.parse()
            .ok()
            .or_else(|| text.parse::<SocketAddrV6>().ok().map(|addr| *addr.ip()))
    })
}
