//! Which message is in which lane, and for how many blocks the lanes go on together.
//!
//! It must not know how a block is hashed: a [`Function`] does that for all lanes at once.

use super::MAX_LANES;
use super::feed::{Block, Edge, Feed};

/// A hash function together with the instructions that this processor has for it.
pub(super) trait Function {
    /// Chaining value between two blocks.
    type State: Copy;
    /// The result as bytes.
    type Digest;

    /// Chaining value before the first block.
    const INITIAL: Self::State;

    /// Hashes `runs[i]` into `states[i]`. There are as many runs as states, all of the same length.
    fn compress(&self, states: &mut [Self::State], runs: &[&[Block]]);

    /// The result after the last block.
    fn digest(state: Self::State) -> Self::Digest;
}

/// A message, or a part of one, that asks for a lane.
pub(super) struct Job<'a, S> {
    /// The caller's name for it.
    pub(super) key: usize,
    pub(super) state: S,
    pub(super) feed: Feed<'a>,
}

/// Hashes every input; the order of the results is the order of the inputs.
pub(super) fn each<F: Function>(function: &F, inputs: &[&[&[u8]]]) -> Vec<F::Digest> {
    let mut states = vec![F::INITIAL; inputs.len()];
    let jobs = inputs.iter().enumerate().map(|(key, &parts)| Job {
        key,
        state: F::INITIAL,
        feed: Feed::whole(parts),
    });
    run(function, jobs, |key, state, _| states[key] = state);
    states.into_iter().map(F::digest).collect()
}

/// Runs all jobs and reports each when its blocks are used up.
///
/// A lane whose job has ended takes the next one at once, so that the lanes stay full however
/// unequal the messages are.
pub(super) fn run<'a, F: Function>(
    function: &F,
    jobs: impl IntoIterator<Item = Job<'a, F::State>>,
    mut ended: impl FnMut(usize, F::State, Edge),
) {
    let mut waiting = jobs.into_iter();
    // The lanes in use come first; `keys`, `feeds` and `states` have the same length.
    let mut keys = Vec::with_capacity(MAX_LANES);
    let mut feeds: Vec<Feed<'a>> = Vec::with_capacity(MAX_LANES);
    let mut states = Vec::with_capacity(MAX_LANES);
    loop {
        while feeds.len() < MAX_LANES {
            let Some(job) = waiting.next() else { break };
            keys.push(job.key);
            feeds.push(job.feed);
            states.push(job.state);
        }
        let mut lane = 0;
        while lane < feeds.len() {
            if feeds[lane].fill() {
                lane += 1;
            } else {
                let edge = feeds.swap_remove(lane).into_edge();
                ended(keys.swap_remove(lane), states.swap_remove(lane), edge);
                if let Some(job) = waiting.next() {
                    keys.push(job.key);
                    feeds.push(job.feed);
                    states.push(job.state);
                }
            }
        }
        if feeds.is_empty() {
            return;
        }
        step(function, &mut states, &mut feeds);
    }
}

/// Takes as many blocks from every feed as the shortest run has.
fn step<F: Function>(function: &F, states: &mut [F::State], feeds: &mut [Feed<'_>]) {
    let mut runs: [&[Block]; MAX_LANES] = [&[]; MAX_LANES];
    let mut blocks = usize::MAX;
    for (run, feed) in runs.iter_mut().zip(feeds.iter()) {
        *run = feed.run();
        blocks = blocks.min(run.len());
    }
    let runs = &mut runs[..feeds.len()];
    for run in runs.iter_mut() {
        *run = &run[..blocks];
    }
    function.compress(states, runs);
    for feed in feeds {
        feed.consume(blocks);
    }
}

/// Hands `N` lanes at a time to `kernel` while there are that many, and returns those that are
/// left.
pub(super) fn in_groups<'s, 'r, 'b, const N: usize, S>(
    states: &'s mut [S],
    runs: &'r [&'b [Block]],
    kernel: impl Fn(&mut [S; N], [&'b [Block]; N]),
) -> (&'s mut [S], &'r [&'b [Block]]) {
    let (groups, states_left) = states.as_chunks_mut();
    let (run_groups, runs_left) = runs.as_chunks();
    for (group, run_group) in groups.iter_mut().zip(run_groups) {
        kernel(group, *run_group);
    }
    (states_left, runs_left)
}
