//! Which files are wanted and how much, and what that means for pieces.
//!
//! It must not know what is here already.

use std::sync::{Arc, Mutex, PoisonError};

use bt_metainfo::{FileIndex, Layout, PieceIndex};
use bt_wire::Bitfield;

use super::member::Member;
use crate::engine::{Input, Priority};
use crate::error::Error;
use crate::state::knowledge::Settings;

/// The wishes of the owner, file by file.
#[derive(Debug)]
pub(super) struct Selection {
    wishes: Mutex<Wishes>,
    /// Held while new wishes are kept, so that those that cannot be kept are taken back before others come.
    changing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct Wishes {
    /// One entry a file.
    files: Vec<Priority>,
    /// Counts changes.
    edition: u64,
}

impl Selection {
    /// All files as usual, or only those in `only`; what `wishes` says of some of them comes on top.
    ///
    /// # Errors
    /// If one of them does not exist.
    pub(super) fn new(
        layout: &Layout,
        only: Option<&[FileIndex]>,
        wishes: &[(FileIndex, Priority)],
    ) -> Result<Self, Error> {
        let of_others = match only {
            Some(_) => Priority::Skip,
            None => Priority::Normal,
        };
        let selection = Self {
            wishes: Mutex::new(Wishes {
                files: vec![of_others; layout.file_count()],
                edition: 0,
            }),
            changing: Mutex::default(),
        };
        let chosen = only.unwrap_or_default().iter();
        let chosen: Vec<_> = chosen.map(|file| (*file, Priority::Normal)).collect();
        selection.change(&chosen)?;
        selection.change(wishes)?;
        Ok(selection)
    }

    fn change(&self, wishes: &[(FileIndex, Priority)]) -> Result<(), Error> {
        let mut now = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut files = now.files.clone();
        for (file, priority) in wishes {
            let place = files.get_mut(file.0 as usize);
            *place.ok_or(Error::NoSuchFile(file.0))? = *priority;
        }
        now.files = files;
        now.edition += 1;
        Ok(())
    }

    /// The wishes that there were.
    fn take_back(&self, files: Vec<Priority>) {
        let mut now = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        now.files = files;
        now.edition += 1;
    }

    fn wishes(&self) -> Wishes {
        let wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        wishes.clone()
    }

    /// How often the wishes have changed.
    pub(super) fn edition(&self) -> u64 {
        self.wishes().edition
    }

    /// The wishes as they are kept.
    pub(super) fn note(&self, settings: &mut Settings) {
        let files = self.files();
        let are = |which: &dyn Fn(Priority) -> bool| {
            let numbered = (0..).zip(&files).filter(|(_, priority)| which(**priority));
            numbered.map(|(file, _)| file).collect::<Vec<u32>>()
        };
        settings.only_files = files
            .contains(&Priority::Skip)
            .then(|| are(&|priority| priority != Priority::Skip));
        settings.high = are(&|priority| priority == Priority::High);
        settings.low = are(&|priority| priority == Priority::Low);
    }

    /// What is wanted of each piece.
    pub(super) fn pieces(&self, layout: &Layout) -> Vec<Priority> {
        pieces(layout, &self.files())
    }

    /// What is wanted of each file.
    pub(super) fn files(&self) -> Vec<Priority> {
        self.wishes().files
    }

