//! The calls into the kernel that have no safe form: many packets at once (`recvmmsg`,
//! `sendmmsg`), and connections that are only accepted once something has come on them.
//!
//! The only unsafe code of the crate. It must not know what is in a packet. Every pointer that is
//! handed to the kernel is made right before the call from buffers that outlive it, and lengths
//! that come back are checked against those buffers.

#![expect(
    unsafe_code,
    reason = "neither the standard library nor rustix has these calls"
)]

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

/// Seconds for which a connection on which nothing comes is not accepted. Then it is, and gets
/// the time of every other connection to send its request.
const DEFER_ACCEPT: libc::c_int = 1;

/// Packets taken with one call at most.
pub(super) const BATCH: usize = 128;

/// Bytes of a packet that are read. A scrape of 74 torrents has 1,496 and an announce with URL
/// data is shorter; longer packets are dropped.
pub(super) const PACKET: usize = 2048;

/// Packets that came.
pub(super) struct Inbox {
    packets: Box<[[u8; PACKET]]>,
    names: Box<[libc::sockaddr_storage]>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    /// `<= BATCH`
    count: usize,
}

/// Packets to be sent, each to where a packet of the inbox came from.
///
/// Replies of one length to one address travel through the kernel as one and are cut apart at the
/// end (UDP segmentation), which spares most of the way: programs that announce many torrents ask
/// for all of them at once.
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    replies: Vec<Reply>,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    controls: Vec<Control>,
    /// Whether the kernel and the network device take replies together.
    joins: bool,
}

#[derive(Clone, Copy)]
struct Reply {
    /// Equal for equal destinations, and nearly always different for different ones.
    destination: u64,
    length: u32,
    /// `bytes[start..][..length]`
    start: u32,
    /// Which packet of the inbox it answers.
    to: u32,
}

/// One control message that holds a number of 16 bits.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; 24]);

// SAFETY: the pointers in `headers` and `vectors` are only used between being set and the return
// of the call that they are set for; both happen in one method that borrows the buffers.
unsafe impl Send for Inbox {}
// SAFETY: as for `Inbox`.
unsafe impl Send for Outbox {}

impl Inbox {
    pub(super) fn new() -> Self {
        // SAFETY: all of these are plain data of C for which zero is a value.
        let (name, header, vector) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            packets: vec![[0; PACKET]; BATCH].into_boxed_slice(),
            names: vec![name; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            count: 0,
        }
    }

    /// Waits for a packet, for as long as the socket's read time-out, and takes it with those
    /// that came meanwhile. Returns how many there are.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.count = 0;
        for at in 0..BATCH {
            self.vectors[at] = libc::iovec {
                iov_base: self.packets[at].as_mut_ptr().cast(),
                iov_len: PACKET,
            };
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[at]).cast();
            header.msg_namelen = size_of_u32::<libc::sockaddr_storage>();
            header.msg_iov = &raw mut self.vectors[at];
            header.msg_iovlen = 1;
            header.msg_flags = 0;
        }
        // SAFETY: `headers` has BATCH elements, each of which points to one address and one
        // vector, which points to PACKET bytes; all of them are borrowed mutably by `self`.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                u32::try_from(BATCH).unwrap_or(1),
                libc::MSG_WAITFORONE,
                ptr::null_mut(),
            )
        };
        self.count = usize::try_from(got)
            .map_err(|_| io::Error::last_os_error())?
            .min(BATCH);
        Ok(self.count)
    }

    /// A packet and where it came from; `None` when it is longer than [`PACKET`] or from no
    /// internet address.
    pub(super) fn packet(&self, at: usize) -> Option<(&[u8], SocketAddr)> {
        let header = self.headers.get(..self.count)?.get(at)?;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let packet = self.packets[at].get(..usize::try_from(header.msg_len).ok()?)?;
        Some((packet, address(&self.names[at])?))
    }
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            replies: Vec::new(),
            headers: Vec::new(),
            vectors: Vec::new(),
            controls: Vec::new(),
            joins: true,
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.replies.clear();
    }

    /// Takes the bytes since `start` as the reply to a packet of the inbox, which came from
    /// `source`.
    pub(super) fn reply(&mut self, start: usize, to: usize, source: SocketAddr) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        self.replies.push(Reply {
            destination: destination(source),
            length: number(self.bytes.len() - start),
            start: number(start),
            to: number(to),
        });
    }

    /// Sends all replies. Those that the kernel refuses are dropped, as a network might.
    pub(super) fn send(&mut self, socket: &UdpSocket, inbox: &mut Inbox) {
        if self.joins {
            self.replies
                .sort_unstable_by_key(|reply| (reply.destination, reply.length));
        }
        self.lay_out(inbox);
        let mut sent = 0;
        while let Some(rest) = self.headers.get_mut(sent..)
            && !rest.is_empty()
        {
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            // SAFETY: each of the `count` headers points to an address in the inbox and to as
            // many vectors as it says, which point to bytes of `self.bytes`, and maybe to one of
            // `self.controls`; all are borrowed mutably here and were laid out just now.
            let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), count, 0) };
            match usize::try_from(done) {
                Ok(done) => sent += done.max(1),
                Err(_) => {
                    // An error is about the first packet alone.
                    let is_joined = rest.first().is_some_and(|h| h.msg_hdr.msg_iovlen > 1);
                    if is_joined {
                        self.joins = false;
                        self.separate(sent);
                    } else {
                        sent += 1;
                    }
                }
            }
        }
    }

    /// Makes the headers for all replies.
    fn lay_out(&mut self, inbox: &mut Inbox) {
        self.vectors.clear();
        self.headers.clear();
        self.controls.clear();
        for reply in &self.replies {
            let (start, length) = (reply.start as usize, reply.length as usize);
            let bytes = &mut self.bytes[start..start + length];
            self.vectors.push(vector(bytes));
        }
        // Both are filled below while pointers into them are kept, so they must not move.
        self.headers.reserve(self.replies.len());
        self.controls.reserve(self.replies.len());
        let mut first = 0;
        while let Some(reply) = self.replies.get(first) {
            let same = |next: &&Reply| {
                next.destination == reply.destination
                    && next.length == reply.length
                    && same_address(
                        &inbox.names[next.to as usize],
                        &inbox.names[reply.to as usize],
                    )
            };
            let most = if self.joins {
                segments(reply.length)
            } else {
                1
            };
            let rest = self.replies[first..].iter().take(most);
            let count = rest.take_while(same).count().max(1);
            // SAFETY: plain data of C for which zero is a value.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            let to = reply.to as usize;
            header.msg_hdr.msg_name = ptr::from_mut(&mut inbox.names[to]).cast();
            header.msg_hdr.msg_namelen = inbox.headers[to].msg_hdr.msg_namelen;
            header.msg_hdr.msg_iov = ptr::from_mut(&mut self.vectors[first]);
            header.msg_hdr.msg_iovlen = count;
            if count > 1 {
                self.controls.push(segment_size(reply.length));
                let control = self
                    .controls
                    .last_mut()
                    .map_or(ptr::null_mut(), ptr::from_mut);
                header.msg_hdr.msg_control = control.cast();
                header.msg_hdr.msg_controllen = size_of::<Control>();
            }
            self.headers.push(header);
            first += count;
        }
    }

    /// Puts single packets in the place of the joined ones from a header on.
    fn separate(&mut self, from: usize) {
        let joined = self.headers.split_off(from);
        for header in joined {
            for at in 0..header.msg_hdr.msg_iovlen {
                let mut single = header;
                // SAFETY: `msg_iov` points to `msg_iovlen` elements of `self.vectors`, which has
                // not changed since.
                single.msg_hdr.msg_iov = unsafe { header.msg_hdr.msg_iov.add(at) };
                single.msg_hdr.msg_iovlen = 1;
                single.msg_hdr.msg_control = ptr::null_mut();
                single.msg_hdr.msg_controllen = 0;
                self.headers.push(single);
            }
        }
    }
}

