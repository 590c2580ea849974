//! What is answered to a packet. Knows no sockets: a packet and its source come in, bytes go out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::super::paths::Place;
use super::super::tracker::{Scratch, Tracker, Transport};
use super::connection_id::{ConnectionIds, Window};
use super::sources::Sources;
use crate::limits::MAX_UDP_REPLY;
use crate::swarm::Expected;
use crate::udp::{
    Family, Head, action, decode_announce_request, decode_url_data, encode_connect_reply,
    encode_error_reply, encode_packed_announce_reply, encode_scrape_reply, scrape_hashes,
};

/// Bytes of an announce request before its options (BEP 41).
const ANNOUNCE: usize = 98;

/// Where the info-hash is in it.
const INFO_HASH: std::ops::Range<usize> = 16..36;

/// Answers packets, with buffers that are used again for each.
pub(super) struct Answers {
    tracker: Arc<Tracker>,
    ids: ConnectionIds,
    limits: Limits,
    scratch: Scratch,
    url_data: Vec<u8>,
    /// The announces that were weighed and are not warm yet.
    expected: Expected,
}

/// What a packet is to get.
#[derive(Clone, Copy)]
pub(super) enum Due {
    Nothing,
    Connect(Head),
    /// The answer to what it asks; its source is proven.
    Answer(Head),
}

/// How much each source may ask.
pub(super) struct Limits {
    /// Connect requests, which anybody can send in anybody's name.
    pub(super) connects: Sources,
    /// Everything that comes from a proven address.
    pub(super) requests: Option<Sources>,
}

/// When a batch of packets is answered.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    now: Instant,
    window: Window,
}

/// What a batch brought, counted once for all of it.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) malformed: u64,
    connects: u64,
    unproven: u64,
    limited: u64,
    scrapes: u64,
    failures: u64,
}

impl Answers {
    pub(super) fn new(tracker: Arc<Tracker>, ids: ConnectionIds, limits: Limits) -> Self {
        Self {
            tracker,
            ids,
            limits,
            scratch: Scratch::default(),
            url_data: Vec::new(),
            expected: Expected::default(),
        }
    }

    pub(super) fn tracker(&self) -> Arc<Tracker> {
        Arc::clone(&self.tracker)
    }

    /// What was being done for packets may be half done: none of it is used.
    pub(super) fn begin_anew(&mut self) {
        self.scratch = Scratch::default();
        self.expected = Expected::default();
    }

    pub(super) fn moment(&self, now: Instant) -> Moment {
        Moment {
            now,
            window: self.ids.window(now),
        }
    }

    /// Adds what a batch brought to the numbers of the server.
    pub(super) fn count(&self, tally: &Tally) {
        let stats = &self.tracker.stats;
        stats.udp_connects.add(tally.connects);
        stats.udp_unproven.add(tally.unproven);
        stats.udp_limited.add(tally.limited);
        stats.udp.malformed.add(tally.malformed);
        stats.udp.scrapes.add(tally.scrapes);
        stats.udp.failures.add(tally.failures);
        stats.udp.bytes_in.add(tally.bytes_in);
        stats.udp.bytes_out.add(tally.bytes_out);
    }

    /// Looks at a packet and its source, and has what it needs brought into the cache.
    pub(super) fn weigh(
        &mut self,
        packet: &[u8],
        source: SocketAddr,
        moment: Moment,
        tally: &mut Tally,
    ) -> Due {
        // Nobody has port 0; such a source is made up.
        let head = Head::decode(packet).ok().filter(|_| source.port() != 0);
        let Some(head) = head else {
            tally.malformed += 1;
            return Due::Nothing;
        };
        if head.is_connect() {
            tally.connects += 1;
            if !self.limits.connects.allow(source.ip(), moment.now) {
                tally.limited += 1;
                return Due::Nothing;
            }
            return Due::Connect(head);
        }
        if !self
            .ids
            .proves(head.connection_id, source.ip(), moment.window)
        {
            tally.unproven += 1;
            return Due::Nothing;
        }
        if let Some(requests) = &mut self.limits.requests
            && !requests.allow(source.ip(), moment.now)
        {
            tally.limited += 1;
            return Due::Nothing;
        }
        if head.action == action::ANNOUNCE
            && let Some(info_hash) = packet.get(INFO_HASH)
            && let Ok(info_hash) = <[u8; 20]>::try_from(info_hash)
        {
            let swarms = &self.tracker.swarms;
            swarms.expect(&info_hash.into(), &mut self.expected);
        }
        Due::Answer(head)
    }

