//! How many places each host and each network has of those of one torrent.
//!
//! It must not know who is connected and who is only dialed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{host_of, is_private, network_of};
use crate::limits::{LEAST_OF_NETWORK, MAX_PEERS_PER_IP, MAX_PEERS_PER_PRIVATE_IP, NETWORK_SHARE};

/// See the module.
#[derive(Debug)]
pub(crate) struct Crowd {
    hosts: BTreeMap<IpAddr, usize>,
    networks: BTreeMap<IpAddr, usize>,
    /// What one public network may have.
    share: usize,
}

impl Crowd {
    /// Those who have places, of which there are `places`.
    pub(crate) fn new(there: impl Iterator<Item = IpAddr>, places: usize) -> Self {
        let mut crowd = Self {
            hosts: BTreeMap::new(),
            networks: BTreeMap::new(),
            share: (places / NETWORK_SHARE).max(LEAST_OF_NETWORK),
        };
        there.for_each(|ip| crowd.add(ip));
        crowd
    }

    /// The same as far as it concerns `ip`: of thousands the others need not be counted.
    pub(crate) fn around(ip: IpAddr, there: impl Iterator<Item = IpAddr>, places: usize) -> Self {
        let (host, network) = (host_of(ip), network_of(ip));
        let is_near = |other: &IpAddr| {
            host_of(*other) == host || (network.is_some() && network_of(*other) == network)
        };
        Self::new(there.filter(is_near), places)
    }

    pub(crate) fn add(&mut self, ip: IpAddr) {
        *self.hosts.entry(host_of(ip)).or_default() += 1;
        if let Some(network) = network_of(ip) {
            *self.networks.entry(network).or_default() += 1;
        }
    }

    /// Whether the host or the public network of `ip` has all the places that it may have.
    pub(crate) fn has_share(&self, ip: IpAddr) -> bool {
        let limit = if is_private(ip) {
            MAX_PEERS_PER_PRIVATE_IP
        } else {
            MAX_PEERS_PER_IP
        };
        let of_host = self.hosts.get(&host_of(ip)).copied().unwrap_or(0);
        let network = network_of(ip).and_then(|network| self.networks.get(&network));
        of_host >= limit || network.is_some_and(|count| *count >= self.share)
    }
}
