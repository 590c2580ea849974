//! What the numbers were at the last moments, so that a page can draw them.
//!
//! Pure: samples come in. It must not know how they are drawn.

use std::collections::VecDeque;
use std::time::Duration;

use super::StatsSnapshot;

/// The time between two samples.
pub(super) const STEP: Duration = Duration::from_secs(5);

/// Samples that are kept: a quarter of an hour, in 12 KB.
const LENGTH: usize = 181;

/// Samples, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

/// The numbers of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    announces: u64,
    scrapes: u64,
    failures: u64,
    bytes_out: u64,
    peers: u64,
    torrents: u64,
}

/// One line of a chart.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub(super) struct Series {
    pub(super) name: &'static str,
    /// One value for each step, the oldest first.
    pub(super) values: Vec<u64>,
}

impl History {
    /// Takes in the numbers of now.
    pub(super) fn push(&mut self, stats: &StatsSnapshot) {
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        let (http, udp) = (&stats.http, &stats.udp);
        self.0.push_back(Sample {
            announces: http.announces + udp.announces,
            scrapes: http.scrapes + udp.scrapes,
            failures: http.failures + udp.failures,
            bytes_out: http.bytes_out + udp.bytes_out,
            peers: stats.peers_v4 + stats.peers_v6,
            torrents: stats.torrents,
        });
    }

    /// What is drawn: how many a second of what only grows, and the rest as it is.
    pub(super) fn series(&self) -> Vec<Series> {
        let rate = |name, of: fn(&Sample) -> u64| Series {
            name,
            values: self
                .0
                .iter()
                .zip(self.0.iter().skip(1))
                .map(|(before, after)| of(after).saturating_sub(of(before)) / STEP.as_secs())
                .collect(),
        };
        let level = |name, of: fn(&Sample) -> u64| Series {
            name,
            values: self.0.iter().skip(1).map(of).collect(),
        };
        vec![
            rate("announces_per_second", |sample| sample.announces),
            rate("scrapes_per_second", |sample| sample.scrapes),
            rate("failures_per_second", |sample| sample.failures),
            rate("bytes_out_per_second", |sample| sample.bytes_out),
            level("peers", |sample| sample.peers),
            level("torrents", |sample| sample.torrents),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_is_a_rate_and_the_past_has_an_end() {
        let mut history = History::default();
        let mut stats = StatsSnapshot::default();
        for n in 0..500 {
            stats.udp.announces = n * 10;
            stats.peers_v4 = n;
            history.push(&stats);
        }
        let series = history.series();
        assert!(
            series
                .iter()
                .all(|series| series.values.len() == LENGTH - 1)
        );
        assert!(series[0].values.iter().all(|&rate| rate == 2));
        assert_eq!(series[4].values.last(), Some(&499));
        assert_eq!(series[4].values.first(), Some(&320));
        assert!(History::default().series()[0].values.is_empty());
    }
}
