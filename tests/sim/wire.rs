//! One end of a connection, as `bt_wire::Connection` keeps it: who chokes whom, which requests wait for an answer. It
//! holds the engine above it to the rules of BEP 3 and 6.
//!
//! It must not know time, lines or the node.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use bt_client::engine::PeerKey;
use bt_client::limits::MAX_CALLED_OFF;
use bt_metainfo::{BlockRef, PieceIndex};
use bt_wire::{Bitfield, Message, ext};
use bytes::BytesMut;

/// A message of an extension as it goes over the wire. In the simulator all have our numbers.
pub(crate) fn extended(message: &ext::Message) -> Message {
    let mut payload = BytesMut::new();
    message.encode(&mut payload);
    Message::Extended {
        id: message.ext().id(),
        payload: payload.freeze(),
    }
}

/// What [`extended`] was made of.
pub(crate) fn extension(message: &Message) -> Option<ext::Message> {
    let Message::Extended { id, payload } = message else {
        return None;
    };
    ext::Message::decode(ext::Ext::from_id(*id)?, payload).ok()
}

/// A block, and which rule it breaks. Words are made of it only if it matters: those who misbehave break rules all day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrong(BlockRef, &'static str);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct End {
    /// The node at the other end.
    pub(crate) node: usize,
    /// Its name for its end.
    pub(crate) key: PeerKey,
    /// The connection, never given twice.
    pub(crate) link: u32,
    pub(crate) fast: bool,
    /// Requests that may wait here and there, as the extension handshakes say.
    queues: [u32; 2],
    /// What we told it last.
    pub(crate) choking: bool,
    pub(crate) interested: bool,
    /// What it told us last.
    pub(crate) peer_choking: bool,
    pub(crate) peer_interested: bool,
    /// Pieces it may fetch while choked, as we told it.
    granted: Vec<PieceIndex>,
    /// The same as it told us.
    allowed: Vec<PieceIndex>,
    /// What it told us that it has.
    pub(crate) has: Bitfield,
    /// Requests of the peer on which the engine has not decided.
    waiting: Vec<BlockRef>,
    /// Requests of the peer whose blocks wait to leave.
    queued: Vec<BlockRef>,
    /// Requests of ours that have no answer yet.
    asked: Vec<BlockRef>,
    /// Requests of ours that need no answer and may get one: called off, or void by a choke, without the Fast extension.
    void: BTreeSet<BlockRef>,
    /// How many requests of ours were called off or void, the same block as often as it was.
    lapsed: usize,
    /// Those of `asked` that were called off: they wait at the peer no more.
    called_off: Vec<BlockRef>,
    /// Requests that the peer called off in the breath in which they came: the engine may have served them.
    taken_back: Vec<BlockRef>,
    /// When what we said last arrives: messages do not overtake each other.
    pub(crate) arrives: Duration,
}

impl End {
    /// `queues` are the requests that may wait here and at the peer.
    pub(crate) fn new(
        (node, key): (usize, PeerKey),
        link: u32,
        fast: bool,
        queues: [u32; 2],
        pieces: u32,
    ) -> Self {
        Self {
            node,
            key,
            link,
            fast,
            queues,
            choking: true,
            interested: false,
            peer_choking: true,
            peer_interested: false,
            granted: Vec::new(),
            allowed: Vec::new(),
            has: Bitfield::new(pieces),
            waiting: Vec::new(),
            queued: Vec::new(),
            asked: Vec::new(),
            void: BTreeSet::new(),
            lapsed: 0,
            called_off: Vec::new(),
            taken_back: Vec::new(),
            arrives: Duration::ZERO,
        }
    }

    pub(crate) fn grant(&mut self, piece: PieceIndex) {
        self.granted.push(piece);
    }

    pub(crate) fn allow(&mut self, piece: PieceIndex) {
        self.allowed.push(piece);
    }

    /// We ask for a block.
    pub(crate) fn ask(&mut self, block: BlockRef) -> Result<(), Wrong> {
        if self.peer_choking && !self.allowed.contains(&block.piece) {
            return Err(Wrong(block, "is asked of a peer that chokes us"));
        }
        if !self.has.get(block.piece) {
            return Err(Wrong(block, "is asked of a peer that did not tell of it"));
        }
        self.asked.push(block);
        if self.asked.len() - self.called_off.len() > self.queues[1] as usize {
            return Err(Wrong(block, "is more than the peer said that it queues"));
        }
        Ok(())
    }

