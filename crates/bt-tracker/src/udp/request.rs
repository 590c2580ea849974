//! Packets from a peer to a tracker.
//!
//! Decoding is on the server's hot path: [`Head::decode`] reads 16 bytes, so that the connection
//! id can be checked first, and [`decode_announce_request`] uses no heap.

use std::net::{IpAddr, Ipv4Addr};

use bt_metainfo::InfoHash;
use bt_wire::PeerId;

use super::packet::Fields;
use super::{PROTOCOL_ID, action, decode_url_data, encode_url_data};
use crate::limits::MAX_SCRAPE;
use crate::{AnnounceRequest, Event, RequestError, ScrapeRequest};

/// Bytes of the head that all requests share.
const HEAD: usize = 16;

/// Bytes of an announce request without options.
const ANNOUNCE: usize = 98;

/// Numbers of bytes from here on mean that the peer does not know; trackers with signed integers
/// read no larger ones.
const UNKNOWN_LEFT: u64 = i64::MAX.unsigned_abs();

/// The first 16 bytes, which every request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What the tracker gave in its connect reply; [`PROTOCOL_ID`] in a connect request.
    pub connection_id: u64,
    /// See [`action`].
    pub action: u32,
    /// To be repeated in the reply.
    pub transaction_id: u32,
}

impl Head {
    /// Reads the head.
    ///
    /// # Errors
    ///
    /// [`RequestError::Truncated`] when the packet is shorter than 16 bytes.
    pub fn decode(packet: &[u8]) -> Result<Self, RequestError> {
        let truncated = RequestError::Truncated {
            length: packet.len(),
            expected: HEAD,
        };
        head(&mut Fields(packet)).ok_or(truncated)
    }

    /// Whether this is a well-formed connect request.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.action == action::CONNECT && self.connection_id == PROTOCOL_ID
    }
}

/// Any request, decoded in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Asks for a connection id.
    Connect {
        /// To be repeated in the reply.
        transaction_id: u32,
    },
    /// Announces a peer.
    Announce {
        /// Proves the sender's address.
        connection_id: u64,
        /// To be repeated in the reply.
        transaction_id: u32,
        /// The announce, with the URL data of its options.
        announce: AnnounceRequest,
    },
    /// Asks for numbers.
    Scrape {
        /// Proves the sender's address.
        connection_id: u64,
        /// To be repeated in the reply.
        transaction_id: u32,
        /// The torrents.
        scrape: ScrapeRequest,
    },
}

/// Appends a connect request: 16 bytes.
pub fn encode_connect_request(transaction_id: u32, out: &mut Vec<u8>) {
    put_head(PROTOCOL_ID, action::CONNECT, transaction_id, out);
}

