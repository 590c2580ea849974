//! How much a caller is willing to read.

use std::sync::Arc;

use crate::error::Error;
use crate::info::{self, Info};
use crate::limits::{MAX_FILE_BYTES, MAX_TOKENS};
use crate::metainfo::Metainfo;

/// How to parse, for callers with wishes.
///
/// ```
/// use bt_metainfo::ParseOptions;
///
/// let torrent = b"d4:infod6:lengthi0e4:name1:a12:piece lengthi16384e6:pieces0:ee";
/// assert!(ParseOptions::default().max_file_bytes(10).parse(torrent).is_err());
/// assert!(ParseOptions::default().max_file_bytes(100 << 20).parse(torrent).is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ParseOptions {
    max_file_bytes: usize,
    layers_required: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: MAX_FILE_BYTES,
            layers_required: true,
        }
    }
}

impl ParseOptions {
    /// Bytes of the whole torrent that are allowed; [`MAX_FILE_BYTES`] unless set.
    ///
    /// More memory and time are spent in proportion.
    #[must_use]
    pub const fn max_file_bytes(mut self, bytes: usize) -> Self {
        self.max_file_bytes = bytes;
        self
    }

    /// Whether v2 files of more than one piece must have their layer, as BEP 52 demands. A
    /// torrent that came as an info dictionary has none yet, and may be edited all the same.
    #[must_use]
    pub(crate) const fn layers_required(mut self, required: bool) -> Self {
        self.layers_required = required;
        self
    }

    /// As [`Metainfo::parse`].
    ///
    /// # Errors
    ///
    /// As [`Metainfo::parse`].
    pub fn parse(&self, torrent: &[u8]) -> Result<Metainfo, Error> {
        self.check_size(torrent)?;
        Metainfo::from_source(&Arc::from(torrent), self.bencode(), self.layers_required)
    }

    /// As [`Info::parse`].
    ///
    /// # Errors
    ///
    /// As [`Info::parse`].
    pub fn parse_info(&self, raw: &[u8]) -> Result<Info, Error> {
        self.check_size(raw)?;
        let source: Arc<[u8]> = raw.into();
        let parsed = self
            .bencode()
            .parse_prefix(&source)
            .map_err(Error::Bencode)?;
        let (offset, count) = (parsed.consumed, source.len() - parsed.consumed);
        if count > 0 {
            // The hash that the caller compares is that of all bytes that came.
            return Err(Error::TrailingBytes { offset, count });
        }
        let dict = parsed.value.dict().map_err(Error::Bencode)?;
        info::parse(&source, dict, &parsed.irregularities)
    }

    fn check_size(&self, bytes: &[u8]) -> Result<(), Error> {
        let (found, limit) = (bytes.len(), self.max_file_bytes);
        if found > limit {
            Err(Error::TooLarge { found, limit })
        } else {
            Ok(())
        }
    }

    fn bencode(&self) -> bt_bencode::Options {
        // Whoever allows larger files allows more in them too.
        let scale = self.max_file_bytes.div_ceil(MAX_FILE_BYTES).max(1);
        let limits = bt_bencode::Limits {
            max_tokens: MAX_TOKENS.saturating_mul(scale),
            ..bt_bencode::Limits::default()
        };
        bt_bencode::Options::lenient().limits(limits)
    }
}
