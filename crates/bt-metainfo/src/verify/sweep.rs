//! Reads pieces from disk and hashes them on all cores, in bounded memory.
//!
//! Every thread takes the next few pieces, as many as it has lanes, reads a segment of each and
//! hashes the segments side by side, until the pieces end; then it takes the next few. So the disk
//! is read nearly in order, a piece of any length costs one segment of memory, and what has been
//! read is still in the cache of the core when it is hashed.
//!
//! It must not know what the digests are compared with or written to.

use std::num::{NonZeroU64, NonZeroUsize};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::content::{Content, Fault, Handles};
use crate::lanes::{MAX_LANES, Sha1Lanes};
use crate::{FileIndex, Layout, PieceHash, PieceIndex};

/// Bytes of each piece that are read and hashed in one go: a lane's share of a thread's buffer.
///
/// Eight of them fit in the second-level cache of current cores together, and reading one costs a
/// hundred times as much as the system call for it.
pub(crate) const SEGMENT: usize = 64 * 1024;

/// Threads of one sweep at most, however many cores there are: disks and memory are slower than
/// these.
pub(crate) const MAX_THREADS: usize = 32;

/// Bytes of file content that creating or checking a torrent holds in memory at most: 16 MiB, and
/// half a mebibyte for each thread, whatever the piece length and the number of files.
pub const MAX_BUFFERS: usize = MAX_THREADS * MAX_LANES * SEGMENT;

const _: () = assert!(MAX_BUFFERS == 16 << 20, "the documentation says 16 MiB");

/// Bytes of each piece that the system is asked to read ahead of the segments.
const READ_AHEAD: u32 = 1 << 20;

/// Bytes of a run in one file that are worth asking for ahead: opening small files twice costs more
/// than it saves.
const SMALLEST_AHEAD: u64 = 256 << 10;

/// Bytes a thread reads before it says so.
const REPORT_EVERY: u64 = 4 << 20;

/// Reports that wait for a slow receiver before the threads wait as well.
const MAX_REPORTS: usize = 64;

/// What a sweep reads.
pub(crate) struct Sweep<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) content: &'a Content<'a>,
    /// The pieces in the order in which to read them.
    pub(crate) pieces: &'a [PieceIndex],
    /// `None`: as many as there are cores.
    pub(crate) threads: Option<NonZeroUsize>,
    /// Set from outside to stop.
    pub(crate) cancel: &'a AtomicBool,
}

/// What a sweep reports, in no particular order of pieces.
#[derive(Debug)]
pub(crate) enum Report {
    /// So many more bytes were read and hashed, or given up.
    Bytes(u64),
    /// A piece is through: its hash, or why there is none.
    Piece(PieceIndex, Result<PieceHash, Failure>),
}

/// Bytes that could not be read.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) file: FileIndex,
    pub(crate) fault: Fault,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every piece was reported.
    Done,
    /// The receiver had enough.
    Stopped,
    /// `cancel` was set.
    Canceled,
}

impl Sweep<'_> {
    /// Reads and hashes all pieces, and calls `receive` on this thread for each report.
    pub(crate) fn run(&self, mut receive: impl FnMut(Report) -> ControlFlow<()>) -> Ended {
        let threads = self.thread_count();
        let shared = Shared {
            sweep: self,
            threads,
            next: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            let (sender, reports) = sync_channel(MAX_REPORTS);
            for _ in 0..threads {
                let sender = sender.clone();
                let shared = &shared;
                scope.spawn(move || shared.work(&sender));
            }
            drop(sender);
            let mut missing = self.pieces.len();
            for report in reports {
                missing -= usize::from(matches!(report, Report::Piece(..)));
                if receive(report).is_break() {
                    shared.stop.store(true, Ordering::Relaxed);
                    return Ended::Stopped;
                }
            }
            if missing == 0 {
                Ended::Done
            } else {
                Ended::Canceled
            }
        })
    }

    fn thread_count(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = self.threads.map_or_else(cores, NonZeroUsize::get);
        wanted.min(MAX_THREADS).min(self.pieces.len())
    }
}

/// What the threads of a sweep have in common.
struct Shared<'a> {
    sweep: &'a Sweep<'a>,
    threads: usize,
    /// How many pieces have been taken.
    next: AtomicUsize,
    /// Whether the receiver has had enough.
    stop: AtomicBool,
}

impl<'a> Shared<'a> {
    /// Takes pieces until there are none, or until this is to stop.
    fn work(&self, reports: &SyncSender<Report>) {
        let mut thread = Worker {
            shared: self,
            reports,
            handles: Handles::new(self.sweep.content),
            buffer: vec![0; MAX_LANES * SEGMENT],
            unreported: 0,
        };
        while let Some(batch) = self.take() {
            if thread.hash(batch).is_break() {
                return;
            }
        }
    }

