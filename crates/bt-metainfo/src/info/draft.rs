//! Files as both versions read them, before their paths are made safe.

use bt_bencode::{Dict, Value};

use super::entry::{Attributes, RawPath};
use crate::error::Error;
use crate::warning::Warnings;

/// One file, with its path still raw.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: RawPath,
    pub(super) length: u64,
    pub(super) attributes: Attributes,
    /// Where the link leads, below the torrent's directory.
    pub(super) link: Option<RawPath>,
    pub(super) md5sum: Option<Box<str>>,
    pub(super) sha1: Option<Box<[u8; 20]>>,
    pub(super) pieces_root: Option<[u8; 32]>,
}

/// The fields that may stand in the description of a file, whatever the version.
#[derive(Default)]
pub(super) struct Fields<'a> {
    attr: Option<Value<'a>>,
    length: Option<Value<'a>>,
    md5sum: Option<Value<'a>>,
    path: Option<Value<'a>>,
    path_utf8: Option<Value<'a>>,
    pub(super) pieces_root: Option<Value<'a>>,
    sha1: Option<Value<'a>>,
    symlink_path: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    /// Takes all fields in one walk, because a torrent may have a million files.
    pub(super) fn of(dict: Dict<'a>) -> Self {
        let mut fields = Self::default();
        for (key, value) in dict {
            let field = match key {
                b"attr" => &mut fields.attr,
                b"length" => &mut fields.length,
                b"md5sum" => &mut fields.md5sum,
                b"path" => &mut fields.path,
                b"path.utf-8" => &mut fields.path_utf8,
                b"pieces root" => &mut fields.pieces_root,
                b"sha1" => &mut fields.sha1,
                b"symlink path" => &mut fields.symlink_path,
                _ => continue,
            };
            field.get_or_insert(value);
        }
        fields
    }

    /// The path of a v1 file: the one in UTF-8 if it is well formed, because the other may be in
    /// any encoding. `None` when there is neither.
    pub(super) fn path(&self, place: &dyn Fn() -> String) -> Result<Option<RawPath>, Error> {
        if let Some(path) = self.path_utf8.and_then(Value::as_list)
            && !path.is_empty()
            && path.iter().all(|name| name.str().is_ok())
        {
            return Ok(Some(path.iter().filter_map(Value::as_bytes).collect()));
        }
        let Some(path) = self.path else {
            return Ok(None);
        };
        let wrong = |error: bt_bencode::Error| Error::field(place())(error.at_key("path"));
        let list = path.list().map_err(wrong)?;
        list.iter()
            .map(Value::bytes)
            .collect::<Result<RawPath, _>>()
            .map(Some)
            .map_err(wrong)
    }

    /// Makes the draft of a file from its fields.
    ///
    /// `dict` is where they come from, for errors; `place` is made only when it is needed.
    pub(super) fn draft(
        &self,
        dict: Dict<'a>,
        path: RawPath,
        place: &dyn Fn() -> String,
        warnings: &mut Warnings,
    ) -> Result<Draft, Error> {
        let (attributes, is_link) = match self.attr.map(Value::bytes) {
            None => (Attributes::default(), false),
            Some(Ok(letters)) => Attributes::from_letters(letters),
            Some(Err(_)) => {
                warnings.ignored(format!("{}.attr", place()), "it is not a string");
                (Attributes::default(), false)
            }
        };
        let length = match self.length {
            // BEP 47 lets links do without.
            None if is_link => 0,
            None => dict.u64("length").map_err(Error::field(place()))?,
            Some(length) => length
                .u64()
                .map_err(|error| Error::field(place())(error.at_key("length")))?,
        };
        let mut link = None;
        if is_link {
            link = self
                .symlink_path
                .and_then(Value::as_list)
                .and_then(|path| path.iter().map(Value::as_bytes).collect());
            if link.is_none() {
                warnings.ignored(
                    format!("{}.attr", place()),
                    "a link needs a \"symlink path\"",
                );
            } else if length > 0 {
                warnings.ignored(
                    format!("{}.attr", place()),
                    "a link has no bytes of its own",
                );
                link = None;
            }
        }
        Ok(Draft {
            path,
            length,
            attributes,
            link,
            md5sum: self.md5sum(),
            sha1: self
                .sha1
                .and_then(Value::as_bytes)
                .and_then(|sha1| sha1.try_into().ok())
                .map(Box::new),
            pieces_root: None,
        })
    }

    /// What is wrong with the length of a file, unless it is a link and has none.
    pub(super) fn length_fault(&self) -> Option<&'static str> {
        let is_link = self
            .attr
            .and_then(Value::as_bytes)
            .is_some_and(|attr| attr.contains(&b'l'));
        match self.length {
            None if is_link => None,
            None => Some("\"length\" is missing"),
            Some(length) => length
                .u64()
                .is_err()
                .then_some("\"length\" is not a number from 0 up"),
        }
    }

    /// Hints that are no MD5 are not worth a word.
    fn md5sum(&self) -> Option<Box<str>> {
        let text = str::from_utf8(self.md5sum?.as_bytes()?).ok()?.trim();
        let is_md5 = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_md5.then(|| text.to_ascii_lowercase().into())
    }
}
