//! The calls for many packets against those of the standard library for one: random packets of random lengths from random
//! sources come to two sockets, and replies to them leave from both.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use super::super::interrupted::again;
use super::super::syscalls::{Inbox, Outbox, tell_destination};
use crate::limits::MAX_UDP_REQUEST;
use crate::seed::Numbers;

/// How many packets are sent to each of the two sockets, at least.
const PACKETS: usize = 1_000;

/// Long enough for a loaded machine; no test that passes waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// More than any packet has.
const LONGEST: usize = 65_536;

fn socket(addr: impl Into<SocketAddr>) -> UdpSocket {
    let socket = UdpSocket::bind(addr.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The socket that is served in batches, the one that is served packet by packet, and who asks them, where.
struct Rig {
    batched: UdpSocket,
    plain: UdpSocket,
    is_told: bool,
    ours: Vec<IpAddr>,
    clients: Vec<UdpSocket>,
    numbers: Numbers,
    buffer: Vec<u8>,
    /// How often packets were taken that had come by then.
    without_waiting: usize,
}

/// What came to one of the two: the bytes, unless there were too many of them, and the source.
type Came = Vec<Option<(Vec<u8>, SocketAddr)>>;

impl Rig {
    fn new(bound: &str, ours: &[&str], seed: u64) -> Self {
        let bound: IpAddr = bound.parse().unwrap();
        let ours: Vec<IpAddr> = ours.iter().map(|ip| ip.parse().unwrap()).collect();
        let batched = socket((bound, 0));
        let is_told = bound.is_unspecified();
        if is_told {
            tell_destination(&batched, bound.is_ipv6()).unwrap();
        }
        Self {
            batched,
            plain: socket((bound, 0)),
            is_told,
            clients: (0..8).map(|_| socket((ours[0], 0))).collect(),
            ours,
            numbers: Numbers::new(seed),
            buffer: vec![0; LONGEST],
            without_waiting: 0,
        }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length)
            .map(|_| self.numbers.next().to_le_bytes()[0])
            .collect()
    }

    /// Sends some packets to both sockets: many short ones or a few of any length, as many as the kernel keeps with the
    /// smallest buffers. Returns how many.
    fn ask(&mut self) -> usize {
        let (longest, most) = match self.numbers.below(2) {
            0 => (100, 100),
            _ => (MAX_UDP_REQUEST + 200, 20),
        };
        let count = 1 + self.numbers.below(most);
        for _ in 0..count {
            let length = match self.numbers.below(8) {
                0 if longest > MAX_UDP_REQUEST => MAX_UDP_REQUEST + self.numbers.below(2),
                1 => 0,
                _ => self.numbers.below(longest),
            };
            let packet = self.bytes(length);
            let client = &self.clients[self.numbers.below(self.clients.len())];
            let asked = self.ours[self.numbers.below(self.ours.len())];
            for server in [&self.batched, &self.plain] {
                let port = server.local_addr().unwrap().port();
                client.send_to(&packet, (asked, port)).unwrap();
            }
        }
        count
    }

    /// Takes so many packets from both, and answers most of them from both. Returns what came to each.
    fn answer(&mut self, count: usize, inbox: &mut Inbox, outbox: &mut Outbox) -> [Came; 2] {
        let (mut batched, mut replies) = (Came::new(), Vec::new());
        outbox.clear();
        while batched.len() < count {
            match self.numbers.below(2) {
                0 => again(|| inbox.receive(&self.batched)),
                // On a busy machine what was sent may come a moment later.
                _ if inbox.receive_more(&self.batched) => self.without_waiting += 1,
                _ => again(|| inbox.receive(&self.batched)),
            }
            for (at, packet) in inbox.packets(0).enumerate() {
                batched.push(packet.map(|(bytes, source)| (bytes.to_vec(), source)));
                let Some((_, source)) = packet.filter(|_| self.numbers.below(8) > 0) else {
                    continue;
                };
                // Often of one length, since those travel together.
                let length = [16, 26, 320, 1 + self.numbers.below(1_400)][self.numbers.below(4)];
                let (start, reply) = (outbox.bytes.len(), self.bytes(length));
                outbox.bytes.extend_from_slice(&reply);
                outbox.reply(start, inbox, at, source);
                replies.push((source, reply));
            }
        }
        let mut plain = Came::new();
        for _ in 0..count {
            let (length, source) = again(|| self.plain.recv_from(&mut self.buffer));
            let fits = length <= MAX_UDP_REQUEST;
            plain.push(fits.then(|| (self.buffer[..length].to_vec(), source)));
        }
        outbox.send(&self.batched);
        let first = self.hear(&replies, &self.batched.local_addr().unwrap());
        for (source, reply) in &replies {
            self.plain.send_to(reply, source).unwrap();
        }
        let second = self.hear(&replies, &self.plain.local_addr().unwrap());
        assert_eq!(first, second, "what was sent in batches and one by one");
        [batched, plain]
    }

    /// What each client hears of so many replies, in the order of their bytes.
    fn hear(
        &self,
        replies: &[(SocketAddr, Vec<u8>)],
        server: &SocketAddr,
    ) -> BTreeMap<SocketAddr, Vec<Vec<u8>>> {
        let mut buffer = vec![0; LONGEST];
        let hear = |client: &UdpSocket| {
            let own = client.local_addr().unwrap();
            let due = replies.iter().filter(|(to, _)| *to == own).count();
            let mut heard: Vec<Vec<u8>> = (0..due)
                .map(|_| {
                    let (length, from) = again(|| client.recv_from(&mut buffer));
                    assert!(self.ours.contains(&from.ip()) && from.port() == server.port());
                    buffer[..length].to_vec()
                })
                .collect();
            heard.sort_unstable();
            (own, heard)
        };
        self.clients.iter().map(hear).collect()
    }
}

#[test]
fn packets_in_batches_are_those_that_come_and_leave_one_by_one() {
    for (seed, bound, ours) in [
        (1, "127.0.0.1", &["127.0.0.1"][..]),
        (2, "0.0.0.0", &["127.0.0.1", "127.0.0.2"]),
        (3, "::1", &["::1"]),
    ] {
        let mut rig = Rig::new(bound, ours, seed);
        let (mut inbox, mut outbox) = (Inbox::new(rig.is_told), Outbox::new());
        let (mut sent, mut too_long) = (0, 0);
        while sent < PACKETS {
            let count = rig.ask();
            let [batched, plain] = rig.answer(count, &mut inbox, &mut outbox);
            assert_eq!(batched, plain, "{bound}: behind {sent} packets");
            sent += count;
            too_long += plain.iter().filter(|packet| packet.is_none()).count();
        }
        assert!(!inbox.receive_more(&rig.batched), "nothing comes twice");
        assert!(too_long > 0, "none was too long");
        assert!(rig.without_waiting > 0, "each had to be waited for");
    }
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let mut rig = Rig::new("0.0.0.0", &["127.0.0.1", "127.0.0.2", "127.0.0.3"], 4);
    let port = rig.batched.local_addr().unwrap().port();
    let (mut inbox, mut outbox) = (Inbox::new(true), Outbox::new());
    for round in 0..20 {
        let asked: Vec<IpAddr> = (0..30)
            .map(|_| rig.ours[rig.numbers.below(rig.ours.len())])
            .collect();
        let client = &rig.clients[0];
        for ip in &asked {
            let IpAddr::V4(told) = ip else { unreachable!() };
            client.send_to(&told.octets(), (*ip, port)).unwrap();
        }
        outbox.clear();
        let mut came = 0;
        while came < asked.len() {
            again(|| inbox.receive(&rig.batched));
            for (at, packet) in inbox.packets(0).enumerate() {
                let (bytes, source) = packet.unwrap();
                let start = outbox.bytes.len();
                outbox.bytes.extend_from_slice(bytes);
                outbox.reply(start, &inbox, at, source);
            }
            came += inbox.packets(0).len();
        }
        outbox.send(&rig.batched);
        for _ in &asked {
            let (length, from) = again(|| client.recv_from(&mut rig.buffer));
            let IpAddr::V4(ip) = from.ip() else {
                unreachable!()
            };
            assert_eq!(rig.buffer[..length], ip.octets(), "round {round}");
        }
    }
}
