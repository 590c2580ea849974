//! Which kinds of addresses can be dialed at all.

use std::net::IpAddr;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Families {
    /// IPv4 and IPv6.
    #[default]
    Both,
    /// IPv6 is switched off, or what connections are bound to is of IPv4.
    Ipv4,
    /// The other way round.
    Ipv6,
}

impl Families {
    /// Whether `ip` is among them.
    #[must_use]
    pub fn include(self, ip: IpAddr) -> bool {
        match self {
            Self::Both => true,
            Self::Ipv4 => ip.is_ipv4(),
            Self::Ipv6 => ip.is_ipv6(),
        }
    }
}
