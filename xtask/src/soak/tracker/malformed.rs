//! Broken packets and broken request heads without end: the tracker does not crash and does not
//! grow, and answers a good request afterwards.

use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{encode_announce_request, encode_connect_request, encode_scrape_request};

use super::heads::{self, Heads};
use super::packets::{Asker, BATCH, Batch};
use super::{Fault, Noise, Tracker, announce, is_flat, number, rate, verdict};
use crate::{Bench, Outcome};

/// How long a connection id is used; it holds for two minutes.
const RENEW: Duration = Duration::from_secs(60);

/// How long an answer is waited for before it is asked for again: it may have been lost among those
/// to a batch, which nobody reads in time.
const WAIT: Duration = Duration::from_millis(20);

/// The part of the run after which memory must not grow any more.
const WARM_UP: f64 = 0.3;

/// Clients that send heads side by side, so that the tracker need not wait for one of them.
const CLIENTS: u64 = 2;

/// How often memory is looked at, which costs as much as a hundred packets.
const LOOK: Duration = Duration::from_millis(200);

/// What a flood sent, and the memory of the tracker after the warm-up and at the end.
struct Flood<T> {
    sent: T,
    took: Duration,
    warm: u64,
    end: u64,
}

pub(crate) fn run(bench: &Bench) -> Outcome {
    verdict(measure(bench))
}

fn measure(bench: &Bench) -> Result<(String, bool), Fault> {
    // What is well-formed by chance fills the store up to its limits.
    let tracker = Tracker::start(bench, &["--max-torrents", "10000"])?;
    let mut asker = Asker::new(tracker.udp, WAIT)?;
    let packets = flood_udp(&tracker, &mut asker, bench.time / 2, &mut Noise::new(1))?;
    let heads = flood_http(&tracker, bench.time / 2)?;
    announce(tracker.http)?;
    asker.connect()?;
    let numbers = tracker.numbers()?;
    let of = |name: &str| number(&numbers, name);
    let figures = format!(
        "{} packets, {}/s ({} malformed, {} unproven, {} over the limit, {} taken; memory {} → \
         {} KiB), {} heads, {}/s, of which {} were looked at to their ends and {} were the last \
         of their connections ({} malformed, {} taken; memory {} → {} KiB)",
        packets.sent,
        rate(packets.sent, packets.took),
        of("udp_malformed_total"),
        of("udp_unproven_total"),
        of("udp_limited_total"),
        of("udp_announces_total") + of("udp_scrapes_total"),
        packets.warm,
        packets.end,
        heads.sent.sent,
        rate(heads.sent.sent, heads.took),
        heads.sent.answered,
        heads.sent.last,
        of("http_malformed_total"),
        of("http_announces_total") + of("http_scrapes_total"),
        heads.warm,
        heads.end,
    );
    // Every packet was looked at, or else the kernel was tested and not the tracker. Our own
    // questions are not the flood's.
    let looked_at = of("udp_malformed_total")
        + of("udp_unproven_total")
        + of("udp_limited_total")
        + of("udp_connects_total")
        + of("udp_announces_total")
        + of("udp_scrapes_total")
        + of("udp_failures_total");
    let is_good = is_flat(packets.warm, packets.end)
        && is_flat(heads.warm, heads.end)
        && packets.sent > 0
        && heads.sent.last > 0
        && looked_at >= packets.sent + asker.asked;
    Ok((figures, is_good))
}

/// Sends batches; while one is looked at, the next is made and sent.
fn flood_udp(
    tracker: &Tracker,
    asker: &mut Asker,
    time: Duration,
    noise: &mut Noise,
) -> Result<Flood<u64>, Fault> {
    let (mut batch, mut before) = (Batch::new(), None);
    let (mut id, mut renewed) = (asker.connect()?, Instant::now());
    let (start, mut sent) = (Instant::now(), 0_u64);
    let mut memory = Memory::new(time);
    while start.elapsed() < time {
        if renewed.elapsed() > RENEW {
            if let Some(mark) = before.take() {
                asker.settled(id, mark)?;
            }
            (id, renewed) = (asker.connect()?, Instant::now());
        }
        batch.fill(|packet| {
            seed_packet(id, noise, packet);
            noise.mutate(packet);
            // Half of them prove their address, so that what lies behind is reached.
            if noise.below(2) == 0
                && let Some(head) = packet.get_mut(..8)
            {
                head.copy_from_slice(&id.to_be_bytes());
            }
        });
        batch.send(asker.socket())?;
        sent += u64::try_from(BATCH)?;
        let mark = asker.begin(id)?;
        if let Some(before) = before.replace(mark) {
            asker.settled(id, before)?;
        }
        memory.look(tracker)?;
    }
    if let Some(mark) = before {
        asker.settled(id, mark)?;
    }
    memory.flood(sent, tracker)
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

fn flood_http(tracker: &Tracker, time: Duration) -> Result<Flood<Heads>, Fault> {
    let address = tracker.http;
    let end = Instant::now() + time;
    let clients = (0..CLIENTS).map(|n| {
        std::thread::spawn(move || {
            let (mut noise, mut sent) = (Noise::new(2 + n), Heads::default());
            while Instant::now() < end {
                sent.add(heads::send(address, &mut noise)?);
            }
            Ok::<_, Fault>(sent)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut memory = Memory::new(time);
    while Instant::now() < end {
        std::thread::sleep(LOOK);
        memory.look(tracker)?;
    }
    let mut sent = Heads::default();
    for client in clients {
        sent.add(client.join().map_err(|_| "a client had a panic")??);
    }
    memory.flood(sent, tracker)
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

    fn flood<T>(self, sent: T, tracker: &Tracker) -> Result<Flood<T>, Fault> {
        Ok(Flood {
            sent,
            took: self.start.elapsed(),
            warm: self.warm,
            end: tracker.rss()?,
        })
    }
}
