//! What the limits of a session leave for each of its torrents.
//!
//! It must not know how a torrent uses its share.

use std::sync::Arc;

use super::session::Inner;
use crate::engine::Input;
use crate::limits::CHOKE_ROUND;

/// Tells the torrents as often as they choose whom to serve. It runs only in sessions that have a limit, since it looks at
/// all torrents.
pub(super) async fn run(inner: Arc<Inner>) {
    loop {
        tokio::time::sleep(CHOKE_ROUND).await;
        let members: Vec<_> = inner.members().values().cloned().collect();
        let (mut uploading, mut downloading) = (0, 0);
        let mut in_use = Vec::new();
        for member in members {
            let (up, down) = member.engine().directions();
            uploading += usize::from(up);
            downloading += usize::from(down);
            if up || down {
                in_use.push(member);
            }
        }
        let upload_slots = inner.config.slots(uploading);
        let down_rate = inner.config.down_rate_of_each(downloading);
        for member in in_use {
            member.handle(Input::Limits {
                upload_slots,
                down_rate,
            });
        }
    }
}
