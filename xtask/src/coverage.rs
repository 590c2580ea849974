//! `cargo xtask coverage`: which lines of ours the whole test suite runs.
//!
//! Only our own packages are instrumented, tests themselves are not counted, and the floors below
//! fail the run. The LLVM tools must be at least as new as the compiler's LLVM.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fuzz;
use crate::shell::{capture, cargo, is_installed, run};
use crate::tree::{self, File, Tree};

/// Files that turn bytes of strangers, or of files that anybody may have changed, into values.
const PARSERS: [&str; 29] = [
    "crates/bt-client/src/state/knowledge/",
    "crates/bt-bencode/src/",
    "crates/bt-metainfo/src/hash.rs",
    "crates/bt-metainfo/src/host_port.rs",
    "crates/bt-metainfo/src/info/",
    "crates/bt-metainfo/src/magnet/",
    "crates/bt-metainfo/src/merkle.rs",
    "crates/bt-metainfo/src/metainfo/",
    "crates/bt-metainfo/src/path/",
    "crates/bt-wire/src/",
    "crates/bt-client/src/cli/interface.rs",
    "crates/bt-client/src/cli/select.rs",
    "crates/bt-client/src/cli/units.rs",
    "crates/bt-metainfo/src/layout/",
    "crates/bt-tracker/src/cli/units.rs",
    "crates/bt-tracker/src/client/address.rs",
    "crates/bt-tracker/src/client/body.rs",
    "crates/bt-tracker/src/client/destination/",
    "crates/bt-tracker/src/client/guard.rs",
    "crates/bt-tracker/src/http/",
    "crates/bt-tracker/src/udp/",
    "crates/bt-tracker/src/server/access/list.rs",
    "crates/bt-tracker/src/server/accounts/file/mod.rs",
    "crates/bt-tracker/src/server/http/head.rs",
    "crates/bt-tracker/src/server/relay/record.rs",
    "crates/bt-tracker/src/server/signal/message.rs",
    "crates/bt-tracker/src/server/snapshot.rs",
    "crates/bt-tracker/src/swarm/locality.rs",
    "crates/bt-tracker/src/swarm/snapshot.rs",
];
/// Percent of the lines of all parser files together.
const PARSER_FLOOR: f64 = 95.0;
/// Percent of the lines of the workspace.
const WORKSPACE_FLOOR: f64 = 85.0;
/// Bodies that only a fuzzing driver calls in full, and doubles for tests.
const NOT_COUNTED: [&str; 3] = ["/fuzz.rs", "/fuzz/", "/testing.rs"];

/// Lines of one file: those that can run, and those that did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Lines {
    all: usize,
    ran: usize,
}

impl Lines {
    fn percent(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "line counts are small")]
        if self.all == 0 {
            100.0
        } else {
            100.0 * self.ran as f64 / self.all as f64
        }
    }

    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.ran += other.ran;
    }
}

/// What a run was asked to do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Only these packages; all if empty.
    packages: Vec<String>,
    all_files: bool,
    again: bool,
}

impl Wanted {
    fn new(arguments: &[String]) -> Result<Self, String> {
        let mut wanted = Self::default();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--all-files" => wanted.all_files = true,
                "--again" => wanted.again = true,
                "-p" => wanted
                    .packages
                    .push(words.next().ok_or("-p needs a package")?.clone()),
                _ => {
                    return Err(format!(
                        "unknown option {word}; coverage knows -p, --all-files and --again"
                    ));
                }
            }
        }
        Ok(wanted)
    }

    fn has(&self, path: &str) -> bool {
        let package = path.split('/').nth(1).unwrap_or_default();
        self.packages.is_empty() || self.packages.iter().any(|name| name == package)
    }
}

