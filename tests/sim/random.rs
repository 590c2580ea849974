//! Scenarios by chance: a seed gives who is there and what goes wrong; one that fails is made smaller while it still fails.
//!
//! One honest seed stays for good and every trouble ends, so that everybody must finish.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::dice::Dice;
use super::disk::DiskMood;
use super::link::Line;
use super::plan::{Conduct, Fault, Have, Member, Plan};
use super::platter::Failing;
use super::scenarios::with_seeds;
use super::tracker::TrackerMood;
use super::world::World;

/// Seconds after which a swarm stands still: two intervals of a tracker, as whoever lost everybody may have to wait for
/// the next announce.
const PATIENCE: u64 = 4_000;

/// Something that goes wrong and ends.
type Trouble = Vec<(Duration, Fault)>;

/// What a random scenario is made of.
#[derive(Debug, Clone)]
struct Recipe {
    pieces: u32,
    piece_length: u32,
    trackers: usize,
    private: bool,
    /// Where the content is cut into files, in thousandths.
    cuts: Vec<u16>,
    /// With padding between them.
    padded: bool,
    locality: bool,
    members: Vec<Member>,
    troubles: Vec<Trouble>,
}

/// One step to a smaller scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Trouble(usize),
    Member(usize),
    /// Half the pieces.
    Halve,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trouble(number) => write!(f, "t{number}"),
            Self::Member(number) => write!(f, "m{number}"),
            Self::Halve => f.write_str("h"),
        }
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| digits.parse().map_err(|_| format!("no cut: {text:?}"));
        match text.split_at_checked(1) {
            Some(("t", digits)) => Ok(Self::Trouble(number(digits)?)),
            Some(("m", digits)) => Ok(Self::Member(number(digits)?)),
            Some(("h", "")) => Ok(Self::Halve),
            _ => Err(format!("no cut: {text:?}")),
        }
    }
}

impl Recipe {
    fn new(seed: u64) -> Self {
        let dice = &mut Dice::new(seed ^ 0x5eed);
        let piece_length = [16, 32, 48, 64, 128][dice.below(5)] * 1024;
        let pieces = 1 + u32::try_from(dice.below(40)).expect("small");
        let mut members = vec![Member::seed(line(dice))];
        members[0].line.up = members[0].line.up.max(125_000.0);
        members[0].spread = dice.chance(40);
        for _ in 0..1 + dice.below(8) {
            members.push(leecher(dice, pieces));
        }
        if dice.chance(10) {
            members.push(Member::seed(line(dice)).with(|seed| seed.spread = true));
        }
        for _ in 0..dice.below(4) {
            let kinds = [
                Conduct::Poisoner,
                Conduct::Snubber,
                Conduct::Rejecter,
                Conduct::Liar,
                Conduct::Hoarder,
                Conduct::Flapper,
                Conduct::Fickle,
                Conduct::Deaf,
                Conduct::Repeater,
                Conduct::Pusher,
                Conduct::Withholder,
                Conduct::Forgetter,
            ];
            let kind = kinds[dice.below(kinds.len())];
            let late = dice.between(0, 3_000);
            members.push(Member::bad(line(dice), kind).at_millis(late));
        }
        let trackers = 1 + dice.below(2);
        let troubles = (0..dice.below(7))
            .map(|_| trouble(dice, members.len(), trackers, pieces))
            .collect();
        let cuts = (0..dice.below(5)).map(|_| dice.between(0, 1_000) as u16);
        let cuts = cuts.collect();
        let locality = dice.chance(15);
        for (number, member) in members.iter_mut().enumerate() {
            member.group = if locality { (number % 3) as u8 } else { 0 };
        }
        Self {
            cuts,
            padded: dice.chance(50),
            locality,
            pieces,
            piece_length,
            trackers,
            private: dice.chance(25),
            members,
            troubles,
        }
    }

    fn plan(&self) -> Plan {
        let plan = Plan::new(self.pieces, self.piece_length, self.members.clone());
        let mut plan = plan.cut_into_files(&self.cuts, self.padded);
        plan.locality = self.locality;
        plan.between_groups = Duration::from_millis(20);
        plan.trackers = self.trackers;
        plan.private = self.private;
        plan.faults = self.troubles.concat();
        // A stable sort: a trouble's own order stays.
        plan.faults.sort_by_key(|(at, _)| *at);
        // A tracker that talks nonsense may tell everybody to come back tomorrow.
        let nonsense = |(_, fault): &(Duration, Fault)| {
            matches!(fault, Fault::Tracker(_, TrackerMood::Garbage))
        };
        plan.limit = Duration::from_secs(if plan.faults.iter().any(nonsense) {
            200_000
        } else {
            PATIENCE
        });
        plan
    }

