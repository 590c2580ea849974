//! The file to which tests write that they could not run here.

use std::fs;
use std::path::{Path, PathBuf};

/// The environment variable through which tests learn the file's path.
pub(super) const VARIABLE: &str = "BT_LEFT_OUT_FILE";

/// One run's file.
#[derive(Debug)]
pub(super) struct File(PathBuf);

impl File {
    /// Makes an empty file of this run's own.
    pub(super) fn create() -> Result<Self, String> {
        let folder = crate::tree::target_dir().join("xtask");
        let path = folder.join(format!("left-out-{}.txt", std::process::id()));
        fs::create_dir_all(&folder)
            .and_then(|()| fs::write(&path, ""))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What the tests wrote here or printed, sorted, each once; the file goes.
    pub(super) fn read(self, printed: &[String]) -> Result<Vec<String>, String> {
        let text = fs::read_to_string(&self.0).map_err(|e| format!("{}: {e}", self.0.display()))?;
        let _ = fs::remove_file(&self.0);
        Ok(lines(
            text.lines().chain(printed.iter().map(String::as_str)),
        ))
    }
}

fn lines<'a>(written: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = written
        .map(str::trim)
        .map(|line| line.strip_prefix("left out:").unwrap_or(line).trim())
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_listed_once() {
        let text = "left out: b (needs x)\n\n left out: a (needs y)\nleft out: b (needs x)\n";
        assert_eq!(super::lines(text.lines()), ["a (needs y)", "b (needs x)"]);
    }
}
