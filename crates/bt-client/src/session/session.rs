//! The session itself: one port, one disk, many torrents.

use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bt_metainfo::{FileIndex, InfoHash};
use bt_wire::PeerId;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::config::{AddTorrent, Check, SessionConfig};
use super::durable::Durable;
use super::events::{EventKind, EventStream, Events};
use super::member::{Member, Parts, Seat};
use super::selection::Selection;
use super::timers::Timers;
use super::torrent::Torrent;
use super::{chance, check, checks, clock, perform, relocate, resume, scrub, shares};
use crate::disk::{Allocation, Disk};
use crate::engine::{self, Command, Input, Priority, Source};
use crate::error::Error;
use crate::limits::AFTER_A_BUG;
use crate::net::{self, Buffers, Dialer, Host, Lobby, RateLimits, Tools};
use crate::state::Saved;
use crate::state::knowledge::Settings;

/// How our peer ids begin: `BT`, version 0.1.0.0 (BEP 20).
const PEER_ID_PREFIX: &str = "-BT0100-";

/// How long a goodbye to trackers may take in all.
const GOODBYE: Duration = Duration::from_secs(6);

/// What the parts of a session share.
pub(crate) struct Inner {
    pub(super) config: SessionConfig,
    pub(super) port: u16,
    pub(super) peer_id: PeerId,
    pub(super) tools: Tools,
    pub(super) disk: Disk,
    pub(super) timers: Timers,
    pub(super) events: Arc<Events>,
    pub(super) trackers: super::announce::Trackers,
    pub(super) checks: checks::Checks,
    pub(super) durable: Durable,
    members: Mutex<HashMap<InfoHash, Arc<Member>>>,
    runtime: Handle,
    cancel: CancellationToken,
}

/// What came of [`Session::restore`].
#[derive(Debug, Default)]
pub struct Restored {
    /// Those that run again.
    pub torrents: Vec<Torrent>,
    /// Those that could not begin, and why.
    pub failed: Vec<(InfoHash, Error)>,
}

/// A running client. Dropping it ends it abruptly; [`Session::stop`] ends it politely.
pub struct Session {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("port", &self.inner.port)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Binds the port and starts.
    ///
    /// # Errors
    /// If the port cannot be had, or the system gives us no threads.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or within one without I/O. Without time the tasks of the session panic.
    pub async fn start(config: SessionConfig) -> Result<Self, Error> {
        let listener =
            net::listen(config.port, config.bind, config.ipv4, config.ipv6).map_err(|source| {
                Error::Listen {
                    port: config.port,
                    source,
                }
            })?;
        let disk = Disk::start(config.memory_budget).map_err(Error::Threads)?;
        let dialer = Arc::new(Dialer::new(config.bind, config.ipv4, config.ipv6));
        let tools = Tools {
            dialer: Arc::clone(&dialer),
            buffers: Arc::new(Buffers::new(config.memory_budget)),
            budget: Arc::clone(disk.budget()),
            limits: Arc::new(RateLimits::new(
                clock::now(),
                config.down_rate,
                config.up_rate,
            )),
            places: Arc::new(net::Places::new(config.max_peers, descriptors())),
            bugs: Arc::clone(disk.bugs()),
            now: clock::now,
        };
        let trackers = super::announce::Trackers::new(dialer, &config, descriptors());
        let events = Arc::new(Events::new());
        let durable = Durable::start(
            config.state.clone(),
            Arc::clone(&events),
            Arc::clone(disk.bugs()),
        )
        .map_err(Error::Threads)?;
        let inner = Arc::new(Inner {
            port: listener.port(),
            peer_id: PeerId::generate(PEER_ID_PREFIX, chance::seed()),
            config,
            tools,
            disk,
            timers: Timers::default(),
            events,
            trackers,
            checks: checks::Checks::default(),
            durable,
            members: Mutex::default(),
            runtime: Handle::current(),
            cancel: CancellationToken::new(),
        });
        let callers = Arc::new(net::Callers::default());
        for socket in listener.into_sockets() {
            let (socket, callers, me) = (Arc::new(socket), Arc::clone(&callers), &inner);
            me.spawn_lasting(move |inner| accept(inner, Arc::clone(&socket), Arc::clone(&callers)));
        }
        inner.spawn_lasting(keep_time);
        if inner.config.up_rate.is_some() || inner.config.down_rate.is_some() {
            inner.spawn_lasting(shares::run);
        }
        if let Some(rate) = inner.config.scrub_rate {
            inner.spawn_lasting(move |inner| scrub::run(inner, rate));
        }
        Ok(Self { inner })
    }

