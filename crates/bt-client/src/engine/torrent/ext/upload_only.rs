//! A side wants nothing from anybody (BEP 21, `upload_only`): a seed, or one of a part of the files.

use std::time::Instant;

use bt_wire::ext::{Message, UploadOnly};

use crate::engine::torrent::Torrent;
use crate::engine::{Output, Outputs, PeerKey};

impl Torrent {
    /// Two sides that want nothing have nothing to say to each other.
    pub(super) fn peer_uploads_only(
        &mut self,
        now: Instant,
        key: PeerKey,
        only: bool,
        out: &mut Outputs,
    ) {
        if let Some(peer) = self.peers.get_mut(&key) {
            peer.upload_only = only;
            self.dismiss_fellow_seed(now, key, out);
        }
    }

    /// Whether we want nothing, which the extension handshake says. An initial seeder does not show that it is a seed.
    #[must_use]
    pub fn is_upload_only(&self) -> bool {
        self.checked && self.is_complete() && self.spread.is_none()
    }

    /// Tells everybody when that has changed since it was last told.
    pub(in crate::engine::torrent) fn tell_upload_only(&mut self, out: &mut Outputs) {
        let only = self.is_upload_only();
        if self.told_upload_only == only {
            return;
        }
        self.told_upload_only = only;
        for &key in self.peers.keys() {
            out.push(Output::Extend(key, Message::UploadOnly(UploadOnly(only))));
        }
    }
}
