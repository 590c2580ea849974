//! Replies that are sent together, and what the kernel says beside a packet: read by safe code and by the macros of C.

use super::super::control_message::Messages;
use super::*;

#[test]
fn replies_of_one_length_travel_together_with_one_that_is_shorter() {
    let of = |lengths: &[u32]| together(lengths.iter().copied());
    assert_eq!([of(&[]), of(&[200]), of(&[200, 200])], [1, 1, 2]);
    assert_eq!([of(&[200, 26]), of(&[200, 26, 26])], [2, 2]);
    assert_eq!(of(&[200, 200, 26, 20]), 3);
    // A longer one could not be the last part.
    assert_eq!(of(&[20, 200]), 1);
    assert_eq!(of(&[20; 100]), 64);
    assert_eq!(of(&[1400; 100]), 46);
}

fn sent_from(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// It took the message about cutting off headers that had none, and the replies in them were lost.
#[test]
fn a_joined_reply_that_is_refused_goes_one_by_one_and_the_others_as_they_were() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let clients: Vec<UdpSocket> = (0..2)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    // Three packets of one client and one of another.
    let (mut inbox, mut outbox) = (Inbox::new(false), Outbox::new());
    for at in [0, 0, 0, 1] {
        clients[at].send_to(b"?", sent_from(&server)).unwrap();
    }
    let mut came: usize = 0;
    outbox.clear();
    while came < 4 {
        inbox.receive(&server).unwrap();
        for (at, packet) in inbox.packets(0).enumerate() {
            let (_, source) = packet.unwrap();
            let start = outbox.bytes.len();
            outbox.bytes.extend_from_slice(&[b'a'; 40]);
            outbox.reply(start, &inbox, at, source);
        }
        came += inbox.packets(0).len();
    }
    outbox
        .replies
        .sort_unstable_by_key(|reply| reply.destination);
    outbox.lay_out();
    let lengths = |outbox: &Outbox| {
        let headers = outbox.headers.iter();
        let lengths = headers.map(|h| (h.msg_hdr.msg_iovlen, h.msg_hdr.msg_controllen));
        lengths.collect::<Vec<_>>()
    };
    let before = lengths(&outbox);
    let at = before.iter().position(|(count, _)| *count == 3).unwrap();
    outbox.separate(at);
    let mut expected = before;
    expected.splice(at..=at, [(1, 0); 3]);
    assert_eq!(lengths(&outbox), expected);
    // And they arrive.
    let count = u32::try_from(outbox.headers.len()).unwrap();
    // SAFETY: as in `send`.
    let done = unsafe { libc::sendmmsg(server.as_raw_fd(), outbox.headers.as_mut_ptr(), count, 0) };
    assert_eq!(done, 4);
    for (client, replies) in clients.iter().zip([3, 1]) {
        for _ in 0..replies {
            let mut buffer = [0; 100];
            assert_eq!(client.recv(&mut buffer).unwrap(), 40);
        }
    }
}

/// The messages as the macros of C find them.
fn by_macros(bytes: &[u8]) -> Vec<(i32, i32, Vec<u8>)> {
    // As many words as there are bytes begun, so that it is aligned.
    let word = |part: &[u8]| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_ne_bytes(word)
    };
    let mut words: Vec<u64> = bytes.chunks(8).map(word).collect();
    let start = words.as_mut_ptr();
    // SAFETY: plain data of C for which zero is a value.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_control = start.cast();
    header.msg_controllen = bytes.len();
    let mut found = Vec::new();
    // SAFETY: `header` says where `words` are, and no more bytes than they have.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !at.is_null() {
        // SAFETY: the macros hand out no head that does not lie within the bytes, and `words` is aligned as a head is.
        let (head, data) = unsafe { (at.read(), libc::CMSG_DATA(at)) };
        // The macros leave it to whoever asks them whether the data is there as well.
        let from = at.addr() - start.addr();
        let end = from.checked_add(head.cmsg_len);
        let data = data.addr() - start.addr();
        let Some(data) = end.and_then(|end| bytes.get(data..end)) else {
            break;
        };
        found.push((head.cmsg_level, head.cmsg_type, data.to_vec()));
        // SAFETY: as for the first, and `at` lies within it, and its length too.
        at = unsafe { libc::CMSG_NXTHDR(&raw const header, at) };
    }
    found
}

