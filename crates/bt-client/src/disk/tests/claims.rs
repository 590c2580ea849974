//! Claims against a model that keeps a plain list of who has what, whatever comes in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use bt_metainfo::FileIndex;
use proptest::prelude::*;

use crate::disk::claims::{Claims, Holder, Inode, Use};

const CONTENTS: u64 = 3;
const FILES: u32 = 3;
const INODES: u64 = 5;

#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(Inode, Holder, Use),
    /// A copy is about to get the name of a file.
    Reserve(Inode, Holder),
    /// It has got it, or not.
    Settle(Inode, Holder, bool),
    Lower(Holder),
    Release(Inode, Holder),
    /// All files of a content are other ones now, as after a move.
    Move(u64, u64),
    Leave(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let inode = || (1..3_u64, 0..INODES);
    let holder = || {
        (0..CONTENTS, 0..FILES).prop_map(|(content, file)| Holder {
            content,
            file: FileIndex(file),
        })
    };
    let how = prop_oneof![Just(Use::Reading), Just(Use::Writing)];
    prop_oneof![
        6 => (inode(), holder(), how).prop_map(|(inode, holder, how)| Step::Enter(inode, holder, how)),
        3 => (inode(), holder()).prop_map(|(inode, holder)| Step::Reserve(inode, holder)),
        2 => (inode(), holder(), any::<bool>())
            .prop_map(|(inode, holder, got)| Step::Settle(inode, holder, got)),
        2 => holder().prop_map(Step::Lower),
        3 => (inode(), holder()).prop_map(|(inode, holder)| Step::Release(inode, holder)),
        1 => (0..CONTENTS, 0..INODES).prop_map(|(content, by)| Step::Move(content, by)),
        1 => (0..CONTENTS).prop_map(Step::Leave),
    ]
}

/// Who has what.
#[derive(Debug, Default)]
struct Model {
    /// The file that each is now.
    now: BTreeMap<Holder, (Inode, Use)>,
    /// Copies that are about to be files.
    reserved: BTreeMap<(Inode, Holder), Use>,
}

impl Model {
    /// Everybody who has a file, and for what.
    fn at(&self, inode: Inode) -> BTreeMap<Holder, Use> {
        let reserved = self.reserved.iter().filter(|((at, _), _)| *at == inode);
        let reserved = reserved.map(|((_, holder), how)| (*holder, *how));
        let now = self.now.iter().filter(|(_, (at, _))| *at == inode);
        reserved
            .chain(now.map(|(holder, (_, how))| (*holder, *how)))
            .collect()
    }

    fn is_anothers(&self, inode: Inode, content: u64) -> bool {
        self.at(inode)
            .keys()
            .any(|holder| holder.content != content)
    }

    fn enter(&mut self, inode: Inode, holder: Holder, how: Use) {
        let before = self.at(inode).get(&holder).copied();
        self.reserved.remove(&(inode, holder));
        let how = before.map_or(how, |before| before.max(how));
        self.now.insert(holder, (inode, how));
    }

    fn release(&mut self, inode: Inode, holder: Holder) {
        self.reserved.remove(&(inode, holder));
        if self.now.get(&holder).is_some_and(|(at, _)| *at == inode) {
            self.now.remove(&holder);
        }
    }

    fn leave(&mut self, content: u64) -> Vec<(FileIndex, Use)> {
        let of_it = |holder: &Holder| holder.content == content;
        let gone: Vec<_> = self.now.extract_if(.., |holder, _| of_it(holder)).collect();
        gone.into_iter()
            .map(|(holder, (_, how))| (holder.file, how))
            .collect()
    }
}

/// The claims and their model.
#[derive(Debug, Default)]
struct Both {
    claims: Claims,
    model: Model,
}

