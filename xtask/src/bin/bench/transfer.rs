//! One seeder, one leecher, one machine: how fast content moves, and what each side pays for it.

use std::time::{Duration, Instant};

use crate::content::{Content, Folder};
use crate::measure;
use crate::peers::Peer;
use crate::process::is_listening;
use crate::setting::Setting;
use crate::tracker::Tracker;

/// MiB that are moved.
const SIZE: u64 = 512;
const SMOKE_SIZE: u64 = 16;

/// From a start to being ready, and from a start to the last byte.
const PATIENCE: Duration = Duration::from_secs(120);

/// From saying that all is here to having written it.
const SETTLED: Duration = Duration::from_secs(10);

/// Who sends to whom; the first is what the others are compared with.
const PAIRS: [(Peer, Peer); 8] = [
    (Peer::Ours, Peer::Ours),
    (Peer::Floor, Peer::Floor),
    (Peer::Libtorrent, Peer::Libtorrent),
    (Peer::Ours, Peer::Libtorrent),
    (Peer::Libtorrent, Peer::Ours),
    (Peer::Aria2, Peer::Aria2),
    (Peer::Rqbit, Peer::Rqbit),
    (Peer::Transmission, Peer::Transmission),
];

/// What a transfer cost. CPU in seconds per GiB, memory in MiB.
#[derive(Debug, Clone, Copy)]
struct Figures {
    rate: f64,
    seeder: f64,
    leecher: f64,
    memory: f64,
}

pub(crate) fn run(setting: &Setting) -> Result<(), String> {
    let size = setting.size(SIZE, SMOKE_SIZE);
    let folder = Folder::new("transfer")?;
    let tracker = Tracker::start().map_err(|error| error.to_string())?;
    let mut pairs: Vec<((Peer, Peer), Vec<Figures>)> = Vec::new();
    for pair in PAIRS {
        if setting.alone && pair != PAIRS[0] {
            continue;
        }
        let missing = [pair.0, pair.1]
            .into_iter()
            .find(|peer| peer.find().is_none());
        match missing {
            None => pairs.push((pair, Vec::new())),
            Some(peer) => println!(
                "transfer: {} left out: {} is not installed",
                shown(pair),
                peer.name()
            ),
        }
    }
    let mut contents = Vec::new();
    for ((peer, _), _) in &pairs {
        let size = (size / peer.divisor()).max(1);
        if !contents.iter().any(|(has, _)| *has == size) {
            contents.push((size, Content::make(&folder, size, Some(&tracker.url))?));
        }
    }
    let content_of = |peer: Peer| {
        let size = (size / peer.divisor()).max(1);
        let found = contents.iter().find(|(has, _)| *has == size);
        found.map(|(_, content)| content)
    };
    for round in 0..setting.rounds(3) {
        for (pair, figures) in &mut pairs {
            // What is moved slowly is moved once, and less of it.
            let Some(content) = content_of(pair.0).filter(|_| round == 0 || pair.0.divisor() == 1)
            else {
                continue;
            };
            match transfer(&folder, &tracker, *pair, content) {
                Ok(measured) => figures.push(measured),
                Err(message) if *pair == PAIRS[0] => return Err(message),
                Err(message) => println!("transfer: {}: {message}", shown(*pair)),
            }
        }
    }
    let mut first = None;
    for (pair, figures) in &pairs {
        if figures.is_empty() {
            continue;
        }
        let middle = Figures {
            rate: median(figures, |figures| figures.rate),
            seeder: median(figures, |figures| figures.seeder),
            leecher: median(figures, |figures| figures.leecher),
            memory: median(figures, |figures| figures.memory),
        };
        print(
            *pair,
            (size / pair.0.divisor()).max(1),
            middle,
            *first.get_or_insert(middle),
        );
    }
    Ok(())
}

fn transfer(
    folder: &Folder,
    tracker: &Tracker,
    pair: (Peer, Peer),
    content: &Content,
) -> Result<Figures, String> {
    let home = folder.empty("home")?;
    let target = folder.empty("target")?;
    tracker.clear();
    let mut seed = pair.0.seed(content, &home)?;
    let port = seed.port;
    seed.program.until(PATIENCE, "does not get ready", || {
        if pair.0.announces() {
            tracker.has_seed()
        } else {
            is_listening(port)
        }
    })?;
    let before = seed.program.cpu();
    let begin = Instant::now();
    let mut leech = pair.1.leech(content, &target, &home, port)?;
    let marker = leech.marker.take();
    let is_done = || marker.as_ref().is_some_and(|marker| marker.exists());
    let mut leecher = leech.program.finish(PATIENCE, is_done)?;
    let wall = begin.elapsed().as_secs_f64();
    let seeder = seed.program.cpu() - before;
    let memory = leech.program.peak();
    if marker.is_some() {
        // Some say that they have everything before all of it is in the file.
        let is_there = || content.is_in(&target).unwrap_or(false);
        leech
            .program
            .until(SETTLED, "wrote something else", is_there)?;
        leecher = leech.program.cpu();
    }
    drop((seed, leech));
    if !content.is_in(&target).map_err(|error| error.to_string())? {
        return Err("what arrived is not what was sent".to_owned());
    }
    let gib = content.bytes as f64 / f64::from(1 << 30);
    Ok(Figures {
        rate: gib * 1024.0 / wall,
        seeder: seeder / gib,
        leecher: leecher / gib,
        memory: memory as f64 / f64::from(1 << 20),
    })
}

fn print(pair: (Peer, Peer), size: u64, figures: Figures, ours: Figures) {
    println!(
        "transfer: {:<25} {size:>5} MiB {:>7.0} MiB/s ({:.2}), CPU s/GiB leecher {:.2} ({:.2}) seeder {:.2} ({:.2}), leecher {:.0} MiB ({:.2})",
        shown(pair),
        figures.rate,
        figures.rate / ours.rate,
        figures.leecher,
        figures.leecher / ours.leecher,
        figures.seeder,
        figures.seeder / ours.seeder,
        figures.memory,
        figures.memory / ours.memory,
    );
}

fn shown(pair: (Peer, Peer)) -> String {
    format!("{} to {}", pair.0.name(), pair.1.name())
}

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    measure::median(figures.iter().map(of).collect())
}
