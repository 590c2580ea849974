//! Broken packets and broken request heads without end: the tracker does not crash and does not
//! grow, and answers a good request afterwards.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{
    decode_connect_reply, encode_announce_request, encode_connect_request, encode_scrape_request,
};

use super::{Fault, Noise, PATIENCE, Tracker, announce, is_flat, number, query, verdict};
use crate::{Bench, Outcome};

/// Packets on their way: few enough for the smallest receive buffer.
const WINDOW: u64 = 64;

/// Times that a question is asked, and the wait for its answer.
const TRIES: u32 = 50;
const WAIT: Duration = Duration::from_millis(200);

/// Packets after which a new connection id is fetched; ids hold for two minutes.
const RENEW: u64 = 100_000;

/// Heads sent on one connection at most.
const HEADS: usize = 8;

/// The part of the run after which memory must not grow any more.
const WARM_UP: f64 = 0.3;

/// Clients that send heads side by side, so that the tracker need not wait for one of them.
const CLIENTS: u64 = 4;

/// How often memory is looked at, which costs as much as a hundred packets.
const LOOK: Duration = Duration::from_millis(200);

/// What a flood sent, and the memory of the tracker after the warm-up and at the end.
struct Flood {
    sent: u64,
    warm: u64,
    end: u64,
}

pub(crate) fn run(bench: &Bench) -> Outcome {
    verdict(measure(bench))
}

fn measure(bench: &Bench) -> Result<(String, bool), Fault> {
    // What is well-formed by chance fills the store up to its limits.
    let tracker = Tracker::start(bench, &["--max-torrents", "10000"])?;
    let packets = flood_udp(&tracker, bench.time / 2, &mut Noise::new(1))?;
    let heads = flood_http(&tracker, bench.time / 2)?;
    announce(tracker.http)?;
    connect(&client(tracker.udp)?)?;
    let numbers = tracker.numbers()?;
    let of = |name: &str| number(&numbers, name);
    // Of the heads on one connection those after a broken one are never looked at.
    let heads_seen = ["malformed", "announces", "scrapes", "failures"]
        .iter()
        .map(|what| of(&format!("http_{what}_total")))
        .sum::<u64>();
    let figures = format!(
        "{} packets ({} malformed, {} unproven, {} taken; memory {} → {} KiB), {} heads ({} \
         looked at, of which {} malformed and {} taken; memory {} → {} KiB)",
        packets.sent,
        of("udp_malformed_total"),
        of("udp_unproven_total"),
        of("udp_announces_total") + of("udp_scrapes_total"),
        packets.warm,
        packets.end,
        heads.sent,
        heads_seen,
        of("http_malformed_total"),
        of("http_announces_total") + of("http_scrapes_total"),
        heads.warm,
        heads.end,
    );
    // Every packet was looked at, or else the kernel was tested and not the tracker.
    let looked_at = of("udp_malformed_total")
        + of("udp_unproven_total")
        + of("udp_connects_total")
        + of("udp_announces_total")
        + of("udp_scrapes_total")
        + of("udp_failures_total");
    let is_good = is_flat(packets.warm, packets.end)
        && is_flat(heads.warm, heads.end)
        && looked_at >= packets.sent;
    Ok((figures, is_good))
}

fn flood_udp(tracker: &Tracker, time: Duration, noise: &mut Noise) -> Result<Flood, Fault> {
    let socket = client(tracker.udp)?;
    let (mut id, mut packet) = (0, Vec::new());
    let (start, mut sent) = (Instant::now(), 0_u64);
    let mut memory = Memory::new(time);
    while start.elapsed() < time {
        if sent.is_multiple_of(RENEW) {
            // Connect requests have a limit for each source, which has been reached.
            std::thread::sleep(Duration::from_millis(20));
            id = connect(&socket)?;
        }
        for _ in 0..WINDOW.min(RENEW - sent % RENEW) {
            seed_packet(id, noise, &mut packet);
            noise.mutate(&mut packet);
            // Half of them prove their address, so that what lies behind is reached.
            if noise.below(2) == 0
                && let Some(head) = packet.get_mut(..8)
            {
                head.copy_from_slice(&id.to_be_bytes());
            }
            socket.send(&packet)?;
            sent += 1;
        }
        settle(&socket, id, sent)?;
        memory.look(tracker)?;
    }
    memory.flood(sent, tracker)
}

/// Asks a good question after a batch and waits for its answer: packets are answered in their
/// order. An answer may be lost among those to the batch, which nobody reads in time.
fn settle(socket: &UdpSocket, id: u64, sent: u64) -> Result<(), Fault> {
    let mark = u32::try_from(sent % (1 << 31)).unwrap_or(0) | 1 << 31;
    let (mut packet, mut buffer) = (Vec::new(), [0; 2048]);
    encode_scrape_request(id, mark, &[[9; 20].into()], &mut packet);
    for _ in 0..TRIES {
        socket.send(&packet)?;
        while let Ok(count) = socket.recv(&mut buffer) {
            if count >= 8 && buffer.get(4..8) == Some(&mark.to_be_bytes()) {
                return Ok(());
            }
        }
    }
    Err("the tracker does not answer over UDP any more".into())
}

