//! Compact peer lists: 6 bytes an IPv4 address and port, 18 bytes an IPv6 one (BEP 23, 7).
//!
//! Knows nothing of trackers or peers. Decoding allocates nothing and yields at most one address
//! per whole record, so that a caller bounds it with `take`.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Bytes of an IPv4 record.
pub const V4_LEN: usize = 6;

/// Bytes of an IPv6 record.
pub const V6_LEN: usize = 18;

/// Appends one record: 6 bytes for an IPv4 address, 18 for an IPv6 address.
///
/// The two kinds travel in lists of their own (`peers` and `peers6`), so a caller sorts them first.
pub fn encode(addr: SocketAddr, out: &mut Vec<u8>) {
    match addr {
        SocketAddr::V4(addr) => out.extend_from_slice(&encode_v4(addr)),
        SocketAddr::V6(addr) => out.extend_from_slice(&encode_v6(addr)),
    }
}

/// The record of an IPv4 address.
pub fn encode_v4(addr: SocketAddrV4) -> [u8; V4_LEN] {
    let [a, b, c, d] = addr.ip().octets();
    let [high, low] = addr.port().to_be_bytes();
    [a, b, c, d, high, low]
}

/// The record of an IPv6 address.
pub fn encode_v6(addr: SocketAddrV6) -> [u8; V6_LEN] {
    let mut record = [0; V6_LEN];
    let parts = addr
        .ip()
        .octets()
        .into_iter()
        .chain(addr.port().to_be_bytes());
    for (byte, part) in record.iter_mut().zip(parts) {
        *byte = part;
    }
    record
}

/// The addresses of a list of IPv4 records, in order.
///
/// A rest that is no whole record is not yielded; [`Records::remainder`] tells how long it is.
pub fn decode_v4(bytes: &[u8]) -> Records<'_> {
    Records {
        rest: bytes,
        record: V4_LEN,
    }
}

/// The addresses of a list of IPv6 records, in order; a rest is treated as in [`decode_v4`].
pub fn decode_v6(bytes: &[u8]) -> Records<'_> {
    Records {
        rest: bytes,
        record: V6_LEN,
    }
}

/// The addresses of a compact list. Port 0 and odd addresses are yielded as they are.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
    record: usize,
}

impl Records<'_> {
    /// How many bytes at the end of the list are no whole record; 0 for a well-formed list.
    pub fn remainder(&self) -> usize {
        self.rest.len() % self.record
    }
}

impl Iterator for Records<'_> {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        let (record, rest) = self.rest.split_at_checked(self.record)?;
        self.rest = rest;
        let (ip, port) = record.split_last_chunk::<2>()?;
        let port = u16::from_be_bytes(*port);
        if let Ok(ip) = <[u8; 4]>::try_from(ip) {
            return Some(SocketAddr::from((Ipv4Addr::from(ip), port)));
        }
        let ip = <[u8; 16]>::try_from(ip).ok()?;
        Some(SocketAddr::from((Ipv6Addr::from(ip), port)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.rest.len() / self.record;
        (count, Some(count))
    }
}

impl ExactSizeIterator for Records<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn records_are_big_endian() {
        let mut out = Vec::new();
        encode(addr("80.4.4.200:6881"), &mut out);
        assert_eq!(out, [80, 4, 4, 200, 0x1a, 0xe1]);
        out.clear();
        encode(addr("[2001:db8::1]:80"), &mut out);
        assert_eq!(
            out,
            [
                0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80
            ]
        );
    }

    #[test]
    fn lists_come_back_in_order_and_a_rest_is_reported() {
        let v4 = [
            addr("1.2.3.4:5"),
            addr("0.0.0.0:0"),
            addr("255.255.255.255:65535"),
        ];
        let mut out = Vec::new();
        v4.iter().for_each(|addr| encode(*addr, &mut out));
        assert_eq!(decode_v4(&out).collect::<Vec<_>>(), v4);
        assert_eq!(decode_v4(&out).remainder(), 0);
        for cut in 1..V4_LEN {
            let mut records = decode_v4(&out[..out.len() - cut]);
            assert_eq!(records.len(), 2);
            assert_eq!(records.remainder(), V4_LEN - cut);
            assert_eq!(records.by_ref().count(), 2);
        }

        let v6 = [addr("[::1]:1"), addr("[fe80::2]:65535")];
        out.clear();
        v6.iter().for_each(|addr| encode(*addr, &mut out));
        assert_eq!(decode_v6(&out).collect::<Vec<_>>(), v6);
        assert_eq!(decode_v6(&out[..17]).count(), 0);
        assert_eq!(decode_v4(&[]).count(), 0);
    }
}
