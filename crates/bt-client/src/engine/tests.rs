//! The deciding parts of the engine against naive models: picker, choker, candidates, rates.
//!
//! A model says which answers are right and does it the slow way; the part must give one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_metainfo::{BLOCK_SIZE, Layout, PieceIndex};
use bt_wire::Bitfield;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::download::{Ask, Availability, Pieces, next_blocks};
use super::peers::{Candidates, Ended};
use super::rng::Rng;
use super::upload::{ChokeCandidate, Choker};
use super::{PeerKey, Priority, RateMeter, Source, TokenBucket};
use crate::limits::{DIAL_BACKOFF, OPTIMISTIC_ROUND};

const PIECES: u32 = 16;
const BLOCKS: u32 = 3;

/// The model of a download: states of blocks, written down one by one.
#[derive(Debug)]
struct Download {
    classes: Vec<Priority>,
    has: Vec<Bitfield>,
    have: BTreeSet<u32>,
    /// Pieces under way, and for each block whether nobody has been asked for it.
    started: BTreeMap<u32, Vec<bool>>,
}

impl Download {
    /// Every piece from which the next block may be taken.
    fn right(&self, peer: usize, ask: &Asked) -> BTreeSet<u32> {
        let may = |piece: &u32| {
            self.has[peer].get(PieceIndex(*piece))
                && !self.have.contains(piece)
                && ask.only.as_ref().is_none_or(|only| only.contains(piece))
        };
        let lacking = |piece: &u32| self.started[piece].iter().filter(|free| **free).count();
        if let Some(current) = ask.current
            && may(&current)
            && self.started.contains_key(&current)
            && lacking(&current) > 0
        {
            return BTreeSet::from([current]);
        }
        for class in [Priority::High, Priority::Normal, Priority::Low] {
            let of_class = |piece: &u32| may(piece) && self.classes[*piece as usize] == class;
            let open = |piece: &u32| of_class(piece) && lacking(piece) > 0;
            let begun: Vec<u32> = self.started.keys().copied().filter(open).collect();
            if let Some(least) = begun.iter().map(lacking).min() {
                let nearest = begun.into_iter().filter(|piece| lacking(piece) == least);
                return nearest.collect();
            }
            let fresh = |piece: &u32| of_class(piece) && !self.started.contains_key(piece);
            let fresh: BTreeSet<u32> = (0..PIECES).filter(fresh).collect();
            if !fresh.is_empty() {
                return self.right_to_start(&fresh, ask);
            }
        }
        BTreeSet::new()
    }

    fn right_to_start(&self, fresh: &BTreeSet<u32>, ask: &Asked) -> BTreeSet<u32> {
        let first_of = |list: &[u32]| list.iter().copied().find(|piece| fresh.contains(piece));
        if let Some(only) = &ask.only {
            return first_of(only).into_iter().collect();
        }
        if ask.sequential {
            return fresh.first().copied().into_iter().collect();
        }
        if let Some(suggested) = first_of(&ask.suggested) {
            return BTreeSet::from([suggested]);
        }
        // The first four pieces come by lot.
        if self.have.len() < 4 {
            return fresh.clone();
        }
        let having = |piece: &u32| {
            let piece = PieceIndex(*piece);
            self.has.iter().filter(|has| has.get(piece)).count()
        };
        let rarest = fresh.iter().map(having).min();
        let rarest = |piece: &u32| Some(having(piece)) == rarest;
        fresh.iter().copied().filter(rarest).collect()
    }
}

/// How a peer is asked.
#[derive(Debug, Clone)]
struct Asked {
    only: Option<Vec<u32>>,
    suggested: Vec<u32>,
    current: Option<u32>,
    sequential: bool,
}

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        1 => Just(Priority::Skip),
        1 => Just(Priority::Low),
        4 => Just(Priority::Normal),
        1 => Just(Priority::High),
    ]
}

