//! `cargo xtask bad-input`: writes the files under `tests/bad-input`, each with the verdict that is
//! expected of it.
//!
//! The cases are plain tables and small families of changes to something good, made from fixed
//! seeds, so that the folder is the same on every machine. Verdicts are stated here by rule and
//! never taken from the programs, which is what makes the replay a test. It must not use the
//! packages it makes input for.

mod bencode;
mod config;
mod make;
mod names;
mod peers;
mod requests;
mod torrents;
mod trackers;
mod trees;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::tree;

/// Where the files are, relative to the root.
const FOLDER: &str = "tests/bad-input";
/// The list of one folder's files.
const MANIFEST: &str = "MANIFEST.tsv";

/// One file and what must become of it.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    bytes: Vec<u8>,
    /// `ok`, `ok: WORDS` or `error: WORDS`; the words must stand in what is said about the file.
    verdict: String,
    reason: &'static str,
}

/// The cases of one folder.
#[derive(Debug, Default)]
struct Cases {
    list: Vec<Case>,
    reason: &'static str,
}

impl Cases {
    /// Cases added from here on are there for this reason.
    fn because(&mut self, reason: &'static str) -> &mut Self {
        self.reason = reason;
        self
    }

    /// A file that must be refused with these words.
    fn bad(&mut self, name: &str, bytes: impl Into<Vec<u8>>, words: &str) -> &mut Self {
        self.add(name, bytes.into(), format!("error: {words}"))
    }

    /// A file that must be read.
    fn good(&mut self, name: &str, bytes: impl Into<Vec<u8>>) -> &mut Self {
        self.add(name, bytes.into(), "ok".to_owned())
    }

    /// A file that must be read, and about which these words must be said.
    fn odd(&mut self, name: &str, bytes: impl Into<Vec<u8>>, words: &str) -> &mut Self {
        self.add(name, bytes.into(), format!("ok: {words}"))
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>, verdict: String) -> &mut Self {
        self.list.push(Case {
            name: name.to_owned(),
            bytes,
            verdict,
            reason: self.reason,
        });
        self
    }
}

/// The folders by name.
fn folders() -> Vec<(&'static str, Cases)> {
    let mut folders: Vec<(&'static str, Cases)> = Vec::new();
    let mut folder = |name, fill: fn(&mut Cases)| {
        let mut cases = Cases::default();
        fill(&mut cases);
        folders.push((name, cases));
    };
    folder("bencode", bencode::fill);
    folder("torrents", torrents::fill);
    folder("magnets", requests::magnets);
    folder("peer-streams", peers::streams);
    folder("handshakes", peers::handshakes);
    folder("extension-handshakes", peers::extension_handshakes);
    folder("http-replies", trackers::http_replies);
    folder("udp-replies", trackers::udp_replies);
    folder("announce-queries", requests::queries);
    folder("udp-requests", requests::udp_requests);
    folder("client-config", config::client);
    folder("tracker-config", config::tracker);
    folders
}

/// Every file of the folder with its content.
fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (folder, cases) in folders() {
        let mut manifest = String::from("# file\tverdict\treason\n");
        let mut list = cases.list;
        list.sort_by(|a, b| a.name.cmp(&b.name));
        for case in list {
            manifest.push_str(&format!(
                "{}\t{}\t{}\n",
                case.name, case.verdict, case.reason
            ));
            let path = format!("{folder}/{}", case.name);
            let before = files.insert(path, case.bytes);
            assert!(before.is_none(), "two cases {folder}/{}", case.name);
        }
        files.insert(format!("{folder}/{MANIFEST}"), manifest.into_bytes());
    }
    files
}

/// Writes the folder anew, or says what differs with `--check`.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [one] if one == "--check" => true,
        _ => return Err("bad-input takes no arguments but --check".to_owned()),
    };
    let root = tree::root().join(FOLDER);
    let files = files();
    let cases = files.len() - folders().len();
    if check {
        let differing = differences(&root, &files)?;
        if let Some(first) = differing.first() {
            return Err(format!(
                "{} files of {FOLDER} are not what cargo xtask bad-input writes, the first is {first}",
                differing.len()
            ));
        }
        println!("{FOLDER}: {cases} cases, all as they are made");
        return Ok(());
    }
    for (folder, _) in folders() {
        let _ = fs::remove_dir_all(root.join(folder));
        fs::create_dir_all(root.join(folder)).map_err(|e| format!("{folder}: {e}"))?;
    }
    for (path, bytes) in &files {
        fs::write(root.join(path), bytes).map_err(|e| format!("{path}: {e}"))?;
    }
    println!("{FOLDER}: {cases} cases written");
    Ok(())
}

/// Paths that are missing, are there for no reason, or hold something else.
fn differences(root: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<Vec<String>, String> {
    let mut differing = Vec::new();
    for (folder, _) in folders() {
        let entries = fs::read_dir(root.join(folder)).map_err(|e| format!("{folder}: {e}"))?;
        for entry in entries {
            let name = entry.map_err(|e| format!("{folder}: {e}"))?.file_name();
            let path = format!("{folder}/{}", name.to_string_lossy());
            if !files.contains_key(&path) {
                differing.push(path);
            }
        }
    }
    for (path, bytes) in files {
        if fs::read(root.join(path)).ok().as_ref() != Some(bytes) {
            differing.push(path.clone());
        }
    }
    Ok(differing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_what_is_made_and_holds_five_hundred_cases() {
        let files = files();
        let root = tree::root().join(FOLDER);
        assert_eq!(differences(&root, &files).unwrap(), Vec::<String>::new());
        assert!(files.len() - folders().len() >= 500, "{}", files.len());
    }

    #[test]
    fn every_case_says_why_and_fits_its_line() {
        for (folder, cases) in folders() {
            for case in cases.list {
                let shown = format!("{folder}/{}", case.name);
                assert!(!case.reason.is_empty(), "{shown} has no reason");
                let line = format!("{}{}", case.verdict, case.name);
                assert!(!line.contains(['\t', '\n']), "{shown}");
                assert!(case.bytes.len() <= 66_000, "{shown} is large");
            }
        }
    }
}
