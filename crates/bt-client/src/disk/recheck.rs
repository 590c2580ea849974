//! Hashing some pieces of what is on the disk: those that nobody can vouch for after a crash.
//!
//! It must not know why they are in doubt.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bt_metainfo::{FileIndex, PieceIndex, lanes};
use rustix::fs::{Advice, SeekFrom, fadvise, seek};
use rustix::io::Errno;

use super::places::{PARTS, Places};
use super::{Content, DiskError, Fault};
use crate::contain::watched;
use crate::limits::LARGEST_PAGE;

/// Bytes that one thread reads before it hashes them together.
const TOGETHER: usize = 16 * 1024 * 1024;

impl Content {
    /// Whether all of the piece can have been written: the file system knows of no hole in it. A file system that knows
    /// no holes says so of everything. Part of it is not enough: its neighbors share blocks of the file system with it.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn may_hold(&self, piece: PieceIndex) -> Result<bool, DiskError> {
        let places = self.places();
        for run in places.piece_runs(piece) {
            let Some(file) = run.file else {
                continue;
            };
            let file = match self.open_at(&places, file, false) {
                Ok(file) => file,
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            match seek(&*file, SeekFrom::Hole(run.offset)) {
                Ok(hole) if hole >= run.offset + run.length as u64 => {}
                Ok(_) | Err(Errno::NXIO) => return Ok(false),
                // The file system does not know: then it may be.
                Err(_) => {}
            }
        }
        Ok(true)
    }

