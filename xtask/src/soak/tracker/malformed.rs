//! Broken packets and broken request heads without end: the tracker does not crash and does not
//! grow, and good announces are answered all through.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bt_tracker::AnnounceRequest;
use bt_tracker::udp::{encode_announce_request, encode_connect_request, encode_scrape_request};

use super::heads::{self, Heads};
use super::packets::{Asker, BATCH, Batch, bound};
use super::watch::{Served, Watch};
use super::{Fault, Noise, Tracker, is_flat, number, rate, verdict};
use crate::{Bench, Outcome};

/// Malformed packets, and refused heads, after which a flood ends before its time.
const GOAL: u64 = 10_000_000;

/// Where the broken packets come from, and the questions between them.
const SOURCE: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long a connection id is used; it holds for two minutes.
const RENEW: Duration = Duration::from_secs(60);

/// The wait before a question is asked again: longer than a busy machine takes to give the tracker
/// its turn. None is lost while what is under way fits the tracker's buffer.
const WAIT: Duration = Duration::from_secs(1);

/// The receive buffer that a tracker asks for, and what the kernel takes of it for a batch at most: a
/// packet takes less than a kilobyte, with what the kernel writes about it. It grants twice as much as
/// it says.
const BUFFER: usize = 4 << 20;
const BATCH_IN_BUFFER: usize = BATCH * 1024 / 2;

/// Batches under way at most. With few of them client and tracker work one after the other, and each
/// batch costs two waits for a turn, which are long on a busy machine.
const MOST_UNDER_WAY: usize = 64;

/// The part of a flood after which memory must not grow any more.
const WARM_UP: f64 = 0.3;
const WARM_UP_GOAL: u64 = GOAL / 10 * 3;

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
    let begin = Instant::now();
    let mut asker = Asker::new(SOURCE, tracker.udp, WAIT)?;
    let watch = Watch::start(&tracker);
    let packets = flood_udp(&tracker, &mut asker, bench.time / 2, &mut Noise::new(1))?;
    let heads = flood_http(&tracker, bench.time.saturating_sub(begin.elapsed()))?;
    let served = watch.end()?;
    // Whatever was sent before has been looked at when this is answered.
    asker.connect()?;
    judge(&tracker, &packets, &heads, &served, asker.asked)
}

fn judge(
    tracker: &Tracker,
    packets: &Flood<u64>,
    heads: &Flood<Heads>,
    served: &Served,
    asked: u64,
) -> Result<(String, bool), Fault> {
    let numbers = tracker.numbers()?;
    let of = |name: &str| number(&numbers, name);
    let figures = format!(
        "{} packets, {}/s ({} malformed, {} unproven, {} over the limit, {} taken; memory {} → \
         {} KiB), {} heads, {}/s, of which {} were looked at to their ends and {} refused, {} were \
         the last of their connections ({} malformed; memory {} → {} KiB); {}",
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
        heads.sent.refused,
        heads.sent.last,
        of("http_malformed_total"),
        heads.warm,
        heads.end,
        served.figures(),
    );
    // Every packet was looked at once, or else the kernel was tested and not the tracker. Connect
    // requests over the limit are among the connect requests.
    let looked_at = of("udp_malformed_total")
        + of("udp_unproven_total")
        + of("udp_connects_total")
        + of("udp_announces_total")
        + of("udp_scrapes_total")
        + of("udp_failures_total");
    let is_good = is_flat(packets.warm, packets.end)
        && is_flat(heads.warm, heads.end)
        && packets.sent > 0
        && heads.sent.last > 0
        && served.is_good()
        && looked_at == packets.sent + asked + served.asked;
    Ok((figures, is_good))
}

