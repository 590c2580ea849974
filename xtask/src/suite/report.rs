//! Reads what `cargo test` prints: which binary ran how many tests.

use std::fmt;

/// Counts of one run.
#[derive(Debug, Default)]
pub(super) struct Report {
    binaries: Vec<Binary>,
    /// Lines that tests printed because no one named a file to them.
    pub(super) left_out: Vec<String>,
}

#[derive(Debug)]
struct Binary {
    /// What Cargo said it runs: a source path, or `documentation`.
    what: String,
    /// The crate that is tested. Cargo names it only for unit and documentation tests, and runs a
    /// package's integration tests right behind its unit tests.
    of: String,
    passed: u64,
    failed: u64,
}

impl Report {
    /// Takes the next line of output.
    pub(super) fn line(&mut self, line: &str) {
        let line = without_color(line);
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("Running ") {
            self.started(rest);
        } else if let Some(library) = line.strip_prefix("Doc-tests ") {
            self.binaries
                .push(Binary::new("documentation", library.trim()));
        } else if line.starts_with("left out: ") {
            self.left_out.push(line.to_owned());
        } else if let Some(rest) = line.strip_prefix("test result: ")
            && let Some(binary) = self.binaries.last_mut()
        {
            // Doc tests print one such line for each edition they are compiled for.
            binary.passed += count(rest, " passed");
            binary.failed += count(rest, " failed");
        }
    }

    /// `unittests src/lib.rs (target/debug/deps/bt_wire-0123abcd)` or the like.
    fn started(&mut self, rest: &str) {
        let Some((what, executable)) = rest.split_once(" (") else {
            return;
        };
        let file = executable.trim_end_matches(')').rsplit('/').next();
        let file = file.unwrap_or_default();
        let stem = file.rsplit_once('-').map_or(file, |(stem, _)| stem);
        let package = self.binaries.last().map_or("", |binary| &binary.of);
        let of = if what.starts_with("unittests") {
            stem
        } else {
            package
        };
        let binary = Binary::new(what.trim(), of);
        self.binaries.push(binary);
    }

    /// Which of the expected binaries ran no test.
    ///
    /// An expected name is `LIBRARY unit tests`, `LIBRARY documentation`, `LIBRARY tests/it/main.rs`
    /// or, for the suites that lie above the packages, the end of a source path.
    pub(super) fn empty(&self, expected: &[String]) -> Vec<String> {
        let ran = |name: &str| match name.split_once(' ') {
            Some((library, "unit tests")) => {
                self.passed(|b| b.of == library && b.what.starts_with("unittests src/lib.rs"))
            }
            Some((library, what)) => self.passed(|b| b.of == library && b.what == what),
            None => self.passed(|b| b.what.ends_with(name)),
        };
        expected
            .iter()
            .filter(|name| ran(name) == 0)
            .cloned()
            .collect()
    }

    fn passed(&self, wanted: impl Fn(&Binary) -> bool) -> u64 {
        let found = self.binaries.iter().filter(|binary| wanted(binary));
        found.map(|binary| binary.passed).sum()
    }
}

impl Binary {
    fn new(what: &str, of: &str) -> Self {
        Self {
            what: what.to_owned(),
            of: of.to_owned(),
            passed: 0,
            failed: 0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: u64 = self.binaries.iter().map(|binary| binary.failed).sum();
        let ran = self
            .binaries
            .iter()
            .filter(|binary| binary.passed + binary.failed > 0);
        let (binaries, passed) = (ran.count(), self.passed(|_| true));
        write!(
            f,
            "{passed} tests passed in {binaries} binaries, {failed} failed"
        )
    }
}

/// The number before `label` in `ok. 12 passed; 0 failed; …`.
fn count(line: &str, label: &str) -> u64 {
    line.split([';', '.'])
        .filter_map(|part| part.trim().strip_suffix(label.trim_start()))
        .find_map(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// Takes terminal colors out of a line.
fn without_color(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut escaped = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => escaped = true,
            'm' if escaped => escaped = false,
            _ if escaped => {}
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::Report;

    const OUTPUT: &str = "\
   Compiling bt-wire v0.1.0
     Running unittests src/lib.rs (target/debug/deps/bt_bencode-00ff)
running 2 tests
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
     Running tests/it/main.rs (target/debug/deps/it-00fe)
test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
     Running unittests src/lib.rs (target/debug/deps/bt_wire-00fd)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/it/main.rs (target/debug/deps/it-00fc)
test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
\u{1b}[1m\u{1b}[32m     Running\u{1b}[0m tests/sim/main.rs (target/debug/deps/sim-00fb)
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
left out: a story (needs a program)
   Doc-tests bt_bencode
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    fn report() -> Report {
        let mut report = Report::default();
        OUTPUT.lines().for_each(|line| report.line(line));
        report
    }

    fn empty(expected: &[&str]) -> Vec<String> {
        let expected: Vec<_> = expected.iter().map(|&name| name.to_owned()).collect();
        report().empty(&expected)
    }

    #[test]
    fn binaries_are_counted() {
        assert_eq!(report().left_out, ["left out: a story (needs a program)"]);
        assert_eq!(
            report().to_string(),
            "18 tests passed in 5 binaries, 1 failed"
        );
    }

    #[test]
    fn a_binary_that_ran_nothing_is_named() {
        let fine = [
            "bt_bencode unit tests",
            "bt_bencode documentation",
            "tests/sim/main.rs",
        ];
        assert_eq!(empty(&fine), Vec::<String>::new());
        assert_eq!(empty(&["bt_wire unit tests"]), ["bt_wire unit tests"]);
        assert_eq!(empty(&["bt_wire documentation"]), ["bt_wire documentation"]);
        assert_eq!(empty(&["tests/e2e/main.rs"]), ["tests/e2e/main.rs"]);
        let its = [
            "bt_bencode tests/it/main.rs",
            "bt_wire tests/it/main.rs",
            "c tests/it/main.rs",
        ];
        assert_eq!(empty(&its), ["c tests/it/main.rs"]);
    }
}
