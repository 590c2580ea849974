//! The tracker under load and under attack: the real program, and loads that run here.

pub(super) mod forged;
mod heads;
pub(super) mod load;
pub(super) mod loris;
pub(super) mod malformed;
mod packets;
mod watch;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use super::process::Program;
use super::{Bench, Outcome};

/// No load waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a load could not go on.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A running tracker.
struct Tracker {
    program: Program,
    http: SocketAddr,
    udp: SocketAddr,
    stats: SocketAddr,
}

impl Tracker {
    /// On free ports of the loopback address, with one worker for each.
    fn start(bench: &Bench, more: &[&str]) -> Result<Self, Fault> {
        let mut command = Command::new(bench.programs.join("bt-tracker"));
        command.args(["serve", "-q", "--workers", "1"]);
        for listen in ["--http", "--udp", "--stats-addr"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        let program = Program::start(command.args(more))?;
        let ready = program.line_with("listening", PATIENCE)?;
        let address = |name: &str| -> Result<SocketAddr, Fault> {
            let word = ready.split(' ').find_map(|word| word.strip_prefix(name));
            Ok(word
                .ok_or("the tracker does not say where it listens")?
                .parse()?)
        };
        Ok(Self {
            http: address("http=")?,
            udp: address("udp=")?,
            stats: address("stats=")?,
            program,
        })
    }

    /// Memory in KiB; an error once it has ended.
    fn rss(&self) -> Result<u64, Fault> {
        match self.program.usage().rss_kib {
            0 => Err("the tracker has ended".into()),
            rss => Ok(rss),
        }
    }

    /// All its numbers by name.
    fn numbers(&self) -> Result<HashMap<String, u64>, Fault> {
        let text = get(self.stats, "/stats")?;
        let lines = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        });
        Ok(lines.collect())
    }
}

fn number(numbers: &HashMap<String, u64>, name: &str) -> u64 {
    numbers.get(name).copied().unwrap_or(0)
}

/// A reply to a request on a connection of its own.
fn get(address: SocketAddr, target: &str) -> Result<String, Fault> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {target} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"
    )?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// One good announce on a connection of its own.
fn announce(address: SocketAddr) -> Result<(), Fault> {
    let reply = get(address, &format!("/announce?{}", query(1, 6881, 5)))?;
    if reply.contains("8:interval") {
        Ok(())
    } else {
        Err(format!("a good announce is answered with {reply:?}").into())
    }
}

/// What a row gives back: figures, which are also what is said of a broken promise.
fn verdict(figures: Result<(String, bool), Fault>) -> Outcome {
    match figures {
        Ok((figures, true)) => Ok(figures),
        Ok((figures, false)) => Err(figures),
        Err(fault) => Err(fault.to_string()),
    }
}

/// How many a second.
fn rate(count: u64, took: Duration) -> u64 {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    count * 1000 / milliseconds.max(1)
}

/// Memory may grow by a twentieth and 8 MiB: allocators keep what they had to give once.
fn is_flat(before: u64, after: u64) -> bool {
    after <= before + before / 20 + 8 * 1024
}

/// How often each time was measured, in microseconds up to one second.
struct Times(Vec<u32>);

impl Times {
    fn new() -> Self {
        Self(vec![0; 1_000_001])
    }

    fn add(&mut self, time: Duration) {
        let at = usize::try_from(time.as_micros()).unwrap_or(usize::MAX);
        let at = at.min(self.0.len() - 1);
        if let Some(count) = self.0.get_mut(at) {
            *count += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        let pairs = self.0.iter_mut().zip(&other.0);
        pairs.for_each(|(ours, theirs)| *ours += theirs);
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|&count| u64::from(count)).sum()
    }

    /// The time in milliseconds that this many of a thousand do not exceed.
    fn of_a_thousand(&self, thousandths: u64) -> f64 {
        let wanted = (self.count() * thousandths).div_ceil(1000).max(1);
        let mut seen = 0;
        let at = self.0.iter().position(|&count| {
            seen += u64::from(count);
            seen >= wanted
        });
        let microseconds = u32::try_from(at.unwrap_or(0)).unwrap_or(u32::MAX);
        f64::from(microseconds) / 1000.0
    }
}

/// Numbers that look random and are the same for the same seed.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap_or(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    /// Changes a few bytes: flipped, replaced, cut off, doubled.
    fn mutate(&mut self, data: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(data.len());
            let byte = self.next().to_le_bytes()[0];
            match self.below(8) {
                0 => data.truncate(at),
                1 if data.len() < 1500 => data.extend_from_within(at..),
                2 | 3 => data.get_mut(at).into_iter().for_each(|found| *found = byte),
                4 if at < data.len() => {
                    data.remove(at);
                }
                5 => data.insert(at, byte),
                _ => data
                    .get_mut(at)
                    .into_iter()
                    .for_each(|found| *found ^= 1 << (byte & 7)),
            }
        }
    }
}

/// `a=1&b=2` of an announce.
fn query(torrent: u64, port: u16, left: u64) -> String {
    let hash: String = torrent
        .to_be_bytes()
        .iter()
        .cycle()
        .take(20)
        .map(|byte| format!("%{byte:02x}"))
        .collect();
    format!(
        "info_hash={hash}&peer_id=-XX0001-{port:012}&port={port}&uploaded=0&downloaded=0\
         &left={left}&compact=1"
    )
}
