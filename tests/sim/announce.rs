//! What nodes say to trackers, when it arrives, and what comes back.
//!
//! It must not know peers.

use std::time::Duration;

use bt_client::engine::Input;
use bt_tracker::Event;
use bt_tracker::schedule::{Announce, Problem};

use super::tracker::Said;
use super::world::{Happening, World};

/// What an announce takes to a tracker and back at most.
const SLOWEST_WAY: Duration = Duration::from_millis(40);

/// What a node says to a tracker.
#[derive(Debug)]
pub(crate) struct Asked {
    announce: Announce,
    numwant: u32,
    totals: (u64, u64),
    left: u64,
}

impl World {
    pub(crate) fn announce(&mut self, node: usize, announce: &Announce, numwant: u32) {
        let tracker = self
            .trackers
            .iter()
            .find(|tracker| tracker.url == announce.url)
            .expect("a tracker of the plan");
        let reached = self.split.is_none_or(|split| node < split);
        // Each announce has a connection of its own, and some connections are slower than others.
        let way = self.dice.moment(Duration::from_millis(5), SLOWEST_WAY);
        let delay = tracker.delay(way, announce.timeout).filter(|_| reached);
        let speaker = &mut self.nodes[node];
        speaker.log.announces += 1;
        // 3 and 18: what outlives us is said only of what outlives us.
        if announce.event == Event::Completed {
            speaker.log.has_announced = true;
            if !speaker.disk.synced().is_full() {
                self.broken(node, "`completed` is announced of what may not last");
            }
        }
        let asked = Box::new(Asked {
            announce: announce.clone(),
            numwant,
            totals: speaker.engine.totals(),
            left: speaker.engine.left(),
        });
        let what = Happening::Reply {
            node,
            asked,
            life: speaker.life,
            heard: delay.is_some(),
        };
        self.after(delay.unwrap_or(announce.timeout), what);
    }

    pub(crate) fn reply(&mut self, node: usize, asked: &Asked, heard: bool) {
        let now = self.start + self.now;
        let speaker = &self.nodes[node];
        let said = Said {
            addr: speaker.addr,
            life: speaker.life,
            announce: &asked.announce,
            numwant: asked.numwant,
            totals: asked.totals,
            left: asked.left,
        };
        let url = asked.announce.url.clone();
        let tracker = self.trackers.iter_mut().find(|tracker| tracker.url == url);
        let tracker = tracker.expect("a tracker of the plan");
        let answer = if heard {
            let answer = tracker.answer(now, &said, &mut self.dice);
            if !self.nodes[node].log.has_announced {
                // What was complete when it was said has been lost on the way there.
                tracker.lost_something(said.addr, said.life);
            }
            let answer = self.must(node, answer);
            if let (Ok(response), true) = (&answer, self.plan.private) {
                let named = response.peers.iter().map(|peer| peer.addr);
                self.nodes[node].log.named.extend(named);
            }
            answer
        } else {
            Err(Problem::new("no answer"))
        };
        self.tell(node, Input::Announced(url, answer));
    }
}
