//! Many packets with one call into the kernel: `recvmmsg` and `sendmmsg`.
//!
//! The only unsafe code of the crate. It must not know what is in a packet. Every pointer that is
//! handed to the kernel is made right before the call from buffers that outlive it, and lengths
//! that come back are checked against those buffers.

#![expect(
    unsafe_code,
    reason = "the standard library has no call for many packets at once"
)]

use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;

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
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) bytes: Vec<u8>,
    replies: Vec<Reply>,
    headers: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
}

#[derive(Clone, Copy)]
struct Reply {
    /// `bytes[start..end]`
    start: usize,
    end: usize,
    /// Which packet of the inbox it answers.
    to: usize,
}

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
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.replies.clear();
    }

    /// Takes the bytes since `start` as the reply to a packet of the inbox.
    pub(super) fn reply(&mut self, start: usize, to: usize) {
        self.replies.push(Reply {
            start,
            end: self.bytes.len(),
            to,
        });
    }

    /// Sends all replies. Those that the kernel refuses are dropped, as a network might.
    pub(super) fn send(&mut self, socket: &UdpSocket, inbox: &mut Inbox) {
        self.vectors.clear();
        self.headers.clear();
        for reply in &self.replies {
            let bytes = &mut self.bytes[reply.start..reply.end];
            self.vectors.push(libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: bytes.len(),
            });
        }
        for (reply, vector) in self.replies.iter().zip(&mut self.vectors) {
            // SAFETY: plain data of C for which zero is a value.
            let mut header: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            header.msg_hdr.msg_name = ptr::from_mut(&mut inbox.names[reply.to]).cast();
            header.msg_hdr.msg_namelen = inbox.headers[reply.to].msg_hdr.msg_namelen;
            header.msg_hdr.msg_iov = ptr::from_mut(vector);
            header.msg_hdr.msg_iovlen = 1;
            self.headers.push(header);
        }
        let mut sent = 0;
        while let Some(rest) = self.headers.get_mut(sent..)
            && !rest.is_empty()
        {
            let count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            // SAFETY: each of the `count` headers points to an address in the inbox and to one
            // vector, which points to bytes of `self.bytes`; all are borrowed mutably here.
            let done = unsafe { libc::sendmmsg(socket.as_raw_fd(), rest.as_mut_ptr(), count, 0) };
            // An error is about the first packet alone: go on after it.
            sent += usize::try_from(done).unwrap_or(0).max(1);
        }
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
