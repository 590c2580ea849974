//! One system call fails, once or from then on: the program must end with the right code and words, and a run after
//! the fault must end with intact files.

use std::fs;

use super::site::{Site, error_event, warning_event};

/// What the program should do about a fault.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Stop with code 5 and name a file.
    Stops,
    /// Wait for room and complete.
    Waits,
    /// Say that the state cannot be kept, and complete.
    Goes,
}

/// The fault, the call, when (strace's `when=`, which counts in each thread), and what should follow.
const TABLE: &[(&str, &str, &str, Expected)] = &[
    ("EIO", "pwritev", "1+", Expected::Stops),
    ("EIO", "pwritev", "7", Expected::Stops),
    ("EROFS", "pwritev", "3+", Expected::Stops),
    ("ENOSPC", "pwritev", "3", Expected::Waits),
    ("EDQUOT", "pwritev", "5", Expected::Waits),
    ("EIO", "fdatasync", "1+", Expected::Stops),
    ("ENOSPC", "fdatasync", "1+", Expected::Stops),
    ("EDQUOT", "fdatasync", "1+", Expected::Stops),
    ("EIO", "ftruncate", "1+", Expected::Stops),
    ("EROFS", "ftruncate", "1+", Expected::Stops),
    ("ENOSPC", "ftruncate", "1", Expected::Waits),
    ("EROFS", "mkdirat", "1+", Expected::Stops),
    ("EIO", "mkdirat", "1+", Expected::Stops),
    ("ENOSPC", "mkdirat", "1", Expected::Waits),
    ("EDQUOT", "mkdirat", "1", Expected::Waits),
    ("EROFS", "fdatasync", "1+", Expected::Stops),
    ("EDQUOT", "ftruncate", "1", Expected::Waits),
    // Directories, and files that are whole; the first of them may be one of the state.
    ("EIO", "fsync", "1+", Expected::Stops),
    ("ENOSPC", "fsync", "1+", Expected::Stops),
    ("EROFS", "fsync", "1+", Expected::Stops),
    ("EDQUOT", "fsync", "1+", Expected::Stops),
    // Only files of the state get another name.
    ("EIO", "rename", "1+", Expected::Goes),
    ("ENOSPC", "rename", "1+", Expected::Goes),
    ("EROFS", "rename", "1+", Expected::Goes),
    ("EDQUOT", "rename", "1+", Expected::Goes),
    ("ENOSYS", "openat2", "1+", Expected::Waits),
];

/// Prints a line a fault; fails if any went wrong.
pub(super) fn run() -> Result<(), String> {
    if !crate::shell::is_installed("strace", "-V") {
        return Err("strace is not installed".to_owned());
    }
    let mut site = Site::new("faults")?;
    site.content("a.bin", 3_000_000)?;
    site.content("deep/er/b.bin", 2_000_000)?;
    site.content("empty", 0)?;
    site.serve("64KiB", None)?;
    let mut wrong = 0;
    println!(
        "{:<8} {:<10} {:<4} {:>4}  {:<7} what it said",
        "fault", "call", "when", "code", "after"
    );
    for (number, (fault, call, when, expected)) in (0..).zip(TABLE) {
        let directory = format!("out{number}");
        let inject = format!("--inject={call}:error={fault}:when={when}");
        let options = ["-e".to_owned(), format!("trace={call}"), inject];
        let output = site
            .traced(&options, &site.download(&directory))
            .output()
            .map_err(|error| error.to_string())?;
        let code = output.status.code().unwrap_or(-1);
        let again = site
            .client(site.download(&directory).split(' '))
            .output()
            .map_err(|error| error.to_string())?;
        let intact = again.status.success() && site.is_intact(&directory);
        let said = match *expected {
            Expected::Stops => error_event(&output),
            Expected::Waits => "completed".to_owned(),
            Expected::Goes => warning_event(&output),
        };
        let right = match *expected {
            Expected::Stops => code == 5 && said.contains("\"hint\"") && said.contains(&directory),
            Expected::Waits => code == 0,
            Expected::Goes => code == 0 && said.contains("\"kind\":\"state\""),
        };
        let after = if intact { "intact" } else { "BROKEN" };
        let mark = if right { "" } else { "WRONG " };
        println!("{fault:<8} {call:<10} {when:<4} {code:>4}  {after:<7} {mark}{said}");
        wrong += usize::from(!(right && intact));
        // The next one needs its room.
        let _ = fs::remove_dir_all(site.root.join(&directory));
    }
    if wrong == 0 {
        println!("{} faults, all as they should be", TABLE.len());
        return Ok(());
    }
    Err(format!("{wrong} of {} faults went wrong", TABLE.len()))
}