/// Which peer, how it is asked, and what becomes of the block: 0 stays under way, 1 comes, 2 is called off.
fn turn() -> impl Strategy<Value = (usize, Asked, u8)> {
    let pieces = || vec(0..PIECES, 0..6);
    let only = prop_oneof![3 => Just(None), 1 => pieces().prop_map(Some)];
    let asked =
        (only, pieces(), any::<bool>(), 0u8..4).prop_map(|(only, suggested, sequential, often)| {
            Asked {
                only,
                suggested: if often == 0 { suggested } else { Vec::new() },
                current: None,
                sequential: sequential && often == 1,
            }
        });
    (0usize..4, asked, 0u8..3)
}

fn bits(set: &[bool]) -> Bitfield {
    let mut bits = Bitfield::new(PIECES);
    for (piece, _) in (0..PIECES).zip(set).filter(|(_, set)| **set) {
        bits.set(PieceIndex(piece));
    }
    bits
}

fn pick(classes: &[Priority], has: &[Vec<bool>], have: &[bool], turns: &[(usize, Asked, u8)]) {
    let rng = &mut Rng::new(7);
    let length = u64::from(PIECES * BLOCKS * BLOCK_SIZE);
    let layout = Layout::new(BLOCKS * BLOCK_SIZE, [(length, false)]).unwrap();
    let everything = Bitfield::full(PIECES);
    let mut pieces = Pieces::new(Arc::new(layout), bits(have), everything);
    let mut availability = Availability::new(PIECES, rng);
    let mut model = Download {
        classes: classes.to_vec(),
        has: has.iter().map(|has| bits(has)).collect(),
        have: bits(have).iter_ones().map(|piece| piece.0).collect(),
        started: BTreeMap::new(),
    };
    for (piece, class) in (0..PIECES).map(PieceIndex).zip(classes) {
        availability.unlist(piece);
        availability.set_priority(piece, *class);
        pieces.set_priority(piece, *class);
        if pieces.wants(piece) {
            availability.list(piece, rng);
        }
        for has in model.has.iter().filter(|has| has.get(piece)) {
            // Seeds are counted apart; here every piece is counted by itself.
            assert!(has.len() == PIECES);
            availability.gained(piece, rng);
        }
    }
    let mut current = vec![None; model.has.len()];
    for (peer, asked, fate) in turns {
        let mut asked = asked.clone();
        asked.current = current[*peer];
        let right = model.right(*peer, &asked);
        let index = |list: &[u32]| list.iter().copied().map(PieceIndex).collect::<Vec<_>>();
        let (only, suggested) = (asked.only.as_deref().map(index), index(&asked.suggested));
        let mut now_at = asked.current.map(PieceIndex);
        let listed = model.has[*peer].iter_ones();
        let listed = listed.filter(|piece| availability.is_listed(*piece));
        let open = u32::try_from(listed.count()).unwrap();
        let mut started = Vec::new();
        let mut ask = Ask {
            has: &model.has[*peer],
            only: only.as_deref(),
            suggested: &suggested,
            current: &mut now_at,
            sequential: asked.sequential,
            first: &[],
            barred: &[],
            open,
            started: &mut started,
        };
        let mut out = Vec::new();
        next_blocks(&mut pieces, &mut availability, &mut ask, 1, rng, &mut out);
        current[*peer] = now_at.map(|piece| piece.0);
        let Some(block) = out.pop() else {
            assert!(right.is_empty(), "nothing was chosen of {right:?}");
            continue;
        };
        let piece = block.piece.0;
        assert!(
            right.contains(&piece),
            "{piece} is none of {right:?}: {model:?}"
        );
        let fresh = || vec![true; BLOCKS as usize];
        let blocks = model.started.entry(piece).or_insert_with(fresh);
        let number = (block.begin / BLOCK_SIZE) as usize;
        assert!(
            std::mem::replace(&mut blocks[number], false),
            "{block} twice"
        );
        match fate {
            1 => {
                pieces.receive(block, PeerKey(u32::try_from(*peer).unwrap()));
                let whole =
                    pieces.partial(block.piece).is_some() && !pieces.is_incomplete(block.piece);
                if whole {
                    pieces.verified(block.piece);
                    model.started.remove(&piece);
                    model.have.insert(piece);
                }
            }
            2 => {
                pieces.unrequest(block);
                blocks[number] = true;
            }
            _ => {}
        }
        pieces.audit().unwrap();
        availability.audit().unwrap();
    }
}

