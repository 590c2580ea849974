//! One torrent of a session: the engine behind its lock, and what surrounds it.
//!
//! Every entry follows the same steps: lock the engine, hand in the news, take the outputs, unlock, perform them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use bt_metainfo::{FileIndex, InfoHash, Layout, Metainfo, PieceIndex};
use bt_wire::{Config, Event, Message, ext};
use bytes::Bytes;
use tokio::sync::Notify;

use super::account::Standing;
use super::breakdown::Breakdown;
use super::clock;
use super::relocate::{self, Relocating};
use super::selection::Selection;
use super::session::Inner;
use crate::contain::{Bug, Bugs};
use crate::disk::{Content, DiskError, Done, Fault};
use crate::engine::{
    self, Command, Input, Outputs, PeerInfo, PeerKey, PieceVerdict, Priority, Refusal, State,
    Torrent as Engine, Trouble, TroubleKind,
};
use crate::error::Error;
use crate::limits::{OUR_REQQ, RECEIVE_BUFFER};
use crate::net::{Host, Mailbox};
use crate::state::knowledge::Settings;
use crate::state::{StateError, Store};

/// See the module.
pub(crate) struct Member {
    pub(super) session: Weak<Inner>,
    pub(super) me: Weak<Self>,
    pub(super) bugs: Arc<Bugs>,
    pub(super) breakdown: Breakdown,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) layout: Arc<Layout>,
    pub(super) info_hash: InfoHash,
    pub(super) content: Arc<Content>,
    pub(super) selection: Selection,
    engine: Mutex<Engine>,
    pub(super) mailboxes: Mutex<BTreeMap<PeerKey, Arc<Mailbox>>>,
    pub(super) checking: Mutex<Option<super::check::Checking>>,
    /// Something that a waiter may look at has changed.
    pub(super) changed: Notify,
    introduction: Config,
    /// Its number where pieces become durable; set once, before it begins.
    pub(super) number: OnceLock<u32>,
    /// What its owner decided, as it is kept.
    settings: Mutex<Settings>,
    /// Held while they are written, so that the newest are written last. True once the torrent has left for good: what
    /// is written then would bring it back.
    saving: Mutex<bool>,
    pub(super) spellings: Vec<PathBuf>,
    pub(super) relocating: Relocating,
    /// What is wanted is where it is wanted on the disk, files without bytes included.
    prepared: AtomicBool,
    /// All that is wanted is here, and nobody has been told yet, since it may not be on the disk to stay.
    pub(super) owes_completion: AtomicBool,
    /// Losses that are known, but not yet to the engine; counted by `recheck::UnderWay`.
    pub(super) losses: AtomicUsize,
    /// It has failed, was resumed, and goes on when what is in doubt was read back.
    pub(super) is_mending: AtomicBool,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Member")
            .field("info_hash", &self.info_hash)
            .finish_non_exhaustive()
    }
}

/// What a member is made of.
pub(super) struct Parts {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) layout: Arc<Layout>,
    pub(super) engine: engine::Config,
    pub(super) selection: Selection,
    pub(super) settings: Settings,
    /// Directories as the owner spells them, which is what messages are to say.
    pub(super) spellings: Vec<PathBuf>,
}

impl Member {
    pub(super) fn new(session: &Arc<Inner>, parts: Parts) -> Arc<Self> {
        let info_hash = parts.engine.info_hash;
        let pieces = parts.layout.piece_count();
        let mut introduction = Config::new(info_hash, session.peer_id, Some(pieces));
        introduction.max_requests = OUR_REQQ as usize;
        Arc::new_cyclic(|me: &Weak<Self>| {
            let (own, me) = (Weak::clone(me), Weak::clone(me));
            let report = Box::new(move |done| {
                if let Some(member) = me.upgrade() {
                    member.disk_says(done);
                }
            });
            let (metainfo, layout) = (Arc::clone(&parts.metainfo), Arc::clone(&parts.layout));
            let site = relocate::site(&parts.settings.stand, &parts.spellings);
            let content = Content::new(&session.disk, metainfo, layout, site, report);
            Self {
                session: Arc::downgrade(session),
                me: own,
                bugs: Arc::clone(session.disk.bugs()),
                breakdown: Breakdown::default(),
                info_hash,
                engine: Mutex::new(Engine::new(
                    clock::now(),
                    parts.engine,
                    Arc::clone(&parts.layout),
                    parts.selection.wanted_pieces(&parts.layout),
                )),
                metainfo: parts.metainfo,
                layout: parts.layout,
                content,
                selection: parts.selection,
                mailboxes: Mutex::default(),
                checking: Mutex::default(),
                changed: Notify::new(),
                introduction,
                number: OnceLock::new(),
                settings: Mutex::new(parts.settings),
                saving: Mutex::default(),
                spellings: parts.spellings,
                relocating: Relocating::default(),
                prepared: AtomicBool::new(false),
                owes_completion: AtomicBool::new(false),
                losses: AtomicUsize::new(0),
                is_mending: AtomicBool::new(false),
            }
        })
    }

