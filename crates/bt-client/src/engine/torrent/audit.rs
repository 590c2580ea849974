//! The torrent's own books, checked against each other. Costs time in proportion to everything it knows, so it is for
//! tests and for whoever drives the engine and wants to be sure.

use std::collections::{BTreeMap, BTreeSet};

use bt_metainfo::BlockRef;

use super::Torrent;
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
        let mut flying: BTreeMap<BlockRef, u16> = BTreeMap::new();
        for (key, peer) in &self.peers {
            if peer.in_flight.len() > MAX_OUTSTANDING_REQUESTS as usize {
                return Err(format!(
                    "{key} was asked for {} blocks at once",
                    peer.in_flight.len()
                ));
            }
            let mut blocks = BTreeSet::new();
            for flight in &peer.in_flight {
                if !blocks.insert(flight.block) {
                    return Err(format!("{key} was asked for {} twice", flight.block));
                }
                if !self.layout.is_block(flight.block) {
                    return Err(format!(
                        "{key} was asked for {}, which is no block",
                        flight.block
                    ));
                }
                if !peer.has.get(flight.block.piece) {
                    return Err(format!(
                        "{key} was asked for {}, which it does not have",
                        flight.block
                    ));
                }
                *flying.entry(flight.block).or_default() += 1;
            }
        }
        for (block, by) in self.pieces.requested() {
            let flying = flying.remove(&block).unwrap_or(0);
            if flying != by {
                return Err(format!(
                    "{block} is booked as requested {by} times, and in flight {flying} times"
                ));
            }
        }
        match flying.first_key_value() {
            Some((block, _)) => Err(format!("{block} is in flight and not booked as requested")),
            None => Ok(()),
        }
    }

    fn audit_availability(&self) -> Result<(), String> {
        self.availability.audit()?;
        for piece in self.layout.pieces() {
            let having = self
                .peers
                .values()
                .filter(|peer| peer.has.get(piece))
                .count();
            let booked = self.availability.of(piece);
            if having != booked as usize {
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
            let useful = self
                .layout
                .pieces()
                .filter(|piece| peer.has.get(*piece) && self.pieces.wants(*piece))
                .count();
            if useful != peer.useful as usize {
                return Err(format!(
                    "{key} has {useful} pieces that we want, booked are {}",
                    peer.useful
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
