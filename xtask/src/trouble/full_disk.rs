//! Content that is larger than the disk; room comes later.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::site::Site;

const CONTENT: u64 = 200 * 1024 * 1024;

/// Room may be noticed this much after it came.
const IN_TIME: Duration = Duration::from_secs(10);

/// `cycles` times: the download fills the disk, waits, and ends well after room was made.
///
/// P5 of `docs/SECURITY.md`.
pub(super) fn run(cycles: usize) -> Result<(), String> {
    let mut site = Site::new("full-disk")?;
    site.content("one.bin", CONTENT / 2)?;
    site.content("sub/two.bin", CONTENT / 2)?;
    site.serve("256KiB", None)?;
    let mut slowest = Duration::ZERO;
    for cycle in 1..=cycles {
        let directory = site.root.join("disk");
        fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        mount(&directory, "size=64m")?;
        let result = one(&site, &directory);
        let unmounted = sh("umount", &[&directory.display().to_string()]);
        // A copy that is gone with its disk is not to be asked for.
        site.forget();
        let waited = result.map_err(|error| format!("cycle {cycle}: {error}"))?;
        unmounted?;
        slowest = slowest.max(waited);
        println!(
            "cycle {cycle}: went on {:.1} s after there was room",
            waited.as_secs_f64()
        );
    }
    println!(
        "{cycles} of {cycles} cycles complete, slowest resume {:.1} s",
        slowest.as_secs_f64()
    );
    Ok(())
}

/// Gives the time from the room to the first progress.
fn one(site: &Site, directory: &Path) -> Result<Duration, String> {
    let mut download = site
        .client(site.download("disk").split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let out = download.stdout.take().ok_or("no output")?;
    let (mut room_since, mut waited, mut checked) = (None::<Instant>, None, false);
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        // A look at an empty directory in the beginning may be told as a check, too.
        checked |= room_since.is_some() && line.contains("\"event\":\"checking\"");
        let is = |state: &str| line.contains(&format!("\"state\":\"{state}\""));
        if is("disk full") && room_since.is_none() {
            mount(directory, "remount,size=300m")?;
            room_since = Some(Instant::now());
        } else if (is("downloading") || line.contains("\"event\":\"complete\"")) && waited.is_none()
        {
            // On a quiet machine the rest may be here before the next line on progress.
            waited = room_since.map(|since| since.elapsed());
        }
    }
    let status = download.wait().map_err(|error| error.to_string())?;
    let waited = waited.ok_or("the disk was never full, or it never went on")?;
    match () {
        () if !status.success() => Err(format!("the download ended with {status}")),
        () if checked => Err("it was checked again".to_owned()),
        () if !site.is_intact("disk") => Err("the copy differs".to_owned()),
        () if waited > IN_TIME => Err(format!("it took {waited:?} to go on")),
        () => Ok(waited),
    }
}

fn mount(directory: &Path, options: &str) -> Result<(), String> {
    let directory = directory.display().to_string();
    sh(
        "mount",
        &["-t", "tmpfs", "-o", options, "tmpfs", &directory],
    )
}

fn sh(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
