//! The journal on a disk that loses power: writes that were not synced are dropped, reordered and torn, names come and go
//! in their order, and a sync may fail. Whatever happens, what is claimed is there, and what was durable is claimed.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use super::journal::{Journal, Notice};
use super::knowledge::{
    FileThen, HeaderError, IndexSet, Origin, Pending, Record, Settings, Stamp, Stand, spans,
};
use super::storage::{Folder, Storage};
use super::store::Store;
use crate::engine::parts::Rng;

#[path = "../../../../tests/platter.rs"]
mod platter;

use platter::{Failing, Platter};

const PIECE: usize = 3 * 512 + 100;
const PIECES: u32 = 24;
const TORRENTS: u32 = 2;

fn bytes_of(torrent: u32, piece: u32) -> Vec<u8> {
    let mut rng = Rng::new(u64::from(torrent) << 32 | u64::from(piece) | 1 << 63);
    (0..PIECE)
        .map(|_| rng.next().to_le_bytes()[3] | 1)
        .collect()
}

fn added(torrent: u32) -> Record {
    Record::Added {
        torrent,
        origin: Origin {
            info_hash: [u8::try_from(torrent).unwrap(); 20],
            device: 1,
            inode: 1,
            directory: b"/d".to_vec(),
        },
    }
}

/// A client that downloads, forgets, and loses its power.
struct Client {
    disk: Platter,
    journal: Journal<Platter>,
    pending: Pending,
    /// Of each torrent: written, whether durable or not.
    have: Vec<BTreeSet<u32>>,
    /// What was said to be durable.
    durable: Vec<BTreeSet<u32>>,
    now: Instant,
    rng: Rng,
    /// The disk fails now and then.
    fails: bool,
    /// The journal was removed, since it said too much; no other could be written yet.
    is_gone: bool,
    /// Records are written before their data is synced, which the checks must notice.
    wrong_order: bool,
}

impl Client {
    fn new(seed: u64, fails: bool) -> Self {
        let disk = Platter::default();
        let (mut journal, _) = Journal::open(disk.clone(), 400).unwrap();
        for torrent in 0..TORRENTS {
            disk.create(&format!("data-{torrent}")).unwrap();
            journal.write(&[added(torrent)]).unwrap();
        }
        disk.sync_names().unwrap();
        let sets = || vec![BTreeSet::new(); TORRENTS as usize];
        Self {
            disk,
            journal,
            pending: Pending::default(),
            have: sets(),
            durable: sets(),
            now: Instant::now(),
            rng: Rng::new(seed),
            fails,
            is_gone: false,
            wrong_order: false,
        }
    }

    fn pick(&mut self, below: u32) -> u32 {
        u32::try_from(self.rng.next() % u64::from(below)).unwrap()
    }

    /// From here on calls take time, and some may fail.
    fn depart(&mut self) {
        let failing = match self.pick(8) {
            _ if !self.fails => Failing::Nothing,
            0 | 1 => Failing::OneSync,
            2 => Failing::Syncs,
            3 => Failing::Writes,
            4 => Failing::Everything,
            _ => Failing::Nothing,
        };
        self.disk.depart(failing);
    }

    fn write(&mut self, torrent: u32, piece: u32, bytes: &[u8]) {
        let file = self.disk.open(&format!("data-{torrent}")).unwrap();
        let offset = u64::from(piece) * PIECE as u64;
        self.disk.write_at(&file, offset, bytes).unwrap();
    }

    fn step(&mut self) {
        let (what, torrent, piece) = (self.pick(16), self.pick(TORRENTS), self.pick(PIECES));
        let of = torrent as usize;
        match what {
            0..=8 => {
                if self.have[of].insert(piece) {
                    self.write(torrent, piece, &bytes_of(torrent, piece));
                    self.pending.note(self.now, torrent, piece, PIECE as u64);
                }
            }
            9..=11 => self.commit(),
            12 => self.forget(torrent, piece),
            13 if self.rng.next().is_multiple_of(2) => {
                self.depart();
                self.is_gone &= self.journal.checkpoint().is_err();
                self.disk.arrive();
            }
            13 => self.restart(),
            _ => self.cut(),
        }
    }

