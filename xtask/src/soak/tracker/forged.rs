//! A flood of packets with connection ids that the tracker never gave, from many addresses: it sends
//! no more than it got, and clients with an id of their own are answered meanwhile.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{
    decode_connect_reply, encode_announce_request, encode_connect_request, encode_scrape_request,
};

use super::{Fault, Noise, Tracker, number, verdict};
use crate::{Bench, Outcome};

/// Addresses that packets come from.
const SOURCES: u8 = 200;

/// Packets of the flood between two questions of a good client.
const ROUND: u64 = 256;

/// The wait for the answer to a good client, and how often it asks.
const WAIT: Duration = Duration::from_millis(200);
const TRIES: u32 = 50;

pub(crate) fn run(bench: &Bench) -> Outcome {
    verdict(measure(bench))
}

fn measure(bench: &Bench) -> Result<(String, bool), Fault> {
    let tracker = Tracker::start(bench, &[])?;
    let before = tracker.rss()?;
    let sources = (1..=SOURCES).map(|n| bound(Ipv4Addr::new(127, 0, 1, n), tracker.udp));
    let sources: Vec<_> = sources.collect::<Result<_, _>>()?;
    let good = bound(Ipv4Addr::LOCALHOST, tracker.udp)?;
    good.set_read_timeout(Some(WAIT))?;
    let (mut noise, mut packet) = (Noise::new(9), Vec::new());
    let (mut sent, mut asked, mut longest) = (0_u64, 0_u64, Duration::ZERO);
    let start = Instant::now();
    while start.elapsed() < bench.time {
        for _ in 0..ROUND {
            forged(&mut noise, &mut packet);
            let source = noise.below(sources.len());
            // What the kernel refuses was not sent.
            if sources
                .get(source)
                .is_some_and(|source| source.send(&packet).is_ok())
            {
                sent += 1;
            }
        }
        let began = Instant::now();
        connect(&good)?;
        longest = longest.max(began.elapsed());
        asked += 1;
    }
    let numbers = tracker.numbers()?;
    let of = |name: &str| number(&numbers, name);
    let (bytes_in, bytes_out) = (of("udp_bytes_in_total"), of("udp_bytes_out_total"));
    let figures = format!(
        "{sent} packets from {SOURCES} addresses, {} of them looked at as unproven and {} as \
         connect requests; {bytes_in} bytes in, {bytes_out} out; {asked} good clients answered, \
         the longest after {:.1} ms; {} torrents; {} KiB more memory",
        of("udp_unproven_total"),
        of("udp_connects_total"),
        longest.as_secs_f64() * 1000.0,
        of("torrents"),
        tracker.rss()?.saturating_sub(before),
    );
    let is_good = bytes_out <= bytes_in && of("torrents") == 0 && of("udp_unproven_total") > 0;
    Ok((figures, is_good))
}

fn bound(address: Ipv4Addr, tracker: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.connect(tracker)?;
    Ok(socket)
}

/// An announce, a scrape, or now and then a connect request, each with an id that is made up.
fn forged(noise: &mut Noise, packet: &mut Vec<u8>) {
    packet.clear();
    let id = noise.next();
    match noise.below(16) {
        0 => encode_connect_request(7, packet),
        1 => encode_scrape_request(id, 7, &[[1; 20].into(); 74], packet),
        _ => {
            let mut request = AnnounceRequest::new([3; 20].into(), [4; 20].into(), 6881);
            request.numwant = Some(200);
            encode_announce_request(id, 7, &request, packet);
        }
    }
}

/// Gets a connection id, which the flood may make take a few tries.
fn connect(socket: &UdpSocket) -> Result<u64, Fault> {
    let (mut packet, mut reply) = (Vec::new(), [0; 2048]);
    encode_connect_request(1, &mut packet);
    for _ in 0..TRIES {
        socket.send(&packet)?;
        while let Ok(count) = socket.recv(&mut reply) {
            if let Ok(id) = decode_connect_reply(reply.get(..count).unwrap_or_default()) {
                return Ok(id);
            }
        }
    }
    Err("the tracker gives no connection id during the flood".into())
}
