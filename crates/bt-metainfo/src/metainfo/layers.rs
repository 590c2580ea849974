//! The `piece layers` of v2 and hybrid torrents (BEP 52): hashes outside the info dictionary that
//! must fit the roots inside it.

use std::collections::BTreeMap;
use std::ops::Range;

use bt_bencode::{Dict, Value};

use crate::error::{Error, shown};
use crate::info::{FileEntry, Info, Version};
use crate::merkle;
use crate::warning::Warnings;

/// Finds the layer of every file of more than one piece and checks it against the file's root.
///
/// Returns where in the torrent each layer lies.
pub(super) fn checked(
    root: Dict<'_>,
    info: &Info,
    warnings: &mut Warnings,
) -> Result<BTreeMap<[u8; 32], Range<usize>>, Error> {
    let mut checked = BTreeMap::new();
    let found = root
        .opt_dict("piece layers")
        .map_err(Error::field("torrent"))?;
    if info.version() == Version::V1 {
        if found.is_some() {
            warnings.ignored("piece layers", "the torrent is of version 1");
        }
        return Ok(checked);
    }
    // One walk, because each lookup in a dictionary walks from its start.
    let layers: BTreeMap<&[u8], Value<'_>> = found.into_iter().flatten().collect();
    let piece_length = info.piece_length();
    for (file, entry) in (0_u32..).zip(info.files()) {
        let Some(pieces_root) = entry.pieces_root else {
            continue;
        };
        if entry.length <= u64::from(piece_length) {
            continue;
        }
        let broken = |reason| Error::PieceLayers {
            file,
            path: shown(entry.path.as_str()),
            reason,
        };
        let value = layers
            .get(pieces_root.as_slice())
            .ok_or_else(|| broken("it has no entry"))?;
        let layer = value
            .as_bytes()
            .ok_or_else(|| broken("its entry is not a string"))?;
        if layer.len() as u64 != bytes_of_layer(entry, piece_length) {
            return Err(broken(
                "its entry has not one hash of 32 bytes for each piece",
            ));
        }
        // Files with the same content share a root, and a torrent may have many of them.
        if checked.contains_key(&pieces_root) {
            continue;
        }
        if merkle::root_of_layer(layer.as_chunks().0, piece_length) != pieces_root {
            return Err(broken("its hashes do not add up to the \"pieces root\""));
        }
        let end = value.offset() + value.raw().len();
        checked.insert(pieces_root, end - layer.len()..end);
    }
    if layers.len() > checked.len() {
        warnings.ignored(
            "piece layers",
            "some entries belong to no file of more than one piece",
        );
    }
    Ok(checked)
}

fn bytes_of_layer(entry: &FileEntry, piece_length: u32) -> u64 {
    entry
        .length
        .div_ceil(u64::from(piece_length))
        .saturating_mul(32)
}
