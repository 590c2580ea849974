//! The trackers of the simulated world: the real swarm store, reached or not, quick or slow.
//!
//! It also holds each node to the law of events (BEP 3): `started` first, `completed` at most once, `stopped` last, totals
//! that never decrease.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bt_metainfo::InfoHash;
use bt_tracker::schedule::{Announce, Problem};
use bt_tracker::swarm::{Answer, Config, Locality, Swarms};
use bt_tracker::{AnnounceRequest, AnnounceResponse, Event, Failure, Peer};
use bt_wire::PeerId;

use super::dice::Dice;

/// How a tracker behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackerMood {
    Up,
    /// Nobody answers.
    Down,
    /// It answers after this long.
    Slow(Duration),
    /// It refuses.
    Refusing,
    /// It names addresses where nobody is, and nonsense.
    Garbage,
}

/// What a node says.
#[derive(Debug)]
pub(crate) struct Said<'a> {
    pub(crate) addr: SocketAddr,
    /// Counts the lives of the node.
    pub(crate) life: u32,
    pub(crate) announce: &'a Announce,
    pub(crate) numwant: u32,
    pub(crate) totals: (u64, u64),
    pub(crate) left: u64,
}

/// What one node told in one of its lives.
#[derive(Debug, Default)]
struct Record {
    /// Accepted in this session of the node.
    started: bool,
    completed: bool,
    totals: (u64, u64),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tracker {
    pub(crate) url: String,
    pub(crate) mood: TrackerMood,
    store: Swarms,
    records: BTreeMap<(SocketAddr, u32), Record>,
}

impl Tracker {
    pub(crate) fn new(number: usize, now: Instant, seed: u64, locality: bool) -> Self {
        let mut config = Config {
            shards: 1,
            seed,
            ..Config::default()
        };
        if locality {
            config.locality = Locality::default().by_prefix(16, 0);
        }
        Self {
            url: format!("http://tracker{number}.sim/announce"),
            mood: TrackerMood::Up,
            store: Swarms::new(config, now),
            records: BTreeMap::new(),
        }
    }

    /// How long it takes to answer over a way that takes `way`; `None` if it does not within the patience of the asker.
    pub(crate) fn delay(&self, way: Duration, patience: Duration) -> Option<Duration> {
        match self.mood {
            TrackerMood::Down => None,
            TrackerMood::Slow(delay) => Some(delay + way).filter(|delay| *delay < patience),
            _ => Some(way),
        }
    }

    /// Takes an announce in. The outer error is a broken law, the inner one the tracker's own.
    pub(crate) fn answer(
        &mut self,
        now: Instant,
        said: &Said<'_>,
        dice: &mut Dice,
    ) -> Result<Result<AnnounceResponse, Problem>, String> {
        // It may have gone down, or begun to refuse, since it was asked.
        let accepts = !matches!(self.mood, TrackerMood::Refusing | TrackerMood::Down);
        self.judge(said, accepts)?;
        match self.mood {
            TrackerMood::Down => return Ok(Err(Problem::new("no answer"))),
            TrackerMood::Refusing => {
                let failure = Failure {
                    reason: "not today".to_owned(),
                    retry_in: None,
                };
                return Ok(Err(Problem::from(failure)));
            }
            TrackerMood::Garbage => return Ok(Ok(garbage(dice))),
            TrackerMood::Up | TrackerMood::Slow(_) => {}
        }
        let peer_id = PeerId::generate("-SM0001-", 0);
        let mut request = AnnounceRequest::new(InfoHash::from([7; 20]), peer_id, said.addr.port());
        request.left = said.left;
        (request.uploaded, request.downloaded) = said.totals;
        request.numwant = Some(said.numwant);
        said.announce.apply(&mut request);
        let mut answer = Answer::default();
        self.store
            .announce(now, &request, said.addr.ip(), &mut answer)
            .map_err(|refusal| refusal.to_string())?;
        let mut response = AnnounceResponse::new(Duration::from_secs(120));
        response.peers = answer.peers().collect();
        Ok(Ok(response))
    }

    /// What a tracker refuses is to be said again.
    fn judge(&mut self, said: &Said<'_>, accepts: bool) -> Result<(), String> {
        let record = self.records.entry((said.addr, said.life)).or_default();
        let event = said.announce.event;
        let law = |holds: bool, law: &str| {
            holds
                .then_some(())
                .ok_or_else(|| format!("announce {event} of {}: {law}", said.addr))
        };
        if event == Event::Started {
            record.started |= accepts;
        } else {
            law(record.started, "the first must be `started`")?;
        }
        law(
            said.totals.0 >= record.totals.0 && said.totals.1 >= record.totals.1,
            "totals decrease",
        )?;
        record.totals = said.totals;
        match event {
            Event::Completed => {
                law(!record.completed, "`completed` was said before")?;
                law(said.left == 0, "`completed` and something is left")?;
                record.completed = accepts;
            }
            Event::Stopped => record.started = !accepts,
            _ => {}
        }
        Ok(())
    }

    /// The node has lost something: it may become complete once more in this life.
    pub(crate) fn lost_something(&mut self, addr: SocketAddr, life: u32) {
        if let Some(record) = self.records.get_mut(&(addr, life)) {
            record.completed = false;
        }
    }

    /// Whether the node has said `completed` in this life.
    pub(crate) fn heard_completed(&self, addr: SocketAddr, life: u32) -> bool {
        self.records
            .get(&(addr, life))
            .is_some_and(|record| record.completed)
    }

    /// Whether the node has said goodbye after everything else.
    pub(crate) fn heard_goodbye(&self, addr: SocketAddr, life: u32) -> bool {
        self.records
            .get(&(addr, life))
            .is_some_and(|record| !record.started)
    }
}

fn garbage(dice: &mut Dice) -> AnnounceResponse {
    let mut response = AnnounceResponse::new(Duration::from_secs(dice.between(0, 1 << 40)));
    response.peers = (0..200)
        .map(|_| {
            let bits = dice.next();
            let ip = [
                11,
                (bits >> 8) as u8,
                (bits >> 16) as u8,
                (bits >> 24) as u8,
            ];
            Peer {
                addr: SocketAddr::from((ip, (bits >> 32) as u16)),
                id: None,
            }
        })
        .collect();
    response.warning = Some("this is not for you".to_owned());
    response
}