    /// Hands one piece of news in and performs what follows.
    pub(crate) fn handle(self: &Arc<Self>, input: Input) {
        self.contained(|| self.turn(input));
    }

    fn turn(self: &Arc<Self>, input: Input) {
        let mut out = Outputs::new();
        let now = clock::now();
        let is_the_end = matches!(input, Input::Command(Command::Stop));
        {
            let mut engine = self.engine();
            if self.is_broken() && !is_the_end {
                return;
            }
            #[cfg(test)]
            if matches!(input, Input::Timeout) {
                self.breakdown.planted.timer.goes_off();
            }
            engine.handle(now, input, &mut out);
            self.pass_on(&engine, &mut out, None);
        }
        self.perform(out);
    }

    pub(crate) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(|poisoned| {
            self.engine.clear_poison();
            self.mended(poisoned.into_inner())
        })
    }

    /// Every piece reported so far would survive a power cut.
    pub(super) fn is_durable(&self) -> bool {
        self.standing() == Standing::Settled && self.prepared.load(Ordering::Relaxed)
    }

    /// How safe the pieces are that were reported so far.
    pub(super) fn standing(&self) -> Standing {
        match (self.session.upgrade(), self.number.get()) {
            (Some(session), Some(number)) => session.durable.standing(*number),
            _ => Standing::Gone,
        }
    }

    /// The content is where it is to be when it is complete, and whoever waited for that has been told.
    pub(super) fn is_home(&self) -> bool {
        self.settings().goal.is_none() && !self.owes_completion.load(Ordering::Relaxed)
    }

    /// Content that others vouch for has nothing to prepare.
    pub(super) fn is_prepared(&self) {
        self.prepared.store(true, Ordering::Relaxed);
    }

    pub(crate) fn state(&self) -> State {
        self.engine().state()
    }

    /// Has the disk hold what is wanted where it is wanted.
    pub(super) fn prepare(&self) -> Result<(), DiskError> {
        self.prepare_and_keep().0
    }

    /// The same, and whether it is kept which bytes lie among the parts by now. If it is not, nothing more is recorded.
    pub(super) fn prepare_and_keep(&self) -> (Result<(), DiskError>, Result<(), Error>) {
        let files = self.selection.files();
        let priority = |file: FileIndex| files.get(file.0 as usize).copied();
        let is_wanted = |file| priority(file).is_some_and(|priority| priority != Priority::Skip);
        let mut kept = Ok(());
        let selected = self.content.select(is_wanted, |absent| {
            kept = self.keep_absent(absent.iter().map(|file| file.0).collect());
            kept.is_ok()
        });
        self.prepared.store(selected.is_ok(), Ordering::Relaxed);
        (selected, kept)
    }

    /// Notes at once of which files bytes lie among the parts: they are about to be written by it, and what is recorded
    /// of them is read by it in the next run. Without this note nothing is recorded any more.
    fn keep_absent(&self, absent: Vec<u32>) -> Result<(), Error> {
        {
            let mut settings = self.settings();
            if settings.absent == absent {
                return Ok(());
            }
            settings.absent = absent;
        }
        let saved = self.save_now();
        if let (Err(Error::State(error)), Some(session)) = (&saved, self.session.upgrade()) {
            if let Some(&number) = self.number.get() {
                session.durable.mute(number);
            }
            session.durable.cannot_keep(self, error);
        }
        saved
    }

    /// What outlives the session.
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what outlives the session; it is written by the thread that commits.
    pub(super) fn keep(self: &Arc<Self>, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings());
        let member = Arc::clone(self);
        if let Some(session) = self.session.upgrade()
            && session.durable.store().is_some()
        {
            session.durable.after_commit(move || {
                member.contained(|| member.save());
            });
        }
    }

    /// Nothing of it is kept from now on. False if that has been said before.
    pub(super) fn keep_nothing(&self) -> bool {
        let mut is_gone = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut *is_gone, true)
    }

    fn save(&self) {
        if let Err(Error::State(error)) = self.save_now()
            && let Some(session) = self.session.upgrade()
        {
            session.durable.cannot_keep(self, &error);
        }
    }

    /// Writes what outlives the session. When it returns, it survives a power cut.
    pub(super) fn save_now(&self) -> Result<(), Error> {
        let session = self.session.upgrade().ok_or(Error::Stopped)?;
        let Some(store) = session.durable.store() else {
            return Ok(());
        };
        Ok(self.save_in(store)?)
    }

    /// The same for whoever has the store.
    pub(super) fn save_in(&self, store: &Store) -> Result<(), StateError> {
        let is_gone = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_gone {
            return Ok(());
        }
        // Taken under the lock: whoever writes later writes what is newer.
        let settings = self.settings().clone();
        store.save(&self.metainfo, &settings)
    }

    /// The picture for people, with what the engine cannot know.
    pub(crate) fn status(&self, now: Instant) -> engine::Status {
        let engine = self.engine();
        #[cfg(test)]
        self.breakdown.planted.status.goes_off();
        let mut status = engine.status(now);
        drop(engine);
        if let Some(checking) = &*self.checking.lock().unwrap_or_else(PoisonError::into_inner) {
            status.checking = Some(checking.progress());
        }
        status
    }

    /// Leaves the orders among `out` in the mailboxes of their peers, and sets the alarm. It takes the locked engine to
    /// show that it is called under the lock: two threads must not deliver a choke and an unchoke in the wrong order,
    /// or overwrite an earlier alarm by a later one. `own` is the peer whose task calls: it needs no waking.
    fn pass_on(&self, engine: &Engine, out: &mut Outputs, own: Option<PeerKey>) {
        if let Some(session) = self.session.upgrade() {
            session.timers.set(self.info_hash, engine.poll_timeout());
        }
        let mailboxes = self
            .mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        super::perform::deliver(&mailboxes, out, own);
    }

    /// What is to be done after the engine was unlocked.
    fn perform(self: &Arc<Self>, out: Outputs) {
        if out.is_empty() || self.is_broken() && self.state() != State::Stopped {
            return;
        }
        if let Some(session) = self.session.upgrade() {
            super::perform::perform(&session, self, out);
        }
    }

    fn disk_says(self: &Arc<Self>, done: Done) {
        self.contained(|| self.hear(done));
    }

    fn hear(self: &Arc<Self>, done: Done) {
        match done {
            Done::Good { piece, digests } => {
                self.note(piece);
                self.handle(Input::PieceChecked(piece, PieceVerdict::Good { digests }));
            }
            Done::Bad { piece, digests } => {
                self.handle(Input::PieceChecked(piece, PieceVerdict::Bad { digests }))
            }
            Done::Failed(error) => self.disk_failed(&error),
            Done::Broken(words) => self.breaks(&Bug::of(words)),
        }
    }

    /// A piece verified and is written: it is to become durable.
    pub(super) fn note(&self, piece: PieceIndex) {
        if self.is_broken() {
            return;
        }
        if let (Some(session), Some(number)) = (self.session.upgrade(), self.number.get()) {
            let bytes = u64::from(self.layout.piece_size(piece));
            session.durable.note(*number, piece, bytes);
        }
    }

    /// Pieces of it are lost, and what says that they are here can neither be corrected nor removed: nothing is fetched in
    /// their place, since a start after a power cut would believe whatever is there.
    pub(super) fn cannot_take_back(&self, error: &StateError) {
        if let Some(member) = self.me.upgrade() {
            member.handle(Input::StorageFailed(Trouble {
                kind: TroubleKind::Broken,
                message: format!("what is lost cannot be recorded: {error}"),
                hint: error.hint().to_owned(),
            }));
        }
    }

    pub(super) fn disk_failed(self: &Arc<Self>, error: &DiskError) {
        if let (Some(session), Some(&number)) = (self.session.upgrade(), self.number.get()) {
            // Whichever thread has seen it: what that sync was to cover is not to be recorded.
            if error.is_final() {
                session.durable.suspect(number);
            }
            self.disown(&session, number);
        }
        let kind = match error.fault() {
            // A failed sync is final: the system has dropped what it could not write, whatever the reason.
            Fault::Full if error.action != "sync" => TroubleKind::Full,
            _ => TroubleKind::Broken,
        };
        self.handle(Input::StorageFailed(Trouble {
            kind,
            message: error.to_string(),
            hint: error.hint().to_owned(),
        }));
    }
}