/// Runs the suite and prints the figures; `-p` runs and counts one package, `--all-files` lists every file, `--again`
/// only reads the profiles of the last run.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let wanted = Wanted::new(arguments)?;
    let profdata = tool("llvm-profdata")?;
    let cov = tool("llvm-cov")?;
    let folder = tree::target_dir().join("coverage");
    let list = folder.join("programs");
    let mut suite = Ok(());
    if !wanted.again {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let programs = build(&wanted)?;
        fs::write(&list, programs.join("\n")).map_err(|e| format!("{}: {e}", list.display()))?;
        // A failing test has run lines too: the figures come first, the failure after them.
        suite = run(tests(&wanted, &[])?.env("LLVM_PROFILE_FILE", folder.join("%8m.profraw")));
    }
    let programs = fs::read_to_string(&list)
        .map_err(|e| format!("{}: {e}; leave out --again", list.display()))?;
    let merged = folder.join("all.profdata");
    let mut merge = Command::new(&profdata);
    merge.args(["merge", "-sparse", "-o"]).arg(&merged);
    run(merge.args(files_ending(&folder, ".profraw")?))?;
    let text = export(&cov, &merged, programs.lines())?;
    let tree = Tree::read(&tree::root())?;
    let mut files = per_file(&text, &tree);
    files.retain(|path, _| wanted.has(path));
    let verdict = judge(&files, &wanted);
    suite.and(verdict)
}

/// The suite of all packages but this one, instrumented. Documentation tests cannot be.
fn tests(wanted: &Wanted, options: &[&str]) -> Result<Command, String> {
    let mut command = cargo(["test", "--locked", "--all-features", "--no-fail-fast"]);
    if wanted.packages.is_empty() {
        command.args(["--workspace", "--exclude", "xtask"]);
    }
    command.args(wanted.packages.iter().flat_map(|name| ["-p", name]));
    command.args(["--lib", "--bins", "--tests"]).args(options);
    fuzz::wrap(&mut command, fuzz::Extra::Profile)?;
    Ok(command)
}

/// Builds the suite. Gives the programs that Cargo made or found fresh: build folders keep others, of older sources.
fn build(wanted: &Wanted) -> Result<Vec<String>, String> {
    let messages = capture(&mut tests(wanted, &["--no-run", "--message-format=json"])?)?;
    let programs = executables(&messages);
    if programs.is_empty() {
        return Err("cargo test built no program".to_owned());
    }
    Ok(programs)
}

/// Values of `executable` in Cargo's messages, one message a line.
fn executables(messages: &str) -> Vec<String> {
    let value = |line: &str| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        Some(rest.split_once('"')?.0.to_owned())
    };
    messages.lines().filter_map(value).collect()
}

/// The LCOV form of what the profile says about the programs.
fn export<'a>(
    cov: &Path,
    profile: &Path,
    mut programs: impl Iterator<Item = &'a str>,
) -> Result<String, String> {
    let mut command = Command::new(cov);
    command
        .args(["export", "--format=lcov", "--instr-profile"])
        .arg(profile);
    command.arg(programs.next().ok_or("no instrumented program was built")?);
    for program in programs {
        command.args(["-object", program]);
    }
    capture(&mut command)
}

fn files_ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect())
}

/// Finds a tool under its plain name or with the number of its release.
fn tool(name: &str) -> Result<PathBuf, String> {
    let numbered = (22..=30).rev().map(|release| format!("{name}-{release}"));
    numbered
        .chain([name.to_owned()])
        .find(|program| is_installed(program, "--version"))
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is missing: install the package llvm-22"))
}

/// Production lines by file, from the lines `SF:` and `DA:` of an LCOV text.
fn per_file(lcov: &str, tree: &Tree) -> BTreeMap<String, Lines> {
    let root = format!("{}/", tree::root().display());
    let mut counts: BTreeMap<String, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut current = String::new();
    for line in lcov.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            current = path.strip_prefix(&root).unwrap_or(path).to_owned();
        } else if let Some((number, count)) = counted_line(line) {
            let file = counts.entry(current.clone()).or_default();
            let seen = file.entry(number).or_default();
            *seen = (*seen).max(count);
        }
    }
    counts
        .into_iter()
        .filter_map(|(path, counts)| {
            let file = tree.files.iter().find(|file| file.path == path)?;
            let counted = path.starts_with("crates/")
                && !file.is_test
                && !NOT_COUNTED.iter().any(|part| path.contains(part));
            counted.then(|| (path, production(file, &counts)))
        })
        .collect()
}

