//! What one user has transferred: the rules by which what peers say becomes a sum.
//!
//! Knows no keys, names, files or clocks: moments are seconds of the server's life.
//!
//! Peers say totals since they started, so only differences between two announces of the same peer
//! count. The same peer is the same torrent and the same announce `key` (BEP 7, BEP 15), or the
//! same peer id where it gives none: a client that announces over IPv4 and over IPv6, or moves to
//! another address, counts once. What the first announce says may have been counted already, before
//! a restart of ours, and so counts nothing. A total that goes back is a new start and counts
//! nothing. One that grows faster than any network is a lie or a mistake: it counts nothing, and
//! that it happened does.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bt_metainfo::InfoHash;

use crate::limits::{ACCOUNTED_SLACK, MAX_ACCOUNTED_PEERS, MAX_ACCOUNTED_RATE};
use crate::{AnnounceRequest, Event};

/// One user of a tracker with passkeys.
#[derive(Debug, Default)]
pub(in super::super) struct User {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) totals: Totals,
    pub(super) peers: HashMap<PeerKey, Said>,
}

/// Sums over everything that a user's peers have said. None of them ever goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
    pub(super) announces: u64,
    /// Announces whose totals could not be true.
    pub(super) impossible: u64,
    /// Announces of peers that were one too many to be followed.
    pub(super) unaccounted: u64,
    /// When the last one came, in seconds of the server's life; before it for what an earlier one
    /// has left.
    pub(super) last: Option<i64>,
}

/// Which peer of a user it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PeerKey {
    pub(super) info_hash: InfoHash,
    /// The announce `key`, or a part of the peer id with the highest bit set.
    pub(super) identity: u64,
}

/// What a peer said last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) uploaded: u64,
    pub(super) downloaded: u64,
    pub(super) left: u64,
    pub(super) at: i64,
    /// Where it is, in each family; port 0 means nowhere.
    pub(super) v4: (Ipv4Addr, u16),
    pub(super) v6: (Ipv6Addr, u16),
}

/// Sums over the peers that a user has now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Present {
    pub(super) left: u64,
    pub(super) seeding: u64,
    pub(super) leeching: u64,
}

/// What the difference of two totals means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    By(u64),
    Impossible,
}

impl User {
    /// Takes in what a peer says. Returns where the torrent must not know it any more: where it was
    /// before, or where it is now when it is one too many to be followed. Whoever stays in a torrent
    /// has to be found when the user must go.
    pub(in super::super) fn account(
        &self,
        at: i64,
        request: &AnnounceRequest,
        peer: SocketAddr,
    ) -> Option<SocketAddr> {
        let key = PeerKey {
            info_hash: request.info_hash,
            identity: identity(request),
        };
        let mut book = self.book();
        let Book { totals, peers } = &mut *book;
        totals.announces += 1;
        totals.last = Some(at);
        let before = peers.get(&key).copied();
        if let Some(before) = before {
            let elapsed = at.saturating_sub(before.at);
            let up = growth(before.uploaded, request.uploaded, elapsed);
            let down = growth(before.downloaded, request.downloaded, elapsed);
            match (up, down) {
                (Growth::By(up), Growth::By(down)) => {
                    totals.uploaded = totals.uploaded.saturating_add(up);
                    totals.downloaded = totals.downloaded.saturating_add(down);
                }
                _ => totals.impossible += 1,
            }
        }
        if request.event == Event::Stopped {
            let said = peers.get_mut(&key)?;
            // It may stop over the other family as well, and must not be counted again for that.
            said.uploaded = request.uploaded;
            said.downloaded = request.downloaded;
            said.at = at;
            let gone = match peer.port() {
                0 => None,
                _ => said.move_to(nowhere(peer)),
            };
            // Over the other family it takes its leave by itself.
            if said.v4.1 == 0 && said.v6.1 == 0 {
                peers.remove(&key);
            }
            return gone.filter(|gone| *gone != peer);
        }
        if before.is_none() && peers.len() >= MAX_ACCOUNTED_PEERS {
            totals.unaccounted += 1;
            return Some(peer).filter(|peer| peer.port() != 0);
        }
        let mut said = before.unwrap_or_else(Said::nowhere);
        said.uploaded = request.uploaded;
        said.downloaded = request.downloaded;
        said.left = request.left;
        said.at = at;
        // A browser is nowhere, and says nothing of where its owner's other client is.
        let gone = if peer.port() == 0 {
            None
        } else {
            said.move_to(peer)
        };
        peers.insert(key, said);
        gone
    }