    /// Hashes these pieces on all cores and tells of each whether it is good; pieces that cannot be read whole are not.
    /// With `from_disk`, what memory holds of their files is written out and dropped first, so that it is the disk that
    /// is read. Blocks the thread. Ends early, without a word, when `cancel` is set. Gives what the device could not read
    /// of files that are there, once a file: such a piece is not good, and no reason not to look at the others.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn recheck(
        &self,
        pieces: &[PieceIndex],
        from_disk: bool,
        cancel: &AtomicBool,
        found: impl FnMut(PieceIndex, bool) + Send,
    ) -> Result<Vec<DiskError>, DiskError> {
        if from_disk {
            self.forget_pages(pieces)?;
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let largest = pieces.iter().map(|piece| self.layout().piece_size(*piece));
        let largest = largest.max().unwrap_or(1).max(1) as usize;
        let batch = (TOGETHER / largest).clamp(1, lanes::sha1_width().max(1));
        let batches: Vec<&[PieceIndex]> = pieces.chunks(batch).collect();
        let next = AtomicUsize::new(0);
        let found = Mutex::new(found);
        let failed: Mutex<Option<DiskError>> = Mutex::new(None);
        let unreadable: Mutex<Vec<DiskError>> = Mutex::default();
        let work = || {
            while !cancel.load(Ordering::Relaxed) {
                let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return;
                };
                match self.hash(batch, &unreadable) {
                    Ok(verdicts) => {
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        for (piece, good) in verdicts {
                            found(piece, good);
                        }
                    }
                    Err(error) => {
                        next.store(batches.len(), Ordering::Relaxed);
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let others = 1..cores.min(batches.len());
            let others: Vec<_> = others.map(|_| scope.spawn(|| watched(work))).collect();
            work();
            for other in others {
                if let Ok(Err(bug)) = other.join() {
                    // In its own words, and not in those of the scope.
                    std::panic::resume_unwind(Box::new(bug.cause().to_owned()));
                }
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let unreadable = unreadable.into_inner();
        failed.map_or(Ok(unreadable.unwrap_or_else(PoisonError::into_inner)), Err)
    }

    fn hash(
        &self,
        pieces: &[PieceIndex],
        unreadable: &Mutex<Vec<DiskError>>,
    ) -> Result<Vec<(PieceIndex, bool)>, DiskError> {
        let mut whole = Vec::with_capacity(pieces.len());
        let mut verdicts = Vec::with_capacity(pieces.len());
        for &piece in pieces {
            if self.is_hole(piece) {
                verdicts.push((piece, self.is_all_zeros(piece)));
                continue;
            }
            match self.read_piece(piece) {
                Ok(data) => whole.push((piece, data)),
                Err(error) if is_absence(&error) => verdicts.push((piece, false)),
                Err(error) if error.action == "read" && error.fault() == Fault::Io => {
                    verdicts.push((piece, false));
                    let mut told = unreadable.lock().unwrap_or_else(PoisonError::into_inner);
                    if told.iter().all(|before| before.path != error.path) {
                        told.push(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let slices: Vec<[&[u8]; 1]> = whole.iter().map(|(_, data)| [data.as_slice()]).collect();
        let inputs: Vec<&[&[u8]]> = slices.iter().map(<[&[u8]; 1]>::as_slice).collect();
        let hashes = lanes::sha1_each(&inputs);
        for ((piece, _), hash) in whole.iter().zip(hashes) {
            verdicts.push((*piece, self.piece_hash(*piece) == Some(&hash)));
        }
        Ok(verdicts)
    }

    fn read_piece(&self, piece: PieceIndex) -> Result<Vec<u8>, DiskError> {
        let mut data = vec![0; self.layout().piece_size(piece) as usize];
        self.read_at(self.layout().piece_offset(piece), &mut data)?;
        Ok(data)
    }

    /// Whether the piece is a hole in one file, so that it need not be read to know it: a file of terabytes may have few
    /// bytes.
    fn is_hole(&self, piece: PieceIndex) -> bool {
        let places = self.places();
        let mut runs = places.piece_runs(piece);
        let (Some(run), None) = (runs.next(), runs.next()) else {
            return false;
        };
        let Some(number) = run.file else {
            return false;
        };
        let Ok(file) = self.open_at(&places, number, false) else {
            return false;
        };
        let end = run.offset + run.length as u64;
        let is_there = file.metadata().is_ok_and(|meta| meta.len() >= end);
        is_there
            && match seek(&*file, SeekFrom::Data(run.offset)) {
                Ok(data) => data >= end,
                Err(errno) => errno == Errno::NXIO,
            }
    }

    fn is_all_zeros(&self, piece: PieceIndex) -> bool {
        let size = self.layout().piece_size(piece);
        let mut known = self.zeros.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = match *known {
            Some((of, hash)) if of == size => hash,
            _ => {
                {
                    let zeros = vec![0; size as usize];
                    let hash = lanes::sha1_each(&[&[zeros.as_slice()]]);
                    *known.insert((size, hash.first().copied().unwrap_or_default()))
                }
                .1
            }
        };
        self.piece_hash(piece) == Some(&hash)
    }

    /// Writes out and drops what memory holds of these pieces, so that it is the disk that is read next.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn forget_pages(&self, pieces: &[PieceIndex]) -> Result<(), DiskError> {
        let mut synced = None;
        for &piece in pieces {
            let places = self.places();
            for run in places.piece_runs(piece) {
                let Some(number) = run.file else {
                    continue;
                };
                let file: Arc<std::fs::File> = match self.open_at(&places, number, false) {
                    Ok(file) => file,
                    Err(error) if is_absence(&error) => continue,
                    Err(error) => return Err(error),
                };
                if synced != Some(number) {
                    // Only pages that are written out are dropped.
                    self.sync_apart(&places, number)?;
                    synced = Some(number);
                }
                let start = run.offset / LARGEST_PAGE * LARGEST_PAGE;
                let end = (run.offset + run.length as u64).next_multiple_of(LARGEST_PAGE);
                let length = std::num::NonZero::new(end - start);
                let _ = fadvise(&*file, start, length, Advice::DontNeed);
            }
        }
        Ok(())
    }

    /// The same for everything that there is.
    ///
    /// # Errors
    /// If a file cannot be opened.
    pub fn forget_all_pages(&self) -> Result<(), DiskError> {
        let stored = self
            .layout()
            .files()
            .filter(|file| !self.layout().is_pad(*file));
        stored
            .chain([PARTS])
            .try_for_each(|file| self.forget_file(file))
    }

    /// Syncs a file by a descriptor of its own. What could not be written is read from the disk afterwards, and need not
    /// stop whoever reads; but the system tells a failure once to each descriptor, and after the first not at all to those
    /// that are opened later: the next [`Content::sync`], which may cover the same, has to fail.
    fn sync_apart(&self, places: &Places, number: FileIndex) -> Result<(), DiskError> {
        let root = self.patiently(|| self.root(false))?;
        let path = self.patiently(|| places.path(&root, number))?;
        let file = match self.patiently(|| root.open_read(&path)) {
            Ok(file) => file,
            // What is gone is not ours any more.
            Err(error) if is_absence(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Err(error) = file.sync_data() {
            self.written.mark(number);
            self.written.fails(self.error("sync", &path, error));
        }
        Ok(())
    }

    fn forget_file(&self, number: FileIndex) -> Result<(), DiskError> {
        let places = self.places();
        let file = match self.open_at(&places, number, false) {
            Ok(file) => file,
            Err(error) if is_absence(&error) || error.fault() == Fault::InTheWay => return Ok(()),
            Err(error) => return Err(error),
        };
        // Only pages that are written out are dropped.
        self.sync_apart(&places, number)?;
        // All of it: of a range, the system keeps the pages that it does not cover from end to end.
        let _ = fadvise(&*file, 0, None, Advice::DontNeed);
        Ok(())
    }
}

fn is_absence(error: &DiskError) -> bool {
    let is_cut = matches!(
        error.source.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
    );
    // What stands in the place of the file is none of its bytes.
    is_cut || error.fault() == Fault::InTheWay
}
