//! Control messages, which the kernel hands over beside a packet and takes with one: bytes in, values out, and back.
//!
//! Pure. It must not know sockets, packets or the calls that carry these bytes. Whatever the bytes are, and wherever they
//! lie in memory, nothing is read beyond them: a message that is cut off ends the list, and those before it count.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Bytes of a message before its data: its length, which counts them, and two numbers that say what it is.
const HEAD: usize = size_of::<usize>() + 2 * size_of::<libc::c_int>();

const _: () = assert!(HEAD == size_of::<libc::cmsghdr>(), "the head is C's");

/// Bytes of the message that says where to cut.
pub(super) const PART: usize = space(size_of::<u16>());

/// The control messages of one packet, aligned as C wants them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; Self::ROOM]);

/// Which of our addresses a packet was sent to, so that the answer can leave from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// The socket has one address only, or the kernel did not say.
    Fixed,
    V4(Ipv4Addr),
    /// With the interface, for addresses that mean something only there.
    V6(Ipv6Addr, u32),
}

/// One message as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) level: i32,
    pub(super) kind: i32,
    pub(super) data: &'a [u8],
}

/// The messages in some bytes, one after the other, until the bytes end or make no sense.
#[derive(Clone, Copy)]
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl Control {
    /// What the messages that we ask for and send take is 40 bytes for an IPv6 address and 24 for where to cut. A socket that
    /// a service manager has bound may give more, and all of that comes first: a time stamp takes 32 bytes; the number of packets
    /// lost and a mark take 24 each.
    pub(super) const ROOM: usize = 128;

    pub(super) const EMPTY: Self = Self([0; Self::ROOM]);

    /// The messages for a packet that leaves from an address of ours and, if it is several, is cut into parts of a length;
    /// that one comes last. Also tells how many bytes they take.
    pub(super) fn new(local: Local, part: Option<u32>) -> (Self, usize) {
        let (mut control, mut length) = (Self::EMPTY, 0);
        let mut put = |level, kind, data: &[u8]| {
            let bytes = message(level, kind, data);
            let free = control.0.iter_mut().skip(length);
            free.zip(bytes).for_each(|(byte, part)| *byte = part);
            length += space(data.len());
        };
        match local {
            Local::Fixed => {}
            Local::V4(ip) => {
                // No interface: the route to the peer decides. Then the address to leave from.
                let mut info = [0; 12];
                info[4..8].copy_from_slice(&ip.octets());
                put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
            Local::V6(ip, interface) => {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip.octets());
                if ip.is_unicast_link_local() {
                    info[16..].copy_from_slice(&interface.to_ne_bytes());
                }
                put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            }
        }
        if let Some(part) = part {
            let size = u16::try_from(part).unwrap_or(u16::MAX).to_ne_bytes();
            put(libc::SOL_UDP, libc::UDP_SEGMENT, &size);
        }
        (control, length)
    }

    /// The bytes that are filled, as somebody says who may be wrong: none if there are not so many.
    pub(super) fn filled(&self, length: usize) -> &[u8] {
        self.0.get(..length).unwrap_or_default()
    }
}

impl Local {
    /// What the first message says that is about it; others may come before.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut said = Messages(bytes).filter_map(Message::local);
        said.next().unwrap_or(Self::Fixed)
    }
}

