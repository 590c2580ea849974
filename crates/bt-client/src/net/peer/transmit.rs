//! Bytes out: messages first, then blocks, straight from the page cache.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bt_metainfo::BlockRef;
use bt_wire::{PIECE_HEADER_LEN, Transmit};
use bytes::Bytes;

use super::Guest;
use super::link::Ended;
use crate::disk::{Region, Warmth};

/// Payload that one turn of a peer may send before others get theirs.
const TURN: u64 = 1024 * 1024;

/// Why nothing more is written now.
#[derive(Debug)]
pub(super) enum Blocked {
    /// There is nothing to write.
    Idle,
    /// The kernel's buffer is full.
    Full,
    /// The next block is being fetched from the disk; the mailbox wakes us.
    Cold,
    /// The rate limit holds us back until then.
    Limited(Instant),
    /// The turn is over; there is more.
    Turn,
}

impl Blocked {
    /// When to try again without any other reason.
    pub(super) fn until(&self, now: Instant) -> Instant {
        match self {
            Self::Limited(until) => *until,
            Self::Turn => now,
            Self::Idle | Self::Full | Self::Cold => now + Duration::from_secs(3600),
        }
    }
}

/// What is on its way out.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    current: Option<Part>,
}

#[derive(Debug)]
enum Part {
    Control(Bytes),
    /// A block whose pages are being fetched; the disk leaves them in the cell and wakes us.
    Fetching {
        header: [u8; PIECE_HEADER_LEN],
        fetched: Arc<Mutex<Option<Vec<Region>>>>,
    },
    Block {
        header: Bytes,
        regions: Vec<Region>,
    },
}

impl Guest {
    /// Writes until there is nothing to write or something holds us back.
    pub(super) fn transmit(&mut self) -> Result<Blocked, Ended> {
        let mut sent = 0;
        let result = self.write_parts(&mut sent);
        if sent > 0 {
            self.tools.limits.sent((self.tools.now)(), sent);
            self.host.uploaded(self.key, sent);
        }
        result
    }

    fn write_parts(&mut self, sent: &mut u64) -> Result<Blocked, Ended> {
        loop {
            if self.link.outgoing.current.is_none() && !self.next_part()? {
                return Ok(Blocked::Idle);
            }
            if *sent >= self.tools.limits.up_turn(TURN) {
                return Ok(Blocked::Turn);
            }
            if matches!(
                self.link.outgoing.current,
                Some(Part::Block { .. } | Part::Fetching { .. })
            ) && let Some(wait) = self.tools.limits.up_wait((self.tools.now)())
            {
                return Ok(Blocked::Limited((self.tools.now)() + wait));
            }
            match self.write_part(sent) {
                Ok(None) => {}
                Ok(Some(blocked)) => return Ok(blocked),
                Err(Ended::Socket(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Blocked::Full);
                }
                Err(Ended::Socket(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(ended) => return Err(ended),
            }
        }
    }

    fn next_part(&mut self) -> Result<bool, Ended> {
        self.link.outgoing.current = match self.link.connection.poll_transmit() {
            None => return Ok(false),
            Some(Transmit::Control(bytes)) => Some(Part::Control(bytes)),
            Some(Transmit::Block { header, block }) => Some(self.locate(header, block)),
        };
        Ok(true)
    }

    /// Finds where the bytes of a block are; if they are not in memory, has them fetched without waiting.
    fn locate(&self, header: [u8; PIECE_HEADER_LEN], block: BlockRef) -> Part {
        match self.host.content().locate(block) {
            Warmth::Warm(regions) => Part::Block {
                header: Bytes::copy_from_slice(&header),
                regions,
            },
            Warmth::Cold => {
                let (host, mailbox) = (Arc::clone(&self.host), Arc::clone(&self.mailbox));
                let fetched = Arc::new(Mutex::new(None));
                let cell = Arc::clone(&fetched);
                self.host.content().warm(block, move |result| match result {
                    Ok(regions) => {
                        *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(regions);
                        mailbox.wake();
                    }
                    Err(error) => host.content_failed(error),
                });
                Part::Fetching { header, fetched }
            }
        }
    }

    /// Writes some of the current part.
    fn write_part(&mut self, sent: &mut u64) -> Result<Option<Blocked>, Ended> {
        let link = &mut self.link;
        match &mut link.outgoing.current {
            None => {}
            Some(Part::Control(bytes)) => {
                let written = link.stream.try_write(bytes, false)?;
                let _ = bytes.split_to(written);
                if bytes.is_empty() {
                    link.outgoing.current = None;
                }
            }
            Some(Part::Fetching { header, fetched }) => {
                let regions = fetched
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                let Some(regions) = regions else {
                    return Ok(Some(Blocked::Cold));
                };
                let header = Bytes::copy_from_slice(header);
                link.outgoing.current = Some(Part::Block { header, regions });
            }
            Some(Part::Block { header, regions }) => {
                while !header.is_empty() {
                    let written = link.stream.try_write(header, true)?;
                    let _ = header.split_to(written);
                }
                while let Some(region) = regions.first_mut() {
                    let written = link.stream.try_send_file(region)?;
                    if written == 0 {
                        // The file became shorter than what we promised of it.
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    *sent += written as u64;
                    region.offset += written as u64;
                    region.length -= written.min(region.length);
                    if region.length == 0 {
                        regions.remove(0);
                    }
                }
                link.outgoing.current = None;
            }
        }
        Ok(None)
    }
}
