//! The arithmetic of pieces, blocks and files: which bytes a number stands for.
//!
//! Knows lengths only: no names, no hashes, no disk. Every question has an answer for every
//! argument, so that numbers from a peer need no check before they are asked about.

mod extents;
mod parts;

use std::ops::Range;

use crate::index::{BLOCK_SIZE, BlockRef, FileIndex, PieceIndex};
use crate::limits::{MAX_FILES, MAX_PIECE_LENGTH, MAX_PIECES, MAX_TOTAL_LENGTH};

pub use extents::{Extent, Extents};
pub use parts::PartsMap;

/// How the bytes of a torrent are cut into pieces and laid over files.
///
/// All positions are in one space of bytes that starts at 0 with piece 0. In a v1 or hybrid
/// torrent the files lie in it end to end ([`Layout::new`]). In a v2 torrent every file starts at
/// a piece, and the bytes between its end and the next piece belong to nobody
/// ([`Layout::piece_aligned`], BEP 52); the last piece of each file is then short.
///
/// ```
/// use bt_metainfo::{FileIndex, Layout, PieceIndex};
///
/// let layout = Layout::new(32_768, [(50_000, false), (0, false), (10, false)])?;
/// assert_eq!(layout.piece_count(), 2);
/// assert_eq!(layout.piece_size(PieceIndex(1)), 50_010 - 32_768);
/// assert_eq!(layout.pieces_of_file(FileIndex(2)), 1..2);
/// let last = layout.block(PieceIndex(1), layout.block_count(PieceIndex(1)) - 1);
/// assert_eq!(last.to_string(), "piece 1 +16384 (858 bytes)");
/// # Ok::<(), bt_metainfo::LayoutError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// 1..=MAX_PIECE_LENGTH.
    piece_length: u32,
    /// 0..=MAX_PIECES.
    piece_count: u32,
    /// Sum of the lengths of all files.
    total_length: u64,
    /// Sum of the lengths of the pad files among them.
    pad_length: u64,
    /// Where the last byte ends; equal to `total_length` unless files are aligned.
    end: u64,
    /// Whether each file starts at a piece.
    aligned: bool,
    /// In the order of the torrent; offsets and ends never decrease.
    files: Box<[Span]>,
}

/// Where one file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    offset: u64,
    length: u64,
    pad: bool,
}

impl Span {
    /// One past the last byte.
    fn end(self) -> u64 {
        self.offset + self.length
    }
}

impl Layout {
    /// Lays files end to end, as v1 and hybrid torrents do (BEP 3).
    ///
    /// Each file is its length in bytes and whether it is a pad file (BEP 47).
    ///
    /// # Errors
    ///
    /// When a limit of [`limits`](crate::limits) is passed or the piece length is 0.
    pub fn new(
        piece_length: u32,
        files: impl IntoIterator<Item = (u64, bool)>,
    ) -> Result<Self, LayoutError> {
        Self::build(piece_length, files, false)
    }

    /// Lays each file at the start of a piece, as v2 torrents do (BEP 52).
    ///
    /// # Errors
    ///
    /// As [`Layout::new`].
    pub fn piece_aligned(
        piece_length: u32,
        files: impl IntoIterator<Item = (u64, bool)>,
    ) -> Result<Self, LayoutError> {
        Self::build(piece_length, files, true)
    }

    fn build(
        piece_length: u32,
        lengths: impl IntoIterator<Item = (u64, bool)>,
        aligned: bool,
    ) -> Result<Self, LayoutError> {
        if piece_length == 0 || piece_length > MAX_PIECE_LENGTH {
            return Err(LayoutError::PieceLength {
                found: u64::from(piece_length),
            });
        }
        let mut files = Vec::new();
        let (mut end, mut total_length, mut pad_length) = (0_u64, 0_u64, 0_u64);
        for (length, pad) in lengths {
            if files.len() == MAX_FILES {
                return Err(LayoutError::TooManyFiles);
            }
            let offset = if aligned && length > 0 {
                end.next_multiple_of(u64::from(piece_length))
            } else {
                end
            };
            // Both sums stay below 2^51 + 2^26 before the check, so nothing overflows.
            if length > MAX_TOTAL_LENGTH {
                return Err(LayoutError::TooLong);
            }
            end = offset + length;
            total_length += length;
            if end > MAX_TOTAL_LENGTH {
                return Err(LayoutError::TooLong);
            }
            if pad {
                pad_length += length;
            }
            files.push(Span {
                offset,
                length,
                pad,
            });
        }
        let pieces = end.div_ceil(u64::from(piece_length));
        let piece_count = u32::try_from(pieces)
            .ok()
            .filter(|&count| count <= MAX_PIECES)
            .ok_or(LayoutError::TooManyPieces { found: pieces })?;
        let files = files.into_boxed_slice();
        Ok(Self {
            piece_length,
            piece_count,
            total_length,
            pad_length,
            end,
            aligned,
            files,
        })
    }

