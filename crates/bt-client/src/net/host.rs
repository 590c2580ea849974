//! What a connection needs of the one who owns it; the session provides it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bt_metainfo::InfoHash;
use bt_wire::{Config, Event};

use super::{Buffers, Dialer, Mailbox, Places, RateLimits};
use crate::contain::Bugs;
use crate::disk::{Budget, Content};
use crate::engine::{PeerInfo, PeerKey, Refusal};

/// One torrent, as its connections see it. No call blocks.
pub(crate) trait Host: Send + Sync {
    /// Who we are for this torrent.
    fn introduction(&self) -> Config;
    /// What we tell a peer about ourselves in the extension handshake (BEP 10).
    fn extension_handshake(&self, peer: SocketAddr) -> bt_wire::ext::Handshake;
    /// A handshake is done; orders for the newcomer are in `mailbox` when this returns.
    fn opened(&self, info: PeerInfo, mailbox: &Arc<Mailbox>) -> Result<PeerKey, Refusal>;
    /// What `read` bytes of a peer brought. What follows for itself is in its mailbox when this returns; it is not woken.
    fn received(&self, peer: PeerKey, read: usize, events: &mut Vec<Event>);
    /// Payload was handed to the kernel.
    fn uploaded(&self, peer: PeerKey, bytes: u64);
    /// The connection is gone.
    fn closed(&self, peer: PeerKey);
    /// The dial led nowhere.
    fn dial_failed(&self, addr: SocketAddr);
    /// The dial led to ourselves.
    fn dialed_ourselves(&self, addr: SocketAddr);
    /// There is no place in the session for one more peer of this torrent now; `addr` was dialed, or would have been.
    fn dial_put_off(&self, addr: SocketAddr);
    /// The same for a caller.
    fn crowded(&self);
    /// Whether the torrent has peers at all at the moment: it is neither paused, nor checked, nor removed.
    fn is_active(&self) -> bool;
    /// Whether the torrent lacks what peers may have.
    fn is_needy(&self) -> bool;
    /// Our own files failed while we served a block.
    fn content_failed(&self, error: crate::disk::DiskError);
    /// The torrent's files.
    fn content(&self) -> &Arc<Content>;
}

/// Where a caller finds the torrent it names.
pub(crate) trait Lobby: Send + Sync {
    /// The torrent of this info-hash, if it takes callers.
    fn host(&self, info_hash: InfoHash) -> Option<Arc<dyn Host>>;
}

/// What all connections of a session share.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) limits: Arc<RateLimits>,
    pub(crate) places: Arc<Places>,
    pub(crate) bugs: Arc<Bugs>,
    pub(crate) now: fn() -> Instant,
}
