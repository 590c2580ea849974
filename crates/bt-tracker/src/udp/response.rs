//! Packets from a tracker to a peer, written into a buffer that the caller keeps.

use std::net::{SocketAddr, SocketAddrV4};

use bt_wire::compact;

use super::{Family, action};
use crate::{AnnounceResponse, ScrapeStats};

/// Appends a connect reply: 16 bytes, as many as the request has.
pub fn encode_connect_reply(transaction_id: u32, connection_id: u64, out: &mut Vec<u8>) {
    put_head(action::CONNECT, transaction_id, out);
    out.extend_from_slice(&connection_id.to_be_bytes());
}

/// Appends an announce reply: 20 bytes and a record for each peer of the family. Peers of the
/// other family have no place in it and are left out.
pub fn encode_announce_reply(
    transaction_id: u32,
    response: &AnnounceResponse,
    family: Family,
    out: &mut Vec<u8>,
) {
    put_announce_head(transaction_id, response, out);
    // Most packets of a tracker are these records: no detour on the way.
    out.reserve(response.peers.len() * compact::V4_LEN);
    for peer in &response.peers {
        match (family, peer.addr) {
            (Family::V4, SocketAddr::V4(addr)) => {
                out.extend_from_slice(&compact::encode_v4(addr));
            }
            (Family::V4, SocketAddr::V6(addr)) => {
                if let Some(ip) = addr.ip().to_ipv4_mapped() {
                    let addr = SocketAddrV4::new(ip, addr.port());
                    out.extend_from_slice(&compact::encode_v4(addr));
                }
            }
            (Family::V6, SocketAddr::V6(addr)) if addr.ip().to_ipv4_mapped().is_none() => {
                out.extend_from_slice(&compact::encode_v6(addr));
            }
            (Family::V6, _) => {}
        }
    }
}

/// Appends an announce reply whose records are packed already: 6 bytes for each peer of IPv4, 18 for
/// each of IPv6, as the family of the packet has it. The peers of `response` are not looked at.
pub fn encode_packed_announce_reply(
    transaction_id: u32,
    response: &AnnounceResponse,
    records: &[u8],
    out: &mut Vec<u8>,
) {
    put_announce_head(transaction_id, response, out);
    out.extend_from_slice(records);
}

/// Appends a scrape reply: 8 bytes and 12 for each torrent, in the order of the request. A torrent
/// that the tracker does not know is [`ScrapeStats::default`].
pub fn encode_scrape_reply(
    transaction_id: u32,
    stats: impl IntoIterator<Item = ScrapeStats>,
    out: &mut Vec<u8>,
) {
    put_head(action::SCRAPE, transaction_id, out);
    for stats in stats {
        for number in [stats.complete, stats.downloaded, stats.incomplete] {
            out.extend_from_slice(&number.min(i32::MAX.unsigned_abs()).to_be_bytes());
        }
    }
}

/// Appends a refusal: 8 bytes and the reason.
pub fn encode_error_reply(transaction_id: u32, reason: &str, out: &mut Vec<u8>) {
    put_head(action::ERROR, transaction_id, out);
    out.extend_from_slice(reason.as_bytes());
}

fn put_announce_head(transaction_id: u32, response: &AnnounceResponse, out: &mut Vec<u8>) {
    put_head(action::ANNOUNCE, transaction_id, out);
    let interval = u32::try_from(response.interval.as_secs()).unwrap_or(u32::MAX);
    for number in [
        interval,
        response.incomplete.unwrap_or(0),
        response.complete.unwrap_or(0),
    ] {
        // The fields are signed in BEP 15.
        out.extend_from_slice(&number.min(i32::MAX.unsigned_abs()).to_be_bytes());
    }
}

fn put_head(action: u32, transaction_id: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction_id.to_be_bytes());
}
