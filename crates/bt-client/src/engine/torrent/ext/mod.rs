//! What messages of the extension protocol (BEP 10) mean for a torrent: one file for each, one arm of the table here.
//!
//! Bytes and numbers are the business of bt-wire. It must not know sockets.

mod donthave;
mod upload_only;

use std::time::Instant;

use bt_wire::ext::{DontHave, Message, UploadOnly};

use super::Torrent;
use crate::engine::{Outputs, PeerKey};

impl Torrent {
    pub(super) fn extension(
        &mut self,
        now: Instant,
        key: PeerKey,
        message: &Message,
        out: &mut Outputs,
    ) {
        match *message {
            Message::DontHave(DontHave(piece)) => self.peer_lost(now, key, piece, out),
            Message::UploadOnly(UploadOnly(only)) => self.peer_uploads_only(now, key, only, out),
        }
    }
}