fn seed_packet(id: u64, noise: &mut Noise, packet: &mut Vec<u8>) {
    packet.clear();
    match noise.below(8) {
        0 => encode_connect_request(7, packet),
        1 => encode_scrape_request(id, 7, &[[1; 20].into(), [2; 20].into()], packet),
        n => {
            let mut request = AnnounceRequest::new([3; 20].into(), [4; 20].into(), 6881);
            if n > 4 {
                request.url_data = b"/some-key/announce?x=1".to_vec();
            }
            encode_announce_request(id, 7, &request, packet);
        }
    }
}

fn client(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(WAIT))?;
    Ok(socket)
}

fn connect(socket: &UdpSocket) -> Result<u64, Fault> {
    let (mut packet, mut reply) = (Vec::new(), [0; 2048]);
    encode_connect_request(1, &mut packet);
    for _ in 0..TRIES {
        socket.send(&packet)?;
        // What was asked before may still be answered.
        while let Ok(count) = socket.recv(&mut reply) {
            if let Ok(id) = decode_connect_reply(reply.get(..count).unwrap_or_default()) {
                return Ok(id);
            }
        }
    }
    Err("the tracker gives no connection id any more".into())
}

fn flood_http(tracker: &Tracker, time: Duration) -> Result<Flood, Fault> {
    let address = tracker.http;
    let end = Instant::now() + time;
    let clients = (0..CLIENTS).map(|n| {
        std::thread::spawn(move || {
            let (mut noise, mut sent) = (Noise::new(2 + n), 0);
            while Instant::now() < end {
                sent += send_heads(address, &mut noise)?;
            }
            Ok::<u64, Fault>(sent)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut memory = Memory::new(time);
    while Instant::now() < end {
        std::thread::sleep(LOOK);
        memory.look(tracker)?;
    }
    let mut sent = 0;
    for client in clients {
        sent += client.join().map_err(|_| "a client had a panic")??;
    }
    memory.flood(sent, tracker)
}

/// Sends broken heads on one connection and reads what comes back. Returns how many they were.
fn send_heads(address: SocketAddr, noise: &mut Noise) -> Result<u64, Fault> {
    let mut bytes = Vec::new();
    let count = 1 + noise.below(HEADS);
    for _ in 0..count {
        let mut head = seed_head(noise).into_bytes();
        noise.mutate(&mut head);
        bytes.append(&mut head);
    }
    let mut stream = TcpStream::connect(address)?;
    // Closing resets, so that no port is kept waiting.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The tracker may have seen enough before everything is sent.
    let _ = stream.write_all(&bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err("the tracker neither answers nor closes".into())
        }
        // A reset comes from a tracker that closes with something unread.
        _ => Ok(u64::try_from(count)?),
    }
}

/// What a tracker takes during a flood.
struct Memory {
    start: Instant,
    looked: Instant,
    warm_up: Duration,
    warm: u64,
}

impl Memory {
    fn new(time: Duration) -> Self {
        let now = Instant::now();
        Self {
            start: now,
            looked: now,
            warm_up: time.mul_f64(WARM_UP),
            warm: 0,
        }
    }

    /// Looks, unless it is after the warm-up or was done just now.
    fn look(&mut self, tracker: &Tracker) -> Result<(), Fault> {
        if self.looked.elapsed() >= LOOK && self.start.elapsed() < self.warm_up {
            self.looked = Instant::now();
            self.warm = self.warm.max(tracker.rss()?);
        }
        Ok(())
    }

    fn flood(self, sent: u64, tracker: &Tracker) -> Result<Flood, Fault> {
        Ok(Flood {
            sent,
            warm: self.warm,
            end: tracker.rss()?,
        })
    }
}

fn seed_head(noise: &mut Noise) -> String {
    let query = query(noise.next() % 16, 6881, 5);
    match noise.below(6) {
        0 => format!("GET /scrape?{query} HTTP/1.1\r\nHost: t\r\n\r\n"),
        1 => "GET /torrents/a%20b.torrent HTTP/1.0\r\nAccept: application/json\r\n\r\n".into(),
        2 => {
            let body = format!("http://t/announce?{query}\nhttp://t/announce?{query}\n");
            let length = body.len();
            format!("POST /announce HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
        }
        3 => format!(
            "GET /a-passkey/announce?{query}&event=started&numwant=5&key=ff&ip=::1 HTTP/1.1\r\n\
             X-Forwarded-For: 1.2.3.4, ::1\r\nConnection: keep-alive\r\n\r\n"
        ),
        _ => format!("GET /announce?{query} HTTP/1.1\r\nHost: t\r\nUser-Agent: soak\r\n\r\n"),
    }
}