/// The line number and count of `DA:number,count`.
fn counted_line(line: &str) -> Option<(usize, u64)> {
    let (number, count) = line.strip_prefix("DA:")?.split_once(',')?;
    Some((number.parse().ok()?, count.parse().ok()?))
}

/// What is left without the lines of items under `#[cfg(test)]`.
fn production(file: &File, counts: &BTreeMap<usize, u64>) -> Lines {
    let mut lines = Lines::default();
    let Some(source) = &file.source else {
        return lines;
    };
    for (number, text) in source.production.lines().enumerate() {
        let count = counts.get(&(number + 1));
        if let Some(count) = count.filter(|_| !text.trim().is_empty()) {
            lines.add(Lines {
                all: 1,
                ran: usize::from(*count > 0),
            });
        }
    }
    lines
}

fn judge(files: &BTreeMap<String, Lines>, wanted: &Wanted) -> Result<(), String> {
    let is_parser = |path: &str| PARSERS.iter().any(|prefix| path.starts_with(prefix));
    let (mut parsers, mut whole) = (Lines::default(), Lines::default());
    let mut crates: BTreeMap<&str, Lines> = BTreeMap::new();
    for (path, lines) in files {
        whole.add(*lines);
        crates
            .entry(path.split('/').nth(1).unwrap_or_default())
            .or_default()
            .add(*lines);
        if is_parser(path) {
            parsers.add(*lines);
        }
        let low = if is_parser(path) {
            PARSER_FLOOR
        } else {
            WORKSPACE_FLOOR
        };
        if wanted.all_files || lines.percent() < low {
            println!(
                "{:>6.1} % of {:>4} lines  {path}",
                lines.percent(),
                lines.all
            );
        }
    }
    for (name, lines) in &crates {
        println!(
            "{name:<12} {:>6.1} % of {} lines",
            lines.percent(),
            lines.all
        );
    }
    println!(
        "parsers      {:>6.1} % of {} lines, at least {PARSER_FLOOR} %",
        parsers.percent(),
        parsers.all
    );
    if !wanted.packages.is_empty() {
        return below(parsers.percent() < PARSER_FLOOR);
    }
    println!(
        "workspace    {:>6.1} % of {} lines, at least {WORKSPACE_FLOOR} %",
        whole.percent(),
        whole.all
    );
    below(parsers.percent() < PARSER_FLOOR || whole.percent() < WORKSPACE_FLOOR)
}

fn below(floor: bool) -> Result<(), String> {
    match floor {
        true => Err("coverage is below its floor".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_from_messages_of_cargo() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":\"/t/debug/deps/it-1\",\"fresh\":true}\n\
                        {\"reason\":\"compiler-artifact\",\"executable\":null}\n";
        assert_eq!(executables(messages), ["/t/debug/deps/it-1"]);
    }

    #[test]
    fn lines_of_tests_do_not_count_and_objects_are_merged() {
        let path = "crates/a/src/x.rs";
        let text = "//! X.\nfn a() {\n    b();\n}\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
        let tree = Tree {
            files: vec![File::from_text(path, text)],
        };
        let full = format!("{}/{path}", tree::root().display());
        let lcov = format!(
            "SF:{full}\nDA:2,0\nDA:3,0\nDA:7,5\nend_of_record\nSF:{full}\nDA:2,9\nend_of_record\n"
        );
        let files = per_file(&lcov, &tree);
        assert_eq!(files[path], Lines { all: 2, ran: 1 });
        assert!(judge(&files, &Wanted::default()).is_err());
        let words = ["-p", "a", "--again"].map(str::to_owned);
        let wanted = Wanted::new(&words).unwrap();
        assert!(wanted.has(path) && !wanted.has("crates/b/src/x.rs") && wanted.again);
        assert!(judge(&files, &wanted).is_ok(), "it has no parser");
        assert!(Wanted::new(&["--bogus".to_owned()]).is_err());
    }
}