    /// Pieces that hold bytes of wanted files.
    pub(super) fn wanted_pieces(&self, layout: &Layout) -> Bitfield {
        let mut wanted = Bitfield::new(layout.piece_count());
        for (piece, priority) in (0..).zip(self.pieces(layout)) {
            if priority != Priority::Skip {
                wanted.set(PieceIndex(piece));
            }
        }
        wanted
    }
}

/// Each piece is wanted as much as the most wanted file in it.
fn pieces(layout: &Layout, files: &[Priority]) -> Vec<Priority> {
    let mut pieces = vec![Priority::Skip; layout.piece_count() as usize];
    for (file, priority) in layout.files().zip(files) {
        // Padding is there for the sake of the file before it.
        if layout.is_pad(file) {
            continue;
        }
        for piece in layout.pieces_of_file(file) {
            if let Some(place) = pieces.get_mut(piece as usize) {
                *place = (*place).max(*priority);
            }
        }
    }
    pieces
}

/// Keeps new wishes and has them obeyed: first on the disk, where a file that is wanted now takes over its parts, then
/// in the engine. Blocks the thread.
pub(super) fn change(member: &Arc<Member>, wishes: &[(FileIndex, Priority)]) -> Result<(), Error> {
    if member.session.strong_count() == 0 {
        return Err(Error::Stopped);
    }
    {
        let changing = &member.selection.changing;
        let _alone = changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = member.selection.files();
        member.selection.change(wishes)?;
        member.selection.note(&mut member.settings());
        if let Err(error) = member.save_now() {
            member.selection.take_back(before);
            member.selection.note(&mut member.settings());
            return Err(error);
        }
    }
    obey(member)
}

/// Has the wishes obeyed that there are, because the disk could not do it before.
pub(super) fn obey_again(member: &Arc<Member>) {
    if let Some(session) = member.session.upgrade() {
        let member = Arc::clone(member);
        session.disk.run(move || {
            if let Some(Err(error)) = member.contained(|| obey(&member)) {
                tracing::warn!(torrent = %member.info_hash, %error, "where parts lie is not kept");
            }
        });
    }
}

/// What the disk refuses becomes the state of the torrent; that it was not kept where parts lie is the error.
fn obey(member: &Arc<Member>) -> Result<(), Error> {
    let mut kept = Ok(());
    loop {
        let Wishes { files, edition } = member.selection.wishes();
        // While it is not known yet what is here, nothing is moved; that is done when it is.
        if member.engine().is_checked() {
            let (prepared, is_kept) = member.prepare_and_keep();
            if let Err(error) = prepared {
                member.disk_failed(&error);
            }
            kept = is_kept;
        }
        member.handle(Input::Prioritize(pieces(&member.layout, &files)));
        // Wishes that came meanwhile may have been obeyed by another thread before these: the newest count.
        if member.selection.wishes().edition == edition {
            return kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Selection, pieces};
    use crate::engine::Priority::{High, Low, Normal, Skip};
    use crate::state::knowledge::Settings;
    use bt_metainfo::{FileIndex, Layout};

    #[test]
    fn a_piece_is_wanted_as_much_as_the_most_wanted_file_in_it() {
        let files = [(15, false), (5, false), (10, false), (5, true), (5, false)];
        let layout = Layout::new(10, files).unwrap();
        assert_eq!(
            pieces(&layout, &[Low, High, Skip, High, Skip]),
            [Low, High, Skip, Skip]
        );
        let selection = Selection::new(&layout, Some(&[FileIndex(2)]), &[]).unwrap();
        let wanted = selection.wanted_pieces(&layout);
        assert_eq!(
            wanted.iter_ones().map(|piece| piece.0).collect::<Vec<_>>(),
            [2]
        );
        assert_eq!(selection.files(), [Skip, Skip, Normal, Skip, Skip]);
        assert!(
            selection
                .change(&[(FileIndex(0), High), (FileIndex(5), High)])
                .is_err()
        );
        assert_eq!(selection.files()[0], Skip, "all or nothing");
        assert!(Selection::new(&layout, Some(&[FileIndex(5)]), &[]).is_err());

        let wishes = [(FileIndex(0), High), (FileIndex(4), Low)];
        let of_some = Selection::new(&layout, Some(&[FileIndex(2)]), &wishes).unwrap();
        let mut settings = Settings::default();
        of_some.note(&mut settings);
        let kept = (settings.only_files, settings.high, settings.low);
        assert_eq!(kept, (Some(vec![0, 2, 4]), vec![0], vec![4]));
        let mut settings = Settings::default();
        let all = Selection::new(&layout, None, &[]).unwrap();
        all.note(&mut settings);
        assert_eq!(settings, Settings::default());
    }
}
