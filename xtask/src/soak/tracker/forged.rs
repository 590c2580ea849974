//! A flood of packets with connection ids that the tracker never gave, from many addresses: it sends
//! no more than it got, and clients with an id of their own are answered meanwhile.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{encode_announce_request, encode_connect_request, encode_scrape_request};

use super::packets::{Asker, BATCH, Batch, bound};
use super::{Fault, Noise, Tracker, number, rate, verdict};
use crate::{Bench, Outcome};

/// Addresses that packets come from.
const SOURCES: u8 = 200;

/// Batches of the flood between two good clients, each from an address of its own.
const ROUND: u64 = 4;

/// How long a good client waits: longer than a busy machine takes to give the tracker its turn.
const WAIT: Duration = Duration::from_millis(500);

/// Of a thousand good clients, those that must be answered when they ask for the first time.
const PROMISE: u64 = 990;

pub(crate) fn run(bench: &Bench) -> Outcome {
    verdict(measure(bench))
}

fn measure(bench: &Bench) -> Result<(String, bool), Fault> {
    let tracker = Tracker::start(bench, &[])?;
    let before = tracker.rss()?;
    let sources = (1..=SOURCES).map(|n| bound(Ipv4Addr::new(127, 0, 1, n), tracker.udp));
    let sources: Vec<_> = sources.collect::<Result<_, _>>()?;
    let mut good = Asker::new(Ipv4Addr::LOCALHOST, tracker.udp, WAIT)?;
    let (mut noise, mut batch) = (Noise::new(9), Batch::new());
    let (mut sent, mut clients, mut at_once) = (0_u64, 0_u64, 0_u64);
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    while start.elapsed() < bench.time {
        for _ in 0..ROUND {
            batch.fill(|packet| forged(&mut noise, packet));
            let source = sources.get(noise.below(sources.len()));
            batch.send(source.ok_or("no source")?)?;
            sent += u64::try_from(BATCH)?;
        }
        let (began, asked) = (Instant::now(), good.asked);
        // Over the limit of connect requests a flood from our own address would be answered less;
        // this one comes from others.
        let id = good.connect()?;
        good.announce(id)?;
        longest = longest.max(began.elapsed());
        clients += 1;
        at_once += u64::from(good.asked - asked == 2);
    }
    let numbers = tracker.numbers()?;
    let of = |name: &str| number(&numbers, name);
    let (bytes_in, bytes_out) = (of("udp_bytes_in_total"), of("udp_bytes_out_total"));
    let figures = format!(
        "{sent} packets from {SOURCES} addresses, {}/s, {} of them looked at as unproven and {} \
         as connect requests; {bytes_in} bytes in, {bytes_out} out; {clients} good clients got an id \
         and announced with it, {at_once} of them without asking again, the longest took {:.1} ms; \
         {} torrents; {} KiB more memory",
        rate(sent, start.elapsed()),
        of("udp_unproven_total"),
        of("udp_connects_total"),
        longest.as_secs_f64() * 1000.0,
        of("torrents"),
        tracker.rss()?.saturating_sub(before),
    );
    // The torrent of the good clients is the only one.
    let is_good = bytes_out <= bytes_in
        && of("torrents") == 1
        && of("udp_announces_total") >= clients
        && of("udp_unproven_total") > 0
        && clients > 0
        && at_once * 1000 >= clients * PROMISE;
    Ok((figures, is_good))
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
