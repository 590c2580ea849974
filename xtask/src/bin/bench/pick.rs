//! The engine alone: choosing blocks, and the books about who was asked for what.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bt_client::engine::{
    Config, Direction, Input, Output, Outputs, PeerInfo, PeerKey, PieceVerdict, State, Torrent,
};
use bt_metainfo::{BLOCK_SIZE, BlockRef, InfoHash, Layout};
use bt_wire::{Bitfield, Message, PeerId};

use crate::setting::Setting;

const PIECES: u32 = 4_096;
const SMOKE_PIECES: u32 = 64;
/// Blocks of a piece.
const BLOCKS: u32 = 64;
const PEERS: u8 = 50;

/// Blocks that one read of a peer brings.
const READ: usize = 16;

/// Time that passes from one read to the next: 50 peers share a bit more than 1 GB/s.
const STEP: Duration = Duration::from_micros(200);

pub(crate) fn run(setting: &Setting) -> Result<(), String> {
    let pieces = if setting.smoke { SMOKE_PIECES } else { PIECES };
    let name = format!("pick: {pieces} pieces of {PEERS} peers");
    let blocks = (pieces * BLOCKS) as usize;
    let layout = layout(pieces)?;
    setting.meter.rate(
        &name,
        blocks,
        || Swarm::new(&layout),
        |mut swarm| swarm.download(),
    );
    Ok(())
}

fn layout(pieces: u32) -> Result<Arc<Layout>, String> {
    let piece = BLOCKS * BLOCK_SIZE;
    let length = u64::from(pieces) * u64::from(piece);
    Layout::new(piece, [(length, false)])
        .map(Arc::new)
        .map_err(|error| error.to_string())
}

/// A torrent, peers that have everything, and what they were asked for.
struct Swarm {
    torrent: Torrent,
    now: Instant,
    asked: Vec<(PeerKey, VecDeque<BlockRef>)>,
    /// Blocks of each piece that came.
    came: Vec<u32>,
    out: Outputs,
}

impl Swarm {
    fn new(layout: &Arc<Layout>) -> Self {
        let now = Instant::now();
        let count = layout.piece_count();
        let config = Config {
            max_peers: PEERS.into(),
            ..Config::new(InfoHash::from([1; 20]), PeerId::from([1; 20]), 1)
        };
        let torrent = Torrent::new(now, config, Arc::clone(layout), Bitfield::full(count));
        let mut swarm = Self {
            torrent,
            now,
            asked: Vec::new(),
            came: vec![0; count as usize],
            out: Outputs::new(),
        };
        swarm.handle(Input::Checked(Bitfield::new(count)));
        for number in 0..PEERS {
            let info = PeerInfo {
                addr: SocketAddr::from((Ipv4Addr::new(10, 0, 1, number), 6881)),
                id: PeerId::from([number + 2; 20]),
                direction: Direction::Incoming,
                fast: true,
            };
            let key = swarm.torrent.open(now, info, &mut swarm.out);
            let key = key.expect("there is room for this many peers");
            swarm.asked.push((key, VecDeque::new()));
            swarm.handle(Input::Message(key, Message::HaveAll));
            swarm.handle(Input::Message(key, Message::Unchoke));
        }
        swarm
    }

    fn handle(&mut self, input: Input) {
        self.torrent.handle(self.now, input, &mut self.out);
        for output in self.out.drain(..) {
            let Output::Send(key, message) = output else {
                continue;
            };
            let asked = self.asked.iter_mut().find(|(peer, _)| *peer == key);
            match (message, asked) {
                (Message::Request(block), Some((_, asked))) => asked.push_back(block),
                (Message::Cancel(block), Some((_, asked))) => asked.retain(|other| *other != block),
                _ => {}
            }
        }
    }

    /// Peers answer in turn until everything is here.
    fn download(&mut self) {
        let mut turn = 0;
        while self.torrent.state() == State::Downloading {
            self.now += STEP;
            if self.torrent.poll_timeout().is_some_and(|at| at <= self.now) {
                self.handle(Input::Timeout);
            }
            let (key, asked) = &mut self.asked[turn % PEERS as usize];
            let key = *key;
            let length = asked.len().min(READ);
            let blocks: Vec<BlockRef> = asked.drain(..length).collect();
            for block in blocks {
                if self.torrent.block(self.now, key, block, &mut self.out) {
                    self.count(block);
                }
            }
            self.handle(Input::Flush(key));
            turn += 1;
        }
    }

    /// The disk of this swarm finds every piece good at once.
    fn count(&mut self, block: BlockRef) {
        let came = &mut self.came[block.piece.0 as usize];
        *came += 1;
        if *came == BLOCKS {
            let digests = Vec::new();
            self.handle(Input::PieceChecked(
                block.piece,
                PieceVerdict::Good { digests },
            ));
        }
    }
}