    /// A smaller one, if the cut fits.
    fn cut(&self, cut: Cut) -> Option<Self> {
        let mut smaller = self.clone();
        match cut {
            Cut::Trouble(number) if number < self.troubles.len() => {
                smaller.troubles.remove(number);
            }
            // The seed stays, and somebody who lacks something.
            Cut::Member(number)
                if number > 0 && number < self.members.len() && self.members.len() > 2 =>
            {
                smaller.members.remove(number);
                smaller
                    .troubles
                    .retain(|trouble| trouble.iter().all(|(_, fault)| of(fault) != Some(number)));
                for (_, fault) in smaller.troubles.iter_mut().flatten() {
                    *fault = renumbered(*fault, number);
                }
            }
            Cut::Halve if self.pieces > 1 => {
                smaller.pieces /= 2;
                for member in &mut smaller.members {
                    member.wanted = member
                        .wanted
                        .map(|(from, to)| (from / 2, to.div_ceil(2).min(self.pieces / 2)));
                }
            }
            _ => return None,
        }
        Some(smaller)
    }
}

/// The node that a fault is about.
fn of(fault: &Fault) -> Option<usize> {
    match fault {
        Fault::Leave(node)
        | Fault::Pause(node)
        | Fault::Resume(node)
        | Fault::Jump(node, _)
        | Fault::Disk(node, _)
        | Fault::Journal(node, _)
        | Fault::Line(node, _)
        | Fault::Limit(node, _)
        | Fault::Reannounce(node)
        | Fault::Recheck(node, _)
        | Fault::Lose(node)
        | Fault::Crowded(node, _)
        | Fault::Readd(node, _)
        | Fault::Prioritize(node)
        | Fault::Select(node, ..)
        | Fault::Crash { node, .. } => Some(*node),
        Fault::Tracker(..) | Fault::Partition(_) | Fault::Heal | Fault::Loss(_) => None,
    }
}

fn renumbered(mut fault: Fault, gone: usize) -> Fault {
    match &mut fault {
        Fault::Leave(node)
        | Fault::Pause(node)
        | Fault::Resume(node)
        | Fault::Jump(node, _)
        | Fault::Disk(node, _)
        | Fault::Journal(node, _)
        | Fault::Line(node, _)
        | Fault::Limit(node, _)
        | Fault::Reannounce(node)
        | Fault::Recheck(node, _)
        | Fault::Lose(node)
        | Fault::Crowded(node, _)
        | Fault::Readd(node, _)
        | Fault::Prioritize(node)
        | Fault::Select(node, ..)
        | Fault::Crash { node, .. } => *node -= usize::from(*node > gone),
        Fault::Tracker(..) | Fault::Partition(_) | Fault::Heal | Fault::Loss(_) => {}
    }
    fault
}

fn line(dice: &mut Dice) -> Line {
    let rates = [1.0, 5.0, 20.0, 100.0];
    let (up, down) = (rates[dice.below(4)], rates[dice.below(4)]);
    Line::asymmetric(up, down).far(1 + dice.between(0, 150))
}

fn leecher(dice: &mut Dice, pieces: u32) -> Member {
    let mut member = Member::leecher(line(dice)).at_millis(dice.between(0, 5_000));
    member.sequential = dice.chance(15);
    member.fast = !dice.chance(15);
    member.slots = 1 + dice.below(20);
    member.max_peers = 4 + dice.below(30);
    if dice.chance(20) {
        member.wanted = Some(part(dice, pieces));
    }
    if dice.chance(20) {
        let share = Have::Share(dice.between(10, 95) as u8);
        member.have = [share, Have::AllButOne, Have::Everything][dice.below(3)];
    }
    if dice.chance(30) {
        member.reqq = [1, 5, 50, 250][dice.below(4)];
    }
    if dice.chance(15) {
        member.limit = Some(dice.between(20_000, 500_000));
    }
    member
}