    fn commit(&mut self) {
        self.depart();
        let batch = self.pending.take();
        let disk = self.disk.clone();
        let wrong_order = self.wrong_order;
        let mut late = Vec::new();
        let (synced, failed) = batch.sync(|torrent, _| {
            let file = disk.open(&format!("data-{torrent}")).unwrap();
            if wrong_order {
                late.push(file);
                return Ok(());
            }
            disk.sync(&file)
        });
        for (torrent, pieces, _) in failed {
            // In doubt, and so not ours.
            for piece in pieces.iter() {
                self.have[torrent as usize].remove(&piece);
            }
        }
        if self.record(&synced.records()) && !wrong_order {
            for (torrent, pieces) in synced.iter() {
                self.durable[torrent as usize].extend(pieces.iter());
            }
        }
        if wrong_order && self.rng.next().is_multiple_of(2) {
            self.cut();
        } else {
            late.iter().for_each(|file| drop(disk.sync(file)));
        }
        self.disk.arrive();
    }

    /// As the client does it.
    fn record(&mut self, records: &[Record]) -> bool {
        let is_written = self.journal.write(records).is_ok();
        self.is_gone &= !is_written || records.is_empty();
        let says_too_much = |journal: &Journal<_>| (0..TORRENTS).any(|of| journal.overclaims(of));
        if !is_written && says_too_much(&self.journal) {
            let is_gone = self.journal.disclaim().is_ok();
            assert_eq!(is_gone, !says_too_much(&self.journal));
            self.is_gone |= is_gone;
        }
        is_written
    }

    /// What the journal claims of a torrent at the start, which is all that was durable, unless it had to be removed.
    fn claimed(&mut self, torrent: u32) -> BTreeSet<u32> {
        let hash = [u8::try_from(torrent).unwrap(); 20];
        if self.is_gone {
            self.journal.write(&[added(torrent)]).unwrap();
            self.durable[torrent as usize].clear();
        }
        let (number, known) = self.journal.known().find(hash).expect("torrents stay");
        assert_eq!(number, torrent);
        let claimed: BTreeSet<u32> = known.pieces.iter().collect();
        let durable = &self.durable[torrent as usize];
        assert!(durable.is_subset(&claimed), "a durable piece is lost");
        claimed
    }

    /// The program is killed and begins anew, and the power stays: what could not be synced is in memory still.
    fn restart(&mut self) {
        // A journal that cannot be opened is tried again by its owner.
        let mut open = || {
            self.depart();
            let opened = Journal::open(self.disk.clone(), 400).ok();
            self.disk.arrive();
            opened
        };
        let opened = (0..100).find_map(|_| open());
        self.journal = opened.expect("not all calls fail").0;
        self.pending = Pending::default();
        for torrent in 0..TORRENTS {
            let claimed = self.claimed(torrent);
            // An open journal is on the disk to stay.
            self.durable[torrent as usize].clone_from(&claimed);
            self.have[torrent as usize] = claimed;
        }
        self.is_gone = false;
    }

    /// The file is gone or changed: first the claim goes, then the bytes. If neither the claim nor the journal can go,
    /// the bytes stay as they are.
    fn forget(&mut self, torrent: u32, piece: u32) {
        let of = torrent as usize;
        if !self.durable[of].remove(&piece) {
            return;
        }
        let set: IndexSet = [piece].into_iter().collect();
        let pieces = spans(&set).remove(0);
        self.have[of].remove(&piece);
        self.depart();
        self.record(&[Record::Forgotten { torrent, pieces }]);
        self.disk.arrive();
        if !self.journal.overclaims(torrent) {
            self.write(torrent, piece, &vec![0; PIECE]);
        }
    }