fn vector(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

/// How many replies of a length travel as one.
fn segments(length: u32) -> usize {
    const MOST: u32 = 64;
    // One packet of IP holds them all on their way through the kernel.
    const BYTES: u32 = 65_000;
    (BYTES / length.max(1)).clamp(1, MOST) as usize
}

/// The control message that tells the kernel where to cut.
fn segment_size(length: u32) -> Control {
    let mut control = Control([0; 24]);
    let head = libc::cmsghdr {
        cmsg_len: size_of::<libc::cmsghdr>() + size_of::<u16>(),
        cmsg_level: libc::SOL_UDP,
        cmsg_type: libc::UDP_SEGMENT,
    };
    let size = u16::try_from(length).unwrap_or(u16::MAX);
    let parts = head
        .cmsg_len
        .to_ne_bytes()
        .into_iter()
        .chain(head.cmsg_level.to_ne_bytes())
        .chain(head.cmsg_type.to_ne_bytes())
        .chain(size.to_ne_bytes());
    control
        .0
        .iter_mut()
        .zip(parts)
        .for_each(|(byte, part)| *byte = part);
    control
}

fn destination(source: SocketAddr) -> u64 {
    let port = u64::from(source.port());
    match source.ip() {
        IpAddr::V4(ip) => u64::from(ip.to_bits()) << 16 | port,
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            let fold = (bits >> 64) ^ bits;
            u64::try_from(fold & u128::from(u64::MAX))
                .unwrap_or(0)
                .rotate_left(16)
                ^ port
        }
    }
}

fn same_address(a: &libc::sockaddr_storage, b: &libc::sockaddr_storage) -> bool {
    address(a) == address(b)
}

/// Lets the kernel hold connections back until their first bytes are there, so that these can be
/// answered without ever waiting for events on the connection.
pub(super) fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    let seconds = DEFER_ACCEPT;
    // SAFETY: the option takes a `c_int`, to which the pointer points for the whole call.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            ptr::from_ref(&seconds).cast(),
            size_of_u32::<libc::c_int>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let name = ptr::from_ref(name);
    match i32::from(
        // SAFETY: the family is the first field of every address.
        unsafe { (*name).ss_family },
    ) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote an address of this family, and the storage is large enough
            // and aligned for every family.
            let name = unsafe { &*name.cast::<libc::sockaddr_in>() };
            let ip = IpAddr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip, u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let name = unsafe { &*name.cast::<libc::sockaddr_in6>() };
            let ip = IpAddr::from(name.sin6_addr.s6_addr).to_canonical();
            Some(SocketAddr::new(ip, u16::from_be(name.sin6_port)))
        }
        _ => None,
    }
}

fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0)
}
