//! The dictionary that opens the extension protocol (BEP 10, "handshake message").
//!
//! Every key is optional and comes from strangers: a value of the wrong type or out of range counts
//! as absent, unknown keys are skipped, and only what is not a dictionary at all is an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bt_bencode::{Dict, DictEncoder, Encoder, Limits, Options};

use super::Ext;
use crate::error::Malformed;
use crate::limits;

/// What a side says about itself. Later handshakes of a connection carry changes only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// `m`: the sender's numbers for the extensions, in the order of [`Ext::ALL`]. `None` if it is
    /// silent about one, 0 if it switches it off.
    pub ids: [Option<u8>; Ext::COUNT],
    /// `v`: client name and version. Not to be shown to people without escaping.
    pub client: Option<String>,
    /// `p`: the TCP port on which it listens; never 0.
    pub port: Option<u16>,
    /// `reqq`: how many requests it keeps without dropping any; never 0.
    pub max_requests: Option<u32>,
    /// `yourip`: the address under which it sees the receiver.
    pub your_ip: Option<IpAddr>,
    /// `ipv4`: an address of its own.
    pub ipv4: Option<Ipv4Addr>,
    /// `ipv6`: an address of its own.
    pub ipv6: Option<Ipv6Addr>,
    /// `metadata_size`: bytes of the info dictionary (BEP 9); never 0. As the peer says, so a
    /// reader bounds it.
    pub metadata_size: Option<u32>,
    /// `upload_only`: it wants nothing (BEP 21).
    pub upload_only: Option<bool>,
    /// `e`: it prefers encrypted connections.
    pub encryption: Option<bool>,
    /// `complete_ago`: for how many seconds it has had everything.
    pub complete_ago: Option<u32>,
}

impl Handshake {
    /// A handshake that offers these extensions under our numbers and says nothing else.
    pub fn offering(extensions: impl IntoIterator<Item = Ext>) -> Self {
        let mut handshake = Self::default();
        for ext in extensions {
            handshake.set_id(ext, ext.id());
        }
        handshake
    }

    /// The sender's number for an extension; `None` if the handshake is silent about it.
    pub fn id(&self, ext: Ext) -> Option<u8> {
        let position = Ext::ALL.iter().position(|known| *known == ext)?;
        self.ids.get(position).copied().flatten()
    }

    /// Offers an extension under a number, or switches it off with 0.
    pub fn set_id(&mut self, ext: Ext, id: u8) {
        let slot = Ext::ALL
            .iter()
            .zip(&mut self.ids)
            .find(|(known, _)| **known == ext);
        if let Some((_, slot)) = slot {
            *slot = Some(id);
        }
    }

    /// Reads the payload of an extended message with id 0. Bytes after the dictionary and unsorted
    /// keys are tolerated.
    ///
    /// # Errors
    ///
    /// [`Malformed::Extension`] if it is no dictionary, or above [`limits::MAX_EXTENSION_HANDSHAKE`]
    /// or [`limits::MAX_EXTENSION_DEPTH`].
    pub fn decode(payload: &[u8]) -> Result<Self, Malformed> {
        let options = Options::lenient().limits(Limits {
            max_depth: limits::MAX_EXTENSION_DEPTH,
            max_tokens: limits::MAX_EXTENSION_TOKENS,
            max_bytes: limits::MAX_EXTENSION_HANDSHAKE,
        });
        let parsed = options
            .parse_prefix(payload)
            .and_then(|parsed| parsed.value.dict());
        let dict = parsed.map_err(|error| Malformed::Extension {
            extension: "handshake",
            reason: error.to_string(),
        })?;
        let positive = |key: &str| unsigned(dict, key).filter(|number| *number > 0);
        let flag = |key: &str| int(dict, key).map(|number| number != 0);
        Ok(Self {
            ids: ids(dict),
            client: bytes(dict, "v")
                .map(client_name)
                .filter(|name| !name.is_empty()),
            port: positive("p").and_then(|port| u16::try_from(port).ok()),
            max_requests: positive("reqq"),
            your_ip: array(dict, "yourip")
                .map(|ip: [u8; 4]| IpAddr::from(ip))
                .or_else(|| array(dict, "yourip").map(|ip: [u8; 16]| IpAddr::from(ip))),
            ipv4: array(dict, "ipv4").map(|ip: [u8; 4]| Ipv4Addr::from(ip)),
            ipv6: array(dict, "ipv6").map(|ip: [u8; 16]| Ipv6Addr::from(ip)),
            metadata_size: positive("metadata_size"),
            upload_only: flag("upload_only"),
            encryption: flag("e"),
            complete_ago: unsigned(dict, "complete_ago"),
        })
    }