/// Appends an announce request: 98 bytes and the options for
/// [`url_data`](AnnounceRequest::url_data).
///
/// `tracker_id`, `compact`, `no_peer_id` and the address hints of IPv6 have no place in it, and
/// numbers of bytes are cut at 2⁶³ − 1.
pub fn encode_announce_request(
    connection_id: u64,
    transaction_id: u32,
    request: &AnnounceRequest,
    out: &mut Vec<u8>,
) {
    put_head(connection_id, action::ANNOUNCE, transaction_id, out);
    out.extend_from_slice(request.info_hash.as_bytes());
    out.extend_from_slice(request.peer_id.as_bytes());
    // BEP 15 puts `downloaded` first and `uploaded` last.
    for bytes in [request.downloaded, request.left, request.uploaded] {
        out.extend_from_slice(&bytes.min(UNKNOWN_LEFT).to_be_bytes());
    }
    out.extend_from_slice(&request.event.udp_code().to_be_bytes());
    let ip = match (request.ip, request.ipv4) {
        (Some(IpAddr::V4(ip)), _) | (_, Some(ip)) => ip,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    out.extend_from_slice(&ip.octets());
    out.extend_from_slice(&request.key.to_be_bytes());
    let numwant = request
        .numwant
        .map_or(u32::MAX, |number| number.min(i32::MAX.unsigned_abs()));
    out.extend_from_slice(&numwant.to_be_bytes());
    out.extend_from_slice(&request.port.to_be_bytes());
    encode_url_data(&request.url_data, out);
}

/// Appends a scrape request: 16 bytes and 20 for each torrent, of which the first [`MAX_SCRAPE`]
/// are sent.
pub fn encode_scrape_request(
    connection_id: u64,
    transaction_id: u32,
    info_hashes: &[InfoHash],
    out: &mut Vec<u8>,
) {
    put_head(connection_id, action::SCRAPE, transaction_id, out);
    for info_hash in info_hashes.iter().take(MAX_SCRAPE) {
        out.extend_from_slice(info_hash.as_bytes());
    }
}

/// Reads any request.
///
/// # Errors
///
/// [`RequestError`] when the packet is too short for its action, or has none that requests have.
pub fn decode_request(packet: &[u8]) -> Result<Request, RequestError> {
    let Head {
        connection_id,
        action,
        transaction_id,
    } = Head::decode(packet)?;
    match action {
        action::CONNECT if connection_id == PROTOCOL_ID => Ok(Request::Connect { transaction_id }),
        action::CONNECT => Err(RequestError::Invalid {
            name: "protocol_id",
            expected: "0x41727101980",
        }),
        action::ANNOUNCE => {
            let mut announce = decode_announce_request(packet)?;
            let options = packet.get(ANNOUNCE..).unwrap_or_default();
            decode_url_data(options, &mut announce.url_data)?;
            Ok(Request::Announce {
                connection_id,
                transaction_id,
                announce,
            })
        }
        action::SCRAPE => {
            let info_hashes: Vec<InfoHash> = scrape_hashes(packet)?.collect();
            let scrape = ScrapeRequest::new(info_hashes);
            Ok(Request::Scrape {
                connection_id,
                transaction_id,
                scrape,
            })
        }
        action => Err(RequestError::UnknownAction { action }),
    }
}

/// Reads the fixed part of an announce request. [`url_data`](AnnounceRequest::url_data) stays
/// empty: it is in `packet[98..]`, for [`decode_url_data`].
///
/// Action and connection id are not looked at.
///
/// # Errors
///
/// [`RequestError::Truncated`] when the packet is shorter than 98 bytes, and
/// [`RequestError::Invalid`] for an unknown event.
pub fn decode_announce_request(packet: &[u8]) -> Result<AnnounceRequest, RequestError> {
    let truncated = RequestError::Truncated {
        length: packet.len(),
        expected: ANNOUNCE,
    };
    let Some((mut request, event)) = announce(&mut Fields(packet)) else {
        return Err(truncated);
    };
    request.event = Event::from_udp_code(event).ok_or(RequestError::Invalid {
        name: "event",
        expected: "0 none, 1 completed, 2 started or 3 stopped",
    })?;
    Ok(request)
}

/// The torrents of a scrape request, without copying them. Bytes after the last whole info-hash
/// are ignored.
///
/// # Errors
///
/// [`RequestError::Truncated`] when the packet has not even one, [`RequestError::TooMany`] when
/// there are more than [`MAX_SCRAPE`].
pub fn scrape_hashes(
    packet: &[u8],
) -> Result<impl ExactSizeIterator<Item = InfoHash> + '_, RequestError> {
    let (hashes, _) = packet.get(HEAD..).unwrap_or_default().as_chunks::<20>();
    if hashes.is_empty() {
        return Err(RequestError::Truncated {
            length: packet.len(),
            expected: HEAD + 20,
        });
    }
    if hashes.len() > MAX_SCRAPE {
        return Err(RequestError::TooMany { limit: MAX_SCRAPE });
    }
    Ok(hashes.iter().map(|hash| InfoHash::from(*hash)))
}

fn put_head(connection_id: u64, action: u32, transaction_id: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&connection_id.to_be_bytes());
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction_id.to_be_bytes());
}

fn head(fields: &mut Fields<'_>) -> Option<Head> {
    Some(Head {
        connection_id: fields.u64()?,
        action: fields.u32()?,
        transaction_id: fields.u32()?,
    })
}

/// The announce without its event, and the event's number.
fn announce(fields: &mut Fields<'_>) -> Option<(AnnounceRequest, u32)> {
    head(fields)?;
    let info_hash = InfoHash::from(fields.array::<20>()?);
    let peer_id = PeerId::from(fields.array::<20>()?);
    let mut request = AnnounceRequest::new(info_hash, peer_id, 0);
    request.downloaded = fields.u64()?;
    let left = fields.u64()?;
    request.left = if left >= UNKNOWN_LEFT { u64::MAX } else { left };
    request.uploaded = fields.u64()?;
    let event = fields.u32()?;
    let ip = Ipv4Addr::from(fields.array::<4>()?);
    request.ip = (!ip.is_unspecified()).then_some(IpAddr::V4(ip));
    request.key = fields.u32()?;
    let numwant = fields.u32()?;
    // The field is signed; −1 is the default, and nothing else below zero means anything.
    request.numwant = (numwant <= i32::MAX.unsigned_abs()).then_some(numwant);
    request.port = fields.u16()?;
    Some((request, event))
}
