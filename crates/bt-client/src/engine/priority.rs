//! How much a file or a piece is wanted.

/// Four classes; a piece of a higher one is asked for before any of a lower one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Not wanted.
    Skip,
    /// After everything else.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before everything else.
    High,
}

impl Priority {
    /// The classes that are asked for, the most urgent first.
    pub(crate) const WANTED: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// Its place in [`Priority::WANTED`]; pieces that are skipped stand behind the others.
    pub(crate) fn rank(self) -> usize {
        match self {
            Self::High => 0,
            Self::Normal => 1,
            Self::Low | Self::Skip => 2,
        }
    }
}
