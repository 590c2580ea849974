//! Checks that documents speak of things that exist.

use super::Finding;
use crate::scan::line_of;
use crate::tree::{File, Tree};

/// The table of BEPs.
const BEPS: &str = "docs/BEPS.md";
/// Where extension messages live, one file each.
const EXTENSIONS: &str = "crates/bt-wire/src/ext/";
/// Documents that lead to files; a name that leads nowhere is worse than none.
const MAPS: [&str; 5] = [
    "docs/ARCHITECTURE.md",
    "docs/SECURITY.md",
    "docs/TESTING.md",
    "docs/how-to/",
    "crates/",
];
/// Recorded files, and the document that says where each comes from.
const FIXTURES: &str = "tests/fixtures/";

/// Relative links in Markdown lead to a file, and their anchors to a heading.
pub(super) fn links_resolve(tree: &Tree, out: &mut Vec<Finding>) {
    for file in tree.documents() {
        for (line, target) in links(file.text()) {
            let external = target.contains("://") || target.starts_with("mailto:");
            if external || target.is_empty() {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target.as_str(), ""));
            let full = resolve(&file.path, path);
            if !path.is_empty() && !tree.exists(&full) {
                out.push(Finding::at(
                    &file.path,
                    line,
                    format!("link to {target}, but there is no {full}"),
                    "correct the path; it is relative to the document",
                ));
                continue;
            }
            let goal = if path.is_empty() {
                Some(file)
            } else {
                tree.get(&full)
            };
            let Some(goal) = goal.filter(|goal| goal.path.ends_with(".md")) else {
                continue;
            };
            if !anchor.is_empty() && !anchors(goal).iter().any(|known| known == anchor) {
                out.push(Finding::at(
                    &file.path,
                    line,
                    format!("link to {target}, but {} has no such heading", goal.path),
                    "write the heading in lower case with - for blanks",
                ));
            }
        }
    }
}

/// A document named in a comment exists.
pub(super) fn mentioned_documents_exist(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        for (at, _) in source.comments.match_indices("docs/") {
            let before = source.comments.as_bytes().get(at.wrapping_sub(1));
            if before.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.')) {
                continue;
            }
            let rest = source.comments.get(at..).unwrap_or_default();
            let path: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '.'))
                .collect();
            let Some(end) = path.find(".md") else {
                continue;
            };
            let path = path.get(..end + 3).unwrap_or_default();
            if !tree.exists(path) {
                out.push(Finding::at(
                    &file.path,
                    line_of(file.text(), at),
                    format!("mentions {path}, which does not exist"),
                    "write the document or correct the name",
                ));
            }
        }
    }
}

/// Rows of the BEP table name files that exist, and every extension message has a row.
pub(super) fn bep_rows_name_real_files(tree: &Tree, out: &mut Vec<Finding>) {
    let Some(table) = tree.get(BEPS) else {
        out.push(Finding::file(
            BEPS,
            "the table of BEPs is missing",
            "write it: BEP, title, status, code file, test",
        ));
        return;
    };
    for (number, line) in table.text().lines().enumerate() {
        let first = line.trim().strip_prefix('|').map(str::trim_start);
        if !first.is_some_and(|cell| cell.starts_with(|c: char| c.is_ascii_digit())) {
            continue;
        }
        for path in backticked(line).filter(|span| span.contains('/')) {
            if !tree.exists(path) {
                out.push(Finding::at(
                    BEPS,
                    number + 1,
                    format!("names {path}, which does not exist"),
                    "name the file that implements or tests the BEP",
                ));
            }
        }
    }
    for file in &tree.files {
        let is_extension = file.path.starts_with(EXTENSIONS)
            && !matches!(file.name(), "mod.rs" | "tests.rs")
            && file.path.ends_with(".rs");
        if is_extension && !table.text().contains(&file.path) {
            out.push(Finding::file(
                &file.path,
                format!("has no row in {BEPS}"),
                "add the row; docs/how-to/add-an-extension-message.md has all the steps",
            ));
        }
    }
}

/// Source files that a map names in backticks exist, at least under some folder.
pub(super) fn maps_name_real_files(tree: &Tree, out: &mut Vec<Finding>) {
    for file in tree.documents() {
        if !MAPS.iter().any(|map| file.path.starts_with(map)) {
            continue;
        }
        for (number, line) in file.text().lines().enumerate() {
            for name in backticked(line) {
                let is_file = name.ends_with(".rs") && !name.contains(char::is_whitespace);
                if is_file && !leads_somewhere(tree, name) {
                    out.push(Finding::at(
                        &file.path,
                        number + 1,
                        format!("names {name}, and no file is called so"),
                        "correct the name; any ending of a path will do",
                    ));
                }
            }
        }
    }
}

/// Whether a path of the tree is `name` or ends with it.
fn leads_somewhere(tree: &Tree, name: &str) -> bool {
    let ending = format!("/{name}");
    let mut paths = tree.files.iter().map(|file| &file.path);
    paths.any(|path| path == name || path.ends_with(&ending))
}

/// Every recorded file says in the README beside it where it comes from.
pub(super) fn recordings_have_a_provenance(tree: &Tree, out: &mut Vec<Finding>) {
    for file in &tree.files {
        let Some(folder) = recordings_folder(&file.path) else {
            continue;
        };
        let name = file.path.get(folder.len() + 1..).unwrap_or_default();
        let readme = format!("{folder}/README.md");
        let known = tree.get(&readme).map(File::text).unwrap_or_default();
        if name != "README.md" && !known.contains(name) {
            out.push(Finding::file(
                &file.path,
                format!("is not listed in {readme}"),
                "add a row: what it is, which program made it, with which options",
            ));
        }
    }
}

/// The folder of recorded files in which a file lies: the shared one, or `tests/data` of a package.
fn recordings_folder(path: &str) -> Option<&str> {
    if path.starts_with(FIXTURES) {
        return Some(FIXTURES.trim_end_matches('/'));
    }
    let at = path
        .find("/tests/data/")
        .filter(|_| path.starts_with("crates/"))?;
    path.get(..at + "/tests/data".len())
}

/// Targets of `[text](target)` outside code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let in_code = line
                .get(..at)
                .is_some_and(|l| l.matches('`').count() % 2 == 1);
            let target = line.get(at + 2..).and_then(|rest| rest.split(')').next());
            if let Some(target) = target.filter(|_| !in_code) {
                let target = target.split_whitespace().next().unwrap_or_default();
                found.push((number + 1, target.trim_matches(['<', '>']).to_owned()));
            }
        }
    }
    found
}

/// A relative link from the document at `from`, without `.` and `..`.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if let Some(absolute) = link.strip_prefix('/') {
        return absolute.to_owned();
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return format!("(above the root) {link}"),
            ".." => {}
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchors that a Markdown renderer makes from headings.
fn anchors(file: &File) -> Vec<String> {
    let headings = file.text().lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            title
                .chars()
                .filter_map(|c| match c {
                    ' ' | '-' => Some('-'),
                    c if c.is_alphanumeric() || c == '_' => Some(c),
                    _ => None,
                })
                .collect()
        })
        .collect()
}

fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