    /// The next pieces for one thread: as many as there are lanes, and fewer towards the end, so
    /// that all threads end together.
    fn take(&self) -> Option<&'a [PieceIndex]> {
        let pieces = self.sweep.pieces;
        let share = |taken: usize| (pieces.len() - taken).div_ceil(self.threads).min(MAX_LANES);
        let start = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
                (taken < pieces.len()).then(|| taken + share(taken))
            })
            .ok()?;
        pieces.get(start..start + share(start))
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.sweep.cancel.load(Ordering::Relaxed)
    }
}

/// One thread.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    reports: &'a SyncSender<Report>,
    handles: Handles<'a>,
    /// A segment for each lane.
    buffer: Vec<u8>,
    /// Bytes read since the last report.
    unreported: u64,
}

impl Worker<'_> {
    /// Hashes up to [`MAX_LANES`] pieces side by side and reports them.
    fn hash(&mut self, batch: &[PieceIndex]) -> ControlFlow<()> {
        let layout = self.shared.sweep.layout;
        let mut lanes = Sha1Lanes::new(batch.len());
        let mut failures: Vec<Option<Failure>> = batch.iter().map(|_| None).collect();
        let longest = batch
            .iter()
            .map(|&piece| layout.piece_size(piece))
            .max()
            .unwrap_or(0);
        let step = u32::try_from(SEGMENT).unwrap_or(u32::MAX);
        for begin in (0..longest).step_by(SEGMENT) {
            if self.shared.stopped() {
                return ControlFlow::Break(());
            }
            self.read_ahead(batch, begin);
            let mut parts: [&[u8]; MAX_LANES] = [&[]; MAX_LANES];
            let segments = self.buffer.chunks_exact_mut(SEGMENT);
            for (((&piece, failure), part), segment) in batch
                .iter()
                .zip(&mut failures)
                .zip(&mut parts)
                .zip(segments)
            {
                let length = layout.piece_size(piece).saturating_sub(begin).min(step);
                let length_here = usize::try_from(length).unwrap_or(0);
                self.unreported += u64::from(length);
                if failure.is_some() || length == 0 {
                    continue;
                }
                let start = layout.piece_offset(piece) + u64::from(begin);
                let segment = &mut segment[..length_here];
                match read(layout, &mut self.handles, start, segment) {
                    Ok(()) => *part = segment,
                    Err(error) => *failure = Some(error),
                }
            }
            lanes.update(&parts[..batch.len()]);
            if self.unreported >= REPORT_EVERY {
                self.report_bytes()?;
            }
        }
        self.report_bytes()?;
        for ((&piece, failure), hash) in batch.iter().zip(failures).zip(lanes.finish()) {
            self.send(Report::Piece(piece, failure.map_or(Ok(hash), Err)))?;
        }
        ControlFlow::Continue(())
    }

    /// Keeps the disk busy with what comes next while this thread hashes.
    fn read_ahead(&mut self, batch: &[PieceIndex], begin: u32) {
        if !begin.is_multiple_of(READ_AHEAD) {
            return;
        }
        let layout = self.shared.sweep.layout;
        // The first time this covers the segments about to be read as well, so that the disk gets
        // all of them at once.
        let (from, until) = if begin == 0 {
            (0, 2 * READ_AHEAD)
        } else {
            (begin + READ_AHEAD, begin + 2 * READ_AHEAD)
        };
        for &piece in batch {
            let until = until.min(layout.piece_size(piece));
            let start = layout.piece_offset(piece) + u64::from(from);
            for extent in layout.extents(start, u64::from(until.saturating_sub(from))) {
                if extent.length >= SMALLEST_AHEAD && !layout.is_pad(extent.file) {
                    self.handles.will_need(extent);
                }
            }
        }
    }

    fn report_bytes(&mut self) -> ControlFlow<()> {
        match NonZeroU64::new(std::mem::take(&mut self.unreported)) {
            Some(bytes) => self.send(Report::Bytes(bytes.get())),
            None => ControlFlow::Continue(()),
        }
    }

    /// Waits while the receiver is behind; breaks when it is gone.
    fn send(&self, report: Report) -> ControlFlow<()> {
        match self.reports.send(report) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

/// Fills `bytes` from `start` on; pad files are zeros that nobody stores (BEP 47).
fn read(
    layout: &Layout,
    handles: &mut Handles<'_>,
    start: u64,
    mut bytes: &mut [u8],
) -> Result<(), Failure> {
    for extent in layout.extents(start, bytes.len() as u64) {
        let length = usize::try_from(extent.length)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let (now, later) = std::mem::take(&mut bytes).split_at_mut(length);
        if layout.is_pad(extent.file) {
            now.fill(0);
        } else {
            handles.read(extent, now).map_err(|fault| Failure {
                file: extent.file,
                fault,
            })?;
        }
        bytes = later;
    }
    Ok(())
}
