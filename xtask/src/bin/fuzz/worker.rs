//! Fuzzes one target in this process: choose, mutate, run, judge, keep.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::Options;
use crate::corpus::{self, Corpus};
use crate::counters;
use crate::minimize::minimize;
use crate::mutate::{Material, mutate};
use crate::random::Random;
use crate::record::{self, Stretch};
use crate::targets::Target;
use crate::verdict::{Panics, Verdict, execute, executions, watch_panics};

/// One execution that takes longer counts as a hang.
const HANG: Duration = Duration::from_secs(10);
/// The exit code that tells the supervisor about a hang.
pub(crate) const HANG_CODE: i32 = 70;
/// Calls of the target that a crash is worth to become small.
const MINIMIZE_TRIES: usize = 50_000;

/// True if the target stood.
pub(crate) fn run(target: &Target, options: Options) -> Result<bool, String> {
    watch_panics(Panics::Silent);
    let mut worker = Worker::new(target, options)?;
    let failure = worker.fuzz();
    worker.note();
    println!("{}", worker.summary());
    let Some((input, verdict)) = failure else {
        return Ok(true);
    };
    let small = minimize(&input, MINIMIZE_TRIES, |candidate| {
        execute(target, candidate).verdict.same_cause(&verdict)
    });
    let kept = corpus::keep_crash(target.name, "crash", &small)?;
    println!("{} FAILED: {verdict}", target.name);
    println!("{}", advice(target.name, &kept, small.len(), input.len()));
    Ok(false)
}

/// Where a crash went and how to see it again.
pub(crate) fn advice(target: &str, kept: &Path, length: usize, original: usize) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let shown = root
        .and_then(|root| kept.strip_prefix(root).ok())
        .unwrap_or(kept);
    let shown = shown.display();
    format!(
        "    kept as {shown} ({length} bytes, made from {original}); an ordinary test replays it\n    \
         see it again: cargo xtask fuzz {target} --replay {shown}"
    )
}

/// The file in which the supervisor finds the input that ended a worker.
pub(crate) fn current_input(target: &str) -> PathBuf {
    corpus::scratch(target).join("current")
}

struct Worker<'t> {
    target: &'t Target,
    options: Options,
    random: Random,
    corpus: Corpus,
    /// For each edge, the classes of counts seen so far, one bit each.
    seen: Vec<u8>,
    current: File,
    started: Instant,
    executions: u64,
    peak: usize,
    slowest: Duration,
    /// Up to here the record knows.
    noted: (Instant, u64),
}

impl<'t> Worker<'t> {
    fn new(target: &'t Target, options: Options) -> Result<Self, String> {
        let corpus = Corpus::load(target.name)?;
        let path = current_input(target.name);
        let current = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        watch_for_hangs();
        // What ran before the first input is not its coverage.
        counters::drain_edges(|_, _| {});
        Ok(Self {
            target,
            options,
            // Targets that run with one seed must not walk in step.
            random: Random::new(options.seed ^ (target.name.len() as u64) << 32),
            corpus,
            seen: vec![0; counters::edge_count()],
            current,
            started: Instant::now(),
            executions: 0,
            peak: 0,
            slowest: Duration::ZERO,
            noted: (Instant::now(), 0),
        })
    }

    /// The first input that failed, if one did.
    fn fuzz(&mut self) -> Option<(Vec<u8>, Verdict)> {
        for entry in self.corpus.entries().to_vec() {
            let (verdict, _) = self.execute(&entry);
            if !verdict.is_fine() {
                return Some((entry, verdict));
            }
        }
        while !self.is_over() {
            let input = self.next_input();
            let (verdict, is_new) = self.execute(&input);
            if !verdict.is_fine() {
                return Some((input, verdict));
            }
            if is_new {
                self.corpus.add(&input);
            }
        }
        None
    }

    fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.corpus.pick(&mut self.random).to_vec();
        let material = Material {
            shape: self.target.shape,
            words: self.target.words,
            other: self.corpus.pick(&mut self.random),
            max_len: self.target.max_len,
        };
        mutate(&mut input, &mut self.random, material);
        input
    }

    fn execute(&mut self, input: &[u8]) -> (Verdict, bool) {
        self.remember(input);
        let run = execute(self.target, input);
        self.executions += 1;
        self.peak = self.peak.max(run.peak);
        self.slowest = self.slowest.max(run.time);
        let mut is_new = false;
        let seen = &mut self.seen;
        counters::drain_edges(|edge, count| {
            if let Some(classes) = seen.get_mut(edge) {
                let class = class_of(count);
                is_new |= *classes & class == 0;
                *classes |= class;
            }
        });
        (run.verdict, is_new)
    }

    /// If the target takes the whole process down, the supervisor reads the input here.
    fn remember(&self, input: &[u8]) {
        let mut record = (input.len() as u64).to_le_bytes().to_vec();
        record.extend_from_slice(input);
        // Without the record only an abort would go unexplained.
        let _ = self.current.write_all_at(&record, 0);
    }

    fn is_over(&mut self) -> bool {
        let enough = self
            .options
            .runs
            .is_some_and(|runs| self.executions >= runs);
        // Reading the clock costs as much as a small target; every 64th time is enough.
        if enough || !self.executions.is_multiple_of(64) {
            return enough;
        }
        if self.noted.0.elapsed() >= record::EVERY {
            self.note();
            println!("{}", self.summary());
        }
        self.options
            .time
            .is_some_and(|time| self.started.elapsed() >= time)
    }

    /// Puts on record what was done since the last time.
    fn note(&mut self) {
        let (since, executions) =
            std::mem::replace(&mut self.noted, (Instant::now(), self.executions));
        let stretch = Stretch {
            executions: self.executions - executions,
            seconds: since.elapsed().as_secs_f64(),
            edges: self.edges(),
            of: self.seen.len(),
        };
        record::note(self.target.name, stretch);
    }

    fn edges(&self) -> usize {
        self.seen.iter().filter(|classes| **classes != 0).count()
    }

    fn summary(&self) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let edges = self.edges();
        let coverage = if self.seen.is_empty() {
            "no counters: start it with cargo xtask fuzz".to_owned()
        } else {
            format!("{edges} of {} edges", self.seen.len())
        };
        format!(
            "{:<24} {:>11} executions {:>9.0}/s  {coverage}  corpus {}  \
             peak {} KiB  slowest {:.1} ms  seed {}",
            self.target.name,
            self.executions,
            self.executions as f64 / seconds,
            self.corpus.len(),
            self.peak.div_ceil(1024),
            self.slowest.as_secs_f64() * 1e3,
            self.options.seed,
        )
    }
}

/// Counts fall into eight classes, so that a loop that runs once more is no news for ever.
const fn class_of(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..8 => 8,
        8..16 => 16,
        16..32 => 32,
        32..128 => 64,
        128.. => 128,
    }
}

/// Ends the process when one execution does not end.
fn watch_for_hangs() {
    std::thread::spawn(|| {
        let mut last = u64::MAX;
        loop {
            std::thread::sleep(HANG);
            let now = executions();
            if now == last {
                std::process::exit(HANG_CODE);
            }
            last = now;
        }
    });
}

/// Reads what [`Worker::remember`] wrote.
pub(crate) fn remembered(path: &Path) -> Option<Vec<u8>> {
    let record = fs::read(path).ok()?;
    let (length, input) = record.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    input.get(..length).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_single_bits_and_grow() {
        let classes: Vec<u8> = (0..=255).map(class_of).collect();
        assert!(classes.iter().skip(1).all(|class| class.count_ones() == 1));
        assert!(classes.is_sorted());
    }

    #[test]
    fn a_short_record_is_no_input() {
        let folder = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        fs::write(&folder, [3, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', b'c', b'd']).unwrap();
        assert_eq!(remembered(&folder), Some(b"abc".to_vec()));
        fs::write(&folder, [9, 0, 0, 0, 0, 0, 0, 0, b'a']).unwrap();
        assert_eq!(remembered(&folder), None);
        fs::remove_file(&folder).unwrap();
    }
}
