//! Which browsers are in which torrent, and who gets whose offers.
//!
//! A peer is there as long as its connection. Knows nothing of sockets: letters go into the
//! mailboxes of connections, after the lock.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bt_metainfo::InfoHash;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

use super::super::memory::{Budget, Held};
use super::message::{Announce, Counts, Event};
use super::places::{Places, Ticket};
use crate::limits::{MAX_SIGNAL_PEERS, MAX_SIGNAL_TORRENTS};

/// All torrents that browsers are in.
#[derive(Debug, Default)]
pub(in super::super) struct Rooms {
    floor: Mutex<Floor>,
    next_guest: AtomicU64,
    /// Where choices come from.
    chance: RandomState,
    turn: AtomicU64,
    /// Tells connections that the lists or the torrents have changed.
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Floor {
    rooms: HashMap<InfoHash, Room>,
    /// Of all rooms.
    members: usize,
    /// One for each membership of each seat.
    places: Places<Holder>,
}

/// Who holds a place.
#[derive(Debug)]
struct Holder {
    guest: u64,
    membership: Membership,
}

/// A torrent, and the id of a peer in it.
type Membership = (InfoHash, [u8; 20]);

/// One connection: where its letters go, and where it is.
#[derive(Debug)]
pub(super) struct Seat {
    guest: Option<u64>,
    letters: Sender<Letter>,
    source: IpAddr,
    /// At most [`MAX_SIGNAL_TORRENTS`], each with its place, which it may have lost to others.
    memberships: HashMap<Membership, Ticket>,
}

/// A letter that waits for its reader, and the memory that it takes meanwhile.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) text: String,
    held: Held,
}

impl Letter {
    pub(super) fn new(text: String, memory: &Arc<Budget>) -> Self {
        let held = memory.hold(text.len());
        Self { text, held }
    }

    /// Whether all that waits is too much together.
    pub(super) fn is_too_much(&self) -> bool {
        self.held.is_too_much()
    }
}

/// A letter for another connection.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) to: Sender<Letter>,
    pub(super) letter: String,
    pub(super) is_offer: bool,
}

#[derive(Debug, Default)]
struct Room {
    /// At most [`MAX_SIGNAL_PEERS`].
    members: Vec<Member>,
    /// Where in `members` an id is.
    at: HashMap<[u8; 20], usize>,
    /// Of `members`.
    seeds: usize,
    completed: u32,
}

#[derive(Debug)]
struct Member {
    peer_id: [u8; 20],
    guest: u64,
    source: IpAddr,
    is_seed: bool,
    has_completed: bool,
    letters: Sender<Letter>,
}

impl Seat {
    pub(super) fn new(letters: Sender<Letter>, source: IpAddr) -> Self {
        Self {
            guest: None,
            letters,
            source,
            memberships: HashMap::new(),
        }
    }

    pub(super) fn source(&self) -> IpAddr {
        self.source
    }
}