    fn cut(&mut self) {
        let lot = &mut |below| self.rng.below(below);
        self.disk.crash(lot, true);
        self.pending = Pending::default();
        let (journal, notices) = Journal::open(self.disk.clone(), 400).unwrap();
        assert!(
            notices
                .iter()
                .all(|notice| !matches!(notice, Notice::Refused { .. } | Notice::Damaged { .. })),
            "a power cut leaves no foreign or damaged file: {notices:?}"
        );
        self.journal = journal;
        for torrent in 0..TORRENTS {
            let claimed = self.claimed(torrent);
            let data = self.disk.read(&format!("data-{torrent}")).unwrap().unwrap();
            for &piece in &claimed {
                let start = piece as usize * PIECE;
                let found = data.get(start..start + PIECE);
                assert!(
                    found == Some(&*bytes_of(torrent, piece)),
                    "piece {piece} of {torrent} is claimed and not there"
                );
            }
            // What was recorded though nobody was told is ours as well.
            self.durable[torrent as usize].clone_from(&claimed);
            self.have[torrent as usize] = claimed;
        }
        self.is_gone = false;
    }
}

/// `STATE_CUTS=100000` for a long run.
///
/// P1 and P2 of `docs/SECURITY.md`.
#[test]
fn no_power_cut_loses_a_durable_piece_or_claims_one_that_is_not_there() {
    let cuts = std::env::var("STATE_CUTS").map_or(2_000, |text| text.parse::<u64>().unwrap());
    let mut done = 0;
    let mut claimed = 0;
    for seed in 0.. {
        let mut client = Client::new(seed, seed % 2 == 1);
        for _ in 0..20 {
            for _ in 0..20 {
                client.step();
            }
            client.cut();
            done += 1;
            claimed += client.durable.iter().map(BTreeSet::len).sum::<usize>();
        }
        if done >= cuts {
            break;
        }
    }
    assert!(claimed as u64 > done, "the runs do get somewhere");
    println!("{done} cuts and more, {claimed} pieces claimed after them, all there");
}

/// What was taken back, and could not be recorded, on a disk that fails in this way; then the power goes. Gives whether a
/// start believes it.
fn is_believed_all_the_same(failing: Failing) -> bool {
    let (disk, pieces) = (Platter::default(), IndexSet::from_iter([3]));
    let span = || spans(&pieces).remove(0);
    let (torrent, pieces) = (0, span());
    let (mut journal, _) = Journal::open(disk.clone(), 400).unwrap();
    let verified = Record::Verified { torrent, pieces };
    journal.write(&[added(0), verified]).unwrap();
    disk.depart(failing);
    let pieces = span();
    let forgotten = Record::Forgotten { torrent, pieces };
    journal.write(&[forgotten]).unwrap_err();
    assert!(journal.overclaims(0) && !journal.overclaims(1));
    let is_gone = journal.disclaim().is_ok();
    assert_eq!(journal.overclaims(0), !is_gone);
    disk.arrive();
    disk.crash(&mut |_| 0, true);
    let (journal, notices) = Journal::open(disk, 400).unwrap();
    assert_eq!(notices, []);
    let known = journal.known().find([0; 20]);
    known.is_some_and(|(_, known)| known.pieces.contains(3))
}

/// P2 of `docs/SECURITY.md`.
#[test]
fn what_could_not_be_taken_back_is_not_believed_unless_nothing_can_be_changed_at_all() {
    assert!(!is_believed_all_the_same(Failing::Writes));
    assert!(!is_believed_all_the_same(Failing::Syncs));
    // Whoever is told so stops the torrent.
    assert!(is_believed_all_the_same(Failing::Everything));
}

#[test]
fn a_journal_that_was_removed_is_written_again_with_all_that_is_known() {
    let disk = Platter::default();
    let (mut journal, _) = Journal::open(disk.clone(), 400).unwrap();
    let set = |pieces: &[u32]| spans(&pieces.iter().copied().collect::<IndexSet>()).remove(0);
    let (torrent, pieces) = (0, set(&[3, 4]));
    journal
        .write(&[added(0), Record::Verified { torrent, pieces }])
        .unwrap();
    for failing in [Failing::Everything, Failing::Writes] {
        disk.depart(failing);
        let pieces = set(&[3]);
        journal
            .write(&[Record::Forgotten { torrent, pieces }])
            .unwrap_err();
        assert_eq!(journal.disclaim().is_ok(), failing == Failing::Writes);
        disk.arrive();
    }
    assert!(!disk.exists("journal").unwrap());
    journal.write(&[added(1)]).unwrap();
    disk.crash(&mut |_| 0, true);
    let (journal, _) = Journal::open(disk, 400).unwrap();
    let known = journal.known();
    let pieces = &known.find([0; 20]).unwrap().1.pieces;
    assert_eq!(pieces.iter().collect::<Vec<_>>(), [4]);
    assert!(known.find([1; 20]).is_some());
}

