//! Reads as much of a `Cargo.toml` as the checks need: sections, keys, values.
//!
//! It knows the subset of TOML that manifests of this tree use; it must not be used on anything
//! else.

/// One manifest as a list of entries.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    section: String,
    key: String,
    value: String,
}

/// Sections that name other packages.
const DEPENDENCY_SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

impl Manifest {
    /// Reads the text of a manifest.
    pub(crate) fn parse(text: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut section = String::new();
        let mut open_brackets = 0_i32;
        for line in text.lines() {
            let line = without_comment(line).trim();
            if open_brackets > 0 {
                if let Some(last) = entries.last_mut() {
                    last.value.push_str(line);
                }
                open_brackets += balance(line);
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.trim_matches(['[', ']']).to_owned();
            } else if let Some((key, value)) = line.split_once('=') {
                open_brackets = balance(value);
                entries.push(Entry {
                    section: section.clone(),
                    key: key.trim().trim_matches('"').to_owned(),
                    value: value.trim().to_owned(),
                });
            }
        }
        Self { entries }
    }

    /// The value of a key, without quotes.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.section(section)
            .find(|entry| entry.key == key)
            .map(|entry| entry.value.trim_matches('"'))
    }

    /// The names of the features, `default` excepted.
    pub(crate) fn features(&self) -> Vec<&str> {
        self.section("features")
            .map(|entry| entry.key.as_str())
            .filter(|name| *name != "default")
            .collect()
    }

    /// Packages in one of the dependency sections, with what is written about them.
    pub(crate) fn dependencies(&self, section: &str) -> Vec<(&str, &str)> {
        let inner = format!("{section}.");
        let inline = self.section(section).map(|entry| {
            let name = entry.key.split('.').next().unwrap_or_default();
            (name, entry.value.as_str())
        });
        let tables = self.entries.iter().filter_map(|entry| {
            let name = entry.section.strip_prefix(&inner)?;
            Some((name, entry.value.as_str()))
        });
        inline.chain(tables).collect()
    }

    /// Packages in all dependency sections.
    pub(crate) fn all_dependencies(&self) -> Vec<(&str, &str)> {
        DEPENDENCY_SECTIONS
            .iter()
            .flat_map(|section| self.dependencies(section))
            .collect()
    }

    fn section(&self, name: &str) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(move |entry| entry.section == name)
    }
}

/// Cuts a comment off; a `#` inside quotes stays.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'#' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

fn balance(text: &str) -> i32 {
    let count = |c: char| i32::try_from(text.matches(c).count()).unwrap_or(i32::MAX);
    count('[') + count('{') - count(']') - count('}')
}