/// Some pieces in a row.
fn part(dice: &mut Dice, pieces: u32) -> (u32, u32) {
    let from = dice.below(pieces as usize) as u32;
    let to = from + 1 + dice.below((pieces - from) as usize) as u32;
    (from, to.min(pieces))
}

fn trouble(dice: &mut Dice, members: usize, trackers: usize, pieces: u32) -> Trouble {
    let begin = dice.moment(Duration::ZERO, Duration::from_secs(20));
    let end = begin + dice.moment(Duration::from_millis(100), Duration::from_secs(30));
    let node = dice.below(members);
    let tracker = dice.below(trackers);
    let disk = |mood| {
        vec![
            (begin, Fault::Disk(node, mood)),
            (end, Fault::Disk(node, DiskMood::Fine)),
            (end, Fault::Resume(node)),
        ]
    };
    let moody = |mood| {
        vec![
            (begin, Fault::Tracker(tracker, mood)),
            (end, Fault::Tracker(tracker, TrackerMood::Up)),
        ]
    };
    match dice.below(27) {
        0 => vec![(begin, Fault::Pause(node)), (end, Fault::Resume(node))],
        1 | 2 => {
            let back_after = Some(dice.moment(Duration::from_millis(10), Duration::from_secs(10)));
            let power_cut = dice.chance(50);
            let crash = Fault::Crash {
                node,
                power_cut,
                back_after,
            };
            vec![(begin, crash)]
        }
        3 => vec![(begin, Fault::Leave(node.max(1)))],
        4 => vec![(begin, Fault::Jump(node, Duration::from_secs(864_000)))],
        5 => disk(DiskMood::Slow(Duration::from_secs(1))),
        6 => disk(DiskMood::Full),
        7 => disk(DiskMood::Broken),
        8 => moody(TrackerMood::Down),
        9 => moody(TrackerMood::Slow(Duration::from_secs(15))),
        10 => moody(TrackerMood::Garbage),
        11 => vec![
            (begin, Fault::Partition(1 + dice.below(members))),
            (end, Fault::Heal),
        ],
        12 => vec![
            (begin, Fault::Loss(1 + dice.below(30) as u8)),
            (end, Fault::Loss(0)),
        ],
        13 => vec![
            (
                begin,
                Fault::Limit(node, Some(dice.between(20_000, 1_000_000))),
            ),
            (end, Fault::Limit(node, None)),
        ],
        14 => {
            // Not of the seed that stays: whoever bans it has nobody to ask.
            let node = node.max(1);
            vec![
                (begin, Fault::Disk(node, DiskMood::Flipping)),
                (end, Fault::Disk(node, DiskMood::Fine)),
            ]
        }
        15 => moody(TrackerMood::Refusing),
        16 => vec![(begin, Fault::Reannounce(node))],
        17 => vec![(begin, Fault::Prioritize(node))],
        18 => vec![(begin, Fault::Line(node, line(dice)))],
        19 => {
            let takes = [0, 50, 2_000][dice.below(3)];
            vec![(begin, Fault::Recheck(node, Duration::from_millis(takes)))]
        }
        // Not of the seed that stays: what it has promised of the piece is rubbish, as above.
        20 => vec![(begin, Fault::Lose(node.max(1)))],
        21 => vec![
            (begin, Fault::Crowded(node, true)),
            (end, Fault::Crowded(node, false)),
        ],
        22 => disk(DiskMood::Unreadable),
        23 => disk(DiskMood::Unsyncable),
        24 => {
            let (from, to) = part(dice, pieces);
            vec![(begin, Fault::Select(node, from, to))]
        }
        25 => {
            let node = node.max(1);
            let failing = [Failing::Writes, Failing::Syncs][dice.below(2)];
            let crash = Fault::Crash {
                node,
                power_cut: dice.chance(70),
                back_after: Some(Duration::from_secs(1)),
            };
            vec![
                (begin, Fault::Journal(node, failing)),
                (begin, Fault::Lose(node)),
                (end, crash),
                (end, Fault::Journal(node, Failing::Nothing)),
            ]
        }
        _ => {
            let back_after = dice.moment(Duration::ZERO, Duration::from_secs(3));
            vec![(begin, Fault::Readd(node, back_after))]
        }
    }
}

