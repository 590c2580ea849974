//! When a running torrent has done what it was started for. Pure: `now` comes in, and it must
//! not know sessions or what follows from an end.

use std::time::{Duration, Instant};

/// What the user wants of one torrent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Goal {
    /// Go on serving others when all is here; `None` ends at once.
    pub(crate) seed: Option<SeedGoal>,
    /// Give up when nothing useful came for so long.
    pub(crate) patience: Option<Duration>,
    /// End after this time, whatever happened.
    pub(crate) stop_after: Option<Duration>,
}

/// How long to serve: until the first of these is reached, or for ever.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SeedGoal {
    pub(crate) time: Option<Duration>,
    /// Uploaded bytes divided by the size of the content.
    pub(crate) ratio: Option<f64>,
}

/// What the judge looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    /// All that is wanted is here and verified.
    pub(crate) complete: bool,
    /// Anything that grows while the work goes on.
    pub(crate) advance: (u64, u64, u64),
    pub(crate) uploaded: u64,
    pub(crate) size: u64,
}

/// Why to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All is here, and serving was not wanted or has been done enough.
    Done,
    /// Nothing useful came for so long.
    Stalled(Duration),
    /// The time is over.
    TimeUp,
}

/// Compares samples with a goal.
#[derive(Debug)]
pub(crate) struct Judge {
    goal: Goal,
    started: Instant,
    complete_since: Option<Instant>,
    advanced: Instant,
    advance: (u64, u64, u64),
}

impl Judge {
    pub(crate) fn new(goal: Goal, now: Instant) -> Self {
        Self {
            goal,
            started: now,
            complete_since: None,
            advanced: now,
            advance: (0, 0, 0),
        }
    }

    /// What is complete is served on.
    pub(crate) fn is_to_seed(&self) -> bool {
        self.goal.seed.is_some()
    }

    /// The end, once there is a reason for it.
    pub(crate) fn look(&mut self, now: Instant, sample: Sample) -> Option<End> {
        if sample.advance != self.advance {
            self.advance = sample.advance;
            self.advanced = now;
        }
        if sample.complete {
            let since = *self.complete_since.get_or_insert(now);
            let Some(seed) = self.goal.seed else {
                return Some(End::Done);
            };
            let long_enough = seed
                .time
                .is_some_and(|time| now.saturating_duration_since(since) >= time);
            let gave_enough = seed
                .ratio
                .is_some_and(|ratio| sample.uploaded as f64 >= ratio * sample.size as f64);
            if long_enough || gave_enough {
                return Some(End::Done);
            }
        } else {
            // A selection can grow and a check can find damage, so that it is not for ever.
            self.complete_since = None;
            if let Some(patience) = self.goal.patience
                && now.saturating_duration_since(self.advanced) >= patience
            {
                return Some(End::Stalled(patience));
            }
        }
        self.goal
            .stop_after
            .filter(|after| now.saturating_duration_since(self.started) >= *after)
            .map(|_| End::TimeUp)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Goal, Judge, Sample, SeedGoal};
    use std::time::{Duration, Instant};

    const SECOND: Duration = Duration::from_secs(1);

    fn sample(complete: bool, have: u64, uploaded: u64) -> Sample {
        Sample {
            complete,
            advance: (have, 0, 0),
            uploaded,
            size: 100,
        }
    }

    /// Looks at one sample a second.
    fn check(goal: Goal, samples: &[Sample], expected: &[Option<End>]) {
        let start = Instant::now();
        let mut judge = Judge::new(goal, start);
        let ends: Vec<_> = samples
            .iter()
            .zip(0..)
            .map(|(sample, n)| judge.look(start + SECOND * n, *sample))
            .collect();
        assert_eq!(ends, expected);
    }

    #[test]
    fn a_plain_download_ends_when_complete() {
        check(
            Goal::default(),
            &[sample(false, 0, 0), sample(true, 100, 0)],
            &[None, Some(End::Done)],
        );
    }

    #[test]
    fn seeding_lasts_for_its_time_counted_from_completion() {
        let seed = Some(SeedGoal {
            time: Some(SECOND * 2),
            ratio: None,
        });
        let goal = Goal {
            seed,
            ..Goal::default()
        };
        let samples = [
            sample(false, 0, 0),
            sample(true, 100, 0),
            sample(true, 100, 0),
            sample(true, 100, 0),
        ];
        check(goal, &samples, &[None, None, None, Some(End::Done)]);
    }

    #[test]
    fn seeding_ends_at_its_ratio_or_never() {
        let goal = |ratio| Goal {
            seed: Some(SeedGoal { time: None, ratio }),
            ..Goal::default()
        };
        let samples = [sample(true, 100, 149), sample(true, 100, 150)];
        check(goal(Some(1.5)), &samples, &[None, Some(End::Done)]);
        check(goal(None), &samples, &[None, None]);
    }

    #[test]
    fn patience_counts_from_the_last_advance() {
        let goal = Goal {
            patience: Some(SECOND * 2),
            ..Goal::default()
        };
        let samples = [
            sample(false, 0, 0),
            sample(false, 5, 0),
            sample(false, 5, 0),
            sample(false, 5, 0),
        ];
        check(
            goal,
            &samples,
            &[None, None, None, Some(End::Stalled(SECOND * 2))],
        );
    }

    #[test]
    fn a_seeder_without_peers_is_not_stalled_but_time_ends_it() {
        let seed = Some(SeedGoal::default());
        let goal = Goal {
            seed,
            patience: Some(SECOND),
            stop_after: Some(SECOND * 3),
        };
        let samples = [sample(true, 100, 0); 4];
        check(goal, &samples, &[None, None, None, Some(End::TimeUp)]);
    }
}