impl Member {
    /// Files were taken away while we wrote to them: what was proven of them is in doubt as well.
    fn disown(self: &Arc<Self>, session: &Inner, number: u32) {
        if !self.content.has_lost_files() {
            return;
        }
        let member = Arc::clone(self);
        session.durable.after_commit(move || {
            member.contained(|| {
                let gone = member.content.take_gone();
                if let Some(session) = member.session.upgrade()
                    && !gone.is_empty()
                {
                    session.durable.disown(number, &gone);
                }
            });
        });
    }
}

/// [`Host`] for a shared member: the calls need the `Arc` to hand on.
pub(crate) struct Seat(pub(crate) Arc<Member>);

impl Seat {
    fn open(&self, info: PeerInfo, mailbox: &Arc<Mailbox>) -> Result<PeerKey, Refusal> {
        let mut out = Outputs::new();
        let now = clock::now();
        let key = {
            let mut engine = self.0.engine();
            if self.0.is_broken() {
                return Err(Refusal::NotActive);
            }
            let key = engine.open(now, info, &mut out);
            if let Ok(key) = key {
                let mut mailboxes = self
                    .0
                    .mailboxes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                mailboxes.insert(key, Arc::clone(mailbox));
            }
            self.0.pass_on(&engine, &mut out, key.ok());
            key
        };
        self.0.perform(out);
        key
    }