    /// Has what the announces that were weighed since the last time need brought into the cache.
    pub(super) fn warm(&mut self) {
        self.tracker.swarms.warm(&mut self.expected);
    }

    /// Appends the reply to a packet that was weighed, if it gets one.
    pub(super) fn answer(
        &mut self,
        due: Due,
        packet: &[u8],
        source: SocketAddr,
        moment: Moment,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) {
        match due {
            Due::Nothing => {}
            Due::Connect(head) => {
                let id = self.ids.give(source.ip(), moment.window);
                encode_connect_reply(head.transaction_id, id, out);
            }
            Due::Answer(head) => match head.action {
                action::ANNOUNCE => self.announce(packet, head, source, moment.now, out, tally),
                action::SCRAPE => self.scrape(packet, head, out, tally),
                _ => {
                    tally.malformed += 1;
                    encode_error_reply(head.transaction_id, "action is unknown", out);
                }
            },
        }
    }

    fn announce(
        &mut self,
        packet: &[u8],
        head: Head,
        source: SocketAddr,
        now: Instant,
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) {
        let mut request = match decode_announce_request(packet) {
            Ok(request) => request,
            Err(error) => {
                tally.malformed += 1;
                encode_error_reply(head.transaction_id, &error.to_string(), out);
                return;
            }
        };
        let family = Family::of(source);
        let record = match family {
            Family::V4 => 6,
            Family::V6 => 18,
        };
        let fits = (MAX_UDP_REPLY - 20) / record;
        request.numwant = Some(self.tracker.swarms.wanted(request.numwant).min(fits));
        let key = if self.tracker.access.needs_key() {
            let options = packet.get(ANNOUNCE..).unwrap_or_default();
            decode_url_data(options, &mut self.url_data)
                .ok()
                .and_then(|()| self.url_data.split(|&byte| byte == b'?').next())
                .and_then(|path| std::str::from_utf8(path).ok())
                .and_then(|path| match self.tracker.paths.find(path) {
                    Some(Place::Announce(key)) => key,
                    _ => None,
                })
        } else {
            None
        };
        let ip = source.ip();
        match self
            .tracker
            .announce(now, &request, ip, key, Transport::Udp, &mut self.scratch)
        {
            Ok(()) => {
                let Scratch { answer, response } = &self.scratch;
                let records = match family {
                    Family::V4 => &answer.v4,
                    Family::V6 => &answer.v6,
                };
                encode_packed_announce_reply(head.transaction_id, response, records, out);
            }
            Err(failure) => {
                tally.failures += 1;
                encode_error_reply(head.transaction_id, &failure.reason, out);
            }
        }
    }

    fn scrape(&self, packet: &[u8], head: Head, out: &mut Vec<u8>, tally: &mut Tally) {
        match scrape_hashes(packet) {
            // A scrape has no options, so with passkeys it cannot be allowed (BEP 41).
            Ok(_) if self.tracker.access.needs_key() => {
                tally.failures += 1;
                encode_error_reply(
                    head.transaction_id,
                    "scrape over HTTP with your passkey",
                    out,
                );
            }
            Ok(hashes) if hashes.len() > self.tracker.max_scrape => {
                tally.failures += 1;
                let reason = self.tracker.too_many_to_scrape();
                encode_error_reply(head.transaction_id, &reason, out);
            }
            Ok(hashes) => {
                tally.scrapes += 1;
                let stats = hashes.map(|hash| self.tracker.scrape(&hash, None).unwrap_or_default());
                encode_scrape_reply(head.transaction_id, stats, out);
            }
            Err(error) => {
                tally.malformed += 1;
                encode_error_reply(head.transaction_id, &error.to_string(), out);
            }
        }
    }
}
