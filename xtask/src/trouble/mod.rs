//! `cargo xtask trouble`: the built program on disks that are full, broken or hostile, as often as asked.
//!
//! These runs need root, strace or minutes; the tests of the packages have the short forms. It must not know how the
//! client does anything: it starts programs and looks at exit codes, messages and files.

mod faults;
#[path = "../../../tests/filler.rs"]
mod filler;
mod full_disk;
mod many_files;
mod site;

const HELP: &str = "\
cargo xtask trouble WHAT

  full-disk [CYCLES]   200 MiB onto 64 MiB, with room made later; as root, mounts a tmpfs
  faults               a failing system call at a time (strace): exit code, message, repair
  many-files [FILES]   14000 files and a flood of callers with 64 descriptors
";

/// Runs one of them.
pub(crate) fn start(arguments: &[String]) -> Result<(), String> {
    let number = |at: usize, usual: usize| match arguments.get(at) {
        None => Ok(usual),
        Some(text) => text
            .parse()
            .map_err(|_| format!("{text:?} is not a number")),
    };
    match arguments.first().map(String::as_str) {
        Some("full-disk") => full_disk::run(number(1, 1)?),
        Some("faults") => faults::run(),
        Some("many-files") => many_files::run(number(1, 14_000)?),
        _ => {
            print!("{HELP}");
            Err("trouble: say what".to_owned())
        }
    }
}
