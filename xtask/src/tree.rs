//! The files of the workspace as the checks see them: paths, sizes and text.
//!
//! A tree can also be made from snippets, so that every check is tested without a disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scan::{Source, is_word, words};

/// One file of the tree.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with `/` between components.
    pub(crate) path: String,
    /// Bytes on disk.
    pub(crate) size: u64,
    /// Whether only tests use it.
    pub(crate) is_test: bool,
    /// Its text; `None` for what is not UTF-8.
    pub(crate) text: Option<String>,
    /// The scanned views; `None` for what is not Rust.
    pub(crate) source: Option<Source>,
}

impl File {
    /// Makes a file from its path and text.
    pub(crate) fn from_text(path: &str, text: &str) -> Self {
        let is_test = is_test_path(path);
        let source = path.ends_with(".rs").then(|| Source::scan(text, is_test));
        Self {
            path: path.to_owned(),
            size: text.len() as u64,
            is_test,
            text: Some(text.to_owned()),
            source,
        }
    }

    /// The last component of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The text, or an empty one for what is not UTF-8.
    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

/// Every file that is, or would be, under version control.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// Sorted by path.
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// Reads the tree below `root`: what Git tracks or would add, or all files without Git.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut paths = match listed_by_git(root) {
            Some(paths) => paths,
            None => walk(root)?,
        };
        paths.sort();
        paths.dedup();
        let files = paths
            .into_iter()
            .filter(|path| root.join(path).is_file())
            .map(|path| read_file(root, path))
            .collect::<Result<_, _>>()?;
        Ok(Self::of_files(files))
    }

    /// Sorts the files and finds out which of them only tests use.
    fn of_files(mut files: Vec<File>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let stems: Vec<String> = files.iter().flat_map(test_modules).collect();
        for file in &mut files {
            let inside = |stem: &String| {
                let rest = file.path.strip_prefix(stem.as_str());
                rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
            };
            if !file.is_test && stems.iter().any(inside) {
                file.is_test = true;
                file.source = Some(Source::scan(file.text(), true));
            }
        }
        Self { files }
    }

    /// A tree made of snippets.
    #[cfg(test)]
    pub(crate) fn of(snippets: &[(&str, &str)]) -> Self {
        let files = snippets
            .iter()
            .map(|(path, text)| File::from_text(path, text));
        Self::of_files(files.collect())
    }

    /// The file at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&File> {
        let at = self
            .files
            .binary_search_by(|file| file.path.as_str().cmp(path));
        self.files.get(at.ok()?)
    }

    /// Whether a file or a folder stands at this path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.get(path).is_some() || self.files.iter().any(|file| file.path.starts_with(&folder))
    }

    /// All Rust files with their views.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files
            .iter()
            .filter_map(|file| file.source.as_ref().map(|source| (file, source)))
    }

    /// All Markdown files.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".md"))
    }

    /// The names of the packages: folders of `crates/` that hold a manifest.
    pub(crate) fn crates(&self) -> Vec<&str> {
        self.files
            .iter()
            .filter_map(|file| {
                let rest = file.path.strip_prefix("crates/")?;
                rest.strip_suffix("/Cargo.toml")
            })
            .filter(|name| !name.contains('/'))
            .collect()
    }
}

/// Modules that the file declares for tests alone, as paths without `.rs`.
fn test_modules(file: &File) -> Vec<String> {
    let Some(source) = &file.source else {
        return Vec::new();
    };
    // Modules of `room/mod.rs` lie beside it, those of `room.rs` in the folder `room`.
    let folder = match file.path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
        _ => file.path.trim_end_matches(".rs").to_owned(),
    };
    words(&source.code, "mod")
        .filter(|&at| source.production.as_bytes().get(at) == Some(&b' '))
        .filter_map(|at| {
            let (name, _) = source.code.get(at + 3..)?.split_once(';')?;
            let name = name.trim();
            let is_name = name.bytes().all(is_word) && !name.is_empty();
            is_name.then(|| format!("{folder}/{name}"))
        })
        .collect()
}

/// Whether only tests use the file: it lies in a `tests` folder or is named `tests.rs`.
fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "test" | "tests" | "test.rs" | "tests.rs"))
}

/// The root of the workspace: the folder above this package.
pub(crate) fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or(package.clone(), Path::to_path_buf)
}

/// Where Cargo puts its output.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn read_file(root: &Path, path: String) -> Result<File, String> {
    let bytes = fs::read(root.join(&path)).map_err(|e| format!("{path}: {e}"))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => File::from_text(&path, &text),
        Err(error) => File {
            path,
            size: error.as_bytes().len() as u64,
            is_test: true,
            text: None,
            source: None,
        },
    })
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let listing = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<_> = listing
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    (!paths.is_empty()).then_some(paths)
}

/// The fallback for a source archive without Git: everything but build output and hidden folders.
fn walk(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|e| e.to_string())?.path();
            let relative = path.strip_prefix(root).map_err(|e| e.to_string())?;
            let relative = relative.to_string_lossy().into_owned();
            if !path.is_dir() {
                found.push(relative);
            } else if !matches!(relative.as_str(), "target" | ".git") {
                open.push(path);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn modules_declared_for_tests_are_tests() {
        let tree = Tree::of(&[
            (
                "crates/a/src/lib.rs",
                "#[cfg(test)]\nmod made_up;\nmod real;\n",
            ),
            ("crates/a/src/made_up.rs", "fn f() {}"),
            ("crates/a/src/made_up/inner.rs", "fn f() {}"),
            ("crates/a/src/real.rs", "#[cfg(test)]\nmod bench;\n"),
            ("crates/a/src/real/bench.rs", "fn f() {}"),
            ("crates/a/src/real/made_up.rs", "fn f() {}"),
            ("crates/a/tests/it/main.rs", "fn f() {}"),
        ]);
        let tests: Vec<_> = tree
            .files
            .iter()
            .filter(|f| f.is_test)
            .map(|f| &*f.path)
            .collect();
        assert_eq!(
            tests,
            [
                "crates/a/src/made_up.rs",
                "crates/a/src/made_up/inner.rs",
                "crates/a/src/real/bench.rs",
                "crates/a/tests/it/main.rs"
            ]
        );
    }
}
