//! Checks on single source files: purpose, length, names, exports, leftovers.

use super::Finding;
use crate::scan::{functions, imports, line_of, words};
use crate::tree::Tree;

/// Production lines of a file: beyond this, two nouns share it.
const FILE_LINES: usize = 600;
/// Lines of a function from `fn` to its brace.
const FUNCTION_LINES: usize = 100;
/// Lines of an inline test module; longer ones move to `tests.rs`.
const INLINE_TEST_LINES: usize = 150;

/// Files that may be longer, each with its reason. Empty, and meant to stay so.
const LONG_FILES: [(&str, &str); 0] = [];
/// Functions that may be longer, as `path` and name, each with its reason.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// File names that gather what has no home.
const VAGUE_NAMES: [&str; 12] = [
    "utils", "util", "common", "misc", "helpers", "helper", "types", "prelude", "shared", "stuff",
    "global", "other",
];
/// Files that may carry a vague name, each with its reason.
const VAGUE_EXCEPTIONS: [(&str, &str); 1] = [(
    "crates/bt-client/src/daemon/api/types.rs",
    "the only home of serializable counterparts; the room's rule names it",
)];

/// The first line of every Rust file is `//!`.
pub(super) fn opens_with_its_purpose(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, _) in tree.sources() {
        if !file.text().starts_with("//!") {
            out.push(Finding::at(
                &file.path,
                1,
                "the file does not open with `//!`",
                "start it with a `//!` sentence: what it is for and what it must not know",
            ));
        }
    }
}

/// Production lines per file and lines per function stay within their limits.
pub(super) fn files_and_functions_are_short(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        if file.is_test {
            continue;
        }
        let lines = source.production_lines(file.text());
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        if lines > FILE_LINES && !excused {
            out.push(Finding::file(
                &file.path,
                format!("{lines} production lines, the limit is {FILE_LINES}"),
                "give the second noun in it a file of its own",
            ));
        }
        for function in functions(&source.production) {
            let excused = LONG_FUNCTIONS
                .iter()
                .any(|(path, name, _)| *path == file.path && *name == function.name);
            if function.lines > FUNCTION_LINES && !excused {
                out.push(Finding::at(
                    &file.path,
                    function.line,
                    format!(
                        "fn {} has {} lines, the limit is {FUNCTION_LINES}",
                        function.name, function.lines
                    ),
                    "name one of its steps and make that a function",
                ));
            }
        }
    }
}

/// A test module of some length lives in its own file.
pub(super) fn long_tests_have_their_own_file(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        if file.is_test {
            continue;
        }
        let all = file.text().lines().count();
        let in_tests = all.saturating_sub(source.production_lines(file.text()));
        if in_tests > INLINE_TEST_LINES {
            out.push(Finding::file(
                &file.path,
                format!("{in_tests} lines of inline tests, the limit is {INLINE_TEST_LINES}"),
                "write `#[cfg(test)] mod tests;` and move them to tests.rs in the room",
            ));
        }
    }
}

/// No file is called `utils` or the like, and modules are written as `room/mod.rs`.
pub(super) fn names_say_what_is_inside(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, _) in tree.sources() {
        let excused = VAGUE_EXCEPTIONS.iter().any(|(path, _)| *path == file.path);
        let stems = file.path.trim_end_matches(".rs").split('/');
        if let Some(vague) = stems.clone().find(|stem| VAGUE_NAMES.contains(stem))
            && !excused
        {
            out.push(Finding::file(
                &file.path,
                format!("`{vague}` does not say what is inside"),
                "name the file after the one noun it holds, or move its parts to their users",
            ));
        }
    }
}

/// No `pub use …::*`.
pub(super) fn no_glob_is_exported(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        for import in imports(&source.code) {
            if import.public && import.path.last().is_some_and(|last| last == "*") {
                out.push(Finding::at(
                    &file.path,
                    line_of(file.text(), import.offset),
                    format!("`pub use {}` exports whatever comes later", import.joined()),
                    "list the names: `pub use x::{A, B};`",
                ));
            }
        }
    }
}

/// `TODO` stands only as `TODO(#n)`; its cousins stand nowhere.
pub(super) fn todos_have_an_issue(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        for marker in ["TODO", "FIXME", "XXX", "HACK"] {
            for at in words(&source.comments, marker) {
                let rest = source.comments.get(at + marker.len()..).unwrap_or_default();
                if marker == "TODO" && has_issue(rest) {
                    continue;
                }
                // Text between backticks speaks about the marker.
                if source
                    .comments
                    .get(..at)
                    .is_some_and(|before| before.ends_with('`'))
                {
                    continue;
                }
                out.push(Finding::at(
                    &file.path,
                    line_of(file.text(), at),
                    format!("{marker} without an issue"),
                    "do it now, or file an issue and write TODO(#n): what is missing",
                ));
            }
        }
    }
}

fn has_issue(rest: &str) -> bool {
    let Some(inside) = rest
        .strip_prefix("(#")
        .and_then(|rest| rest.split(')').next())
    else {
        return false;
    };
    !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit())
}

/// No `todo!`, `unimplemented!` or `dbg!`.
pub(super) fn nothing_is_unfinished(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        for name in ["todo!", "unimplemented!", "dbg!"] {
            for at in words(&source.code, name) {
                out.push(Finding::at(
                    &file.path,
                    line_of(file.text(), at),
                    format!("`{name}` is left in"),
                    "finish it, or take the unfinished path out",
                ));
            }
        }
    }
}
