//! Connection ids that need no memory: a keyed hash of the address and the time (BEP 15, "UDP
//! connections / spoofing").
//!
//! Pure: the moment comes in. An id is the number of its one-minute window modulo 256, then 56
//! bits of SipHash-2-4 over the address and the whole number of the window. It is honored in its
//! own window and the two after it, so for two to three minutes; BEP 15 asks for two. It is also
//! honored in the window before its own: another server may have given it. Checking costs one hash,
//! whether the id is right or not.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher24;

/// How long ids that are given now share their time.
const WINDOW: Duration = Duration::from_secs(60);

/// How many windows back ids are honored.
const WINDOWS_HONORED: u64 = 2;

/// The age of an id of the next window.
const AHEAD: u64 = 0xff;

const MAC_MASK: u64 = (1 << 56) - 1;

#[derive(Clone, Debug)]
pub(super) struct ConnectionIds {
    hasher: SipHasher24,
    epoch: Instant,
    /// What the clock of all servers with this key showed at `epoch`.
    clock: Duration,
}

/// The window that a moment is in; the same for a whole batch of packets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window(u64);

impl ConnectionIds {
    /// All workers of a server share the key and the epoch, since the kernel may hand packets of
    /// one peer to different ones. Servers that share the key have a `clock` in common: what it
    /// shows at `epoch`.
    pub(super) fn new(key: &[u8; 16], epoch: Instant, clock: Duration) -> Self {
        Self {
            hasher: SipHasher24::new_with_key(key),
            epoch,
            clock,
        }
    }

    pub(super) fn window(&self, now: Instant) -> Window {
        // The first window has a number that leaves room for the two before it.
        let shown = self.clock + now.saturating_duration_since(self.epoch);
        let elapsed = shown.as_secs() / WINDOW.as_secs();
        Window(elapsed + WINDOWS_HONORED)
    }

    pub(super) fn give(&self, ip: IpAddr, Window(window): Window) -> u64 {
        (window & 0xff) << 56 | self.mac(ip, window)
    }

    pub(super) fn proves(&self, id: u64, ip: IpAddr, Window(now): Window) -> bool {
        let age = (now & 0xff).wrapping_sub(id >> 56) & 0xff;
        // Another server with this key may have a clock that is a little ahead.
        let window = if age == AHEAD {
            now.wrapping_add(1)
        } else {
            now.wrapping_sub(age)
        };
        // The hash is computed even for ids that are too old, so that time tells nothing.
        let mac = self.mac(ip, window);
        ((age <= WINDOWS_HONORED) | (age == AHEAD)) & (mac == id & MAC_MASK)
    }

    fn mac(&self, ip: IpAddr, window: u64) -> u64 {
        let mut input = [0; 24];
        let octets = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        input[..16].copy_from_slice(&octets);
        input[16..].copy_from_slice(&window.to_le_bytes());
        self.hasher.hash(&input) & MAC_MASK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> ConnectionIds {
        ConnectionIds::new(&[9; 16], Instant::now(), Duration::ZERO)
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn an_id_holds_for_two_minutes_and_not_for_four() {
        let ids = ids();
        for start in [
            0_u64,
            30,
            59,
            60,
            14_000,
            60 * 255 + 59,
            60 * 256,
            60 * 65_536 + 1,
        ] {
            let at = |seconds: u64| ids.window(ids.epoch + Duration::from_secs(start + seconds));
            let id = ids.give(ip(1), at(0));
            for seconds in [0, 1, 60, 119, 120] {
                assert!(ids.proves(id, ip(1), at(seconds)), "{start} + {seconds} s");
            }
            for seconds in [180, 240, 3600, 60 * 256] {
                assert!(!ids.proves(id, ip(1), at(seconds)), "{start} + {seconds} s");
            }
        }
    }

    #[test]
    fn an_id_proves_one_address_only_and_comes_from_one_key_only() {
        let ids = ids();
        let now = ids.window(ids.epoch);
        let id = ids.give(ip(1), now);
        assert!(!ids.proves(id, ip(2), now));
        assert!(!ids.proves(id ^ 1, ip(1), now));
        assert!(!ids.proves(id ^ (1 << 60), ip(1), now));
        assert!(!ids.proves(0, ip(1), now) && !ids.proves(u64::MAX, ip(1), now));
        let others = ConnectionIds::new(&[8; 16], ids.epoch, ids.clock);
        assert!(!others.proves(id, ip(1), now));
        assert!((0..=255_u64).all(|age| !ids.proves(age << 56, ip(3), now)));
    }

    #[test]
    fn servers_with_one_key_and_about_one_clock_honor_each_others_ids() {
        let epoch = Instant::now();
        let clock = Duration::from_secs(1_790_000_030);
        let server =
            |ahead: u64| ConnectionIds::new(&[9; 16], epoch, clock + Duration::from_secs(ahead));
        let (one, other) = (server(0), server(40));
        let give = |server: &ConnectionIds| server.give(ip(1), server.window(epoch));
        assert!(other.proves(give(&one), ip(1), other.window(epoch)));
        assert!(one.proves(give(&other), ip(1), one.window(epoch)));
        // As after a restart.
        let later = epoch + Duration::from_secs(60);
        assert!(server(60).proves(give(&one), ip(1), server(60).window(epoch)));
        assert!(one.proves(give(&server(60)), ip(1), one.window(later)));
        let hour = server(3600);
        assert!(!one.proves(give(&hour), ip(1), one.window(epoch)));
        assert!(!hour.proves(give(&one), ip(1), hour.window(epoch)));
    }
}
