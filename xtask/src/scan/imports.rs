//! Expands `use` trees and finds paths written in place.

use super::words;

/// One path that a `use` item brings in, or one written in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// Path segments without renames: `use crate::net::{dial, Stream as S}` gives two of them.
    pub(crate) path: Vec<String>,
    /// Byte offset of the item (not of the segment).
    pub(crate) offset: usize,
    /// Whether the item is visible outside its module (`pub use`).
    pub(crate) public: bool,
}

impl Import {
    /// The path joined by `::`.
    pub(crate) fn joined(&self) -> String {
        self.path.join("::")
    }

    /// Whether the path starts with these segments.
    pub(crate) fn starts_with(&self, prefix: &[&str]) -> bool {
        self.path.len() >= prefix.len() && self.path.iter().zip(prefix).all(|(a, b)| a == b)
    }
}

/// All paths of all `use` items in a view without comments and literals.
pub(crate) fn imports(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for at in words(code, "use") {
        let Some(before) = code.get(..at) else {
            continue;
        };
        let lead = before.trim_end();
        // A path `r#use` or a precise-capturing bound `+ use<'a>` is no item.
        if lead.ends_with('#') || lead.ends_with('+') {
            continue;
        }
        let Some(tree) = code.get(at + 3..).and_then(|rest| rest.split(';').next()) else {
            continue;
        };
        if !tree.starts_with(char::is_whitespace) {
            continue;
        }
        let item = before.rsplit([';', '{', '}']).next().unwrap_or_default();
        let public = words(item, "pub").next().is_some();
        let mut paths = Vec::new();
        expand(tree.trim(), &[], &mut paths);
        found.extend(paths.into_iter().map(|path| Import {
            path,
            offset: at,
            public,
        }));
    }
    found
}

/// Appends every leaf of a `use` tree to `out`.
fn expand(tree: &str, prefix: &[String], out: &mut Vec<Vec<String>>) {
    let tree = tree.trim().trim_start_matches("::");
    if tree.is_empty() {
        return;
    }
    let Some(open) = tree.find('{') else {
        let mut path = prefix.to_vec();
        let without_rename = tree.split(" as ").next().unwrap_or(tree);
        path.extend(segments(without_rename));
        out.push(path);
        return;
    };
    let mut head = prefix.to_vec();
    head.extend(segments(tree.get(..open).unwrap_or_default()));
    let inner = tree.get(open + 1..).unwrap_or_default();
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    for part in split_top_level(inner) {
        expand(part, &head, out);
    }
}

fn segments(path: &str) -> impl Iterator<Item = String> + '_ {
    path.split("::")
        .map(str::trim)
        .filter(|segment| !segment.is_empty() && *segment != "self")
        .map(str::to_owned)
}

fn split_top_level(list: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut depth = 0_usize;
    let mut start = 0;
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.extend(list.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(list.get(start..));
    parts
}

/// Paths such as `crate::net::dial` or `super::x` written outside `use` items.
///
/// `root` is the first segment to look for.
pub(crate) fn inline_paths(code: &str, root: &str) -> Vec<Import> {
    let mut found = Vec::new();
    for at in words(code, root) {
        // The second `super` of `super::super::x` is part of the path that the first one opened.
        if code.get(..at).is_some_and(|before| before.ends_with("::")) {
            continue;
        }
        let rest = code.get(at..).unwrap_or_default();
        let text: String = rest
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
            .collect();
        if !text.contains("::") {
            continue;
        }
        let path: Vec<String> = segments(&text).collect();
        found.push(Import {
            path,
            offset: at,
            public: false,
        });
    }
    found
}
