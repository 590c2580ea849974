//! Peers that send their handshake a byte a second: closed at the limit, and nobody waits for them.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::swarm::{connect_from, handshake, is_closed, send};
use super::{Bench, Outcome};

/// Slow peers, and how many come from each address.
const SLOW: u32 = 1_000;
const OF_EACH: u32 = 50;
/// `MAX_PENDING_INCOMING` of bt-client: so many may wait without having said what they want.
const PLACES: usize = 256;
/// `HANDSHAKE_TIMEOUT` of bt-wire and room for a busy machine.
const LIMIT: Duration = Duration::from_secs(15);
/// A good peer may take so long while they wait; they are still there after half of their time.
const PROMPT: Duration = Duration::from_secs(5);

pub(super) fn run(bench: &Bench) -> Outcome {
    let torrent = bench.torrent(1, 4 << 20, None)?;
    let (seeder, addr) = bench.seed(&torrent, bench.client(), &["--no-trackers"])?;
    let before = seeder.usage();
    let begin = Instant::now();
    let mut slow: Vec<TcpStream> = (0..SLOW)
        .filter_map(|number| connect_from(number / OF_EACH, addr))
        .collect();
    let opened = slow.len();
    let bytes = handshake(&torrent, 1);
    let (good, held, slow_left, closed) = thread::scope(|scope| {
        let good = scope.spawn(|| bench.download(&torrent, addr, "out"));
        let (mut round, mut held) = (0, None);
        while !slow.is_empty() && begin.elapsed() < LIMIT * 2 {
            let byte = bytes.get(round..=round).unwrap_or_default();
            slow.retain_mut(|stream| send(stream, byte) && !is_closed(stream));
            if good.is_finished() {
                held.get_or_insert(slow.len());
            }
            round += 1;
            thread::sleep(Duration::from_secs(1));
        }
        let closed = begin.elapsed();
        let good = good.join().map_err(|_| "the download panicked".to_owned());
        (good, held.unwrap_or(0), slow.len(), closed)
    });
    let good = good??;
    let after = seeder.usage();
    let figures = format!(
        "{opened} slow peers, all closed after {:.1} s (≤ 15); a good one served in {:.1} s (≤ 5), {held} slow ones held \
         then, descriptors {} → {}",
        closed.as_secs_f64(),
        good.as_secs_f64(),
        before.descriptors,
        after.descriptors
    );
    let were_there = opened == SLOW as usize && held * 4 >= PLACES * 3 && good <= PROMPT;
    if !were_there || slow_left > 0 || closed > LIMIT || after.descriptors > before.descriptors + 4
    {
        return Err(figures);
    }
    Ok(figures)
}
