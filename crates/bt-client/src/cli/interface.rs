//! The addresses of a network interface, asked from the kernel by its name (rtnetlink, Linux). It
//! must not know what they are wanted for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice};

/// Figures of `linux/rtnetlink.h` and `linux/netlink.h`.
const RTM_GETADDR: u16 = 22;
const RTM_NEWADDR: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// `struct nlmsghdr`, `struct ifaddrmsg` and `struct rtattr` without their content.
const MESSAGE_HEAD: usize = 16;
const ADDRESS_HEAD: usize = 8;
const ATTRIBUTE_HEAD: usize = 4;

/// All addresses of the interface, in the order of the kernel; an error when there is no such
/// interface.
pub(crate) fn addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    // Protocol 0, the default, is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let index = netdevice::name_to_index(&socket, name)?;
    rustix::net::send(&socket, &request(), SendFlags::empty())?;
    let mut found = Vec::new();
    // The kernel sends datagrams of up to 32 KiB.
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        if !collect(&buffer[..length], index, &mut found)? {
            return Ok(found);
        }
    }
}

/// Asks for the addresses of all interfaces.
fn request() -> Vec<u8> {
    let length = u32::try_from(MESSAGE_HEAD + ADDRESS_HEAD).unwrap_or(0);
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(RTM_GETADDR.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    // Sequence number and port, and the ifaddrmsg, whose family 0 means any.
    request.extend([0; 8 + ADDRESS_HEAD]);
    request
}

/// Takes the addresses out of one datagram; false when it was the last.
fn collect(mut datagram: &[u8], index: u32, found: &mut Vec<IpAddr>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (int(datagram, 0), short(datagram, 4)) {
        let length = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .min(datagram.len())
            .max(MESSAGE_HEAD);
        let body = datagram.get(MESSAGE_HEAD..length).unwrap_or_default();
        match kind {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => return Err(io::Error::other("the kernel refused to list addresses")),
            // ifaddrmsg: family, prefix length, flags, scope, and the index of the interface.
            RTM_NEWADDR if int(body, 4) == Some(index) => {
                found.extend(address(body.get(ADDRESS_HEAD..).unwrap_or_default()));
            }
            _ => {}
        }
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    Ok(true)
}

/// The local address among the attributes. On point-to-point links IFA_ADDRESS is the other end.
fn address(mut attributes: &[u8]) -> Option<IpAddr> {
    let mut address = None;
    while let (Some(length), Some(kind)) = (short(attributes, 0), short(attributes, 2)) {
        let length = usize::from(length).max(ATTRIBUTE_HEAD);
        let value = attributes.get(ATTRIBUTE_HEAD..length)?;
        match kind {
            IFA_LOCAL => return ip(value),
            IFA_ADDRESS => address = ip(value),
            _ => {}
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    address
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(v4)));
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|v6| IpAddr::V6(Ipv6Addr::from(v6)))
}

/// Netlink rounds everything up to four bytes.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn int(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

/// A datagram for the fuzzer, as it is; and messages about addresses that the bytes stand for, which are all found.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn fuzz(data: &[u8]) {
    let mut found = Vec::new();
    let _ = collect(data, 1, &mut found);
    assert!(found.len() <= data.len() / (MESSAGE_HEAD + ADDRESS_HEAD));
    let mut datagram = Vec::new();
    let mut expected = Vec::new();
    for &[how, index, last] in data.as_chunks().0 {
        let ip: IpAddr = match how & 1 {
            0 => Ipv4Addr::new(10, 0, how, last).into(),
            _ => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, how.into(), last.into()).into(),
        };
        let octets = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let index = u32::from(index & 1);
        let length = u16::try_from(ATTRIBUTE_HEAD + octets.len()).unwrap_or(0);
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        // What is not known, the other end of a link, and our own.
        for (kind, value) in [
            (9, &[0, 0, 0, 0][..]),
            (IFA_ADDRESS, &octets),
            (IFA_LOCAL, &octets),
        ] {
            if kind == IFA_LOCAL && how & 2 == 0 {
                continue;
            }
            let length = u16::try_from(ATTRIBUTE_HEAD + value.len()).unwrap_or(length);
            body.extend(length.to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend_from_slice(value);
        }
        let whole = u32::try_from(MESSAGE_HEAD + body.len()).unwrap_or(0);
        datagram.extend(whole.to_ne_bytes());
        datagram.extend(RTM_NEWADDR.to_ne_bytes());
        datagram.extend([0; MESSAGE_HEAD - 6]);
        datagram.extend(body);
        expected.extend((index == 1).then_some(ip));
    }
    found.clear();
    assert!(matches!(collect(&datagram, 1, &mut found), Ok(true)));
    assert_eq!(found, expected);
}

#[cfg(test)]
mod tests {
    use super::addresses;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn the_loopback_interface_has_the_loopback_address() {
        assert!(
            addresses("lo")
                .unwrap()
                .contains(&IpAddr::V4(Ipv4Addr::LOCALHOST))
        );
    }

    #[test]
    fn an_unknown_interface_is_an_error() {
        assert!(addresses("no-such-if0").is_err());
    }
}