impl Both {
    fn enter(&mut self, inode: Inode, holder: Holder, how: Use) {
        let there = self.model.at(inode);
        let disturbs = |(other, used_for): (&Holder, &Use)| {
            other.content != holder.content && (how == Use::Writing || *used_for == Use::Writing)
        };
        let may = !there.iter().any(disturbs);
        match self.claims.enter(inode, holder, how) {
            Ok(()) => {
                assert!(may, "{holder:?} is the second one in {there:?}");
                self.model.enter(inode, holder, how);
            }
            Err(conflict) => {
                assert!(!may, "{holder:?} disturbs nobody in {there:?}");
                assert_eq!(there.get(&conflict.with), Some(&conflict.used_for));
                assert!(disturbs((&conflict.with, &conflict.used_for)));
            }
        }
    }

    fn leave(&mut self, content: u64) -> Vec<(FileIndex, Use)> {
        let left = self.claims.leave(content);
        assert_eq!(left, self.model.leave(content));
        left
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Enter(inode, holder, how) => self.enter(inode, holder, how),
            Step::Reserve(inode, holder) => {
                // A copy that has just been made is nobody else's.
                if self.model.is_anothers(inode, holder.content) {
                    return;
                }
                self.claims.reserve(inode, holder);
                if let Some((at, how)) = self.model.now.get(&holder)
                    && *at != inode
                {
                    self.model.reserved.insert((inode, holder), *how);
                }
            }
            Step::Settle(inode, holder, got) => {
                match self.model.reserved.get(&(inode, holder)).copied() {
                    Some(how) if got => self.enter(inode, holder, how),
                    Some(_) => self.take(Step::Release(inode, holder)),
                    None => {}
                }
            }
            Step::Lower(holder) => {
                self.claims.lower(holder);
                if let Some((_, how)) = self.model.now.get_mut(&holder) {
                    *how = Use::Reading;
                }
            }
            Step::Release(inode, holder) => {
                self.claims.release(inode, holder);
                self.model.release(inode, holder);
            }
            Step::Move(content, by) => {
                for (file, how) in self.leave(content) {
                    let inode = (9, content * INODES + (u64::from(file.0) + by) % INODES);
                    self.enter(inode, Holder { content, file }, how);
                }
            }
            Step::Leave(content) => {
                self.leave(content);
            }
        }
    }

    fn check(&self) {
        let devices = [1, 2].map(|device| (0..INODES).map(move |number| (device, number)));
        let moved = (0..CONTENTS * INODES).map(|number| (9, number));
        for inode in devices.into_iter().flatten().chain(moved) {
            let there = self.model.at(inode);
            let owners: BTreeSet<u64> = there.keys().map(|holder| holder.content).collect();
            let is_written = there.values().any(|how| *how == Use::Writing);
            assert!(!is_written || owners.len() == 1, "two owners: {there:?}");
            for content in 0..=CONTENTS {
                let others = there.keys().copied();
                let others: Vec<Holder> = others.filter(|other| other.content != content).collect();
                assert_eq!(self.claims.others(inode, content), others);
                assert_eq!(self.claims.other(inode, content), others.first().copied());
            }
        }
        for content in 0..CONTENTS {
            for file in (0..FILES).map(FileIndex) {
                let holder = Holder { content, file };
                let inode = self.model.now.get(&holder).map(|(inode, _)| *inode);
                assert_eq!(self.claims.inode(holder), inode, "{holder:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_file_has_one_owner_who_writes_and_none_is_kept_for_nobody(
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut both = Both::default();
        for step in steps {
            both.take(step);
            both.check();
        }
        // Copies that did not get their names are taken back, and everybody leaves.
        let reserved: Vec<_> = both.model.reserved.keys().copied().collect();
        for (inode, holder) in reserved {
            both.take(Step::Release(inode, holder));
        }
        for content in 0..CONTENTS {
            both.take(Step::Leave(content));
        }
        both.check();
        prop_assert!(both.claims.is_unused(), "{:?}", both.claims);
    }
}
