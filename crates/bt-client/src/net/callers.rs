//! How many callers may be between their connection and their handshake, in all and from one address.
//!
//! It must not know sockets or torrents.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::{MAX_PENDING_INCOMING, MAX_PENDING_PER_HOST};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Callers {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    all: usize,
    by_host: HashMap<IpAddr, usize>,
}

/// A caller that was let in; it makes room when it is dropped.
#[derive(Debug)]
pub(crate) struct Caller {
    callers: Arc<Callers>,
    host: IpAddr,
}

impl Callers {
    /// Lets a caller from `ip` in, if there is room for it.
    pub(crate) fn enter(self: &Arc<Self>, ip: IpAddr) -> Option<Caller> {
        let host = host(ip);
        let mut pending = self.pending();
        let here = pending.by_host.get(&host).copied().unwrap_or(0);
        if pending.all >= MAX_PENDING_INCOMING || here >= MAX_PENDING_PER_HOST {
            return None;
        }
        pending.all += 1;
        pending.by_host.insert(host, here + 1);
        let callers = Arc::clone(self);
        Some(Caller { callers, host })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut pending = self.callers.pending();
        pending.all -= 1;
        if let Some(here) = pending.by_host.get_mut(&self.host) {
            *here -= 1;
            if *here == 0 {
                pending.by_host.remove(&self.host);
            }
        }
    }
}

/// Of IPv6 one line has a whole network of 64 bits.
fn host(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::Callers;
    use crate::limits::{MAX_PENDING_INCOMING, MAX_PENDING_PER_HOST};

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_host_leaves_room_for_others_and_gets_its_own_back() {
        let callers = Arc::new(Callers::default());
        // Two addresses of one line.
        let pair = [ip("2001:db8::1"), ip("2001:db8::ffff:2")];
        let mut inside: Vec<_> = (0..MAX_PENDING_PER_HOST)
            .map(|n| callers.enter(pair[n % 2]).unwrap())
            .collect();
        assert!(callers.enter(pair[0]).is_none() && callers.enter(pair[1]).is_none());
        assert!(callers.enter(ip("2001:db8:0:1::1")).is_some());
        inside.pop();
        inside.push(callers.enter(pair[0]).unwrap());
        drop(inside);
        let pending = callers.pending();
        assert!(
            pending.all == 0 && pending.by_host.is_empty(),
            "{pending:?}"
        );
    }

    #[test]
    fn there_is_a_bound_on_all_of_them() {
        let callers = Arc::new(Callers::default());
        let from = |n: usize| {
            let n = u16::try_from(n / MAX_PENDING_PER_HOST)
                .unwrap()
                .to_be_bytes();
            IpAddr::from([10, 0, n[0], n[1]])
        };
        let mut inside: Vec<_> = (0..MAX_PENDING_INCOMING)
            .map(|n| callers.enter(from(n)).unwrap())
            .collect();
        assert!(callers.enter(from(MAX_PENDING_INCOMING)).is_none());
        inside.pop();
        assert!(callers.enter(from(MAX_PENDING_INCOMING)).is_some());
    }
}
