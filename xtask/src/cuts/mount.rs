//! The disk as a mounted file system. It must not know what survives a cut.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyStatfs,
    ReplyWrite, Request, Session, TimeOrNow, WriteFlags,
};

use super::disk::{Disk, Look, Trouble};

/// The kernel keeps no attributes and no names: each question reaches the disk.
const NEVER_KEPT: Duration = Duration::ZERO;

/// `SEEK_DATA` of Linux; the other that comes is `SEEK_HOLE`.
const SEEK_DATA: i32 = 3;

/// `RENAME_NOREPLACE` of Linux.
const NO_REPLACE: u32 = 1;

/// What the file system says to have free, in pages: more than any run asks for.
const FREE_PAGES: u64 = 1 << 24;

/// How long a mount may be busy after the last process that used it was waited for.
const BUSY: Duration = Duration::from_secs(10);

/// A disk that a mount and its owner share.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Disk::new(SystemTime::now()))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A mounted disk. It has to be unmounted: what is dropped stays mounted when it is busy.
#[derive(Debug)]
pub(super) struct Mounted {
    session: BackgroundSession,
    folder: PathBuf,
}

impl Mounted {
    /// Mounts it. Nothing of an earlier mount is in the kernel's memory any more, as after a real cut. A sync of any file
    /// below `lie` is answered and not done.
    pub(super) fn new(
        disk: &Shared,
        folder: &Path,
        lie: Option<&'static str>,
    ) -> Result<Self, String> {
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("bt-cuts".to_owned()),
            MountOption::DefaultPermissions,
        ];
        let session = Session::new(Served(disk.clone(), lie), folder, &config)
            .and_then(Session::spawn)
            .map_err(|error| format!("cannot mount at {}: {error}", folder.display()))?;
        Ok(Self {
            session,
            folder: folder.to_owned(),
        })
    }

    /// Takes it away once nobody uses it.
    pub(super) fn unmount(self) -> Result<(), String> {
        let deadline = Instant::now() + BUSY;
        loop {
            let output = Command::new("umount").arg(&self.folder).output();
            let output = output.map_err(|error| format!("umount: {error}"))?;
            if output.status.success() {
                let ended = self.session.join();
                return ended.map_err(|error| format!("the file system: {error}"));
            }
            if Instant::now() > deadline {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Carries questions of the kernel to the disk, but for the syncs of what it lies about.
#[derive(Debug)]
struct Served(Shared, Option<&'static str>);

fn errno(trouble: Trouble) -> Errno {
    match trouble {
        Trouble::NotFound => Errno::ENOENT,
        Trouble::Exists => Errno::EEXIST,
        Trouble::NotEmpty => Errno::ENOTEMPTY,
        Trouble::NotADirectory => Errno::ENOTDIR,
        Trouble::IsADirectory => Errno::EISDIR,
        Trouble::NoData => Errno::ENXIO,
        Trouble::Dead => Errno::EIO,
    }
}

fn attributes(look: Look) -> FileAttr {
    FileAttr {
        ino: INodeNo(look.inode),
        size: look.size,
        blocks: look.room / 512,
        atime: look.modified,
        mtime: look.modified,
        ctime: look.modified,
        crtime: look.modified,
        kind: kind(look),
        perm: look.mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn kind(look: Look) -> FileType {
    if look.is_directory {
        FileType::Directory
    } else {
        FileType::RegularFile
    }
}

fn entry(found: Result<Look, Trouble>, reply: ReplyEntry) {
    match found {
        Ok(look) => reply.entry(&NEVER_KEPT, &attributes(look), Generation(0)),
        Err(trouble) => reply.error(errno(trouble)),
    }
}

fn done(result: Result<(), Trouble>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(trouble) => reply.error(errno(trouble)),
    }
}

/// The lowest twelve bits of a mode.
fn permissions(mode: u32, umask: u32) -> u16 {
    u16::try_from(mode & !umask & 0o7777).unwrap_or(0)
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.0.lock().look_up(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.0.lock().look(inode.0) {
            Ok(look) => reply.attr(&NEVER_KEPT, &attributes(look)),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.0.lock();
        let now = SystemTime::now();
        let mut change = || {
            if let Some(mode) = mode {
                disk.set_mode(inode.0, permissions(mode, 0))?;
            }
            if let Some(size) = size {
                disk.set_length(inode.0, size, now)?;
            }
            match modified {
                Some(TimeOrNow::SpecificTime(time)) => disk.set_modified(inode.0, time)?,
                Some(TimeOrNow::Now) => disk.set_modified(inode.0, now)?,
                None => {}
            }
            disk.look(inode.0)
        };
        match change() {
            Ok(look) => reply.attr(&NEVER_KEPT, &attributes(look)),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let (mode, now) = (permissions(mode, umask), SystemTime::now());
        entry(self.0.lock().create(parent.0, name, true, mode, now), reply);
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let (mode, now) = (permissions(mode, umask), SystemTime::now());
        match self.0.lock().create(parent.0, name, false, mode, now) {
            Ok(look) => reply.created(
                &NEVER_KEPT,
                &attributes(look),
                Generation(0),
                FileHandle(0),
                FopenFlags::empty(),
            ),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.0.lock().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.0.lock().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let may_replace = flags.bits() & NO_REPLACE == 0;
        let (from, to) = ((parent.0, name), (new_parent.0, new_name));
        done(self.0.lock().rename(from, to, may_replace), reply);
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.0.lock().read(inode.0, offset, size as usize) {
            Ok(data) => reply.data(&data),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self
            .0
            .lock()
            .write(inode.0, offset, data, SystemTime::now());
        match (written, u32::try_from(data.len())) {
            (Ok(()), Ok(length)) => reply.written(length),
            (Err(trouble), _) => reply.error(errno(trouble)),
            (Ok(()), Err(_)) => reply.error(Errno::EINVAL),
        }
    }

    fn fsync(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        only_data: bool,
        reply: ReplyEmpty,
    ) {
        let mut disk = self.0.lock();
        let is_lie = self
            .1
            .is_some_and(|lie| disk.is_below(Path::new(lie), inode.0));
        let synced = if is_lie {
            Ok(())
        } else {
            disk.sync(inode.0, only_data)
        };
        done(synced, reply);
    }

    fn fsyncdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        only_data: bool,
        reply: ReplyEmpty,
    ) {
        done(self.0.lock().sync(inode.0, only_data), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut disk = self.0.lock();
        let names = match disk.list(inode.0) {
            Ok(names) => names,
            Err(trouble) => return reply.error(errno(trouble)),
        };
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        for (next, (name, inode)) in (1..).zip(names).skip(skipped) {
            let kind = disk.look(inode).map_or(FileType::RegularFile, kind);
            if reply.add(INodeNo(inode), next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(
            FREE_PAGES,
            FREE_PAGES,
            FREE_PAGES,
            1 << 20,
            1 << 20,
            4096,
            255,
            4096,
        );
    }

    fn lseek(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let offset = u64::try_from(offset).unwrap_or(0);
        let found = self.0.lock().seek(inode.0, offset, whence == SEEK_DATA);
        match found.map(i64::try_from) {
            Ok(Ok(found)) => reply.offset(found),
            Ok(Err(_)) => reply.error(Errno::EOVERFLOW),
            Err(trouble) => reply.error(errno(trouble)),
        }
    }
}