#[test]
fn a_record_before_its_data_would_be_noticed() {
    let wrong = |seed| {
        let mut client = Client::new(seed, false);
        client.wrong_order = true;
        (0..2_000).for_each(|_| client.step());
    };
    let caught = (0..5).any(|seed| std::panic::catch_unwind(|| wrong(seed)).is_err());
    assert!(caught, "the checks see nothing");
}

/// P4 of `docs/SECURITY.md`.
#[test]
fn a_journal_that_cannot_be_used_is_kept_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Journal::open(Folder::open(dir.path()).unwrap(), 1 << 20).unwrap();
    let path = dir.path().join("journal");
    let (mut journal, notices) = open();
    assert!(notices.is_empty());
    journal.write(&[added(0)]).unwrap();
    for piece in 0..50 {
        let set: IndexSet = [piece].into_iter().collect();
        let pieces = spans(&set).remove(0);
        journal
            .write(&[Record::Verified { torrent: 0, pieces }])
            .unwrap();
    }
    let whole = std::fs::read(&path).unwrap();

    // A torn end is cut off, and what comes after it is read the next time.
    std::fs::write(&path, &whole[..whole.len() - 5]).unwrap();
    let (mut journal, notices) = open();
    assert!(
        matches!(notices[..], [Notice::Torn { lost: 19, .. }]),
        "{notices:?}"
    );
    assert_eq!(journal.known().find([0; 20]).unwrap().1.pieces.len(), 49);
    journal.write(&[Record::Looked { torrent: 0 }]).unwrap();
    let (journal, notices) = open();
    assert!(notices.is_empty() && journal.known().find([0; 20]).unwrap().1.looked);

    // Damage inside: what was taken back there cannot be told, so nothing of pieces counts; the file is kept.
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x10;
    std::fs::write(&path, &damaged).unwrap();
    let (journal, notices) = open();
    assert!(
        matches!(&notices[..], [Notice::Damaged { aside, .. }] if aside == "journal.damaged-1")
    );
    let left = journal.known().find([0; 20]).unwrap().1;
    assert!(left.pieces.is_empty() && !left.looked);
    assert_eq!(left.origin.directory, b"/d", "where it is stays known");
    assert_eq!(
        std::fs::read(dir.path().join("journal.damaged-1")).unwrap(),
        damaged
    );

    // A later version and something else altogether.
    let mut later = whole.clone();
    later[8] = 9;
    for (bytes, error) in [
        (later, HeaderError::Version(9)),
        (b"hello".to_vec(), HeaderError::Foreign),
        (Vec::new(), HeaderError::Foreign),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let (journal, notices) = open();
        let [
            Notice::Refused {
                error: found,
                aside,
            },
        ] = &notices[..]
        else {
            panic!("{notices:?}");
        };
        assert_eq!(*found, error);
        assert_eq!(std::fs::read(dir.path().join(aside)).unwrap(), bytes);
        assert!(journal.known().find([0; 20]).is_none());
        drop(journal);
        assert!(open().1.is_empty(), "it is said once");
    }
}

