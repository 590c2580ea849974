//! Addresses and paths of trackers as the fuzz driver plays them: each verdict against a slow reading of its own.
//!
//! It must not know how the verdicts are reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::{interleaved, is_global};
use super::guard::looks_like_an_announce;

/// Networks of the IANA special-purpose registries and of no use at all, IPv4.
const NOT_GLOBAL_V4: [&str; 14] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Networks within 2000::/3 that nobody can be reached in: protocol assignments with Teredo, and documentation.
const NOT_GLOBAL_V6: [&str; 3] = ["2001::/23", "2001:db8::/32", "3fff::/20"];

/// Networks whose addresses hold one of IPv4, and where it begins.
const HOLD_V4: [(&str, usize); 3] = [
    ("64:ff9b::/96", 12),
    ("2002::/16", 2),
    ("::ffff:0:0/96", 12),
];

/// An address of 16 bytes, whose first four are one of IPv4 as well, and behind it a path; all of it is also a list of
/// addresses of two bytes each.
pub(crate) fn address(data: &[u8]) {
    let (first, path) = data.split_at(data.len().min(16));
    let mut octets = [0; 16];
    octets[..first.len()].copy_from_slice(first);
    let [a, b, c, d, ..] = octets;
    let v4 = Ipv4Addr::new(a, b, c, d);
    let v6 = Ipv6Addr::from(octets);
    let of_nat64 = Ipv6Addr::from(0x64_FF9B_u128 << 96 | u128::from(v4.to_bits()));
    let of_6to4 = Ipv6Addr::from(0x2002_u128 << 112 | u128::from(v4.to_bits()) << 80);
    let all: [IpAddr; 5] = [
        v4.into(),
        v6.into(),
        v4.to_ipv6_mapped().into(),
        of_nat64.into(),
        of_6to4.into(),
    ];
    for ip in all {
        assert_eq!(is_global(ip), is_global_by_tables(ip), "{ip}");
    }
    let path = String::from_utf8_lossy(path);
    let expected = reads_as_an_announce(path.as_bytes());
    assert_eq!(looks_like_an_announce(&path), expected, "{path:?}");
    alternates(data);
}

/// Whether an address lies in a network of its family.
fn is_in(ip: IpAddr, network: &str) -> bool {
    let (base, length) = network.split_once('/').expect("a network");
    let length: u32 = length.parse().expect("a length");
    let first_bits = |bits: u128, all: u32| bits >> (all - length);
    match (ip, base.parse().expect("an address")) {
        (IpAddr::V4(ip), IpAddr::V4(base)) => {
            let of = |ip: Ipv4Addr| first_bits(ip.to_bits().into(), 32);
            of(ip) == of(base)
        }
        (IpAddr::V6(ip), IpAddr::V6(base)) => {
            let of = |ip: Ipv6Addr| first_bits(ip.to_bits(), 128);
            of(ip) == of(base)
        }
        _ => false,
    }
}

fn is_global_by_tables(ip: IpAddr) -> bool {
    let IpAddr::V6(v6) = ip else {
        return !NOT_GLOBAL_V4.iter().any(|network| is_in(ip, network));
    };
    let octets = v6.octets();
    let mut holders = HOLD_V4.into_iter();
    let holds = |network: &str| is_in(ip, network);
    if let Some((_, at)) = holders.find(|(network, _)| holds(network)) {
        let inside: [u8; 4] = octets[at..at + 4].try_into().expect("four of them");
        return is_global_by_tables(Ipv4Addr::from(inside).into());
    }
    is_in(ip, "2000::/3") && !NOT_GLOBAL_V6.iter().any(|network| is_in(ip, network))
}

/// One byte after the other, as a server would.
fn reads_as_an_announce(path: &[u8]) -> bool {
    let mut parts = vec![Vec::new()];
    let mut counts = true;
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        let escaped = match path.get(at..at + 3) {
            Some(&[b'%', high, low]) => char::from(high)
                .to_digit(16)
                .zip(char::from(low).to_digit(16))
                .map(|(high, low)| high * 16 + low),
            _ => None,
        };
        let (meant, width) = match (byte, escaped) {
            (_, Some(0x25)) => return false,
            (_, Some(0x2F | 0x5C)) | (b'\\', _) => (b'/', 1),
            (_, Some(0x2E)) => (b'.', 3),
            (_, Some(0x3B)) => (b';', 3),
            (b'?' | b'#', _) => break,
            (byte, _) => (byte.to_ascii_lowercase(), 1),
        };
        at += if escaped.is_some() && meant == b'/' {
            3
        } else {
            width
        };
        match meant {
            b'/' => {
                parts.push(Vec::new());
                counts = true;
            }
            b';' => counts = false,
            byte if counts => parts.last_mut().expect("one is there").push(byte),
            _ => {}
        }
    }
    let mut named = parts.iter();
    named.any(|part| part.starts_with(b"announce") || part.starts_with(b"scrape"))
        && !parts.iter().any(|part| part == b"..")
}

/// Nobody is lost or there twice, the first stays first, each family keeps its order, and two of one family follow each
/// other only when no more of the other are left.
fn alternates(data: &[u8]) {
    let addrs: Vec<SocketAddr> = data.as_chunks().0.iter().take(40).map(of_two).collect();
    let out = interleaved(&addrs);
    assert_eq!(out.first(), addrs.first());
    for is_v4 in [true, false] {
        let mut expected = Vec::new();
        for addr in addrs.iter().filter(|addr| addr.is_ipv4() == is_v4) {
            if !expected.contains(addr) {
                expected.push(*addr);
            }
        }
        let got = out.iter().filter(|addr| addr.is_ipv4() == is_v4);
        assert!(got.eq(&expected), "{out:?}");
    }
    for (at, pair) in out.windows(2).enumerate() {
        let is_v4 = pair[0].is_ipv4();
        let mut later = out[at + 1..].iter();
        assert!(
            pair[1].is_ipv4() != is_v4 || later.all(|addr| addr.is_ipv4() == is_v4),
            "{out:?}"
        );
    }
}

fn of_two(&[what, port]: &[u8; 2]) -> SocketAddr {
    let last = what >> 1 & 7;
    let ip: IpAddr = match what & 1 {
        0 => Ipv4Addr::new(192, 0, 2, last).into(),
        _ => Ipv6Addr::from(0x2001_0DB8_u128 << 96 | u128::from(last)).into(),
    };
    SocketAddr::new(ip, 80 + u16::from(port & 1))
}
