//! A load over HTTP and UDP: how long an announce takes, and memory that does not grow after the
//! warm-up.
//!
//! Even, with peers that come and expire: what lives is what came within a peer's lifetime, and as
//! fast as it goes would be faster on a machine that becomes quieter, and more peers at once look
//! like a leak. Or as fast as it goes, with so few peers that all of them are there all the time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{decode_connect_reply, encode_announce_request, encode_connect_request};

use super::{Fault, Noise, PATIENCE, Times, Tracker, is_flat, number, query, verdict};
use crate::{Bench, Outcome};

/// Who announces, and how often.
#[derive(Clone, Copy)]
struct Load {
    torrents: u64,
    /// Ports, each of which may be a peer of each torrent.
    peers: u64,
    /// Announces in a second over HTTP and over UDP; as many as are answered without them.
    rates: Option<(u64, u64)>,
}

const EVEN: Load = Load {
    torrents: 50_000,
    peers: 60_000,
    rates: Some((1_000, 3_000)),
};

/// 200,000 peers, each of which announces every ten seconds or more often.
const FULL: Load = Load {
    torrents: 2_000,
    peers: 100,
    rates: None,
};

/// Connections over HTTP, each with one announce on its way at a time.
const CLIENTS: u64 = 4;

/// UDP packets on their way.
const WINDOW: usize = 64;

/// Of the run, the part after which memory must not grow any more.
const WARM_UP: f64 = 0.4;

/// Of a hundred announces over UDP, those that must be answered: none is thrown away on a loopback
/// device, but a client may give one up too early on a busy machine.
const ANSWERED: u64 = 95;

/// Says when the next one is to begin, so that so many begin in a second and none is made up for.
struct Pace {
    next: Instant,
    every: Option<Duration>,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self {
            next: Instant::now(),
            every: rate.map(|rate| Duration::from_nanos(1_000_000_000 / rate.max(1))),
        }
    }

    /// Sleeps until it is time. Whoever is late goes on at once, and nobody runs to catch up.
    fn wait(&mut self) {
        let Some(every) = self.every else { return };
        let now = Instant::now();
        std::thread::sleep(self.next.saturating_duration_since(now));
        self.next = now.max(self.next) + every;
    }
}

/// A client's work: what it counted, or why it ended.
type Work<T> = Result<T, Fault>;

pub(crate) fn even(bench: &Bench) -> Outcome {
    verdict(measure(bench, EVEN))
}

pub(crate) fn full(bench: &Bench) -> Outcome {
    verdict(measure(bench, FULL))
}

fn measure(bench: &Bench, load: Load) -> Result<(String, bool), Fault> {
    // Peers expire while it runs, so that what comes and what goes are in balance.
    let ttl = (bench.time.as_secs() / 10).clamp(2, 120);
    let tracker = Tracker::start(bench, &["--peer-ttl", &format!("{ttl}s")])?;
    let (http, udp) = (tracker.http, tracker.udp);
    let done = Arc::new(AtomicBool::new(false));
    let clients = (0..CLIENTS).map(|n| {
        let done = Arc::clone(&done);
        std::thread::spawn(move || announce_http(http, n, load, &done))
    });
    let over_http: Vec<_> = clients.collect();
    let over_udp = std::thread::spawn({
        let done = Arc::clone(&done);
        move || announce_udp(udp, load, &done)
    });
    let start = Instant::now();
    let (mut warm, mut most) = (0, 0);
    while start.elapsed() < bench.time {
        std::thread::sleep(Duration::from_millis(500));
        let now = tracker.rss()?;
        if start.elapsed().as_secs_f64() < WARM_UP * bench.time.as_secs_f64() {
            warm = warm.max(now);
        } else {
            most = most.max(now);
        }
    }
    let numbers = tracker.numbers()?;
    let ticks = tracker.program.usage().ticks;
    done.store(true, Ordering::Relaxed);
    let mut times = Times::new();
    for client in over_http {
        times.merge(&client.join().map_err(|_| "a client had a panic")??);
    }
    let (asked, answered) = over_udp.join().map_err(|_| "a client had a panic")??;
    let seconds = bench.time.as_secs().max(1);
    let figures = format!(
        "{}/s over HTTP, {}/s over UDP ({} of a thousand answered), {} % of a core; HTTP announce p50 {:.2} ms, p99 {:.2} ms, \
         p99.9 {:.2} ms; {} peers in {} torrents live {ttl} s; memory at most {warm} KiB in the \
         first {:.0} %, {most} KiB after",
        times.count() / seconds,
        answered / seconds,
        answered * 1000 / asked.max(1),
        ticks / seconds,
        times.of_a_thousand(500),
        times.of_a_thousand(990),
        times.of_a_thousand(999),
        number(&numbers, "peers_ipv4"),
        number(&numbers, "torrents"),
        WARM_UP * 100.0,
    );
    let is_answered = times.count() > 0 && answered > 0 && answered * 100 >= asked * ANSWERED;
    Ok((figures, is_flat(warm, most) && is_answered))
}