/// P2 of `docs/SECURITY.md`.
#[test]
fn what_was_taken_back_behind_damage_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Journal::open(Folder::open(dir.path()).unwrap(), 1 << 20).unwrap();
    let span = |piece| spans(&IndexSet::from_iter([piece])).remove(0);
    let verified = |torrent, piece| Record::Verified {
        torrent,
        pieces: span(piece),
    };
    let path = dir.path().join("journal");
    let forgotten = Record::Forgotten {
        torrent: 0,
        pieces: span(3),
    };
    for taken_back in [forgotten, Record::Removed { torrent: 0 }] {
        std::fs::remove_file(&path).ok();
        let (mut journal, _) = open();
        journal.write(&[added(0), verified(0, 3)]).unwrap();
        let rotten = usize::try_from(journal.length()).unwrap() + 8;
        journal.write(&[verified(0, 4)]).unwrap();
        journal.write(&[taken_back]).unwrap();
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[rotten] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (journal, notices) = open();
        assert!(matches!(notices[..], [Notice::Damaged { .. }]));
        assert!(journal.known().find([0; 20]).unwrap().1.pieces.is_empty());
        drop(journal);
        let (journal, notices) = open();
        assert_eq!(notices, []);
        assert!(journal.known().find([0; 20]).unwrap().1.pieces.is_empty());
    }
}

#[test]
fn a_journal_that_is_too_large_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Journal::open(Folder::open(dir.path()).unwrap(), 1 << 20).unwrap();
    let file = std::fs::File::create(dir.path().join("journal")).unwrap();
    // A hole, which takes no room.
    file.set_len(crate::limits::MAX_STATE_BYTES + 1).unwrap();
    let (_, notices) = open();
    assert!(
        matches!(&notices[..], [Notice::TooLarge { aside }] if aside == "journal.damaged-1"),
        "{notices:?}"
    );
    assert_eq!(open().1, []);
}

#[test]
fn a_checkpoint_comes_by_itself_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(Folder::open(dir.path()).unwrap(), 2_000).unwrap();
    journal.write(&[added(0)]).unwrap();
    let stamp = Stamp {
        size: 1,
        seconds: 2,
        nanos: 3,
    };
    for file in 0..1_000 {
        journal
            .write(&[Record::Closed {
                torrent: 0,
                file: file % 10,
                stamp,
            }])
            .unwrap();
        assert!(journal.length() < 5_000, "it grows and grows");
    }
    let known = journal.known().clone();
    assert_eq!(
        known.find([0; 20]).unwrap().1.files[&9],
        FileThen::Closed(stamp)
    );
    journal.close().unwrap();
    drop(journal);
    let (journal, notices) = Journal::open(Folder::open(dir.path()).unwrap(), 2_000).unwrap();
    assert!(notices.is_empty() && journal.known().is_clean());
    assert_eq!(journal.known().find([0; 20]), known.find([0; 20]));
}

fn torrent(name: &str) -> bt_metainfo::Metainfo {
    let text = format!(
        "d4:infod6:lengthi5e4:name{}:{name}12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee",
        name.len()
    );
    bt_metainfo::Metainfo::parse(text.as_bytes()).unwrap()
}

/// P4 of `docs/SECURITY.md`.
#[test]
fn torrents_and_settings_are_found_again_or_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (torrent("one"), torrent("two"));
    let settings = Settings {
        stand: Stand {
            directory: b"/srv".to_vec(),
            ..Stand::default()
        },
        sequential: true,
        ..Settings::default()
    };
    let hash = |metainfo: &bt_metainfo::Metainfo| metainfo.info_hash_v1().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for metainfo in [&one, &two] {
        store.save(metainfo, &settings).unwrap();
        let origin = Origin {
            info_hash: *hash(metainfo).as_bytes(),
            device: 1,
            inode: 1,
            directory: b"/srv".to_vec(),
        };
        store.enroll(origin, false).unwrap();
    }
    assert!(matches!(
        Store::open(dir.path()),
        Err(super::StateError::Busy { .. })
    ));
    drop(store);

    let file = |metainfo, ending: &str| {
        dir.path()
            .join("torrents")
            .join(format!("{}{ending}", hash(metainfo)))
    };
    std::fs::write(file(&one, ".settings"), b"rubbish").unwrap();
    let store = Store::open(dir.path()).unwrap();
    let saved = store.torrents().unwrap();
    assert_eq!(saved.len(), 2, "the journal knows where the first one is");
    for found in &saved {
        assert_eq!(found.settings.stand.directory, b"/srv");
        assert_eq!(
            found.settings.sequential,
            hash(&found.metainfo) == hash(&two)
        );
    }
    let said = store.take_notices();
    assert!(
        said.len() == 1 && said[0].contains(".settings.damaged-1"),
        "{said:?}"
    );

    // Without a journal everything is hashed, and that is said.
    drop(store);
    std::fs::remove_file(dir.path().join("journal")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(store.take_notices()[0].contains("the journal is gone"));
    assert!(store.known(hash(&two)).is_none());
    assert_eq!(
        store.torrents().unwrap().len(),
        1,
        "nothing says where the first one is"
    );
    assert!(store.take_notices()[0].contains("add it again"));

    // A damaged torrent is kept for people, and the other one is here.
    std::fs::write(file(&one, ".torrent"), b"d4:infoe").unwrap();
    assert_eq!(store.torrents().unwrap().len(), 1);
    assert!(store.take_notices()[0].contains(".torrent.damaged-1"));
    store.remove(hash(&two)).unwrap();
    assert!(store.torrents().unwrap().is_empty());
}

