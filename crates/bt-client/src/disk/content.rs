//! The files of one torrent: blocks go in, blocks come out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use bt_metainfo::{BlockRef, FileIndex, Info, Layout, Metainfo, PieceIndex};
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

use super::allocation::allocate;
use super::assembly::{Added, Assembly, Spill, WholePiece};
use super::claims::Use;
use super::durable::Written;
use super::files::Files;
use super::places::{PARTS, Places};
use super::pool::Shared;
use super::root::Root;
use super::transfer::{fill_zeros, read_part, write_exact};
use super::{Allocation, Disk, DiskError, Fault, Site, worker};

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
    /// A bug of ours was met in the work on this torrent, in these words: what is kept of it may be half changed.
    Broken(String),
}

/// What is known of a file system that does not tell what is in memory.
#[derive(Debug, Clone, Copy)]
enum Warmth {
    /// All of it is.
    Memory,
    /// Every read may have to wait, for a disk or for a server.
    Unknown,
}

impl Warmth {
    fn of(file: &File) -> Self {
        const TMPFS: u64 = 0x0102_1994;
        const RAMFS: u64 = 0x8584_58f6;
        match rustix::fs::fstatfs(file).map(|fs| u64::try_from(fs.f_type)) {
            Ok(Ok(TMPFS | RAMFS)) => Self::Memory,
            _ => Self::Unknown,
        }
    }
}

/// Who is told; called on a disk thread.
pub type Report = Box<dyn Fn(Done) + Send + Sync>;

/// The directory of the content, for whoever does not hold the places.
struct Base {
    directory: PathBuf,
    /// Opened when it is first needed.
    root: Option<Arc<Root>>,
}

/// The files of one torrent on the session's [`Disk`]: blocks go in and become pieces, which count if they verify
/// (BEP 3, `pieces`); blocks come out for peers. What came of a piece is told to its [`Report`].
pub struct Content {
    id: u64,
    shared: Arc<Shared>,
    metainfo: Arc<Metainfo>,
    layout: Arc<Layout>,
    base: Mutex<Base>,
    pub(super) places: RwLock<Places>,
    assembly: Mutex<Assembly>,
    pub(super) written: Written,
    /// Pieces that counted and do not any more, until they are here again.
    pub(super) lost: Mutex<BTreeSet<PieceIndex>>,
    report: Report,
    allocation: OnceLock<Allocation>,
    failed: AtomicBool,
    /// The content is being deleted, or has left the session: no thread that comes late writes to it.
    pub(super) retired: AtomicBool,
    /// What the file system can say of the page cache.
    warmth: OnceLock<Warmth>,
    /// The hash of a piece of so many zeros.
    pub(super) zeros: Mutex<Option<(u32, [u8; 20])>>,
    #[cfg(test)]
    pub(crate) planted: crate::contain::Planted,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("id", &self.id)
            .field("directory", &self.directory())
            .finish_non_exhaustive()
    }
}

impl Content {
    /// The files of `metainfo` at `site`. Nothing is opened or made yet.
    #[must_use]
    pub fn new(
        disk: &Disk,
        metainfo: Arc<Metainfo>,
        layout: Arc<Layout>,
        site: Site,
        report: Report,
    ) -> Arc<Self> {
        let shared = Arc::clone(disk.shared());
        let content = Arc::new(Self {
            id: shared.next_id(),
            base: Mutex::new(Base {
                directory: site.directory.clone(),
                root: None,
            }),
            places: RwLock::new(Places::new(
                Arc::clone(&metainfo),
                Arc::clone(&layout),
                site,
            )),
            assembly: Mutex::new(Assembly::new(Arc::clone(&layout))),
            shared,
            metainfo,
            layout,
            written: Written::default(),
            lost: Mutex::default(),
            report,
            allocation: OnceLock::new(),
            failed: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            warmth: OnceLock::new(),
            zeros: Mutex::default(),
            #[cfg(test)]
            planted: crate::contain::Planted::default(),
        });
        content.shared.enroll(&content);
        content
    }

    /// The directory that holds the content.
    #[must_use]
    pub fn directory(&self) -> PathBuf {
        self.base().directory.clone()
    }

    /// Where a file lies, or would.
    #[must_use]
    pub fn path(&self, file: FileIndex) -> PathBuf {
        let directory = self.directory();
        match self.root(false) {
            Ok(root) => match self.places().path(&root, file) {
                Ok(path) => directory.join(path),
                Err(_) => directory.join(self.info().disk_path(file)),
            },
            Err(_) => directory.join(self.info().disk_path(file)),
        }
    }

    /// How files are made; to be said before the first is.
    pub fn set_allocation(&self, allocation: Allocation) {
        // Who says it twice is not heard: files made before would differ from those made after.
        let _ = self.allocation.set(allocation);
    }

