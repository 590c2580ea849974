//! A scenario as data: who is there, how each behaves, and what goes wrong when. Random scenarios are made of it, failing
//! ones are made smaller by taking parts out of it.
//!
//! It must not know the world that plays it.

use std::time::Duration;

use super::disk::DiskMood;
use super::link::Line;
use super::platter::Failing;
use super::tracker::TrackerMood;

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// As the protocol wants.
    Honest,
    /// Every block it sends is rubbish.
    Poisoner,
    /// It asks and takes and answers no request.
    Snubber,
    /// It unchokes and then rejects every request.
    Rejecter,
    /// It claims to have everything, has nothing, and rejects every request.
    Liar,
    /// It asks for everything, over and over, of everybody.
    Hoarder,
    /// It chokes and unchokes everybody five times a second.
    Flapper,
    /// It is interested and not interested, five times a second.
    Fickle,
    /// It heeds no cancel.
    Deaf,
    /// It sends every block twice.
    Repeater,
    /// It answers well, and pushes rubbish into what others were asked for.
    Pusher,
    /// It answers everything but the first block of each piece.
    Withholder,
    /// It says that it has lost pieces, and that it has them again, five times a second.
    Forgetter,
}

/// What a node has when it joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Have {
    Nothing,
    Everything,
    /// Each piece with this chance in percent.
    Share(u8),
    /// All but the last piece.
    AllButOne,
}

/// A node.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) at: Duration,
    pub(crate) line: Line,
    pub(crate) conduct: Conduct,
    pub(crate) have: Have,
    /// Pieces it wants, from the first to before the second; all if `None`.
    pub(crate) wanted: Option<(u32, u32)>,
    pub(crate) spread: bool,
    pub(crate) sequential: bool,
    pub(crate) slots: usize,
    pub(crate) max_peers: usize,
    /// Requests of one peer that may wait, as its extension handshake says.
    pub(crate) reqq: u32,
    /// Its own limit, bytes per second out.
    pub(crate) limit: Option<u64>,
    /// It speaks the Fast extension.
    pub(crate) fast: bool,
    /// The second byte of its address: nodes of one group are near each other.
    pub(crate) group: u8,
}

impl Member {
    fn new(line: Line, have: Have) -> Self {
        Self {
            at: Duration::ZERO,
            line,
            conduct: Conduct::Honest,
            have,
            wanted: None,
            spread: false,
            sequential: false,
            slots: 20,
            max_peers: 200,
            reqq: bt_client::limits::OUR_REQQ,
            limit: None,
            fast: true,
            group: 0,
        }
    }

    pub(crate) fn seed(line: Line) -> Self {
        Self::new(line, Have::Everything)
    }

    pub(crate) fn leecher(line: Line) -> Self {
        let mut member = Self::new(line, Have::Nothing);
        member.at = Duration::from_millis(100);
        member
    }

    /// A node that claims to be a seed and behaves badly.
    pub(crate) fn bad(line: Line, conduct: Conduct) -> Self {
        let have = if conduct == Conduct::Liar {
            Have::Nothing
        } else {
            Have::Everything
        };
        Self::new(line, have).acting(conduct)
    }

    pub(crate) fn at_millis(mut self, millis: u64) -> Self {
        self.at = Duration::from_millis(millis);
        self
    }

