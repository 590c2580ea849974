//! Reads the manifests of `tests/bad-input` and holds a verdict against each file.
//!
//! Included by the tests of each package that has a folder here. It must not know what the bytes
//! mean.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Calls `judge` with name and content of each file of the folder and compares what it says with
/// the manifest: `ok`, `ok: WORDS` or `error: WORDS`, where the words are a part of the answer.
pub(crate) fn replay(folder: &str, judge: impl Fn(&str, &[u8]) -> Result<String, String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/bad-input")
        .join(folder);
    let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).expect("a manifest");
    let mut listed = BTreeSet::from(["MANIFEST.tsv".to_owned()]);
    let mut wrong = Vec::new();
    for line in manifest.lines().skip(1) {
        let mut columns = line.split('\t');
        let (Some(name), Some(verdict)) = (columns.next(), columns.next()) else {
            panic!("{line}: not three columns");
        };
        assert!(
            columns.next().is_some_and(|reason| !reason.is_empty()),
            "{line}"
        );
        let bytes = fs::read(folder.join(name)).expect(name);
        let found = judge(name, &bytes);
        let fits = match (verdict.split_once(": "), &found) {
            (None, Ok(_)) => verdict == "ok",
            (Some(("ok", words)), Ok(said)) | (Some(("error", words)), Err(said)) => {
                said.contains(words)
            }
            _ => false,
        };
        if !fits {
            wrong.push(format!("{name}: {found:?}\n    expected {verdict}"));
        }
        listed.insert(name.to_owned());
    }
    let there: BTreeSet<String> = fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    assert_eq!(there, listed, "files and manifest differ");
    assert!(listed.len() > 15, "{} has no cases", folder.display());
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        listed.len(),
        wrong.join("\n")
    );
}