    /// Forgets peers that have said nothing since this moment.
    pub(in super::super) fn expire(&self, since: i64) {
        let mut book = self.book();
        book.peers.retain(|_, said| said.at >= since);
        if book.peers.len() * 4 < book.peers.capacity() {
            book.peers.shrink_to_fit();
        }
    }

    /// Forgets all peers. Returns where they are in which torrent.
    pub(in super::super) fn dismiss(&self) -> Vec<(InfoHash, SocketAddr)> {
        let peers = std::mem::take(&mut self.book().peers);
        let places = peers.into_iter().flat_map(|(key, said)| {
            let places = [SocketAddr::from(said.v4), SocketAddr::from(said.v6)];
            places.map(|place| (key.info_hash, place))
        });
        places.filter(|(_, place)| place.port() != 0).collect()
    }

    pub(super) fn totals(&self) -> Totals {
        self.book().totals
    }

    pub(super) fn present(&self) -> Present {
        let mut present = Present::default();
        for said in self.book().peers.values() {
            match said.left {
                0 => present.seeding += 1,
                // It did not say.
                u64::MAX => present.leeching += 1,
                left => {
                    present.leeching += 1;
                    present.left = present.left.saturating_add(left);
                }
            }
        }
        present
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    pub(super) fn nowhere() -> Self {
        Self {
            uploaded: 0,
            downloaded: 0,
            left: 0,
            at: 0,
            v4: (Ipv4Addr::UNSPECIFIED, 0),
            v6: (Ipv6Addr::UNSPECIFIED, 0),
        }
    }

    /// Notes where it is in one family. Returns where it was, if that is another place.
    fn move_to(&mut self, place: SocketAddr) -> Option<SocketAddr> {
        let before = match place {
            SocketAddr::V4(at) => std::mem::replace(&mut self.v4, (*at.ip(), at.port())).into(),
            SocketAddr::V6(at) => std::mem::replace(&mut self.v6, (*at.ip(), at.port())).into(),
        };
        Some(before).filter(|before: &SocketAddr| before.port() != 0 && *before != place)
    }
}

/// Port 0 in the family of a place.
fn nowhere(place: SocketAddr) -> SocketAddr {
    SocketAddr::new(place.ip(), 0)
}

fn growth(before: u64, after: u64, elapsed: i64) -> Growth {
    let grown = after.saturating_sub(before);
    let seconds = u64::try_from(elapsed).unwrap_or(0);
    let most = seconds
        .saturating_add(ACCOUNTED_SLACK.as_secs())
        .saturating_mul(MAX_ACCOUNTED_RATE);
    if grown > most {
        Growth::Impossible
    } else {
        Growth::By(grown)
    }
}

fn identity(request: &AnnounceRequest) -> u64 {
    if request.key != 0 {
        return request.key.into();
    }
    // The part of an id that clients choose at random.
    let [.., a, b, c, d, e, f, g, h] = *request.peer_id.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) | 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: u32, uploaded: u64, downloaded: u64) -> AnnounceRequest {
        let mut request = AnnounceRequest::new([1; 20].into(), [2; 20].into(), 7000);
        (request.key, request.uploaded, request.downloaded) = (key, uploaded, downloaded);
        request.left = 10;
        request
    }

    fn v4() -> SocketAddr {
        "192.0.2.1:7000".parse().unwrap()
    }

    fn v6() -> SocketAddr {
        "[2001:db8::1]:7000".parse().unwrap()
    }

    fn sums(user: &User) -> (u64, u64, u64) {
        let totals = user.totals();
        (totals.uploaded, totals.downloaded, totals.impossible)
    }

    #[test]
    fn only_differences_of_one_peer_count_and_two_families_count_once() {
        let user = User::default();
        user.account(0, &request(7, 500, 50), v4());
        assert_eq!(sums(&user), (0, 0, 0), "it may have been counted already");
        user.account(1, &request(7, 600, 90), v4());
        user.account(1, &request(7, 600, 90), v6());
        assert_eq!(sums(&user), (100, 40, 0));
        // Another key and another torrent are other peers.
        user.account(2, &request(8, 9000, 0), v4());
        let mut elsewhere = request(7, 9000, 0);
        elsewhere.info_hash = [9; 20].into();
        user.account(2, &elsewhere, v4());
        assert_eq!(sums(&user), (100, 40, 0));
        // Without a key it is the peer id that tells.
        user.account(3, &request(0, 10, 0), v4());
        user.account(4, &request(0, 15, 0), v6());
        assert_eq!(sums(&user), (105, 40, 0));
        assert_eq!(user.present().left, 40);
    }

    #[test]
    fn a_restart_counts_nothing_twice_and_nothing_back() {
        let user = User::default();
        user.account(0, &request(7, 0, 0), v4());
        user.account(10, &request(7, 1000, 0), v4());
        let mut restarted = request(7, 0, 0);
        restarted.event = Event::Started;
        user.account(20, &restarted, v4());
        user.account(30, &request(7, 400, 0), v4());
        assert_eq!(sums(&user), (1400, 0, 0));
        let mut stopped = request(7, 450, 0);
        stopped.event = Event::Stopped;
        user.account(40, &stopped, v4());
        user.account(40, &stopped, v6());
        assert_eq!(
            sums(&user),
            (1450, 0, 0),
            "the second goodbye is the same one"
        );
        assert_eq!(user.present(), Present::default());
    }

    #[test]
    fn goodbyes_over_both_families_count_once_however_often_they_come() {
        let user = User::default();
        user.account(0, &request(7, 0, 0), v4());
        user.account(0, &request(7, 0, 0), v6());
        let mut stopped = request(7, 500, 30);
        stopped.event = Event::Stopped;
        for second in 10..20 {
            user.account(second, &stopped, v4());
        }
        user.account(20, &stopped, v6());
        assert_eq!(sums(&user), (500, 30, 0));
        assert_eq!(user.present(), Present::default());
    }

    #[test]
    fn no_place_of_a_user_is_forgotten_while_peers_are_told_of_it() {
        let user = User::default();
        let moved: SocketAddr = "192.0.2.9:7001".parse().unwrap();
        let browser: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let mut stopped = request(7, 0, 0);
        stopped.event = Event::Stopped;
        assert_eq!(user.account(0, &request(7, 0, 0), v4()), None);
        assert_eq!(user.account(0, &request(7, 0, 0), v4()), None);
        assert_eq!(user.account(0, &request(7, 0, 0), v6()), None);
        assert_eq!(user.account(1, &request(7, 0, 0), browser), None);
        assert_eq!(user.account(1, &request(7, 0, 0), moved), Some(v4()));
        // It says goodbye from where it is, from elsewhere, and over one family alone.
        assert_eq!(user.account(2, &stopped, v4()), Some(moved));
        assert_eq!(user.account(2, &request(7, 0, 0), moved), None);
        assert_eq!(user.account(2, &stopped, moved), None);
        assert_eq!(user.dismiss(), [([1; 20].into(), v6())]);
        assert_eq!(user.account(3, &stopped, v6()), None);
    }

    #[test]
    fn what_no_network_carries_is_not_counted_but_noted() {
        let most = |elapsed: u64| (elapsed + ACCOUNTED_SLACK.as_secs()) * MAX_ACCOUNTED_RATE;
        for (said, counted, impossible) in [
            (most(100), most(100), 0),
            (most(100) + 1, 0, 1),
            (u64::MAX, 0, 1),
        ] {
            let user = User::default();
            user.account(0, &request(7, 0, 0), v4());
            user.account(100, &request(7, said, 0), v4());
            assert_eq!(sums(&user), (counted, 0, impossible), "{said}");
            // What it says from there on counts again.
            user.account(200, &request(7, said.saturating_add(5), 0), v4());
            let more = said.saturating_add(5) - said;
            assert_eq!(sums(&user), (counted + more, 0, impossible));
        }
        // A clock that went back gives the slack and no more.
        let user = User::default();
        user.account(50, &request(7, 0, 0), v4());
        user.account(0, &request(7, most(0), 0), v4());
        assert_eq!(sums(&user), (most(0), 0, 0));
        // Sums end where numbers do.
        user.book().totals.uploaded = u64::MAX - 1;
        user.account(1, &request(7, most(0) + 100, 0), v4());
        assert_eq!(user.totals().uploaded, u64::MAX);
    }

    #[test]
    fn peers_of_a_user_are_limited_and_silent_ones_forgotten() {
        let user = User::default();
        let most = u32::try_from(MAX_ACCOUNTED_PEERS).unwrap();
        for key in 1..=most + 1 {
            let gone = user.account(i64::from(key), &request(key, 0, 0), v4());
            let is_followed = key <= most;
            assert_eq!(gone, (!is_followed).then(v4));
        }
        assert_eq!(user.totals().unaccounted, 1);
        assert_eq!(user.book().peers.len(), MAX_ACCOUNTED_PEERS);
        // Those that are followed still are.
        user.account(i64::from(most), &request(1, 5, 0), v4());
        assert_eq!(sums(&user), (5, 0, 0));
        user.expire(i64::from(most));
        assert_eq!(user.book().peers.len(), 2);
        assert_eq!(user.dismiss().len(), 2);
        assert!(user.book().peers.is_empty());
    }
}