/// The cuts that make `recipe` as small as it gets while `fails` holds, and what is left.
fn shrink(recipe: Recipe, mut fails: impl FnMut(&Recipe) -> bool) -> (Vec<Cut>, Recipe) {
    let (mut recipe, mut cuts) = (recipe, Vec::new());
    loop {
        let troubles = (0..recipe.troubles.len()).rev().map(Cut::Trouble);
        let members = (1..recipe.members.len()).rev().map(Cut::Member);
        let smaller = troubles
            .chain(members)
            .chain([Cut::Halve])
            .filter_map(|cut| Some((cut, recipe.cut(cut)?)))
            .find(|(_, smaller)| fails(smaller));
        match smaller {
            Some((cut, smaller)) => {
                cuts.push(cut);
                recipe = smaller;
            }
            None => return (cuts, recipe),
        }
    }
}

/// What went wrong, if anything did.
fn failure(seed: u64, recipe: &Recipe) -> Option<String> {
    let plan = recipe.plan();
    let run = std::panic::AssertUnwindSafe(|| World::new(seed, plan).play());
    let panic = std::panic::catch_unwind(run).err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.unwrap_or_else(|| "a panic without words".to_owned()))
}

/// What went wrong without who, when and how much: a smaller scenario is smaller only if the same goes wrong in it.
fn cause(why: &str) -> String {
    let line = why.lines().next().unwrap_or_default();
    // The moment before it has a unit that depends on its size.
    let line = match line.split_once(", node ") {
        Some((_, what)) => what,
        None => line,
    };
    line.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[test]
fn a_random_swarm_finishes_whatever_goes_wrong() {
    let cuts = std::env::var("SIM_CUT").unwrap_or_default();
    let cuts: Vec<Cut> = cuts
        .split(',')
        .filter(|cut| !cut.is_empty())
        .map(|cut| cut.parse().expect("SIM_CUT as it was printed"))
        .collect();
    with_seeds("a_random_swarm", 0, |seed| {
        let recipe = cuts.iter().fold(Recipe::new(seed), |recipe, cut| {
            recipe.cut(*cut).expect("a cut of this seed")
        });
        let Some(mut why) = failure(seed, &recipe) else {
            return;
        };
        let wanted = cause(&why);
        let (more, smallest) = shrink(recipe, |smaller| {
            let same = failure(seed, smaller).filter(|other| cause(other) == wanted);
            let is_same = same.is_some();
            why = same.unwrap_or_else(|| std::mem::take(&mut why));
            is_same
        });
        let all: Vec<String> = cuts.iter().chain(&more).map(ToString::to_string).collect();
        println!("smallest: {smallest:#?}");
        println!(
            "replay: SIM_SEED={seed} SIM_CUT={} cargo xtask sim a_random_swarm",
            all.join(",")
        );
        panic!("{why}");
    });
}

#[test]
fn a_failing_scenario_is_made_as_small_as_its_failure() {
    let fails = |recipe: &Recipe| {
        let poisoner = |member: &Member| member.conduct == Conduct::Poisoner;
        recipe.members.iter().any(poisoner) && recipe.pieces > 4
    };
    let seeds = (0..500).filter(|seed| fails(&Recipe::new(*seed)));
    let mut shrunk = 0;
    for seed in seeds.take(20) {
        let (cuts, smallest) = shrink(Recipe::new(seed), fails);
        assert!(smallest.members.len() <= 3 && smallest.troubles.is_empty());
        assert!(fails(&smallest) && smallest.pieces < 10, "{smallest:?}");
        let again = cuts.iter().fold(Recipe::new(seed), |recipe, cut| {
            let cut: Cut = cut.to_string().parse().unwrap();
            recipe.cut(cut).unwrap()
        });
        assert_eq!(format!("{again:?}"), format!("{smallest:?}"));
        shrunk += 1;
    }
    assert_eq!(shrunk, 20);
}

#[test]
fn a_cause_has_no_numbers_and_no_picture() {
    let one = "seed 3, step 17, at 950ms, node 2: piece 4 +16384 (16384 bytes) is stored twice";
    let other = "seed 3, step 2, at 1.2s, node 0: piece 0 +0 (5 bytes) is stored twice\n0 Honest";
    assert_eq!(cause(one), cause(other));
    assert_ne!(cause(one), cause("seed 3: not everybody is complete"));
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..5 {
        let run = || {
            let mut world = World::new(seed, Recipe::new(seed).plan());
            world.play();
            (world.steps, world.now, world.picture())
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}