    /// Bytes of every piece except short ones, 1 byte to 64 MiB.
    pub const fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// Bytes of all files, pad files included: the sum of the sizes of all pieces.
    pub const fn total_length(&self) -> u64 {
        self.total_length
    }

    /// Bytes of all files that people want, pad files left out.
    pub const fn content_length(&self) -> u64 {
        self.total_length - self.pad_length
    }

    /// Number of pieces; 0 when all files are empty.
    pub const fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// All pieces in order.
    pub fn pieces(
        &self,
    ) -> impl DoubleEndedIterator<Item = PieceIndex> + ExactSizeIterator + use<> {
        (0..self.piece_count).map(PieceIndex)
    }

    /// Bytes of one piece; 0 when there is no such piece.
    pub fn piece_size(&self, piece: PieceIndex) -> u32 {
        if piece.0 >= self.piece_count {
            return 0;
        }
        let start = self.piece_offset(piece);
        let end = if self.aligned {
            self.files
                .get(self.first_file_after(start))
                .map_or(self.end, |span| span.end())
        } else {
            self.end
        };
        let rest = end.saturating_sub(start);
        u32::try_from(rest).map_or(self.piece_length, |rest| rest.min(self.piece_length))
    }

    /// Position of the first byte of a piece, also of one that is out of range.
    pub fn piece_offset(&self, piece: PieceIndex) -> u64 {
        u64::from(piece.0) * u64::from(self.piece_length)
    }

    /// The piece that holds the byte at `offset`; `None` past the end.
    pub fn piece_at(&self, offset: u64) -> Option<PieceIndex> {
        let index = u32::try_from(offset / u64::from(self.piece_length)).ok()?;
        (offset < self.end).then_some(PieceIndex(index))
    }

    /// Number of blocks of one piece; 0 when there is no such piece.
    pub fn block_count(&self, piece: PieceIndex) -> u32 {
        self.piece_size(piece).div_ceil(BLOCK_SIZE)
    }

    /// The `n`th block of a piece, [`BLOCK_SIZE`] long unless it is the last one.
    ///
    /// Its length is 0 when there is no such block.
    pub fn block(&self, piece: PieceIndex, n: u32) -> BlockRef {
        let begin = n.saturating_mul(BLOCK_SIZE);
        let length = self.piece_size(piece).saturating_sub(begin).min(BLOCK_SIZE);
        BlockRef {
            piece,
            begin,
            length,
        }
    }

    /// All blocks of a piece in order.
    pub fn blocks(&self, piece: PieceIndex) -> impl DoubleEndedIterator<Item = BlockRef> + use<> {
        let size = self.piece_size(piece);
        (0..size.div_ceil(BLOCK_SIZE)).map(move |n| {
            let begin = n * BLOCK_SIZE;
            BlockRef {
                piece,
                begin,
                length: (size - begin).min(BLOCK_SIZE),
            }
        })
    }

    /// The number of the block that holds the byte at `begin` of a piece.
    pub const fn block_number(&self, begin: u32) -> u32 {
        begin / BLOCK_SIZE
    }

    /// Whether a block has at least one byte and lies wholly inside one piece of this torrent.
    ///
    /// It may start and end anywhere in the piece and be of any length; how much one request may
    /// ask for is a rule of the wire.
    pub fn contains(&self, block: BlockRef) -> bool {
        let size = self.piece_size(block.piece);
        block.length > 0 && block.begin < size && block.length <= size - block.begin
    }

    /// Whether a block is one of those that [`Layout::block`] gives.
    pub fn is_block(&self, block: BlockRef) -> bool {
        block.length > 0 && self.block(block.piece, self.block_number(block.begin)) == block
    }

