//! The file list of v1 and hybrid torrents (BEP 3, BEP 47).

use bt_bencode::Dict;

use super::draft::{Draft, Fields};
use super::entry::RawPath;
use crate::error::Error;
use crate::layout::LayoutError;
use crate::limits::MAX_FILES;
use crate::warning::Warnings;

/// What the v1 keys of an info dictionary say about files.
pub(super) struct Files {
    pub(super) drafts: Vec<Draft>,
    /// Whether the torrent is one file, which bears its name.
    pub(super) single: bool,
}

/// Reads `files`, or else `length`.
pub(super) fn files(info: Dict<'_>, name: &[u8], warnings: &mut Warnings) -> Result<Files, Error> {
    let Some(list) = info.opt_list("files").map_err(Error::field("info"))? else {
        let path = RawPath::from_iter([name]);
        let mut draft = Fields::of(info).draft(info, path, &|| "info".into(), warnings)?;
        if draft.link.take().is_some() {
            warnings.ignored("info.symlink path", "a single file cannot lead to another");
        }
        return Ok(Files {
            drafts: vec![draft],
            single: true,
        });
    };
    if info.get("length").is_some() {
        warnings.ignored("info.length", "\"files\" stands beside it");
    }
    let mut drafts = Vec::new();
    for (i, item) in list.iter().enumerate() {
        let place = || format!("info.files[{i}]");
        let dict = item.dict().map_err(|error| Error::field(place())(error))?;
        let fields = Fields::of(dict);
        let path = fields.path(&place)?;
        let pathless = path.is_none();
        let draft = fields.draft(dict, path.unwrap_or_default(), &place, warnings)?;
        if pathless && !draft.attributes.pad {
            // Only pad files may do without (BEP 47); this lookup says that it is missing.
            dict.list("path")
                .map_err(|error| Error::field(place())(error))?;
        }
        if drafts.len() == MAX_FILES {
            return Err(LayoutError::TooManyFiles.into());
        }
        drafts.push(draft);
    }
    if drafts.iter().all(|draft| draft.attributes.pad) {
        return Err(Error::NoFiles);
    }
    Ok(Files {
        drafts,
        single: false,
    })
}
