//! The lists beside the info dictionary in their encoded form, for new and edited torrents.
//!
//! `None` means that the key is left out.

use bt_bencode::OwnedValue;

use super::lists::check_url;
use crate::error::{Error, shown};
use crate::host_port::HostPort;

/// The tiers of BEP 12; with a single tracker, `announce` says it all.
pub(crate) fn announce_list(tiers: &[Vec<String>]) -> Option<OwnedValue> {
    let tier = |tier: &Vec<String>| strings(tier);
    let several = tiers.iter().map(Vec::len).sum::<usize>() > 1;
    several.then(|| {
        OwnedValue::List(
            tiers
                .iter()
                .filter(|urls| !urls.is_empty())
                .map(tier)
                .collect(),
        )
    })
}

/// The web seeds of BEP 19: a string if there is one, as other programs write it.
pub(crate) fn web_seeds(urls: &[String]) -> Option<OwnedValue> {
    match urls {
        [] => None,
        [one] => Some(OwnedValue::from(one.as_str())),
        many => Some(strings(many)),
    }
}

/// The nodes of BEP 5.
pub(crate) fn nodes(nodes: &[HostPort]) -> Option<OwnedValue> {
    let node = |node: &HostPort| {
        let port = OwnedValue::Int(i64::from(node.port()));
        OwnedValue::List(vec![OwnedValue::from(node.host()), port])
    };
    (!nodes.is_empty()).then(|| OwnedValue::List(nodes.iter().map(node).collect()))
}

/// A list of strings.
pub(crate) fn strings(items: &[String]) -> OwnedValue {
    OwnedValue::List(
        items
            .iter()
            .map(|item| OwnedValue::from(item.as_str()))
            .collect(),
    )
}

/// Refuses a URL that readers would leave out.
pub(crate) fn require_url(url: &str) -> Result<(), Error> {
    check_url(url).map_err(|reason| Error::Url {
        url: shown(url),
        reason,
    })
}
