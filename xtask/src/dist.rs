//! `cargo xtask dist`: all crates as they would be published, and the programs as they are released, built twice in two
//! folders, with their checksums and the list of what is in them.
//!
//! Two builds in folders of different names show that neither the place nor the time of a build
//! gets into a binary. It must not publish anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sbom;
use crate::shell::{capture, cargo, run};
use crate::tree;

/// The programs: (package, binary).
const PROGRAMS: [(&str, &str); 2] = [("bt-client", "bt-client"), ("bt-tracker", "bt-tracker")];

/// Names of the two folders; different in length, so that a path that slips in moves other bytes.
const FOLDERS: [&str; 2] = ["one", "another-place"];

/// Builds, compares, and writes `SHA256SUMS` and an SBOM beside the programs.
///
/// P10 of `docs/SECURITY.md`.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("dist takes no arguments".to_owned());
    }
    run(&mut publish())?;
    let base = tree::target_dir().join("dist-check");
    let mut sums = Vec::new();
    for name in FOLDERS {
        let folder = base.join(name);
        copy_tree(&folder)?;
        build(&folder)?;
        sums.push(checksums(&folder.join("build/dist"))?);
    }
    println!("{}", sums[0].trim_end());
    if sums[0] != sums[1] {
        return Err(format!("the two builds differ:\n{}\n{}", sums[0], sums[1]));
    }
    println!("the same in {} and {}", FOLDERS[0], FOLDERS[1]);
    let out = tree::target_dir().join("release-files");
    fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;
    for (package, program) in PROGRAMS {
        let from = base.join(FOLDERS[0]).join("build/dist").join(program);
        fs::copy(&from, out.join(program)).map_err(|e| format!("{}: {e}", from.display()))?;
        write(
            &out.join(format!("{program}.cdx.json")),
            &sbom::of(package)?,
        )?;
    }
    write(&out.join("SHA256SUMS"), &sums[0])?;
    // Whoever builds it again needs the same compiler.
    let compiler = capture(Command::new("rustc").arg("-vV"))?;
    write(&out.join("RUSTC"), &compiler)?;
    println!("release files are in {}", out.display());
    Ok(())
}

/// All crates of the workspace as they would be published, in the order of the floors, each compiled from its package;
/// nothing is uploaded.
pub(crate) fn publish() -> Command {
    let mut command = cargo(["publish", "--dry-run", "--workspace", "--exclude", "xtask"]);
    command.args(["--locked", "--allow-dirty"]);
    // The packages lie elsewhere; third-party crates are compiled by now and need not be again.
    command.env("CARGO_TARGET_DIR", tree::target_dir());
    command
}

/// Every file under version control, in a folder of its own. Build output there is kept.
fn copy_tree(folder: &Path) -> Result<(), String> {
    let root = tree::root();
    for entry in ["Cargo.toml", "Cargo.lock", "crates", "xtask", "tests"] {
        let _ = fs::remove_dir_all(folder.join(entry));
    }
    for file in &tree::Tree::read(&root)?.files {
        let to = folder.join(&file.path);
        let parent = to.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::copy(root.join(&file.path), &to))
            .map_err(|e| format!("{}: {e}", to.display()))?;
    }
    Ok(())
}

fn build(folder: &Path) -> Result<(), String> {
    // One after the other: together, each would have what the other one's features bring along.
    PROGRAMS
        .iter()
        .try_for_each(|(package, _)| build_one(folder, package))
}

fn build_one(folder: &Path, package: &str) -> Result<(), String> {
    let mut command = cargo([
        "build",
        "--locked",
        "--quiet",
        "--profile",
        "dist",
        "--bins",
        "-p",
        package,
    ]);
    // Paths of this machine become fixed ones, in Rust and in the one C library (ring).
    let home = cargo_home()?;
    let flags = format!(
        "--remap-path-prefix={}=/source --remap-path-prefix={}=/cargo",
        folder.display(),
        home.display()
    );
    let c_flags = format!(
        "-ffile-prefix-map={}=/source -ffile-prefix-map={}=/cargo",
        folder.display(),
        home.display()
    );
    command
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .env("CARGO_INCREMENTAL", "0")
        .env("RUSTFLAGS", flags)
        .env("CFLAGS", c_flags)
        .env("SOURCE_DATE_EPOCH", commit_time());
    run(&mut command)
}

fn cargo_home() -> Result<PathBuf, String> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || std::env::home_dir().map(|home| home.join(".cargo"));
    named
        .or_else(usual)
        .ok_or_else(|| "no home folder".to_owned())
}

/// Seconds since 1970 of the last commit, which is what a build may know of time; 0 without Git.
fn commit_time() -> String {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"])
        .current_dir(tree::root());
    let output = git.output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "0".to_owned(), |text| text.trim().to_owned())
}

/// The lines of `SHA256SUMS`.
fn checksums(folder: &Path) -> Result<String, String> {
    let mut command = Command::new("sha256sum");
    command
        .args(PROGRAMS.map(|(_, program)| program))
        .current_dir(folder);
    capture(&mut command)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
