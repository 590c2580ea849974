//! The torrent's own books, checked against each other. Costs time in proportion to everything it knows, so it is for
//! tests and for whoever drives the engine and wants to be sure.

use bt_metainfo::BlockRef;

use super::Torrent;
use crate::engine::PeerKey;
use crate::limits::MAX_OUTSTANDING_REQUESTS;

impl Torrent {
    /// Whether all counters and lists agree with each other; the first disagreement in words otherwise.
    ///
    /// # Errors
    /// With what disagrees: a bug in this crate.
    pub fn audit(&self) -> Result<(), String> {
        self.audit_blocks()?;
        self.audit_availability()?;
        self.audit_flags()?;
        self.audit_addresses()?;
        if let Some(spread) = &self.spread {
            spread.audit(|piece| self.availability.of(piece))?;
        }
        let counters = &self.counters;
        let booked = counters.wasted + counters.failed;
        if counters.received < booked {
            return Err(format!(
                "received {} bytes, but wasted and failed {booked}",
                counters.received
            ));
        }
        Ok(())
    }

    /// A block is requested of exactly the peers that have it in flight.
    fn audit_blocks(&self) -> Result<(), String> {
        self.pieces.audit()?;
        let mut flying: Vec<(BlockRef, PeerKey)> = Vec::new();
        for (key, peer) in &self.peers {
            if peer.in_flight.len() > MAX_OUTSTANDING_REQUESTS as usize {
                let count = peer.in_flight.len();
                return Err(format!("{key} was asked for {count} blocks at once"));
            }
            for flight in &peer.in_flight {
                let block = flight.block;
                if !self.layout.is_block(block) {
                    return Err(format!("{key} was asked for {block}, which is no block"));
                }
                if !peer.has.get(block.piece) {
                    return Err(format!(
                        "{key} was asked for {block}, which it does not have"
                    ));
                }
                flying.push((block, *key));
            }
        }
        flying.sort_unstable();
        if let Some(pair) = flying.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{} was asked for {} twice", pair[0].1, pair[0].0));
        }
        let mut groups = flying.chunk_by(|one, next| one.0 == next.0);
        let mut booked = self.pieces.requested();
        loop {
            let (group, booked) = (groups.next(), booked.next());
            let flying = group.and_then(|group| Some((group.first()?.0, group.len())));
            match (flying, booked) {
                (None, None) => return Ok(()),
                (Some((block, count)), Some((other, by)))
                    if block == other && count == usize::from(by) => {}
                (flying, booked) => {
                    return Err(format!(
                        "in flight are {flying:?}, booked as requested {booked:?}: block, peers"
                    ));
                }
            }
        }
    }

    fn audit_availability(&self) -> Result<(), String> {
        self.availability.audit()?;
        let mut having = vec![0_u32; self.layout.piece_count() as usize];
        for peer in self.peers.values() {
            for piece in peer.has.iter_ones() {
                having[piece.0 as usize] += 1;
            }
        }
        for (piece, having) in self.layout.pieces().zip(having) {
            let booked = self.availability.of(piece);
            if having != booked {
                return Err(format!(
                    "{having} peers have piece {piece}, booked are {booked}"
                ));
            }
            let idle = self.pieces.wants(piece) && self.pieces.partial(piece).is_none();
            if idle != self.availability.is_listed(piece) {
                return Err(format!(
                    "piece {piece} is idle and wanted: {idle}, but listed the other way"
                ));
            }
        }
        Ok(())
    }

    /// Nobody who is banned is connected or will be dialed.
    fn audit_addresses(&self) -> Result<(), String> {
        if !self.backlog.is_of(|key| self.peers.contains_key(&key)) {
            return Err("a peer that is gone has yet to be told of pieces".to_owned());
        }
        self.candidates.audit()?;
        self.trust.audit()?;
        let connected = self.peers.values().map(|peer| peer.info.addr);
        let banned = connected
            .chain(self.candidates.addresses())
            .find(|addr| self.trust.is_banned(addr.ip()));
        match banned {
            Some(addr) => Err(format!("{addr} is banned, and connected or a candidate")),
            None => Ok(()),
        }
    }

    fn audit_flags(&self) -> Result<(), String> {
        for (key, peer) in &self.peers {
            let useful = peer.has.iter_and_not(self.pieces.have());
            let useful = useful.filter(|piece| self.pieces.wants(*piece)).count();
            if useful != peer.useful as usize {
                return Err(format!(
                    "{key} has {useful} pieces that we want, booked are {}",
                    peer.useful
                ));
            }
            let open = peer.has.iter_ones();
            let open = open
                .filter(|piece| self.availability.is_listed(*piece))
                .count();
            if open != peer.open as usize {
                return Err(format!(
                    "{key} has {open} pieces that are listed, booked are {}",
                    peer.open
                ));
            }
            if peer.am_interested != (useful > 0) {
                return Err(format!(
                    "{key} has {useful} useful pieces, interested: {}",
                    peer.am_interested
                ));
            }
        }
        let unchoked = self
            .peers
            .values()
            .filter(|peer| !peer.am_choking && peer.peer_interested)
            .count();
        let slots = self.slots();
        if unchoked > slots {
            return Err(format!(
                "{unchoked} interested peers are unchoked, slots are {slots}"
            ));
        }
        if self.peers.len() > self.config.max_peers {
            return Err(format!(
                "{} peers, allowed are {}",
                self.peers.len(),
                self.config.max_peers
            ));
        }
        Ok(())
    }
}
