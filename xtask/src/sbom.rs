//! A bill of materials in the form of CycloneDX 1.5: what one program is made of.
//!
//! Names, versions and licenses come from `cargo tree`, checksums from `Cargo.lock`. It must not
//! contain the time or a random number: the same sources give the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::shell::{capture, cargo};
use crate::tree;

/// One package.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Component {
    name: String,
    version: String,
    license: String,
}

/// The bill of one package with the features its program has.
pub(crate) fn of(package: &str) -> Result<String, String> {
    let mut command = cargo(["tree", "--locked", "-e", "normal,build", "-p", package]);
    let listing = capture(command.args(["--prefix", "none", "--format", "{p}|{l}"]))?;
    let lock = std::fs::read_to_string(tree::root().join("Cargo.lock"))
        .map_err(|e| format!("Cargo.lock: {e}"))?;
    let components = components(&listing);
    let subject = components
        .iter()
        .find(|component| component.name == package)
        .ok_or_else(|| format!("cargo tree does not list {package}"))?;
    Ok(render(subject, &components, &checksums(&lock)))
}

/// Lines of `name vVERSION …|LICENSE`, each once.
fn components(listing: &str) -> BTreeSet<Component> {
    listing
        .lines()
        .filter_map(|line| {
            let (package, license) = line.split_once('|')?;
            let mut words = package.split_whitespace();
            Some(Component {
                name: words.next()?.to_owned(),
                version: words.next()?.trim_start_matches('v').to_owned(),
                license: license.trim_end_matches(" (*)").replace('/', " OR "),
            })
        })
        .collect()
}

/// SHA-256 by name and version, as the lock file has them.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for block in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_start_matches(" = ").trim_matches('"').to_owned())
        };
        if let (Some(name), Some(version), Some(sum)) =
            (value("name"), value("version"), value("checksum"))
        {
            found.insert((name, version), sum);
        }
    }
    found
}

fn render(
    subject: &Component,
    components: &BTreeSet<Component>,
    sums: &BTreeMap<(String, String), String>,
) -> String {
    let mut out = String::from(
        "{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n",
    );
    let _ = writeln!(
        out,
        "  \"metadata\": {{ \"component\": {{ \"type\": \"application\", \"name\": \"{}\", \"version\": \"{}\" }} }},",
        subject.name, subject.version
    );
    out.push_str("  \"components\": [\n");
    let others: Vec<_> = components.iter().filter(|one| *one != subject).collect();
    for (number, component) in others.iter().enumerate() {
        let Component {
            name,
            version,
            license,
        } = component;
        let _ = write!(
            out,
            "    {{ \"type\": \"library\", \"name\": \"{name}\", \"version\": \"{version}\", \
             \"purl\": \"pkg:cargo/{name}@{version}\", \
             \"licenses\": [{{ \"expression\": \"{license}\" }}]"
        );
        if let Some(sum) = sums.get(&(name.clone(), version.clone())) {
            let _ = write!(
                out,
                ", \"hashes\": [{{ \"alg\": \"SHA-256\", \"content\": \"{sum}\" }}]"
            );
        }
        out.push_str(if number + 1 == others.len() {
            " }\n"
        } else {
            " },\n"
        });
    }
    out.push_str("  ]\n}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_listed_once_with_license_and_checksum() {
        let listing = "p v1.0.0 (/x)|MIT\na v2.0.0|MIT/Apache-2.0\na v2.0.0|MIT/Apache-2.0 (*)\n";
        let components = components(listing);
        assert_eq!(components.len(), 2);
        let lock = "[[package]]\nname = \"a\"\nversion = \"2.0.0\"\nchecksum = \"00ff\"\n";
        let subject = components.iter().find(|one| one.name == "p").unwrap();
        let bill = render(subject, &components, &checksums(lock));
        let line = "\"name\": \"a\", \"version\": \"2.0.0\", \"purl\": \"pkg:cargo/a@2.0.0\", \
                    \"licenses\": [{ \"expression\": \"MIT OR Apache-2.0\" }], \
                    \"hashes\": [{ \"alg\": \"SHA-256\", \"content\": \"00ff\" }] }\n";
        assert!(bill.contains(line), "{bill}");
        assert_eq!(bill.matches("\"library\"").count(), 1);
    }
}
