//! The files of one torrent: blocks go in, blocks come out.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bt_metainfo::{BlockRef, FileIndex, Info, Layout, Metainfo, PieceIndex};
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::assembly::{Added, Assembly, WholePiece};
use super::durable::Written;
use super::pool::Shared;
use super::root::Root;
use super::{Disk, DiskError, worker};

/// News from the disk about one torrent.
#[derive(Debug)]
#[non_exhaustive]
pub enum Done {
    /// A piece verified and is written.
    Good {
        /// Which.
        piece: PieceIndex,
        /// Of its blocks, if somebody watches the piece.
        digests: Vec<[u8; 20]>,
    },
    /// A piece did not verify; nothing of it is kept.
    Bad {
        /// Which.
        piece: PieceIndex,
        /// Of its blocks.
        digests: Vec<[u8; 20]>,
    },
    /// The disk cannot go on.
    Failed(DiskError),
}

/// Who is told; called on a disk thread.
pub type Report = Box<dyn Fn(Done) + Send + Sync>;

/// See the module.
pub struct Content {
    id: u64,
    shared: Arc<Shared>,
    metainfo: Arc<Metainfo>,
    layout: Arc<Layout>,
    directory: PathBuf,
    root: OnceLock<Arc<Root>>,
    assembly: Mutex<Assembly>,
    pub(super) written: Written,
    report: Report,
    failed: AtomicBool,
    /// The file system can say what is in the page cache.
    can_probe: AtomicBool,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("id", &self.id)
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Content {
    /// The files of `metainfo` under `directory`. Nothing is opened or made yet.
    #[must_use]
    pub fn new(
        disk: &Disk,
        metainfo: Arc<Metainfo>,
        layout: Arc<Layout>,
        directory: PathBuf,
        report: Report,
    ) -> Arc<Self> {
        let shared = Arc::clone(disk.shared());
        let content = Arc::new(Self {
            id: shared.next_id(),
            assembly: Mutex::new(Assembly::new(Arc::clone(&layout))),
            shared,
            metainfo,
            layout,
            directory,
            root: OnceLock::new(),
            written: Written::default(),
            report,
            failed: AtomicBool::new(false),
            can_probe: AtomicBool::new(true),
        });
        content.shared.enroll(&content);
        content
    }

    /// The directory that holds the content.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes the blocks that one read of a peer brought. Pieces that become whole are hashed, written and reported.
    pub fn store(self: &Arc<Self>, blocks: impl IntoIterator<Item = (BlockRef, Bytes)>) {
        let mut whole = Vec::new();
        let mut assembly = self.assembly();
        for (block, data) in blocks {
            let length = data.len();
            // Counted under the assembly's lock: nobody can give back what has not been taken yet.
            match assembly.add(block, data) {
                Added::Kept => self.shared.budget.take(length),
                Added::Whole(piece) => {
                    self.shared.budget.take(length);
                    whole.push(piece);
                }
                Added::Ignored => {}
            }
        }
        drop(assembly);
        self.shared.push(self, whole);
        if self.shared.needs_relief() {
            let shared = Arc::clone(&self.shared);
            self.shared.run(move || {
                shared.relief_begins();
                worker::relieve(&shared);
            });
        }
    }

    /// The next verdict on `piece` is to come with the digests of its blocks.
    pub fn watch(&self, piece: PieceIndex) {
        self.assembly().watch(piece);
    }

    /// Drops blocks of incomplete pieces and closes the files.
    pub fn close(&self) {
        let held = self.assembly().clear();
        self.shared.budget.give_back(held);
        self.shared.files.close(self.id);
    }

    /// Makes the directory and the empty files; all others are made when their first piece is written.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn prepare(&self, wanted: impl Fn(FileIndex) -> bool) -> Result<(), DiskError> {
        let root = self.root(true)?;
        for file in self
            .layout
            .files()
            .filter(|file| wanted(*file) && !self.layout.is_pad(*file))
        {
            let path = self.path(root, file);
            if self.layout.file_length(file) == 0 && root.file_size(&path)?.is_none() {
                root.open_write(&path)?;
            }
        }
        Ok(())
    }

