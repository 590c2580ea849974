//! A torrent of many files and a crowd of callers, with few descriptors.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::site::{Site, error_event};

/// What both sides may have open.
const DESCRIPTORS: u32 = 64;

/// Connections that say nothing: far more than there are descriptors.
const CALLERS: usize = 300;

/// Downloads `files` files, then looks at what a crowd costs the seeder.
pub(super) fn run(files: usize) -> Result<(), String> {
    let mut site = Site::new("many-files")?;
    for number in 0..files {
        site.content(
            &format!("d{}/f{number}", number / 1000),
            500 + number as u64 % 1000,
        )?;
    }
    site.serve("64KiB", Some(DESCRIPTORS))?;
    let began = Instant::now();
    let output = site
        .with_descriptors(DESCRIPTORS, &site.download("out"))
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() || !site.is_intact("out") {
        return Err(format!("{}: {}", output.status, error_event(&output)));
    }
    println!(
        "{files} files with {DESCRIPTORS} descriptors: {:.1} s, intact",
        began.elapsed().as_secs_f64()
    );

    let crowd: Vec<TcpStream> = (0..CALLERS)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", site.port())).ok())
        .collect();
    let before = processor_time(site.seeder_id())?;
    // The time over which it is measured, not a wait for anything.
    std::thread::sleep(Duration::from_secs(3));
    let used = processor_time(site.seeder_id())? - before;
    println!(
        "{} callers for 3 s: {used:.2} s of processor time",
        crowd.len()
    );
    if used > 1.0 {
        return Err("it spins while it has no descriptors left".to_owned());
    }
    drop(crowd);
    let output = site
        .with_descriptors(DESCRIPTORS, &site.download("again"))
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() || !site.is_intact("again") {
        return Err(format!(
            "after the crowd: {}: {}",
            output.status,
            error_event(&output)
        ));
    }
    println!("after the crowd: served as before");
    Ok(())
}

/// Seconds that a process has used.
fn processor_time(id: u32) -> Result<f64, String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).map_err(|error| error.to_string())?;
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = behind.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("an odd /proc/PID/stat")?;
    // Linux shows times in hundredths of a second to every program.
    Ok(f64::from(user + system) / 100.0)
}
