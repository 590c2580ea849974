//! UDP packets that are sent many at a time, and questions whose answers are waited for.
//!
//! It must not know what a row wants to show with them.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{
    decode_connect_reply, encode_announce_request, encode_connect_request, encode_scrape_request,
};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};

use super::{Fault, PATIENCE};

/// Packets of one system call.
pub(super) const BATCH: usize = 64;

/// A batch, whose buffers are used again.
pub(super) struct Batch(Vec<Vec<u8>>);

impl Batch {
    pub(super) fn new() -> Self {
        Self(vec![Vec::new(); BATCH])
    }

    /// Has every packet made anew.
    pub(super) fn fill(&mut self, mut make: impl FnMut(&mut Vec<u8>)) {
        self.0.iter_mut().for_each(&mut make);
    }

    /// Sends all of them on a connected socket; what the kernel has no room for is waited for.
    pub(super) fn send(&self, socket: &UdpSocket) -> io::Result<()> {
        let parts: Vec<_> = self.0.iter().map(|packet| [IoSlice::new(packet)]).collect();
        let mut controls: Vec<_> = parts
            .iter()
            .map(|_| SendAncillaryBuffer::default())
            .collect();
        let pairs = parts.iter().zip(&mut controls);
        let mut headers: Vec<_> = pairs
            .map(|(part, control)| MMsgHdr::new(part, control))
            .collect();
        let mut rest = headers.as_mut_slice();
        while !rest.is_empty() {
            match sendmmsg(socket, rest, SendFlags::empty()) {
                Ok(sent) => rest = rest.split_at_mut(sent.min(rest.len())).1,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }
}

/// A socket at an address of its own, which speaks to a tracker.
pub(super) fn bound(source: Ipv4Addr, tracker: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((source, 0))?;
    socket.connect(tracker)?;
    Ok(socket)
}

/// Asks good questions. What is sent to a tracker's socket is answered in its order; answers to other
/// packets of the same socket are passed over.
pub(super) struct Asker {
    socket: UdpSocket,
    /// Questions that have been sent, each repetition too.
    pub(super) asked: u64,
    mark: u32,
}

impl Asker {
    /// Asks from `source`, and again after `wait`.
    pub(super) fn new(source: Ipv4Addr, tracker: SocketAddr, wait: Duration) -> io::Result<Self> {
        let socket = bound(source, tracker)?;
        socket.set_read_timeout(Some(wait))?;
        Ok(Self {
            socket,
            asked: 0,
            mark: 0,
        })
    }

    /// Gets a connection id. Connect requests have a limit for each source, which a flood from the
    /// same address may have reached.
    pub(super) fn connect(&mut self) -> Result<u64, Fault> {
        self.mark += 1;
        let mut packet = Vec::new();
        encode_connect_request(self.mark, &mut packet);
        let reply = self.ask(&packet, self.mark)?;
        decode_connect_reply(&reply).map_err(|error| format!("no connection id: {error}").into())
    }

    /// Asks for a scrape, whose answer [`Asker::settled`] waits for. Returns its mark.
    pub(super) fn begin(&mut self, id: u64) -> Result<u32, Fault> {
        self.mark += 1;
        self.send(&scrape(id, self.mark))?;
        Ok(self.mark)
    }

    /// Waits until the answer to a mark is here, and so everything that was sent before has been
    /// looked at.
    pub(super) fn settled(&mut self, id: u64, mark: u32) -> Result<(), Fault> {
        match self.answer(mark) {
            Some(_) => Ok(()),
            None => self.ask(&scrape(id, mark), mark).map(drop),
        }
    }

    /// Announces with a connection id of its own.
    pub(super) fn announce(&mut self, id: u64) -> Result<(), Fault> {
        self.mark += 1;
        let request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 6881);
        let mut packet = Vec::new();
        encode_announce_request(id, self.mark, &request, &mut packet);
        if self.ask(&packet, self.mark)?.starts_with(&[0, 0, 0, 1]) {
            Ok(())
        } else {
            Err("an announce with a good id is refused".into())
        }
    }

    /// Sends a packet until it is answered. Returns the answer.
    fn ask(&mut self, packet: &[u8], mark: u32) -> Result<Vec<u8>, Fault> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            self.send(packet)?;
            if let Some(reply) = self.answer(mark) {
                return Ok(reply);
            }
        }
        Err("the tracker does not answer over UDP any more".into())
    }

    fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        self.socket.send(packet)?;
        self.asked += 1;
        Ok(())
    }

    /// The answer with this mark, if it comes in time; those to earlier repetitions are passed over.
    fn answer(&self, mark: u32) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        while let Ok(count) = self.socket.recv(&mut buffer) {
            let reply = buffer.get(..count).unwrap_or_default();
            if reply.get(4..8) == Some(&mark.to_be_bytes()) {
                return Some(reply.to_vec());
            }
        }
        None
    }
}

fn scrape(id: u64, mark: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    encode_scrape_request(id, mark, &[[9; 20].into()], &mut packet);
    packet
}
