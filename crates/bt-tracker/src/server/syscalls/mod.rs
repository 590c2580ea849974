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

use std::cmp::Reverse;
use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

use super::control_message::{Control, Local, PART};
use crate::limits::MAX_UDP_REQUEST;

/// Seconds for which a connection on which nothing comes is not accepted. Then it is, and gets
/// the time of every other connection to send its request.
const DEFER_ACCEPT: libc::c_int = 1;

/// Packets taken with one call at most: as many as are still in the nearest caches, with what the
/// kernel knows of them, when they are answered.
pub(super) const BATCH: usize = 64;

/// Joined replies that are refused one after the other, before replies are no longer joined: then it is the kernel or the
/// device that cannot cut them, and not one narrow way to somebody.
const MAX_REFUSED: u32 = 64;

/// An address of either family as the kernel writes it: the longer one has room for the other.
type Name = libc::sockaddr_in6;

/// Packets that came.
pub(super) struct Inbox {
    packets: Box<[[u8; MAX_UDP_REQUEST]]>,
    names: Box<[Name]>,
    headers: Box<[libc::mmsghdr]>,
    vectors: Box<[libc::iovec]>,
    /// Which of our addresses each packet was sent to; empty when the socket has only one.
    controls: Box<[Control]>,
    /// `<= BATCH`
    count: usize,
}

/// Packets to be sent, each to where a packet came from.
///
/// Replies of one length to one address, and a shorter one after them, travel through the kernel as
/// one and are cut apart at the end (UDP segmentation), which spares most of the way: programs that announce many torrents ask
/// for all of them at once.
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    replies: Vec<Reply>,
    origins: Vec<Origin>,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    controls: Vec<Control>,
    /// How many joined replies in a row the kernel has refused.
    refused: u32,
}

#[derive(Clone, Copy)]
struct Reply {
    /// Equal for equal destinations, and nearly always different for different ones.
    destination: u64,
    length: u32,
    /// `bytes[start..][..length]`
    start: u32,
    /// `origins[to]` is where it goes.
    to: u32,
}

/// Where a packet came from.
#[derive(Clone, Copy)]
struct Origin {
    name: Name,
    name_length: libc::socklen_t,
    local: Local,
}

// SAFETY: the pointers in `headers` and `vectors` are only used between being set and the return
// of the call that they are set for; both happen in one method that borrows the buffers.
unsafe impl Send for Inbox {}
// SAFETY: as for `Inbox`.
unsafe impl Send for Outbox {}

impl Inbox {
    /// `is_told` says that the socket tells which address each packet was sent to.
    pub(super) fn new(is_told: bool) -> Self {
        // SAFETY: all of these are plain data of C for which zero is a value.
        let (name, header, vector) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            packets: vec![[0; MAX_UDP_REQUEST]; BATCH].into_boxed_slice(),
            names: vec![name; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            vectors: vec![vector; BATCH].into_boxed_slice(),
            controls: vec![Control::EMPTY; if is_told { BATCH } else { 0 }].into(),
            count: 0,
        }
    }