    /// The port that peers can connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// News from now on.
    #[must_use]
    pub fn subscribe(&self) -> EventStream {
        self.inner.events.subscribe()
    }

    /// Adds a torrent; it begins at once, with a check where that is needed.
    ///
    /// # Errors
    /// If it is here already, or of a kind that cannot be downloaded, or its directory is not the one used before.
    pub async fn add(&self, add: AddTorrent) -> Result<Torrent, Error> {
        let inner = Arc::clone(&self.inner);
        // What is known is read and written where waiting is allowed.
        let work = move || inner.catch(|| inner.add(add));
        let added = tokio::task::spawn_blocking(work).await;
        added.unwrap_or(Err(Error::Stopped))
    }

    /// Adds the torrents of earlier runs that the session's state knows, with the settings they had. Content that was
    /// proven and that nobody has touched since is not hashed.
    ///
    /// # Errors
    /// If the state cannot be read. A torrent that cannot begin is among [`Restored::failed`].
    pub async fn restore(&self) -> Result<Restored, Error> {
        let inner = Arc::clone(&self.inner);
        let work = move || inner.catch(|| inner.restore());
        let restored = tokio::task::spawn_blocking(work).await;
        restored.unwrap_or(Err(Error::Stopped))
    }

    /// The torrents of the session.
    #[must_use]
    pub fn torrents(&self) -> Vec<Torrent> {
        self.inner
            .members()
            .values()
            .map(|member| Torrent {
                member: Arc::clone(member),
            })
            .collect()
    }

    /// How many bugs of this program have been met in this session. Each has stopped one torrent, one connection or one
    /// look at the disk, and was told of as an event where that could be; the rest goes on.
    #[must_use]
    pub fn bugs(&self) -> u64 {
        self.inner.disk.bugs().count()
    }

    /// Ends politely: announces `stopped`, closes every peer, finishes what the disk has begun.
    pub async fn stop(&self) {
        // What is proven is safe before anybody is waited for.
        self.inner.durable.hurry();
        let members: Vec<Arc<Member>> = self.inner.members().values().cloned().collect();
        let goodbyes = members.iter().map(async |member| {
            self.inner.leave(member).await;
            self.inner.free(member);
        });
        futures::future::join_all(goodbyes).await;
        self.inner.cancel.cancel();
        let inner = Arc::clone(&self.inner);
        // The disk threads are waited for where waiting is allowed.
        let ending = move || {
            // They read from the disk, and what they have found is recorded.
            inner.checks.end();
            inner.disk.stop();
            // What is on its way is ended before nothing can be kept any more.
            for member in members {
                drop(member.relocating.turn());
            }
            inner.durable.end();
        };
        let _ = tokio::task::spawn_blocking(ending).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.inner.cancel.cancel();
        for member in self.inner.members().values() {
            Torrent::cancel_check(member);
            member.relocating.cancel();
        }
        self.inner.checks.abandon();
        self.inner.disk.close();
        self.inner.durable.abandon();
    }
}

