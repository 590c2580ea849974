//! From the text of a link to a [`Magnet`].

use super::{Magnet, MagnetError, Selection, percent};
use crate::hash::{InfoHash, InfoHashV2};
use crate::limits::{
    MAX_MAGNET_BYTES, MAX_MAGNET_PEERS, MAX_TEXT_BYTES, MAX_TRACKERS, MAX_URL_BYTES, MAX_WEB_SEEDS,
};

/// How a SHA-256 multihash starts: function 0x12, length 32.
pub(super) const SHA256_MULTIHASH: &str = "1220";

/// Characters of a bad value that an error repeats.
const MAX_SHOWN: usize = 60;

pub(super) fn magnet(text: &str) -> Result<Magnet, MagnetError> {
    let text = text.trim();
    if text.len() > MAX_MAGNET_BYTES {
        return Err(MagnetError::TooLong { found: text.len() });
    }
    let query = text
        .split_at_checked("magnet:?".len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("magnet:?"))
        .map(|(_, query)| query)
        .ok_or(MagnetError::NotMagnet)?;

    let mut magnet = Magnet::with_hashes(None, None);
    let mut other_network = None;
    // Links pasted out of web pages often keep their "&amp;".
    for parameter in query
        .split('&')
        .map(|p| p.strip_prefix("amp;").unwrap_or(p))
    {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        // Parameters may be numbered: xt.1, tr.2.
        let key = match key.rsplit_once('.') {
            Some((plain, number)) if number.bytes().all(|b| b.is_ascii_digit()) => plain,
            _ => key,
        };
        match key.to_ascii_lowercase().as_str() {
            "xt" => topic(
                &mut magnet,
                &percent::decode_lossy(value),
                &mut other_network,
            )?,
            "dn" => set_name(&mut magnet, value),
            "xl" => magnet.length = magnet.length.or_else(|| value.parse().ok()),
            "tr" => push_url(&mut magnet.trackers, value, MAX_TRACKERS),
            "ws" => push_url(&mut magnet.web_seeds, value, MAX_WEB_SEEDS),
            "xs" | "as" => push_url(&mut magnet.sources, value, MAX_WEB_SEEDS),
            "x.pe" => peer(&mut magnet, &percent::decode_lossy(value))?,
            "so" => select(&mut magnet, &percent::decode_lossy(value))?,
            _ => {}
        }
    }
    if magnet.v1.is_none() && magnet.v2.is_none() {
        return Err(
            other_network.map_or(MagnetError::NoHash, |found| MagnetError::OtherNetwork {
                found,
            }),
        );
    }
    Ok(magnet)
}

fn topic(magnet: &mut Magnet, value: &str, other: &mut Option<String>) -> Result<(), MagnetError> {
    let value = value.trim();
    if let Some(hash) = strip_prefix_ignoring_case(value, "urn:btih:") {
        let hash: InfoHash = hash.parse()?;
        if magnet.v1.is_some_and(|known| known != hash) {
            return Err(MagnetError::Conflict { kind: "v1" });
        }
        magnet.v1 = Some(hash);
    } else if let Some(multihash) = strip_prefix_ignoring_case(value, "urn:btmh:") {
        let Some(hash) = multihash.strip_prefix(SHA256_MULTIHASH) else {
            return Err(MagnetError::Multihash {
                found: multihash.chars().take(4).collect(),
            });
        };
        let hash: InfoHashV2 = hash.parse()?;
        if magnet.v2.is_some_and(|known| known != hash) {
            return Err(MagnetError::Conflict { kind: "v2" });
        }
        magnet.v2 = Some(hash);
    } else if !value.is_empty() {
        other.get_or_insert_with(|| shown(value));
    }
    Ok(())
}

/// Only in names does `+` stand for a space, as web forms write it; URLs keep theirs.
fn set_name(magnet: &mut Magnet, value: &str) {
    let name = percent::decode_lossy(&value.replace('+', " "));
    if magnet.display_name.is_none() && !name.is_empty() && name.len() <= MAX_TEXT_BYTES {
        magnet.display_name = Some(name);
    }
}

fn push_url(urls: &mut Vec<String>, value: &str, limit: usize) {
    let Some(url) = percent::decode(value) else {
        return;
    };
    let url = url.trim();
    if urls.len() < limit
        && !url.is_empty()
        && url.len() <= MAX_URL_BYTES
        && !url.contains(char::is_control)
        && !urls.iter().any(|known| known == url)
    {
        urls.push(url.to_owned());
    }
}

fn peer(magnet: &mut Magnet, value: &str) -> Result<(), MagnetError> {
    let peer = value.trim().parse().map_err(|cause| MagnetError::Peer {
        value: shown(value),
        cause,
    })?;
    if magnet.peers.len() < MAX_MAGNET_PEERS && !magnet.peers.contains(&peer) {
        magnet.peers.push(peer);
    }
    Ok(())
}

fn select(magnet: &mut Magnet, value: &str) -> Result<(), MagnetError> {
    let selection =
        Selection::parse(value).map_err(|part| MagnetError::Select { value: shown(part) })?;
    magnet
        .select_only
        .get_or_insert_default()
        .extend(&selection);
    Ok(())
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn shown(value: &str) -> String {
    value.chars().take(MAX_SHOWN).collect()
}