    /// Whether any byte of the content may be there already.
    ///
    /// # Errors
    /// If the system does not let us look.
    pub fn is_anything_there(&self) -> Result<bool, DiskError> {
        let root = match self.root(false) {
            Ok(root) => root,
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        for file in self
            .layout
            .files()
            .filter(|file| !self.layout.is_pad(*file))
        {
            let path = self.path(root, file);
            if self.layout.file_length(file) > 0
                && root.file_size(&path)?.is_some_and(|size| size > 0)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads a block. Blocks the thread; pad bytes are zeros.
    ///
    /// # Errors
    /// If a file is missing, too short, or unreadable.
    pub fn read(&self, block: BlockRef, into: &mut [u8]) -> Result<(), DiskError> {
        self.read_at(self.block_start(block), into)
    }

    /// Where `block` begins in the content.
    #[must_use]
    pub fn block_start(&self, block: BlockRef) -> u64 {
        self.layout.piece_offset(block.piece) + u64::from(block.begin)
    }

    /// Reads the content from `start` on. Blocks the thread; opens files that are not open.
    pub(crate) fn read_at(&self, start: u64, into: &mut [u8]) -> Result<(), DiskError> {
        let mut rest = into;
        for extent in self.layout.extents(start, rest.len() as u64) {
            let length = usize::try_from(extent.length)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let (part, after) = rest.split_at_mut(length);
            rest = after;
            if self.layout.is_pad(extent.file) {
                part.fill(0);
            } else {
                let file = self.open(extent.file, false)?;
                file.read_exact_at(part, extent.offset)
                    .map_err(|error| self.error("read", extent.file, error))?;
            }
        }
        Ok(())
    }

    /// Reads what of the content from `start` on can be had without waiting for the disk into `slices`, in their order.
    /// Gives the number of bytes, which is less than they hold where a page is not in memory or a file is not open.
    #[must_use]
    pub fn read_warm(&self, start: u64, slices: &mut [IoSliceMut<'_>]) -> usize {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut rest = slices;
        let mut done = 0;
        for extent in self.layout.extents(start, length as u64) {
            let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
            let read = if self.layout.is_pad(extent.file) {
                fill_zeros(&mut rest, length)
            } else if let Some(file) = self.shared.files.get((self.id, extent.file), false) {
                self.read_now(&file, &mut rest, length, extent.offset)
            } else {
                0
            };
            done += read;
            if read < length {
                break;
            }
        }
        done
    }

    /// Reads up to `length` bytes at `offset` of `file` without waiting, and advances `slices` past them.
    fn read_now(
        &self,
        file: &File,
        slices: &mut &mut [IoSliceMut<'_>],
        length: usize,
        offset: u64,
    ) -> usize {
        let mut done = 0;
        while done < length {
            let flags = if self.can_probe.load(Ordering::Relaxed) {
                ReadWriteFlags::NOWAIT
            } else {
                ReadWriteFlags::empty()
            };
            let at = offset + done as u64;
            let read = read_part(file, slices, length - done, at, flags);
            match read {
                Ok(0) => break,
                Ok(read) => {
                    done += read;
                    IoSliceMut::advance_slices(slices, read);
                }
                Err(Errno::INTR) => {}
                // tmpfs among others, which is memory anyway.
                Err(Errno::OPNOTSUPP) if flags.contains(ReadWriteFlags::NOWAIT) => {
                    self.can_probe.store(false, Ordering::Relaxed);
                }
                // Not in memory, or broken: a disk thread finds out which.
                Err(_) => break,
            }
        }
        done
    }

    /// Reads `length` bytes of the content from `start` on a disk thread and hands them to `then`.
    pub fn fetch(
        self: &Arc<Self>,
        start: u64,
        length: usize,
        then: impl FnOnce(Result<Bytes, DiskError>) + Send + 'static,
    ) {
        let content = Arc::clone(self);
        self.shared.run(move || {
            let mut data = vec![0; length];
            let result = content.read_at(start, &mut data);
            then(result.map(|()| Bytes::from(data)));
        });
    }

    fn info(&self) -> &Info {
        self.metainfo.info()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn piece_hash(&self, piece: PieceIndex) -> Option<&[u8; 20]> {
        self.info().piece_hash(piece)
    }

    pub(super) fn held(&self) -> usize {
        self.assembly().held()
    }

    pub(super) fn begin_spill(&self) -> Option<(PieceIndex, Vec<(BlockRef, Bytes)>)> {
        self.assembly().begin_spill()
    }

    pub(super) fn end_spill(
        &self,
        piece: PieceIndex,
        written: &[(BlockRef, Bytes)],
    ) -> (usize, Option<WholePiece>) {
        self.assembly().end_spill(piece, written)
    }

    /// Writes consecutive bytes at `start` of the content, across files; pad files are left out.
    pub(super) fn write_run(
        &self,
        start: u64,
        slices: &mut [IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut rest = slices;
        for extent in self.layout.extents(start, length as u64) {
            let length = usize::try_from(extent.length).unwrap_or(usize::MAX);
            if self.layout.is_pad(extent.file) {
                IoSlice::advance_slices(&mut rest, length);
                continue;
            }
            let file = self.open(extent.file, true)?;
            write_exact(&file, &mut rest, length, extent.offset)
                .map_err(|error| self.error("write", extent.file, error))?;
            // Only now: a sync that takes the set in between would pass the file over.
            self.written.mark(extent.file);
        }
        Ok(())
    }

    pub(super) fn report(&self, done: Done) {
        if let Done::Failed(_) = &done {
            // One report of a broken disk is enough.
            if self.failed.swap(true, Ordering::Relaxed) {
                return;
            }
        }
        (self.report)(done);
    }

    /// The owner starts anew after a failure.
    pub fn retry(&self) {
        self.failed.store(false, Ordering::Relaxed);
    }

    pub(super) fn open(&self, file: FileIndex, writable: bool) -> Result<Arc<File>, DiskError> {
        let key = (self.id, file);
        if let Some(open) = self.shared.files.get(key, writable) {
            return Ok(open);
        }
        let root = self.root(writable)?;
        let path = self.path(root, file);
        let open = if writable {
            root.open_write(&path)?
        } else {
            root.open_read(&path)?
        };
        if writable {
            // Sparse at its full size: what is missing reads as zeros, and a file that is longer is left as it is.
            let length = self.layout.file_length(file);
            let size = open
                .metadata()
                .map_err(|error| self.error("look at", file, error))?
                .len();
            if size < length {
                open.set_len(length)
                    .map_err(|error| self.error("set the size of", file, error))?;
            }
        }
        Ok(self.shared.files.put(key, open, writable))
    }

    /// Where a file is: under its portable name, or under the torrent's own if a file of that name is there. Content
    /// that was shared from this disk has the names that its owner gave it.
    pub(super) fn path(&self, root: &Root, file: FileIndex) -> PathBuf {
        let portable = self.info().disk_path(file);
        match self.info().native_path(file) {
            Some(native) if native != portable => {
                let is_there = |path| matches!(root.file_size(path), Ok(Some(_)));
                if is_there(&native) && !is_there(&portable) {
                    native
                } else {
                    portable
                }
            }
            _ => portable,
        }
    }

    pub(super) fn root(&self, create: bool) -> Result<&Arc<Root>, DiskError> {
        if let Some(root) = self.root.get() {
            return Ok(root);
        }
        let root = self.shared.root(&self.directory, create)?;
        Ok(self.root.get_or_init(|| root))
    }

    pub(super) fn error(
        &self,
        action: &'static str,
        file: FileIndex,
        error: io::Error,
    ) -> DiskError {
        DiskError::new(
            action,
            &self.directory.join(self.info().disk_path(file)),
            error,
        )
    }

    fn assembly(&self) -> MutexGuard<'_, Assembly> {
        self.assembly.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.close();
    }
}

/// One read of at most `length` bytes into the first of `slices`.
fn read_part(
    file: &File,
    slices: &mut [IoSliceMut<'_>],
    length: usize,
    offset: u64,
    flags: ReadWriteFlags,
) -> Result<usize, Errno> {
    let mut left = length;
    let whole = slices
        .iter()
        .take_while(|slice| {
            let fits = slice.len() <= left;
            left -= if fits { slice.len() } else { 0 };
            fits
        })
        .count();
    if whole > 0 {
        return preadv2(file.as_fd(), &mut slices[..whole], offset, flags);
    }
    // The first slice belongs to the next file as well.
    let Some(first) = slices.first_mut() else {
        return Ok(0);
    };
    let mut part = [IoSliceMut::new(&mut first[..length])];
    preadv2(file.as_fd(), &mut part, offset, flags)
}

/// Zeros for a pad file, which is never kept on the disk.
fn fill_zeros(slices: &mut &mut [IoSliceMut<'_>], length: usize) -> usize {
    let mut left = length;
    while left > 0 {
        let Some(first) = slices.first_mut() else {
            break;
        };
        let part = first.len().min(left);
        first[..part].fill(0);
        left -= part;
        IoSliceMut::advance_slices(slices, part);
    }
    length - left
}

/// Writes the first `length` bytes of `slices` and advances them.
fn write_exact(
    file: &File,
    slices: &mut &mut [IoSlice<'_>],
    length: usize,
    offset: u64,
) -> io::Result<()> {
    let mut done = 0;
    while done < length {
        let (count, last) = upto(slices, length - done);
        let written = if last == slices[count - 1].len() {
            rustix::io::pwritev(file, &slices[..count], offset + done as u64)
        } else if count > 1 {
            // The last slice belongs to the next file as well: first the whole ones, then the part.
            rustix::io::pwritev(file, &slices[..count - 1], offset + done as u64)
        } else {
            rustix::io::pwrite(file, &slices[0][..last], offset + done as u64)
        };
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                done += written;
                IoSlice::advance_slices(slices, written);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// How many slices the first `length` bytes reach into, and how many bytes of the last of them.
fn upto(slices: &[IoSlice<'_>], length: usize) -> (usize, usize) {
    let mut left = length;
    for (count, slice) in (1..).zip(slices) {
        if slice.len() >= left {
            return (count, left);
        }
        left -= slice.len();
    }
    (slices.len(), slices.last().map_or(0, |slice| slice.len()))
}