    /// We call a request off. Without the Fast extension no answer comes.
    pub(crate) fn call_off(&mut self, block: BlockRef) {
        self.lapsed += 1;
        if self.fast && self.asked.contains(&block) {
            self.called_off.push(block);
        }
        if !self.fast && remove(&mut self.asked, block) {
            self.void.insert(block);
        }
    }

    /// It chokes us.
    pub(crate) fn choked(&mut self) {
        self.peer_choking = true;
        if !self.fast {
            self.lapsed += self.asked.len();
            self.void.extend(self.asked.drain(..));
        }
    }

    /// A request of ours is rejected.
    pub(crate) fn rejected(&mut self, block: BlockRef) -> Result<(), Wrong> {
        remove(&mut self.called_off, block);
        self.answered(block)
    }

    /// An answer to a request of ours.
    pub(crate) fn answered(&mut self, block: BlockRef) -> Result<(), Wrong> {
        let was_asked = remove(&mut self.asked, block);
        let times = |list: &[BlockRef]| list.iter().filter(|one| **one == block).count();
        // It answers what was asked again, if anything was, as far as the engine can tell: it may have crossed our cancel.
        if times(&self.called_off) > times(&self.asked) {
            remove(&mut self.called_off, block);
        }
        if was_asked || self.void.contains(&block) {
            return Ok(());
        }
        Err(Wrong(block, "is answered and was not asked for"))
    }

    /// The peer asks. False if the wire refuses without asking the engine.
    pub(crate) fn accept(&mut self, block: BlockRef) -> bool {
        let permitted = !self.choking || self.granted.contains(&block.piece);
        let accepted = permitted && self.waiting_requests() < self.queues[0] as usize;
        if accepted {
            self.waiting.push(block);
        }
        accepted
    }

    /// What goes over the wire when a request of the peer comes to nothing. Without the Fast extension nothing does.
    pub(crate) fn refusal(&self, block: BlockRef) -> Option<Message> {
        self.fast.then_some(Message::Reject(block))
    }

    /// The engine knows of a request and has not decided.
    pub(crate) fn is_undecided(&self, block: BlockRef) -> bool {
        self.waiting.contains(&block)
    }

    /// Requests of the peer without an answer.
    pub(crate) fn waiting_requests(&self) -> usize {
        self.waiting.len() + self.queued.len()
    }

    /// The peer calls a request off. False if there is none.
    pub(crate) fn take_back(&mut self, block: BlockRef) -> bool {
        if self.is_undecided(block) {
            self.taken_back.push(block);
        }
        self.over(block)
    }

    /// What was said in one breath has been dealt with.
    pub(crate) fn end_of_breath(&mut self) {
        self.taken_back.clear();
    }

    /// We are going to send a block; false if it was called off in the same breath.
    pub(crate) fn serve(&mut self, block: BlockRef) -> Result<bool, Wrong> {
        if self.choking && !self.granted.contains(&block.piece) {
            return Err(Wrong(block, "is served to a peer that we choke"));
        }
        let waited = remove(&mut self.waiting, block);
        if waited {
            self.queued.push(block);
        } else if !remove(&mut self.taken_back, block) {
            return Err(Wrong(block, "is served to a peer that did not ask for it"));
        }
        Ok(waited)
    }

    /// A block leaves. False if it does not wait to. One that was asked for twice in a breath may leave before the engine
    /// has decided on the second request.
    pub(crate) fn leaves(&mut self, block: BlockRef) -> bool {
        remove(&mut self.queued, block)
    }

    /// A request of the peer is over: it was rejected, or called off. False if there is none.
    pub(crate) fn over(&mut self, block: BlockRef) -> bool {
        remove(&mut self.waiting, block) || remove(&mut self.queued, block)
    }

    /// We choke: all requests are over but those for granted pieces.
    pub(crate) fn choke(&mut self) -> Vec<BlockRef> {
        self.choking = true;
        let mut over = Vec::new();
        for list in [&mut self.queued, &mut self.waiting] {
            let ends = |block: &BlockRef| !self.granted.contains(&block.piece);
            over.extend(list.iter().copied().filter(ends));
            list.retain(|block| !ends(block));
        }
        over
    }

    /// Requests of ours without an answer.
    pub(crate) fn unanswered(&self) -> &[BlockRef] {
        &self.asked
    }

    /// Requests of ours to which a block may come. Those that lapsed are remembered, as many as the engine keeps.
    pub(crate) fn asked(&self) -> usize {
        self.asked.len() + self.lapsed.min(MAX_CALLED_OFF)
    }
}

fn remove(list: &mut Vec<BlockRef>, block: BlockRef) -> bool {
    let at = list.iter().position(|waiting| *waiting == block);
    at.is_some_and(|at| {
        list.remove(at);
        true
    })
}
