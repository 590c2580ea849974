//! `cargo xtask kill`: the client is killed again and again, on a file system of its own where that can be had.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{cargo, run};

/// Room for a few copies of the small content; small enough to make in no time.
const IMAGE_BYTES: u64 = 256 << 20;

/// A file mounted as ext4; unmounted when it is dropped.
struct Mounted {
    folder: PathBuf,
}

impl Mounted {
    fn new() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("bt-kill-{}", std::process::id()));
        let trouble = |error: std::io::Error| format!("{}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(trouble)?;
        let image = folder.with_extension("ext4");
        let file = std::fs::File::create(&image).map_err(trouble)?;
        file.set_len(IMAGE_BYTES).map_err(trouble)?;
        run(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image))?;
        run(Command::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&folder))?;
        // The image goes when it is unmounted.
        std::fs::remove_file(&image).map_err(trouble)?;
        Ok(Self { folder })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = run(Command::new("umount").arg(&self.folder));
        if unmounted.is_ok() {
            let _ = std::fs::remove_dir(&self.folder);
        }
    }
}

/// `--cycles N --seed S` kills at random times, `--lanes N` of them at once; `--syscalls N` at each of the first N calls
/// of a kind; `--dir DIR` says where, otherwise it is a loop-mounted ext4 for root and the usual place for everybody else.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let (mut cycles, mut seed, mut lanes) = (None, None, None);
    let (mut calls, mut dir, mut cuts) = (None, None, None);
    let is_liar = arguments.iter().any(|word| word == "--lie");
    let mut words = arguments.iter().filter(|word| *word != "--lie");
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--cycles" => &mut cycles,
            "--seed" => &mut seed,
            "--lanes" => &mut lanes,
            "--syscalls" => &mut calls,
            "--dir" => &mut dir,
            "--power-cuts" => &mut cuts,
            unknown => return Err(format!("unknown option {unknown}; see cargo xtask --help")),
        };
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        // None at all would be a green run.
        if value == "0" && word != "--seed" {
            return Err(format!("{word} needs more than 0"));
        }
        *place = Some(value.clone());
    }
    if let Some(cuts) = cuts {
        return cut_power(&cuts, seed.as_deref(), lanes.as_deref(), is_liar);
    }
    let mounted = match &dir {
        None if is_root() => Some(Mounted::new()?),
        _ => None,
    };
    let filter = match calls {
        Some(_) => "kill::kills_at_each",
        None => "kill::kills_at_any",
    };
    let mut command = cargo(["test", "-p", "bt-client", "--test", "e2e", filter]);
    command.args(["--", "--nocapture"]);
    let settings = [
        ("KILL_CYCLES", cycles),
        ("KILL_SEED", seed),
        ("KILL_LANES", lanes),
        ("KILL_CALLS", calls),
    ];
    for (name, value) in settings {
        command.envs(value.map(|value| (name, value)));
    }
    let folder = mounted.as_ref().map(|mounted| mounted.folder.clone());
    if let Some(folder) = folder.or(dir.map(PathBuf::from)) {
        command.env("KILL_DIR", folder);
    }
    run(&mut command)
}

/// The program that `BT_CUTS_CLIENT` names, or else the one of this tree, built now.
fn cut_power(
    cuts: &str,
    seed: Option<&str>,
    lanes: Option<&str>,
    is_liar: bool,
) -> Result<(), String> {
    if !is_root() || !Path::new("/dev/fuse").exists() {
        return Err("power cuts need root and /dev/fuse".to_owned());
    }
    let given = std::env::var_os("BT_CUTS_CLIENT").map(PathBuf::from);
    if given.is_none() {
        run(&mut cargo([
            "build",
            "--locked",
            "--release",
            "-p",
            "bt-client",
        ]))?;
    }
    let client = given.unwrap_or_else(|| crate::tree::target_dir().join("release/bt-client"));
    let mut command = cargo(["run", "--quiet", "--locked", "-p", "xtask", "--bin", "cuts"]);
    command.args(["--features", "cuts", "--", "--cuts", cuts]);
    for (name, value) in [("--seed", seed), ("--lanes", lanes)] {
        command.args(value.into_iter().flat_map(|value| [name, value]));
    }
    command.args(is_liar.then_some("--lie"));
    command.env("BT_CUTS_CLIENT", client);
    run(&mut command)
}

fn is_root() -> bool {
    std::fs::metadata(Path::new("/proc/self"))
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}