/// One announce after the other on a kept connection.
fn announce_http(address: SocketAddr, client: u64, load: Load, done: &AtomicBool) -> Work<Times> {
    let mut noise = Noise::new(client + 1);
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut times, mut reply) = (Times::new(), [0; 4096]);
    let mut pace = Pace::new(load.rates.map(|(http, _)| http / CLIENTS));
    while !done.load(Ordering::Relaxed) {
        pace.wait();
        let port = u16::try_from(noise.next() % load.peers).unwrap_or(0).max(1);
        let query = query(load.torrent(&mut noise), port, noise.next() % 3);
        let request = format!("GET /announce?{query} HTTP/1.1\r\nHost: t\r\n\r\n");
        let start = Instant::now();
        stream.write_all(request.as_bytes())?;
        // A reply is shorter than a segment of the loopback device and comes in one piece.
        let count = stream.read(&mut reply)?;
        times.add(start.elapsed());
        if !reply.starts_with(b"HTTP/1.1 200") || count < 50 {
            return Err("an announce was not answered".into());
        }
    }
    Ok(times)
}

/// Announces in windows. Returns how many were sent, and how many answered.
fn announce_udp(address: SocketAddr, load: Load, done: &AtomicBool) -> Work<(u64, u64)> {
    let mut noise = Noise::new(77);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let (mut buffer, mut packet) = ([0; 2048], Vec::new());
    let (mut asked, mut answered, mut round) = (0_u64, 0_u64, 1_u32);
    let mut id = (0, Instant::now());
    let mut pace = Pace::new(load.rates.map(|(_, udp)| udp / WINDOW as u64));
    while !done.load(Ordering::Relaxed) {
        pace.wait();
        if answered == 0 || id.1.elapsed() > Duration::from_secs(60) {
            packet.clear();
            encode_connect_request(1, &mut packet);
            socket.send(&packet)?;
            while let Ok(count) = socket.recv(&mut buffer) {
                if let Ok(found) = decode_connect_reply(buffer.get(..count).unwrap_or_default()) {
                    id = (found, Instant::now());
                    break;
                }
            }
        }
        round = round.wrapping_add(1).max(2);
        for _ in 0..WINDOW {
            let mut hash = [0; 20];
            hash.iter_mut()
                .zip(load.torrent(&mut noise).to_be_bytes().iter().cycle())
                .for_each(|(to, from)| *to = *from);
            let port = u16::try_from(noise.next() % load.peers).unwrap_or(0).max(1);
            let mut request = AnnounceRequest::new(hash.into(), [5; 20].into(), port);
            request.left = noise.next() % 3;
            packet.clear();
            encode_announce_request(id.0, round, &request, &mut packet);
            socket.send(&packet)?;
            asked += 1;
        }
        let mut missing = WINDOW;
        while missing > 0 {
            match socket.recv(&mut buffer) {
                Ok(_) if buffer.starts_with(&[0, 0, 0, 1]) => {
                    answered += 1;
                    // One of an earlier round comes late.
                    missing -= usize::from(buffer.get(4..8) == Some(&round.to_be_bytes()));
                }
                Ok(_) => {}
                // Silence is loss, as on any network.
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok((asked, answered))
}

impl Load {
    /// A few torrents are popular and most are not.
    fn torrent(self, noise: &mut Noise) -> u64 {
        let bound = (self.torrents >> (noise.next() & 7)).max(1);
        noise.next() % bound
    }
}
