//! Packets from a tracker as a client reads them.
//!
//! Packets may be longer than BEP 15 says ("do not expect packets to be exactly of a certain
//! size"); shorter ones are errors. Who sent the packet and whether the transaction matches is the
//! [`Exchange`](super::Exchange)'s question.

use std::time::Duration;

use bt_metainfo::InfoHash;
use bt_wire::compact;

use super::packet::Fields;
use super::{Family, action};
use crate::limits::{MAX_PEERS, MAX_SCRAPE};
use crate::{AnnounceResponse, Failure, Peer, ReplyError, ScrapeResponse, ScrapeStats};

/// The first 8 bytes, which every reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHead {
    /// See [`action`].
    pub action: u32,
    /// Repeats that of the request.
    pub transaction_id: u32,
}

impl ReplyHead {
    /// Reads the head.
    ///
    /// # Errors
    ///
    /// [`ReplyError::Truncated`] when the packet is shorter than 8 bytes.
    pub fn decode(packet: &[u8]) -> Result<Self, ReplyError> {
        let truncated = ReplyError::Truncated {
            length: packet.len(),
            expected: 8,
        };
        head(&mut Fields(packet)).ok_or(truncated)
    }
}

/// Reads the connection id of a connect reply.
///
/// # Errors
///
/// [`ReplyError::Refused`] for an error packet, the other variants for anything else that is no
/// connect reply.
pub fn decode_connect_reply(packet: &[u8]) -> Result<u64, ReplyError> {
    let mut fields = expect(packet, action::CONNECT)?;
    fields.u64().ok_or(ReplyError::Truncated {
        length: packet.len(),
        expected: 16,
    })
}

/// Reads an announce reply. The family is that of the packet. At most [`MAX_PEERS`] peers are
/// kept.
///
/// # Errors
///
/// [`ReplyError::Refused`] for an error packet, the other variants for anything else that is no
/// announce reply.
pub fn decode_announce_reply(
    packet: &[u8],
    family: Family,
) -> Result<AnnounceResponse, ReplyError> {
    let truncated = ReplyError::Truncated {
        length: packet.len(),
        expected: 20,
    };
    let mut fields = expect(packet, action::ANNOUNCE)?;
    // opentracker answers with the bare head when a torrent is not on its list.
    if fields.0.is_empty() {
        return Err(ReplyError::Refused(Failure::in_words(b"")));
    }
    let (Some(interval), Some(leechers), Some(seeders)) =
        (fields.u32(), fields.u32(), fields.u32())
    else {
        return Err(truncated);
    };
    // A negative interval is 0: the schedule has a floor of its own.
    let interval = if interval > i32::MAX.unsigned_abs() {
        0
    } else {
        interval
    };
    let mut response = AnnounceResponse::new(Duration::from_secs(u64::from(interval)));
    response.incomplete = count(leechers);
    response.complete = count(seeders);
    let records = match family {
        Family::V4 => compact::decode_v4(fields.0),
        Family::V6 => compact::decode_v6(fields.0),
    };
    for peer in records.map(Peer::from) {
        if response.peers.len() < MAX_PEERS && peer.can_exist() {
            response.peers.push(peer);
        } else {
            response.skipped = response.skipped.saturating_add(1);
        }
    }
    Ok(response)
}

/// Reads a scrape reply to a request for `info_hashes`. A reply that is too short has entries for
/// the first of them only.
///
/// # Errors
///
/// [`ReplyError::Refused`] for an error packet, the other variants for anything else that is no
/// scrape reply.
pub fn decode_scrape_reply(
    packet: &[u8],
    info_hashes: &[InfoHash],
) -> Result<ScrapeResponse, ReplyError> {
    let mut fields = expect(packet, action::SCRAPE)?;
    let mut response = ScrapeResponse::default();
    for info_hash in info_hashes.iter().take(MAX_SCRAPE) {
        let (Some(complete), Some(downloaded), Some(incomplete)) =
            (fields.u32(), fields.u32(), fields.u32())
        else {
            break;
        };
        let [complete, downloaded, incomplete] =
            [complete, downloaded, incomplete].map(|number| count(number).unwrap_or(0));
        response.files.push((
            *info_hash,
            ScrapeStats::new(complete, downloaded, incomplete),
        ));
    }
    if response.files.is_empty() && !info_hashes.is_empty() {
        return Err(ReplyError::Truncated {
            length: packet.len(),
            expected: 20,
        });
    }
    Ok(response)
}

/// Reads an error packet. `None` when it is none. Some trackers end the text with a NUL.
#[must_use]
pub fn decode_error_reply(packet: &[u8]) -> Option<Failure> {
    let mut fields = Fields(packet);
    let head = head(&mut fields)?;
    if head.action != action::ERROR {
        return None;
    }
    let end = fields
        .0
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(fields.0.len());
    Some(Failure::in_words(fields.0.get(..end).unwrap_or_default()))
}

fn head(fields: &mut Fields<'_>) -> Option<ReplyHead> {
    Some(ReplyHead {
        action: fields.u32()?,
        transaction_id: fields.u32()?,
    })
}

/// The bytes behind the head of a reply with this action.
fn expect(packet: &[u8], expected: u32) -> Result<Fields<'_>, ReplyError> {
    let found = ReplyHead::decode(packet)?.action;
    if let Some(failure) = decode_error_reply(packet) {
        return Err(ReplyError::Refused(failure));
    }
    if found != expected {
        return Err(ReplyError::WrongAction { expected, found });
    }
    Ok(Fields(packet.get(8..).unwrap_or_default()))
}

/// Trackers that do not count send −1.
fn count(number: u32) -> Option<u32> {
    (number <= i32::MAX.unsigned_abs()).then_some(number)
}