fn choke_candidate(now: Instant) -> impl Strategy<Value = ChokeCandidate> {
    let parts = (
        any::<bool>(),
        0u8..8,
        any::<bool>(),
        0u64..90,
        any::<bool>(),
    );
    parts.prop_map(move |(interested, rate, snubbing, ago, unchoked)| {
        let then = now.checked_sub(Duration::from_secs(ago)).unwrap_or(now);
        ChokeCandidate {
            peer: PeerKey(0),
            interested,
            rate: f64::from(rate),
            snubbing,
            unchoked_since: unchoked.then_some(then),
            waiting_since: then,
            joined: then,
        }
    })
}

/// Whether a seed's choice is right: turns that last are kept, then whoever waited longest, then the others.
fn is_fair(now: Instant, chosen: &BTreeSet<PeerKey>, interested: &[ChokeCandidate]) {
    let rank = |one: &ChokeCandidate| match one.unchoked_since {
        Some(at) if now.duration_since(at) < OPTIMISTIC_ROUND => (0, Duration::ZERO),
        None => (1, Duration::MAX - now.duration_since(one.waiting_since)),
        Some(_) => (2, Duration::ZERO),
    };
    let (inside, outside): (Vec<_>, Vec<_>) = interested
        .iter()
        .partition(|one| chosen.contains(&one.peer));
    let last = inside.iter().map(|one| rank(one)).max();
    let first = outside.iter().map(|one| rank(one)).min();
    assert!(
        first.is_none() || last <= first,
        "{inside:?} before {outside:?}"
    );
}

/// Whether a leecher's choice is right: but for one, they are the fastest of those that give and answer, and no slot is
/// empty.
fn is_tit_for_tat(
    now: Instant,
    chosen: &BTreeSet<PeerKey>,
    interested: &[ChokeCandidate],
    slots: usize,
) {
    let earns = |one: &&ChokeCandidate| !one.snubbing && one.rate > 0.0;
    let best_but = |lucky: Option<PeerKey>| {
        let earn = |one: &&ChokeCandidate| earns(one) && Some(one.peer) != lucky;
        let mut earning: Vec<_> = interested.iter().filter(earn).collect();
        earning.sort_by(|a, b| b.rate.total_cmp(&a.rate).then(a.peer.cmp(&b.peer)));
        let slots = slots - usize::from(lucky.is_some());
        // What they leave is for those that give nothing, then for those that do not answer: first those whose turn lasts,
        // then whoever waited longest, then those whose turn is over.
        let idle = |one: &&ChokeCandidate| !earns(one) && Some(one.peer) != lucky;
        let mut idle: Vec<_> = interested.iter().filter(idle).collect();
        idle.sort_by_key(|one| {
            let turn = match one.unchoked_since {
                Some(at) if now.duration_since(at) < OPTIMISTIC_ROUND => {
                    (0, now.duration_since(at))
                }
                None => (1, Duration::MAX - now.duration_since(one.waiting_since)),
                Some(at) => (2, now.duration_since(at)),
            };
            (one.snubbing, turn, one.peer)
        });
        earning.append(&mut idle);
        let best = earning.iter().take(slots).map(|one| one.peer);
        best.chain(lucky).collect::<BTreeSet<_>>()
    };
    let lucky = chosen.iter().copied().map(Some).chain([None]);
    let right = lucky.into_iter().any(|lucky| best_but(lucky) == *chosen);
    assert!(right, "{chosen:?} of {interested:?}");
}

/// What happens to an address that we might dial.
#[derive(Debug, Clone, Copy)]
enum Step {
    Add(u8, bool),
    Next,
    Connected(u8),
    Failed(u8),
    Skipped(u8),
    PutOff(u8),
    Closed(u8, bool, bool),
    IsOurs(u8),
    ForgetIp(u8),
    Clear,
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0u8..12;
    prop_oneof![
        4 => (number(), any::<bool>()).prop_map(|(one, by_hand)| Step::Add(one, by_hand)),
        6 => Just(Step::Next),
        2 => number().prop_map(Step::Connected),
        3 => number().prop_map(Step::Failed),
        2 => number().prop_map(Step::PutOff),
        1 => number().prop_map(Step::Skipped),
        2 => (number(), any::<bool>(), any::<bool>())
            .prop_map(|(one, seed, useful)| Step::Closed(one, seed, useful)),
        1 => number().prop_map(Step::IsOurs),
        1 => number().prop_map(Step::ForgetIp),
        1 => Just(Step::Clear),
        2 => Just(Step::Wait),
    ]
}