    /// The payload of an extended message with id 0: a canonical dictionary, `m` always in it.
    pub fn encode(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        let written = encoder.dict(|d| self.entries(d));
        debug_assert!(written.is_ok(), "keys are written in order: {written:?}");
        encoder.finish()
    }

    fn entries(&self, d: &mut DictEncoder<'_>) -> bt_bencode::Result<()> {
        if let Some(seconds) = self.complete_ago {
            d.int("complete_ago", seconds)?;
        }
        if let Some(encryption) = self.encryption {
            d.int("e", u8::from(encryption))?;
        }
        if let Some(ip) = self.ipv4 {
            d.bytes("ipv4", ip.octets())?;
        }
        if let Some(ip) = self.ipv6 {
            d.bytes("ipv6", ip.octets())?;
        }
        d.dict("m", |m| {
            for (ext, id) in Ext::ALL.iter().zip(self.ids) {
                if let Some(id) = id {
                    m.int(ext.name(), id)?;
                }
            }
            Ok(())
        })?;
        if let Some(size) = self.metadata_size {
            d.int("metadata_size", size)?;
        }
        if let Some(port) = self.port {
            d.int("p", port)?;
        }
        if let Some(requests) = self.max_requests {
            d.int("reqq", requests)?;
        }
        if let Some(upload_only) = self.upload_only {
            d.int("upload_only", u8::from(upload_only))?;
        }
        if let Some(client) = &self.client {
            d.bytes("v", client)?;
        }
        match self.your_ip {
            Some(IpAddr::V4(ip)) => d.bytes("yourip", ip.octets()),
            Some(IpAddr::V6(ip)) => d.bytes("yourip", ip.octets()),
            None => Ok(()),
        }
    }
}

/// The numbers in `m` of the extensions that we know. A number that is no byte is skipped.
fn ids(dict: Dict<'_>) -> [Option<u8>; Ext::COUNT] {
    let mut ids = [None; Ext::COUNT];
    let Some(m) = dict.get("m").and_then(|m| m.as_dict()) else {
        return ids;
    };
    for (ext, slot) in Ext::ALL.iter().zip(&mut ids) {
        *slot = int(m, ext.name()).and_then(|id| u8::try_from(id).ok());
    }
    ids
}

/// The text of a client name, cut where it gets too long; what is no UTF-8 is replaced.
fn client_name(bytes: &[u8]) -> String {
    let cut = bytes.get(..limits::MAX_CLIENT_NAME).unwrap_or(bytes);
    let mut name = String::from_utf8_lossy(cut).into_owned();
    // A replacement is longer than what it replaces.
    name.truncate(name.floor_char_boundary(limits::MAX_CLIENT_NAME));
    name
}

fn int(dict: Dict<'_>, key: &str) -> Option<i64> {
    dict.get(key)?.as_int()
}

fn unsigned(dict: Dict<'_>, key: &str) -> Option<u32> {
    u32::try_from(int(dict, key)?).ok()
}

fn bytes<'a>(dict: Dict<'a>, key: &str) -> Option<&'a [u8]> {
    dict.get(key)?.as_bytes()
}

fn array<const N: usize>(dict: Dict<'_>, key: &str) -> Option<[u8; N]> {
    bytes(dict, key)?.try_into().ok()
}

#[cfg(test)]
mod tests;