impl Message<'_> {
    /// Our address, if the message is about it and long enough.
    fn local(self) -> Option<Local> {
        match (self.level, self.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let ip: [u8; 4] = self.data.get(4..8)?.try_into().ok()?;
                Some(Local::V4(ip.into()))
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let (ip, interface) = self.data.split_first_chunk::<16>()?;
                let interface = u32::from_ne_bytes(*interface.first_chunk()?);
                Some(Local::V6((*ip).into(), interface))
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (level, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let length = usize::from_ne_bytes(*length).checked_sub(HEAD)?;
        let data = rest.get(..length)?;
        // The last one may end without what aligns the next.
        self.0 = rest.get(aligned(length)..).unwrap_or_default();
        Some(Message {
            level: i32::from_ne_bytes(*level),
            kind: i32::from_ne_bytes(*kind),
            data,
        })
    }
}

/// The bytes of a message, without what aligns the next.
fn message(level: i32, kind: i32, data: &[u8]) -> impl Iterator<Item = u8> {
    let head = (HEAD + data.len()).to_ne_bytes().into_iter();
    let head = head.chain(level.to_ne_bytes()).chain(kind.to_ne_bytes());
    head.chain(data.iter().copied())
}

/// Bytes that a message takes with its head and what aligns the next one.
const fn space(data: usize) -> usize {
    HEAD + aligned(data)
}

const fn aligned(data: usize) -> usize {
    data.next_multiple_of(size_of::<usize>())
}

/// Bytes as control messages for the fuzzer: they are those that a slow reader finds, wherever the bytes lie and however many
/// come behind them; our address among them is the first that is whole, and survives being written and read.
#[cfg(any(test, feature = "fuzz"))]
pub(super) fn fuzz(bytes: &[u8]) {
    let found: Vec<Message<'_>> = Messages(bytes).collect();
    let slow = slowly(bytes);
    assert_eq!(found.len(), slow.len(), "not the messages that are there");
    for (at, (one, (start, end))) in found.iter().zip(&slow).enumerate() {
        assert!(one.data == &bytes[start + HEAD..*end], "message {at}");
        assert_eq!(one.kind.to_ne_bytes(), bytes[start + HEAD - 4..][..4]);
        assert_eq!(one.level.to_ne_bytes(), bytes[start + HEAD - 8..][..4]);
        // It is whole as soon as its last byte is there.
        assert_eq!(Messages(&bytes[..*end]).count(), at + 1, "message {at}");
        assert_eq!(Messages(&bytes[..end - 1]).count(), at, "message {at}");
    }
    let local = Local::read(bytes);
    for shift in 1..size_of::<usize>() {
        let mut moved = vec![0xff; shift];
        moved.extend_from_slice(bytes);
        assert!(Messages(&moved[shift..]).eq(found.iter().copied()));
    }
    let whole = |one: &Message<'_>| match (one.level, one.kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => one.data.len() >= 8,
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => one.data.len() >= 20,
        _ => false,
    };
    let first = found.iter().find(|one| whole(one));
    match (local, first) {
        (Local::Fixed, None) => {}
        (Local::V4(ip), Some(one)) => assert_eq!(ip.octets(), one.data[4..8]),
        (Local::V6(ip, interface), Some(one)) => {
            assert_eq!(ip.octets(), one.data[..16]);
            assert_eq!(interface.to_ne_bytes(), one.data[16..20]);
        }
        _ => panic!("{local:?} of {first:?}"),
    }
    let part = bytes.first().map(|&byte| u32::from(byte) * 300);
    for part in [None, part] {
        let (control, length) = Control::new(local, part);
        let sent = match local {
            Local::V6(ip, _) if !ip.is_unicast_link_local() => Local::V6(ip, 0),
            other => other,
        };
        assert_eq!(Local::read(control.filled(length)), sent);
        let messages = Messages(control.filled(length)).count();
        let due = usize::from(local != Local::Fixed) + usize::from(part.is_some());
        assert!(messages == due && length <= Control::ROOM);
    }
}

