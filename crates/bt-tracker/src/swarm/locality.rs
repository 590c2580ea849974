//! Which addresses are near each other: named networks, and automatic grouping by prefix.
//!
//! Knows addresses only; what nearness is good for is decided in `group.rs`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Networks that can be named. Each torrent keeps a list per group that occurs in it, so this
/// bounds the work of a reply.
const MAX_NETWORKS: usize = 1024;

/// Automatic groups: prefixes are folded into this many. Two prefixes that fall together count as
/// near, which does no harm.
const MAX_PREFIX_GROUPS: u32 = 1024;

/// A group of addresses that are near each other. [`GroupId::NONE`] is the rest of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GroupId(u32);

impl GroupId {
    pub(super) const NONE: Self = Self(0);
}

/// An address and how many of its leading bits count, as in `10.1.0.0/16` or `2001:db8::/32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// `None` when there are more bits than the address has. Bits after the prefix are ignored.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let address = address.to_canonical();
        (bits <= width(address)).then(|| Self {
            address: masked(address, bits),
            bits,
        })
    }

    /// Whether the address is in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.address) && masked(address, self.bits) == self.address
    }
}

impl FromStr for Network {
    type Err = LocalityError;

    /// Reads `address/bits`, or an address alone as a network of one.
    fn from_str(text: &str) -> Result<Self, LocalityError> {
        let bad = || LocalityError::NotANetwork(text.into());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let bits = match bits {
            Some(bits) => bits.trim().parse().map_err(|_| bad())?,
            None => width(address),
        };
        Self::new(address, bits).ok_or_else(bad)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// Why a description of localities was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalityError {
    /// The text is no network such as `10.1.0.0/16`.
    #[error("\"{0}\" is not a network such as 10.1.0.0/16 or 2001:db8::/32")]
    NotANetwork(String),
    /// The text is not of the form `CIDR=NAME`.
    #[error("\"{0}\" is not of the form CIDR=NAME, such as 10.1.0.0/16=rack-7")]
    NotNamed(String),
    /// One network was given two names.
    #[error("network {0} is named twice")]
    Twice(Network),
    /// More networks than a reply can be made from quickly.
    #[error("{0} networks are named; at most {MAX_NETWORKS} can be")]
    TooMany(usize),
}

/// Groups of addresses. The default has none: all peers are equally near.
#[derive(Clone, Debug, Default)]
pub struct Locality {
    /// By prefix length, longest first: the networks of that length, sorted by address.
    networks: Vec<(u8, Vec<(IpAddr, GroupId)>)>,
    names: Vec<String>,
    prefixes: Option<(u8, u8)>,
}

impl Locality {
    /// Groups by named networks; several networks can have one name, and the longest prefix wins.
    ///
    /// # Errors
    /// When a network is named twice or there are more than 1,024.
    pub fn named(
        networks: impl IntoIterator<Item = (Network, String)>,
    ) -> Result<Self, LocalityError> {
        let mut networks: Vec<_> = networks.into_iter().collect();
        if networks.len() > MAX_NETWORKS {
            return Err(LocalityError::TooMany(networks.len()));
        }
        networks.sort_by_key(|(network, _)| (u8::MAX - network.bits, network.address));
        let mut locality = Self::default();
        let mut last = None;
        for (network, name) in networks {
            if last.replace(network) == Some(network) {
                return Err(LocalityError::Twice(network));
            }
            let group = locality.group_named(name);
            match locality.networks.last_mut() {
                Some((bits, same)) if *bits == network.bits => same.push((network.address, group)),
                _ => locality
                    .networks
                    .push((network.bits, vec![(network.address, group)])),
            }
        }
        Ok(locality)
    }

    /// Addresses outside every named network that share this many leading bits are also near each
    /// other. 0 bits switch a family off.
    #[must_use]
    pub fn by_prefix(mut self, v4_bits: u8, v6_bits: u8) -> Self {
        self.prefixes = (v4_bits > 0 || v6_bits > 0).then_some((v4_bits.min(32), v6_bits.min(128)));
        self
    }

    /// Whether any two addresses can be nearer than others.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.prefixes.is_none()
    }

    /// The name of the address's network, if it is in a named one.
    #[must_use]
    pub fn name_of(&self, address: IpAddr) -> Option<&str> {
        let GroupId(group) = self.group_of(address.to_canonical());
        let at = group.checked_sub(1)?;
        self.names.get(at as usize).map(String::as_str)
    }