impl Inner {
    /// Runs a task until it ends or the session does. May be called on any thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (cancel, bugs) = (self.cancel.clone(), Arc::clone(self.disk.bugs()));
        let task = Box::pin(task);
        self.runtime.spawn(async move {
            tokio::select! {
                () = cancel.cancelled() => {}
                // Its end is all that a bug of ours in it means to others.
                _ = bugs.catch_in(task) => {}
            }
        });
    }

    /// Runs a task until the session ends. After a bug of ours it is begun anew, though not at once.
    fn spawn_lasting<F>(self: &Arc<Self>, task: impl Fn(Arc<Self>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let inner = Arc::clone(self);
        self.spawn(async move {
            while inner
                .disk
                .bugs()
                .catch_in(Box::pin(task(Arc::clone(&inner))))
                .await
                .is_err()
            {
                tokio::time::sleep(AFTER_A_BUG).await;
            }
        });
    }

    /// Does something that no torrent alone is to blame for, should a bug of ours be met in it.
    fn catch<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let done = self.disk.bugs().catch(work);
        done.unwrap_or_else(|bug| Err(Error::Bug(bug.cause().to_owned())))
    }

    pub(super) fn members_in_order(&self) -> Vec<Arc<Member>> {
        let mut members: Vec<Arc<Member>> = self.members().values().cloned().collect();
        members.sort_unstable_by_key(|member| member.info_hash);
        members
    }

    pub(super) fn members(&self) -> MutexGuard<'_, HashMap<InfoHash, Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, add: AddTorrent) -> Result<Torrent, Error> {
        let info_hash = add.metainfo.info_hash_v1().ok_or(Error::OnlyV2)?;
        if self.durable.has_broken_down() {
            let what = "pieces cannot be kept any more; start again".to_owned();
            return Err(Error::Bug(what));
        }
        let (place, is_open) = relocate::begin(self.durable.store(), &add, info_hash)?;
        let AddTorrent {
            metainfo,
            check,
            peers,
            only_files,
            sequential,
            allocation,
            priorities,
            paused,
            spread,
            dir,
            incomplete_dir,
            incomplete_suffix: _,
            looks,
        } = add;
        let layout = Arc::new(metainfo.info().layout().clone());
        let selection = Selection::new(&layout, only_files.as_deref(), &priorities)?;
        let mut config = engine::Config::new(info_hash, self.peer_id, chance::seed());
        if self.config.trackers {
            config.trackers = metainfo.trackers().to_vec();
        }
        config.private = metainfo.info().private();
        config.max_peers = self.config.max_peers;
        config.upload_slots = self.config.slots(1);
        config.down_rate = self.config.down_rate;
        config.families = self.tools.dialer.families();
        config.sequential = sequential;
        config.spread = spread.unwrap_or(check == Check::Trust);
        let mut settings = Settings {
            sequential,
            paused,
            spread,
            allocation: Some(allocation.into()),
            ..place
        };
        selection.note(&mut settings);
        let parts = Parts {
            settings,
            metainfo: Arc::new(metainfo),
            layout,
            engine: config,
            selection,
            spellings: std::iter::once(dir).chain(incomplete_dir).collect(),
        };
        let member = Member::new(self, parts);
        member.content.set_allocation(allocation);
        match self.members().entry(info_hash) {
            std::collections::hash_map::Entry::Occupied(_) => {
                return Err(Error::Duplicate(info_hash));
            }
            std::collections::hash_map::Entry::Vacant(place) => place.insert(Arc::clone(&member)),
        };
        let prepared = member.or_broken(|| {
            relocate::mend(&member, is_open, check)?;
            resume::prepare(&self.durable, &member, check)
        });
        let plan = match prepared {
            Ok(plan) => plan,
            Err(error) => {
                self.members().remove(&info_hash);
                return Err(error);
            }
        };
        self.events.send(info_hash, EventKind::Added);
        member.handle(Input::Candidates(Source::User, peers));
        if !priorities.is_empty() {
            let pieces = member.selection.pieces(&member.layout);
            member.handle(Input::Prioritize(pieces));
        }
        if paused {
            member.handle(Input::Command(Command::Pause));
        }
        member.contained(|| check::begin(&member, check, plan, &looks));
        Ok(Torrent { member })
    }

    fn restore(self: &Arc<Self>) -> Result<Restored, Error> {
        let mut restored = Restored::default();
        let Some(store) = self.durable.store() else {
            return Ok(restored);
        };
        for Saved { metainfo, settings } in store.torrents()? {
            let info_hash = metainfo.info_hash_v1();
            let directory = settings.goal.unwrap_or(settings.stand.directory);
            let directory = OsString::from_vec(directory);
            let as_wished = |files: Vec<u32>, priority| {
                let files = files.into_iter();
                files.map(move |file| (FileIndex(file), priority))
            };
            let mut priorities: Vec<_> = as_wished(settings.high, Priority::High).collect();
            priorities.extend(as_wished(settings.low, Priority::Low));
            let add = AddTorrent {
                only_files: settings
                    .only_files
                    .map(|files| files.into_iter().map(FileIndex).collect()),
                sequential: settings.sequential,
                allocation: settings
                    .allocation
                    .map(Allocation::from)
                    .unwrap_or_default(),
                priorities,
                paused: settings.paused,
                spread: settings.spread,
                ..AddTorrent::new(metainfo, PathBuf::from(directory))
            };
            let added = self.catch(|| self.add(add));
            match (added, info_hash) {
                (Ok(torrent), _) => restored.torrents.push(torrent),
                (Err(error), Some(info_hash)) => restored.failed.push((info_hash, error)),
                (Err(error), None) => tracing::warn!(%error, "a torrent cannot begin"),
            }
        }
        Ok(restored)
    }

    /// The torrent leaves for good, and its state goes with it, and its content as well if that is said. Until all of
    /// that is done it has its place, so that the same torrent cannot be added in between.
    pub(super) async fn remove(
        self: &Arc<Self>,
        member: &Arc<Member>,
        with_content: bool,
    ) -> Result<(), Error> {
        self.leave(member).await;
        let (inner, member) = (Arc::clone(self), Arc::clone(member));
        let forget = move || {
            let forgotten = inner.catch(|| inner.forget(&member, with_content));
            if matches!(forgotten, Err(Error::Bug(_))) {
                // Whatever is left of it: it can be added again.
                let _ = inner.catch(|| {
                    member.content.retire();
                    Ok(())
                });
                inner.free(&member);
            }
            forgotten
        };
        let forgotten = tokio::task::spawn_blocking(forget).await;
        forgotten.unwrap_or(Err(Error::Stopped))
    }

    fn forget(&self, member: &Arc<Member>, with_content: bool) -> Result<(), Error> {
        let _turn = member.relocating.turn();
        if !member.keep_nothing() {
            // Somebody else sees to it, or has.
            return Ok(());
        }
        relocate::forget(member);
        if let Some(number) = member.number.get() {
            self.durable.leave(member, *number);
        }
        if let Some(store) = self.durable.store()
            && let Err(error) = store.remove(member.info_hash)
        {
            self.durable.cannot_keep(member, &error);
        }
        let deleted = match with_content {
            true => member.content.delete(),
            false => Ok(()),
        };
        member.content.retire();
        self.free(member);
        Ok(deleted?)
    }

    async fn leave(&self, member: &Arc<Member>) {
        Torrent::cancel_check(member);
        member.relocating.cancel();
        member.handle(Input::Command(Command::Stop));
        perform::close_all(member);
        let goodbye = async {
            loop {
                let changed = member.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if member.engine().has_said_goodbye() {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
            tracing::warn!(torrent = %member.info_hash, "a tracker did not answer our goodbye in time");
        }
        member.content.close();
    }

    /// The torrent has left; another one may have its place.
    fn free(&self, member: &Arc<Member>) {
        let is_here = {
            let mut members = self.members();
            let place = members.get(&member.info_hash);
            let is_here = place.is_some_and(|here| Arc::ptr_eq(here, member));
            if is_here {
                members.remove(&member.info_hash);
            }
            is_here
        };
        if is_here {
            self.timers.set(member.info_hash, None);
            self.events.send(member.info_hash, EventKind::Removed);
        }
    }
}

impl Lobby for Inner {
    fn host(&self, info_hash: InfoHash) -> Option<Arc<dyn Host>> {
        let member = Arc::clone(self.members().get(&info_hash)?);
        Some(Arc::new(Seat(member)))
    }
}

/// How many files and connections the process may have open.
fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    })
}

