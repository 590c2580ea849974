//! Fuzzes one target in this process: choose, mutate, run, judge, keep.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Inputs that run between two looks at all counters and two writes of what runs.
const BATCH: usize = 32;

/// Executions of this process when the present batch began.
static BATCH_BEGAN: AtomicU64 = AtomicU64::new(0);

/// The file in which the supervisor finds the inputs of which one ended a worker.
fn current_inputs(target: &str) -> PathBuf {
    corpus::scratch(target).join("current")
}

/// The file in which it finds which of them did not end.
fn hung_input(target: &str) -> PathBuf {
    corpus::scratch(target).join("hung")
}

struct Worker<'t> {
    target: &'t Target,
    options: Options,
    random: Random,
    corpus: Corpus,
    /// For each edge, the classes of counts seen so far, one bit each.
    seen: Vec<u8>,
    /// Stretches of edge counters that have ever counted; the others are looked at once a batch.
    stretches: Vec<usize>,
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
        let path = current_inputs(target.name);
        let current = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        watch_for_hangs(hung_input(target.name));
        // What ran before the first input is not its coverage.
        counters::drain_edges(|_, _| {});
        Ok(Self {
            target,
            options,
            // Targets that run with one seed must not walk in step.
            random: Random::new(options.seed ^ (target.name.len() as u64) << 32),
            corpus,
            seen: vec![0; counters::edge_count()],
            stretches: Vec::new(),
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
        for seeds in self.corpus.entries().to_vec().chunks(BATCH) {
            if let Some(failure) = self.run_batch(seeds, false) {
                return Some(failure);
            }
        }
        while !self.is_over() {
            let owed = self
                .options
                .runs
                .map_or(u64::MAX, |runs| runs - self.executions);
            let count = usize::try_from(owed).map_or(BATCH, |owed| owed.min(BATCH));
            let inputs: Vec<_> = (0..count).map(|_| self.next_input()).collect();
            if let Some(failure) = self.run_batch(&inputs, true) {
                return Some(failure);
            }
        }
        None
    }

    /// Runs some inputs; those that reach something new are kept if `keep`. The first that fails, if one does.
    fn run_batch(&mut self, inputs: &[Vec<u8>], keep: bool) -> Option<(Vec<u8>, Verdict)> {
        self.remember(inputs);
        for input in inputs {
            let (verdict, is_new) = self.execute(input);
            self.executions += 1;
            if !verdict.is_fine() {
                return Some((input.clone(), verdict));
            }
            if is_new && keep {
                self.corpus.add(input);
            }
        }
        if self.find_stretches() {
            // Somebody in this batch reached code that was never looked at: run it again to see who.
            for input in inputs {
                let (_, is_new) = self.execute(input);
                if is_new && keep {
                    self.corpus.add(input);
                }
            }
        }
        None
    }

    /// Looks at all counters; true if one counted outside of the known stretches.
    fn find_stretches(&mut self) -> bool {
        let before = self.stretches.len();
        let stretches = &mut self.stretches;
        counters::drain_edges(|edge, _| {
            let stretch = counters::stretch_of(edge);
            if !stretches.contains(&stretch) {
                stretches.push(stretch);
            }
        });
        self.stretches.sort_unstable();
        self.stretches.len() > before
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
        let run = execute(self.target, input);
        self.peak = self.peak.max(run.peak);
        self.slowest = self.slowest.max(run.time);
        let mut is_new = false;
        let seen = &mut self.seen;
        counters::drain_stretches(&self.stretches, |edge, count| {
            if let Some(classes) = seen.get_mut(edge) {
                let class = class_of(count);
                is_new |= *classes & class == 0;
                *classes |= class;
            }
        });
        (run.verdict, is_new)
    }

    /// If the target takes the whole process down, the supervisor reads the inputs here.
    fn remember(&self, inputs: &[Vec<u8>]) {
        BATCH_BEGAN.store(executions(), Ordering::Relaxed);
        let mut record = (inputs.len() as u64).to_le_bytes().to_vec();
        for input in inputs {
            record.extend_from_slice(&(input.len() as u64).to_le_bytes());
            record.extend_from_slice(input);
        }
        // Without the record only an abort would go unexplained.
        let _ = self.current.write_all_at(&record, 0);
    }

    fn is_over(&mut self) -> bool {
        let enough = self
            .options
            .runs
            .is_some_and(|runs| self.executions >= runs);
        if enough {
            return true;
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

/// Ends the process when one execution does not end, and leaves its number in the batch behind.
fn watch_for_hangs(hung: PathBuf) {
    std::thread::spawn(move || {
        let mut last = u64::MAX;
        loop {
            std::thread::sleep(HANG);
            let now = executions();
            if now == last {
                let number = now - BATCH_BEGAN.load(Ordering::Relaxed);
                // Without it the hang goes unexplained.
                let _ = fs::write(&hung, number.saturating_sub(1).to_string());
                std::process::exit(HANG_CODE);
            }
            last = now;
        }
    });
}

/// Reads what [`Worker::remember`] wrote.
pub(crate) fn remembered(target: &str) -> Vec<Vec<u8>> {
    fs::read(current_inputs(target)).map_or_else(|_| Vec::new(), |record| inputs_of(&record))
}

/// The one of the remembered inputs that did not end.
pub(crate) fn hung(target: &str) -> Option<Vec<u8>> {
    let number: usize = fs::read_to_string(hung_input(target)).ok()?.parse().ok()?;
    remembered(target).into_iter().nth(number)
}

/// As many as are whole.
fn inputs_of(record: &[u8]) -> Vec<Vec<u8>> {
    let number = |bytes: &[u8; 8]| usize::try_from(u64::from_le_bytes(*bytes)).ok();
    let Some((count, mut rest)) = record.split_first_chunk::<8>() else {
        return Vec::new();
    };
    let mut inputs = Vec::new();
    while Some(inputs.len()) != number(count)
        && let Some((length, bytes)) = rest.split_first_chunk::<8>()
        && let Some((input, after)) =
            number(length).and_then(|length| bytes.split_at_checked(length))
    {
        inputs.push(input.to_vec());
        rest = after;
    }
    inputs
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
    fn whole_inputs_are_read_from_a_record_and_torn_ones_are_not() {
        let record = |count: u64, inputs: &[&[u8]]| {
            let mut record = count.to_le_bytes().to_vec();
            for input in inputs {
                record.extend((input.len() as u64).to_le_bytes());
                record.extend(*input);
            }
            record
        };
        let full = record(2, &[b"abc", b"", b"older"]);
        assert_eq!(inputs_of(&full), [b"abc".to_vec(), Vec::new()]);
        assert_eq!(inputs_of(&full[..17]), Vec::<Vec<u8>>::new());
        assert_eq!(inputs_of(&full[..19]), [b"abc".to_vec()]);
        assert_eq!(inputs_of(&[9]), Vec::<Vec<u8>>::new());
    }
}
