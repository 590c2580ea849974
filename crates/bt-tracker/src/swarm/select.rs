//! Which positions of a list to name: without repetition, in as many steps as names are wanted.
//!
//! The list is cut into as many strata as names are wanted and one position is drawn from each,
//! after turning the list by a random amount. So every position is equally likely, none comes
//! twice, and the walk goes through memory in one direction. Knows nothing of peers.

use super::random::Random;

/// Calls `take` with up to `wanted` positions of `0..len`, never with `except`.
pub(super) fn choose(
    random: &mut Random,
    len: u32,
    except: Option<u32>,
    wanted: u32,
    mut take: impl FnMut(u32),
) {
    let hole = except.filter(|&at| at < len);
    let available = len - u32::from(hole.is_some());
    // Positions are counted as if `hole` were not there.
    let mut name = |at: u32| {
        take(if hole.is_some_and(|hole| at >= hole) {
            at + 1
        } else {
            at
        })
    };
    if available <= wanted {
        (0..available).for_each(name);
        return;
    }
    let turn = random.below(available);
    for stratum in 0..wanted {
        let low = stratum_start(stratum, available, wanted);
        let high = stratum_start(stratum + 1, available, wanted);
        let at = u64::from(low + random.below(high - low)) + u64::from(turn);
        let at = if at >= u64::from(available) {
            at - u64::from(available)
        } else {
            at
        };
        name(u32::try_from(at).unwrap_or(0));
    }
}

fn stratum_start(stratum: u32, available: u32, wanted: u32) -> u32 {
    u32::try_from(u64::from(stratum) * u64::from(available) / u64::from(wanted)).unwrap_or(0)
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "tests start now and count to small numbers"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chosen_positions_are_distinct_in_range_and_as_many_as_possible(
            seed: u64, len in 0u32..300, except in prop::option::of(0u32..320), wanted in 0u32..120,
        ) {
            let mut chosen = Vec::new();
            choose(&mut Random::new(seed), len, except, wanted, |at| chosen.push(at));
            let available = len - u32::from(except.is_some_and(|at| at < len));
            prop_assert_eq!(chosen.len() as u32, available.min(wanted));
            prop_assert!(chosen.iter().all(|&at| at < len && Some(at) != except));
            chosen.sort_unstable();
            chosen.dedup();
            prop_assert_eq!(chosen.len() as u32, available.min(wanted));
        }
    }

    #[test]
    fn every_position_is_equally_likely() {
        let mut random = Random::new(3);
        let mut times = [0u32; 101];
        for _ in 0..100_000 {
            choose(&mut random, 101, Some(50), 7, |at| times[at as usize] += 1);
        }
        assert_eq!(times[50], 0);
        let others = times.iter().enumerate().filter(|&(at, _)| at != 50);
        for (at, &n) in others {
            assert!(
                (6_500..7_500).contains(&n),
                "position {at}: {n} times, 7000 expected"
            );
        }
    }

    #[test]
    fn the_largest_list_does_not_overflow() {
        let mut chosen = 0;
        choose(
            &mut Random::new(1),
            u32::MAX,
            Some(u32::MAX - 1),
            100,
            |_| chosen += 1,
        );
        assert_eq!(chosen, 100);
    }
}
