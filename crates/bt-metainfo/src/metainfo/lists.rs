//! Trackers, web seeds, nodes and texts: what stands beside the info dictionary.
//!
//! Nothing here can make a torrent unusable, so every fault is a warning.

use std::collections::BTreeSet;

use bt_bencode::{Dict, Value};

use crate::host_port::HostPort;
use crate::limits::{MAX_NODES, MAX_TEXT_BYTES, MAX_TRACKERS, MAX_URL_BYTES, MAX_WEB_SEEDS};
use crate::warning::{Warning, Warnings};

/// The tiers of `announce-list`, or else `announce` as the only tracker (BEP 12).
pub(super) fn trackers(root: Dict<'_>, warnings: &mut Warnings) -> Vec<Vec<String>> {
    let mut tiers = Vec::new();
    if let Some(list) = root.get("announce-list") {
        tiers = announce_list(list, warnings);
    }
    if tiers.is_empty()
        && let Some(announce) = root.get("announce")
    {
        match url(announce) {
            Ok(url) => tiers.push(vec![url]),
            // Torrents for the DHT alone often have an empty one.
            Err(EMPTY) => {}
            Err(reason) => warnings.ignored("announce", reason),
        }
    }
    tiers
}

fn announce_list(value: Value<'_>, warnings: &mut Warnings) -> Vec<Vec<String>> {
    let mut tiers = Vec::new();
    let Some(list) = value.as_list() else {
        warnings.ignored("announce-list", "it is not a list");
        return tiers;
    };
    let mut seen = BTreeSet::new();
    for (t, item) in list.iter().enumerate() {
        let mut tier = Vec::new();
        let mut take = |place: String, value, warnings: &mut Warnings| match url(value) {
            Ok(url) if seen.contains(&url) => true,
            Ok(_) if seen.len() == MAX_TRACKERS => {
                warnings.push(Warning::TooMany {
                    place: "announce-list",
                    limit: MAX_TRACKERS,
                });
                false
            }
            Ok(url) => {
                seen.insert(url.clone());
                tier.push(url);
                true
            }
            Err(EMPTY) => true,
            Err(reason) => {
                warnings.ignored(place, reason);
                true
            }
        };
        let more = match item.as_list() {
            Some(urls) => urls
                .iter()
                .enumerate()
                .all(|(u, value)| take(format!("announce-list[{t}][{u}]"), value, warnings)),
            // A list of URLs instead of a list of lists: each a tier.
            None => take(format!("announce-list[{t}]"), item, warnings),
        };
        if !tier.is_empty() {
            tiers.push(tier);
        }
        if !more {
            break;
        }
    }
    tiers
}

/// A list of URLs, or one URL that stands alone.
pub(super) fn urls(root: Dict<'_>, key: &'static str, warnings: &mut Warnings) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    let Some(value) = root.get(key) else {
        return urls;
    };
    let Some(list) = value.as_list() else {
        match url(value) {
            Ok(url) => urls.push(url),
            Err(EMPTY) => {}
            Err(reason) => warnings.ignored(key, reason),
        }
        return urls;
    };
    for (i, item) in list.iter().enumerate() {
        match url(item) {
            Ok(url) if urls.contains(&url) => {}
            Ok(_) if urls.len() == MAX_WEB_SEEDS => {
                warnings.push(Warning::TooMany {
                    place: key,
                    limit: MAX_WEB_SEEDS,
                });
                break;
            }
            Ok(url) => urls.push(url),
            Err(EMPTY) => {}
            Err(reason) => warnings.ignored(format!("{key}[{i}]"), reason),
        }
    }
    urls
}

/// DHT nodes, each a list of host and port (BEP 5).
pub(super) fn nodes(root: Dict<'_>, warnings: &mut Warnings) -> Vec<HostPort> {
    let mut nodes = Vec::new();
    let Some(value) = root.get("nodes") else {
        return nodes;
    };
    let Some(list) = value.as_list() else {
        warnings.ignored("nodes", "it is not a list");
        return nodes;
    };
    for (i, item) in list.iter().enumerate() {
        if nodes.len() == MAX_NODES {
            warnings.push(Warning::TooMany {
                place: "nodes",
                limit: MAX_NODES,
            });
            break;
        }
        match node(item) {
            Some(node) if nodes.contains(&node) => {}
            Some(node) => nodes.push(node),
            None => warnings.ignored(format!("nodes[{i}]"), "it is not a host and a port"),
        }
    }
    nodes
}

fn node(value: Value<'_>) -> Option<HostPort> {
    let mut parts = value.as_list()?.iter();
    let host = str::from_utf8(parts.next()?.as_bytes()?).ok()?;
    let port = u16::try_from(parts.next()?.as_int()?).ok()?;
    HostPort::new(host, port).ok()
}

/// A text for people: the value in UTF-8 if there is one, else whatever can be read.
pub(super) fn text(root: Dict<'_>, key: &'static str, warnings: &mut Warnings) -> Option<String> {
    let utf8 = root.get(format!("{key}.utf-8")).and_then(Value::as_bytes);
    let bytes = match utf8.filter(|bytes| str::from_utf8(bytes).is_ok()) {
        Some(bytes) => bytes,
        None => {
            let value = root.get(key)?;
            let Some(bytes) = value.as_bytes() else {
                warnings.ignored(key, "it is not a string");
                return None;
            };
            bytes
        }
    };
    if bytes.len() > MAX_TEXT_BYTES {
        warnings.ignored(key, "it is too long");
        return None;
    }
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// The fault of a URL that says nothing at all, which is no reason for a warning.
const EMPTY: &str = "it is empty";

fn url(value: Value<'_>) -> Result<String, &'static str> {
    let bytes = value.as_bytes().ok_or("it is not a string")?;
    let url = str::from_utf8(bytes).map_err(|_| "it is not UTF-8")?.trim();
    check_url(url)?;
    Ok(url.to_owned())
}

/// Whether a text may be kept as a URL: what schemes and hosts are good for is decided where
/// connections are made.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    if url.is_empty() {
        Err(EMPTY)
    } else if url.len() > MAX_URL_BYTES {
        Err("it is too long")
    } else if url.contains(|c: char| c.is_control() || c.is_whitespace()) {
        Err("it holds a space or control character")
    } else {
        Ok(())
    }
}
