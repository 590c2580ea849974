//! `cargo xtask tidy`: the rules of this tree that neither the compiler nor Clippy knows.
//!
//! Each check is a function from the tree to findings, and every finding says how to mend it. A
//! check must never read the disk itself, so that its tests are snippets.

mod docs;
mod files;
mod limits;
mod manifests;
mod rooms;
mod source;
mod suite;
mod targets;
mod threads;
mod unsafety;

#[cfg(test)]
mod tests;

use crate::layers;
use crate::tree::{self, Tree};

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, relative to the root.
    pub(crate) path: String,
    /// 1-based; 0 when the whole file is meant.
    pub(crate) line: usize,
    /// What is wrong here.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) fix: &'static str,
}

impl Finding {
    /// A finding about one line.
    pub(crate) fn at(path: &str, line: usize, what: impl Into<String>, fix: &'static str) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
            fix,
        }
    }

    /// A finding about a file as a whole.
    pub(crate) fn file(path: &str, what: impl Into<String>, fix: &'static str) -> Self {
        Self::at(path, 0, what, fix)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.path, self.what)?;
        } else {
            write!(f, "{}:{}: {}", self.path, self.line, self.what)?;
        }
        write!(f, "\n    fix: {}", self.fix)
    }
}

/// A check looks at the tree and appends what it finds.
type Check = fn(&Tree, &mut Vec<Finding>);

/// Every check, by the name under which a developer can run it alone.
const CHECKS: [(&str, Check); 23] = [
    ("header", source::opens_with_its_purpose),
    ("length", source::files_and_functions_are_short),
    ("inline-tests", source::long_tests_have_their_own_file),
    ("names", source::names_say_what_is_inside),
    ("globs", source::no_glob_is_exported),
    ("todo", source::todos_have_an_issue),
    ("unfinished", source::nothing_is_unfinished),
    ("pure", rooms::pure_rooms_stay_pure),
    ("sockets", rooms::sockets_come_from_the_dialer),
    ("tokio-fs", rooms::no_async_files),
    ("unsafe", unsafety::unsafe_is_registered),
    ("threads", threads::meetings_are_listed),
    ("suite", suite::tests_neither_sleep_nor_hide),
    ("targets", targets::fuzz_bodies_are_registered),
    ("limits", limits::bounds_are_listed),
    ("links", docs::links_resolve),
    ("mentions", docs::mentioned_documents_exist),
    ("maps", docs::maps_name_real_files),
    ("beps", docs::bep_rows_name_real_files),
    ("recordings", docs::recordings_have_a_provenance),
    ("files", files::nothing_foreign_is_kept),
    ("manifests", manifests::packages_have_their_shape),
    ("arrows", layers::findings),
];

/// Runs the named checks, or all of them without a name.
pub(crate) fn run(names: &[String]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| !is_check(name)) {
        let known: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "no check {unknown:?}; there are {}",
            known.join(", ")
        ));
    }
    let tree = Tree::read(&tree::root())?;
    let mut findings = Vec::new();
    let mut ran = 0_usize;
    for (name, check) in CHECKS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            check(&tree, &mut findings);
            ran += 1;
        }
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!(
            "tidy: {ran} checks over {} files found nothing",
            tree.files.len()
        );
        return Ok(());
    }
    Err(format!("tidy found {} places to mend", findings.len()))
}

fn is_check(name: &str) -> bool {
    CHECKS.iter().any(|(known, _)| *known == name)
}