/// Lets callers in until the session ends.
async fn accept(inner: Arc<Inner>, socket: Arc<net::Socketed>, callers: Arc<net::Callers>) {
    loop {
        match socket.accept().await {
            Ok((stream, addr)) => {
                let caller = callers.enter(addr.ip());
                let lobby: Arc<dyn Lobby> = Arc::clone(&inner) as Arc<dyn Lobby>;
                let tools = inner.tools.clone();
                inner.spawn(net::receive_caller(lobby, stream, addr, tools, caller));
            }
            Err(error) => {
                // Out of descriptors, mostly: the connections that are up go on, and accepting is tried again soon.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Wakes each torrent when it asked to be woken.
async fn keep_time(inner: Arc<Inner>) {
    loop {
        let (due, next) = inner.timers.take_due(clock::now());
        for info_hash in due {
            let member = inner.members().get(&info_hash).cloned();
            if let Some(member) = member {
                if inner.tools.budget.is_exhausted() {
                    member.handle(Input::HeldUp);
                }
                member.handle(Input::Timeout);
            }
        }
        let next = next.unwrap_or_else(|| clock::now() + Duration::from_secs(3600));
        tokio::select! {
            () = tokio::time::sleep_until(Instant::into(next)) => {}
            () = inner.timers.changed() => {}
        }
    }
}
