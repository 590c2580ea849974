//! Checks that `docs/SECURITY.md` names every bound of every `limits.rs`, and no bound that is none.
//!
//! It must never know what a figure means, nor whether the test that a row names is a good one.

use std::collections::BTreeMap;

use super::Finding;
use crate::scan::{line_of, words};
use crate::tree::Tree;

/// Where people read what input may cost.
const REGISTER: &str = "docs/SECURITY.md";

/// Every constant of a `limits.rs` stands in the register, and what stands there is a constant.
///
/// A name that several crates have must stand there as often as there are crates.
pub(super) fn bounds_are_listed(tree: &Tree, out: &mut Vec<Finding>) {
    let register = tree.get(REGISTER).map(|file| file.text());
    let named = names(register.unwrap_or_default(), |_| true);
    // Prose is no row.
    let rows = names(register.unwrap_or_default(), |line| line.starts_with('|'));
    let mut defined: BTreeMap<&str, usize> = BTreeMap::new();
    for (file, source) in tree.sources() {
        let is_of_limits = file.path.starts_with("crates/") && file.name() == "limits.rs";
        for (at, name) in constants(&source.code) {
            let times = defined.entry(name).or_default();
            // One of a type is no bound, but a name for a value of it.
            let line = source
                .code
                .get(..at)
                .and_then(|code| code.rsplit('\n').next());
            let is_of_a_type = line.is_some_and(|line| line.starts_with(' '));
            if !is_of_limits || is_of_a_type {
                continue;
            }
            *times += 1;
            if rows.get(name).map_or(0, Vec::len) < *times {
                out.push(Finding::at(
                    &file.path,
                    line_of(file.text(), at),
                    format!("{name} has no row of its own in {REGISTER}"),
                    "add a row: the input, the figure, the constant, and the test at the limit and one above",
                ));
            }
        }
    }
    for (name, lines) in &named {
        // A word such as `GET` may be anything.
        if name.contains('_') && !defined.contains_key(name) {
            out.push(Finding::at(
                REGISTER,
                lines.first().copied().unwrap_or_default(),
                format!("names {name}, and there is no such constant"),
                "correct the name, or take it out",
            ));
        }
    }
}

/// The names of constants in backticks on the lines that are `wanted`, with where they stand.
fn names(text: &str, wanted: impl Fn(&str) -> bool) -> BTreeMap<&str, Vec<usize>> {
    let mut found: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| wanted(line)) {
        for span in line.split('`').skip(1).step_by(2) {
            let is_name = span.bytes().any(|byte| byte.is_ascii_uppercase())
                && span
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
            if is_name {
                found.entry(span).or_default().push(number + 1);
            }
        }
    }
    found
}

/// The constants that a file defines, with where they stand.
fn constants(code: &str) -> impl Iterator<Item = (usize, &str)> {
    words(code, "const").filter_map(|at| {
        let rest = code.get(at + "const".len()..)?.trim_start();
        let name = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = name.into_iter().next()?;
        let is_name = name.bytes().any(|byte| byte.is_ascii_uppercase())
            && !name.bytes().any(|byte| byte.is_ascii_lowercase());
        is_name.then_some((at, name))
    })
}