/// Each piece was searched for among all that were listed: a quarter of a million of them took minutes.
#[test]
fn pieces_in_sequence_are_found_without_a_search() {
    const MANY: u32 = 1 << 18;
    let rng = &mut Rng::new(3);
    let layout = Layout::new(
        BLOCK_SIZE,
        [(u64::from(MANY) * u64::from(BLOCK_SIZE), false)],
    );
    let (none, all) = (Bitfield::new(MANY), Bitfield::full(MANY));
    let mut pieces = Pieces::new(Arc::new(layout.unwrap()), none, all.clone());
    let mut availability = Availability::new(MANY, rng);
    availability.seed_joined();
    let mut next = |open: u32, pieces: &mut Pieces, availability: &mut Availability| {
        let mut ask = Ask {
            has: &all,
            only: None,
            suggested: &[],
            current: &mut None,
            sequential: true,
            first: &[],
            barred: &[],
            open,
            started: &mut Vec::new(),
        };
        let mut out = Vec::new();
        next_blocks(pieces, availability, &mut ask, 1, rng, &mut out);
        out.pop().map(|block| block.piece.0)
    };
    let begin = Instant::now();
    for piece in 0..MANY {
        assert_eq!(
            next(MANY - piece, &mut pieces, &mut availability),
            Some(piece)
        );
        pieces.verified(PieceIndex(piece));
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    // What is lost is fetched again, the first one first.
    for lost in [9, 5, 7] {
        pieces.lost(PieceIndex(lost));
        availability.list(PieceIndex(lost), &mut Rng::new(1));
    }
    for (open, piece) in [(3, 5), (2, 7), (1, 9)] {
        assert_eq!(next(open, &mut pieces, &mut availability), Some(piece));
        pieces.verified(PieceIndex(piece));
    }
}

proptest! {
    #[test]
    fn the_picker_takes_what_the_slow_way_would_take(
        classes in vec(priority(), PIECES as usize),
        has in vec(vec(any::<bool>(), PIECES as usize), 4),
        have in vec(proptest::bool::weighted(0.3), PIECES as usize),
        turns in vec(turn(), 0..80),
    ) {
        pick(&classes, &has, &have, &turns);
    }

    #[test]
    fn the_choker_serves_the_fastest_and_one_more_and_a_seed_gives_turns(
        mut candidates in vec(choke_candidate(Instant::now()), 0..12),
        seeding in any::<bool>(),
        slots in 1usize..6,
        seed in any::<u64>(),
    ) {
        for (key, one) in (0u32..).zip(&mut candidates) {
            one.peer = PeerKey(key);
        }
        let now = Instant::now();
        let list = Choker::default().round(now, &candidates, seeding, slots, &mut Rng::new(seed));
        let chosen: BTreeSet<PeerKey> = list.iter().copied().collect();
        assert_eq!(chosen.len(), list.len(), "nobody is chosen twice");
        assert!(chosen.len() <= slots);
        candidates.retain(|one| one.interested);
        assert!(chosen.iter().all(|key| candidates.iter().any(|one| one.peer == *key)));
        if candidates.len() <= slots {
            assert_eq!(chosen.len(), candidates.len(), "there is room for all");
        } else if seeding {
            assert_eq!(chosen.len(), slots);
            is_fair(now, &chosen, &candidates);
        } else {
            assert_eq!(chosen.len(), slots);
            is_tit_for_tat(now, &chosen, &candidates, slots);
        }
    }

    #[test]
    fn candidates_are_dialed_when_due_and_their_books_agree(steps in vec(step(), 0..120), seed in any::<u64>()) {
        let mut now = Instant::now();
        let mut candidates = Candidates::new(Rng::new(seed));
        let addr = |number: u8| SocketAddr::from(([10, 0, 0, number / 2 + 1], 1000 + u16::from(number)));
        let mut dialing = BTreeSet::new();
        for step in steps {
            match step {
                Step::Add(one, by_hand) => {
                    candidates.add(addr(one), if by_hand { Source::User } else { Source::Tracker });
                }
                Step::Next => {
                    candidates.end_hold(now);
                    let due = candidates.next_due(false);
                    if let Some(one) = candidates.next(now, false) {
                        assert!(dialing.insert(one), "{one} is being dialed");
                    } else {
                        assert!(due.is_none_or(|due| due > now), "somebody was due at {due:?}");
                    }
                }
                Step::Connected(one) => { candidates.connected(addr(one)); dialing.remove(&addr(one)); }
                Step::Skipped(one) => { candidates.skipped(now, addr(one)); dialing.remove(&addr(one)); }
                Step::Failed(one) => { candidates.failed(now, addr(one)); dialing.remove(&addr(one)); }
                Step::PutOff(one) => { candidates.put_off(now, addr(one), DIAL_BACKOFF); dialing.remove(&addr(one)); }
                Step::Closed(one, seed, useful) => { candidates.closed(now, addr(one), Ended { seed, useful }); dialing.remove(&addr(one)); }
                Step::IsOurs(one) => {
                    candidates.is_ours(addr(one));
                    dialing.remove(&addr(one));
                    assert!(!candidates.add(addr(one), Source::User), "it leads to ourselves");
                }
                Step::ForgetIp(one) => {
                    candidates.forget_ips(|ip| ip == addr(one).ip());
                    dialing.retain(|other: &SocketAddr| other.ip() != addr(one).ip());
                }
                // Those named by hand stay, dialed or not.
                Step::Clear => { candidates.clear(); dialing.retain(|one| candidates.addresses().any(|known| known == *one)); }
                Step::Wait => now += DIAL_BACKOFF * 3,
            }
            candidates.audit().unwrap();
            assert_eq!(candidates.dialing(), dialing.len());
        }
    }

    #[test]
    fn a_steady_stream_is_measured_however_it_is_cut(
        rate in 1_000u32..50_000_000,
        gaps in vec(1u64..200, 200..400),
    ) {
        let start = Instant::now();
        let (mut meter, mut now) = (RateMeter::new(start), start);
        for gap in gaps {
            now += Duration::from_millis(gap);
            meter.add(now, u64::from(rate) * gap / 1_000);
        }
        let measured = meter.rate(now) / f64::from(rate);
        assert!((0.85..1.15).contains(&measured), "{measured} times the rate");
        let later: Vec<f64> = (1..60).map(|second| meter.rate(now + Duration::from_secs(second))).collect();
        assert!(later.iter().rev().is_sorted_by(|a, b| a <= b), "silence never looks faster: {later:?}");
    }

    #[test]
    fn a_bucket_never_lets_more_go_than_its_rate_a_burst_and_what_went_last(
        rate in 1_000u64..10_000_000,
        steps in vec((0u64..500, 1u64..100_000), 1..200),
    ) {
        let start = Instant::now();
        let (mut bucket, mut now) = (TokenBucket::new(start, Some(rate)), start);
        let burst = (rate as f64 / 4.0).max(32.0 * 1024.0);
        let (mut gone, mut most) = (0u64, 0u64);
        for (gap, batch) in steps {
            now += Duration::from_millis(gap);
            // As connections do it: a batch goes when its time has come, and is booked when it has gone.
            if bucket.wait(now).is_zero() {
                bucket.charge(now, batch);
                (gone, most) = (gone + batch, most.max(batch));
            }
            let line = now.duration_since(start).as_secs_f64() * rate as f64 + burst + most as f64;
            assert!(gone as f64 <= line + 1.0, "{gone} gone, {line} allowed");
        }
        let wait = bucket.wait(now);
        if wait < Duration::from_secs(60) {
            let later = now + wait + Duration::from_millis(1);
            assert!(bucket.wait(later).is_zero(), "after the wait it said, its time has come");
        }
    }
}
