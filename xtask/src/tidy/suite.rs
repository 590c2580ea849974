//! Checks on the tests themselves: none is switched off, none waits by sleeping.

use super::Finding;
use crate::scan::{imports, line_of, words};
use crate::tree::Tree;

/// No attribute `ignore` anywhere, and no sleep in test code.
pub(super) fn tests_neither_sleep_nor_hide(tree: &Tree, out: &mut Vec<Finding>) {
    for (file, source) in tree.sources() {
        let text = file.text();
        for at in words(&source.code, "#[ignore") {
            out.push(Finding::at(
                &file.path,
                line_of(text, at),
                "the attribute `ignore` hides a test",
                "make it pass, delete it, or report it as left out (see docs/TESTING.md)",
            ));
        }
        let tests_only = file.is_test;
        // In a shipped file, what the production view lacks belongs to tests.
        let in_tests = |at: usize| {
            let shown = source.production.as_bytes().get(at);
            tests_only || shown.is_some_and(|&byte| byte == b' ')
        };
        let in_place = ["thread::sleep", "time::sleep"]
            .iter()
            .flat_map(|call| words(&source.code, call));
        let imported = imports(&source.code)
            .into_iter()
            .filter(|import| {
                import.starts_with(&["std", "thread", "sleep"])
                    || import.starts_with(&["tokio", "time", "sleep"])
            })
            .map(|import| import.offset);
        let mut lines: Vec<_> = in_place
            .chain(imported)
            .filter(|&at| in_tests(at) && !time_is_virtual(text, at))
            .map(|at| line_of(text, at))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        for line in lines {
            out.push(Finding::at(
                &file.path,
                line,
                "a test that sleeps",
                "wait for the event: a channel, an event stream, a ready line, a file that appears",
            ));
        }
    }
}

/// Whether the place lies in a test whose clock stands still until every task waits for it.
///
/// Such a test sleeps for no real time, and no machine is too slow for it.
fn time_is_virtual(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let attribute = before
        .rfind("#[tokio::test")
        .and_then(|start| before.get(start..));
    let attribute = attribute.and_then(|rest| rest.split(']').next());
    attribute.is_some_and(|attribute| attribute.contains("start_paused = true"))
}