    /// Waits for a packet, for as long as the socket's read time-out, and takes it with those
    /// that came meanwhile.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.take(socket, libc::MSG_WAITFORONE)
    }

    /// Takes the packets that are there. Returns whether there are any.
    pub(super) fn receive_more(&mut self, socket: &UdpSocket) -> bool {
        self.take(socket, libc::MSG_DONTWAIT).is_ok() && self.count > 0
    }

    /// Whether as many came as are taken at once, so that there may be more.
    pub(super) fn is_full(&self) -> bool {
        self.count == BATCH
    }

    fn take(&mut self, socket: &UdpSocket, flags: libc::c_int) -> io::Result<()> {
        self.count = 0;
        for at in 0..BATCH {
            self.vectors[at] = libc::iovec {
                iov_base: self.packets[at].as_mut_ptr().cast(),
                iov_len: MAX_UDP_REQUEST,
            };
            let header = &mut self.headers[at].msg_hdr;
            header.msg_name = ptr::from_mut(&mut self.names[at]).cast();
            header.msg_namelen = size_of_u32::<Name>();
            header.msg_iov = &raw mut self.vectors[at];
            header.msg_iovlen = 1;
            header.msg_flags = 0;
            if let Some(control) = self.controls.get_mut(at) {
                header.msg_control = ptr::from_mut(control).cast();
                header.msg_controllen = Control::ROOM;
            }
        }
        // SAFETY: `headers` has BATCH elements, each of which points to one address, maybe to
        // `Control::ROOM` bytes for control messages, and to one vector, which points to MAX_UDP_REQUEST bytes; all
        // of them are borrowed mutably by `self`.
        let got = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                u32::try_from(BATCH).unwrap_or(1),
                flags,
                ptr::null_mut(),
            )
        };
        self.count = usize::try_from(got)
            .map_err(|_| io::Error::last_os_error())?
            .min(BATCH);
        Ok(())
    }

    /// A packet and where it came from; `None` when it is longer than [`MAX_UDP_REQUEST`] or from no
    /// internet address.
    fn packet(&self, at: usize) -> Option<(&[u8], SocketAddr)> {
        let header = self.headers.get(..self.count)?.get(at)?;
        if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        let packet = self.packets[at].get(..usize::try_from(header.msg_len).ok()?)?;
        Some((packet, address(&self.names[at])?))
    }

    /// The packets from a position on.
    pub(super) fn packets(
        &self,
        from: usize,
    ) -> impl ExactSizeIterator<Item = Option<(&[u8], SocketAddr)>> {
        (from..self.count).map(|at| self.packet(at))
    }

    fn origin(&self, at: usize) -> Origin {
        Origin {
            name: self.names[at],
            name_length: self.headers[at]
                .msg_hdr
                .msg_namelen
                .min(size_of_u32::<Name>()),
            local: self.local(at),
        }
    }

    /// Which of our addresses a packet was sent to.
    fn local(&self, at: usize) -> Local {
        let Some(control) = self.controls.get(at) else {
            return Local::Fixed;
        };
        Local::read(control.filled(self.headers[at].msg_hdr.msg_controllen))
    }
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            replies: Vec::new(),
            origins: Vec::new(),
            headers: Vec::new(),
            vectors: Vec::new(),
            controls: Vec::new(),
            refused: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.replies.clear();
        self.origins.clear();
    }

    /// Takes the bytes since `start` as the reply to packet `at` of the inbox, which came from
    /// `source`. There must be some: nothing would come of an empty one among joined ones.
    pub(super) fn reply(&mut self, start: usize, inbox: &Inbox, at: usize, source: SocketAddr) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let to = self.origins.len();
        self.origins.push(inbox.origin(at));
        self.replies.push(Reply {
            destination: destination(source),
            length: number(self.bytes.len() - start),
            start: number(start),
            to: number(to),
        });
    }

    /// Sends all replies. Those that the kernel refuses are dropped, as a network might.
    pub(super) fn send(&mut self, socket: &UdpSocket) {
        if self.joins() {
            self.replies
                .sort_unstable_by_key(|reply| (reply.destination, Reverse(reply.length)));
        }
        self.lay_out();
        let mut sent = 0;
        while let Some(rest) = self.headers.get_mut(sent..)
            && !rest.is_empty()
        {
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            // SAFETY: each of the `count` headers points to a name of `self.origins` and to as
            // many vectors as it says, which point to bytes of `self.bytes`, and maybe to one of
            // `self.controls`; all are borrowed mutably here and were laid out just now.
            let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), count, 0) };
            match usize::try_from(done) {
                Ok(done) => {
                    let taken = rest.iter().take(done);
                    if taken.into_iter().any(is_joined) {
                        self.refused = 0;
                    }
                    sent += done.max(1);
                }
                Err(_) => {
                    // An error is about the first packet alone.
                    if rest.first().is_some_and(is_joined) {
                        self.refused = self.refused.saturating_add(1);
                        self.separate(sent);
                    } else {
                        sent += 1;
                    }
                }
            }
        }
    }

    /// Makes the headers for all replies.
    fn lay_out(&mut self) {
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
            let origin = self.origins[reply.to as usize];
            let local = origin.local;
            let same = |next: &Reply| {
                let other = &self.origins[next.to as usize];
                next.destination == reply.destination
                    && other.local == local
                    && address(&other.name) == address(&origin.name)
            };
            let count = if self.joins() {
                let lengths = self.replies[first..].iter().take_while(|next| same(next));
                together(lengths.map(|reply| reply.length))
            } else {
                1
            };
            // SAFETY: plain data of C for which zero is a value.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            let name = &mut self.origins[reply.to as usize].name;
            header.msg_hdr.msg_name = ptr::from_mut(name).cast();
            header.msg_hdr.msg_namelen = origin.name_length;
            header.msg_hdr.msg_iov = ptr::from_mut(&mut self.vectors[first]);
            header.msg_hdr.msg_iovlen = count;
            if count > 1 || local != Local::Fixed {
                let (control, length) = Control::new(local, (count > 1).then_some(reply.length));
                self.controls.push(control);
                let control = self
                    .controls
                    .last_mut()
                    .map_or(ptr::null_mut(), ptr::from_mut);
                header.msg_hdr.msg_control = control.cast();
                header.msg_hdr.msg_controllen = length;
            }
            self.headers.push(header);
            first += count;
        }
    }

    /// Whether the kernel and the network device take replies together, as far as is known. A single destination may be
    /// reached by a way that is too narrow for them; that is no reason to send all others theirs one by one.
    fn joins(&self) -> bool {
        self.refused < MAX_REFUSED
    }

    /// Puts single packets in the place of a joined one. The others stay as they are.
    fn separate(&mut self, at: usize) {
        let Some(joined) = self.headers.get(at).copied() else {
            return;
        };
        // The message about cutting is the last one.
        let controls = joined.msg_hdr.msg_controllen.saturating_sub(PART);
        let single = |vector: usize| {
            let mut single = joined;
            // SAFETY: `msg_iov` points to `msg_iovlen` elements of `self.vectors`, which has not
            // changed since.
            single.msg_hdr.msg_iov = unsafe { joined.msg_hdr.msg_iov.add(vector) };
            single.msg_hdr.msg_iovlen = 1;
            single.msg_hdr.msg_controllen = controls;
            if controls == 0 {
                single.msg_hdr.msg_control = ptr::null_mut();
            }
            single
        };
        let singles: Vec<_> = (0..joined.msg_hdr.msg_iovlen).map(single).collect();
        self.headers.splice(at..=at, singles);
    }
}

