//! Addresses of a host: families, order, and which of them the whole internet can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::udp::Family;

/// Alternates the families, beginning with that of the first address, and keeps the order within
/// each (RFC 8305, section 4). Doubles are left out.
pub(super) fn interleaved(addrs: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addrs.first() else {
        return Vec::new();
    };
    let family = Family::of(*first);
    // A double must not take the turn of its family.
    let mut distinct: Vec<SocketAddr> = Vec::with_capacity(addrs.len());
    for addr in addrs {
        if !distinct.contains(addr) {
            distinct.push(*addr);
        }
    }
    let of = |wanted: bool| {
        distinct
            .iter()
            .filter(move |addr| (Family::of(**addr) == family) == wanted)
    };
    let (mut one, mut other) = (of(true), of(false));
    let mut out = Vec::with_capacity(distinct.len());
    loop {
        let pair = [one.next(), other.next()];
        if pair == [None, None] {
            return out;
        }
        out.extend(pair.into_iter().flatten());
    }
}

/// Whether the address belongs to the public internet. Everything else is this host, this
/// network, or nowhere (IANA special-purpose address registries).
pub(super) fn is_global(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    !(a == 0
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || (a == 100 && (b & 0xC0) == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b & 0xFE) == 18)
        || ip.is_documentation()
        || ip.is_multicast()
        || a >= 240)
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = ip.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_global_v4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b) {
        // NAT64 and 6to4 lead to the IPv4 address inside.
        (0x64, 0xFF9B) if (c, d, e, f) == (0, 0, 0, 0) => embedded(g, h),
        (0x2002, _) => embedded(b, c),
        // Protocol assignments (RFC 2928), where no tracker lives. One of them is Teredo (RFC 4380, section 4), which
        // leads to IPv4 addresses inside as well, of a server and, its bits turned over, of a host behind a NAT.
        (0x2001, 0..0x0200) => false,
        // Documentation (RFC 3849, RFC 9637).
        (0x2001, 0x0DB8) | (0x3FFF, 0..0x1000) => false,
        // Only 2000::/3 is in use.
        _ => a & 0xE000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate() {
        let addrs = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter().map(|text| text.parse().unwrap()).collect()
        };
        let list = addrs(&[
            "[2001::1]:1",
            "[2001::2]:1",
            "1.1.1.1:1",
            "[2001::1]:1",
            "1.1.1.2:1",
        ]);
        let expected = addrs(&["[2001::1]:1", "1.1.1.1:1", "[2001::2]:1", "1.1.1.2:1"]);
        assert_eq!(interleaved(&list), expected);
        assert_eq!(interleaved(&[]), []);
        // A double took the turn of its family.
        let list = addrs(&[
            "[2001::1]:1",
            "[2001::1]:1",
            "[2001::2]:1",
            "1.1.1.1:1",
            "1.1.1.2:1",
        ]);
        assert_eq!(interleaved(&list), expected);
    }

    #[test]
    fn only_public_addresses_are_global() {
        for ip in [
            "1.1.1.1",
            "100.128.0.1",
            "198.20.0.1",
            "2600::1",
            "2001:200::1",
            "3fff:1000::1",
            "2002:101:101::",
            "64:ff9b::101:101",
        ] {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            // Teredo: the host 192.168.1.1 and the public one 93.184.216.34, of the server 65.54.227.120.
            "2001:0:4136:e378:8000:63bf:3f57:fefe",
            "2001:0:4136:e378:8000:63bf:a247:27dd",
            "2001:2::1",
            "2001:1ff::1",
            "3fff:fff::1",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
    }
}
