//! Which addresses are one host: what is counted, limited or banned by address counts, limits or bans all of them.
//!
//! It must not know why anybody asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses that never cross the internet, behind which many clients of one owner may sit.
pub(crate) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// One address that stands for all addresses of a host. Of public IPv6 addresses everyone has a whole /64 at will; in
/// private networks each machine has one.
pub(crate) fn host_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) if !is_private(ip) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        ip => ip,
    }
}

/// The network of a public address that one owner often has all of: a /24 of IPv4, a /48 of IPv6. `None` for addresses
/// that never cross the internet.
pub(crate) fn network_of(ip: IpAddr) -> Option<IpAddr> {
    match ip.to_canonical() {
        ip if is_private(ip) => None,
        IpAddr::V4(ip) => Some(Ipv4Addr::from_bits(ip.to_bits() & !0xff).into()),
        IpAddr::V6(ip) => Some(Ipv6Addr::from_bits(ip.to_bits() >> 80 << 80).into()),
    }
}

/// Whether both addresses are of one host.
pub(crate) fn same_host(a: IpAddr, b: IpAddr) -> bool {
    host_of(a) == host_of(b)
}

#[cfg(test)]
mod tests {
    use super::{network_of, same_host};

    #[test]
    fn networks_are_of_public_addresses_only() {
        let same = |a: &str, b: &str| {
            let network = |ip: &str| network_of(ip.parse().unwrap());
            network(a).is_some() && network(a) == network(b)
        };
        assert!(same("203.0.113.1", "203.0.113.255") && !same("203.0.113.1", "203.0.112.1"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(!same("2001:db8:1::1", "2001:db8:2::1"));
        assert!(same("::ffff:203.0.113.1", "203.0.113.9"));
        for private in ["10.0.0.1", "127.0.0.1", "fd00::1", "fe80::1"] {
            assert!(!same(private, private));
        }
    }

    #[test]
    fn a_public_network_of_ipv6_is_one_host_and_all_else_is_its_address() {
        let same = |a: &str, b: &str| same_host(a.parse().unwrap(), b.parse().unwrap());
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(
            !same("fd00::1", "fd00::2"),
            "a fleet in a network of its own"
        );
        assert!(!same("fe80::1", "fe80::2"));
        assert!(!same("203.0.113.1", "203.0.113.2"));
        assert!(same("::ffff:203.0.113.1", "203.0.113.1"));
    }
}