fn is_joined(header: &libc::mmsghdr) -> bool {
    header.msg_hdr.msg_iovlen > 1
}

fn vector(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    }
}

/// How many of the replies to one address travel as one, beginning with the first: those of one
/// length, and then one that is shorter, since only the last part may be.
fn together(mut lengths: impl Iterator<Item = u32>) -> usize {
    let Some(length) = lengths.next() else {
        return 1;
    };
    let mut count = 1;
    for next in lengths.take(segments(length) - 1) {
        count += usize::from(next <= length);
        if next != length {
            break;
        }
    }
    count
}

/// How many replies of a length travel as one.
fn segments(length: u32) -> usize {
    const MOST: u32 = 64;
    // One packet of IP holds them all on their way through the kernel.
    const BYTES: u32 = 65_000;
    (BYTES / length.max(1)).clamp(1, MOST) as usize
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

/// Lets the kernel hold connections back until their first bytes are there, so that these can be
/// answered without ever waiting for events on the connection.
pub(super) fn defer_accept(listener: &TcpListener) -> io::Result<()> {
    let (level, name) = (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT);
    set_option(listener, level, name, DEFER_ACCEPT)
}

/// Lets the kernel tell which of our addresses each packet was sent to, for sockets that are
/// bound to all of them.
pub(super) fn tell_destination(socket: &impl AsRawFd, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

fn set_option(socket: &impl AsRawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the options that we set take a `c_int`, to which the pointer points for the whole
    // call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of_u32::<libc::c_int>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn address(name: &Name) -> Option<SocketAddr> {
    // The family is the first field of every address.
    match i32::from(name.sin6_family) {
        libc::AF_INET => {
            // SAFETY: the kernel wrote an address of this family, which is shorter than the other
            // and aligned alike.
            let name = unsafe { &*ptr::from_ref(name).cast::<libc::sockaddr_in>() };
            let ip = IpAddr::from(name.sin_addr.s_addr.to_ne_bytes());
            Some(SocketAddr::new(ip, u16::from_be(name.sin_port)))
        }
        libc::AF_INET6 => {
            let ip = IpAddr::from(name.sin6_addr.s6_addr).to_canonical();
            Some(SocketAddr::new(ip, u16::from_be(name.sin6_port)))
        }
        _ => None,
    }
}

fn size_of_u32<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