    pub(super) fn allocation(&self) -> Allocation {
        self.allocation.get().copied().unwrap_or_default()
    }

    /// Takes the blocks that one read of a peer brought. Pieces that become whole are hashed, written and reported.
    pub fn store(self: &Arc<Self>, blocks: impl IntoIterator<Item = (BlockRef, Bytes)>) {
        let mut whole = Vec::new();
        let mut assembly = self.assembly();
        for (block, data) in blocks {
            let length = data.len();
            // Counted under the assembly's lock: nobody can give back what has not been taken yet.
            // Before it is there: should we break off in between, rather too much is counted than too little, which
            // would be given back by whoever clears up.
            self.shared.budget.take(length);
            match assembly.add(block, data) {
                Added::Kept => {}
                Added::Whole(piece) => whole.push(piece),
                Added::Ignored => self.shared.budget.give_back(length),
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
        self.forget();
        self.shared.files.close(self.id);
    }

    pub(super) fn close_files(&self) {
        self.shared.files.close(self.id);
    }

    /// Drops the blocks of all incomplete pieces.
    pub fn forget(&self) {
        let held = self.assembly().clear();
        self.shared.budget.give_back(held);
    }

    /// Drops the blocks of one incomplete piece.
    pub fn forget_piece(&self, piece: PieceIndex) {
        let held = self.assembly().clear_piece(piece);
        self.shared.budget.give_back(held);
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
        let places = self.places();
        let stored =
            |file: &FileIndex| !self.layout.is_pad(*file) && self.layout.file_length(*file) > 0;
        for file in self.layout.files().filter(stored).chain([PARTS]) {
            let path = places.path(&root, file)?;
            if root.file_size(&path)?.is_some_and(|size| size > 0) {
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
        let places = self.places();
        for run in places.runs(start, rest.len() as u64) {
            let (part, after) = rest.split_at_mut(run.length.min(rest.len()));
            rest = after;
            let Some(file) = run.file else {
                part.fill(0);
                continue;
            };
            self.open_at(&places, file, false)?
                .read_exact_at(part, run.offset)
                .map_err(|error| self.failed(&places, "read", file, in_words(error)))?;
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
        // Files that are on the move are not waited for here.
        let Ok(places) = self.places.try_read() else {
            return 0;
        };
        for run in places.runs(start, length as u64) {
            let open = |file| self.shared.files.get((self.id, file), false);
            let read = match run.file.map(open) {
                None => fill_zeros(&mut rest, run.length),
                Some(Some(file)) => self.read_now(&file, &mut rest, run.length, run.offset),
                Some(None) => 0,
            };
            done += read;
            if read < run.length {
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
            let flags = match self.warmth.get() {
                None => ReadWriteFlags::NOWAIT,
                Some(Warmth::Memory) => ReadWriteFlags::empty(),
                Some(Warmth::Unknown) => break,
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
                Err(Errno::OPNOTSUPP) if flags.contains(ReadWriteFlags::NOWAIT) => {
                    let _ = self.warmth.set(Warmth::of(file));
                }
                // Not in memory, or broken: a disk thread finds out which.
                Err(_) => break,
            }
        }
        done
    }

    pub(super) fn info(&self) -> &Info {
        self.metainfo.info()
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn piece_hash(&self, piece: PieceIndex) -> Option<&[u8; 20]> {
        self.info().piece_hash(piece)
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn files(&self) -> &Files {
        &self.shared.files
    }

    pub(super) fn held(&self) -> usize {
        self.assembly().held()
    }

    pub(super) fn begin_spill(&self) -> Option<Spill> {
        self.assembly().begin_spill()
    }

    pub(super) fn end_spill(&self, spill: &Spill, is_written: bool) -> (usize, Option<WholePiece>) {
        self.assembly().end_spill(spill, is_written)
    }

    pub(super) fn was_bad(&self, piece: PieceIndex) {
        if !self.is_lost(piece) {
            self.assembly().was_bad(piece);
        }
    }

    /// Writes consecutive bytes at `start` of the content, across files; pad files are left out.
    pub(super) fn write_run(
        &self,
        start: u64,
        slices: &mut [IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut rest = slices;
        let places = self.places();
        for run in places.runs(start, length as u64) {
            let Some(number) = run.file else {
                IoSlice::advance_slices(&mut rest, run.length);
                continue;
            };
            let file = match self.open_at(&places, number, true) {
                Err(error) if error.fault() == Fault::Shared => {
                    self.mend(&places, number, (&mut rest, run.length), run.offset, error)?;
                    continue;
                }
                opened => opened?,
            };
            write_exact(&file, &mut rest, run.length, run.offset)
                .map_err(|error| self.failed(&places, "write", number, error))?;
            // Only now: a sync that takes the set in between would pass the file over.
            self.written.wrote(number, run.offset, run.length as u64);
        }
        Ok(())
    }

    pub(super) fn report(&self, done: Done) {
        // One report of a broken disk is enough; a full one may be full again after there was room.
        if let Done::Failed(error) = &done
            && error.fault() != Fault::Full
            && self.failed.swap(true, Ordering::Relaxed)
        {
            return;
        }
        (self.report)(done);
    }

    /// The owner starts anew after a failure.
    pub fn retry(&self) {
        self.failed.store(false, Ordering::Relaxed);
        // A disk that was away and is back is opened anew. Another directory in its place stays refused.
        self.base().root.take_if(|root| root.is_unchanged());
    }

    /// Opens a file of the torrent, or the parts.
    pub(super) fn open_at(
        &self,
        places: &Places,
        file: FileIndex,
        writable: bool,
    ) -> Result<Arc<File>, DiskError> {
        let key = (self.id, file);
        if let Some(open) = self.shared.files.get(key, writable) {
            return Ok(open);
        }
        if writable {
            self.refuse_retired()?;
        }
        let root = self.patiently(|| self.root(writable))?;
        let path = self.patiently(|| places.path(&root, file))?;
        let open = self.patiently(|| match writable {
            true => root.open_write(&path),
            false => root.open_read(&path),
        })?;
        let meta = open.metadata();
        let meta = meta.map_err(|error| self.error("look at", &path, error))?;
        if file != PARTS {
            let how = match writable {
                true => Use::Writing,
                false => Use::Reading,
            };
            self.claim(file, &path, &meta, how)?;
        }
        if writable {
            self.begins_to_write(places, file, &path, &meta)?;
        }
        if writable && file != PARTS {
            allocate(&open, self.layout.file_length(file), self.allocation())
                .map_err(|error| self.error("set the size of", &path, error))?;
        }
        Ok(self.shared.files.put(key, open, writable))
    }

    /// Content that leaves is not written any more. To be asked by whoever holds the places.
    pub(super) fn refuse_retired(&self) -> Result<(), DiskError> {
        if !self.retired.load(Ordering::Relaxed) {
            return Ok(());
        }
        let why = io::Error::new(io::ErrorKind::NotFound, "it is being removed");
        Err(DiskError::new("write to", &self.directory(), why))
    }

    /// Tries once more with fewer files open if the process has no descriptors left: others (peers, the embedding
    /// program) hold what we could have held.
    pub(super) fn patiently<T>(
        &self,
        attempt: impl Fn() -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        match attempt() {
            Err(error) if error.fault() == Fault::NoDescriptors => {
                self.shared.files.release();
                attempt()
            }
            other => other,
        }
    }

    /// The directory, which must still be the one that was opened first: in its place a mount point may stand empty.
    pub(super) fn root(&self, create: bool) -> Result<Arc<Root>, DiskError> {
        let mut base = self.base();
        if let Some(root) = &base.root {
            return if root.is_unchanged() {
                Ok(Arc::clone(root))
            } else {
                Err(DiskError::replaced(&base.directory))
            };
        }
        let root = self.shared.root(&base.directory, create)?;
        self.written.enters(&root);
        base.root = Some(Arc::clone(&root));
        Ok(root)
    }

    /// The directory at `path`, which need not be that of the content.
    pub(super) fn other_root(&self, path: &Path, create: bool) -> Result<Arc<Root>, DiskError> {
        self.shared.root(path, create)
    }

    /// The content lies elsewhere from now on. To be called by whoever holds the places for writing.
    pub(super) fn set_base(&self, directory: PathBuf, root: Option<Arc<Root>>) {
        self.shared.files.close(self.id);
        // Those that are written to are other files from now on.
        self.written.leaves();
        if let Some(root) = &root {
            self.written.enters(root);
        }
        *self.base() = Base { directory, root };
    }

    fn base(&self) -> MutexGuard<'_, Base> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close_file(&self, file: FileIndex) {
        self.shared.files.close_one((self.id, file));
        self.written.forget(file);
    }

    pub(super) fn error(&self, action: &'static str, path: &Path, error: io::Error) -> DiskError {
        DiskError::new(action, &self.directory().join(path), error)
    }

    pub(super) fn failed(
        &self,
        places: &Places,
        action: &'static str,
        file: FileIndex,
        error: io::Error,
    ) -> DiskError {
        match self.root(false) {
            Ok(root) => match places.path(&root, file) {
                Ok(path) => self.error(action, &path, error),
                Err(unknown) => unknown,
            },
            Err(gone) => gone,
        }
    }

    pub(super) fn places(&self) -> RwLockReadGuard<'_, Places> {
        self.places.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn assembly(&self) -> MutexGuard<'_, Assembly> {
        self.assembly.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.close();
        self.release();
    }
}

/// What the standard library says of a file that ends too soon is about its own buffers.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "it is shorter than the torrent says")
        }
        _ => error,
    }
}