    /// The group of an address that is not an IPv4 address in IPv6 form.
    pub(super) fn group_of(&self, address: IpAddr) -> GroupId {
        for (bits, same) in &self.networks {
            if *bits <= width(address)
                && let Ok(at) =
                    same.binary_search_by_key(&masked(address, *bits), |(network, _)| *network)
            {
                return same[at].1;
            }
        }
        let Some((v4_bits, v6_bits)) = self.prefixes else {
            return GroupId::NONE;
        };
        let bits = if address.is_ipv4() { v4_bits } else { v6_bits };
        if bits == 0 {
            return GroupId::NONE;
        }
        let named = u32::try_from(self.names.len()).unwrap_or(0);
        GroupId(1 + named + fold(masked(address, bits)) % MAX_PREFIX_GROUPS)
    }

    fn group_named(&mut self, name: String) -> GroupId {
        let at = self
            .names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            });
        GroupId(u32::try_from(at + 1).unwrap_or(0))
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.min(32)))
                .unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.min(128)))
                .unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

/// Spreads prefixes over groups.
fn fold(address: IpAddr) -> u32 {
    let bits = match address {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            u64::try_from(bits >> 64).unwrap_or(0)
                ^ u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)
        }
    };
    u32::try_from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn locality(named: &[(&str, &str)]) -> Result<Locality, LocalityError> {
        let parse = |&(net, name): &(&str, &str)| Ok((net.parse()?, name.to_owned()));
        Locality::named(
            named
                .iter()
                .map(parse)
                .collect::<Result<Vec<_>, LocalityError>>()?,
        )
    }

    #[test]
    fn the_longest_prefix_wins_and_families_do_not_mix() {
        let locality = locality(&[
            ("10.0.0.0/8", "site"),
            ("10.1.2.0/24", "rack"),
            ("2001:db8::/32", "site"),
            ("0.0.0.0/0", "world"),
        ])
        .unwrap();
        assert_eq!(locality.name_of(ip("10.9.9.9")), Some("site"));
        assert_eq!(locality.name_of(ip("10.1.2.255")), Some("rack"));
        assert_eq!(locality.name_of(ip("10.1.3.0")), Some("site"));
        assert_eq!(locality.name_of(ip("::ffff:10.1.2.3")), Some("rack"));
        assert_eq!(locality.name_of(ip("2001:db8:1::1")), Some("site"));
        assert_eq!(locality.name_of(ip("2001:db9::1")), None);
        assert_eq!(locality.name_of(ip("9.9.9.9")), Some("world"));
    }

    #[test]
    fn addresses_with_a_common_prefix_are_grouped_when_asked() {
        let locality = locality(&[("10.0.0.0/8", "site")])
            .unwrap()
            .by_prefix(24, 48);
        let group = |text| locality.group_of(ip(text));
        assert_eq!(group("192.0.2.1"), group("192.0.2.254"));
        assert_ne!(group("192.0.2.1"), group("192.0.3.1"));
        assert_eq!(group("2001:db8:1:2::1"), group("2001:db8:1:ffff::9"));
        assert_ne!(group("2001:db8:1::1"), group("2001:db8:2::1"));
        assert_eq!(group("10.1.1.1"), group("10.200.1.1"));
        assert_eq!(locality.name_of(ip("192.0.2.1")), None);
    }

    #[test]
    fn a_bad_network_is_named_in_the_error() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "x/8",
            "::/129",
            "10.0.0/8",
        ] {
            let error = bad.parse::<Network>().unwrap_err();
            assert!(error.to_string().contains(&format!("\"{bad}\"")), "{error}");
        }
        assert_eq!(
            "10.1.2.3/8".parse::<Network>().unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!("::1".parse::<Network>().unwrap().to_string(), "::1/128");
        let twice = locality(&[("10.0.0.0/8", "a"), ("10.1.0.0/8", "b")]).unwrap_err();
        assert_eq!(twice.to_string(), "network 10.0.0.0/8 is named twice");
    }

    #[test]
    fn one_network_too_many_is_refused() {
        let network = |n: u32| {
            (
                Network::new(IpAddr::V4(n.into()), 32).unwrap(),
                n.to_string(),
            )
        };
        assert!(Locality::named((0..1024).map(network)).is_ok());
        assert_eq!(
            Locality::named((0..1025).map(network)).unwrap_err(),
            LocalityError::TooMany(1025)
        );
    }
}