    fn take(&self, peer: PeerKey, read: usize, events: &mut Vec<Event>) {
        let mut out = Outputs::new();
        let mut blocks = Vec::new();
        let now = clock::now();
        {
            let mut engine = self.0.engine();
            if self.0.is_broken() {
                return;
            }
            for event in events.drain(..) {
                match event {
                    Event::Message(Message::Piece { block, data }) => {
                        let keep = engine.block(now, peer, block, &mut out);
                        blocks.extend(keep.then_some((block, data)));
                    }
                    Event::Message(message) => {
                        tracing::trace!(%peer, message = message.name(), "received");
                        engine.handle(now, Input::Message(peer, message), &mut out);
                    }
                    Event::ExtensionHandshake(handshake) => {
                        if let Some(reqq) = handshake.max_requests {
                            engine.handle(now, Input::PeerQueues(peer, reqq), &mut out);
                        }
                        if let Some(port) = handshake.port {
                            engine.handle(now, Input::PeerListens(peer, port), &mut out);
                        }
                        if let Some(only) = handshake.upload_only {
                            let message = ext::Message::UploadOnly(ext::UploadOnly(only));
                            engine.handle(now, Input::Extension(peer, message), &mut out);
                        }
                    }
                    Event::Extension(message) => {
                        engine.handle(now, Input::Extension(peer, message), &mut out);
                    }
                    // Refused requests were answered by the connection.
                    _ => {}
                }
            }
            engine.handle(now, Input::Flush(peer), &mut out);
            self.0.pass_on(&engine, &mut out, Some(peer));
        }
        if !blocks.is_empty() {
            let kept: usize = blocks.iter().map(|(_, data)| data.len()).sum();
            if kept < read / 2 || kept < RECEIVE_BUFFER / 2 {
                // A block in the middle of chatter, or of a read that was short, would keep a whole buffer, and the budget
                // knows of the block alone. Peers that fill buffers are spared the copy.
                for (_, data) in &mut blocks {
                    *data = Bytes::copy_from_slice(data);
                }
            }
            self.0.content.store(blocks);
        }
        self.0.perform(out);
    }
}

impl Host for Seat {
    fn introduction(&self) -> Config {
        self.0.introduction.clone()
    }

    fn extension_handshake(&self, peer: SocketAddr) -> ext::Handshake {
        let session = self.0.session.upgrade();
        let mut handshake = ext::Handshake::offering(ext::Ext::ALL);
        handshake.client = Some(concat!("bt-client ", env!("CARGO_PKG_VERSION")).to_owned());
        handshake.port = session.map(|session| session.port);
        handshake.max_requests = Some(OUR_REQQ);
        handshake.your_ip = Some(peer.ip());
        handshake.upload_only = self.0.engine().is_upload_only().then_some(true);
        handshake
    }

    fn opened(&self, info: PeerInfo, mailbox: &Arc<Mailbox>) -> Result<PeerKey, Refusal> {
        let refused = Err(Refusal::NotActive);
        self.0
            .contained(|| self.open(info, mailbox))
            .unwrap_or(refused)
    }

    fn received(&self, peer: PeerKey, read: usize, events: &mut Vec<Event>) {
        self.0.contained(|| self.take(peer, read, events));
    }

    fn uploaded(&self, peer: PeerKey, bytes: u64) {
        self.0.handle(Input::Uploaded(peer, bytes));
    }

    fn closed(&self, peer: PeerKey) {
        self.0
            .mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&peer);
        self.0.handle(Input::PeerClosed(peer));
    }

    fn dial_failed(&self, addr: SocketAddr) {
        self.0.handle(Input::DialFailed(addr));
    }

    fn dialed_ourselves(&self, addr: SocketAddr) {
        self.0.handle(Input::DialedOurselves(addr));
    }

    fn dial_put_off(&self, addr: SocketAddr) {
        self.0.handle(Input::DialPutOff(addr));
    }

    fn crowded(&self) {
        self.0.handle(Input::Crowded);
    }

    fn is_active(&self) -> bool {
        self.0.engine().is_active()
    }

    fn is_needy(&self) -> bool {
        self.0.engine().state() == State::Downloading
    }

    fn content_failed(&self, error: DiskError) {
        self.0.disk_failed(&error);
    }

    fn content(&self) -> &Arc<Content> {
        &self.0.content
    }
}