    /// The parts of files that `length` bytes from `offset` cover, in order.
    ///
    /// Empty files are never among them and pad files always are. What lies past the end, or in
    /// no file, is left out. Finding the first costs O(log files), each one after it O(1) except
    /// behind a run of empty files.
    pub fn extents(&self, offset: u64, length: u64) -> Extents<'_> {
        Extents::new(&self.files, self.first_file_after(offset), offset, length)
    }

    /// The parts of files that a whole piece covers; none when there is no such piece.
    pub fn piece_extents(&self, piece: PieceIndex) -> Extents<'_> {
        self.extents(self.piece_offset(piece), u64::from(self.piece_size(piece)))
    }

    /// The parts of files that a block covers.
    ///
    /// A block that reaches outside its piece is cut at the end of the piece.
    pub fn block_extents(&self, block: BlockRef) -> Extents<'_> {
        let size = self.piece_size(block.piece);
        let length = block.length.min(size.saturating_sub(block.begin));
        self.extents(
            self.piece_offset(block.piece) + u64::from(block.begin),
            u64::from(length),
        )
    }

    /// Number of files, pad files and empty files included.
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// All files in order.
    pub fn files(&self) -> impl DoubleEndedIterator<Item = FileIndex> + use<> {
        let count = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        (0..count).map(FileIndex)
    }

    /// Bytes of a file; 0 when there is no such file.
    pub fn file_length(&self, file: FileIndex) -> u64 {
        self.span(file).map_or(0, |span| span.length)
    }

    /// Position of the first byte of a file; the end of the torrent when there is no such file.
    pub fn file_offset(&self, file: FileIndex) -> u64 {
        self.span(file).map_or(self.end, |span| span.offset)
    }

    /// Whether a file is padding: zeros that are neither stored nor asked for (BEP 47).
    pub fn is_pad(&self, file: FileIndex) -> bool {
        self.span(file).is_some_and(|span| span.pad)
    }

    /// Whether every file starts at a piece by rule, as in a v2 torrent.
    pub const fn is_piece_aligned(&self) -> bool {
        self.aligned
    }

    /// Whether a block need not be asked for: all of it is padding, and its piece has other bytes.
    pub fn is_padding(&self, block: BlockRef) -> bool {
        self.pad_length > 0
            && self
                .block_extents(block)
                .all(|extent| self.is_pad(extent.file))
            && self
                .piece_extents(block.piece)
                .any(|extent| !self.is_pad(extent.file))
    }

    /// The pieces that hold bytes of a file; empty for an empty file or none.
    pub fn pieces_of_file(&self, file: FileIndex) -> Range<u32> {
        let Some(span) = self.span(file) else {
            return self.piece_count..self.piece_count;
        };
        let piece_length = u64::from(self.piece_length);
        let number = |n: u64| {
            u32::try_from(n)
                .unwrap_or(self.piece_count)
                .min(self.piece_count)
        };
        let first = number(span.offset / piece_length);
        if span.length == 0 {
            return first..first;
        }
        first..number(span.end().div_ceil(piece_length))
    }

    fn span(&self, file: FileIndex) -> Option<Span> {
        self.files.get(usize::try_from(file.0).ok()?).copied()
    }

    /// The first file that ends behind `offset`. Because ends never decrease and an empty file
    /// ends where the file before it does, this is never an empty file.
    fn first_file_after(&self, offset: u64) -> usize {
        self.files.partition_point(|span| span.end() <= offset)
    }
}

/// Lengths that make no torrent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The piece length is 0 or above the limit.
    #[error("a piece length of {found} bytes is not between 1 and {MAX_PIECE_LENGTH}")]
    PieceLength {
        /// The length found, in bytes.
        found: u64,
    },
    /// The pieces are more than the limit.
    #[error("{found} pieces are more than the {MAX_PIECES} allowed")]
    TooManyPieces {
        /// How many there would be.
        found: u64,
    },
    /// The files are more than the limit.
    #[error("there are more than {MAX_FILES} files")]
    TooManyFiles,
    /// The files together are longer than the limit.
    #[error("the files together have more than {MAX_TOTAL_LENGTH} bytes")]
    TooLong,
}

#[cfg(test)]
mod tests;
