//! Replies as a tracker writes them: canonical bencoding into a buffer that the caller keeps.
//!
//! The keys are known and sorted by hand, so nothing is collected first. Must not know how the
//! peers were chosen.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use bt_wire::compact;

use crate::{AnnounceRequest, AnnounceResponse, Failure, Peer, RetryIn, ScrapeResponse};

/// How a reply names its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PeerForm {
    /// `peers` with 6 bytes for each IPv4 peer, `peers6` with 18 for each IPv6 peer (BEP 23, 7).
    Compact,
    /// A list of dictionaries (BEP 3).
    Full {
        /// Whether to include the peer ids that are known.
        ids: bool,
    },
}

impl PeerForm {
    /// What the request prefers.
    #[must_use]
    pub fn of(request: &AnnounceRequest) -> Self {
        if request.compact {
            Self::Compact
        } else {
            Self::Full {
                ids: !request.no_peer_id,
            }
        }
    }
}

/// Appends the answer to an accepted announce.
///
/// IPv4 addresses that are written as IPv6 ones are sent as IPv4. `peers` is always there, since
/// old clients need it; `peers6` only when it has entries.
pub fn encode_announce_reply(response: &AnnounceResponse, form: PeerForm, out: &mut Vec<u8>) {
    out.push(b'd');
    put_optional(out, "complete", response.complete);
    put_optional(out, "downloaded", response.downloaded);
    put_optional(out, "downloaders", response.downloaders);
    if let Some(ip) = response.external_ip {
        put_bytes(out, b"external ip");
        match ip.to_canonical() {
            IpAddr::V4(ip) => put_bytes(out, &ip.octets()),
            IpAddr::V6(ip) => put_bytes(out, &ip.octets()),
        }
    }
    put_optional(out, "incomplete", response.incomplete);
    put_bytes(out, b"interval");
    put_int(out, response.interval.as_secs());
    if let Some(min_interval) = response.min_interval {
        put_bytes(out, b"min interval");
        put_int(out, min_interval.as_secs());
    }
    put_bytes(out, b"peers");
    match form {
        PeerForm::Compact => put_compact(out, &response.peers),
        PeerForm::Full { ids } => put_full(out, &response.peers, ids),
    }
    if let Some(tracker_id) = &response.tracker_id {
        put_bytes(out, b"tracker id");
        put_bytes(out, tracker_id);
    }
    if let Some(warning) = &response.warning {
        put_bytes(out, b"warning message");
        put_bytes(out, warning.as_bytes());
    }
    out.push(b'e');
}

/// Appends a refusal (BEP 3, BEP 31).
pub fn encode_failure(failure: &Failure, out: &mut Vec<u8>) {
    out.push(b'd');
    put_bytes(out, b"failure reason");
    put_bytes(out, failure.reason.as_bytes());
    if let Some(retry_in) = failure.retry_in {
        put_bytes(out, b"retry in");
        match retry_in {
            RetryIn::Minutes(minutes) => put_int(out, u64::from(minutes.max(1))),
            RetryIn::Never => put_bytes(out, b"never"),
        }
    }
    out.push(b'e');
}

/// Appends the answer to a scrape (BEP 48). The entries are sorted, and of entries with the same
/// info-hash only one is written.
pub fn encode_scrape_reply(response: &ScrapeResponse, out: &mut Vec<u8>) {
    let mut order: Vec<_> = response.files.iter().collect();
    order.sort_by_key(|(info_hash, _)| *info_hash);
    order.dedup_by_key(|(info_hash, _)| *info_hash);
    out.push(b'd');
    put_bytes(out, b"files");
    out.push(b'd');
    for (info_hash, stats) in order {
        put_bytes(out, info_hash.as_bytes());
        out.push(b'd');
        put_optional(out, "complete", Some(stats.complete));
        put_optional(out, "downloaded", Some(stats.downloaded));
        put_optional(out, "downloaders", stats.downloaders);
        put_optional(out, "incomplete", Some(stats.incomplete));
        out.push(b'e');
    }
    out.push(b'e');
    if let Some(seconds) = response.min_request_interval {
        put_bytes(out, b"flags");
        out.push(b'd');
        put_optional(out, "min_request_interval", Some(seconds));
        out.push(b'e');
    }
    out.push(b'e');
}

/// Peer lists are most of a reply, so this writes records without a detour.
fn put_compact(out: &mut Vec<u8>, peers: &[Peer]) {
    let ipv6 = peers.iter().filter(|peer| v4(peer.addr).is_none()).count();
    let v4_bytes = (peers.len() - ipv6) * compact::V4_LEN;
    put_length(out, v4_bytes);
    out.reserve(v4_bytes);
    for addr in peers.iter().filter_map(|peer| v4(peer.addr)) {
        out.extend_from_slice(&compact::encode_v4(addr));
    }
    if ipv6 > 0 {
        put_bytes(out, b"peers6");
        put_length(out, ipv6 * compact::V6_LEN);
        for peer in peers {
            if let (SocketAddr::V6(addr), None) = (peer.addr, v4(peer.addr)) {
                out.extend_from_slice(&compact::encode_v6(addr));
            }
        }
    }
}

/// The address as an IPv4 one, if it is one or is written for one.
fn v4(addr: SocketAddr) -> Option<SocketAddrV4> {
    match addr {
        SocketAddr::V4(addr) => Some(addr),
        SocketAddr::V6(addr) => addr
            .ip()
            .to_ipv4_mapped()
            .map(|ip| SocketAddrV4::new(ip, addr.port())),
    }
}

fn put_full(out: &mut Vec<u8>, peers: &[Peer], ids: bool) {
    out.push(b'l');
    for peer in peers {
        out.push(b'd');
        put_bytes(out, b"ip");
        put_bytes(out, peer.addr.ip().to_canonical().to_string().as_bytes());
        if let Some(id) = peer.id.filter(|_| ids) {
            put_bytes(out, b"peer id");
            put_bytes(out, id.as_bytes());
        }
        put_bytes(out, b"port");
        put_int(out, u64::from(peer.addr.port()));
        out.push(b'e');
    }
    out.push(b'e');
}

fn put_optional(out: &mut Vec<u8>, key: &str, number: Option<u32>) {
    if let Some(number) = number {
        put_bytes(out, key.as_bytes());
        put_int(out, u64::from(number));
    }
}

fn put_int(out: &mut Vec<u8>, number: u64) {
    out.push(b'i');
    put_decimal(out, number);
    out.push(b'e');
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put_decimal(out, u64::try_from(length).unwrap_or(u64::MAX));
    out.push(b':');
}

/// Digits without the formatting machinery, which costs more than the whole rest of a reply.
fn put_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        if let (Some(slot), Ok(digit)) = (digits.get_mut(start), u8::try_from(number % 10)) {
            *slot = b'0' + digit;
        }
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}
