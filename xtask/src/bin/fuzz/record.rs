//! What each target has been through: one line for every minute of every run, kept among the build output, and the
//! table that is made of them.
//!
//! A run that is broken off loses a minute at most. It must not know how inputs are made.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::corpus;
use crate::targets::{Kind, TARGETS, Target};

/// How often a running target says how far it is.
pub(crate) const EVERY: Duration = Duration::from_secs(60);

/// A stretch of executions, or the sum of several.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) executions: u64,
    pub(crate) seconds: f64,
    /// Edges reached by then, and how many there are.
    pub(crate) edges: usize,
    pub(crate) of: usize,
}

impl Stretch {
    fn add(&mut self, later: Self) {
        self.executions += later.executions;
        self.seconds += later.seconds;
        // The number of edges is another one after code has changed.
        (self.edges, self.of) = (later.edges, later.of);
    }
}

/// The file: target, executions, seconds, edges, all edges; separated by tabs.
fn path() -> PathBuf {
    corpus::build_folder().join("record.tsv")
}

/// Adds a stretch of one target.
pub(crate) fn note(target: &str, stretch: Stretch) {
    let Stretch {
        executions,
        seconds,
        edges,
        of,
    } = stretch;
    let line = format!("{target}\t{executions}\t{seconds:.3}\t{edges}\t{of}\n");
    let file = OpenOptions::new().create(true).append(true).open(path());
    // Without the record the figures of this minute are missing, and nothing else.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

/// The sums by target.
pub(crate) fn sums() -> BTreeMap<String, Stretch> {
    sums_of(&fs::read_to_string(path()).unwrap_or_default())
}

fn sums_of(text: &str) -> BTreeMap<String, Stretch> {
    let mut sums: BTreeMap<String, Stretch> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<_> = line.split('\t').collect();
        let [target, executions, seconds, edges, of] = columns[..] else {
            continue;
        };
        let parsed = (|| {
            Some(Stretch {
                executions: executions.parse().ok()?,
                seconds: seconds.parse().ok()?,
                edges: edges.parse().ok()?,
                of: of.parse().ok()?,
            })
        })();
        if let Some(stretch) = parsed {
            sums.entry(target.to_owned()).or_default().add(stretch);
        }
    }
    sums
}

/// How many executions a target still owes when each parser shall have `goal` and each machine a tenth of it.
pub(crate) fn owed(target: &Target, goal: u64, sums: &BTreeMap<String, Stretch>) -> u64 {
    let goal = match target.kind {
        Kind::Parser => goal,
        Kind::Machine => goal / 10,
    };
    let done = sums.get(target.name).map_or(0, |sum| sum.executions);
    goal.saturating_sub(done)
}

/// The table as it stands in docs/TESTING.md.
pub(crate) fn table() -> String {
    let sums = sums();
    let mut text = String::from(
        "| target | kind | executions | 1/s | seconds | edges |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for target in TARGETS {
        let kind = match target.kind {
            Kind::Parser => "parser",
            Kind::Machine => "machine",
        };
        let sum = sums.get(target.name).copied().unwrap_or_default();
        let rate = sum.executions as f64 / sum.seconds.max(1e-9);
        text.push_str(&format!(
            "| `{}` | {kind} | {:.2} M | {rate:.0} | {:.0} | {} |\n",
            target.name,
            sum.executions as f64 / 1e6,
            sum.seconds,
            sum.edges
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_of_a_target_add_up_and_a_torn_line_is_passed_over() {
        let sums = sums_of("a\t10\t1.5\t7\t90\nb\t1\t1\t1\t1\na\t5\t0.5\t8\t90\na\t99");
        assert_eq!(
            sums["a"],
            Stretch {
                executions: 15,
                seconds: 2.0,
                edges: 8,
                of: 90
            }
        );
        assert_eq!(sums.len(), 2);
    }

    #[test]
    fn a_machine_owes_a_tenth_and_nobody_owes_less_than_nothing() {
        let find = |name| {
            let found = TARGETS.iter().find(|target| target.name == name);
            found.expect("a target of the table")
        };
        let name = |name: &str| name.to_owned();
        let done = |executions| Stretch {
            executions,
            ..Stretch::default()
        };
        let sums = BTreeMap::from([
            (name("wire_message"), done(400)),
            (name("wire_connection"), done(400)),
        ]);
        assert_eq!(owed(find("wire_message"), 1_000, &sums), 600);
        assert_eq!(owed(find("wire_connection"), 1_000, &sums), 0);
        assert_eq!(owed(find("wire_chunking"), 1_000, &sums), 100);
    }
}