/// Sends batches, each with a question behind it, whose answer says that the batch has been looked at.
fn flood_udp(
    tracker: &Tracker,
    asker: &mut Asker,
    time: Duration,
    noise: &mut Noise,
) -> Result<Flood<u64>, Fault> {
    // Nobody reads the answers to broken packets; the kernel throws them away at this socket.
    let socket = bound(SOURCE, tracker.udp)?;
    let most = most_under_way();
    let (mut batch, mut under_way) = (Batch::new(), VecDeque::new());
    let (mut id, mut renewed) = (asker.connect()?, Instant::now());
    let (start, mut sent) = (Instant::now(), 0_u64);
    let mut memory = Memory::new(time);
    while start.elapsed() < time {
        if renewed.elapsed() > RENEW {
            settle(asker, id, &mut under_way, 0)?;
            (id, renewed) = (asker.connect()?, Instant::now());
        }
        batch.fill(|packet| {
            seed_packet(id, noise, packet);
            noise.mutate(packet);
            // Half of them prove their address for certain, so that what lies behind is reached.
            if noise.below(2) == 0
                && let Some(head) = packet.get_mut(..8)
            {
                head.copy_from_slice(&id.to_be_bytes());
            }
            spoil(noise, packet);
        });
        batch.send(&socket)?;
        sent += u64::try_from(BATCH)?;
        under_way.push_back(asker.begin(id)?);
        if under_way.len() >= most {
            // Both sides have something to do meanwhile.
            settle(asker, id, &mut under_way, most / 2)?;
        }
        if memory.is_due() {
            let refused = number(&tracker.numbers()?, "udp_malformed_total");
            memory.look(tracker, refused)?;
            if refused >= GOAL {
                break;
            }
        }
    }
    settle(asker, id, &mut under_way, 0)?;
    memory.flood(sent, tracker)
}

/// Waits until so few batches are under way.
fn settle(
    asker: &mut Asker,
    id: u64,
    under_way: &mut VecDeque<u32>,
    rest: usize,
) -> Result<(), Fault> {
    let done = under_way.len().saturating_sub(rest);
    match under_way.drain(..done).next_back() {
        // What is answered is answered in order.
        Some(mark) => asker.settled(id, mark),
        None => Ok(()),
    }
}

/// Batches that fit the tracker's receive buffer, as far as the kernel grants it one.
fn most_under_way() -> usize {
    let granted = std::fs::read_to_string("/proc/sys/net/core/rmem_max");
    let granted = granted.ok().and_then(|text| text.trim().parse().ok());
    let bytes = granted.unwrap_or(0).min(BUFFER);
    (bytes / BATCH_IN_BUFFER).clamp(2, MOST_UNDER_WAY)
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

/// Breaks most packets where it cannot go unnoticed: elsewhere a changed byte makes another number of
/// the same announce.
fn spoil(noise: &mut Noise, packet: &mut Vec<u8>) {
    let word = match noise.below(6) {
        0 => return packet.truncate(noise.below(16)),
        1 | 2 => return packet.truncate(noise.below(98)),
        // The action, and the event of an announce.
        3 => 8,
        4 => 80,
        _ => return,
    };
    let value = u32::MAX << 2 & u32::from_le_bytes([noise.next().to_le_bytes()[0]; 4]);
    if let Some(found) = packet.get_mut(word..word + 4) {
        found.copy_from_slice(&value.to_be_bytes());
    }
}

fn flood_http(tracker: &Tracker, time: Duration) -> Result<Flood<Heads>, Fault> {
    let address = tracker.http;
    let end = Instant::now() + time;
    let refused = Arc::new(AtomicU64::new(0));
    let clients = (0..CLIENTS).map(|n| {
        let refused = Arc::clone(&refused);
        std::thread::spawn(move || {
            let (mut noise, mut sent) = (Noise::new(2 + n), Heads::default());
            while Instant::now() < end && refused.load(Ordering::Relaxed) < GOAL {
                let more = heads::send(address, &mut noise)?;
                refused.fetch_add(more.refused, Ordering::Relaxed);
                sent.add(more);
            }
            Ok::<_, Fault>(sent)
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut memory = Memory::new(time);
    while clients.iter().any(|client| !client.is_finished()) {
        std::thread::sleep(LOOK);
        if memory.is_due() {
            memory.look(tracker, refused.load(Ordering::Relaxed))?;
        }
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

    fn is_due(&self) -> bool {
        self.looked.elapsed() >= LOOK
    }

    /// Looks; after the warm-up only whether the tracker lives. A flood ends with its time or with so many `refused`, and its
    /// warm-up at the same part of whichever comes first.
    fn look(&mut self, tracker: &Tracker, refused: u64) -> Result<(), Fault> {
        self.looked = Instant::now();
        let rss = tracker.rss()?;
        let is_early = self.start.elapsed() < self.warm_up && refused < WARM_UP_GOAL;
        if is_early || self.warm == 0 {
            self.warm = self.warm.max(rss);
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