/// Where each message begins and ends.
#[cfg(any(test, feature = "fuzz"))]
fn slowly(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut messages, mut start) = (Vec::new(), 0);
    while start + HEAD <= bytes.len() {
        let mut length: u128 = 0;
        for at in 0..size_of::<usize>() {
            let at = if cfg!(target_endian = "little") {
                size_of::<usize>() - 1 - at
            } else {
                at
            };
            length = length * 256 + u128::from(bytes[start + at]);
        }
        if length < HEAD as u128 || length > (bytes.len() - start) as u128 {
            break;
        }
        let mut end = start;
        for _ in 0..length {
            end += 1;
        }
        messages.push((start, end));
        start = end;
        while start % size_of::<usize>() != 0 {
            start += 1;
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const IP: (i32, i32) = (libc::IPPROTO_IP, libc::IP_PKTINFO);
    const IPV6: (i32, i32) = (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO);
    const STAMP: (i32, i32) = (libc::SOL_SOCKET, libc::SCM_TIMESTAMP);

    /// Messages of any kind, but often of one that we know.
    fn messages() -> impl Strategy<Value = Vec<((i32, i32), Vec<u8>)>> {
        let known = prop_oneof![Just(IP), Just(IPV6), Just(STAMP)];
        let kind = prop_oneof![4 => known, 1 => any::<(i32, i32)>()];
        vec((kind, vec(any::<u8>(), 0..40)), 0..6)
    }

    /// Each behind the other, with `padding` for what aligns the next.
    fn written(messages: &[((i32, i32), Vec<u8>)], padding: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        for ((level, kind), data) in messages {
            bytes.extend(message(*level, *kind, data));
            bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), padding);
        }
        bytes
    }

    proptest! {
        #[test]
        fn what_is_written_is_found_and_a_cut_takes_what_it_reaches(
            (messages, padding, cut) in (messages(), any::<u8>(), any::<prop::sample::Index>()),
        ) {
            let bytes = written(&messages, padding);
            let found = Messages(&bytes).map(|one| ((one.level, one.kind), one.data.to_vec()));
            prop_assert_eq!(found.collect::<Vec<_>>(), messages.clone());
            let cut = cut.index(bytes.len() + 1);
            let (mut end, mut whole) = (0, 0);
            for (_, data) in &messages {
                whole += usize::from(end + HEAD + data.len() <= cut);
                end += space(data.len());
            }
            prop_assert_eq!(Messages(&bytes[..cut]).count(), whole);
            fuzz(&bytes[..cut]);
        }

        #[test]
        fn nothing_is_read_beyond_whatever_comes(bytes in vec(any::<u8>(), 0..200)) {
            fuzz(&bytes);
        }

        #[test]
        fn a_flipped_byte_is_no_reason_to_read_elsewhere(
            (messages, at, byte) in (messages(), any::<prop::sample::Index>(), any::<u8>()),
        ) {
            let mut bytes = written(&messages, 0);
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            fuzz(&bytes);
        }
    }

    #[test]
    fn where_a_packet_was_sent_to_is_read_as_it_is_written() {
        for local in [
            Local::V4([192, 0, 2, 7].into()),
            Local::V6("fe80::7".parse().unwrap(), 3),
            Local::V6("2001:db8::7".parse().unwrap(), 0),
        ] {
            for part in [None, Some(320)] {
                let (control, length) = Control::new(local, part);
                assert_eq!(Local::read(control.filled(length)), local);
                for cut in 0..28 {
                    // Too short for the address: none.
                    assert_eq!(Local::read(control.filled(cut)), Local::Fixed);
                }
            }
        }
        assert_eq!(Control::new(Local::Fixed, None).1, 0);
        assert_eq!(Local::read(&[]), Local::Fixed);
        let (control, length) = Control::new(Local::Fixed, Some(320));
        assert_eq!(
            (length, Local::read(control.filled(length))),
            (PART, Local::Fixed)
        );
        assert!(control.filled(Control::ROOM + 1).is_empty());
    }

    #[test]
    fn what_a_socket_tells_besides_does_not_hide_our_address() {
        let info: Vec<u8> = [[0; 4], [127, 0, 0, 2], [127, 0, 0, 2]].concat();
        let ours = (IP, info.clone());
        let expected = Local::V4([127, 0, 0, 2].into());
        for before in [(STAMP, vec![7; 16]), (IP, vec![0; 7]), (IPV6, vec![1; 19])] {
            let bytes = written(&[before, ours.clone()], 0xff);
            assert_eq!(Local::read(&bytes), expected);
        }
        // A length that ends within its own head, or at the end of all numbers, ends the list.
        for length in [0, HEAD - 1, usize::MAX - 6, usize::MAX] {
            let mut bytes = written(&[(STAMP, Vec::new()), ours.clone()], 0);
            bytes[..size_of::<usize>()].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(Local::read(&bytes), Local::Fixed, "{length}");
        }
    }
}