    pub(crate) fn acting(mut self, conduct: Conduct) -> Self {
        self.conduct = conduct;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// Something that happens to a node, to the network, or to a tracker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// It says goodbye and goes.
    Leave(usize),
    /// It is gone, with or without the power; it comes back after the time, or never.
    Crash {
        node: usize,
        power_cut: bool,
        back_after: Option<Duration>,
    },
    Pause(usize),
    Resume(usize),
    /// It looks at its content anew, which takes this long.
    Recheck(usize, Duration),
    /// One of its pieces turns out not to be on its disk any more.
    Lose(usize),
    /// Its session has no place for another peer, or has again.
    Crowded(usize, bool),
    /// It is removed, and added again this long after it has said goodbye.
    Readd(usize, Duration),
    /// It tells its trackers at once, as far as they allow.
    Reannounce(usize),
    /// Its owner wants the pieces in another order.
    Prioritize(usize),
    /// Its owner wants other pieces: those from the first to before the second.
    Select(usize, u32, u32),
    /// The node's clock jumps ahead.
    Jump(usize, Duration),
    Disk(usize, DiskMood),
    /// The directory of its journal fails from now on, or no more.
    Journal(usize, Failing),
    Line(usize, Line),
    /// A new limit of the node, bytes per second out.
    Limit(usize, Option<u64>),
    Tracker(usize, TrackerMood),
    /// Nodes below this number and those from it on cannot reach each other.
    Partition(usize),
    Heal,
    /// In percent of all messages: how many are lost once, and arrive a time-out later.
    Loss(u8),
}

impl Fault {
    /// Nobody has finished before it has come: it leaves somebody without something, or helps somebody on.
    pub(crate) fn is_awaited(&self) -> bool {
        matches!(
            self,
            Self::Resume(_)
                | Self::Recheck(..)
                | Self::Lose(_)
                | Self::Readd(..)
                | Self::Select(..)
        )
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) piece_length: u32,
    /// Length of each file, and whether it is padding (BEP 47).
    pub(crate) files: Vec<(u64, bool)>,
    pub(crate) members: Vec<Member>,
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// Trackers, one a tier.
    pub(crate) trackers: usize,
    pub(crate) private: bool,
    /// The tracker names mostly nodes of the asker's group.
    pub(crate) locality: bool,
    /// Extra time one way between different groups.
    pub(crate) between_groups: Duration,
    /// Virtual time after which whoever is not complete has failed.
    pub(crate) limit: Duration,
}

impl Plan {
    /// One file that is a little shorter than its pieces.
    pub(crate) fn new(pieces: u32, piece_length: u32, members: Vec<Member>) -> Self {
        let total = u64::from(pieces) * u64::from(piece_length);
        Self {
            piece_length,
            files: vec![(total - u64::from(piece_length) / 4, false)],
            members,
            faults: Vec::new(),
            trackers: 1,
            private: false,
            locality: false,
            between_groups: Duration::ZERO,
            limit: Duration::from_secs(600),
        }
    }

    /// A seed and `leechers` that begin together, all on equal lines of `rate` Mbit/s.
    pub(crate) fn swarm(pieces: u32, piece_length: u32, leechers: usize, rate: f64) -> Self {
        let line = Line::mbit(rate);
        let mut members = vec![Member::seed(line)];
        members.extend((0..leechers).map(|_| Member::leecher(line)));
        Self::new(pieces, piece_length, members)
    }

    pub(crate) fn and(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    pub(crate) fn fault(mut self, millis: u64, fault: Fault) -> Self {
        self.faults.push((Duration::from_millis(millis), fault));
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The content cut into files at these places, in thousandths of it. With `padded`, every file begins a piece: what
    /// would be in its way is padding.
    pub(crate) fn cut_into_files(mut self, cuts: &[u16], padded: bool) -> Self {
        let (total, piece) = (self.total(), u64::from(self.piece_length));
        let mut cuts: Vec<u64> = cuts
            .iter()
            .map(|cut| total * u64::from(*cut) / 1000)
            .collect();
        cuts.sort_unstable();
        self.files.clear();
        let mut begin = 0;
        for end in cuts {
            // The padding after the file before may reach beyond it.
            self.files.push((end.saturating_sub(begin), false));
            begin = begin.max(end);
            if padded {
                let next = begin.next_multiple_of(piece).min(total);
                self.files.push((next - begin, true));
                begin = next;
            }
        }
        self.files.push((total - begin, false));
        self
    }

    pub(crate) fn total(&self) -> u64 {
        self.files.iter().map(|(length, _)| length).sum()
    }

    /// Seconds that the content takes over a line of `rate` Mbit/s.
    pub(crate) fn ideal(&self, rate: f64) -> f64 {
        self.total() as f64 * 8.0 / (rate * 1e6)
    }
}