impl Rooms {
    /// Updates the announcing peer and says who is to get its offers or its answer.
    pub(super) fn announce(
        &self,
        seat: &mut Seat,
        announce: Announce,
    ) -> Result<(Counts, Vec<Delivery>), &'static str> {
        let next = || self.next_guest.fetch_add(1, Ordering::Relaxed);
        let guest = *seat.guest.get_or_insert_with(next);
        let Announce {
            info_hash, peer_id, ..
        } = announce;
        let membership = (info_hash, peer_id);
        let mut floor = self.lock();
        if announce.event == Event::Stopped {
            if let Some(ticket) = seat.memberships.remove(&membership) {
                floor.places.give_back(seat.source, ticket);
            }
            floor.leave(&membership, guest);
            let counts = floor.rooms.get(&info_hash).map(Room::counts);
            return Ok((counts.unwrap_or_default(), Vec::new()));
        }
        let known = seat.memberships.get(&membership);
        let ticket = known.and_then(|&ticket| floor.places.renew(seat.source, ticket));
        // What it has lost counts as well, until it leaves or announces there again.
        let is_new = !seat.memberships.contains_key(&membership);
        if is_new && seat.memberships.len() >= MAX_SIGNAL_TORRENTS {
            return Err("too many torrents on one connection");
        }
        let room = floor.rooms.entry(info_hash).or_default();
        let before = room.members.len();
        let entered = room.enter(&announce, guest, seat);
        floor.members += room.members.len() - before;
        let ticket = match (entered, ticket) {
            (Ok(()), Some(ticket)) => ticket,
            (Ok(()), None) => floor.place(seat.source, Holder { guest, membership }),
            (Err(reason), Some(ticket)) => {
                seat.memberships.insert(membership, ticket);
                return Err(reason);
            }
            (Err(reason), None) => return Err(reason),
        };
        seat.memberships.insert(membership, ticket);
        let Some(room) = floor.rooms.get(&info_hash) else {
            return Err("torrent is full");
        };
        let mut deliveries = Vec::new();
        if let Some(answer) = announce.answer
            && let Some(member) = room.member(&answer.to)
        {
            deliveries.push(Delivery {
                to: member.letters.clone(),
                letter: answer.letter(&info_hash, &peer_id),
                is_offer: false,
            });
        }
        let chosen = room.choose(&peer_id, announce.is_seed, announce.offers.len(), || {
            self.chance
                .hash_one(self.turn.fetch_add(1, Ordering::Relaxed))
        });
        for (member, offer) in chosen.into_iter().zip(announce.offers) {
            deliveries.push(Delivery {
                to: member.letters.clone(),
                letter: offer.letter(&info_hash, &peer_id),
                is_offer: true,
            });
        }
        Ok((room.counts(), deliveries))
    }

    /// Takes everybody out of a torrent that is no longer tracked.
    pub(in super::super) fn close(&self, info_hash: &InfoHash) {
        let mut floor = self.lock();
        if let Some(room) = floor.rooms.remove(info_hash) {
            floor.members -= room.members.len();
        }
    }

    /// Has every connection see whether it may still be where it is.
    pub(in super::super) fn review(&self) {
        self.changes.send_replace(());
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Takes a connection out of the torrents that it may not be in.
    pub(super) fn leave_those(&self, seat: &mut Seat, may_not: impl Fn(&InfoHash) -> bool) {
        let Some(guest) = seat.guest else { return };
        // The answer may need other locks, so ours is not held meanwhile.
        let gone: Vec<_> = seat
            .memberships
            .extract_if(|(info_hash, _), _| may_not(info_hash))
            .collect();
        let mut floor = self.lock();
        for (membership, ticket) in &gone {
            floor.places.give_back(seat.source, *ticket);
            floor.leave(membership, guest);
        }
    }

    /// Takes a connection out of every torrent.
    pub(super) fn leave_all(&self, seat: &Seat) {
        let Some(guest) = seat.guest else { return };
        let mut floor = self.lock();
        for (membership, ticket) in &seat.memberships {
            floor.places.give_back(seat.source, *ticket);
            floor.leave(membership, guest);
        }
    }

    pub(super) fn counts(&self, info_hash: &InfoHash) -> Counts {
        let floor = self.lock();
        let room = floor.rooms.get(info_hash);
        room.map(Room::counts).unwrap_or_default()
    }

    /// Torrents and peers.
    pub(in super::super) fn totals(&self) -> (u64, u64) {
        let floor = self.lock();
        (floor.rooms.len() as u64, floor.members as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Floor> {
        self.floor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Floor {
    /// Gives a new member its place; somebody else may have to leave for it.
    fn place(&mut self, source: IpAddr, holder: Holder) -> Ticket {
        let (ticket, gone) = self.places.take(source, holder);
        if let Some(Holder { guest, membership }) = gone {
            self.leave(&membership, guest);
        }
        ticket
    }

    fn leave(&mut self, (info_hash, peer_id): &Membership, guest: u64) {
        let Some(room) = self.rooms.get_mut(info_hash) else {
            return;
        };
        let before = room.members.len();
        room.leave(peer_id, guest);
        self.members -= before - room.members.len();
        if room.members.is_empty() {
            self.rooms.remove(info_hash);
        }
    }
}

impl Room {
    fn enter(&mut self, announce: &Announce, guest: u64, seat: &Seat) -> Result<(), &'static str> {
        let completes = announce.event == Event::Completed;
        let is_seed = announce.is_seed || completes;
        if let Some(&at) = self.at.get(&announce.peer_id) {
            let member = &mut self.members[at];
            // Ids are told to others: only from its own address can a peer's id be taken over,
            // as a client does that comes back before its old connection is given up.
            if member.guest != guest && member.source != seat.source {
                return Err("this peer id is in use");
            }
            self.completed += u32::from(completes && !member.has_completed);
            // Answers do not say what is left.
            let is_seed = is_seed || (announce.answer.is_some() && member.is_seed);
            self.seeds = self.seeds - usize::from(member.is_seed) + usize::from(is_seed);
            *member = Member {
                peer_id: announce.peer_id,
                guest,
                source: seat.source,
                is_seed,
                has_completed: completes || member.has_completed,
                letters: seat.letters.clone(),
            };
            return Ok(());
        }
        if self.members.len() >= MAX_SIGNAL_PEERS {
            return Err("torrent is full");
        }
        self.completed += u32::from(completes);
        self.seeds += usize::from(is_seed);
        self.at.insert(announce.peer_id, self.members.len());
        self.members.push(Member {
            peer_id: announce.peer_id,
            guest,
            source: seat.source,
            is_seed,
            has_completed: completes,
            letters: seat.letters.clone(),
        });
        Ok(())
    }

    fn leave(&mut self, peer_id: &[u8; 20], guest: u64) {
        let Some(&at) = self.at.get(peer_id) else {
            return;
        };
        if self
            .members
            .get(at)
            .is_some_and(|member| member.guest == guest)
        {
            self.at.remove(peer_id);
            let gone = self.members.swap_remove(at);
            self.seeds -= usize::from(gone.is_seed);
            if let Some(moved) = self.members.get(at) {
                self.at.insert(moved.peer_id, at);
            }
        }
    }

    fn member(&self, peer_id: &[u8; 20]) -> Option<&Member> {
        self.members.get(*self.at.get(peer_id)?)
    }

    /// Different peers than the asker, each equally likely; seeds have no use for each other.
    fn choose(
        &self,
        asker: &[u8; 20],
        is_seed: bool,
        wanted: usize,
        chance: impl Fn() -> u64,
    ) -> Vec<&Member> {
        let fits = |member: &Member| member.peer_id != *asker && !(is_seed && member.is_seed);
        let mut chosen: Vec<&Member> = Vec::new();
        if self.members.len() <= 4 * wanted {
            let mut rest: Vec<_> = self.members.iter().filter(|member| fits(member)).collect();
            while chosen.len() < wanted && !rest.is_empty() {
                chosen.push(rest.swap_remove(below(chance(), rest.len())));
            }
            return chosen;
        }
        // A try fails for a peer that is chosen already, or that has no use: a bounded number of
        // tries finds enough in all but swarms of seeds.
        for _ in 0..8 * wanted {
            if chosen.len() == wanted {
                break;
            }
            let member = &self.members[below(chance(), self.members.len())];
            if fits(member) && chosen.iter().all(|known| known.peer_id != member.peer_id) {
                chosen.push(member);
            }
        }
        chosen
    }

    fn counts(&self) -> Counts {
        let number = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Counts {
            complete: number(self.seeds),
            incomplete: number(self.members.len() - self.seeds),
            downloaded: self.completed,
        }
    }
}

/// A position in `0..length`; `length` is not 0.
fn below(random: u64, length: usize) -> usize {
    usize::try_from(random % length.max(1) as u64).unwrap_or(0)
}

#[cfg(any(test, feature = "fuzz"))]
impl Floor {
    /// Whether the sums are those of what they are sums of, and everybody who is in a room knows it.
    fn audit(&self, seats: &[Seat]) {
        let members: usize = self.rooms.values().map(|room| room.members.len()).sum();
        assert_eq!(self.members, members, "members");
        let is_held = |seat: &Seat, ticket: &Ticket| self.places.is_held(seat.source, *ticket);
        let held = |seat: &Seat| {
            let tickets = seat.memberships.values();
            tickets.filter(|ticket| is_held(seat, ticket)).count()
        };
        let places: usize = seats.iter().map(held).sum();
        assert_eq!(self.places.audit(), places, "places");
        for (info_hash, room) in &self.rooms {
            assert!(!room.members.is_empty(), "an empty room");
            assert_eq!(room.at.len(), room.members.len(), "ids");
            let seeds = room.members.iter().filter(|member| member.is_seed);
            assert_eq!(room.seeds, seeds.count(), "seeds");
            for (at, member) in room.members.iter().enumerate() {
                assert_eq!(room.at.get(&member.peer_id), Some(&at), "an id");
                let seat = seats.iter().find(|seat| seat.guest == Some(member.guest));
                let seat = seat.expect("the seat of a member");
                let membership = (*info_hash, member.peer_id);
                let ticket = seat.memberships.get(&membership);
                assert!(ticket.is_some_and(|ticket| is_held(seat, ticket)));
            }
        }
    }
}

/// What browsers do for the fuzzer, three bytes each time: whatever happens, the sums are right.
#[cfg(any(test, feature = "fuzz"))]
pub(in super::super) fn fuzz(data: &[u8]) {
    use super::message::{Answer, Offer};

    let rooms = Rooms::default();
    // So few that browsers have to make room for each other.
    rooms.lock().places = Places::new(6, 4);
    let (letters, _mailbox) = tokio::sync::mpsc::channel(1);
    let sources = [
        IpAddr::from([192, 0, 2, 1]),
        IpAddr::from([192, 0, 2, 1]),
        IpAddr::from([192, 0, 2, 2]),
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
    ];
    let mut seats = sources.map(|source| Seat::new(letters.clone(), source));
    for step in data.chunks_exact(3) {
        let &[who, what, how] = step else { continue };
        let at = usize::from(who & 3);
        let info_hash = InfoHash::from([(who >> 2) % 3; 20]);
        let event = match what & 7 {
            0 => Event::Completed,
            1 | 2 => Event::Stopped,
            _ => Event::Update,
        };
        match (what & 7, how & 3) {
            (7, 0) => rooms.close(&info_hash),
            (7, 1) => {
                rooms.leave_all(&seats[at]);
                seats[at] = Seat::new(letters.clone(), sources[at]);
            }
            (7, 2) => rooms.leave_those(&mut seats[at], |hash| *hash == info_hash),
            _ => {
                let offer = || Offer {
                    offer: 1.into(),
                    id: 1.into(),
                };
                let answer = (how & 64 != 0).then(|| Answer {
                    to: [how & 3; 20],
                    answer: 1.into(),
                    id: 1.into(),
                });
                let offers = usize::from(how >> 2 & 3);
                let most = offers + usize::from(answer.is_some());
                let announce = Announce {
                    info_hash,
                    peer_id: [(who >> 4) & 3; 20],
                    is_seed: what & 16 != 0,
                    left: None,
                    transferred: None,
                    event,
                    offers: std::iter::repeat_with(offer).take(offers).collect(),
                    answer,
                };
                if let Ok((_, deliveries)) = rooms.announce(&mut seats[at], announce) {
                    assert!(deliveries.len() <= most, "letters that nobody wrote");
                }
            }
        }
        rooms.lock().audit(&seats);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::limits::{MAX_SIGNAL_PLACES, MAX_SIGNAL_PLACES_OF_SOURCE};

    fn seat(last: u8) -> (Seat, Receiver<Letter>) {
        let (letters, mailbox) = channel(10);
        (Seat::new(letters, [192, 0, 2, last].into()), mailbox)
    }

    fn announce(id: u8, left: u64, event: Event, offers: usize) -> Announce {
        let offer = |n: usize| super::super::message::Offer {
            offer: n.into(),
            id: n.into(),
        };
        Announce {
            info_hash: [1; 20].into(),
            peer_id: [id; 20],
            is_seed: left == 0,
            left: Some(left),
            transferred: None,
            event,
            offers: (0..offers).map(offer).collect(),
            answer: None,
        }
    }

    #[test]
    fn offers_go_to_different_others_and_seeds_get_none_of_seeds() {
        let rooms = Rooms::default();
        let mut seats: Vec<_> = (0..40).map(seat).collect();
        for (at, (seat, _)) in seats.iter_mut().enumerate() {
            let at = u8::try_from(at).unwrap();
            rooms
                .announce(seat, announce(at, u64::from(at % 2), Event::Update, 0))
                .unwrap();
        }
        for offers in [5, 10] {
            let (counts, deliveries) = rooms
                .announce(&mut seats[0].0, announce(0, 0, Event::Update, offers))
                .unwrap();
            assert_eq!((counts.complete, counts.incomplete), (20, 20));
            assert!(deliveries.len() >= offers - 1, "{}", deliveries.len());
            for Delivery { to, letter, .. } in deliveries {
                let memory = Budget::new(usize::MAX);
                to.try_send(Letter::new(letter, &memory)).unwrap();
            }
            for (at, (_, mailbox)) in seats.iter_mut().enumerate() {
                let letters = std::iter::from_fn(|| mailbox.try_recv().ok()).count();
                assert!(letters <= at % 2, "peer {at} has {letters}");
            }
        }
    }

    #[test]
    fn an_id_belongs_to_its_connection_and_goes_with_it() {
        let rooms = Rooms::default();
        let ((mut first, _a), (mut other, _b), (mut again, _c)) = (seat(1), seat(2), seat(1));
        rooms
            .announce(&mut first, announce(7, 1, Event::Update, 0))
            .unwrap();
        assert!(
            rooms
                .announce(&mut other, announce(7, 1, Event::Update, 0))
                .is_err()
        );
        // What a stranger says of leaving is not believed either.
        rooms
            .announce(&mut other, announce(7, 1, Event::Stopped, 0))
            .unwrap();
        assert_eq!(rooms.totals(), (1, 1));
        rooms
            .announce(&mut again, announce(7, 0, Event::Completed, 0))
            .unwrap();
        rooms.leave_all(&first);
        assert_eq!(rooms.totals(), (1, 1), "it is the new connection's by now");
        assert_eq!(rooms.counts(&[1; 20].into()).downloaded, 1);
        rooms.leave_all(&again);
        assert_eq!(rooms.totals(), (0, 0));
    }

    #[test]
    fn one_connection_is_in_so_many_torrents_and_no_more() {
        let rooms = Rooms::default();
        let (mut seat, _mailbox) = seat(1);
        for n in 0..=MAX_SIGNAL_TORRENTS {
            let mut hash = [0; 20];
            hash[..8].copy_from_slice(&n.to_be_bytes());
            let mut announce = announce(1, 1, Event::Update, 0);
            announce.info_hash = hash.into();
            let entered = rooms.announce(&mut seat, announce).is_ok();
            assert_eq!(entered, n < MAX_SIGNAL_TORRENTS, "{n}");
        }
        assert_eq!(rooms.totals().0, MAX_SIGNAL_TORRENTS as u64);
    }

    #[test]
    fn a_newcomer_finds_a_place_among_sources_that_hold_them_all() {
        let rooms = Rooms::default();
        let mut next = 0_u64;
        let mut enter = |seat: &mut Seat| {
            let mut announce = announce(1, 1, Event::Update, 0);
            let mut hash = [0; 20];
            hash[..8].copy_from_slice(&next.to_be_bytes());
            announce.info_hash = hash.into();
            next += 1;
            rooms.announce(seat, announce).unwrap();
            hash
        };
        let count = MAX_SIGNAL_PLACES_OF_SOURCE.div_ceil(MAX_SIGNAL_TORRENTS) * 4;
        let sources = [1, 2, 3, 4].into_iter().cycle();
        let mut hoards: Vec<_> = sources.take(count).map(|last| seat(last).0).collect();
        for hoard in &mut hoards {
            for _ in 0..MAX_SIGNAL_TORRENTS {
                enter(hoard);
            }
        }
        assert_eq!(rooms.totals().1, MAX_SIGNAL_PLACES as u64);
        let (mut newcomer, _mailbox) = seat(5);
        let hash = enter(&mut newcomer);
        assert_eq!(rooms.totals().1, MAX_SIGNAL_PLACES as u64);
        assert_eq!(rooms.counts(&hash.into()).incomplete, 1);
        // Who has lost a place has it again after its next announce.
        let lost = |seat: &Seat| {
            let mut memberships = seat.memberships.keys();
            let has_left = |(hash, _): &&Membership| rooms.counts(hash).incomplete == 0;
            memberships.find(has_left).map(|(hash, _)| *hash)
        };
        let (seat, hash) = hoards
            .iter_mut()
            .find_map(|seat| lost(seat).map(|hash| (seat, hash)))
            .unwrap();
        let mut again = announce(1, 1, Event::Update, 0);
        again.info_hash = hash;
        rooms.announce(seat, again).unwrap();
        assert_eq!(rooms.counts(&hash).incomplete, 1);
        let closed = newcomer.memberships.keys().next().unwrap().0;
        rooms.close(&closed);
        assert_eq!(rooms.totals().1, MAX_SIGNAL_PLACES as u64 - 1);
        for seat in hoards.iter().chain([&newcomer]) {
            rooms.leave_all(seat);
        }
        assert_eq!(rooms.totals(), (0, 0));
    }
}