fn by_ours(bytes: &[u8]) -> Vec<(i32, i32, Vec<u8>)> {
    let messages = Messages(bytes).map(|one| (one.level, one.kind, one.data.to_vec()));
    messages.collect()
}

/// Socket options that make the kernel tell more, and what it tells then.
const STAMPS: [(i32, i32); 2] = [
    (libc::SO_TIMESTAMP, libc::SCM_TIMESTAMP),
    (libc::SO_TIMESTAMPNS, libc::SCM_TIMESTAMPNS),
];

/// What the kernel says of real packets is read as the macros of C read it. Our address was lost behind a time stamp, for
/// which a service manager may ask before we get the socket, and in IPv6 there was no room for both.
#[test]
fn what_the_kernel_says_beside_a_packet_is_what_the_macros_of_c_find() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "::1")] {
        for stamp in [None, Some(STAMPS[0]), Some(STAMPS[1])] {
            let server = UdpSocket::bind(bound).unwrap();
            tell_destination(&server, bound.starts_with('[')).unwrap();
            if let Some((option, _)) = stamp {
                set_option(&server, libc::SOL_SOCKET, option, 1).unwrap();
                set_option(&server, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1).unwrap();
            }
            let asked: IpAddr = asked.parse().unwrap();
            let client = UdpSocket::bind((asked, 0)).unwrap();
            let to = (asked, sent_from(&server).port());
            client.send_to(b"?", to).unwrap();
            let mut inbox = Inbox::new(true);
            inbox.receive(&server).unwrap();
            let header = &inbox.headers[0].msg_hdr;
            assert_eq!(header.msg_flags & libc::MSG_CTRUNC, 0, "{bound} {stamp:?}");
            let bytes = inbox.controls[0].filled(header.msg_controllen);
            assert_eq!(by_ours(bytes), by_macros(bytes));
            let is_it = |kind| by_ours(bytes).iter().any(|one| one.1 == kind);
            assert!(stamp.is_none_or(|(_, kind)| is_it(kind)), "no time stamp");
            let local = match inbox.local(0) {
                Local::Fixed => None,
                Local::V4(ip) => Some(IpAddr::from(ip)),
                Local::V6(ip, _) => Some(IpAddr::from(ip)),
            };
            assert_eq!(local, Some(asked), "{bound} {stamp:?}");
        }
    }
}

proptest::proptest! {
    /// And so are bytes that no kernel says, and those that we write.
    #[test]
    fn any_bytes_are_the_messages_that_the_macros_of_c_find(
        lengths in proptest::collection::vec((0..60_usize, 0..4_i32), 0..6),
        tail in proptest::collection::vec(proptest::num::u8::ANY, 0..40),
        (ip, part) in (proptest::num::u128::ANY, proptest::option::of(1..1_400_u32)),
    ) {
        let mut bytes = Vec::new();
        for (length, kind) in lengths {
            // Lengths of a few bytes are less than the head.
            bytes.extend(length.to_ne_bytes());
            bytes.extend([kind.to_ne_bytes(), kind.to_ne_bytes()].concat());
            bytes.resize(bytes.len() + length.saturating_sub(16).next_multiple_of(8), 7);
        }
        bytes.extend(tail);
        proptest::prop_assert_eq!(by_ours(&bytes), by_macros(&bytes));
        let (control, length) = Control::new(Local::V6(ip.into(), 1), part);
        let ours = by_ours(control.filled(length));
        proptest::prop_assert_eq!(&ours, &by_macros(control.filled(length)));
        proptest::prop_assert_eq!(ours.len(), 1 + usize::from(part.is_some()));
    }
}