#[test]
fn settings_that_cannot_be_read_are_not_taken_for_none() {
    let dir = tempfile::tempdir().unwrap();
    let one = torrent("one");
    let hash = one.info_hash_v1().unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.settings(hash).unwrap(), None);
    let settings = Settings {
        stand: Stand {
            directory: b"/srv".to_vec(),
            ..Stand::default()
        },
        paused: true,
        ..Settings::default()
    };
    store.save(&one, &settings).unwrap();
    // As a disk that fails: there is something, and it cannot be read.
    let place = dir.path().join("torrents");
    let path = place.join(format!("{hash}.settings"));
    std::fs::rename(&path, place.join("away")).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(store.settings(hash).is_err());
    assert!(
        store.torrents().unwrap().is_empty(),
        "it would begin unpaused"
    );
    let said = store.take_notices();
    assert!(said.len() == 1 && said[0].contains("left out"), "{said:?}");
    std::fs::remove_dir(&path).unwrap();
    std::fs::rename(place.join("away"), &path).unwrap();
    assert_eq!(store.settings(hash).unwrap(), Some(settings));
}

/// A full disk: nothing is made while the reserve is there.
#[derive(Clone)]
struct Full(Folder);

impl Storage for Full {
    type File = std::fs::File;

    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.0.read(name)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        self.0.exists(name)
    }

    fn create(&self, name: &str) -> io::Result<Self::File> {
        match self.0.exists("reserve")? {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.0.create(name),
        }
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.0.open(name)
    }

    fn write_at(&self, file: &Self::File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(file, offset, bytes)
    }

    fn set_len(&self, file: &Self::File, length: u64) -> io::Result<()> {
        self.0.set_len(file, length)
    }

    fn sync(&self, file: &Self::File) -> io::Result<()> {
        self.0.sync(file)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        self.0.sync_names()
    }
}

#[test]
fn a_journal_that_a_crash_has_left_is_opened_on_a_full_disk_with_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::open(dir.path()).unwrap();
    let origin = Origin {
        info_hash: [7; 20],
        device: 1,
        inode: 2,
        directory: b"/x".to_vec(),
    };
    let (mut journal, _) = Journal::open(folder.clone(), 1 << 20).unwrap();
    let added = Record::Added { torrent: 1, origin };
    journal.write(&[added]).unwrap();
    // As a process that is killed, and its reserve with it.
    drop(journal);
    std::mem::forget(super::reserve::Reserve::take(dir.path()));
    assert!(dir.path().join("reserve").exists());
    let full = Full(folder);
    let reserve = super::reserve::Reserve::take(dir.path());
    let (journal, notices) = super::store::open_journal(&reserve, &full).unwrap();
    assert_eq!(notices, []);
    assert!(journal.known().find([7; 20]).is_some());
    assert!(!dir.path().join("reserve").exists(), "it was spent");
}
